/*
 * Between Lua and C: arguments, fields of option tables, errors.
 *
 * An error of Lua's leaves a C function by longjmp(3), past all clean-up attributes. So functions
 * of this binding take all their arguments first, keep what they allocate meanwhile in Lua's hands
 * (value_array), call the library, and only then push results. Callbacks of the library never let
 * an error through its frames (value_protect).
 */
#ifndef LUA_VALUE_H
#define LUA_VALUE_H

#include <lauxlib.h>
#include <lua.h>

#include "host/include/provium.h"

/* The prefix of the names of our own chunks, as Lua tells them in tracebacks. */
#define VALUE_OWN_CHUNK "=provium/"

/* Raises a Lua error: a table with code, errno, errno_name, operation, message, where. */
int value_raise(lua_State *L, const struct provium_error *error);

/* The same with PROVIUM_INVALID and this text. */
int value_invalid(lua_State *L, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/*
 * provium.error(fields): makes an error value of a table, with the place in the test it is raised
 * from.
 */
int value_error(lua_State *L);

/* Registers the errors' metatable; pushes nothing. */
void value_open(lua_State *L);

/*
 * Fields of the table at an index; what is absent (nil) is the fallback. A value of another type
 * raises an error that names the field. Strings live as long as the table holds them.
 */
const char *value_string(lua_State *L, int table, const char *name, const char *fallback);
const char *value_bytes(lua_State *L, int table, const char *name, size_t *size);
lua_Integer value_integer(lua_State *L, int table, const char *name, lua_Integer fallback);
/* An integer of this range. */
uint64_t value_unsigned(lua_State *L, int table, const char *name, uint64_t fallback, uint64_t max);
bool value_bool(lua_State *L, int table, const char *name);
bool value_has(lua_State *L, int table, const char *name);

/*
 * A time in seconds, as milliseconds: at least 1 where it is more than 0. A negative one, or
 * math.huge, is PROVIUM_FOREVER.
 */
int value_timeout(lua_State *L, int table, const char *name, int fallback_ms);
int value_seconds(lua_State *L, int index, int fallback_ms);

/* CLOCK_MONOTONIC, milliseconds. */
lua_Integer value_now_ms(void);

/* Memory that Lua frees, with a value on the stack that keeps it: cleared. Raises if there is none.
 */
void *value_array(lua_State *L, size_t count, size_t size);

/*
 * A list of strings as a NULL-terminated array, which the value that is pushed keeps. NULL where
 * the field is absent, and nil is pushed.
 */
const char *const *value_strings(lua_State *L, int table, const char *name);

/* A list of numbers of 32 bits; *count of them. NULL where the field is absent. Pushes one value.
 */
const uint32_t *value_numbers(lua_State *L, int table, const char *name, size_t *count);

/* result[name] = value, of the table on top of the stack. */
void value_set_integer(lua_State *L, const char *name, lua_Integer value);
void value_set_string(lua_State *L, const char *name, const char *value);
void value_set_bool(lua_State *L, const char *name, bool value);

/*
 * Calls function with argument (a light userdata) in protected mode. False: it failed, and the
 * error is on the stack, of which three places must be free.
 */
bool value_protect(lua_State *L, lua_CFunction function, void *argument);

/* Keeps the value at an index under the address of something, for such a function. */
void value_keep(lua_State *L, int index, const void *key);
void value_forget(lua_State *L, const void *key);

#endif
