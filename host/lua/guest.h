/*
 * The binding's two kinds of handle, as userdata of Lua's: a VM, and a connection to an agent.
 *
 * They are raw: what a test sees is made of them in the Lua files beside this one. The connections
 * of a VM are closed with it, in whatever order Lua collects.
 */
#ifndef LUA_GUEST_H
#define LUA_GUEST_H

#include <lauxlib.h>
#include <lua.h>

#include "common/list.h"
#include "host/include/provium.h"

/* An emulated guest is slower, and so is all that is waited for. */
#define GUEST_TCG_FACTOR 6

struct lua_vm {
	/* NULL once it was closed. */
	struct provium_vm *vm;
	/* struct lua_connection.link, of all that end with it. */
	struct list connections;
};

struct lua_connection {
	/* NULL once it was closed. */
	struct provium_connection *connection;
	/* Not the VM's own, which is freed with it. */
	bool owned;
	/* A callback of a call on it is running: it takes no other call. */
	bool busy;
	/* What a request that is not given a timeout has. */
	int timeout_ms;
	/* In the VM's list, or in none. */
	struct list link;
};

/* Pushes a new VM, still without one, and takes one over. */
struct lua_vm *guest_new_vm(lua_State *L);
/* Raises an error where it was closed. */
struct lua_vm *guest_check_vm(lua_State *L, int index);

/* Pushes a new connection, still without one; vm (may be NULL) is what it ends with. */
struct lua_connection *guest_new_connection(lua_State *L, struct lua_vm *vm);
/* Raises an error where it was closed, or is busy. */
struct lua_connection *guest_check_connection(lua_State *L, int index);

/* Of all that uses the VM; raises an error where a callback of one is running. */
void guest_close_connections(lua_State *L, struct lua_vm *vm);

/* Pushes the connection that the VM has by itself. */
void guest_push_own_connection(lua_State *L, struct lua_vm *vm);

/* Metatables of both; pushes nothing. */
void guest_open(lua_State *L);

/* Functions of the module's table, which is on top of the stack. */
void guest_functions(lua_State *L);

/* Methods of connections, for guest_open. */
extern const luaL_Reg agent_methods[];
extern const luaL_Reg exec_methods[];
extern const luaL_Reg file_methods[];
extern const luaL_Reg job_methods[];
extern const luaL_Reg kernel_methods[];
extern const luaL_Reg look_methods[];
extern const luaL_Reg program_methods[];
/* Of VMs. */
extern const luaL_Reg vm_methods[];

#endif
