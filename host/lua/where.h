/* Where a test file was, told when its process is asked to end (SIGTERM) and before it does. */
#ifndef LUA_WHERE_H
#define LUA_WHERE_H

#include <lua.h>

#include "host/lua/harness.h"

/*
 * From now on SIGTERM tells the harness that the file has failed, with the lines of the test's
 * files that were being executed, and then ends the process. One state of the process; until
 * where_forget.
 */
void where_watch(lua_State *L, const struct harness *harness);
void where_forget(void);

#endif
