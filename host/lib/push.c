/* Copying into the guest. push.h tells how requests are sent ahead. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>

#include "common/cleanup.h"
#include "host/lib/push.h"
#include "host/lib/source.h"
#include "proto/limits.h"

/* ------------------------------------------------------------------------------------------- */
/* Files */

static int fail_host(const struct push *push, const char *what, struct provium_error *error)
{
	return error_set(error, PROVIUM_HOST, errno, "%s: %s", push->walk.host.text, what);
}

/* A regular file, open as fd, to the guest's path at hand. */
static int push_file(struct push *push, int fd, unsigned int mode, struct provium_error *error)
{
	const struct provium_write_options options = {
		.mode = mode & 07777,
		.has_mode = true,
		.atomic = true,
	};
	struct source source = { .fd = fd, .sparse = push->sparse };
	struct operation *operation;
	struct file_piece piece;

	copy_tell_entry(&push->progress, push->walk.host.text);
	if (push_room(push, error) < 0)
		return -1;
	operation = operation_new(push, NULL, error);
	if (!operation || file_write_start(push->connection, &operation->writing, operation->path,
					   &options, error) < 0)
		return -1;
	do {
		if (push_window(push, error) < 0)
			return -1;
		/* It has failed, or one before it, which is then found first. */
		if (operation->writing.request.state != REQUEST_IN_FLIGHT)
			return push_drain(push, error);
		if (source_next(&source, push->chunk, &piece) < 0)
			return fail_host(push, "read", error);
		if (file_write_send(&operation->writing, &piece, error) < 0)
			return -1;
		if (piece.hole + piece.size > 0)
			copy_advance(&push->progress, piece.hole + piece.size);
	} while (!piece.last);
	return 0;
}

/* ------------------------------------------------------------------------------------------- */
/* Symbolic links */

/*
 * There is something of that name. A link is replaced, as a file is, by a rename; anything else is
 * not.
 */
static int replace_link(struct push *push, const struct operation *operation,
			struct provium_error *error)
{
	int timeout_ms = deadline_remaining_ms(&push->deadline);
	char name[COPY_TEMPORARY_SIZE];
	struct provium_error ignored;
	struct copy_path path;
	cleanup_free char *says = NULL;

	if (file_readlink(push->connection, operation->path, &push->deadline, &says, error) < 0)
		return error->code == PROVIUM_GUEST ? error_copy(error, &operation->failure) : -1;
	if (strcmp(says, operation->link_target) == 0)
		return 0;
	if (copy_path_set(&path, operation->path, error) < 0)
		return -1;
	copy_path_cut(&path, path.length - strlen(copy_path_name(&path)));
	if (copy_temporary_name(name, error) < 0 || copy_path_append(&path, name, error) < 0 ||
	    provium_symlink(push->connection, operation->link_target, path.text, timeout_ms,
			    error) < 0)
		return -1;
	if (provium_rename(push->connection, path.text, operation->path, 0, timeout_ms, error) == 0)
		return 0;
	provium_remove(push->connection, path.text, false, true, timeout_ms, &ignored);
	return -1;
}

static int link_ended(struct push *push, struct operation *operation, struct provium_error *error)
{
	if (operation->writing.request.state == REQUEST_DONE)
		return 0;
	if (operation->failure.code == PROVIUM_GUEST && operation->failure.os_errno == EEXIST)
		return replace_link(push, operation, error);
	return error_copy(error, &operation->failure);
}

