/*
 * TAIL.
 *
 * A file is read to its end and then watched with inotify(7); so is the directory that its path
 * stands in, and where the path is a symbolic link that of the file itself, since another file can
 * get the name in each. Events only say that it is time to look: what has happened is found by
 * reading on, by the byte that was read last (gone: the file was truncated), and by what the path
 * names now. So none is needed for itself, and one that was lost or merged does not matter. The old
 * file is always read to its end before another that has its name is begun.
 *
 * Pipes, terminals and the like have no events: they are read as they come, up to their end.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <linux/magic.h>
#include <sys/vfs.h>

#include "agent/fds.h"
#include "agent/file.h"
#include "agent/ops.h"
#include "agent/os.h"
#include "agent/reply.h"
#include "agent/server.h"
#include "agent/statx.h"
#include "agent/watch.h"
#include "agent/work.h"
#include "common/cleanup.h"
#include "common/util.h"

#define START(name) PROVIUM__V1__TAIL__START__##name
#define EVENT(name) PROVIUM__V1__TAIL_EVENT__TAIL_##name

/* What tells that a directory's name may stand for another file. */
#define DIR_EVENTS  (IN_CREATE | IN_MOVED_TO | IN_ONLYDIR)

struct tail {
	struct work work;
	struct file file;
	/* What work.subject names can become another file. */
	bool by_path;
	uint64_t device;
	uint64_t ino;
	/* How far the file once reached, as far as it is known. */
	uint64_t known;
	/* -1: it has no events. */
	int inotify;
	/* Its path names another file; it is read to its end once more. */
	bool renamed;
	int file_watch;
	/* For events, or for data where there are none. */
	struct watch *watch;
};

static void tail_release(struct work *work)
{
	struct tail *tail = container_of(work, struct tail, work);

	watch_stop(tail->watch);
	close_fd(tail->inotify);
	file_close(&tail->file);
}

static const char *proc_link(const struct tail *tail, char link[32])
{
	snprintf(link, 32, "/proc/self/fd/%d", tail->file.fd);
	return link;
}

/*
 * Watches the very file that is open: its name may have become another's. Without /proc in its
 * place the one that the agent keeps has to be the working directory for a moment.
 */
static int watch_file(struct tail *tail)
{
	int proc_fd = tail->work.request.session->loop->config->proc_fd;
	char link[32];
	int watch = os_inotify_watch(tail->inotify, proc_link(tail, link), IN_MODIFY);
	cleanup_close int here = -1;

	if (watch >= 0 || proc_fd < 0 || errno != ENOENT)
		return watch;
	here = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (here < 0 || os_fchdir(proc_fd) < 0)
		return -1;
	watch = os_inotify_watch(tail->inotify, link + strlen("/proc/"), IN_MODIFY);
	return os_fchdir(here) < 0 ? -1 : watch;
}

/* Cuts the path in two for the time being. */
static int watch_parent(const struct tail *tail, char *path)
{
	char *slash = strrchr(path, '/');
	int watch;

	if (!slash)
		return 0;
	*slash = '\0';
	watch = os_inotify_watch(tail->inotify, slash == path ? "/" : path, DIR_EVENTS);
	*slash = '/';
	return watch;
}

/* Watches directories and file. A directory that is watched already stays so. */
static const char *watch_all(struct tail *tail)
{
	int proc_fd = tail->work.request.session->loop->config->proc_fd;
	char link[32], real[PATH_MAX];
	ssize_t length;

	if (tail->by_path) {
		if (watch_parent(tail, tail->work.subject) < 0)
			return "inotify_add_watch";
		proc_link(tail, link);
		length = os_readlink(proc_fd, proc_fd < 0 ? link : link + strlen("/proc/"), real,
				     sizeof(real) - 1);
		if (length > 0) {
			real[length] = '\0';
			/* It may be gone already: then there is no more to be seen there. */
			(void)watch_parent(tail, real);
		}
	}
	tail->file_watch = watch_file(tail);
	return tail->file_watch < 0 ? "inotify_add_watch" : NULL;
}

static bool is_same(const struct tail *tail, const struct statx *status)
{
	return tail->ino == status->stx_ino &&
	       tail->device == ((uint64_t)status->stx_dev_major << 32 | status->stx_dev_minor);
}

/* What the file is. False where it is none that inotify knows changes of. */
static const char *identify(struct tail *tail, struct statx *status)
{
	if (os_statx(tail->file.fd, "", AT_EMPTY_PATH, STATX_TYPE | STATX_INO | STATX_SIZE,
		     status) < 0)
		return "statx";
	tail->ino = status->stx_ino;
	tail->device = (uint64_t)status->stx_dev_major << 32 | status->stx_dev_minor;
	return NULL;
}

static void on_event(void *data)
{
	struct tail *tail = data;
	char events[4096];

	if (tail->inotify >= 0)
		(void)os_read(tail->inotify, events, sizeof(events));
	work_run(&tail->work);
}

static enum work_progress await_data(struct tail *tail)
{
	if (!tail->watch)
		tail->watch = watch_start(tail->work.request.session->loop, tail->file.fd,
					  WATCH_READABLE, on_event, tail);
	errno = ENOMEM;
	tail->work.failed = "epoll_ctl";
	return tail->watch ? WORK_WAIT : WORK_FAILED;
}

static enum work_progress send_event(struct tail *tail, int event)
{
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__FileData data = PROVIUM__V1__FILE_DATA__INIT;

