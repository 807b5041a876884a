/* The bytes of a connection, its turns and its end. connection.h tells how it works. */
#include "connection.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/cleanup.h"
#include "host/lib/agent.h"
#include "host/lib/lost.h"
#include "host/lib/request.h"
#include "proto/limits.h"

/* An idle connection keeps no longer queue than this. */
#define QUEUE_KEPT     KIB(64)

/*
 * When a VM has ended, what it had sent may still be on its way through provium-vsock; and when the
 * connection ends first, the reason (QEMU's exit, a panic) may be noticed only a moment later.
 */
#define DRAIN_MS       50
#define POST_MORTEM_MS 100

size_t connection_queued(const struct provium_connection *connection)
{
	return connection->queue_end - connection->queue_start;
}

void connection_lose(struct provium_connection *connection, enum provium_code code, int os_errno,
		     const char *fmt, ...)
{
	char message[PROVIUM_MESSAGE_SIZE];
	va_list args;

	if (connection->lost)
		return;
	va_start(args, fmt);
	vsnprintf(message, sizeof(message), fmt, args);
	va_end(args);
	connection->lost = true;
	error_set(&connection->loss, code, os_errno, "%s", message);
}

/* ------------------------------------------------------------------------------------------- */
/* Sending */

/* Makes room for size more bytes behind queue_end. */
static int queue_reserve(struct provium_connection *connection, size_t size)
{
	size_t queued = connection_queued(connection);
	size_t capacity = connection->queue_capacity;
	uint8_t *queue;

	if (capacity - connection->queue_end >= size)
		return 0;
	if (capacity - queued >= size && connection->queue_start >= queued) {
		memcpy(connection->queue, connection->queue + connection->queue_start, queued);
	} else {
		capacity = MAX(2 * queued, queued + size);
		queue = malloc(capacity);
		if (!queue)
			return -1;
		if (queued)
			memcpy(queue, connection->queue + connection->queue_start, queued);
		free(connection->queue);
		connection->queue = queue;
		connection->queue_capacity = capacity;
	}
	connection->queue_start = 0;
	connection->queue_end = queued;
	return 0;
}

static void queue_drop(struct provium_connection *connection)
{
	connection->queue_start = 0;
	connection->queue_end = 0;
	if (connection->queue_capacity > QUEUE_KEPT) {
		free(connection->queue);
		connection->queue = NULL;
		connection->queue_capacity = 0;
	}
}

/*
 * Sends what the socket takes. A failure is not the end yet: the agent may have told why it closed,
 * and that can still be read.
 */
static void flush(struct provium_connection *connection)
{
	while (connection_queued(connection) > 0 && !connection->send_errno) {
		ssize_t count = send(connection->fd, connection->queue + connection->queue_start,
				     connection_queued(connection), MSG_NOSIGNAL | MSG_DONTWAIT);

		if (count >= 0)
			connection->queue_start += (size_t)count;
		else if (errno == EAGAIN)
			return;
		else if (errno != EINTR)
			connection->send_errno = errno;
	}
	queue_drop(connection);
}

int connection_send(struct provium_connection *connection, const Provium__V1__Message *message,
		    bool limited, struct provium_error *error)
{
	size_t size = message_frame_size(message);

	if (connection->lost)
		return error_copy(error, &connection->loss);
	if (size - FRAME_HEADER > connection->max_frame)
		return error_set(error, PROVIUM_LIMIT, 0,
				 "the request has %zu bytes, the agent takes at most %u",
				 size - FRAME_HEADER, connection->max_frame);
	if (limited && connection_queued(connection) > CONNECTION_QUEUE_LIMIT)
		return error_set(error, PROVIUM_BUSY, 0,
				 "%zu bytes of earlier requests wait for the agent to read them",
				 connection_queued(connection));
	if (queue_reserve(connection, size) < 0)
		return error_set(error, PROVIUM_HOST, ENOMEM, "a request of %zu bytes", size);
	message_frame_pack(message, size, connection->queue + connection->queue_end);
	connection->queue_end += size;
	flush(connection);
	return 0;
}

/* ------------------------------------------------------------------------------------------- */
/* Receiving */

static void take_message(struct provium_connection *connection, const uint8_t *body,
			 uint32_t length)
{
	Provium__V1__Message *message;

	switch (decoder_decode(&connection->decoder, body, length, &message)) {
	case DECODE_OK:
		break;
	case DECODE_MALFORMED:
		connection_lose(connection, PROVIUM_PROTOCOL, 0,
				"the agent sent a frame of %u bytes that is no message", length);
		return;
	case DECODE_LIMIT:
		connection_lose(
			connection, PROVIUM_PROTOCOL, 0,
			"the agent sent a frame of %u bytes that would take too much memory",
			length);
		return;
	case DECODE_NO_MEMORY:
		connection_lose(connection, PROVIUM_HOST, ENOMEM, "a frame of %u bytes", length);
		return;
	}
	if (!connection->ready)
		agent_take_ready(connection, message);
	else
		request_dispatch(connection, message);
}

