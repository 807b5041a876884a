/* Methods of connections: the content of files, and what changes the tree. Options: a table or nil.
 */
#include <lauxlib.h>
#include <stdlib.h>

#include "common/cleanup.h"
#include "host/lib/buffer.h"
#include "host/lua/command.h"
#include "host/lua/guest.h"
#include "host/lua/value.h"

/* Of a file that is read into memory, without a limit of the caller's. */
#define READ_LIMIT ((uint64_t)256 << 20)

/* The options at an index: an empty table where there are none. */
static void need_options(lua_State *L, int index)
{
	lua_settop(L, index);
	if (lua_isnil(L, index)) {
		lua_newtable(L);
		lua_replace(L, index);
	}
	luaL_checktype(L, index, LUA_TTABLE);
}

/* A path, or NULL: an fd of the agent's, given as a number. */
static const char *path_or_fd(lua_State *L, int index, bool *has_fd, int *fd)
{
	*has_fd = lua_type(L, index) == LUA_TNUMBER;
	if (!*has_fd)
		return luaL_checkstring(L, index);
	*fd = (int)luaL_checkinteger(L, index);
	return NULL;
}

static int sink(void *user, const void *data, size_t size)
{
	struct buffer *buffer = user;

	buffer_append(buffer, data, size);
	return buffer->overflown || buffer->failed ? -1 : 0;
}

static int read_all(struct lua_connection *connection, const char *path,
		    const struct provium_read_options *options, uint64_t limit,
		    struct provium_buffer *content, struct provium_error *error)
{
	cleanup(buffer_finish) struct buffer buffer = { .limit = (size_t)limit };

	*content = (struct provium_buffer){ 0 };
	if (provium_read_file(connection->connection, path, options, sink, &buffer,
			      connection->timeout_ms, NULL, error) < 0) {
		if (buffer.overflown) {
			error->code = PROVIUM_LIMIT;
			snprintf(error->message, sizeof(error->message),
				 "%s: longer than %llu bytes (limit=, or pull it)",
				 path ? path : "file", (unsigned long long)limit);
		}
		return -1;
	}
	return buffer.size > 0 ? buffer_take(&buffer, content, error) : 0;
}

/* connection:read_file(path or fd, { offset, length, limit }) */
static int file_read(lua_State *L)
{
	struct lua_connection *connection = guest_check_connection(L, 1);
	struct provium_read_options options = { 0 };
	struct provium_buffer content;
	struct provium_error error;
	const char *path;
	uint64_t limit;

	need_options(L, 3);
	path = path_or_fd(L, 2, &options.has_fd, &options.fd);
	options.has_offset = value_has(L, 3, "offset");
	options.offset = value_unsigned(L, 3, "offset", 0, INT64_MAX);
	options.length = value_unsigned(L, 3, "length", 0, INT64_MAX);
	limit = value_unsigned(L, 3, "limit", READ_LIMIT, SIZE_MAX / 2);
	if (read_all(connection, path, &options, limit, &content, &error) < 0)
		return value_raise(L, &error);
	lua_pushlstring(L, content.data ? content.data : "", content.size);
	free(content.data);
	return 1;
}

/* connection:write_file(path or fd, data, options) */
static int file_write(lua_State *L)
{
	struct lua_connection *connection = guest_check_connection(L, 1);
	struct provium_write_options options = { 0 };
	struct provium_error error;
	const char *path;
	const char *data;
	size_t size;

	need_options(L, 4);
	path = path_or_fd(L, 2, &options.has_fd, &options.fd);
	data = luaL_checklstring(L, 3, &size);
	options.has_mode = value_has(L, 4, "mode");
	options.mode = (unsigned int)value_unsigned(L, 4, "mode", 0, 07777);
	options.has_uid = value_has(L, 4, "uid");
	options.uid = (uint32_t)value_unsigned(L, 4, "uid", 0, UINT32_MAX);
	options.has_gid = value_has(L, 4, "gid");
	options.gid = (uint32_t)value_unsigned(L, 4, "gid", 0, UINT32_MAX);
	options.no_create = value_bool(L, 4, "no_create");
	options.exclusive = value_bool(L, 4, "exclusive");
	options.append = value_bool(L, 4, "append");
	options.atomic = value_bool(L, 4, "atomic");
	options.sync = value_bool(L, 4, "sync");
	options.has_offset = value_has(L, 4, "offset");
	options.offset = value_unsigned(L, 4, "offset", 0, INT64_MAX);
	if (provium_write_file_memory(connection->connection, path, &options, data, size,
				      connection->timeout_ms, &error) < 0)
		return value_raise(L, &error);
	return 0;
}

static int file_mkdir(lua_State *L)
{
	struct lua_connection *connection = guest_check_connection(L, 1);
	const char *path = luaL_checkstring(L, 2);
	struct provium_error error;

	need_options(L, 3);
	if (provium_mkdir(connection->connection, path,
			  (unsigned int)value_unsigned(L, 3, "mode", 0755, 07777),
			  value_bool(L, 3, "parents"), connection->timeout_ms, &error) < 0)
		return value_raise(L, &error);
	return 0;
}

static int file_remove(lua_State *L)
{
	struct lua_connection *connection = guest_check_connection(L, 1);
	const char *path = luaL_checkstring(L, 2);
	struct provium_error error;

	need_options(L, 3);
	if (provium_remove(connection->connection, path, value_bool(L, 3, "recursive"),
			   value_bool(L, 3, "missing_ok"), connection->timeout_ms, &error) < 0)
		return value_raise(L, &error);
	return 0;
}