static int push_link(struct push *push, const char *name, struct provium_error *error)
{
	Provium__V1__Symlink body = PROVIUM__V1__SYMLINK__INIT;
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	struct operation *operation;
	char target[PATH_MAX];
	ssize_t length = readlinkat(push->walk.fd, name, target, sizeof(target) - 1);

	if (length < 0)
		return fail_host(push, "readlink", error);
	target[length] = '\0';
	if (push_room(push, error) < 0)
		return -1;
	operation = operation_new(push, link_ended, error);
	if (!operation)
		return -1;
	operation->link_target = strdup(target);
	if (!operation->link_target)
		return fail_host(push, "readlink", error);
	body.has_target = true;
	body.target = bytes_of(operation->link_target);
	body.has_path = true;
	body.path = bytes_of(operation->path);
	message.body_case = PROVIUM__V1__MESSAGE__BODY_SYMLINK;
	message.symlink = &body;
	return operation_send(push, operation, "symlink", request_take_ok, &message, error);
}

/* ------------------------------------------------------------------------------------------- */
/* Directories */

static enum request_verdict on_status(struct request *request, const Provium__V1__Message *message)
{
	struct operation *operation = container_of(request, struct operation, writing.request);

	if (message->body_case != PROVIUM__V1__MESSAGE__BODY_STAT_RESULT)
		return request_unexpected(request, message);
	operation->is_directory = S_ISDIR(message->stat_result->mode);
	return REQUEST_FINAL;
}

static int status_ended(struct push *push, struct operation *operation, struct provium_error *error)
{
	(void)push;
	if (operation->writing.request.state == REQUEST_FAILED)
		return error_copy(error, &operation->failure);
	if (!operation->is_directory)
		return error_set(error, PROVIUM_GUEST, EEXIST,
				 "%s: it is there and no directory (mkdir: EEXIST)",
				 operation->path);
	return 0;
}

/* What was there may be a directory, which is as good; then the operation goes on as a STAT. */
static int mkdir_ended(struct push *push, struct operation *operation, struct provium_error *error)
{
	Provium__V1__Stat body = PROVIUM__V1__STAT__INIT;
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;

	if (operation->writing.request.state == REQUEST_DONE)
		return 0;
	if (operation->failure.code != PROVIUM_GUEST || operation->failure.os_errno != EEXIST)
		return error_copy(error, &operation->failure);
	if (operation->existed)
		*operation->existed = true;
	operation->on_end = status_ended;
	body.has_path = true;
	body.path = bytes_of(operation->path);
	message.body_case = PROVIUM__V1__MESSAGE__BODY_STAT;
	message.stat = &body;
	return operation_send(push, operation, "stat", on_status, &message, error);
}

/*
 * Makes the directory at hand in the guest. A mode that keeps its owner out is set when all is in
 * it: *later. Only then is the reply waited for, since a directory that was there keeps its mode.
 */
static int make_directory(struct push *push, unsigned int mode, bool *later,
			  struct provium_error *error)
{
	Provium__V1__Mkdir body = PROVIUM__V1__MKDIR__INIT;
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	bool plain = (mode & 0700) == 0700;
	struct operation *operation;
	bool existed = false;

	if (push_room(push, error) < 0)
		return -1;
	operation = operation_new(push, mkdir_ended, error);
	if (!operation)
		return -1;
	operation->existed = plain ? NULL : &existed;
	body.has_path = true;
	body.path = bytes_of(operation->path);
	body.has_mode = true;
	body.mode = mode | 0700;
	message.body_case = PROVIUM__V1__MESSAGE__BODY_MKDIR;
	message.mkdir = &body;
	if (operation_send(push, operation, "mkdir", request_take_ok, &message, error) < 0)
		return -1;
	if (!plain && push_drain(push, error) < 0)
		return -1;
	*later = !plain && !existed;
	return 0;
}

static int type_of(void *user, const char *name, unsigned int *type)
{
	const int *fd = user;
	struct stat status;

	if (fstatat(*fd, name, &status, AT_SYMLINK_NOFOLLOW) < 0)
		return -1;
	*type = IFTODT(status.st_mode);
	return 0;
}

