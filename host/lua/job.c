/* Methods of connections: jobs. A job is named by its number, or by a name. */
#include <lauxlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "host/lib/buffer.h"
#include "host/lua/command.h"
#include "host/lua/guest.h"
#include "host/lua/value.h"

/* Of each stream; the agent keeps less. */
#define OUTPUT_LIMIT (64u << 20)

struct job_output {
	/* [0]: standard output, [1]: standard error. */
	struct buffer streams[2];
};

static int collect(void *user, enum provium_stream stream, uint64_t offset, const void *data,
		   size_t size)
{
	struct job_output *output = user;

	(void)offset;
	buffer_append(&output->streams[stream == PROVIUM_STDERR], data, size);
	return 0;
}

static void output_finish(struct job_output *output)
{
	buffer_finish(&output->streams[0]);
	buffer_finish(&output->streams[1]);
}

/* stdout and stderr in the table on top of the stack. */
static void set_output(lua_State *L, struct job_output *output)
{
	static const char *const names[] = { "stdout", "stderr" };

	for (int i = 0; i < 2; i++) {
		struct provium_buffer bytes = { 0 };

		if (output->streams[i].size > 0 &&
		    buffer_take(&output->streams[i], &bytes, NULL) < 0)
			bytes = (struct provium_buffer){ 0 };
		command_set_bytes(L, names[i], &bytes);
	}
}

static struct provium_job_ref get_ref(lua_State *L, int index)
{
	struct provium_job_ref ref = { 0 };

	if (lua_type(L, index) == LUA_TSTRING)
		ref.name = lua_tostring(L, index);
	else
		ref.number = (uint64_t)luaL_checkinteger(L, index);
	return ref;
}

/* connection:job_start(options): number, pid. options are those of exec, and name, keep. */
static int job_start(lua_State *L)
{
	struct lua_connection *connection = guest_check_connection(L, 1);
	struct provium_exec_options command;
	struct provium_job_options job = { 0 };
	struct provium_error error;
	uint64_t number;
	int pid;

	luaL_checktype(L, 2, LUA_TTABLE);
	lua_settop(L, 2);
	job.name = value_string(L, 2, "name", NULL);
	job.keep = value_unsigned(L, 2, "keep", 0, INT64_MAX);
	command_options(L, 2, &command);
	if (value_bool(L, 2, "stream_stdin"))
		command.stdin_kind = PROVIUM_STDIN_STREAM;
	if (provium_job_start(connection->connection, &command, &job, connection->timeout_ms,
			      &number, &pid, &error) < 0)
		return value_raise(L, &error);
	lua_pushinteger(L, (lua_Integer)number);
	lua_pushinteger(L, pid);
	return 2;
}

static int push_result(lua_State *L, const struct provium_job_result *result,
		       struct job_output *output)
{
	lua_createtable(L, 0, 20);
	if (result->running)
		value_set_integer(L, "exit_code", -1);
	else
		command_result(L, &result->result);
	value_set_bool(L, "running", result->running);
	value_set_integer(L, "stdout_dropped", (lua_Integer)result->stdout_dropped);
	value_set_integer(L, "stderr_dropped", (lua_Integer)result->stderr_dropped);
	set_output(L, output);
	return 1;
}

/* connection:job_wait(job, seconds): what is there of the output also where it still runs. */
static int job_wait(lua_State *L)
{
	struct lua_connection *connection = guest_check_connection(L, 1);
	struct provium_job_ref ref = get_ref(L, 2);
	struct job_output output = { .streams = { { .limit = OUTPUT_LIMIT },
						  { .limit = OUTPUT_LIMIT } } };
	struct provium_job_wait_options options = {
		.wait_ms = value_seconds(L, 3, 0),
		.on_output = collect,
		.user = &output,
	};
	struct provium_job_result result;
	struct provium_error error;
	int status;

	status = provium_job_wait(connection->connection, &ref, &options,
				  options.wait_ms < 0 || connection->timeout_ms < 0
					  ? PROVIUM_FOREVER
					  : options.wait_ms + connection->timeout_ms,
				  &result, &error);
	if (status == 0 && result.running)
		status = provium_job_output(connection->connection, &ref, NULL, collect, &output,
					    connection->timeout_ms, NULL, &error);
	if (status < 0) {
		output_finish(&output);
		return value_raise(L, &error);
	}
	return push_result(L, &result, &output);
}

