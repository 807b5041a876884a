/* Copying one file into the guest or out of it, whole or not at all. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "common/cleanup.h"
#include "host/lib/file.h"

struct progress {
	const struct provium_copy_options *options;
	uint64_t done;
	uint64_t total;
};

static void advance(struct progress *progress, size_t size)
{
	progress->done += size;
	if (progress->options && progress->options->progress)
		progress->options->progress(progress->options->user, progress->done,
					    progress->total);
}

/* ------------------------------------------------------------------------------------------- */
/* Push */

struct push {
	int fd;
	/* errno of a read that has failed. */
	int failure;
	struct progress progress;
};

static ptrdiff_t from_file(void *user, void *data, size_t size)
{
	struct push *push = user;
	ssize_t count;

	do {
		count = read(push->fd, data, size);
	} while (count < 0 && errno == EINTR);
	if (count < 0) {
		push->failure = errno;
		return -errno;
	}
	if (count > 0)
		advance(&push->progress, (size_t)count);
	return count;
}

/* Only a regular file has an end that does not have to be waited for, and a size. */
static int open_source(const char *path, struct stat *status, struct provium_error *error)
{
	cleanup_close int fd = -1;

	*status = (struct stat){ 0 };
	/* Without O_NONBLOCK a FIFO would wait here for a writer. */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return error_set(error, PROVIUM_HOST, errno, "open %s", path);
	if (fstat(fd, status) < 0)
		return error_set(error, PROVIUM_HOST, errno, "stat %s", path);
	if (!S_ISREG(status->st_mode))
		return error_set(error, PROVIUM_INVALID, 0, "%s is %s, not a regular file", path,
				 S_ISDIR(status->st_mode) ? "a directory" : "special");
	return steal_fd(&fd);
}

int provium_push(struct provium_connection *connection, const char *host_path,
		 const char *guest_path, const struct provium_copy_options *options, int timeout_ms,
		 struct provium_error *error)
{
	struct deadline deadline = deadline_after(timeout_ms);
	struct provium_write_options write = { .has_mode = true, .atomic = true };
	struct push push = { .progress = { .options = options } };
	cleanup_close int fd = -1;
	struct stat status;

	fd = open_source(host_path, &status, error);
	if (fd < 0)
		return -1;
	push.fd = fd;
	push.progress.total = (uint64_t)status.st_size;
	write.mode = status.st_mode & 07777;
	if (file_write(connection, guest_path, &write, from_file, &push, &deadline, NULL, error) ==
	    0)
		return 0;
	if (push.failure)
		error_set(error, PROVIUM_HOST, push.failure, "%s: read", host_path);
	return -1;
}

/* ------------------------------------------------------------------------------------------- */
/* Pull */

struct pull {
	/* The file that is written, beside the target; "" while there is none. */
	char path[PATH_MAX];
	int fd;
	/* errno of a write that has failed. */
	int failure;
	struct progress progress;
};

static void pull_finish(struct pull *pull)
{
	pull->fd = close_fd(pull->fd);
	if (*pull->path)
		unlink(pull->path);
}

/* Renaming onto a device or a link would replace what others need; a directory cannot be replaced.
 */
static int check_target(const char *path, struct provium_error *error)
{
	struct stat status;

	if (lstat(path, &status) < 0) {
		if (errno == ENOENT && *path)
			return 0;
		return error_set(error, PROVIUM_HOST, errno, "%s", path);
	}
	if (S_ISDIR(status.st_mode))
		return error_set(error, PROVIUM_HOST, EISDIR, "%s: name the file", path);
	if (!S_ISREG(status.st_mode))
		return error_set(error, PROVIUM_INVALID, 0,
				 "%s is %s: only a regular file is replaced", path,
				 S_ISLNK(status.st_mode) ? "a symbolic link" : "special");
	return 0;
}

/* Makes the file beside the target, with the mode that the umask gives. */
static int open_beside(struct pull *pull, const char *target, struct provium_error *error)
{
	const char *slash = strrchr(target, '/');
	int directory = slash ? (int)(slash - target) + 1 : 0;
	uint64_t number;
	int length;

	do {
		if (getrandom(&number, sizeof(number), 0) != (ssize_t)sizeof(number))
			return error_set(error, PROVIUM_HOST, errno, "getrandom");
		length = snprintf(pull->path, sizeof(pull->path), "%.*s.provium-%016" PRIx64,
				  directory, target, number);
		if (length < 0 || (size_t)length >= sizeof(pull->path)) {
			*pull->path = '\0';
			return error_set(error, PROVIUM_HOST, ENAMETOOLONG, "%s", target);
		}
		pull->fd = open(pull->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW,
				0666);
	} while (pull->fd < 0 && errno == EEXIST);
	if (pull->fd < 0) {
		int failure = errno;

		*pull->path = '\0';
		return error_set(error, PROVIUM_HOST, failure, "%s: cannot make a file beside it",
				 target);
	}
	return 0;
}

static int to_file(void *user, const void *data, size_t size)
{
	struct pull *pull = user;
	const uint8_t *next = data;
	size_t left = size;

	while (left > 0) {
		ssize_t count = write(pull->fd, next, left);

		if (count < 0 && errno == EINTR)
			continue;
		if (count < 0) {
			pull->failure = errno;
			return -1;
		}
		next += count;
		left -= (size_t)count;
	}
	advance(&pull->progress, size);
	return 0;
}

/* close(2) tells what some file systems notice only then; after it the fd is gone in any case. */
static int put_in_place(struct pull *pull, const char *target, struct provium_error *error)
{
	int fd = steal_fd(&pull->fd);

	if (close(fd) < 0 && errno != EINTR)
		return error_set(error, PROVIUM_HOST, errno, "%s: write", target);
	if (rename(pull->path, target) < 0)
		return error_set(error, PROVIUM_HOST, errno, "%s: rename", target);
	*pull->path = '\0';
	return 0;
}

/*
 * Size and permission bits, where this agent tells them. Set-id bits stay in the guest: there any
 * program may set them, here they would count for the user who pulls.
 */
static int take_status(struct provium_connection *connection, const char *path, struct pull *pull,
		       const struct deadline *deadline, struct provium_error *error)
{
	struct file_status status;

	if (!connection_serves(connection, PROVIUM__V1__MESSAGE__BODY_STAT))
		return 0;
	if (file_status(connection, path, deadline, &status, error) < 0)
		return -1;
	if (!S_ISREG(status.mode))
		return 0;
	pull->progress.total = status.size;
	if (fchmod(pull->fd, status.mode & 0777) < 0)
		return error_set(error, PROVIUM_HOST, errno, "%s: chmod", pull->path);
	return 0;
}

int provium_pull(struct provium_connection *connection, const char *guest_path,
		 const char *host_path, const struct provium_copy_options *options, int timeout_ms,
		 struct provium_error *error)
{
	struct deadline deadline = deadline_after(timeout_ms);
	cleanup(pull_finish) struct pull pull = { .fd = -1, .progress = { .options = options } };

	if (check_target(host_path, error) < 0 || open_beside(&pull, host_path, error) < 0 ||
	    take_status(connection, guest_path, &pull, &deadline, error) < 0)
		return -1;
	if (file_read(connection, guest_path, NULL, to_file, &pull, &deadline, NULL, error) < 0) {
		if (pull.failure)
			error_set(error, PROVIUM_HOST, pull.failure, "%s: write", host_path);
		return -1;
	}
	return put_in_place(&pull, host_path, error);
}
