/* Handles: how they are made, found on the stack, and end. */
#include "host/lua/guest.h"

#include <lauxlib.h>

#include "host/lua/value.h"

#define VM_METATABLE         "provium.vm"
#define CONNECTION_METATABLE "provium.connection"

/* As a boot: the agent answers at once, and a busy machine takes its time. */
#define REQUEST_TIMEOUT_MS   60000

struct lua_vm *guest_new_vm(lua_State *L)
{
	struct lua_vm *vm = lua_newuserdatauv(L, sizeof(*vm), 0);

	vm->vm = NULL;
	list_init(&vm->connections);
	luaL_setmetatable(L, VM_METATABLE);
	return vm;
}

struct lua_vm *guest_check_vm(lua_State *L, int index)
{
	struct lua_vm *vm = luaL_checkudata(L, index, VM_METATABLE);

	if (!vm->vm)
		value_invalid(L, "the VM has been closed");
	return vm;
}

struct lua_connection *guest_new_connection(lua_State *L, struct lua_vm *vm)
{
	struct lua_connection *connection = lua_newuserdatauv(L, sizeof(*connection), 0);

	*connection = (struct lua_connection){ .timeout_ms = REQUEST_TIMEOUT_MS };
	list_init(&connection->link);
	luaL_setmetatable(L, CONNECTION_METATABLE);
	if (vm)
		list_append(&vm->connections, &connection->link);
	return connection;
}

struct lua_connection *guest_check_connection(lua_State *L, int index)
{
	struct lua_connection *connection = luaL_checkudata(L, index, CONNECTION_METATABLE);

	if (!connection->connection)
		value_invalid(L, "the connection has been closed");
	if (connection->busy)
		value_invalid(L, "a callback cannot use the connection that it is called by: use "
				 "another (vm:connect())");
	return connection;
}

static void close_connection(struct lua_connection *connection)
{
	if (connection->owned)
		provium_connection_free(connection->connection);
	connection->connection = NULL;
	list_remove(&connection->link);
}

/* A connection whose callback runs is on a stack, and so is not collected. */
void guest_close_connections(lua_State *L, struct lua_vm *vm)
{
	struct lua_connection *connection;
	struct lua_connection *next;

	list_for_each(connection, &vm->connections, link) {
		if (connection->busy)
			value_invalid(L, "a callback cannot end the VM that calls it");
	}
	list_for_each_safe(connection, next, &vm->connections, link)
		close_connection(connection);
}

void guest_push_own_connection(lua_State *L, struct lua_vm *vm)
{
	struct lua_connection *connection = guest_new_connection(L, vm);

	connection->connection = provium_vm_connection(vm->vm);
	if (provium_vm_accel(vm->vm) == PROVIUM_ACCEL_TCG)
		connection->timeout_ms *= GUEST_TCG_FACTOR;
}

static int connection_close(lua_State *L)
{
	struct lua_connection *connection = luaL_checkudata(L, 1, CONNECTION_METATABLE);

	if (connection->busy)
		return value_invalid(L, "a callback cannot close the connection it is called by");
	close_connection(connection);
	return 0;
}

static int vm_close(lua_State *L)
{
	struct lua_vm *vm = luaL_checkudata(L, 1, VM_METATABLE);

	guest_close_connections(L, vm);
	provium_vm_free(vm->vm);
	vm->vm = NULL;
	return 0;
}

void guest_open(lua_State *L)
{
	static const luaL_Reg *const methods[] = {
		agent_methods,  exec_methods, file_methods,    job_methods,
		kernel_methods, look_methods, program_methods,
	};

	luaL_newmetatable(L, VM_METATABLE);
	lua_pushvalue(L, -1);
	lua_setfield(L, -2, "__index");
	luaL_setfuncs(L, vm_methods, 0);
	lua_pushcfunction(L, vm_close);
	lua_setfield(L, -2, "close");
	lua_pushcfunction(L, vm_close);
	lua_setfield(L, -2, "__gc");
	lua_pop(L, 1);

	luaL_newmetatable(L, CONNECTION_METATABLE);
	lua_pushvalue(L, -1);
	lua_setfield(L, -2, "__index");
	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
		luaL_setfuncs(L, methods[i], 0);
	lua_pushcfunction(L, connection_close);
	lua_setfield(L, -2, "close");
	lua_pushcfunction(L, connection_close);
	lua_setfield(L, -2, "__gc");
	lua_pop(L, 1);
}