/* -1: errno says why. */
static int read_names(int fd, struct copy_names *names)
{
	/* A description of its own, so that fd stays where it is. */
	cleanup_close int own = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cleanup_dir DIR *dir = own < 0 ? NULL : fdopendir(own);
	const struct dirent *entry;

	if (!dir)
		return -1;
	steal_fd(&own);
	for (;;) {
		errno = 0;
		entry = readdir(dir);
		if (!entry)
			break;
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		if (copy_names_add(names, entry->d_type, entry->d_name) < 0)
			return -1;
	}
	return errno ? -1 : copy_names_retype(names, type_of, &fd);
}

/* Goes down into the directory at hand, open as fd, which is taken over. */
static int push_enter(struct push *push, int fd, size_t guest_length, size_t host_length,
		      struct provium_error *error)
{
	cleanup(copy_names_finish) struct copy_names names = { 0 };
	cleanup_close int directory = fd;
	struct stat status;
	bool later;

	copy_tell_entry(&push->progress, push->walk.host.text);
	if (fstat(directory, &status) < 0 || read_names(directory, &names) < 0)
		return fail_host(push, "cannot be read", error);
	if (make_directory(push, status.st_mode & 07777, &later, error) < 0 ||
	    copy_walk_enter(&push->walk, steal_fd(&directory), &names, guest_length, host_length,
			    error) < 0)
		return -1;
	push->walk.level->has_mode = later;
	push->walk.level->mode = status.st_mode & 07777;
	return 0;
}

static int push_mode(struct push *push, unsigned int mode, struct provium_error *error)
{
	Provium__V1__Chmod body = PROVIUM__V1__CHMOD__INIT;
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	struct operation *operation;

	if (push_room(push, error) < 0)
		return -1;
	operation = operation_new(push, NULL, error);
	if (!operation)
		return -1;
	body.has_path = true;
	body.path = bytes_of(operation->path);
	body.has_mode = true;
	body.mode = mode;
	message.body_case = PROVIUM__V1__MESSAGE__BODY_CHMOD;
	message.chmod = &body;
	return operation_send(push, operation, "chmod", request_take_ok, &message, error);
}

static int push_leave(struct push *push, struct provium_error *error)
{
	const struct copy_level *at_hand = push->walk.level;
	struct copy_level *level;
	int fd;

	if (at_hand->has_mode && push_mode(push, at_hand->mode, error) < 0)
		return -1;
	if (copy_walk_leave(&push->walk, &level, &fd, error) < 0)
		return -1;
	copy_level_free(level);
	close_fd(fd);
	return 0;
}

/* ------------------------------------------------------------------------------------------- */
/* Trees */

/* What an entry is when it is opened counts, whatever it was when it was listed. */
static int push_opened(struct push *push, const char *name, size_t guest_length, size_t host_length,
		       struct provium_error *error)
{
	cleanup_close int fd = openat(push->walk.fd, name,
				      O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	struct stat status;

	if (fd < 0 || fstat(fd, &status) < 0)
		return fail_host(push, "open", error);
	if (S_ISDIR(status.st_mode))
		return push_enter(push, steal_fd(&fd), guest_length, host_length, error);
	if (!S_ISREG(status.st_mode)) {
		copy_tell_skip(&push->progress, push->walk.host.text);
		return 0;
	}
	return push_file(push, fd, status.st_mode, error);
}

static int push_entry(struct push *push, unsigned int type, const char *name,
		      struct provium_error *error)
{
	struct copy_walk *walk = &push->walk;
	const struct copy_level *level = walk->level;
	size_t guest_length = walk->guest.length;
	size_t host_length = walk->host.length;
	int rc = 0;

