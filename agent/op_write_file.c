/*
 * WRITE_FILE and its WRITE_DATA.
 *
 * Data is written as it comes. Where a file takes none now (a pipe, a terminal) what has come is
 * kept, at most PROVIUM_WRITE_WINDOW bytes, since the host waits for WRITE_ACK beyond that. A hole
 * is a step of the place at which the next data is written; one at the end is made by ftruncate.
 *
 * An atomic one writes a file of a random name beside its target and renames it when all is there
 * and on disk; any other end removes it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include <linux/fs.h>

#include "agent/fds.h"
#include "agent/file.h"
#include "agent/log.h"
#include "agent/ops.h"
#include "agent/os.h"
#include "agent/path.h"
#include "agent/reply.h"
#include "agent/session.h"
#include "agent/statx.h"
#include "agent/turn.h"
#include "agent/watch.h"
#include "common/cleanup.h"
#include "common/util.h"

/* Bytes after which the host is told that it may send as many more. */
#define ACK_EVERY       ((uint64_t)PROVIUM_WRITE_WINDOW / 4)

#define DEFAULT_MODE    0644

/* Attempts at finding a name that nobody has. */
#define TEMPORARY_TRIES 16

struct file_write {
	struct request request;
	struct file file;
	/* "fd N" where it has none. */
	char *path;
	/* Of an atomic one until it is renamed. */
	char *temporary;
	bool exclusive;
	bool append;
	bool sync;
	/* What a file that was made is to have in the end, where it has special bits; else 0. */
	mode_t special_mode;
	/* The last that came was a hole: the file may end before it. */
	bool ends_in_hole;
	/* Bytes written, and of how many the host has been told. */
	uint64_t written;
	uint64_t acked;
	/* What the file does not take now. */
	uint8_t *pending;
	size_t pending_start;
	size_t pending_end;
	bool last_pending;
	struct watch *watch;
};

static void file_write_destroy(struct file_write *write)
{
	watch_stop(write->watch);
	file_close(&write->file);
	if (write->temporary && os_unlinkat(AT_FDCWD, write->temporary, 0) < 0)
		log_warn("WRITE_FILE: cannot remove %s: %s", write->temporary, strerror(errno));
	free(write->temporary);
	free(write->path);
	free(write->pending);
	free(write);
}

static void fail(struct file_write *write, const char *operation, int error)
{
	struct session *session = write->request.session;

	request_end(&write->request);
	reply_os_error(session, write->request.id, operation, error,
		       "WRITE_FILE: \"%.300s\" after %llu bytes", write->path,
		       (unsigned long long)write->written);
	file_write_destroy(write);
}

/* So that the new name, too, is on disk. */
static int sync_directory(const char *path)
{
	cleanup_free char *directory = strdup(path);
	cleanup_close int fd = -1;

	if (!directory)
		return -1;
	/* Every path begins with a slash. */
	strrchr(directory, '/')[1] = '\0';
	fd = os_open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	return fd < 0 ? -1 : os_fsync(fd);
}

/* Puts the temporary file in its place. NULL: done; otherwise what failed, with errno. */
static const char *put_in_place(struct file_write *write)
{
	unsigned int flags = write->exclusive ? RENAME_NOREPLACE : 0;

	if (os_rename(write->temporary, write->path, flags) < 0)
		return "rename";
	free(write->temporary);
	write->temporary = NULL;
	if (write->sync && sync_directory(write->path) < 0)
		return "fsync";
	return NULL;
}

static int look_at(int fd, struct statx *status)
{
	return os_statx(fd, "", AT_EMPTY_PATH, STATX_TYPE | STATX_SIZE, status);
}

/* NULL: all is there; otherwise what failed, with errno. */
static const char *complete(struct file_write *write)
{
	int fd = write->file.fd;
	struct statx status;

	/* Never shorter: others may write to it, too. */
	if (write->ends_in_hole && look_at(fd, &status) == 0 && S_ISREG(status.stx_mode) &&
	    status.stx_size < write->file.offset && ftruncate(fd, (off_t)write->file.offset) < 0)
		return "ftruncate";
	if (write->special_mode && os_fchmod(fd, write->special_mode) < 0)
		return "fchmod";
	if ((write->sync || write->temporary) && os_fsync(fd) < 0 && errno != EINVAL)
		return "fsync";
	/* Some file systems tell only here that the data has found no room. */
	if (!write->file.borrowed && close(steal_fd(&write->file.fd)) < 0 && errno != EINTR)
		return "close";
	return write->temporary ? put_in_place(write) : NULL;
}

