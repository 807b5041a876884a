/* From an address to a connected socket. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include <linux/vm_sockets.h>

#include "common/cleanup.h"
#include "host/lib/address.h"
#include "host/lib/error.h"

/* "OK 4294967295\n" is the longest answer; more means that somebody else speaks. */
#define ANSWER_SIZE 32

/* Waits for events on fd, and for nothing else than that or a limit. */
static int await(int fd, short events, const struct wait_limits *limits, const char *what,
		 struct provium_error *error)
{
	short revents;

	do {
		enum wait_end end = wait_fd(fd, events, limits, what, &revents, error);

		if (end != WAIT_READY)
			return -1;
	} while (!revents);
	return 0;
}

/*
 * Waits until a connect(2) that is under way has ended; returns 0 or its errno, or -1 where a limit
 * was met.
 */
static int finish_connect(int fd, const struct wait_limits *limits, const char *what,
			  struct provium_error *error)
{
	int failure = 0;
	socklen_t size = sizeof(failure);

	if (await(fd, POLLOUT, limits, what, error) < 0)
		return -1;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &failure, &size) < 0)
		return errno;
	return failure;
}

static int connect_vsock(const struct address *address, const struct wait_limits *limits,
			 const char *what, struct provium_error *error)
{
	struct sockaddr_vm to = {
		.svm_family = AF_VSOCK,
		.svm_cid = address->cid,
		.svm_port = address->port,
	};
	int left_ms = deadline_remaining_ms(&limits->deadline);
	struct timeval limit = { .tv_sec = left_ms / 1000 + 1 };
	cleanup_close int fd = -1;
	int failure = 0;

	fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return error_set(error, PROVIUM_HOST, errno,
				 "%s: socket (has this kernel CONFIG_VSOCKETS?)", what);
	/* The kernel gives up after 2 s of its own. Where it will not be told, that stays. */
	if (left_ms >= 0)
		setsockopt(fd, AF_VSOCK, SO_VM_SOCKETS_CONNECT_TIMEOUT, &limit, sizeof(limit));
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0)
		failure = errno;
	if (failure == EINPROGRESS || failure == EINTR)
		failure = finish_connect(fd, limits, what, error);
	if (failure < 0)
		return -1;
	/* The answer of a guest without a listener (virtio_transport_recv_connecting, Linux). */
	if (failure == ECONNRESET)
		failure = ECONNREFUSED;
	if (failure == ENODEV)
		return error_set(error, PROVIUM_HOST, failure,
				 "%s: no such guest, or this kernel lacks vhost_vsock", what);
	if (failure)
		return error_set(error, PROVIUM_HOST, failure, "%s", what);
	return steal_fd(&fd);
}

/*
 * A Unix socket whose backlog is full makes a non-blocking connect fail with EAGAIN, and no poll
 * tells when there is room (unix(7)); a blocking one waits, for as long as SO_SNDTIMEO says. So the
 * wait is cut into slices, between which the limits are looked at.
 */
static int connect_path(int fd, const struct sockaddr_un *to, const struct wait_limits *limits,
			const char *what, struct provium_error *error)
{
	const struct timeval slice = { .tv_usec = 50000 };

	if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &slice, sizeof(slice)) < 0)
		return error_set(error, PROVIUM_HOST, errno, "%s: setsockopt", what);
	while (connect(fd, (const struct sockaddr *)to, sizeof(*to)) < 0) {
		struct wait_limits now = *limits;
		short revents;
		enum wait_end end;

		if (errno == ENOENT)
			return error_set(error, PROVIUM_HOST, errno, "%s: no socket there", what);
		if (errno == ECONNREFUSED)
			return error_set(error, PROVIUM_HOST, errno,
					 "%s: nobody listens on the socket", what);
		if (errno != EAGAIN && errno != EINTR)
			return error_set(error, PROVIUM_HOST, errno, "%s", what);
		if (deadline_passed(&limits->deadline))
			return error_set(error, PROVIUM_TIMED_OUT, 0,
					 "%s: its queue of connections is still full after %d ms",
					 what, limits->deadline.timeout_ms);
		now.deadline = deadline_after(0);
		end = wait_fd(-1, 0, &now, what, &revents, error);
		if (end != WAIT_TIMED_OUT)
			return -1;
		error_clear(error);
	}
	return 0;
}