	if (copy_path_append(&walk->host, name, error) < 0 ||
	    copy_path_append(&walk->guest, name, error) < 0)
		return -1;
	if (type == DT_LNK) {
		copy_tell_entry(&push->progress, walk->host.text);
		rc = push_link(push, name, error);
	} else if (type == DT_REG || type == DT_DIR) {
		rc = push_opened(push, name, guest_length, host_length, error);
	} else {
		copy_tell_skip(&push->progress, walk->host.text);
	}
	if (rc == 0 && walk->level == level) {
		copy_path_cut(&walk->guest, guest_length);
		copy_path_cut(&walk->host, host_length);
	}
	return rc;
}

/* The directory at hand and all below. */
static int push_tree(struct push *push, int fd, struct provium_error *error)
{
	int rc = push_enter(push, fd, push->walk.guest.length, push->walk.host.length, error);

	while (rc == 0 && push->walk.level) {
		unsigned int type;
		const char *name = copy_names_next(&push->walk.level->names, &type);

		rc = name ? push_entry(push, type, name, error) : push_leave(push, error);
	}
	return rc;
}

/* ------------------------------------------------------------------------------------------- */
/* The whole */

/* As cp(1) -R: a directory that is there gets the copy in it. */
static int find_target(struct push *push, bool is_directory, struct provium_error *error)
{
	const struct provium_copy_options *options = push->progress.options;
	struct copy_path *guest = &push->walk.guest;
	struct provium_file_status status;

	if (options && options->exact)
		return 0;
	if (push->target_slash && !is_directory)
		return copy_path_append(guest, copy_path_name(&push->walk.host), error);
	if (!connection_serves(push->connection, PROVIUM__V1__MESSAGE__BODY_STAT))
		return 0;
	if (file_status(push->connection, guest->text, true, &push->deadline, &status, error) < 0)
		return error->code == PROVIUM_GUEST && error->os_errno == ENOENT ? 0 : -1;
	if (!S_ISDIR(status.mode))
		return 0;
	return copy_path_append(guest, copy_path_name(&push->walk.host), error);
}

static int push_all(struct push *push, int fd, const struct stat *status,
		    struct provium_error *error)
{
	cleanup_close int source = fd;
	int rc;

	if (find_target(push, S_ISDIR(status->st_mode), error) < 0)
		return -1;
	if (S_ISDIR(status->st_mode)) {
		rc = push_tree(push, steal_fd(&source), error);
	} else {
		push->progress.total = (uint64_t)status->st_size;
		rc = push_file(push, source, status->st_mode, error);
	}
	return rc < 0 ? rc : push_drain(push, error);
}

static void push_finish(struct push *push)
{
	push_abandon(push);
	copy_walk_finish(&push->walk);
	free(push->chunk);
}

int provium_push(struct provium_connection *connection, const char *host_path,
		 const char *guest_path, const struct provium_copy_options *options, int timeout_ms,
		 struct provium_error *error)
{
	cleanup(push_finish) struct push push = {
		.connection = connection,
		.deadline = deadline_after(timeout_ms),
		.walk.fd = -1,
		.progress.options = options,
		.sparse = options && options->sparse,
		.target_slash = copy_ends_in_slash(guest_path),
	};
	cleanup_close int fd = -1;
	struct provium_error failure;
	struct stat status;

	list_init(&push.operations);
	if (copy_path_set(&push.walk.host, host_path, error) < 0 ||
	    copy_path_set(&push.walk.guest, guest_path, error) < 0)
		return -1;
	push.chunk = malloc(PROVIUM_CHUNK);
	if (!push.chunk)
		return error_set(error, PROVIUM_HOST, ENOMEM, "%s", host_path);
	/* Without O_NONBLOCK a FIFO would wait here for a writer. */
	fd = open(host_path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return error_set(error, PROVIUM_HOST, errno, "open %s", host_path);
	if (fstat(fd, &status) < 0)
		return error_set(error, PROVIUM_HOST, errno, "stat %s", host_path);
	if (!S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode))
		return error_set(error, PROVIUM_INVALID, 0,
				 "%s is special, not a file or a directory", host_path);
	if (push_all(&push, steal_fd(&fd), &status, &failure) < 0)
		return error_copy(error, &failure);
	return 0;
}
