/* The binding's Lua files, which are a part of the program: generated from them by chunks.py. */
#ifndef LUA_CHUNKS_H
#define LUA_CHUNKS_H

#include <stddef.h>

struct lua_chunk {
	/* "guest": provium/guest.lua in tracebacks. */
	const char *name;
	const char *text;
	size_t size;
};

/* Ends with a name of NULL. */
extern const struct lua_chunk lua_chunks[];

#endif
