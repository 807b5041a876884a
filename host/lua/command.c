#include "host/lua/command.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "host/lua/value.h"

/* { { resource =, soft =, hard = }, ... }; pushes what keeps the array. */
static const struct provium_rlimit *get_rlimits(lua_State *L, int table, size_t *count)
{
	struct provium_rlimit *rlimits;

	*count = 0;
	if (lua_getfield(L, table, "rlimits") == LUA_TNIL)
		return NULL;
	*count = (size_t)luaL_len(L, -1);
	rlimits = value_array(L, *count, sizeof(*rlimits));
	for (size_t i = 0; i < *count; i++) {
		int one;

		lua_geti(L, -2, (lua_Integer)i + 1);
		one = lua_gettop(L);
		/* -1 is RLIM_INFINITY, as in C. */
		rlimits[i].resource =
			(uint32_t)value_unsigned(L, one, "resource", UINT32_MAX, UINT32_MAX);
		rlimits[i].soft = (uint64_t)value_integer(L, one, "soft", -1);
		rlimits[i].hard = (uint64_t)value_integer(L, one, "hard", -1);
		lua_pop(L, 1);
	}
	return rlimits;
}

void command_options(lua_State *L, int table, struct provium_exec_options *options)
{
	const char *scope = value_string(L, table, "kill_scope", "tree");
	int timeout_ms = value_timeout(L, table, "timeout", 0);

	*options = (struct provium_exec_options){
		.shell = value_string(L, table, "shell", NULL),
		.cwd = value_string(L, table, "cwd", NULL),
		.term = value_string(L, table, "term", NULL),
		.clear_env = value_bool(L, table, "clear_env"),
		.merge_stderr = value_bool(L, table, "merge_stderr"),
		.pty = value_bool(L, table, "pty"),
		.rows = (unsigned int)value_unsigned(L, table, "rows", 0, UINT16_MAX),
		.cols = (unsigned int)value_unsigned(L, table, "cols", 0, UINT16_MAX),
		.has_uid = value_has(L, table, "uid"),
		.uid = (uint32_t)value_unsigned(L, table, "uid", 0, UINT32_MAX),
		.has_gid = value_has(L, table, "gid"),
		.gid = (uint32_t)value_unsigned(L, table, "gid", 0, UINT32_MAX),
		.has_groups = value_has(L, table, "groups"),
		.output_limit = value_unsigned(L, table, "output_limit", 0, INT64_MAX),
		.timeout_ms = timeout_ms > 0 ? (uint64_t)timeout_ms : 0,
		.nice = (int)value_integer(L, table, "nice", 0),
	};
	options->input = value_bytes(L, table, "stdin", &options->input_size);
	if (strcmp(scope, "cgroup") == 0)
		options->kill_scope = PROVIUM_KILL_CGROUP;
	else if (strcmp(scope, "tree") != 0)
		value_invalid(L, "kill_scope: '%s' is neither tree nor cgroup", scope);
	luaL_checkstack(L, LUA_MINSTACK, NULL);
	options->argv = value_strings(L, table, "argv");
	options->env = value_strings(L, table, "env");
	options->groups = value_numbers(L, table, "groups", &options->n_groups);
	options->rlimits = get_rlimits(L, table, &options->n_rlimits);
}

void command_result(lua_State *L, const struct provium_exec_result *result)
{
	bool exited = result->outcome == PROVIUM_EXITED;

	/* -1 where there is none: a number in every case, and never that of a success. */
	value_set_integer(L, "exit_code", exited ? result->exit_code : -1);
	value_set_bool(L, "ok", exited && result->exit_code == 0);
	if (result->signal)
		value_set_integer(L, "signal", result->signal);
	value_set_bool(L, "core_dumped", result->core_dumped);
	value_set_bool(L, "timed_out", result->outcome == PROVIUM_EXEC_TIMED_OUT);
	value_set_bool(L, "cancelled", result->outcome == PROVIUM_EXEC_CANCELLED);
	value_set_bool(L, "pipes_held", result->pipes_held);
	value_set_bool(L, "stdout_truncated", result->stdout_truncated);
	value_set_bool(L, "stderr_truncated", result->stderr_truncated);
	value_set_integer(L, "pid", result->pid);
	lua_pushnumber(L, (lua_Number)result->wall_ns / 1e9);
	lua_setfield(L, -2, "seconds");

	lua_createtable(L, 0, 7);
	value_set_integer(L, "user_us", (lua_Integer)result->user_us);
	value_set_integer(L, "system_us", (lua_Integer)result->system_us);
	value_set_integer(L, "max_rss_kib", (lua_Integer)result->max_rss_kib);
	value_set_integer(L, "minor_faults", (lua_Integer)result->minor_faults);
	value_set_integer(L, "major_faults", (lua_Integer)result->major_faults);
	value_set_integer(L, "voluntary_switches", (lua_Integer)result->voluntary_switches);
	value_set_integer(L, "involuntary_switches", (lua_Integer)result->involuntary_switches);
	lua_setfield(L, -2, "rusage");
}

void command_set_bytes(lua_State *L, const char *name, struct provium_buffer *buffer)
{
	lua_pushlstring(L, buffer->data ? buffer->data : "", buffer->size);
	free(buffer->data);
	lua_setfield(L, -2, name);
}
