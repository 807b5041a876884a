/*
 * The QMP client.
 *
 * One command is under way at a time. A reply is known by its id, so that the late reply to a
 * command that was given up is not taken for another's. QEMU runs a guest that may be hostile, and
 * is not trusted more than it: a line has a limit, and what is not the protocol ends the
 * connection.
 */
#include "host/lib/qmp.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/util.h"
#include "host/lib/error.h"
#include "host/lib/json_text.h"

#define READ_SIZE KIB(4)

void qmp_init(struct qmp *qmp, int fd,
	      void (*on_event)(void *user, const char *name, const json_t *data), void *user)
{
	*qmp = (struct qmp){ .fd = fd, .passed_fd = -1, .on_event = on_event, .user = user };
}

void qmp_finish(struct qmp *qmp)
{
	qmp->fd = close_fd(qmp->fd);
	json_decref(qmp->reply);
	free(qmp->buffer);
	*qmp = (struct qmp){ .fd = -1, .passed_fd = -1 };
}

/* From this side: it cannot go on. */
static int __attribute__((format(printf, 4, 5)))
end(struct qmp *qmp, struct provium_error *error, int os_errno, const char *fmt, ...)
{
	struct provium_error failure;
	char text[256];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	qmp->fd = close_fd(qmp->fd);
	error_set(&failure, PROVIUM_HOST, os_errno, "QMP: %s", text);
	snprintf(qmp->failure, sizeof(qmp->failure), "%.255s", failure.message);
	return error_copy(error, &failure);
}

static int has_ended(const struct qmp *qmp, struct provium_error *error)
{
	if (qmp->failure[0])
		return error_set(error, PROVIUM_HOST, 0, "%s", qmp->failure);
	return error_set(error, PROVIUM_HOST, 0, "QMP: the connection has ended");
}

static int end_of_peer(struct qmp *qmp, struct provium_error *error)
{
	qmp->fd = close_fd(qmp->fd);
	return error_set(error, PROVIUM_HOST, 0, "QMP: QEMU has closed the connection");
}

/* Whether the message is the reply to the last command. */
static bool is_reply(const struct qmp *qmp, const json_t *message)
{
	const json_t *id = json_object_get(message, "id");

	return json_is_integer(id) && json_integer_value(id) == (json_int_t)qmp->last_id;
}

/* What QEMU says of an error. */
static const char *describe(const json_t *refused)
{
	const char *description = json_string_value(json_object_get(refused, "desc"));

	return description ? description : "(it does not say why)";
}

static int handle_line(struct qmp *qmp, const char *line, size_t length,
		       struct provium_error *error)
{
	const char *description;
	const char *event;
	json_t *message;

	/* Spaces between messages: "\r\n". */
	if (strspn(line, " \t\r") == length)
		return 0;
	message = json_read(line, length, 0);
	if (!message && errno == ENOMEM)
		return end(qmp, error, ENOMEM, "message");
	if (!json_is_object(message)) {
		json_decref(message);
		return end(qmp, error, 0, "not a JSON object: %.80s", line);
	}
	event = json_string_value(json_object_get(message, "event"));
	if (json_object_get(message, "QMP")) {
		qmp->greeted = true;
	} else if (event) {
		if (qmp->on_event)
			qmp->on_event(qmp->user, event, json_object_get(message, "data"));
	} else if (is_reply(qmp, message) && !qmp->reply) {
		qmp->reply = json_incref(message);
	} else if (json_object_get(message, "error") && !json_object_get(message, "id")) {
		/* To what QEMU could not read; nothing else will answer that. */
		description = describe(json_object_get(message, "error"));
		end(qmp, error, 0, "%.160s", description);
	}
	json_decref(message);
	return qmp->fd < 0 ? -1 : 0;
}

/* Handles the complete lines in the buffer. */
static int handle_lines(struct qmp *qmp, size_t fresh, struct provium_error *error)
{
	size_t start = 0;
	char *newline;

	/* Of what was there before, no byte ends a line. */
	newline = memchr(qmp->buffer + qmp->used - fresh, '\n', fresh);
	while (newline) {
		*newline = '\0';
		if (handle_line(qmp, qmp->buffer + start, (size_t)(newline - qmp->buffer) - start,
				error) < 0)
			return -1;
		start = (size_t)(newline - qmp->buffer) + 1;
		newline = memchr(qmp->buffer + start, '\n', qmp->used - start);
	}
	qmp->used -= start;
	memmove(qmp->buffer, qmp->buffer + start, qmp->used);
	return 0;
}

static int make_room(struct qmp *qmp, struct provium_error *error)
{
	size_t capacity;
	char *buffer;

	if (qmp->capacity - qmp->used >= READ_SIZE)
		return 0;
	if (qmp->used >= QMP_MAX_LINE)
		return end(qmp, error, 0, "a line of more than %u bytes", QMP_MAX_LINE);
	capacity = MAX(qmp->capacity * 2, (size_t)READ_SIZE * 2);
	buffer = realloc(qmp->buffer, capacity);
	if (!buffer)
		return end(qmp, error, ENOMEM, "line");
	qmp->buffer = buffer;
	qmp->capacity = capacity;
	return 0;
}

