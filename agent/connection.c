/*
 * Theory of operation.
 *
 * Reading: level-triggered; a readable socket is read until it has nothing more, but for a bounded
 * number of rounds, so that others have their turn. Every complete frame is handed to the owner.
 *
 * Writing: whatever is queued in a pass goes out at its end, in as few calls as possible; the write
 * watcher is armed only after the socket has taken less than was offered.
 *
 * Congestion: when the queue costs more than QUEUE_HIGH the owner's producers stop (they ask
 * connection_congested), and neither are frames handled nor bytes received: a peer that sends
 * requests and reads no replies fills its own socket and not our memory; that it has gone is heard
 * of by other means (ends.h). Under QUEUE_LOW a task goes on with the frames that have arrived
 * already and tells the owner.
 *
 * Destruction: whoever finds that a connection is broken marks it CONNECTION_DEAD; only
 * connections_settle, which nobody calls from within a handler, tells its owner and frees it.
 */
#include "connection.h"

#include <assert.h>
#include <errno.h>
#include <ev.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/ends.h"
#include "agent/guest_malloc.h"
#include "agent/log.h"
#include "agent/loop.h"
#include "agent/os.h"
#include "common/util.h"
#include "proto/frame.h"

#define RECEIVE_ROUNDS 8
#define SEND_VECTOR    16

enum connection_state {
	/* Frames come and go. Next: CLOSING (connection_finish, the peer's end), DEAD. */
	CONNECTION_OPEN,
	/* The queue is sent, our side shut, the peer's end awaited. Next: DEAD. */
	CONNECTION_CLOSING,
	/* Is destroyed when the loop settles. */
	CONNECTION_DEAD,
};

struct connection {
	struct list link;
	struct list unsettled;
	struct loop *loop;
	const struct connection_events *events;
	void *owner;
	int fd;
	enum connection_state state;
	bool congested;
	/* Nothing more can be received. */
	bool peer_ended;
	bool end_told;
	/* Its owner has asked for the end. */
	bool finishing;
	/* Our sending side has been shut. */
	bool shut;
	ev_io readable;
	ev_io writable;
	ev_timer linger;
	struct task resume;
	struct frame_reader frames;
	struct queue queue;
};

static void mark_unsettled(struct connection *connection)
{
	if (list_empty(&connection->unsettled))
		list_append(&connection->loop->unsettled, &connection->unsettled);
}

static void set_state(struct connection *connection, enum connection_state state)
{
	static const char *const names[] = {
		[CONNECTION_OPEN] = "open",
		[CONNECTION_CLOSING] = "closing",
		[CONNECTION_DEAD] = "dead",
	};

	static_assert(ARRAY_SIZE(names) == CONNECTION_DEAD + 1, "a name for each state");
	if (connection->state == state)
		return;
	log_debug("connection %d: %s -> %s", connection->fd, names[connection->state],
		  names[state]);
	connection->state = state;
	mark_unsettled(connection);
}

static void tell_end(struct connection *connection)
{
	if (connection->end_told || connection->finishing)
		return;
	connection->end_told = true;
	connection->events->ended(connection->owner, frame_reader_pending(&connection->frames));
}

/* The peer sends no more; it may still read what it has asked for. */
static void end_receiving(struct connection *connection)
{
	bool was_open = connection->state == CONNECTION_OPEN;

	connection->peer_ended = true;
	ev_io_stop(connection->loop->ev, &connection->readable);
	if (was_open) {
		tell_end(connection);
		connection_finish(connection, CLOSING_LINGER);
	}
	mark_unsettled(connection);
}

static void handle_frames(struct connection *connection)
{
	const uint8_t *body;
	uint32_t length;

	while (connection->state == CONNECTION_OPEN && !connection->congested) {
		switch (frame_reader_next(&connection->frames, &body, &length)) {
		case FRAME_PARTIAL:
			return;
		case FRAME_COMPLETE:
			connection->loop->counters.frames_received++;
			connection->events->frame(connection->owner, body, length);
			break;
		case FRAME_EMPTY:
		case FRAME_TOO_LONG:
			connection->events->bad_length(connection->owner, length);
			return;
		}
	}
}

/* Returns how many bytes have come; 0 where none have now, or the connection has ended. */
static size_t receive(struct connection *connection, uint8_t *place, size_t space)
{
	ssize_t count = os_receive(connection->fd, place, space);

	if (count > 0) {
		connection->loop->counters.bytes_received += (uint64_t)count;
		return (size_t)count;
	}
	if (count == 0) {
		end_receiving(connection);
	} else if (errno != EAGAIN && errno != EWOULDBLOCK) {
		log_debug("connection %d: receive: %s", connection->fd, strerror(errno));
		connection_abort(connection);
	}
	return 0;
}