static void finish(struct file_write *write)
{
	struct session *session = write->request.session;
	const char *failed = complete(write);

	if (failed) {
		fail(write, failed, errno);
		return;
	}
	request_end(&write->request);
	reply_ok_bytes(session, write->request.id, write->written);
	file_write_destroy(write);
}

static void acknowledge(struct file_write *write)
{
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__WriteAck ack = PROVIUM__V1__WRITE_ACK__INIT;

	if (write->written - write->acked < ACK_EVERY)
		return;
	write->acked = write->written;
	ack.bytes = write->written;
	message.body_case = PROVIUM__V1__MESSAGE__BODY_WRITE_ACK;
	message.write_ack = &ack;
	reply_send(write->request.session, write->request.id, &message);
}

/* Returns how much was written; less than all: errno says why. */
static size_t write_some(struct file_write *write, const uint8_t *data, size_t size)
{
	size_t done = 0;

	while (done < size) {
		ssize_t count = file_write(&write->file, data + done, size - done);

		/* No file should say 0; one that does would keep us here for ever. */
		if (count == 0)
			errno = EIO;
		if (count <= 0)
			break;
		done += (size_t)count;
	}
	write->written += done;
	if (done > 0)
		write->ends_in_hole = false;
	return done;
}

/* Steps over a hole. NULL: done; otherwise what failed, with errno. */
static const char *skip(struct file_write *write, uint64_t hole)
{
	struct file *file = &write->file;
	struct statx status;

	/* What is appended is written at the end, wherever the place is: the end has to move. */
	if (write->append) {
		if (look_at(file->fd, &status) < 0)
			return "statx";
		file->offset = status.stx_size;
	}
	errno = EFBIG;
	if (hole > INT64_MAX - file->offset)
		return "lseek";
	if (write->append) {
		if (ftruncate(file->fd, (off_t)(file->offset + hole)) < 0)
			return "ftruncate";
	} else if (!file->placed && lseek(file->fd, (off_t)(file->offset + hole), SEEK_SET) < 0) {
		return "lseek";
	}
	file->offset += hole;
	write->ends_in_hole = !write->append;
	return NULL;
}

static void on_writable(void *data)
{
	struct file_write *write = data;

	write->pending_start += write_some(write, write->pending + write->pending_start,
					   write->pending_end - write->pending_start);
	if (write->pending_start < write->pending_end) {
		if (errno != EAGAIN)
			fail(write, "write", errno);
		return;
	}
	watch_stop(write->watch);
	write->watch = NULL;
	write->pending_start = 0;
	write->pending_end = 0;
	if (write->last_pending)
		finish(write);
	else
		acknowledge(write);
}

/* Keeps what the file does not take now. False: an errno is set. */
static bool keep(struct file_write *write, const uint8_t *data, size_t size)
{
	size_t kept = write->pending_end - write->pending_start;

	if (!write->pending)
		write->pending = malloc(PROVIUM_WRITE_WINDOW);
	if (!write->watch)
		write->watch = watch_start(write->request.session->loop, write->file.fd,
					   WATCH_WRITABLE, on_writable, write);
	if (!write->pending || !write->watch) {
		errno = ENOMEM;
		return false;
	}
	memmove(write->pending, write->pending + write->pending_start, kept);
	memcpy(write->pending + kept, data, size);
	write->pending_start = 0;
	write->pending_end = kept + size;
	return true;
}

/* What the host has sent and not been told of may not be more than the window. */
static bool is_within_window(const struct file_write *write, size_t size)
{
	uint64_t outstanding = write->written - write->acked;

	outstanding += write->pending_end - write->pending_start;
	return outstanding + size <= PROVIUM_WRITE_WINDOW;
}