/* connection:job_kill(job, signal, grace): its result. */
static int job_kill(lua_State *L)
{
	struct lua_connection *connection = guest_check_connection(L, 1);
	struct provium_job_ref ref = get_ref(L, 2);
	struct job_output output = { .streams = { { .limit = OUTPUT_LIMIT },
						  { .limit = OUTPUT_LIMIT } } };
	struct provium_job_kill_options options = {
		.signal = (int)luaL_optinteger(L, 3, 0),
		.on_output = collect,
		.user = &output,
	};
	int grace_ms = value_seconds(L, 4, 0);
	struct provium_job_result result;
	struct provium_error error;

	options.grace_ms = grace_ms > 0 ? (uint64_t)grace_ms : 0;
	if (provium_job_kill(connection->connection, &ref, &options,
			     connection->timeout_ms < 0 ? PROVIUM_FOREVER
							: connection->timeout_ms + grace_ms,
			     &result, &error) < 0) {
		output_finish(&output);
		return value_raise(L, &error);
	}
	return push_result(L, &result, &output);
}

static int job_list(lua_State *L)
{
	struct lua_connection *connection = guest_check_connection(L, 1);
	struct provium_jobs jobs;
	struct provium_error error;

	if (provium_job_list(connection->connection, connection->timeout_ms, &jobs, &error) < 0)
		return value_raise(L, &error);
	lua_createtable(L, (int)jobs.count, 0);
	for (size_t i = 0; i < jobs.count; i++) {
		const struct provium_job_entry *entry = &jobs.entries[i];

		lua_createtable(L, 0, 6);
		value_set_integer(L, "id", (lua_Integer)entry->number);
		if (entry->name)
			value_set_string(L, "name", entry->name);
		value_set_integer(L, "pid", entry->pid);
		value_set_bool(L, "running", entry->running);
		value_set_integer(L, "stdout_bytes", (lua_Integer)entry->stdout_bytes);
		value_set_integer(L, "stderr_bytes", (lua_Integer)entry->stderr_bytes);
		lua_seti(L, -2, (lua_Integer)i + 1);
	}
	provium_job_list_free(&jobs);
	return 1;
}

/* connection:job_write(job, data, close) */
static int job_write(lua_State *L)
{
	struct lua_connection *connection = guest_check_connection(L, 1);
	struct provium_job_ref ref = get_ref(L, 2);
	struct provium_error error;
	size_t size;
	const char *data = luaL_checklstring(L, 3, &size);

	if (size > 0 && provium_job_write(connection->connection, &ref, data, size,
					  connection->timeout_ms, &error) < 0)
		return value_raise(L, &error);
	if (lua_toboolean(L, 4) && provium_job_close_stdin(connection->connection, &ref,
							   connection->timeout_ms, &error) < 0)
		return value_raise(L, &error);
	return 0;
}

/* connection:job_signal(job, signal, group) */
static int job_signal(lua_State *L)
{
	struct lua_connection *connection = guest_check_connection(L, 1);
	struct provium_job_ref ref = get_ref(L, 2);
	struct provium_error error;

	if (provium_job_signal(connection->connection, &ref, (int)luaL_checkinteger(L, 3),
			       lua_toboolean(L, 4), connection->timeout_ms, &error) < 0)
		return value_raise(L, &error);
	return 0;
}

const luaL_Reg job_methods[] = {
	{ "job_kill", job_kill },
	{ "job_list", job_list },
	{ "job_signal", job_signal },
	{ "job_start", job_start },
	{ "job_wait", job_wait },
	{ "job_write", job_write },
	{ NULL, NULL },
};
