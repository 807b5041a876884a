/* The module's table. */
#ifndef LUA_MODULE_H
#define LUA_MODULE_H

#include <lua.h>

#include "host/lua/harness.h"

/* Pushes the module. harness may be NULL; it lives as long as the state. */
int module_open(lua_State *L, const struct harness *harness);

/* core.harness, in the table on top of the stack. */
void harness_functions(lua_State *L, const struct harness *harness);

/* In the registry: a function that runs a file, given the module and the file's path. */
#define MODULE_RUN "provium.run"

/* As Lua calls it. */
int luaopen_provium(lua_State *L);

#endif
