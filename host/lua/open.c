/* What Lua calls to load the module: the only name that it shows. */
#include "host/lua/module.h"

__attribute__((visibility("default"))) int luaopen_provium(lua_State *L)
{
	return module_open(L, NULL);
}