static void take_frames(struct provium_connection *connection)
{
	const uint8_t *body;
	uint32_t length;

	while (!connection->lost) {
		switch (frame_reader_next(&connection->reader, &body, &length)) {
		case FRAME_PARTIAL:
			return;
		case FRAME_COMPLETE:
			take_message(connection, body, length);
			break;
		case FRAME_EMPTY:
			connection_lose(connection, PROVIUM_PROTOCOL, 0,
					"the agent sent a frame of length 0");
			break;
		case FRAME_TOO_LONG:
			connection_lose(connection, PROVIUM_PROTOCOL, 0,
					"the agent announced a frame of %u bytes, at most %u are "
					"allowed (is this an agent?)",
					length, connection->reader.max_frame);
			break;
		}
	}
}

static void take_end(struct provium_connection *connection)
{
	if (frame_reader_pending(&connection->reader) > 0)
		connection_lose(connection, PROVIUM_DISCONNECTED, 0,
				"the connection ended in the middle of a message");
	else
		connection_lose(connection, PROVIUM_DISCONNECTED, 0,
				"the agent closed the connection");
}

/* One read: a peer that sends without end must not keep the turn from ending. */
static void receive(struct provium_connection *connection)
{
	size_t space;
	uint8_t *place = frame_reader_space(&connection->reader, &space);
	ssize_t count;

	if (!place) {
		connection_lose(connection, PROVIUM_HOST, ENOMEM, "a message of the agent");
		return;
	}
	count = recv(connection->fd, place, space, MSG_DONTWAIT);
	if (count > 0) {
		frame_reader_filled(&connection->reader, (size_t)count);
		take_frames(connection);
	} else if (count == 0) {
		take_end(connection);
	} else if (errno != EAGAIN && errno != EINTR) {
		connection_lose(connection, PROVIUM_DISCONNECTED, errno,
				"the connection is broken");
	}
}

/* ------------------------------------------------------------------------------------------- */
/* Turns */

/* Whether the VM has ended as well, which is the better reason. */
static void ask_monitor(struct provium_connection *connection)
{
	struct wait_limits limits = {
		.deadline = deadline_after(POST_MORTEM_MS),
		.cancel_fd = connection->cancel_fd,
		.monitor = &connection->monitor,
	};
	struct provium_error reason;

	if (wait_limit(&limits, "the VM", &reason) == WAIT_GONE)
		connection->loss = reason;
}

/* deadline: how long it may be asked why; NULL: not at all. */
static void settle(struct provium_connection *connection, const struct deadline *deadline)
{
	if (!connection->lost || connection->fd < 0)
		return;
	if (connection->has_monitor && connection->loss.code == PROVIUM_DISCONNECTED)
		ask_monitor(connection);
	connection->fd = close_fd(connection->fd);
	queue_drop(connection);
	if (deadline && connection->ready && connection->loss.code == PROVIUM_DISCONNECTED &&
	    request_any(connection))
		lost_ask(connection, deadline);
	request_fail_all(connection);
}

void connection_settle(struct provium_connection *connection)
{
	settle(connection, NULL);
}

/*
 * Handles what the other end had sent before it was gone, or fell silent; 0: that is not known.
 * What has been on its way for DRAIN_MS since then is there.
 */
static void drain(struct provium_connection *connection, uint64_t silent_since)
{
	const struct deadline last = deadline_after(DRAIN_MS);
	struct wait_limits limits = { .deadline = last, .cancel_fd = -1 };
	enum wait_end end;
	short revents;

	if (silent_since)
		limits.deadline.at_ns =
			MIN(last.at_ns, silent_since + DRAIN_MS * UINT64_C(1000000));
	do {
		end = wait_fd(connection->fd, POLLIN, &limits, "draining", &revents, NULL);
		if (revents)
			receive(connection);
	} while (!connection->lost && (end == WAIT_READY || (revents && !deadline_passed(&last))));
}

static int turn(struct provium_connection *connection, const struct deadline *deadline,
		const char *what, struct provium_error *error)
{
	struct wait_limits limits = {
		.deadline = *deadline,
		.cancel_fd = connection->cancel_fd,
		.monitor = connection->has_monitor ? &connection->monitor : NULL,
	};
	short events = connection_queued(connection) > 0 ? POLLIN | POLLOUT : POLLIN;
	struct provium_error limit;
	enum wait_end end = WAIT_READY;
	short revents = 0;

	if (!connection->send_errno)
		end = wait_fd(connection->fd, events, &limits, what, &revents, &limit);
	if (revents & POLLOUT)
		flush(connection);
	if (revents & ~POLLOUT)
		receive(connection);
	if (connection->send_errno) {
		drain(connection, 0);
		connection_lose(connection, PROVIUM_DISCONNECTED, connection->send_errno,
				"the connection is broken");
	}
	if (end == WAIT_GONE) {
		const struct connection_monitor *monitor = &connection->monitor;

		drain(connection, monitor->silent_since ? monitor->silent_since(monitor->user) : 0);
		connection->lost = true;
		connection->loss = limit;
	}
	return end == WAIT_READY ? 0 : error_copy(error, &limit);
}

