/* Methods of connections: what files are, what directories hold, and what files get. */
#include <dirent.h>
#include <lauxlib.h>
#include <sys/stat.h>

#include "host/lua/guest.h"
#include "host/lua/value.h"

/* Names of file types, as find(1) -type has them in words. */
static const char *type_name(uint32_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG:
		return "file";
	case S_IFDIR:
		return "directory";
	case S_IFLNK:
		return "symlink";
	case S_IFCHR:
		return "character device";
	case S_IFBLK:
		return "block device";
	case S_IFIFO:
		return "fifo";
	case S_IFSOCK:
		return "socket";
	default:
		return "unknown";
	}
}

static void set_time(lua_State *L, const char *name, bool there, int64_t ns)
{
	if (there)
		value_set_integer(L, name, ns);
}

/* connection:stat(path or fd, follow) */
static int look_stat(lua_State *L)
{
	struct lua_connection *connection = guest_check_connection(L, 1);
	struct provium_file_status status;
	struct provium_error error;
	int rc;

	if (lua_type(L, 2) == LUA_TNUMBER)
		rc = provium_stat_fd(connection->connection, (int)luaL_checkinteger(L, 2),
				     connection->timeout_ms, &status, &error);
	else
		rc = provium_stat(connection->connection, luaL_checkstring(L, 2),
				  lua_toboolean(L, 3), connection->timeout_ms, &status, &error);
	if (rc < 0)
		return value_raise(L, &error);
	lua_createtable(L, 0, 20);
	value_set_string(L, "type", type_name(status.mode));
	value_set_integer(L, "mode", status.mode & 07777);
	value_set_integer(L, "nlink", status.nlink);
	value_set_integer(L, "uid", status.uid);
	value_set_integer(L, "gid", status.gid);
	value_set_integer(L, "ino", (lua_Integer)status.ino);
	value_set_integer(L, "size", (lua_Integer)status.size);
	value_set_integer(L, "blocks", (lua_Integer)status.blocks);
	value_set_integer(L, "blksize", status.blksize);
	value_set_integer(L, "dev_major", status.dev_major);
	value_set_integer(L, "dev_minor", status.dev_minor);
	value_set_integer(L, "rdev_major", status.rdev_major);
	value_set_integer(L, "rdev_minor", status.rdev_minor);
	value_set_integer(L, "attributes", (lua_Integer)status.attributes);
	set_time(L, "atime_ns", status.has_atime, status.atime_ns);
	set_time(L, "btime_ns", status.has_btime, status.btime_ns);
	set_time(L, "ctime_ns", status.has_ctime, status.ctime_ns);
	set_time(L, "mtime_ns", status.has_mtime, status.mtime_ns);
	set_time(L, "mnt_id", status.has_mnt_id, (int64_t)status.mnt_id);
	return 1;
}

struct listing {
	lua_State *L;
	const struct provium_dir_entry *entry;
	lua_Integer count;
	bool failed;
};

/* In protected mode: appends the entry to the table that is kept. */
static int append_entry(lua_State *L)
{
	struct listing *listing = lua_touserdata(L, 1);

	lua_rawgetp(L, LUA_REGISTRYINDEX, listing);
	lua_createtable(L, 0, 3);
	value_set_string(L, "name", listing->entry->name);
	value_set_string(L, "type", type_name(DTTOIF(listing->entry->type)));
	value_set_integer(L, "ino", (lua_Integer)listing->entry->ino);
	lua_seti(L, -2, ++listing->count);
	return 0;
}

static int on_entry(void *user, const struct provium_dir_entry *entry)
{
	struct listing *listing = user;

	listing->entry = entry;
	listing->failed = !value_protect(listing->L, append_entry, listing);
	return listing->failed ? -1 : 0;
}

/* connection:listdir(path): { name, type, ino } in the file system's order. */
static int look_listdir(lua_State *L)
{
	struct lua_connection *connection = guest_check_connection(L, 1);
	const char *path = luaL_checkstring(L, 2);
	struct listing listing = { .L = L };
	struct provium_error error;
	int rc;

	lua_newtable(L);
	value_keep(L, -1, &listing);
	rc = provium_list_dir(connection->connection, path, on_entry, &listing,
			      connection->timeout_ms, &error);
	value_forget(L, &listing);
	if (listing.failed)
		return lua_error(L);
	if (rc < 0)
		return value_raise(L, &error);
	return 1;
}

struct tail {
	lua_State *L;
	enum provium_tail_event event;
	const void *data;
	size_t size;
	bool failed;
	/* The function has returned true: enough. */
	bool enough;
};

/* In protected mode: function(data, event). */
static int call_tail(lua_State *L)
{
	static const char *const events[] = {
		[PROVIUM_TAIL_DATA] = "data",
		[PROVIUM_TAIL_TRUNCATED] = "truncated",
		[PROVIUM_TAIL_ROTATED] = "rotated",
	};
	struct tail *tail = lua_touserdata(L, 1);

	lua_rawgetp(L, LUA_REGISTRYINDEX, tail);
	lua_pushlstring(L, tail->data ? tail->data : "", tail->size);
	lua_pushstring(L, events[tail->event]);
	lua_call(L, 2, 1);
	tail->enough = lua_toboolean(L, -1);
	return 0;
}

static int on_tail(void *user, enum provium_tail_event event, uint64_t offset, const void *data,
		   size_t size)
{
	struct tail *tail = user;

	(void)offset;
	tail->event = event;
	tail->data = data;
	tail->size = size;
	tail->failed = !value_protect(tail->L, call_tail, tail);
	return tail->failed || tail->enough ? 1 : 0;
}

/*
 * connection:tail(path or fd, function, start, timeout): until the function returns true. start:
 * "end", "beginning", or an offset.
 */
static int look_tail(lua_State *L)
{
	struct lua_connection *connection = guest_check_connection(L, 1);
	struct provium_tail_options options = { .start = PROVIUM_TAIL_END };
	struct tail tail = { .L = L };
	struct provium_error error;
	const char *path = NULL;
	int timeout_ms;
	int rc;

	luaL_checktype(L, 3, LUA_TFUNCTION);
	options.has_fd = lua_type(L, 2) == LUA_TNUMBER;
	if (options.has_fd)
		options.fd = (int)luaL_checkinteger(L, 2);
	else
		path = luaL_checkstring(L, 2);
	if (lua_type(L, 4) == LUA_TNUMBER) {
		options.start = PROVIUM_TAIL_OFFSET;
		options.offset = (uint64_t)luaL_checkinteger(L, 4);
	} else {
		static const char *const starts[] = { "end", "beginning", NULL };

		options.start = (enum provium_tail_start)luaL_checkoption(L, 4, "end", starts);
	}
	timeout_ms = value_seconds(L, 5, connection->timeout_ms);
	value_keep(L, 3, &tail);
	connection->busy = true;
	rc = provium_tail(connection->connection, path, &options, on_tail, &tail, timeout_ms,
			  &error);
	connection->busy = false;
	value_forget(L, &tail);
	if (tail.failed)
		return lua_error(L);
	if (rc < 0)
		return value_raise(L, &error);
	return 0;
}

const luaL_Reg look_methods[] = {
	{ "listdir", look_listdir },
	{ "stat", look_stat },
	{ "tail", look_tail },
	{ NULL, NULL },
};