void op_write_data(struct session *session, uint32_t id, const Provium__V1__Message *message)
{
	const Provium__V1__WriteData *request = message->write_data;
	struct file_write *write = container_of(session->turn, struct file_write, request);
	const uint8_t *data = request->data.data;
	size_t size = request->data.len;
	const char *failed = NULL;
	size_t done = 0;

	if (write->last_pending || !is_within_window(write, size)) {
		request_end(&write->request);
		reply_error(session, id, write->last_pending ? ERROR_INVALID : ERROR_LIMIT, NULL, 0,
			    write->last_pending
				    ? "WRITE_DATA: the end has been sent already"
				    : "WRITE_DATA: more than %u bytes are not acknowledged",
			    PROVIUM_WRITE_WINDOW);
		file_write_destroy(write);
		return;
	}
	if (request->hole > 0)
		failed = skip(write, request->hole);
	if (failed) {
		fail(write, failed, errno);
		return;
	}
	if (!write->watch)
		done = write_some(write, data, size);
	if (done < size) {
		if ((!write->watch && errno != EAGAIN) || !keep(write, data + done, size - done)) {
			fail(write, "write", errno);
			return;
		}
		write->last_pending = request->last;
	} else if (write->watch) {
		write->last_pending = request->last;
	} else if (request->last) {
		finish(write);
		return;
	}
	acknowledge(write);
}

static void file_write_cancel(struct request *request)
{
	struct file_write *write = container_of(request, struct file_write, request);

	request_end(request);
	reply_error(request->session, request->id, ERROR_CANCELLED, NULL, 0,
		    "WRITE_FILE: cancelled after %llu bytes", (unsigned long long)write->written);
	file_write_destroy(write);
}

static void file_write_abandon(struct request *request)
{
	file_write_destroy(container_of(request, struct file_write, request));
}

static const struct request_operations file_write_operations = {
	.cancel = file_write_cancel,
	.abandon = file_write_abandon,
};

/*
 * Opens the file to be written, and says whether it was made. Not with O_CREAT where it is there:
 * in a world-writable sticky directory that fails for another user's file (protected_regular,
 * Documentation/admin-guide/sysctl/fs.rst).
 */
static int open_or_create(const char *path, int flags, bool create, bool exclusive, mode_t mode,
			  bool *made)
{
	int fd = exclusive ? -1 : os_open(path, flags, 0);

	*made = false;
	if (fd >= 0 || !create || (!exclusive && errno != ENOENT))
		return fd;
	*made = true;
	/* A dangling symbolic link is followed, as by open(2): then it is O_EXCL that fails. */
	fd = os_open(path, flags | O_CREAT | O_EXCL, mode);
	if (fd < 0 && errno == EEXIST && !exclusive)
		fd = os_open(path, flags | O_CREAT, mode);
	return fd;
}

/* PATH.provium-RANDOM in the same directory would pass NAME_MAX: the name is ours alone. */
static int open_temporary(struct file_write *write, mode_t mode)
{
	size_t directory = (size_t)(strrchr(write->path, '/') + 1 - write->path);
	char *temporary = malloc(directory + 32);
	int fd = -1;

	if (!temporary) {
		errno = ENOMEM;
		return -1;
	}
	memcpy(temporary, write->path, directory);
	for (int i = 0; i < TEMPORARY_TRIES; i++) {
		uint64_t number;

		if (getrandom(&number, sizeof(number), GRND_NONBLOCK) < 0)
			number = monotonic_ns() + (uint64_t)i;
		snprintf(temporary + directory, 32, ".provium-%016llx", (unsigned long long)number);
		fd = os_open(temporary, O_WRONLY | O_CLOEXEC | O_CREAT | O_EXCL, mode);
		if (fd >= 0 || errno != EEXIST)
			break;
	}
	if (fd >= 0)
		write->temporary = temporary;
	else
		free(temporary);
	return fd;
}

/* What rename would find out only when all data has been sent. */
static int check_target(const char *path, const Provium__V1__WriteFile *request)
{
	bool create = !request->has_create || request->create;
	struct statx status;

	if (os_statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, STATX_TYPE, &status) < 0)
		return errno == ENOENT && create ? 0 : -1;
	errno = S_ISDIR(status.stx_mode) ? EISDIR : request->exclusive ? EEXIST : 0;
	return errno ? -1 : 0;
}