int qmp_dispatch(struct qmp *qmp, struct provium_error *error)
{
	if (qmp->fd < 0)
		return has_ended(qmp, error);
	/* A bound, so that one who never stops sending cannot keep the caller's limits from
	 * counting. */
	for (size_t taken = 0; taken < QMP_MAX_LINE;) {
		ssize_t n;

		if (make_room(qmp, error) < 0)
			return -1;
		n = recv(qmp->fd, qmp->buffer + qmp->used, READ_SIZE, MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return 0;
		if (n == 0 || (n < 0 && errno == ECONNRESET))
			return end_of_peer(qmp, error);
		if (n < 0)
			return end(qmp, error, errno, "recv");
		taken += (size_t)n;
		qmp->used += (size_t)n;
		if (handle_lines(qmp, (size_t)n, error) < 0)
			return -1;
	}
	return 0;
}

/* Waits until something has arrived, and handles it. */
static int receive(struct qmp *qmp, const struct wait_limits *limits, const char *what,
		   struct provium_error *error)
{
	short revents = 0;
	enum wait_end wait;

	/* The limits' monitor may have handled what has arrived, and with it the end. */
	if (qmp->fd < 0)
		return has_ended(qmp, error);
	wait = wait_fd(qmp->fd, POLLIN, limits, what, &revents, error);
	/* What has arrived counts, whatever has ended the wait. */
	if (revents && qmp_dispatch(qmp, wait == WAIT_READY ? error : NULL) < 0)
		return -1;
	return wait == WAIT_READY ? 0 : -1;
}

/* As send(2), without waiting. An fd goes with the first byte. */
static ssize_t send_some(struct qmp *qmp, const char *data, size_t size)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = { 0 };
	struct iovec iov = { .iov_base = (void *)data, .iov_len = size };
	struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t n;

	if (qmp->passed_fd >= 0) {
		message.msg_control = control.bytes;
		message.msg_controllen = sizeof(control.bytes);
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&control.align), &qmp->passed_fd, sizeof(int));
	}
	n = sendmsg(qmp->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n >= 0)
		qmp->passed_fd = -1;
	return n;
}

static int send_all(struct qmp *qmp, const char *data, size_t size,
		    const struct wait_limits *limits, const char *what, struct provium_error *error)
{
	while (size > 0) {
		ssize_t n = send_some(qmp, data, size);
		short revents;

		if (n >= 0) {
			data += n;
			size -= (size_t)n;
		} else if (errno == EAGAIN) {
			if (wait_fd(qmp->fd, POLLOUT, limits, what, &revents, error) != WAIT_READY)
				return -1;
		} else if (errno == EPIPE || errno == ECONNRESET) {
			return end_of_peer(qmp, error);
		} else if (errno != EINTR) {
			return end(qmp, error, errno, "send");
		}
	}
	return 0;
}

int qmp_send(struct qmp *qmp, const char *command, json_t *arguments,
	     const struct wait_limits *limits, struct provium_error *error)
{
	cleanup_free char *text = NULL;
	json_t *message;

	json_decref(qmp->reply);
	qmp->reply = NULL;
	if (qmp->fd < 0) {
		json_decref(arguments);
		return has_ended(qmp, error);
	}
	qmp->last_id++;
	/* "o" takes the arguments over, and fails where there are none. */
	message = json_pack("{s:s, s:o, s:I}", "execute", command, "arguments", arguments, "id",
			    (json_int_t)qmp->last_id);
	text = json_write(message);
	json_decref(message);
	if (!text)
		return error_set(error, PROVIUM_HOST, ENOMEM, "QMP command %s", command);
	return send_all(qmp, text, strlen(text), limits, command, error);
}

bool qmp_has_refused(const struct qmp *qmp)
{
	return json_object_get(qmp->reply, "error") != NULL;
}

int qmp_await_reply(struct qmp *qmp, const char *command, const struct wait_limits *limits,
		    json_t **result, struct provium_error *error)
{
	while (!qmp->reply) {
		if (receive(qmp, limits, command, error) < 0 && !qmp->reply)
			return -1;
	}
	if (qmp_has_refused(qmp))
		return error_set(error, PROVIUM_HOST, 0, "QEMU refused '%s': %s", command,
				 describe(json_object_get(qmp->reply, "error")));
	if (result)
		*result = json_incref(json_object_get(qmp->reply, "return"));
	return 0;
}

int qmp_execute(struct qmp *qmp, const char *command, json_t *arguments,
		const struct wait_limits *limits, json_t **result, struct provium_error *error)
{
	if (result)
		*result = NULL;
	if (qmp_send(qmp, command, arguments, limits, error) < 0)
		return -1;
	return qmp_await_reply(qmp, command, limits, result, error);
}

int qmp_pass_fd(struct qmp *qmp, const char *name, int fd, const struct wait_limits *limits,
		struct provium_error *error)
{
	int result;

	qmp->passed_fd = fd;
	result = qmp_execute(qmp, "getfd", json_pack("{s:s}", "fdname", name), limits, NULL, error);
	qmp->passed_fd = -1;
	return result;
}

int qmp_negotiate(struct qmp *qmp, const struct wait_limits *limits, struct provium_error *error)
{
	while (!qmp->greeted) {
		if (receive(qmp, limits, "QEMU's greeting", error) < 0)
			return -1;
	}
	return qmp_execute(qmp, "qmp_capabilities", json_object(), limits, NULL, error);
}
