/* core.harness: what suite.lua and vm.lua tell the process that runs all files. */
#include "host/lua/harness.h"

#include <lauxlib.h>
#include <stdlib.h>

#include "common/cleanup.h"
#include "host/lua/module.h"
#include "host/lua/snapshot.h"
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

/* What the runner has sent, as long as a snapshot is being made of it. */
struct received {
	const struct harness *harness;
	char *text;
	int fds[HARNESS_MAX_FDS];
	size_t n_fds;
	struct provium_error error;
	bool failed;
};

static int push_received(lua_State *L)
{
	struct received *received = lua_touserdata(L, 1);

	snapshot_push_shared(L, received->text, received->fds, received->n_fds, &received->error,
			     &received->failed);
	return 1;
}

/* harness.fixture(path): the snapshot, or nil: the caller builds it. */
static int fixture(lua_State *L)
{
	const char *path = luaL_checkstring(L, 1);
	struct received received = { 0 };
	bool build = false;
	int status;

	if (get(L)->fixture(get(L)->user, path, &build, &received.text, received.fds,
			    &received.n_fds, &received.error) < 0)
		return value_raise(L, &received.error);
	if (build) {
		lua_pushnil(L);
		return 1;
	}
	lua_pushcfunction(L, push_received);
	lua_pushlightuserdata(L, &received);
	status = lua_pcall(L, 1, 1, 0);
	free(received.text);
	for (size_t i = 0; i < received.n_fds; i++)
		close_fd(received.fds[i]);
	if (status != LUA_OK)
		return lua_error(L);
	return received.failed ? value_raise(L, &received.error) : 1;
}

/* harness.fixture_built(path, snapshot, failure): either of the two is nil. */
static int fixture_built(lua_State *L)
{
	const char *path = luaL_checkstring(L, 1);
	const char *failure = luaL_optstring(L, 3, NULL);
	int fds[HARNESS_MAX_FDS];
	size_t n_fds = HARNESS_MAX_FDS;
	char *text;

	if (lua_isnil(L, 2)) {
		get(L)->fixture_built(get(L)->user, path, NULL, NULL, 0, failure);
		return 0;
	}
	text = snapshot_share(L, 2, fds, &n_fds);
	get(L)->fixture_built(get(L)->user, path, text, fds, n_fds, NULL);
	free(text);
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
		{ "fixture", fixture },
		{ "fixture_built", fixture_built },
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
