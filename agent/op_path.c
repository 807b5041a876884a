/* File operations that are one system call, or a few, on names. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>

#include "agent/ops.h"
#include "agent/os.h"
#include "agent/path.h"
#include "agent/reply.h"
#include "agent/rules.h"
#include "agent/statx.h"
#include "common/cleanup.h"

#define DEFAULT_DIR_MODE 0755

/* Does what is asked for. NULL: done; otherwise the call that failed, with errno, or no_memory. */
typedef const char *(*path_call)(const Provium__V1__Message *message, char *path);

static const char no_memory[] = "malloc";

/* An ERROR for what has failed. */
static void refuse(struct session *session, uint32_t id, const Provium__V1__Message *message,
		   const char *failed, const char *path)
{
	const char *name = rule_of(message->body_case)->name;

	if (failed == no_memory)
		reply_error(session, id, ERROR_LIMIT, NULL, 0, "%s: no memory", name);
	else
		reply_os_error(session, id, failed, errno, "%s: \"%.300s\"", name, path);
}

static void on_path(struct session *session, uint32_t id, const Provium__V1__Message *message,
		    const ProtobufCBinaryData *bytes, path_call call)
{
	cleanup_free char *path = path_from_bytes(bytes);
	const char *failed = path ? call(message, path) : no_memory;

	if (failed)
		refuse(session, id, message, failed, path);
	else
		reply_ok(session, id);
}

/* The umask does not apply. */
static int make_directory(const char *path, mode_t mode)
{
	return os_mkdir(path, mode) < 0 ? -1 : os_chmod(path, mode);
}

/* Whether EEXIST, which errno says, is no failure. */
static bool is_directory(const char *path)
{
	struct statx status;
	bool is = os_statx(AT_FDCWD, path, 0, STATX_TYPE, &status) == 0 && S_ISDIR(status.stx_mode);

	errno = EEXIST;
	return is;
}

/* Those above have the mode that is usual. */
static bool make_above(char *path)
{
	for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		const char *rest = slash;
		int result;

		while (*rest == '/')
			rest++;
		/* The last name, with a slash behind it. */
		if (!*rest)
			break;
		*slash = '\0';
		result = make_directory(path, DEFAULT_DIR_MODE);
		*slash = '/';
		if (result < 0 && errno != EEXIST)
			return false;
	}
	return true;
}

static const char *make(const Provium__V1__Message *message, char *path)
{
	const Provium__V1__Mkdir *request = message->mkdir;
	bool parents = request->parents;

	if ((!parents || make_above(path)) &&
	    make_directory(path, request->has_mode ? request->mode : DEFAULT_DIR_MODE) == 0)
		return NULL;
	return parents && errno == EEXIST && is_directory(path) ? NULL : "mkdir";
}

void op_mkdir(struct session *session, uint32_t id, const Provium__V1__Message *message)
{
	on_path(session, id, message, &message->mkdir->path, make);
}

static const char *rename_to(const Provium__V1__Message *message, char *path)
{
	const Provium__V1__Rename *request = message->rename;
	cleanup_free char *to = path_from_bytes(&request->new_path);

	if (!to)
		return no_memory;
	return os_rename(path, to, request->flags) < 0 ? "renameat2" : NULL;
}

void op_rename(struct session *session, uint32_t id, const Provium__V1__Message *message)
{
	on_path(session, id, message, &message->rename->old_path, rename_to);
}

static const char *link_to(const Provium__V1__Message *message, char *path)
{
	cleanup_free char *target = string_from_bytes(&message->symlink->target);

	if (!target)
		return no_memory;
	return os_symlink(target, path) < 0 ? "symlink" : NULL;
}

void op_symlink(struct session *session, uint32_t id, const Provium__V1__Message *message)
{
	on_path(session, id, message, &message->symlink->path, link_to);
}

void op_readlink(struct session *session, uint32_t id, const Provium__V1__Message *request)
{
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__ReadlinkResult result = PROVIUM__V1__READLINK_RESULT__INIT;
	cleanup_free char *path = path_from_bytes(&request->readlink->path);
	uint8_t target[PATH_MAX];
	ssize_t length = path ? os_readlink(AT_FDCWD, path, target, sizeof(target)) : -1;

	if (length < 0) {
		refuse(session, id, request, path ? "readlink" : no_memory, path);
		return;
	}
	result.target = (ProtobufCBinaryData){ (size_t)length, target };
	message.body_case = PROVIUM__V1__MESSAGE__BODY_READLINK_RESULT;
	message.readlink_result = &result;
	reply_send(session, id, &message);
}

static const char *change_mode(const Provium__V1__Message *message, char *path)
{
	return os_chmod(path, message->chmod->mode) < 0 ? "chmod" : NULL;
}

void op_chmod(struct session *session, uint32_t id, const Provium__V1__Message *message)
{
	on_path(session, id, message, &message->chmod->path, change_mode);
}

static const char *change_owner(const Provium__V1__Message *message, char *path)
{
	const Provium__V1__Chown *request = message->chown;
	int flags = !request->has_follow || request->follow ? 0 : AT_SYMLINK_NOFOLLOW;

	return os_chown(path, request->has_uid ? request->uid : (uid_t)-1,
			request->has_gid ? request->gid : (gid_t)-1, flags) < 0
		       ? "chown"
		       : NULL;
}

void op_chown(struct session *session, uint32_t id, const Provium__V1__Message *message)
{
	on_path(session, id, message, &message->chown->path, change_owner);
}

/* As it is; absent: none. False: no memory. */
static bool take_string(char **string, bool is_there, const ProtobufCBinaryData *bytes)
{
	if (is_there)
		*string = string_from_bytes(bytes);
	return !is_there || *string;
}

static const char *mount_on(const Provium__V1__Message *message, char *path)
{
	const Provium__V1__Mount *request = message->mount;
	cleanup_free char *source = NULL;
	cleanup_free char *fstype = NULL;
	cleanup_free char *data = NULL;

	if (!take_string(&source, request->has_source, &request->source) ||
	    !take_string(&fstype, request->has_fstype, &request->fstype) ||
	    !take_string(&data, request->has_data, &request->data))
		return no_memory;
	return os_mount(source, path, fstype, request->flags, data) < 0 ? "mount" : NULL;
}

void op_mount(struct session *session, uint32_t id, const Provium__V1__Message *message)
{
	on_path(session, id, message, &message->mount->target, mount_on);
}

static const char *unmount(const Provium__V1__Message *message, char *path)
{
	return os_umount(path, message->umount->flags) < 0 ? "umount2" : NULL;
}

void op_umount(struct session *session, uint32_t id, const Provium__V1__Message *message)
{
	on_path(session, id, message, &message->umount->target, unmount);
}