static int file_rename(lua_State *L)
{
	struct lua_connection *connection = guest_check_connection(L, 1);
	const char *from = luaL_checkstring(L, 2);
	const char *to = luaL_checkstring(L, 3);
	struct provium_error error;

	need_options(L, 4);
	if (provium_rename(connection->connection, from, to,
			   (uint32_t)value_unsigned(L, 4, "flags", 0, UINT32_MAX),
			   connection->timeout_ms, &error) < 0)
		return value_raise(L, &error);
	return 0;
}

/* connection:symlink(target, path) */
static int file_symlink(lua_State *L)
{
	struct lua_connection *connection = guest_check_connection(L, 1);
	const char *target = luaL_checkstring(L, 2);
	struct provium_error error;

	if (provium_symlink(connection->connection, target, luaL_checkstring(L, 3),
			    connection->timeout_ms, &error) < 0)
		return value_raise(L, &error);
	return 0;
}

static int file_readlink(lua_State *L)
{
	struct lua_connection *connection = guest_check_connection(L, 1);
	struct provium_error error;
	char *target;

	if (provium_readlink(connection->connection, luaL_checkstring(L, 2), connection->timeout_ms,
			     &target, &error) < 0)
		return value_raise(L, &error);
	lua_pushstring(L, target);
	free(target);
	return 1;
}

static int file_chmod(lua_State *L)
{
	struct lua_connection *connection = guest_check_connection(L, 1);
	const char *path = luaL_checkstring(L, 2);
	lua_Integer mode = luaL_checkinteger(L, 3);
	struct provium_error error;

	luaL_argcheck(L, mode >= 0 && mode <= 07777, 3, "0 to 07777");
	if (provium_chmod(connection->connection, path, (unsigned int)mode, connection->timeout_ms,
			  &error) < 0)
		return value_raise(L, &error);
	return 0;
}

/* connection:chown(path, uid, gid, { follow }): -1 leaves either as it is. */
static int file_chown(lua_State *L)
{
	struct lua_connection *connection = guest_check_connection(L, 1);
	const char *path = luaL_checkstring(L, 2);
	lua_Integer uid = luaL_checkinteger(L, 3);
	lua_Integer gid = luaL_checkinteger(L, 4);
	struct provium_error error;

	luaL_argcheck(L, uid >= -1 && uid <= UINT32_MAX, 3, "no user");
	luaL_argcheck(L, gid >= -1 && gid <= UINT32_MAX, 4, "no group");
	need_options(L, 5);
	if (provium_chown(connection->connection, path, (uint32_t)uid, (uint32_t)gid,
			  !value_has(L, 5, "follow") || value_bool(L, 5, "follow"),
			  connection->timeout_ms, &error) < 0)
		return value_raise(L, &error);
	return 0;
}

/* connection:mount(source, target, fstype, { flags, data }) */
static int file_mount(lua_State *L)
{
	struct lua_connection *connection = guest_check_connection(L, 1);
	const char *source = luaL_optstring(L, 2, NULL);
	const char *target = luaL_checkstring(L, 3);
	const char *fstype = luaL_optstring(L, 4, NULL);
	struct provium_error error;

	need_options(L, 5);
	if (provium_mount(connection->connection, source, target, fstype,
			  (uint64_t)value_integer(L, 5, "flags", 0),
			  value_string(L, 5, "data", NULL), connection->timeout_ms, &error) < 0)
		return value_raise(L, &error);
	return 0;
}

static int file_umount(lua_State *L)
{
	struct lua_connection *connection = guest_check_connection(L, 1);
	const char *target = luaL_checkstring(L, 2);
	struct provium_error error;

	need_options(L, 3);
	if (provium_umount(connection->connection, target,
			   (uint32_t)value_unsigned(L, 3, "flags", 0, UINT32_MAX),
			   connection->timeout_ms, &error) < 0)
		return value_raise(L, &error);
	return 0;
}

typedef int (*copy_fn)(struct provium_connection *connection, const char *from, const char *to,
		       const struct provium_copy_options *options, int timeout_ms,
		       struct provium_error *error);

/* A copy takes as long as it takes, unless `timeout` says otherwise. */
static int copy(lua_State *L, copy_fn function)
{
	struct lua_connection *connection = guest_check_connection(L, 1);
	const char *from = luaL_checkstring(L, 2);
	const char *to = luaL_checkstring(L, 3);
	struct provium_copy_options options = { 0 };
	struct provium_error error;

	need_options(L, 4);
	options.sparse = value_bool(L, 4, "sparse");
	options.exact = value_bool(L, 4, "exact");
	if (function(connection->connection, from, to, &options,
		     value_timeout(L, 4, "timeout", PROVIUM_FOREVER), &error) < 0)
		return value_raise(L, &error);
	return 0;
}

static int file_push(lua_State *L)
{
	return copy(L, provium_push);
}

static int file_pull(lua_State *L)
{
	return copy(L, provium_pull);
}

const luaL_Reg file_methods[] = {
	{ "chmod", file_chmod },      { "chown", file_chown },
	{ "mkdir", file_mkdir },      { "mount", file_mount },
	{ "pull", file_pull },        { "push", file_push },
	{ "read_file", file_read },   { "readlink", file_readlink },
	{ "remove", file_remove },    { "rename", file_rename },
	{ "symlink", file_symlink },  { "umount", file_umount },
	{ "write_file", file_write }, { NULL, NULL },
};