int connection_turn(struct provium_connection *connection, const struct deadline *deadline,
		    const char *what, struct provium_error *error)
{
	int rc;

	if (connection->in_turn)
		return error_set(error, PROVIUM_INVALID, 0,
				 "%s: a callback must not use the connection that calls it", what);
	if (connection->lost)
		return error_copy(error, &connection->loss);
	connection->in_turn = true;
	rc = turn(connection, deadline, what, error);
	connection->in_turn = false;
	settle(connection, deadline);
	return connection->lost ? error_copy(error, &connection->loss) : rc;
}

int connection_wait(struct provium_connection *connection, bool (*ready)(const void *arg),
		    const void *arg, const struct deadline *deadline, const char *what,
		    struct provium_error *error)
{
	while (!ready(arg)) {
		struct provium_error failure;

		if (connection_turn(connection, deadline, what, &failure) < 0 && !ready(arg))
			return error_copy(error, &failure);
	}
	return 0;
}

/* ------------------------------------------------------------------------------------------- */
/* Life */

static bool is_ready(const void *arg)
{
	const struct provium_connection *connection = arg;

	return connection->ready;
}

/* Takes the fd over: a stream socket, non-blocking and close-on-exec from now on. */
static int adopt(struct provium_connection *connection, int fd, struct provium_error *error)
{
	int type = 0;
	socklen_t size = sizeof(type);
	int flags;

	connection->fd = fd;
	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) < 0)
		return error_set(error, PROVIUM_INVALID, errno, "fd %d is no socket", fd);
	if (type != SOCK_STREAM)
		return error_set(error, PROVIUM_INVALID, 0, "fd %d is no stream socket", fd);
	flags = fcntl(fd, F_GETFL);
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ||
	    fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
		return error_set(error, PROVIUM_HOST, errno, "fcntl");
	return 0;
}

int connection_open(int fd, const uint8_t *token, const struct wait_limits *limits,
		    struct provium_connection **connection, struct provium_error *error)
{
	struct provium_connection *made = calloc(1, sizeof(*made));

	*connection = NULL;
	if (!made) {
		close_fd(fd);
		return error_set(error, PROVIUM_HOST, ENOMEM, "a connection");
	}
	frame_reader_init(&made->reader, PROVIUM_MAX_FRAME);
	decoder_init(&made->decoder);
	for (size_t i = 0; i < ARRAY_SIZE(made->requests); i++)
		list_init(&made->requests[i]);
	kernel_init(&made->kernel);
	worker_ends_init(&made->worker_ends);
	if (token) {
		memcpy(made->token, token, sizeof(made->token));
		made->has_token = true;
	}
	made->cancel_fd = limits->cancel_fd;
	connection_set_monitor(made, limits->monitor);

	if (adopt(made, fd, error) < 0 ||
	    connection_wait(made, is_ready, made, &limits->deadline,
			    "waiting for the agent's READY", error) < 0) {
		provium_connection_free(made);
		return -1;
	}
	*connection = made;
	return 0;
}

const uint8_t *connection_token(const struct provium_connection *connection)
{
	return connection->has_token ? connection->token : NULL;
}

void connection_set_monitor(struct provium_connection *connection,
			    const struct connection_monitor *monitor)
{
	connection->has_monitor = monitor != NULL;
	if (monitor)
		connection->monitor = *monitor;
}

void connection_set_address(struct provium_connection *connection, const struct address *address)
{
	connection->address = *address;
	connection->has_address = true;
}

void provium_connection_free(struct provium_connection *connection)
{
	if (!connection)
		return;
	close_fd(connection->fd);
	/* AUTH may have been in it. */
	if (connection->queue)
		explicit_bzero(connection->queue, connection->queue_capacity);
	free(connection->queue);
	explicit_bzero(connection->token, sizeof(connection->token));
	kernel_finish(&connection->kernel);
	worker_ends_finish(&connection->worker_ends);
	frame_reader_finish(&connection->reader);
	decoder_finish(&connection->decoder);
	free(connection);
}

void provium_connection_set_cancel_fd(struct provium_connection *connection, int fd)
{
	connection->cancel_fd = fd;
}

int provium_connection_fd(const struct provium_connection *connection)
{
	return connection->fd;
}

int provium_connection_vm_fd(const struct provium_connection *connection)
{
	return connection->has_monitor ? connection->monitor.fd : -1;
}

bool provium_connection_wants_write(const struct provium_connection *connection)
{
	/* That nothing can be sent any more is dispatch's to tell, and poll(2) may not know it. */
	return connection_queued(connection) > 0 || connection->send_errno;
}

int provium_connection_dispatch(struct provium_connection *connection, int timeout_ms,
				struct provium_error *error)
{
	struct deadline deadline = deadline_after(timeout_ms);
	struct provium_error failure;

	if (connection_turn(connection, &deadline, "dispatch", &failure) == 0)
		return 0;
	return failure.code == PROVIUM_TIMED_OUT ? 0 : error_copy(error, &failure);
}
