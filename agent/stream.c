/*
 * Theory of operation.
 *
 * An output pipe is blocking and never blocks us: it is read once for each time that the loop finds
 * it readable, nobody else reads it, and one read takes all that a pipe of the usual size holds.
 *
 * A terminal has one fd for both directions. Its output ends with EIO, when nobody has its other
 * side open any more; the end of its input is a key.
 *
 * A pipe that a daemon has inherited goes on after its command's end. Closing it would kill the
 * daemon with SIGPIPE at its next line, so such a pipe is handed on, or drained: read and dropped
 * until its writers are gone.
 */
#include "stream.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "agent/buffer.h"
#include "agent/log.h"
#include "agent/loop.h"
#include "agent/os.h"
#include "agent/pty.h"
#include "common/cleanup.h"
#include "common/util.h"

/* Pipes that are drained at a time; the oldest is closed beyond that. */
#define MAX_DRAINS      256

/* More than the kernel keeps of a terminal's output (in pty.c: 8 KiB, in n_tty.c: 4). */
#define MAX_IN_TERMINAL (64 << 10)

struct drain {
	struct list link;
	struct loop *loop;
	int fd;
	ev_io readable;
};

static void drain_stop(struct drain *drain)
{
	ev_io_stop(drain->loop->ev, &drain->readable);
	close(drain->fd);
	list_remove(&drain->link);
	drain->loop->drain_count--;
	free(drain);
}

static void on_drain_readable(struct ev_loop *ev, ev_io *watcher, int events)
{
	struct drain *drain = watcher->data;
	uint8_t ignored[4096];

	ssize_t count = os_read(drain->fd, ignored, sizeof(ignored));

	if (loop_unwatched(ev, watcher, events))
		return;
	if (count == 0 || (count < 0 && errno != EAGAIN))
		drain_stop(drain);
}

void stream_drain(struct loop *loop, int fd)
{
	struct drain *drain = malloc(sizeof(*drain));

	if (!drain) {
		log_warn("no memory to drain a pipe; it is closed");
		close(fd);
		return;
	}
	if (loop->drain_count == MAX_DRAINS) {
		log_warn("%d pipes are held by others; the oldest is closed", MAX_DRAINS);
		drain_stop(container_of(loop->drains.next, struct drain, link));
	}
	drain->loop = loop;
	drain->fd = fd;
	list_append(&loop->drains, &drain->link);
	loop->drain_count++;
	ev_io_init(&drain->readable, on_drain_readable, fd, EV_READ);
	drain->readable.data = drain;
	ev_io_start(loop->ev, &drain->readable);
}

void streams_stop_draining(struct loop *loop)
{
	while (!list_empty(&loop->drains))
		drain_stop(container_of(loop->drains.next, struct drain, link));
}

void output_stream_pause(struct output_stream *stream)
{
	ev_io_stop(stream->loop->ev, &stream->readable);
}

void output_stream_stop(struct output_stream *stream)
{
	output_stream_pause(stream);
	stream->fd = close_fd(stream->fd);
}

static void output_end(struct output_stream *stream)
{
	output_stream_stop(stream);
	stream->events->ended(stream);
}

/* All that was wanted of a pipe that others hold has been read. */
static void output_end_held(struct output_stream *stream)
{
	ev_io_stop(stream->loop->ev, &stream->readable);
	stream->held = true;
	stream->events->held(stream, steal_fd(&stream->fd));
	stream->events->ended(stream);
}

/* POLLIN and POLLHUP, as they hold now. */
static int output_state(const struct output_stream *stream)
{
	struct pollfd poll_fd = { .fd = stream->fd, .events = POLLIN };

	return poll(&poll_fd, 1, 0) == 1 ? poll_fd.revents : 0;
}

static void output_take(struct output_stream *stream, struct buffer *buffer, size_t size)
{
	uint64_t offset = stream->bytes;
	uint64_t room = offset < stream->limit ? stream->limit - offset : 0;

	stream->bytes += size;
	size = (size_t)MIN(room, (uint64_t)size);
	if (size > 0)
		stream->events->data(stream, offset, buffer, size);
	else
		buffer_pool_give(&stream->loop->pool, buffer);
}

static void on_output_readable(struct ev_loop *ev, ev_io *watcher, int events)
{
	struct output_stream *stream = watcher->data;
	size_t size = PROVIUM_CHUNK;
	struct buffer *buffer;
	ssize_t count;

	if (loop_unwatched(ev, watcher, events))
		return;
	if (!stream->events->has_room(stream)) {
		ev_io_stop(ev, watcher);
		return;
	}
	if (stream->cut)
		size = MIN(size, stream->wanted);
	buffer = buffer_pool_take(&stream->loop->pool);
	if (!buffer) {
		log_error("no memory to read a command's output");
		stream->lost = true;
		output_end(stream);
		return;
	}
	count = os_read(stream->fd, buffer->data + BULK_GAP, size);
	if (count <= 0) {
		buffer_pool_give(&stream->loop->pool, buffer);
		if (count < 0 && errno == EAGAIN)
			return;
		if (count < 0 && !(stream->terminal && errno == EIO)) {
			log_error("reading a command's output: %s", strerror(errno));
			stream->lost = true;
		}
		output_end(stream);
		return;
	}
	output_take(stream, buffer, (size_t)count);
	if (stream->cut) {
		stream->wanted -= (size_t)count;
		if (stream->wanted == 0 || (stream->terminal && !output_state(stream)))
			output_end_held(stream);
	}
}