	data.has_event = true;
	data.event = event;
	message.body_case = PROVIUM__V1__MESSAGE__BODY_FILE_DATA;
	message.file_data = &data;
	reply_send(tail->work.request.session, tail->work.request.id, &message);
	tail->file.offset = 0;
	tail->known = 0;
	return WORK_MORE;
}

/* Whether the last byte that was once there is there no more. */
static bool is_truncated(const struct tail *tail)
{
	struct statx status;
	char last;

	return tail->known > 0 &&
	       os_statx(tail->file.fd, "", AT_EMPTY_PATH, STATX_SIZE, &status) == 0 &&
	       status.stx_size < tail->known &&
	       os_pread(tail->file.fd, &last, 1, (off_t)tail->known - 1) == 0;
}

/* Goes on with the file that has the path now, if it is another. */
static enum work_progress follow_path(struct tail *tail)
{
	struct file next = { .placed = true };
	struct statx status;
	const char *failed;

	if (!tail->by_path ||
	    os_statx(AT_FDCWD, tail->work.subject, 0, STATX_TYPE | STATX_INO, &status) < 0 ||
	    is_same(tail, &status) || !S_ISREG(status.stx_mode)) {
		tail->renamed = false;
		return WORK_WAIT;
	}
	/* What it got before it lost the name may have come since it was read. */
	if (!tail->renamed) {
		tail->renamed = true;
		return WORK_MORE;
	}
	tail->work.failed = file_open(&next, tail->work.subject, -1, O_RDONLY);
	if (tail->work.failed)
		return errno == ENOENT ? WORK_WAIT : WORK_FAILED;
	(void)inotify_rm_watch(tail->inotify, tail->file_watch);
	file_close(&tail->file);
	next.fd = fd_raise(next.fd);
	tail->file = next;
	tail->renamed = false;
	failed = identify(tail, &status);
	if (!failed)
		failed = watch_all(tail);
	tail->work.failed = failed;
	return failed ? WORK_FAILED : send_event(tail, EVENT(ROTATED));
}

static enum work_progress step(struct work *work)
{
	struct tail *tail = container_of(work, struct tail, work);
	struct buffer_pool *pool = &work->request.session->loop->pool;
	struct buffer *buffer = buffer_pool_take(pool);
	uint64_t offset = tail->file.offset;
	ssize_t count = -1;

	work->failed = "read";
	errno = ENOMEM;
	if (buffer)
		count = file_read(&tail->file, buffer->data + BULK_GAP, PROVIUM_CHUNK);
	if (count > 0) {
		reply_file_data(work->request.session, work->request.id, offset, buffer,
				(size_t)count);
		work->count += (size_t)count;
		tail->known = tail->file.offset;
		return WORK_MORE;
	}
	if (buffer)
		buffer_pool_give(pool, buffer);
	if (count < 0)
		return errno == EAGAIN ? await_data(tail) : WORK_FAILED;
	if (tail->inotify < 0)
		return WORK_END;
	return is_truncated(tail) ? send_event(tail, EVENT(TRUNCATED)) : follow_path(tail);
}

static const struct work_operations operations = {
	.step = step,
	.release = tail_release,
	.counts_bytes = true,
	.endless = true,
};

/* Of a regular file: where to begin, and what to wait for. */
static const char *begin_watching(struct tail *tail, const Provium__V1__Tail *request,
				  uint64_t size)
{
	struct statfs system;

	if (fstatfs(tail->file.fd, &system) < 0)
		return "fstatfs";
	errno = EINVAL;
	if (system.f_type == PROC_SUPER_MAGIC)
		return "inotify_add_watch";
	tail->inotify = fd_raise(os_inotify(IN_NONBLOCK | IN_CLOEXEC));
	if (tail->inotify < 0)
		return "inotify_init1";
	tail->watch = watch_start(tail->work.request.session->loop, tail->inotify, WATCH_READABLE,
				  on_event, tail);
	errno = ENOMEM;
	if (!tail->watch)
		return "epoll_ctl";
	tail->file.placed = true;
	tail->file.offset = request->start == START(OFFSET)                       ? request->offset
			    : !request->has_start || request->start == START(END) ? size
										  : 0;
	tail->known = MIN(size, tail->file.offset);
	return watch_all(tail);
}

static const char *begin(struct tail *tail, const Provium__V1__Tail *request)
{
	const char *path = request->has_path ? tail->work.subject : NULL;
	const char *failed = file_open(&tail->file, path, request->fd, O_RDONLY);
	struct statx status;

	if (failed)
		return failed;
	if (!tail->file.borrowed)
		tail->file.fd = fd_raise(tail->file.fd);
	failed = identify(tail, &status);
	if (!failed && S_ISREG(status.stx_mode))
		failed = begin_watching(tail, request, status.stx_size);
	return failed;
}

void op_tail(struct session *session, uint32_t id, const Provium__V1__Message *message)
{
	const Provium__V1__Tail *request = message->tail;
	struct tail *tail;

	if (request->has_offset != (request->start == START(OFFSET))) {
		reply_error(session, id, ERROR_INVALID, NULL, 0,
			    "TAIL: offset and the start OFFSET belong together");
		return;
	}
	tail = work_create(session, id, message, &operations, sizeof(*tail),
			   file_subject(request->has_path ? &request->path : NULL, request->fd));
	if (!tail)
		return;
	tail->by_path = request->has_path;
	tail->inotify = -1;
	work_start(&tail->work, begin(tail, request));
}
