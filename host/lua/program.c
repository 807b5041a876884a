/*
 * connection:run(): a program of system calls, given as a table, and its results as another.
 *
 *	{ buffers = { { input =, size =, placement =, output =, changes =, fill_seed =,
 *			pointers = { { offset =, buffer =, addend = } } } },
 *	  calls = { { number =, args = { 1, { buffer =, offset = }, { call =, plus = },
 *		      { buffer =, offset =, width =, signed = } },
 *		      times =, deadline =, stop_on_error = } },
 *	  deadline =, stop_on_error =, trace =, timeout =, written = }
 *
 * Buffers and calls are counted from 1, as everything in Lua is.
 */
#include <lauxlib.h>
#include <string.h>

#include "common/util.h"
#include "host/lua/guest.h"
#include "host/lua/value.h"

#define PROGRAM_METATABLE "provium.program"

/* In Lua's hands, since building one raises errors. */
struct program_box {
	struct provium_program *program;
};

static int box_collect(lua_State *L)
{
	struct program_box *box = lua_touserdata(L, 1);

	provium_program_free(box->program);
	box->program = NULL;
	return 0;
}

static struct provium_program *push_program(lua_State *L)
{
	struct program_box *box = lua_newuserdatauv(L, sizeof(*box), 0);

	box->program = NULL;
	if (luaL_newmetatable(L, PROGRAM_METATABLE)) {
		lua_pushcfunction(L, box_collect);
		lua_setfield(L, -2, "__gc");
	}
	lua_setmetatable(L, -2);
	box->program = provium_program_new();
	if (!box->program)
		luaL_error(L, "not enough memory");
	return box->program;
}

/* A number that counts from 1, as one that counts from 0. */
static int get_index(lua_State *L, int table, const char *name)
{
	lua_Integer index = value_integer(L, table, name, 0);

	if (index < 1 || index > INT32_MAX)
		value_invalid(L, "%s: %lld is none", name, (long long)index);
	return (int)index - 1;
}

static enum provium_placement get_placement(lua_State *L, int table)
{
	static const char *const names[] = {
		[PROVIUM_PLACE_END] = "end",           [PROVIUM_PLACE_START] = "start",
		[PROVIUM_PLACE_STRADDLE] = "straddle", [PROVIUM_PLACE_READONLY] = "readonly",
		[PROVIUM_PLACE_UNMAPPED] = "unmapped",
	};
	const char *name = value_string(L, table, "placement", names[0]);

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(names[i], name) == 0)
			return (enum provium_placement)i;
	}
	value_invalid(L, "placement: '%s' is none of end, start, straddle, readonly, unmapped",
		      name);
	return PROVIUM_PLACE_END;
}

/* The list in a field of the table at an index, pushed. Its length. */
static lua_Integer push_list(lua_State *L, int table, const char *name)
{
	int type = lua_getfield(L, table, name);

	luaL_checkstack(L, LUA_MINSTACK, NULL);
	if (type == LUA_TNIL)
		return 0;
	if (type != LUA_TTABLE)
		value_invalid(L, "%s: a list is needed, not a %s", name, luaL_typename(L, -1));
	return luaL_len(L, -1);
}

/* The table that is an element of the list on top of the stack, pushed. Its stack index. */
static int push_element(lua_State *L, const char *name, lua_Integer i)
{
	if (lua_geti(L, -1, i) != LUA_TTABLE)
		value_invalid(L, "%s[%lld]: a table is needed, not a %s", name, (long long)i,
			      luaL_typename(L, -1));
	return lua_gettop(L);
}

static void add_buffers(lua_State *L, int spec, struct provium_program *program)
{
	lua_Integer count = push_list(L, spec, "buffers");

	for (lua_Integer i = 1; i <= count; i++) {
		int table = push_element(L, "buffers", i);
		struct provium_buffer_options options = {
			.size = (size_t)value_unsigned(L, table, "size", 0, UINT32_MAX),
			.placement = get_placement(L, table),
			.output = value_bool(L, table, "output"),
			.changes = value_bool(L, table, "changes"),
			.fill_seed = (uint32_t)value_unsigned(L, table, "fill_seed", 0, UINT32_MAX),
		};

		options.input = value_bytes(L, table, "input", &options.input_size);
		provium_program_buffer(program, &options);
		lua_pop(L, 1);
	}
	lua_pop(L, 1);
}

