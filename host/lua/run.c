#include "host/lua/run.h"

#include <lauxlib.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>

#include "host/lua/module.h"
#include "host/lua/where.h"

struct run {
	const char *path;
	const struct harness *harness;
	bool passed;
};

/* In protected mode: what is left to raise an error here is the want of memory. */
static int run_protected(lua_State *L)
{
	struct run *run = lua_touserdata(L, 1);

	luaL_openlibs(L);
	module_open(L, run->harness);
	lua_getfield(L, LUA_REGISTRYINDEX, MODULE_RUN);
	lua_pushvalue(L, -2);
	lua_pushstring(L, run->path);
	lua_call(L, 2, 1);
	run->passed = lua_toboolean(L, -1);
	return 0;
}

static void report(const struct run *run, const char *message)
{
	if (run->harness)
		run->harness->file_ended(run->harness->user, HARNESS_FAILED, message);
	else
		fprintf(stderr, "%s: %s\n", run->path, message);
}

int lua_run_file(const char *path, const struct harness *harness)
{
	struct run run = { .path = path, .harness = harness };
	lua_State *L = luaL_newstate();

	if (!L) {
		report(&run, "not enough memory");
		return 1;
	}
	where_watch(L, harness);
	lua_pushcfunction(L, run_protected);
	lua_pushlightuserdata(L, &run);
	if (lua_pcall(L, 1, 0, 0) != LUA_OK)
		report(&run, luaL_tolstring(L, -1, NULL));
	lua_close(L);
	where_forget();
	return run.passed ? 0 : 1;
}
