/* Methods of connections: what the guest's kernel says. */
#include <lauxlib.h>

#include "host/lua/guest.h"
#include "host/lua/value.h"

static void push_event(lua_State *L, const struct provium_kernel_event *event)
{
	lua_createtable(L, 0, 9);
	value_set_integer(L, "number", (lua_Integer)event->number);
	value_set_string(L, "kind", provium_kernel_kind_name(event->kind));
	value_set_bool(L, "fault", provium_kernel_is_fault(event->kind));
	value_set_string(L, "text", event->text);
	value_set_integer(L, "timestamp_us", (lua_Integer)event->timestamp_us);
	value_set_integer(L, "taint_before", (lua_Integer)event->taint_before);
	value_set_integer(L, "taint", (lua_Integer)event->taint);
	value_set_integer(L, "lost", (lua_Integer)event->lost);
	value_set_string(L, "running", event->running);
}

/*
 * connection:kernel_events(seconds): all that were not fetched yet, also of a connection that has
 * ended; and whether the agent has answered within that time, so that all is known that the kernel
 * has printed by now. 0: it is not asked.
 */
static int kernel_events(lua_State *L)
{
	struct lua_connection *connection = guest_check_connection(L, 1);
	const struct provium_kernel_event *event;
	int timeout_ms = value_seconds(L, 2, connection->timeout_ms);
	lua_Integer count = 0;
	struct provium_error error;
	bool answered;

	answered = timeout_ms != 0 && provium_ping(connection->connection, timeout_ms, NULL) == 0;
	lua_newtable(L);
	while (provium_kernel_next(connection->connection, 0, &event, &error) == 0) {
		push_event(L, event);
		lua_seti(L, -2, ++count);
	}
	lua_pushboolean(L, answered);
	return 2;
}

/* connection:kernel_next(seconds): the next that was not fetched, or nil. */
static int kernel_next(lua_State *L)
{
	struct lua_connection *connection = guest_check_connection(L, 1);
	const struct provium_kernel_event *event;
	struct provium_error error;

	if (provium_kernel_next(connection->connection, value_seconds(L, 2, 0), &event, &error) ==
	    0) {
		push_event(L, event);
		return 1;
	}
	if (error.code != PROVIUM_TIMED_OUT)
		return value_raise(L, &error);
	lua_pushnil(L);
	return 1;
}

const luaL_Reg kernel_methods[] = {
	{ "kernel_events", kernel_events },
	{ "kernel_next", kernel_next },
	{ NULL, NULL },
};
