/* What is done to a path in one round trip. */
#include <errno.h>
#include <limits.h>

#include "host/lib/file.h"

/* what is done to path, by a message whose body is set. */
static int call_ok(struct provium_connection *connection, const char *what, const char *path,
		   Provium__V1__Message *message, int timeout_ms, struct provium_error *error)
{
	struct deadline deadline = deadline_after(timeout_ms);
	struct request request = { .what = what, .subject = path, .on_message = request_take_ok };

	return request_call(connection, &request, message, &deadline, error);
}

/* ------------------------------------------------------------------------------------------- */
/* STAT and READLINK */

void file_status_take(const Provium__V1__StatResult *result, struct provium_file_status *status)
{
	*status = (struct provium_file_status){
		.mask = result->mask,
		.mode = result->mode,
		.nlink = result->nlink,
		.uid = result->uid,
		.gid = result->gid,
		.ino = result->ino,
		.size = result->size,
		.blocks = result->blocks,
		.blksize = result->blksize,
		.attributes = result->attributes,
		.attributes_mask = result->attributes_mask,
		.has_atime = result->has_atime_ns,
		.has_btime = result->has_btime_ns,
		.has_ctime = result->has_ctime_ns,
		.has_mtime = result->has_mtime_ns,
		.atime_ns = result->atime_ns,
		.btime_ns = result->btime_ns,
		.ctime_ns = result->ctime_ns,
		.mtime_ns = result->mtime_ns,
		.rdev_major = result->rdev_major,
		.rdev_minor = result->rdev_minor,
		.dev_major = result->dev_major,
		.dev_minor = result->dev_minor,
		.has_mnt_id = result->has_mnt_id,
		.mnt_id = result->mnt_id,
		.has_dio_align = result->has_dio_mem_align,
		.has_dio_read_align = result->has_dio_read_offset_align,
		.has_subvol = result->has_subvol,
		.has_atomic_write = result->has_atomic_write_unit_max,
		.dio_mem_align = result->dio_mem_align,
		.dio_offset_align = result->dio_offset_align,
		.subvol = result->subvol,
		.atomic_write_unit_min = result->atomic_write_unit_min,
		.atomic_write_unit_max = result->atomic_write_unit_max,
		.atomic_write_segments_max = result->atomic_write_segments_max,
		.dio_read_offset_align = result->dio_read_offset_align,
		.atomic_write_unit_max_opt = result->atomic_write_unit_max_opt,
	};
}

struct status_request {
	struct request request;
	struct provium_file_status *status;
};

static enum request_verdict on_status(struct request *request, const Provium__V1__Message *message)
{
	if (message->body_case != PROVIUM__V1__MESSAGE__BODY_STAT_RESULT)
		return request_unexpected(request, message);
	file_status_take(message->stat_result,
			 container_of(request, struct status_request, request)->status);
	return REQUEST_FINAL;
}

static int call_stat(struct provium_connection *connection, const struct file_target *target,
		     bool follow, const struct deadline *deadline,
		     struct provium_file_status *status, struct provium_error *error)
{
	struct status_request status_request = {
		.request = { .what = "stat", .subject = target->subject, .on_message = on_status },
		.status = status,
	};
	Provium__V1__Stat body = PROVIUM__V1__STAT__INIT;
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;

	body.has_path = target->has_path;
	body.path = target->path;
	body.has_fd = target->has_fd;
	body.fd = target->fd;
	body.has_follow = !follow;
	body.follow = follow;
	message.body_case = PROVIUM__V1__MESSAGE__BODY_STAT;
	message.stat = &body;
	return request_call(connection, &status_request.request, &message, deadline, error);
}

int file_status(struct provium_connection *connection, const char *path, bool follow,
		const struct deadline *deadline, struct provium_file_status *status,
		struct provium_error *error)
{
	struct file_target target;

	if (file_target(&target, path, false, 0, error) < 0)
		return -1;
	return call_stat(connection, &target, follow, deadline, status, error);
}

