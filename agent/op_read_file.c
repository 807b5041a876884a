/*
 * READ_FILE.
 *
 * A file is read a chunk at a time, straight into the buffer that is sent. What is small is done
 * within the handler. Of anything longer each pass of the loop reads one chunk, and none while the
 * connection is congested, so that a file of any size takes little memory and keeps nobody waiting.
 *
 * Pipes, terminals and the like are opened non-blocking and awaited.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "agent/connection.h"
#include "agent/fds.h"
#include "agent/ops.h"
#include "agent/os.h"
#include "agent/path.h"
#include "agent/reply.h"
#include "agent/session.h"
#include "agent/turn.h"
#include "agent/watch.h"
#include "common/cleanup.h"
#include "common/util.h"

struct file_read {
	struct request request;
	struct task next;
	struct watch *watch;
	int fd;
	/* Where the next byte stands in the file, and how many are wanted. */
	uint64_t offset;
	uint64_t left;
	uint64_t sent;
};

enum read_progress {
	READ_MORE,
	/* The file gives nothing now. */
	READ_WAIT,
	READ_END,
	READ_FAILED,
};

static void file_read_destroy(struct file_read *read)
{
	task_cancel(&read->next);
	watch_stop(read->watch);
	close_fd(read->fd);
	free(read);
}

/* Fills the buffer as far as the file goes; a file of /proc gives little at a time. */
static enum read_progress fill(struct file_read *read, struct buffer *buffer, size_t *size)
{
	size_t wanted = (size_t)MIN(read->left, (uint64_t)PROVIUM_CHUNK);

	for (*size = 0; *size < wanted;) {
		ssize_t count = os_read(read->fd, buffer->data + BULK_GAP + *size, wanted - *size);

		if (count < 0)
			return errno == EAGAIN ? READ_WAIT : READ_FAILED;
		if (count == 0)
			return READ_END;
		*size += (size_t)count;
	}
	return *size == read->left ? READ_END : READ_MORE;
}

static void finish(struct file_read *read, int error)
{
	struct session *session = read->request.session;
	uint32_t id = read->request.id;

	request_end(&read->request);
	if (error)
		reply_os_error(session, id, "read", error, "READ_FILE: after %llu bytes",
			       (unsigned long long)read->sent);
	else
		reply_ok_bytes(session, id, read->sent);
	file_read_destroy(read);
}

/* Sends a chunk; READ_END and READ_FAILED have freed it. */
static enum read_progress step(struct file_read *read)
{
	struct session *session = read->request.session;
	struct buffer *buffer = buffer_pool_take(&session->loop->pool);
	enum read_progress progress;
	size_t size;
	int error;

	if (!buffer) {
		finish(read, ENOMEM);
		return READ_FAILED;
	}
	progress = fill(read, buffer, &size);
	error = progress == READ_FAILED ? errno : 0;
	if (size > 0)
		reply_file_data(session, read->request.id, read->offset, buffer, size);
	else
		buffer_pool_give(&session->loop->pool, buffer);
	read->offset += size;
	read->sent += size;
	read->left -= size;
	if (progress == READ_END || progress == READ_FAILED)
		finish(read, error);
	return progress;
}

static void advance(struct file_read *read);

static void on_readable(void *data)
{
	struct file_read *read = data;

	watch_stop(read->watch);
	read->watch = NULL;
	advance(read);
}

static void on_next(struct task *task)
{
	advance(container_of(task, struct file_read, next));
}

/* One chunk, and what is to come after it. */
static void advance(struct file_read *read)
{
	struct loop *loop = read->request.session->loop;

	/* Goes on when that is over. */
	if (connection_congested(read->request.session->connection))
		return;
	switch (step(read)) {
	case READ_MORE:
		task_schedule(&read->next, loop);
		break;
	case READ_WAIT:
		read->watch = watch_start(loop, read->fd, WATCH_READABLE, on_readable, read);
		if (!read->watch)
			finish(read, ENOMEM);
		break;
	case READ_END:
	case READ_FAILED:
		break;
	}
}

static void file_read_resume(struct request *request)
{
	struct file_read *read = container_of(request, struct file_read, request);

	if (!read->watch)
		task_schedule(&read->next, request->session->loop);
}

static void file_read_cancel(struct request *request)
{
	struct file_read *read = container_of(request, struct file_read, request);

	request_end(request);
	reply_error(request->session, request->id, ERROR_CANCELLED, NULL, 0,
		    "READ_FILE: cancelled after %llu bytes", (unsigned long long)read->sent);
	file_read_destroy(read);
}

static void file_read_abandon(struct request *request)
{
	file_read_destroy(container_of(request, struct file_read, request));
}

static const struct request_operations file_read_operations = {
	.cancel = file_read_cancel,
	.resume = file_read_resume,
	.abandon = file_read_abandon,
};

/* The opened file at its place. -1: it has been answered. */
static int open_file(struct session *session, uint32_t id, const Provium__V1__ReadFile *request)
{
	cleanup_free char *path = path_from_bytes(&request->path);
	cleanup_close int fd = -1;

	if (!path) {
		reply_error(session, id, ERROR_LIMIT, NULL, 0, "READ_FILE: no memory");
		return -1;
	}
	fd = os_open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0);
	if (fd < 0) {
		reply_os_error(session, id, "open", errno, "READ_FILE: \"%.300s\"", path);
		return -1;
	}
	if (request->has_offset && lseek(fd, (off_t)request->offset, SEEK_SET) < 0) {
		reply_os_error(session, id, "lseek", errno, "READ_FILE: \"%.300s\"", path);
		return -1;
	}
	return steal_fd(&fd);
}

void op_read_file(struct session *session, uint32_t id, const Provium__V1__Message *message)
{
	const Provium__V1__ReadFile *request = message->read_file;
	cleanup_close int fd = open_file(session, id, request);
	struct file_read *read;

	if (fd < 0)
		return;
	read = malloc(sizeof(*read));
	if (!read) {
		reply_error(session, id, ERROR_LIMIT, NULL, 0, "READ_FILE: no memory");
		return;
	}
	*read = (struct file_read){
		.fd = steal_fd(&fd),
		.offset = request->has_offset ? request->offset : 0,
		.left = request->has_length ? request->length : UINT64_MAX,
	};
	task_init(&read->next, on_next);
	request_begin(&read->request, session, id, PROVIUM__V1__MESSAGE__BODY_READ_FILE,
		      &file_read_operations);
	turn_take(&read->request);
	/* Only what outlives this call needs to be out of the way. */
	switch (step(read)) {
	case READ_MORE:
		read->fd = fd_raise(read->fd);
		task_schedule(&read->next, session->loop);
		break;
	case READ_WAIT:
		read->fd = fd_raise(read->fd);
		advance(read);
		break;
	case READ_END:
	case READ_FAILED:
		break;
	}
}