static void receive_frames(struct connection *connection)
{
	for (int round = 0; round < RECEIVE_ROUNDS; round++) {
		size_t space, count;
		uint8_t *place;

		handle_frames(connection);
		if (connection->state != CONNECTION_OPEN || connection->congested)
			return;
		place = frame_reader_space(&connection->frames, &space);
		if (!place) {
			log_error("connection %d: no memory to receive", connection->fd);
			connection_abort(connection);
			return;
		}
		count = receive(connection, place, space);
		if (count == 0)
			return;
		frame_reader_filled(&connection->frames, count);
		if (count < space)
			break;
	}
	handle_frames(connection);
}

/* Only the peer's end is of interest; what it still sends was sent before it knew. */
static void receive_nothing(struct connection *connection)
{
	uint8_t ignored[4096];

	for (int round = 0; round < RECEIVE_ROUNDS; round++)
		if (receive(connection, ignored, sizeof(ignored)) == 0)
			return;
}

static void on_readable(struct ev_loop *ev, ev_io *watcher, int events)
{
	struct connection *connection = watcher->data;

	if (loop_unwatched(ev, watcher, events))
		return;
	if (connection->state == CONNECTION_OPEN)
		receive_frames(connection);
	else if (connection->state == CONNECTION_CLOSING)
		receive_nothing(connection);
}

static void on_writable(struct ev_loop *ev, ev_io *watcher, int events)
{
	struct connection *connection = watcher->data;

	if (loop_unwatched(ev, watcher, events))
		return;
	mark_unsettled(connection);
}

static void on_linger(struct ev_loop *ev, ev_timer *watcher, int events)
{
	struct connection *connection = watcher->data;

	(void)ev;
	(void)events;
	if (connection->queue.bytes > 0)
		log_info("connection %d: cut off with %zu bytes unread", connection->fd,
			 connection->queue.bytes);
	set_state(connection, CONNECTION_DEAD);
}

static void on_resume(struct task *task)
{
	struct connection *connection = container_of(task, struct connection, resume);

	if (connection->state != CONNECTION_OPEN || connection->congested)
		return;
	ev_io_start(connection->loop->ev, &connection->readable);
	handle_frames(connection);
	if (connection->state == CONNECTION_OPEN && !connection->congested)
		connection->events->drained(connection->owner);
}

struct connection *connection_create(struct loop *loop, int fd,
				     const struct connection_events *events, void *owner)
{
	struct connection *connection = malloc(sizeof(*connection));

	if (!connection) {
		close(fd);
		return NULL;
	}
	*connection = (struct connection){
		.loop = loop,
		.events = events,
		.owner = owner,
		.fd = fd,
		.state = CONNECTION_OPEN,
	};
	list_init(&connection->unsettled);
	list_append(&loop->connections, &connection->link);
	loop->connection_count++;
	task_init(&connection->resume, on_resume);
	frame_reader_init(&connection->frames, PROVIUM_MAX_FRAME);
	queue_init(&connection->queue);
	ev_init(&connection->linger, on_linger);
	connection->linger.data = connection;
	ev_io_init(&connection->writable, on_writable, fd, EV_WRITE);
	connection->writable.data = connection;
	ev_io_init(&connection->readable, on_readable, fd, EV_READ);
	connection->readable.data = connection;
	ev_io_start(loop->ev, &connection->readable);
	return connection;
}

static void connection_destroy(struct connection *connection)
{
	struct loop *loop = connection->loop;

	ev_io_stop(loop->ev, &connection->readable);
	ev_io_stop(loop->ev, &connection->writable);
	ev_timer_stop(loop->ev, &connection->linger);
	task_cancel(&connection->resume);
	if (connection->congested)
		ends_unwatch(loop, connection->fd);
	close(connection->fd);
	frame_reader_finish(&connection->frames);
	queue_finish(&connection->queue, &loop->pool);
	list_remove(&connection->unsettled);
	list_remove(&connection->link);
	loop->connection_count--;
	connection->events->closed(connection->owner);
	free(connection);
}

void connection_set_max_frame(struct connection *connection, uint32_t max_frame)
{
	connection->frames.max_frame = max_frame;
}

bool connection_congested(const struct connection *connection)
{
	return connection->congested;
}

static void judge_congestion(struct connection *connection)
{
	if (!connection->congested && connection->queue.bytes > QUEUE_HIGH) {
		connection->congested = true;
		ev_io_stop(connection->loop->ev, &connection->readable);
		ends_watch(connection->loop, connection->fd, connection);
	} else if (connection->congested && connection->queue.bytes < QUEUE_LOW) {
		connection->congested = false;
		ends_unwatch(connection->loop, connection->fd);
		task_schedule(&connection->resume, connection->loop);
	}
}