/* When all buffers are there: a pointer may lead to a later one. */
static void add_pointers(lua_State *L, int spec, struct provium_program *program)
{
	lua_Integer count = push_list(L, spec, "buffers");

	for (lua_Integer i = 1; i <= count; i++) {
		int buffer = push_element(L, "buffers", i);
		lua_Integer pointers = push_list(L, buffer, "pointers");

		for (lua_Integer j = 1; j <= pointers; j++) {
			int table = push_element(L, "pointers", j);

			provium_program_pointer(
				program, (int)i - 1,
				(size_t)value_unsigned(L, table, "offset", 0, UINT32_MAX),
				get_index(L, table, "buffer"),
				value_integer(L, table, "addend", 0));
			lua_pop(L, 1);
		}
		lua_pop(L, 2);
	}
	lua_pop(L, 1);
}

/* An argument that is not a number: the table at an index. */
static struct provium_arg get_reference(lua_State *L, int table)
{
	uint32_t offset = (uint32_t)value_unsigned(L, table, "offset", 0, UINT32_MAX);
	uint32_t width = (uint32_t)value_unsigned(L, table, "width", 0, UINT32_MAX);

	if (value_has(L, table, "call")) {
		uint32_t plus = (uint32_t)value_unsigned(L, table, "plus", 0, UINT32_MAX);

		return provium_result_plus(get_index(L, table, "call"), plus);
	}
	if (width == 0)
		return provium_address_at(get_index(L, table, "buffer"), offset);
	if (value_bool(L, table, "signed"))
		return provium_load_signed(get_index(L, table, "buffer"), offset, width);
	return provium_load(get_index(L, table, "buffer"), offset, width);
}

static struct provium_arg get_argument(lua_State *L, lua_Integer call, lua_Integer number)
{
	int is_integer;
	lua_Integer value;

	if (lua_istable(L, -1))
		return get_reference(L, lua_gettop(L));
	value = lua_tointegerx(L, -1, &is_integer);
	if (!is_integer || lua_type(L, -1) != LUA_TNUMBER)
		value_invalid(L,
			      "argument %lld of call %lld: a whole number of 64 bits is needed, "
			      "not %s",
			      (long long)number - 1, (long long)call, luaL_tolstring(L, -1, NULL));
	return provium_value((uint64_t)value);
}

static void add_call(lua_State *L, int table, lua_Integer number, struct provium_program *program)
{
	struct provium_arg args[6];
	lua_Integer count = push_list(L, table, "args");
	uint64_t times = value_unsigned(L, table, "times", 1, UINT32_MAX);
	int ms = value_timeout(L, table, "deadline", -1);
	int call;

	if (count > 6)
		value_invalid(L, "call %lld: a system call has at most 6 arguments, not %lld",
			      (long long)number, (long long)count);
	for (lua_Integer i = 1; i <= count; i++) {
		lua_geti(L, -1, i);
		args[i - 1] = get_argument(L, number, i);
		lua_pop(L, 1);
	}
	lua_pop(L, 1);
	call = provium_program_call(
		program, (uint32_t)value_unsigned(L, table, "number", UINT32_MAX, UINT32_MAX), args,
		(size_t)count);
	if (times != 1)
		provium_program_repeat(program, call, (uint32_t)times);
	if (value_has(L, table, "deadline"))
		provium_program_deadline_of(program, call, ms < 0 ? 0 : (uint32_t)ms);
	if (value_bool(L, table, "stop_on_error"))
		provium_program_stop_on_error_of(program, call);
}

static void add_calls(lua_State *L, int spec, struct provium_program *program)
{
	lua_Integer count = push_list(L, spec, "calls");

	for (lua_Integer i = 1; i <= count; i++) {
		int table = push_element(L, "calls", i);

		add_call(L, table, i, program);
		lua_pop(L, 1);
	}
	lua_pop(L, 1);
}

static void build(lua_State *L, int spec, struct provium_program *program)
{
	int ms = value_timeout(L, spec, "deadline", -1);

	add_buffers(L, spec, program);
	add_pointers(L, spec, program);
	add_calls(L, spec, program);
	if (value_has(L, spec, "deadline"))
		provium_program_deadline(program, ms < 0 ? 0 : (uint32_t)ms);
	if (value_bool(L, spec, "stop_on_error"))
		provium_program_stop_on_error(program);
	if (value_bool(L, spec, "trace"))
		provium_program_trace(program);
}

/* { { offset, size }, ... } of the ranges that have changed; and `cut` where there were more. */
static void push_changes(lua_State *L, const struct provium_program *program, int buffer)
{
	size_t count = 0;
	bool cut = false;
	const struct provium_range *ranges = provium_program_changes(program, buffer, &count, &cut);

	lua_createtable(L, (int)count, 1);
	for (size_t i = 0; i < count; i++) {
		lua_createtable(L, 0, 2);
		value_set_integer(L, "offset", ranges[i].offset);
		value_set_integer(L, "size", ranges[i].size);
		lua_seti(L, -2, (lua_Integer)i + 1);
	}
	value_set_bool(L, "cut", cut);
}