int provium_stat(struct provium_connection *connection, const char *path, bool follow,
		 int timeout_ms, struct provium_file_status *status, struct provium_error *error)
{
	struct deadline deadline = deadline_after(timeout_ms);

	return file_status(connection, path, follow, &deadline, status, error);
}

int provium_stat_fd(struct provium_connection *connection, int fd, int timeout_ms,
		    struct provium_file_status *status, struct provium_error *error)
{
	struct deadline deadline = deadline_after(timeout_ms);
	struct file_target target;

	if (file_target(&target, NULL, true, fd, error) < 0)
		return -1;
	return call_stat(connection, &target, true, &deadline, status, error);
}

char *file_link_take(struct request *request, const Provium__V1__ReadlinkResult *result)
{
	const ProtobufCBinaryData *bytes = &result->target;
	char *target;

	/* As symlink(2) makes them: never empty, shorter than PATH_MAX. */
	if (bytes->len == 0 || bytes->len >= PATH_MAX || memchr(bytes->data, '\0', bytes->len)) {
		request_broken(request, "a link of %zu bytes, or with a NUL", bytes->len);
		return NULL;
	}
	target = strndup((const char *)bytes->data, bytes->len);
	if (!target)
		error_set(request->error, PROVIUM_HOST, ENOMEM, "%s: readlink", request->subject);
	return target;
}

struct link_request {
	struct request request;
	char *target;
};

static enum request_verdict on_link(struct request *request, const Provium__V1__Message *message)
{
	struct link_request *link = container_of(request, struct link_request, request);

	if (message->body_case != PROVIUM__V1__MESSAGE__BODY_READLINK_RESULT)
		return request_unexpected(request, message);
	link->target = file_link_take(request, message->readlink_result);
	if (link->target)
		return REQUEST_FINAL;
	return request->connection->lost ? REQUEST_MORE : REQUEST_GIVE_UP;
}

int file_readlink(struct provium_connection *connection, const char *path,
		  const struct deadline *deadline, char **target, struct provium_error *error)
{
	struct link_request link = {
		.request = { .what = "readlink", .subject = path, .on_message = on_link },
	};
	Provium__V1__Readlink body = PROVIUM__V1__READLINK__INIT;
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;

	body.has_path = true;
	body.path = bytes_of(path);
	message.body_case = PROVIUM__V1__MESSAGE__BODY_READLINK;
	message.readlink = &body;
	*target = NULL;
	if (request_call(connection, &link.request, &message, deadline, error) < 0)
		return -1;
	*target = link.target;
	return 0;
}

int provium_readlink(struct provium_connection *connection, const char *path, int timeout_ms,
		     char **target, struct provium_error *error)
{
	struct deadline deadline = deadline_after(timeout_ms);

	return file_readlink(connection, path, &deadline, target, error);
}

/* ------------------------------------------------------------------------------------------- */
/* Those that change something */

int provium_mkdir(struct provium_connection *connection, const char *path, unsigned int mode,
		  bool parents, int timeout_ms, struct provium_error *error)
{
	Provium__V1__Mkdir body = PROVIUM__V1__MKDIR__INIT;
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;

	body.has_path = true;
	body.path = bytes_of(path);
	body.has_mode = true;
	body.mode = mode;
	body.has_parents = parents;
	body.parents = parents;
	message.body_case = PROVIUM__V1__MESSAGE__BODY_MKDIR;
	message.mkdir = &body;
	return call_ok(connection, "mkdir", path, &message, timeout_ms, error);
}

int provium_remove(struct provium_connection *connection, const char *path, bool recursive,
		   bool missing_ok, int timeout_ms, struct provium_error *error)
{
	Provium__V1__Remove body = PROVIUM__V1__REMOVE__INIT;
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;

	body.has_path = true;
	body.path = bytes_of(path);
	body.has_recursive = recursive;
	body.recursive = recursive;
	body.has_missing_ok = missing_ok;
	body.missing_ok = missing_ok;
	message.body_case = PROVIUM__V1__MESSAGE__BODY_REMOVE;
	message.remove = &body;
	return call_ok(connection, "remove", path, &message, timeout_ms, error);
}

