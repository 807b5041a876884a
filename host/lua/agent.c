/* Methods of connections: the agent itself, and workers. */
#include <lauxlib.h>

#include "host/lua/guest.h"
#include "host/lua/value.h"

static int agent_describe(lua_State *L)
{
	struct lua_connection *connection = guest_check_connection(L, 1);
	const struct provium_agent *agent = provium_connection_agent(connection->connection);

	lua_createtable(L, 0, 12);
	value_set_string(L, "version", agent->version);
	value_set_string(L, "arch", agent->arch);
	value_set_string(L, "kernel_release", agent->kernel_release);
	value_set_string(L, "boot_id", agent->boot_id);
	value_set_integer(L, "pid", agent->pid);
	value_set_integer(L, "restarts", agent->restarts);
	value_set_string(L, "restart_reason", agent->restart_reason);
	value_set_string(L, "init_error_path", agent->init_error_path);
	value_set_integer(L, "init_error_errno", agent->init_error_errno);
	value_set_bool(L, "init_held", agent->init_held);
	value_set_bool(L, "own_root", agent->own_root);
	return 1;
}

static int agent_info(lua_State *L)
{
	struct lua_connection *connection = guest_check_connection(L, 1);
	struct provium_error error;
	struct provium_info info;

	if (provium_info(connection->connection, connection->timeout_ms, &info, &error) < 0)
		return value_raise(L, &error);
	lua_createtable(L, 0, 12);
	value_set_integer(L, "uptime_ns", (lua_Integer)info.uptime_ns);
	value_set_integer(L, "memory_total", (lua_Integer)info.memory_total);
	value_set_integer(L, "memory_free", (lua_Integer)info.memory_free);
	value_set_integer(L, "resident_bytes", (lua_Integer)info.resident_bytes);
	value_set_integer(L, "open_fds", info.open_fds);
	value_set_integer(L, "connections", info.connections);
	value_set_integer(L, "commands_running", info.commands_running);
	value_set_integer(L, "jobs", info.jobs);
	value_set_integer(L, "workers", info.workers);
	value_set_integer(L, "restarts", info.restarts);
	return 1;
}

static int agent_ping(lua_State *L)
{
	struct lua_connection *connection = guest_check_connection(L, 1);
	struct provium_error error;

	if (provium_ping(connection->connection, value_seconds(L, 2, connection->timeout_ms),
			 &error) < 0)
		return value_raise(L, &error);
	return 0;
}

static int agent_release_init(lua_State *L)
{
	struct lua_connection *connection = guest_check_connection(L, 1);
	struct provium_error error;

	if (provium_release_init(connection->connection, connection->timeout_ms, &error) < 0)
		return value_raise(L, &error);
	return 0;
}

/* connection:sleep(seconds): meanwhile the guest's end is noticed. */
static int agent_sleep(lua_State *L)
{
	struct lua_connection *connection = guest_check_connection(L, 1);
	int ms = value_seconds(L, 2, 0);
	struct provium_error error;
	lua_Integer end;

	if (ms == PROVIUM_FOREVER)
		return value_invalid(L, "sleep: for how long?");
	end = value_now_ms() + ms;
	for (lua_Integer left = ms; left > 0; left = end - value_now_ms()) {
		if (provium_connection_dispatch(connection->connection, (int)left, &error) < 0 &&
		    error.code != PROVIUM_TIMED_OUT)
			return value_raise(L, &error);
	}
	return 0;
}

/* connection:timeout([seconds]): what requests get by default. */
static int agent_timeout(lua_State *L)
{
	struct lua_connection *connection = guest_check_connection(L, 1);

	connection->timeout_ms = value_seconds(L, 2, connection->timeout_ms);
	lua_pushnumber(L, connection->timeout_ms < 0 ? -1 : connection->timeout_ms / 1000.0);
	return 1;
}

/* connection:spawn(options): { number, kind, port, pid, tid }, and the worker's connection. */
static int worker_spawn(lua_State *L)
{
	struct lua_connection *connection = guest_check_connection(L, 1);
	struct provium_worker_options options = { 0 };
	struct lua_connection *own;
	struct provium_worker worker;
	struct provium_error error;

	luaL_checktype(L, 2, LUA_TTABLE);
	lua_settop(L, 2);
	if (value_bool(L, 2, "thread"))
		options.kind = PROVIUM_WORKER_THREAD;
	options.has_uid = value_has(L, 2, "uid");
	options.uid = (uint32_t)value_unsigned(L, 2, "uid", 0, UINT32_MAX);
	options.has_gid = value_has(L, 2, "gid");
	options.gid = (uint32_t)value_unsigned(L, 2, "gid", 0, UINT32_MAX);
	options.has_groups = value_has(L, 2, "groups");
	options.groups = value_numbers(L, 2, "groups", &options.n_groups);

	lua_createtable(L, 0, 5);
	own = guest_new_connection(L, NULL);
	own->owned = true;
	own->timeout_ms = connection->timeout_ms;
	/* It ends with the VM, as the connection does that it is made by. */
	if (!list_empty(&connection->link))
		list_append(&connection->link, &own->link);

	if (provium_worker_spawn(connection->connection, &options, connection->timeout_ms, &worker,
				 &error) < 0 ||
	    provium_worker_connect(connection->connection, &worker, connection->timeout_ms,
				   &own->connection, &error) < 0)
		return value_raise(L, &error);
	lua_pushvalue(L, -2);
	value_set_integer(L, "number", (lua_Integer)worker.number);
	value_set_bool(L, "thread", worker.kind == PROVIUM_WORKER_THREAD);
	value_set_integer(L, "port", worker.port);
	value_set_integer(L, "pid", worker.pid);
	value_set_integer(L, "tid", worker.tid);
	lua_pushvalue(L, -2);
	return 2;
}

static int worker_kill(lua_State *L)
{
	struct lua_connection *connection = guest_check_connection(L, 1);
	uint64_t number = (uint64_t)luaL_checkinteger(L, 2);
	struct provium_error error;

	/* One that has ended by itself is what was wanted. */
	if (provium_worker_kill(connection->connection, number, connection->timeout_ms, &error) <
		    0 &&
	    error.code != PROVIUM_NOT_FOUND)
		return value_raise(L, &error);
	return 0;
}

/* connection:worker_end(timeout): the next end that was not told, or nil. */
static int worker_end(lua_State *L)
{
	struct lua_connection *connection = guest_check_connection(L, 1);
	struct provium_worker_end end;
	struct provium_error error;

	if (provium_worker_next_end(connection->connection, value_seconds(L, 2, 0), &end, &error) <
	    0) {
		if (error.code != PROVIUM_TIMED_OUT)
			return value_raise(L, &error);
		lua_pushnil(L);
		return 1;
	}
	lua_createtable(L, 0, 4);
	value_set_integer(L, "number", (lua_Integer)end.number);
	value_set_integer(L, "exit_code", end.exit_code);
	value_set_integer(L, "signal", end.signal);
	value_set_string(L, "reason", end.reason);
	return 1;
}

const luaL_Reg agent_methods[] = {
	{ "agent", agent_describe },    { "info", agent_info },
	{ "ping", agent_ping },         { "release_init", agent_release_init },
	{ "sleep", agent_sleep },       { "spawn", worker_spawn },
	{ "timeout", agent_timeout },   { "worker_end", worker_end },
	{ "worker_kill", worker_kill }, { NULL, NULL },
};
