#include <jansson.h>
#include <lauxlib.h>
#include <stdlib.h>

#include "host/lua/data.h"
#include "host/lua/toml_json.h"
#include "host/lua/value.h"

/* Nested deeper than this it is no data; Jansson itself stops at 2048. */
#define MAX_DEPTH 200

/* NOLINTBEGIN(misc-no-recursion): to MAX_DEPTH */

static void push(lua_State *L, const json_t *value, int depth);

static void push_object(lua_State *L, const json_t *object, int depth)
{
	const char *key;
	size_t size;
	json_t *value;

	lua_createtable(L, 0, (int)json_object_size(object));
	json_object_keylen_foreach((json_t *)object, key, size, value)
	{
		lua_pushlstring(L, key, size);
		push(L, value, depth);
		lua_rawset(L, -3);
	}
}

static void push_array(lua_State *L, const json_t *array, int depth)
{
	size_t count = json_array_size(array);

	lua_createtable(L, (int)count, 0);
	for (size_t i = 0; i < count; i++) {
		push(L, json_array_get(array, i), depth);
		lua_rawseti(L, -2, (lua_Integer)i + 1);
	}
}

static void push(lua_State *L, const json_t *value, int depth)
{
	if (depth == MAX_DEPTH)
		luaL_error(L, "JSON nested deeper than %d", MAX_DEPTH);
	luaL_checkstack(L, 4, "JSON");
	switch (json_typeof(value)) {
	case JSON_OBJECT:
		push_object(L, value, depth + 1);
		break;
	case JSON_ARRAY:
		push_array(L, value, depth + 1);
		break;
	case JSON_STRING:
		lua_pushlstring(L, json_string_value(value), json_string_length(value));
		break;
	case JSON_INTEGER:
		lua_pushinteger(L, json_integer_value(value));
		break;
	case JSON_REAL:
		lua_pushnumber(L, json_real_value(value));
		break;
	case JSON_TRUE:
	case JSON_FALSE:
		lua_pushboolean(L, json_is_true(value));
		break;
	case JSON_NULL:
		lua_pushlightuserdata(L, NULL);
		break;
	}
}

/* NOLINTEND(misc-no-recursion) */

static int push_protected(lua_State *L)
{
	push(L, lua_touserdata(L, 1), 0);
	return 1;
}

/* Pushes the value, which it releases. */
static int push_and_release(lua_State *L, json_t *value)
{
	int status;

	luaL_checkstack(L, 4, NULL);
	lua_pushcfunction(L, push_protected);
	lua_pushlightuserdata(L, value);
	status = lua_pcall(L, 1, 1, 0);
	json_decref(value);
	return status == LUA_OK ? 1 : lua_error(L);
}

int data_json_decode(lua_State *L)
{
	size_t size;
	const char *text = luaL_checklstring(L, 1, &size);
	json_error_t where;
	json_t *value = json_loadb(text, size, JSON_DECODE_ANY | JSON_ALLOW_NUL, &where);

	if (!value)
		return value_invalid(L, "not JSON: line %d, column %d: %s", where.line,
				     where.column, where.text);
	return push_and_release(L, value);
}

int data_toml_file(lua_State *L)
{
	const char *path = luaL_checkstring(L, 1);
	char reason[1024];
	json_t *value = NULL;
	char *text;

	text = toml_file_to_json(path, reason, sizeof(reason));
	if (!text)
		return value_invalid(L, "%s", reason);
	value = json_loads(text, JSON_ALLOW_NUL, NULL);
	free(text);
	if (!value)
		return luaL_error(L, "not enough memory");
	return push_and_release(L, value);
}