int provium_rename(struct provium_connection *connection, const char *old_path,
		   const char *new_path, uint32_t flags, int timeout_ms,
		   struct provium_error *error)
{
	Provium__V1__Rename body = PROVIUM__V1__RENAME__INIT;
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;

	body.has_old_path = true;
	body.old_path = bytes_of(old_path);
	body.has_new_path = true;
	body.new_path = bytes_of(new_path);
	body.has_flags = flags != 0;
	body.flags = flags;
	message.body_case = PROVIUM__V1__MESSAGE__BODY_RENAME;
	message.rename = &body;
	return call_ok(connection, "rename", old_path, &message, timeout_ms, error);
}

int provium_symlink(struct provium_connection *connection, const char *target, const char *path,
		    int timeout_ms, struct provium_error *error)
{
	Provium__V1__Symlink body = PROVIUM__V1__SYMLINK__INIT;
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;

	body.has_target = true;
	body.target = bytes_of(target);
	body.has_path = true;
	body.path = bytes_of(path);
	message.body_case = PROVIUM__V1__MESSAGE__BODY_SYMLINK;
	message.symlink = &body;
	return call_ok(connection, "symlink", path, &message, timeout_ms, error);
}

int provium_chmod(struct provium_connection *connection, const char *path, unsigned int mode,
		  int timeout_ms, struct provium_error *error)
{
	Provium__V1__Chmod body = PROVIUM__V1__CHMOD__INIT;
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;

	body.has_path = true;
	body.path = bytes_of(path);
	body.has_mode = true;
	body.mode = mode;
	message.body_case = PROVIUM__V1__MESSAGE__BODY_CHMOD;
	message.chmod = &body;
	return call_ok(connection, "chmod", path, &message, timeout_ms, error);
}

int provium_chown(struct provium_connection *connection, const char *path, uint32_t uid,
		  uint32_t gid, bool follow, int timeout_ms, struct provium_error *error)
{
	Provium__V1__Chown body = PROVIUM__V1__CHOWN__INIT;
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;

	body.has_path = true;
	body.path = bytes_of(path);
	body.has_uid = uid != UINT32_MAX;
	body.uid = uid;
	body.has_gid = gid != UINT32_MAX;
	body.gid = gid;
	body.has_follow = !follow;
	body.follow = follow;
	message.body_case = PROVIUM__V1__MESSAGE__BODY_CHOWN;
	message.chown = &body;
	return call_ok(connection, "chown", path, &message, timeout_ms, error);
}

int provium_mount(struct provium_connection *connection, const char *source, const char *target,
		  const char *fstype, uint64_t flags, const char *data, int timeout_ms,
		  struct provium_error *error)
{
	Provium__V1__Mount body = PROVIUM__V1__MOUNT__INIT;
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;

	body.has_source = source != NULL;
	body.source = bytes_of(source ? source : "");
	body.has_target = true;
	body.target = bytes_of(target);
	body.has_fstype = fstype != NULL;
	body.fstype = bytes_of(fstype ? fstype : "");
	body.has_flags = flags != 0;
	body.flags = flags;
	body.has_data = data != NULL;
	body.data = bytes_of(data ? data : "");
	message.body_case = PROVIUM__V1__MESSAGE__BODY_MOUNT;
	message.mount = &body;
	return call_ok(connection, "mount", target, &message, timeout_ms, error);
}

int provium_umount(struct provium_connection *connection, const char *target, uint32_t flags,
		   int timeout_ms, struct provium_error *error)
{
	Provium__V1__Umount body = PROVIUM__V1__UMOUNT__INIT;
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;

	body.has_target = true;
	body.target = bytes_of(target);
	body.has_flags = flags != 0;
	body.flags = flags;
	message.body_case = PROVIUM__V1__MESSAGE__BODY_UMOUNT;
	message.umount = &body;
	return call_ok(connection, "umount", target, &message, timeout_ms, error);
}
