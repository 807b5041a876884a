/* VMs: booting, looking, ending. */
#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#include "host/lib/kernel_choice.h"
#include "host/lua/guest.h"
#include "host/lua/snapshot.h"
#include "host/lua/value.h"

static int choice(lua_State *L, int table, const char *name, const char *const *choices)
{
	const char *text = value_string(L, table, name, choices[0]);

	for (int i = 0; choices[i]; i++) {
		if (strcmp(choices[i], text) == 0)
			return i;
	}
	return value_invalid(L, "%s: there is no '%s'", name, text);
}

/* [{ guest path, host path }, ...]; pushes what keeps the array. */
static const struct provium_file *get_files(lua_State *L, int table, size_t *count)
{
	struct provium_file *files;

	*count = 0;
	if (lua_getfield(L, table, "files") == LUA_TNIL)
		return NULL;
	*count = (size_t)luaL_len(L, -1);
	files = value_array(L, *count, sizeof(*files));
	for (size_t i = 0; i < *count; i++) {
		int pair;

		lua_geti(L, -2, (lua_Integer)i + 1);
		pair = lua_gettop(L);
		files[i].guest_path = value_string(L, pair, "guest", NULL);
		files[i].host_path = value_string(L, pair, "host", NULL);
		lua_pop(L, 1);
	}
	return files;
}

static const struct provium_disk *get_disks(lua_State *L, int table, size_t *count)
{
	struct provium_disk *disks;

	*count = 0;
	if (lua_getfield(L, table, "disks") == LUA_TNIL)
		return NULL;
	*count = (size_t)luaL_len(L, -1);
	disks = value_array(L, *count, sizeof(*disks));
	for (size_t i = 0; i < *count; i++) {
		int disk;

		lua_geti(L, -2, (lua_Integer)i + 1);
		disk = lua_gettop(L);
		disks[i].path = value_string(L, disk, "path", NULL);
		disks[i].format = value_string(L, disk, "format", NULL);
		disks[i].readonly = value_bool(L, disk, "readonly");
		lua_pop(L, 1);
	}
	return disks;
}

/* core.boot(options): VM, and the connection to its agent. */
static int vm_boot(lua_State *L)
{
	static const char *const accels[] = { "auto", "kvm", "tcg", NULL };
	static const char *const machines[] = { "q35", "pc", "microvm", NULL };
	static const char *const vsocks[] = { "auto", "kernel", "user", NULL };
	struct kernel_choice kernel = { 0 };
	struct provium_vm_options options = { 0 };
	struct provium_error error;
	struct lua_vm *vm;
	const char *kernel_path;
	const char *modules_dir;
	int status;

	luaL_checktype(L, 1, LUA_TTABLE);
	lua_settop(L, 1);
	kernel_path = value_string(L, 1, "kernel", NULL);
	modules_dir = value_string(L, 1, "modules_dir", NULL);
	options.initrd = value_string(L, 1, "initrd", NULL);
	options.init = value_string(L, 1, "init", NULL);
	options.root = value_string(L, 1, "root", NULL);
	options.append = value_string(L, 1, "append", NULL);
	options.console = value_string(L, 1, "console", NULL);
	options.socket = value_string(L, 1, "socket", NULL);
	options.hold = value_bool(L, 1, "hold");
	options.memory = value_unsigned(L, 1, "memory", 0, INT64_MAX);
	options.cpus = (unsigned int)value_unsigned(L, 1, "cpus", 0, INT32_MAX);
	options.boot_timeout_ms = value_timeout(L, 1, "timeout", 0);
	options.accel = (enum provium_accel)choice(L, 1, "accel", accels);
	options.machine = (enum provium_machine)choice(L, 1, "machine", machines);
	options.vsock = (enum provium_vsock)choice(L, 1, "vsock", vsocks);
	options.modules = value_strings(L, 1, "modules");
	options.files = get_files(L, 1, &options.n_files);
	options.disks = get_disks(L, 1, &options.n_disks);
	vm = guest_new_vm(L);

	status = kernel_choose_here(kernel_path, modules_dir, &kernel, &error);
	if (status == 0) {
		options.kernel = kernel.kernel;
		options.modules_dir = kernel.modules;
		status = provium_vm_boot(&options, &vm->vm, &error);
	}
	kernel_choice_finish(&kernel);
	if (status < 0)
		return value_raise(L, &error);
	guest_push_own_connection(L, vm);
	return 2;
}

