#include "host/lua/value.h"

#include <limits.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/util.h"

#define ERROR_METATABLE "provium.error"

/* Deeper than this no test calls itself from ours. */
#define MAX_LEVELS      64

void value_set_integer(lua_State *L, const char *name, lua_Integer value)
{
	lua_pushinteger(L, value);
	lua_setfield(L, -2, name);
}

void value_set_string(lua_State *L, const char *name, const char *value)
{
	lua_pushstring(L, value);
	lua_setfield(L, -2, name);
}

void value_set_bool(lua_State *L, const char *name, bool value)
{
	lua_pushboolean(L, value);
	lua_setfield(L, -2, name);
}

/* "file.lua:12" of the innermost function that is the test's; "" where there is none. */
static void push_where(lua_State *L)
{
	lua_Debug frame;

	for (int level = 0; level < MAX_LEVELS && lua_getstack(L, level, &frame); level++) {
		if (!lua_getinfo(L, "Sl", &frame) || frame.currentline < 0 ||
		    strncmp(frame.source, VALUE_OWN_CHUNK, strlen(VALUE_OWN_CHUNK)) == 0)
			continue;
		lua_pushfstring(L, "%s:%d", frame.short_src, frame.currentline);
		return;
	}
	lua_pushliteral(L, "");
}

/* The table on top of the stack becomes an error value. */
static void make_error(lua_State *L)
{
	push_where(L);
	lua_setfield(L, -2, "where");
	luaL_setmetatable(L, ERROR_METATABLE);
}

int value_error(lua_State *L)
{
	luaL_checktype(L, 1, LUA_TTABLE);
	lua_settop(L, 1);
	make_error(L);
	return 1;
}

/* What a test may compare with. */
static const char *const codes[] = {
	[PROVIUM_OK] = "ok",
	[PROVIUM_INVALID] = "invalid",
	[PROVIUM_HOST] = "host",
	[PROVIUM_GUEST] = "guest",
	[PROVIUM_TIMED_OUT] = "timed_out",
	[PROVIUM_CANCELLED] = "cancelled",
	[PROVIUM_DISCONNECTED] = "disconnected",
	[PROVIUM_PROTOCOL] = "protocol",
	[PROVIUM_LIMIT] = "limit",
	[PROVIUM_NOT_FOUND] = "not_found",
	[PROVIUM_BUSY] = "busy",
	[PROVIUM_UNSUPPORTED] = "unsupported",
	[PROVIUM_AUTH] = "auth",
	[PROVIUM_BOOT] = "boot",
	[PROVIUM_VM_GONE] = "vm_gone",
	[PROVIUM_SPLAT] = "splat",
};
_Static_assert(ARRAY_SIZE(codes) == PROVIUM_SPLAT + 1, "a name for each code");

int value_raise(lua_State *L, const struct provium_error *error)
{
	const char *name = error->os_errno ? provium_errno_name(error->os_errno) : NULL;

	lua_createtable(L, 0, 6);
	value_set_string(L, "code", codes[error->code]);
	value_set_string(L, "message", error->message);
	if (error->os_errno)
		value_set_integer(L, "errno", error->os_errno);
	if (name)
		value_set_string(L, "errno_name", name);
	if (*error->operation)
		value_set_string(L, "operation", error->operation);
	make_error(L);
	return lua_error(L);
}

int value_invalid(lua_State *L, const char *fmt, ...)
{
	struct provium_error error = { .code = PROVIUM_INVALID };
	va_list args;

	va_start(args, fmt);
	vsnprintf(error.message, sizeof(error.message), fmt, args);
	va_end(args);
	return value_raise(L, &error);
}

static int error_tostring(lua_State *L)
{
	size_t size;

	lua_getfield(L, 1, "where");
	if (!lua_tolstring(L, -1, &size) || size == 0) {
		lua_pop(L, 1);
		lua_getfield(L, 1, "message");
		luaL_tolstring(L, -1, NULL);
		return 1;
	}
	lua_pushliteral(L, ": ");
	lua_getfield(L, 1, "message");
	luaL_tolstring(L, -1, NULL);
	lua_remove(L, -2);
	lua_concat(L, 3);
	return 1;
}

/* What catches an error may put it into a text of its own, as it would a string. */
static int error_concat(lua_State *L)
{
	luaL_tolstring(L, 1, NULL);
	luaL_tolstring(L, 2, NULL);
	lua_concat(L, 2);
	return 1;
}

void value_open(lua_State *L)
{
	static const luaL_Reg methods[] = {
		{ "__tostring", error_tostring },
		{ "__concat", error_concat },
		{ NULL, NULL },
	};

	luaL_newmetatable(L, ERROR_METATABLE);
	luaL_setfuncs(L, methods, 0);
	lua_pop(L, 1);
}

/* Pushes the field; false, and nothing pushed, where it is nil. */
static bool get(lua_State *L, int table, const char *name)
{
	if (lua_getfield(L, table, name) != LUA_TNIL)
		return true;
	lua_pop(L, 1);
	return false;
}

bool value_has(lua_State *L, int table, const char *name)
{
	if (!get(L, table, name))
		return false;
	lua_pop(L, 1);
	return true;
}

const char *value_bytes(lua_State *L, int table, const char *name, size_t *size)
{
	const char *text;

	if (!get(L, table, name))
		return NULL;
	/* A number would be converted in place, and the text be nobody's. */
	if (lua_type(L, -1) != LUA_TSTRING)
		value_invalid(L, "%s: a string is needed, not a %s", name, luaL_typename(L, -1));
	text = lua_tolstring(L, -1, size);
	lua_pop(L, 1);
	return text;
}

