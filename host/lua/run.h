/* Runs a test file. */
#ifndef LUA_RUN_H
#define LUA_RUN_H

#include "host/lua/harness.h"

/*
 * Runs a file in a Lua state of its own, with the globals that tests have, and ends every guest
 * that it leaves. Returns when all is reported to the harness (which may be NULL: failures then go
 * to standard error): 0 where nothing failed, else 1.
 */
int lua_run_file(const char *path, const struct harness *harness);

#endif