uint8_t *connection_reserve(struct connection *connection, size_t size)
{
	uint8_t *place;

	if (connection->state != CONNECTION_OPEN)
		return NULL;
	place = queue_reserve(&connection->queue, size);
	if (!place) {
		log_error("connection %d: no memory for a reply of %zu bytes", connection->fd,
			  size);
		connection_abort(connection);
	}
	return place;
}

void connection_commit(struct connection *connection, size_t size)
{
	queue_commit(&connection->queue, size);
	connection->loop->counters.frames_sent++;
	mark_unsettled(connection);
	judge_congestion(connection);
}

void connection_send_buffer(struct connection *connection, struct buffer *buffer)
{
	if (connection->state != CONNECTION_OPEN) {
		buffer_pool_give(&connection->loop->pool, buffer);
		return;
	}
	queue_append(&connection->queue, buffer);
	connection->loop->counters.frames_sent++;
	mark_unsettled(connection);
	judge_congestion(connection);
}

void connection_finish(struct connection *connection, unsigned int linger_ms)
{
	if (connection->state != CONNECTION_OPEN)
		return;
	connection->finishing = true;
	set_state(connection, CONNECTION_CLOSING);
	if (!connection->peer_ended)
		ev_io_start(connection->loop->ev, &connection->readable);
	connection->linger.repeat = linger_ms / 1000.;
	ev_now_update(connection->loop->ev);
	ev_timer_again(connection->loop->ev, &connection->linger);
}

void connection_retry(struct connection *connection)
{
	mark_unsettled(connection);
}

void connection_abort(struct connection *connection)
{
	set_state(connection, CONNECTION_DEAD);
}

/* False: the socket takes no more now, or is broken. */
static bool send_some(struct connection *connection)
{
	struct iovec vector[SEND_VECTOR];
	struct msghdr message = { .msg_iov = vector };
	size_t offered = 0;
	ssize_t count;
	int entries;

	entries = queue_peek(&connection->queue, vector, SEND_VECTOR);
	for (int i = 0; i < entries; i++)
		offered += vector[i].iov_len;
	message.msg_iovlen = entries;
	count = os_send(connection->fd, &message);
	if (count < 0) {
		if (errno == EAGAIN || errno == EWOULDBLOCK)
			return false;
		log_debug("connection %d: send: %s", connection->fd, strerror(errno));
		connection_abort(connection);
		return false;
	}
	connection->loop->counters.bytes_sent += (uint64_t)count;
	queue_consume(&connection->queue, (size_t)count, &connection->loop->pool);
	judge_congestion(connection);
	if (connection->state == CONNECTION_CLOSING)
		ev_timer_again(connection->loop->ev, &connection->linger);
	return (size_t)count == offered;
}

int connection_push(struct connection *connection, int wait_ms)
{
	struct pollfd writable = { .fd = connection->fd, .events = POLLOUT };
	uint64_t start = monotonic_ns();
	int left_ms = wait_ms;

	while (connection->queue.bytes > 0 && connection->state != CONNECTION_DEAD) {
		if (send_some(connection))
			continue;
		left_ms = wait_ms - (int)((monotonic_ns() - start) / 1000000);
		if (left_ms <= 0 || poll(&writable, 1, left_ms) <= 0)
			return 0;
	}
	return left_ms;
}

static void flush(struct connection *connection)
{
	while (connection->queue.bytes > 0) {
		if (send_some(connection))
			continue;
		if (connection->state != CONNECTION_DEAD)
			ev_io_start(connection->loop->ev, &connection->writable);
		return;
	}
	ev_io_stop(connection->loop->ev, &connection->writable);
	if (connection->state != CONNECTION_CLOSING)
		return;
	/* To be closed says as much, in one packet less. */
	if (connection->peer_ended) {
		set_state(connection, CONNECTION_DEAD);
	} else if (!connection->shut) {
		connection->shut = true;
		(void)shutdown(connection->fd, SHUT_WR);
	}
}

void connections_settle(struct loop *loop)
{
	while (!list_empty(&loop->unsettled)) {
		struct connection *connection =
			container_of(loop->unsettled.next, struct connection, unsettled);

		list_remove(&connection->unsettled);
		if (connection->state != CONNECTION_DEAD)
			flush(connection);
		if (connection->state == CONNECTION_DEAD) {
			tell_end(connection);
			connection_destroy(connection);
			if (guest_malloc_trim)
				guest_malloc_trim();
		}
	}
}

void connections_abort(struct loop *loop)
{
	struct connection *connection;

	list_for_each(connection, &loop->connections, link)
		connection_abort(connection);
}

size_t connections_queued(const struct loop *loop)
{
	struct connection *connection;
	size_t bytes = 0;

	list_for_each(connection, &loop->connections, link)
		bytes += connection->queue.bytes;
	return bytes;
}