static int send_all(int fd, const char *data, size_t size, const struct wait_limits *limits,
		    const char *what, struct provium_error *error)
{
	while (size > 0) {
		ssize_t count = send(fd, data, size, MSG_NOSIGNAL);

		if (count >= 0) {
			data += count;
			size -= (size_t)count;
			continue;
		}
		if (errno != EAGAIN && errno != EINTR)
			return error_set(error, PROVIUM_HOST, errno, "%s: send", what);
		if (await(fd, POLLOUT, limits, what, error) < 0)
			return -1;
	}
	return 0;
}

static int refused(const struct address *address, const char *what, struct provium_error *error)
{
	return error_set(error, PROVIUM_HOST, ECONNREFUSED,
			 "%s: the connection was closed instead of answered: the guest is not up, "
			 "has no vsock driver, or nothing in it listens on port %" PRIu32
			 "; or this is the agent's own socket (use agent-unix:PATH)",
			 what, address->port);
}

/*
 * "CONNECT PORT\n" is answered by "OK N\n", or by the end of the connection. What follows the
 * newline is the agent's already, so the answer is read byte by byte.
 */
static int shake_hands(int fd, const struct address *address, const struct wait_limits *limits,
		       const char *what, struct provium_error *error)
{
	char line[ANSWER_SIZE];
	size_t length =
		(size_t)snprintf(line, sizeof(line), "CONNECT %" PRIu32 "\n", address->port);

	if (send_all(fd, line, length, limits, what, error) < 0) {
		if (error && (error->os_errno == EPIPE || error->os_errno == ECONNRESET))
			return refused(address, what, error);
		return -1;
	}
	length = 0;
	while (length == 0 || line[length - 1] != '\n') {
		ssize_t count;

		if (length == sizeof(line) - 1)
			return error_set(
				error, PROVIUM_PROTOCOL, 0,
				"%s: no \"OK\" came as answer to CONNECT: this is no hybrid "
				"vsock socket (agent-unix:PATH is for the agent's own)",
				what);
		count = recv(fd, line + length, 1, 0);
		if (count == 0 || (count < 0 && errno == ECONNRESET))
			return refused(address, what, error);
		if (count > 0)
			length++;
		else if (errno != EAGAIN && errno != EINTR)
			return error_set(error, PROVIUM_HOST, errno, "%s: recv", what);
		else if (await(fd, POLLIN, limits, what, error) < 0)
			return -1;
	}
	line[length - 1] = '\0';
	if (strncmp(line, "OK ", 3) != 0) {
		char shown[ANSWER_SIZE];

		error_guest_text(shown, sizeof(shown), line);
		return error_set(error, PROVIUM_PROTOCOL, 0,
				 "%s: answered \"%s\" to CONNECT, not OK", what, shown);
	}
	return 0;
}

static int connect_unix(const struct address *address, const struct wait_limits *limits,
			const char *what, struct provium_error *error)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	cleanup_close int fd = -1;

	memcpy(to.sun_path, address->path, sizeof(to.sun_path));
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return error_set(error, PROVIUM_HOST, errno, "%s: socket", what);
	if (connect_path(fd, &to, limits, what, error) < 0)
		return -1;
	if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
		return error_set(error, PROVIUM_HOST, errno, "%s: fcntl", what);
	if (address->kind == ADDRESS_HYBRID && shake_hands(fd, address, limits, what, error) < 0)
		return -1;
	return steal_fd(&fd);
}

int address_connect(const struct address *address, const struct wait_limits *limits, int *fd,
		    struct provium_error *error)
{
	char what[PROVIUM_ADDRESS_SIZE];

	address_format(address, what, sizeof(what));
	*fd = address->kind == ADDRESS_VSOCK ? connect_vsock(address, limits, what, error)
					     : connect_unix(address, limits, what, error);
	return *fd < 0 ? -1 : 0;
}