/* NULL: the file at the request's path is open; otherwise what failed, with errno. */
static const char *open_path(struct file_write *write, const Provium__V1__WriteFile *request)
{
	mode_t mode = request->has_mode ? request->mode : DEFAULT_MODE;
	int flags = O_WRONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
	uid_t uid = request->has_uid ? request->uid : (uid_t)-1;
	gid_t gid = request->has_gid ? request->gid : (gid_t)-1;
	bool made = true;
	int fd;

	if (request->append)
		flags |= O_APPEND;
	else if (!request->has_offset)
		flags |= O_TRUNC;
	if (request->atomic) {
		if (check_target(write->path, request) < 0)
			return "open";
		fd = open_temporary(write, mode & 0700);
	} else {
		fd = open_or_create(write->path, flags, !request->has_create || request->create,
				    request->exclusive, mode & 0777, &made);
	}
	if (fd < 0)
		return "open";
	write->file.fd = fd_raise(fd);
	/* The mode last: a change of owner clears the set-user-ID bit (chown(2)). */
	if ((request->has_uid || request->has_gid) && os_fchown(write->file.fd, uid, gid) < 0)
		return "fchown";
	if (made && os_fchmod(write->file.fd, mode & 0777) < 0)
		return "fchmod";
	/* A write of one who is not root clears these (inode(7)): they come behind the data. */
	if (made && (mode & ~(mode_t)0777))
		write->special_mode = mode;
	return request->has_offset ? file_seek(&write->file, true, request->offset) : NULL;
}

/* The same for an fd. */
static const char *borrow_fd(struct file_write *write, const Provium__V1__WriteFile *request)
{
	const char *failed = file_open(&write->file, NULL, request->fd, O_WRONLY);

	if (failed)
		return failed;
	if ((request->has_uid || request->has_gid) &&
	    os_fchown(request->fd, request->has_uid ? request->uid : (uid_t)-1,
		      request->has_gid ? request->gid : (gid_t)-1) < 0)
		return "fchown";
	if (request->append && write->file.plain && lseek(request->fd, 0, SEEK_END) < 0)
		return "lseek";
	return file_seek(&write->file, request->has_offset, request->offset);
}

/* Fields that exclude each other. NULL: nothing is wrong. */
static const char *check_combination(const Provium__V1__WriteFile *request)
{
	if (request->has_fd && (request->exclusive || request->atomic))
		return "fd excludes exclusive and atomic";
	if (request->append && request->has_offset)
		return "append and offset exclude each other";
	if (request->atomic && (request->append || request->has_offset))
		return "atomic excludes append and offset";
	if (request->exclusive && request->has_create && !request->create)
		return "exclusive needs create";
	return NULL;
}

static struct file_write *file_write_create(const Provium__V1__WriteFile *request)
{
	struct file_write *write = malloc(sizeof(*write));

	if (!write)
		return NULL;
	*write = (struct file_write){
		.file.fd = -1,
		.path = file_subject(request->has_path ? &request->path : NULL, request->fd),
		.exclusive = request->exclusive,
		.append = request->append && request->has_path,
		.sync = request->sync,
	};
	if (write->path)
		return write;
	free(write);
	return NULL;
}

void op_write_file(struct session *session, uint32_t id, const Provium__V1__Message *message)
{
	const Provium__V1__WriteFile *request = message->write_file;
	const char *wrong = check_combination(request);
	struct file_write *write;

	if (wrong) {
		reply_error(session, id, ERROR_INVALID, NULL, 0, "WRITE_FILE: %s", wrong);
		return;
	}
	write = file_write_create(request);
	if (!write) {
		reply_error(session, id, ERROR_LIMIT, NULL, 0, "WRITE_FILE: no memory");
		return;
	}
	wrong = request->has_fd ? borrow_fd(write, request) : open_path(write, request);
	if (wrong) {
		/* What the errno means says little here. */
		reply_os_error(session, id, wrong, errno, "WRITE_FILE: \"%.300s\"%s", write->path,
			       errno == ENXIO ? " (a FIFO that nobody reads, or no device)" : "");
		file_write_destroy(write);
		return;
	}
	request_begin(&write->request, session, id, PROVIUM__V1__MESSAGE__BODY_WRITE_FILE,
		      &file_write_operations);
	turn_take(&write->request);
}
