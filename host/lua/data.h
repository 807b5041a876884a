/* Data of other forms as Lua values: JSON and TOML. */
#ifndef LUA_DATA_H
#define LUA_DATA_H

#include <lua.h>

/*
 * core.json_decode(text): its value; null is core.null, so that it is seen in arrays too. Raises an
 * error with the place where the text is not JSON.
 */
int data_json_decode(lua_State *L);

/* core.toml_file(path): its tables; what Lua has no type for (dates) is text. */
int data_toml_file(lua_State *L);

#endif