const char *value_string(lua_State *L, int table, const char *name, const char *fallback)
{
	size_t size;
	const char *text = value_bytes(L, table, name, &size);

	if (!text)
		return fallback;
	if (strlen(text) != size)
		value_invalid(L, "%s: a NUL byte in it", name);
	return text;
}

lua_Integer value_integer(lua_State *L, int table, const char *name, lua_Integer fallback)
{
	lua_Integer value;
	int is_integer;

	if (!get(L, table, name))
		return fallback;
	value = lua_tointegerx(L, -1, &is_integer);
	if (!is_integer || lua_type(L, -1) != LUA_TNUMBER)
		value_invalid(L, "%s: a whole number is needed, not %s", name,
			      luaL_tolstring(L, -1, NULL));
	lua_pop(L, 1);
	return value;
}

uint64_t value_unsigned(lua_State *L, int table, const char *name, uint64_t fallback, uint64_t max)
{
	lua_Integer value = value_integer(L, table, name, (lua_Integer)fallback);

	if (value < 0 || (uint64_t)value > max)
		value_invalid(L, "%s: %lld is not between 0 and %llu", name, (long long)value,
			      (unsigned long long)max);
	return (uint64_t)value;
}

bool value_bool(lua_State *L, int table, const char *name)
{
	bool value;

	if (!get(L, table, name))
		return false;
	if (!lua_isboolean(L, -1))
		value_invalid(L, "%s: true or false is needed, not a %s", name,
			      luaL_typename(L, -1));
	value = lua_toboolean(L, -1);
	lua_pop(L, 1);
	return value;
}

static int to_milliseconds(lua_State *L, const char *name, lua_Number seconds)
{
	if (isnan(seconds))
		value_invalid(L, "%s: not a number of seconds", name);
	if (seconds < 0 || seconds > INT_MAX / 1000)
		return PROVIUM_FOREVER;
	return (int)ceil(seconds * 1000);
}

int value_timeout(lua_State *L, int table, const char *name, int fallback_ms)
{
	int ms;

	if (!get(L, table, name))
		return fallback_ms;
	if (lua_type(L, -1) != LUA_TNUMBER)
		value_invalid(L, "%s: a number of seconds is needed, not a %s", name,
			      luaL_typename(L, -1));
	ms = to_milliseconds(L, name, lua_tonumber(L, -1));
	lua_pop(L, 1);
	return ms;
}

int value_seconds(lua_State *L, int index, int fallback_ms)
{
	if (lua_isnoneornil(L, index))
		return fallback_ms;
	return to_milliseconds(L, "timeout", luaL_checknumber(L, index));
}

lua_Integer value_now_ms(void)
{
	return (lua_Integer)(monotonic_ns() / 1000000);
}

void *value_array(lua_State *L, size_t count, size_t size)
{
	void *array = lua_newuserdatauv(L, MAX(count, (size_t)1) * size, 0);

	memset(array, 0, MAX(count, (size_t)1) * size);
	return array;
}

const char *const *value_strings(lua_State *L, int table, const char *name)
{
	const char **strings;
	lua_Integer count;

	if (lua_getfield(L, table, name) == LUA_TNIL)
		return NULL;
	if (!lua_istable(L, -1))
		value_invalid(L, "%s: a list of strings is needed, not a %s", name,
			      luaL_typename(L, -1));
	count = luaL_len(L, -1);
	strings = value_array(L, (size_t)count + 1, sizeof(*strings));
	for (lua_Integer i = 1; i <= count; i++) {
		size_t size;

		if (lua_geti(L, -2, i) != LUA_TSTRING)
			value_invalid(L, "%s[%d]: a string is needed, not a %s", name, (int)i,
				      luaL_typename(L, -1));
		strings[i - 1] = lua_tolstring(L, -1, &size);
		if (strlen(strings[i - 1]) != size)
			value_invalid(L, "%s[%d]: a NUL byte in it", name, (int)i);
		lua_pop(L, 1);
	}
	/* The list's strings live as long as the list, which is the caller's table's. */
	lua_remove(L, -2);
	return strings;
}

const uint32_t *value_numbers(lua_State *L, int table, const char *name, size_t *count)
{
	uint32_t *numbers;

	*count = 0;
	if (lua_getfield(L, table, name) == LUA_TNIL)
		return NULL;
	if (!lua_istable(L, -1))
		value_invalid(L, "%s: a list of numbers is needed, not a %s", name,
			      luaL_typename(L, -1));
	*count = (size_t)luaL_len(L, -1);
	numbers = value_array(L, *count, sizeof(*numbers));
	for (size_t i = 0; i < *count; i++) {
		int is_integer;
		lua_Integer value;

		lua_geti(L, -2, (lua_Integer)i + 1);
		value = lua_tointegerx(L, -1, &is_integer);
		if (!is_integer || value < 0 || value > UINT32_MAX)
			value_invalid(L, "%s[%zu]: a number of 32 bits is needed", name, i + 1);
		numbers[i] = (uint32_t)value;
		lua_pop(L, 1);
	}
	lua_remove(L, -2);
	return numbers;
}

bool value_protect(lua_State *L, lua_CFunction function, void *argument)
{
	/* Neither of the pushes allocates, and the function that called the library has the room.
	 */
	lua_pushcfunction(L, function);
	lua_pushlightuserdata(L, argument);
	return lua_pcall(L, 1, 0, 0) == LUA_OK;
}

void value_keep(lua_State *L, int index, const void *key)
{
	lua_pushvalue(L, index);
	lua_rawsetp(L, LUA_REGISTRYINDEX, key);
	luaL_checkstack(L, LUA_MINSTACK, NULL);
}

void value_forget(lua_State *L, const void *key)
{
	lua_pushnil(L);
	lua_rawsetp(L, LUA_REGISTRYINDEX, key);
}