static void push_buffers(lua_State *L, int spec, const struct provium_program *program)
{
	lua_Integer count = push_list(L, spec, "buffers");

	lua_createtable(L, 0, (int)count);
	lua_createtable(L, 0, 0);
	for (lua_Integer i = 1; i <= count; i++) {
		const void *data = provium_program_data(program, (int)i - 1);
		int table;

		lua_pushvalue(L, -3);
		table = push_element(L, "buffers", i);
		if (data) {
			size_t input = 0;
			size_t size = (size_t)value_integer(L, table, "size", 0);

			(void)value_bytes(L, table, "input", &input);
			lua_pushlstring(L, data, MAX(size, input));
			lua_seti(L, -5, i);
		}
		if (value_bool(L, table, "changes")) {
			push_changes(L, program, (int)i - 1);
			lua_seti(L, -4, i);
		}
		lua_pop(L, 2);
	}
	lua_remove(L, -3);
}

/* Where a call was when its time was up, and the events that are its own. */
static void push_remarks(lua_State *L, const struct provium_program *program, int call)
{
	const struct provium_interruption *where = provium_program_interrupted(program, call);
	size_t count = 0;
	const uint64_t *events = provium_program_kernel_events(program, call, &count);

	lua_newtable(L);
	if (where) {
		lua_createtable(L, 0, 4);
		value_set_string(L, "syscall", where->syscall);
		value_set_string(L, "wchan", where->wchan);
		value_set_string(L, "stack", where->stack);
		value_set_string(L, "status", where->status);
		lua_setfield(L, -2, "interrupted");
	}
	if (events) {
		lua_createtable(L, (int)count, 0);
		for (size_t i = 0; i < count; i++) {
			lua_pushinteger(L, (lua_Integer)events[i]);
			lua_seti(L, -2, (lua_Integer)i + 1);
		}
		lua_setfield(L, -2, "kernel_events");
	}
}

/* { results =, durations_ns =, remarks =, data =, changes = } */
static int push_outcome(lua_State *L, int spec, const struct provium_program *program)
{
	int made = (int)provium_program_made(program);

	lua_createtable(L, 0, 5);
	lua_createtable(L, made, 0);
	lua_createtable(L, made, 0);
	lua_createtable(L, 0, 0);
	for (int i = 0; i < made; i++) {
		lua_pushinteger(L, provium_program_result(program, i));
		lua_seti(L, -4, i + 1);
		lua_pushinteger(L, (lua_Integer)provium_program_duration_ns(program, i));
		lua_seti(L, -3, i + 1);
		push_remarks(L, program, i);
		lua_pushnil(L);
		if (lua_next(L, -2)) {
			lua_pop(L, 2);
			lua_seti(L, -2, i + 1);
		} else {
			lua_pop(L, 1);
		}
	}
	lua_setfield(L, -4, "remarks");
	lua_setfield(L, -3, "durations_ns");
	lua_setfield(L, -2, "results");
	push_buffers(L, spec, program);
	lua_setfield(L, -3, "changes");
	lua_setfield(L, -2, "data");
	return 1;
}

static int program_run(lua_State *L)
{
	struct lua_connection *connection = guest_check_connection(L, 1);
	struct provium_program *program;
	struct provium_error error;
	int timeout_ms;
	int status;

	luaL_checktype(L, 2, LUA_TTABLE);
	lua_settop(L, 2);
	timeout_ms = value_timeout(L, 2, "timeout", PROVIUM_FOREVER);
	program = push_program(L);
	build(L, 2, program);
	status = value_bool(L, 2, "written")
			 ? provium_written(connection->connection, program, timeout_ms, &error)
			 : provium_program_run(connection->connection, program, timeout_ms, &error);
	if (status < 0)
		return value_raise(L, &error);
	return push_outcome(L, 2, program);
}

/* connection:read_memory(address, size) */
static int program_read_memory(lua_State *L)
{
	struct lua_connection *connection = guest_check_connection(L, 1);
	uint64_t address = (uint64_t)luaL_checkinteger(L, 2);
	lua_Integer size = luaL_checkinteger(L, 3);
	struct provium_error error;
	void *data;

	luaL_argcheck(L, size >= 0 && size <= UINT32_MAX, 3, "0 to 4294967295 bytes");
	data = value_array(L, (size_t)size, 1);
	if (provium_read_memory(connection->connection, address, data, (size_t)size,
				connection->timeout_ms, &error) < 0)
		return value_raise(L, &error);
	lua_pushlstring(L, data, (size_t)size);
	return 1;
}

const luaL_Reg program_methods[] = {
	{ "read_memory", program_read_memory },
	{ "run", program_run },
	{ NULL, NULL },
};
