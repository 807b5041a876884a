/* connection:exec() */
#include <lauxlib.h>
#include <stdlib.h>

#include "host/lua/command.h"
#include "host/lua/guest.h"
#include "host/lua/value.h"

/* Bytes of each stream that are kept without a limit of the caller's. */
#define OUTPUT_LIMIT ((lua_Integer)64 << 20)

/* A command whose output goes to a function of Lua's, which is at stack index `function`. */
struct streamed {
	lua_State *L;
	int function;
	bool failed;
	enum provium_stream stream;
	const void *data;
	size_t size;
};

/* In protected mode: function(stream, data). */
static int call_function(lua_State *L)
{
	const struct streamed *streamed = lua_touserdata(L, 1);

	lua_rawgetp(L, LUA_REGISTRYINDEX, streamed);
	lua_pushstring(L, streamed->stream == PROVIUM_STDERR ? "stderr" : "stdout");
	lua_pushlstring(L, streamed->data, streamed->size);
	lua_call(L, 2, 0);
	return 0;
}

static void deliver(void *user, enum provium_stream stream, const void *data, size_t size)
{
	struct streamed *streamed = user;

	if (streamed->failed)
		return;
	streamed->stream = stream;
	streamed->data = data;
	streamed->size = size;
	streamed->failed = !value_protect(streamed->L, call_function, streamed);
}

/* Until it has ended, or the function has failed. */
static int run_streamed(struct lua_connection *connection, struct provium_exec_options *options,
			struct streamed *streamed, struct provium_exec_result *result,
			struct provium_error *error)
{
	struct provium_exec *exec;
	int status;

	options->on_output = deliver;
	options->user = streamed;
	if (provium_exec_start(connection->connection, options, &exec, error) < 0)
		return -1;
	connection->busy = true;
	do
		status =
			provium_connection_dispatch(connection->connection, PROVIUM_FOREVER, error);
	while (status == 0 && !streamed->failed && !provium_exec_done(exec));
	/* What has ended a connection may have brought the command's end before. */
	if (!streamed->failed)
		status = provium_exec_wait(exec, status < 0 ? 0 : PROVIUM_FOREVER, result, error);
	provium_exec_free(exec);
	connection->busy = false;
	return status;
}

static int exec_streamed(lua_State *L, struct lua_connection *connection,
			 struct provium_exec_options *options)
{
	struct streamed streamed = { .L = L };
	struct provium_exec_result result;
	struct provium_error error;
	int status;

	value_keep(L, 3, &streamed);
	status = run_streamed(connection, options, &streamed, &result, &error);
	value_forget(L, &streamed);
	if (streamed.failed)
		return lua_error(L);
	if (status < 0)
		return value_raise(L, &error);
	lua_createtable(L, 0, 16);
	command_result(L, &result);
	return 1;
}

/* connection:exec(options, on_output): its result, with stdout and stderr where nobody took them.
 */
static int exec_run(lua_State *L)
{
	struct lua_connection *connection = guest_check_connection(L, 1);
	struct provium_exec_options options;
	struct provium_buffer out = { 0 };
	struct provium_buffer err = { 0 };
	struct provium_exec_result result;
	struct provium_error error;
	lua_Integer limit;

	luaL_checktype(L, 2, LUA_TTABLE);
	lua_settop(L, 3);
	limit = value_integer(L, 2, "limit", OUTPUT_LIMIT);
	luaL_argcheck(L, limit > 0, 2, "limit: at least 1");
	command_options(L, 2, &options);
	if (!lua_isnil(L, 3))
		return exec_streamed(L, connection, &options);

	if (provium_exec_run(connection->connection, &options, (size_t)limit, PROVIUM_FOREVER,
			     &result, &out, &err, &error) < 0)
		return value_raise(L, &error);
	lua_createtable(L, 0, 20);
	command_result(L, &result);
	command_set_bytes(L, "stdout", &out);
	command_set_bytes(L, "stderr", &err);
	return 1;
}

const luaL_Reg exec_methods[] = {
	{ "exec", exec_run },
	{ NULL, NULL },
};