void output_stream_start(struct output_stream *stream, struct loop *loop, int fd, uint64_t limit,
			 const struct output_events *events, void *owner)
{
	*stream = (struct output_stream){
		.loop = loop,
		.events = events,
		.owner = owner,
		.fd = fd,
		.limit = limit,
	};
	ev_io_init(&stream->readable, on_output_readable, fd, EV_READ);
	stream->readable.data = stream;
	if (fd >= 0)
		ev_io_start(loop->ev, &stream->readable);
}

void output_stream_resume(struct output_stream *stream)
{
	if (stream->fd >= 0)
		ev_io_start(stream->loop->ev, &stream->readable);
}

void output_stream_cut(struct output_stream *stream)
{
	int state = stream->fd >= 0 ? output_state(stream) : 0;
	int size = 0;

	if (stream->fd < 0)
		return;
	/* Without writers it ends by itself, however slowly it is read. */
	if (state & POLLHUP)
		return;
	/* A terminal does not tell how much is in it: it is read until it seems empty. */
	if (stream->terminal)
		size = state ? MAX_IN_TERMINAL : 0;
	else if (ioctl(stream->fd, FIONREAD, &size) < 0)
		size = 0;
	if (size <= 0) {
		output_end_held(stream);
		return;
	}
	stream->cut = true;
	stream->wanted = (size_t)size;
}

/* fd -1: all is written, or nobody reads. */
static void input_close(struct input_stream *stream)
{
	if (stream->fd < 0)
		return;
	ev_io_stop(stream->loop->ev, &stream->writable);
	stream->fd = stream->terminal ? -1 : close_fd(stream->fd);
}

static void input_done(struct child_input *piece, int error)
{
	list_remove(&piece->link);
	piece->done(piece, error);
}

void input_stream_pause(struct input_stream *stream, int error)
{
	ev_io_stop(stream->loop->ev, &stream->writable);
	while (!list_empty(&stream->pieces))
		input_done(container_of(stream->pieces.next, struct child_input, link), error);
}

void input_stream_stop(struct input_stream *stream, int error)
{
	/* Closed first: who is told may look whether it is. */
	input_close(stream);
	input_stream_pause(stream, error);
}

static bool is_line_end(uint8_t key)
{
	return key == '\n' || key == '\r';
}

/*
 * Within a line the key hands on what has been typed of it, and only its next stroke is the end of
 * the file. False: not now, or it is stopped.
 */
static bool input_type_eof(struct input_stream *stream)
{
	bool again;

	do {
		if (!pty_type_eof(stream->fd)) {
			if (errno != EAGAIN)
				input_stream_stop(stream, errno);
			return false;
		}
		again = stream->in_line;
		stream->in_line = false;
	} while (again);
	return true;
}

/* False: the pipe takes no more now, or is closed. */
static bool input_write(struct input_stream *stream, struct child_input *piece)
{
	size_t left = piece->size - piece->written;
	ssize_t count = left ? os_write(stream->fd, piece->data + piece->written, left) : 0;

	if (count < 0) {
		if (errno != EAGAIN)
			input_stream_stop(stream, errno);
		return false;
	}
	piece->written += (size_t)count;
	if (count > 0)
		stream->in_line = !is_line_end(piece->data[piece->written - 1]);
	if (piece->written < piece->size)
		return false;
	if (piece->eof && stream->terminal && !input_type_eof(stream))
		return false;
	if (piece->eof && !stream->terminal)
		input_close(stream);
	input_done(piece, 0);
	return true;
}

static void input_flush(struct input_stream *stream)
{
	while (stream->fd >= 0 && !list_empty(&stream->pieces))
		if (!input_write(stream,
				 container_of(stream->pieces.next, struct child_input, link)))
			break;
	if (stream->fd < 0)
		return;
	if (list_empty(&stream->pieces))
		ev_io_stop(stream->loop->ev, &stream->writable);
	else
		ev_io_start(stream->loop->ev, &stream->writable);
}

static void on_input_writable(struct ev_loop *ev, ev_io *watcher, int events)
{
	if (loop_unwatched(ev, watcher, events))
		return;
	input_flush(watcher->data);
}

void input_stream_start(struct input_stream *stream, struct loop *loop, int fd, bool terminal)
{
	stream->loop = loop;
	stream->fd = fd;
	stream->terminal = terminal;
	stream->in_line = false;
	list_init(&stream->pieces);
	ev_io_init(&stream->writable, on_input_writable, fd, EV_WRITE);
	stream->writable.data = stream;
}

bool input_stream_add(struct input_stream *stream, struct child_input *piece)
{
	bool first = list_empty(&stream->pieces);

	if (stream->fd < 0)
		return false;
	list_append(&stream->pieces, &piece->link);
	/* Otherwise the pipe is full. */
	if (first)
		input_flush(stream);
	return true;
}
