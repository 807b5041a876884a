/* core.harness: what suite.lua and vm.lua tell the process that runs all files. */
#include "host/lua/harness.h"

#include <lauxlib.h>

#include "host/lua/module.h"
#include "host/lua/value.h"

static const struct harness *get(lua_State *L)
{
	return lua_touserdata(L, lua_upvalueindex(1));
}

static enum harness_outcome check_outcome(lua_State *L, int index)
{
	static const char *const names[] = {
		[HARNESS_PASSED] = "passed",
		[HARNESS_FAILED] = "failed",
		[HARNESS_TODO] = "todo",
		NULL,
	};

	return (enum harness_outcome)luaL_checkoption(L, index, NULL, names);
}

static int subtest_started(lua_State *L)
{
	get(L)->subtest_started(get(L)->user, luaL_checkstring(L, 1));
	return 0;
}

static int subtest_ended(lua_State *L)
{
	get(L)->subtest_ended(get(L)->user, luaL_checkstring(L, 1), check_outcome(L, 2),
			      luaL_optstring(L, 3, NULL));
	return 0;
}

static int file_ended(lua_State *L)
{
	get(L)->file_ended(get(L)->user, check_outcome(L, 1), luaL_optstring(L, 2, NULL));
	return 0;
}

static int acquire(lua_State *L)
{
	uint64_t memory = (uint64_t)luaL_checkinteger(L, 1);
	unsigned int cpus = (unsigned int)luaL_checkinteger(L, 2);
	struct provium_error error;

	if (get(L)->acquire(get(L)->user, memory, cpus, &error) < 0)
		return value_raise(L, &error);
	return 0;
}

static int release(lua_State *L)
{
	get(L)->release(get(L)->user, (uint64_t)luaL_checkinteger(L, 1),
			(unsigned int)luaL_checkinteger(L, 2));
	return 0;
}

static int guest_started(lua_State *L)
{
	get(L)->guest_started(get(L)->user, (unsigned int)luaL_checkinteger(L, 1),
			      luaL_checkstring(L, 2), luaL_checkstring(L, 3));
	return 0;
}

static int guest_ended(lua_State *L)
{
	get(L)->guest_ended(get(L)->user, (unsigned int)luaL_checkinteger(L, 1));
	return 0;
}

static int splat(lua_State *L)
{
	get(L)->splat(get(L)->user, (unsigned int)luaL_checkinteger(L, 1), luaL_checkstring(L, 2),
		      luaL_checkstring(L, 3));
	return 0;
}

void harness_functions(lua_State *L, const struct harness *harness)
{
	static const char *const accels[] = {
		[PROVIUM_ACCEL_AUTO] = "auto",
		[PROVIUM_ACCEL_KVM] = "kvm",
		[PROVIUM_ACCEL_TCG] = "tcg",
	};
	static const luaL_Reg functions[] = {
		{ "acquire", acquire },
		{ "file_ended", file_ended },
		{ "guest_ended", guest_ended },
		{ "guest_started", guest_started },
		{ "release", release },
		{ "splat", splat },
		{ "subtest_ended", subtest_ended },
		{ "subtest_started", subtest_started },
		{ NULL, NULL },
	};

	lua_createtable(L, 0, 12);
	lua_pushlightuserdata(L, (void *)harness);
	luaL_setfuncs(L, functions, 1);
	if (harness->log_directory)
		value_set_string(L, "log_directory", harness->log_directory);
	value_set_string(L, "accel", accels[harness->accel]);
	lua_setfield(L, -2, "harness");
}
