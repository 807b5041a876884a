/*
 * The module's table: what `require "provium"` gives, and the files of `provium test` have.
 *
 * The C functions are the table `core`, which the Lua files get; these make the module's table, the
 * classes and the globals of tests. They are a part of this program, so that one file is all there
 * is to install.
 */
#include "host/lua/module.h"

#include <lauxlib.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "host/lua/chunks.h"
#include "host/lua/data.h"
#include "host/lua/guest.h"
#include "host/lua/snapshot.h"
#include "host/lua/value.h"

static int core_syscall_number(lua_State *L)
{
	int number = provium_syscall_number(luaL_checkstring(L, 1), luaL_checkstring(L, 2));

	if (number < 0)
		lua_pushnil(L);
	else
		lua_pushinteger(L, number);
	return 1;
}

static int core_errno_name(lua_State *L)
{
	lua_Integer number = luaL_checkinteger(L, 1);

	lua_pushstring(L, number > 0 && number < 4096 ? provium_errno_name((int)number) : NULL);
	return 1;
}

static int core_errno_number(lua_State *L)
{
	int number = provium_errno_number(luaL_checkstring(L, 1));

	if (number == 0)
		lua_pushnil(L);
	else
		lua_pushinteger(L, number);
	return 1;
}

/* core.now(): seconds, CLOCK_MONOTONIC. */
static int core_now(lua_State *L)
{
	lua_pushnumber(L, (lua_Number)value_now_ms() / 1000);
	return 1;
}

static int core_cwd(lua_State *L)
{
	cleanup_free char *path = getcwd(NULL, 0);

	lua_pushstring(L, path);
	return 1;
}

static int core_readable(lua_State *L)
{
	lua_pushboolean(L, access(luaL_checkstring(L, 1), R_OK) == 0);
	return 1;
}

static int core_realpath(lua_State *L)
{
	cleanup_free char *path = realpath(luaL_checkstring(L, 1), NULL);

	lua_pushstring(L, path);
	return 1;
}

/* Pushes the lines of the text that the expression is found in. */
static void push_matches(lua_State *L, const regex_t *expression, const char *text)
{
	luaL_Buffer matches;

	luaL_buffinit(L, &matches);
	while (*text) {
		size_t size = strcspn(text, "\n");
		regmatch_t line = { .rm_so = 0, .rm_eo = (regoff_t)size };

		if (regexec(expression, text, 1, &line, REG_STARTEND) == 0) {
			luaL_addlstring(&matches, text, size);
			luaL_addchar(&matches, '\n');
		}
		text += size + (text[size] == '\n');
	}
	luaL_pushresult(&matches);
}

/* In protected mode, so that the expression is freed. */
static int match_protected(lua_State *L)
{
	push_matches(L, lua_touserdata(L, 2), lua_tostring(L, 1));
	return 1;
}

/* core.grep(pattern, text): as grep(1) selects lines, by a basic regular expression. */
static int core_grep(lua_State *L)
{
	const char *pattern = luaL_checkstring(L, 1);
	regex_t expression;
	char reason[256];
	int status;

	luaL_checkstring(L, 2);
	status = regcomp(&expression, pattern, 0);
	if (status != 0) {
		regerror(status, &expression, reason, sizeof(reason));
		return value_invalid(L, "pattern '%s': %s", pattern, reason);
	}
	lua_pushcfunction(L, match_protected);
	lua_pushvalue(L, 2);
	lua_pushlightuserdata(L, &expression);
	status = lua_pcall(L, 2, 1, 0);
	regfree(&expression);
	return status == LUA_OK ? 1 : lua_error(L);
}

static const luaL_Reg core_functions[] = {
	{ "cwd", core_cwd },
	{ "errno_name", core_errno_name },
	{ "errno_number", core_errno_number },
	{ "error", value_error },
	{ "grep", core_grep },
	{ "json_decode", data_json_decode },
	{ "now", core_now },
	{ "readable", core_readable },
	{ "realpath", core_realpath },
	{ "syscall_number", core_syscall_number },
	{ "toml_file", data_toml_file },
	{ NULL, NULL },
};

/* load(name): the Lua file of this name, run once with core and this function; its result. */
static int core_load(lua_State *L)
{
	const char *name = luaL_checkstring(L, 1);
	const struct lua_chunk *chunk = lua_chunks;

	/* upvalues: core, the table of those that are loaded */
	if (lua_getfield(L, lua_upvalueindex(2), name) != LUA_TNIL)
		return 1;
	lua_pop(L, 1);
	while (chunk->name && strcmp(chunk->name, name) != 0)
		chunk++;
	if (!chunk->name)
		return luaL_error(L, "no chunk '%s'", name);
	lua_pushfstring(L, VALUE_OWN_CHUNK "%s.lua", name);
	if (luaL_loadbufferx(L, chunk->text, chunk->size, lua_tostring(L, -1), "t") != LUA_OK)
		return lua_error(L);
	lua_pushvalue(L, lua_upvalueindex(1));
	lua_getfield(L, lua_upvalueindex(1), "load");
	lua_call(L, 2, 1);
	lua_pushvalue(L, -1);
	lua_setfield(L, lua_upvalueindex(2), name);
	return 1;
}

int module_open(lua_State *L, const struct harness *harness)
{
	luaL_checkversion(L);
	value_open(L);
	guest_open(L);
	snapshot_open(L);
	luaL_newlib(L, core_functions);
	guest_functions(L);
	lua_pushlightuserdata(L, NULL);
	lua_setfield(L, -2, "null");
	lua_pushstring(L, provium_version());
	lua_setfield(L, -2, "version");
	if (harness)
		harness_functions(L, harness);
	lua_pushvalue(L, -1);
	lua_newtable(L);
	lua_pushcclosure(L, core_load, 2);
	lua_pushvalue(L, -1);
	lua_setfield(L, -3, "load");
	lua_pushvalue(L, -1);
	lua_pushliteral(L, "suite");
	lua_call(L, 1, 1);
	lua_getfield(L, -1, "run");
	lua_setfield(L, LUA_REGISTRYINDEX, MODULE_RUN);
	lua_pop(L, 1);
	lua_pushliteral(L, "provium");
	lua_call(L, 1, 1);
	return 1;
}
