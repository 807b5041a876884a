/* Snapshots: saved guests, for Lua and for other processes. */
#include <lauxlib.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "host/lua/guest.h"
#include "host/lua/snapshot.h"
#include "host/lua/value.h"

#define SNAPSHOT_METATABLE "provium.snapshot"

/* Most of a guest's memory is written in a second or two; a busy machine takes its time. */
#define SAVE_TIMEOUT_MS    120000

struct lua_snapshot {
	struct provium_snapshot *snapshot;
};

static struct lua_snapshot *new_snapshot(lua_State *L)
{
	struct lua_snapshot *snapshot = lua_newuserdatauv(L, sizeof(*snapshot), 0);

	snapshot->snapshot = NULL;
	luaL_setmetatable(L, SNAPSHOT_METATABLE);
	return snapshot;
}

static struct provium_snapshot *check_snapshot(lua_State *L, int index)
{
	struct lua_snapshot *snapshot = luaL_checkudata(L, index, SNAPSHOT_METATABLE);

	if (!snapshot->snapshot)
		value_invalid(L, "the snapshot has been closed");
	return snapshot->snapshot;
}

static int snapshot_close(lua_State *L)
{
	struct lua_snapshot *snapshot = luaL_checkudata(L, 1, SNAPSHOT_METATABLE);

	provium_snapshot_free(snapshot->snapshot);
	snapshot->snapshot = NULL;
	return 0;
}

int snapshot_save(lua_State *L)
{
	struct lua_vm *vm = guest_check_vm(L, 1);
	struct lua_snapshot *snapshot = new_snapshot(L);
	struct provium_error error;

	guest_close_connections(L, vm);
	if (provium_vm_save(vm->vm, SAVE_TIMEOUT_MS, &snapshot->snapshot, &error) < 0)
		return value_raise(L, &error);
	return 1;
}

/* snapshot:resume({ console }): VM, and the connection to its agent. */
static int snapshot_resume(lua_State *L)
{
	const struct provium_snapshot *snapshot = check_snapshot(L, 1);
	struct provium_resume_options options = { 0 };
	struct provium_error error;
	struct lua_vm *vm;

	luaL_checktype(L, 2, LUA_TTABLE);
	options.console = value_string(L, 2, "console", NULL);
	vm = guest_new_vm(L);
	if (provium_snapshot_resume(snapshot, &options, &vm->vm, &error) < 0)
		return value_raise(L, &error);
	guest_push_own_connection(L, vm);
	return 2;
}

/* snapshot:needs(): bytes of memory, and processors, of a guest that is resumed from it. */
static int snapshot_needs(lua_State *L)
{
	const struct provium_snapshot *snapshot = check_snapshot(L, 1);

	lua_pushinteger(L, (lua_Integer)provium_snapshot_memory(snapshot));
	lua_pushinteger(L, provium_snapshot_cpus(snapshot));
	return 2;
}

char *snapshot_share(lua_State *L, int index, int *fds, size_t *n_fds)
{
	const struct provium_snapshot *snapshot = check_snapshot(L, index);
	char *text = provium_snapshot_text(snapshot);

	if (!text)
		luaL_error(L, "not enough memory");
	*n_fds = provium_snapshot_fds(snapshot, fds, *n_fds);
	return text;
}

void snapshot_push_shared(lua_State *L, const char *text, const int *fds, size_t n_fds,
			  struct provium_error *error, bool *failed)
{
	struct lua_snapshot *snapshot = new_snapshot(L);

	*failed = provium_snapshot_open(text, fds, n_fds, &snapshot->snapshot, error) < 0;
}

void snapshot_open(lua_State *L)
{
	static const luaL_Reg methods[] = {
		{ "__gc", snapshot_close },
		{ "close", snapshot_close },
		{ "needs", snapshot_needs },
		{ "resume", snapshot_resume },
		{ NULL, NULL },
	};

	luaL_newmetatable(L, SNAPSHOT_METATABLE);
	lua_pushvalue(L, -1);
	lua_setfield(L, -2, "__index");
	luaL_setfuncs(L, methods, 0);
	lua_pop(L, 1);
}
