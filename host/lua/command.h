/* Commands' options and results between Lua and C: of EXEC and of jobs. */
#ifndef LUA_COMMAND_H
#define LUA_COMMAND_H

#include <lua.h>

#include "host/include/provium.h"

/*
 * Fills *options from the table at an index; pushes a few values that keep its arrays.
 */
void command_options(lua_State *L, int table, struct provium_exec_options *options);

/* Sets the fields of a result in the table on top of the stack. */
void command_result(lua_State *L, const struct provium_exec_result *result);

/* table[name] = the buffer's bytes, and frees it. */
void command_set_bytes(lua_State *L, const char *name, struct provium_buffer *buffer);

#endif