/* vm:connect(port): one more connection. */
static int vm_connect(lua_State *L)
{
	struct lua_vm *vm = guest_check_vm(L, 1);
	lua_Integer port = luaL_optinteger(L, 2, 0);
	struct lua_connection *connection;
	struct provium_error error;

	if (port < 0 || port > UINT32_MAX)
		return value_invalid(L, "port: %lld is none", (long long)port);
	connection = guest_new_connection(L, vm);
	connection->owned = true;
	if (provium_vm_accel(vm->vm) == PROVIUM_ACCEL_TCG)
		connection->timeout_ms *= GUEST_TCG_FACTOR;
	if (provium_vm_connect(vm->vm, (uint32_t)port, connection->timeout_ms,
			       &connection->connection, &error) < 0)
		return value_raise(L, &error);
	return 1;
}

/* vm:shutdown(mode, sync, timeout) */
static int vm_shutdown(lua_State *L)
{
	static const char *const modes[] = { "poweroff", "reboot", "halt", "panic", NULL };
	struct lua_vm *vm = guest_check_vm(L, 1);
	int mode = luaL_checkoption(L, 2, modes[0], modes);
	bool sync = lua_isnoneornil(L, 3) || lua_toboolean(L, 3);
	int timeout_ms = value_seconds(L, 4, 10000);
	struct provium_error error;

	if (provium_vm_accel(vm->vm) == PROVIUM_ACCEL_TCG && lua_isnoneornil(L, 4))
		timeout_ms *= GUEST_TCG_FACTOR;
	if (provium_vm_shutdown(vm->vm, (enum provium_shutdown_mode)mode, sync, timeout_ms,
				&error) < 0)
		return value_raise(L, &error);
	return 0;
}

static int vm_kill(lua_State *L)
{
	provium_vm_kill(guest_check_vm(L, 1)->vm);
	return 0;
}

static int vm_console_tail(lua_State *L)
{
	struct lua_vm *vm = guest_check_vm(L, 1);
	lua_Integer lines = luaL_optinteger(L, 2, 30);
	char *text;

	luaL_argcheck(L, lines > 0 && lines <= 10000, 2, "1 to 10000 lines");
	text = provium_vm_console_tail(vm->vm, (unsigned int)lines);
	lua_pushstring(L, text ? text : "");
	free(text);
	return 1;
}

/* vm:describe(): what is known of it. */
static int vm_describe(lua_State *L)
{
	struct lua_vm *vm = guest_check_vm(L, 1);

	lua_createtable(L, 0, 5);
	value_set_string(L, "accel", provium_vm_accel(vm->vm) == PROVIUM_ACCEL_KVM ? "kvm" : "tcg");
	value_set_string(L, "vsock",
			 provium_vm_vsock(vm->vm) == PROVIUM_VSOCK_KERNEL ? "kernel" : "user");
	value_set_bool(L, "panicked", provium_vm_panicked(vm->vm));
	value_set_integer(L, "qemu_pid", provium_vm_qemu_pid(vm->vm));
	value_set_string(L, "console", provium_vm_console(vm->vm));
	return 1;
}

const luaL_Reg vm_methods[] = {
	{ "connect", vm_connect },
	{ "console_tail", vm_console_tail },
	{ "describe", vm_describe },
	{ "kill", vm_kill },
	{ "save", snapshot_save },
	{ "shutdown", vm_shutdown },
	{ NULL, NULL },
};

/* core.connect(address): an agent in a VM of somebody else's. */
static int connect_address(lua_State *L)
{
	const char *address = luaL_checkstring(L, 1);
	struct lua_connection *connection = guest_new_connection(L, NULL);
	struct provium_error error;

	connection->owned = true;
	if (provium_connect(address, connection->timeout_ms, &connection->connection, &error) < 0)
		return value_raise(L, &error);
	return 1;
}

void guest_functions(lua_State *L)
{
	static const luaL_Reg functions[] = {
		{ "boot", vm_boot },
		{ "connect", connect_address },
		{ NULL, NULL },
	};

	luaL_setfuncs(L, functions, 0);
}
