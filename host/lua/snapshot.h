/* Snapshots as userdata of Lua's. */
#ifndef LUA_SNAPSHOT_H
#define LUA_SNAPSHOT_H

#include <lua.h>

#include "host/include/provium.h"

/* The metatable; pushes nothing. */
void snapshot_open(lua_State *L);

/* vm:save(), a method of VMs: the snapshot; the VM has ended. */
int snapshot_save(lua_State *L);

/*
 * What another process needs of the snapshot at an index: its text, for free(3), and at most *n_fds
 * fds, which stay its own.
 */
char *snapshot_share(lua_State *L, int index, int *fds, size_t *n_fds);

/*
 * Pushes a snapshot made of such a text and fds, which stay the caller's. *failed: *error says why;
 * what was pushed then is good for nothing.
 */
void snapshot_push_shared(lua_State *L, const char *text, const int *fds, size_t n_fds,
			  struct provium_error *error, bool *failed);

#endif
