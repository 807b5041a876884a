/*
 * Unix sockets under the event loop.
 *
 * A socket is watched for reading only while the mux wants to know: once it has said that there is
 * something, the watcher stops until the mux has read, so that data nobody can take yet (no credit,
 * no receive buffers) do not keep the loop busy. A client that goes away entirely shall be noticed
 * all the same, at any time. libev has no watcher for that, epoll does: EPOLLHUP is reported for an
 * fd that is registered for nothing. So all sockets are in a second epoll set for nothing but that,
 * and the loop watches the set.
 *
 * What a callback here does to a connection is done by the mux; the memory of one that is finished
 * is freed after the loop's turn (mux_reap), so no callback can meet a freed one.
 */
#include "host/vsock/host.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/ev_lacks.h"
#include "common/util.h"
#include "host/vsock/handshake.h"
#include "host/vsock/listener.h"
#include "host/vsock/log.h"

/* Seconds. */
#define HANDSHAKE_LIMIT     30.0
#define OPEN_RETRY_INTERVAL 0.01 /* a full listen queue wakes nobody when it has room again */
#define OPEN_RETRY_LIMIT    1.5  /* Linux guests give up after 2 */

/* Fds that are not streams: loop, rings, memory, front end, standard ones; amply. */
#define RESERVED_FDS        64u

struct stream {
	struct connection connection;
	struct host *host;
	int fd;
	ev_io reader;
	ev_io writer;
	ev_timer timer; /* HANDSHAKE_LIMIT, then OPEN_RETRY_INTERVAL or what the mux sets */

	/* Until the client has named a port. */
	struct list link; /* in host.handshakes */
	char line[HANDSHAKE_LINE_LIMIT];
	size_t line_length;

	uint64_t open_until; /* monotonic_ns() */
};

static struct stream *stream_of(struct connection *connection)
{
	return container_of(connection, struct stream, connection);
}

/*
 * Ends reading, and with SHUT_RDWR both directions, and drops what is left to read, which would be
 * in the way: a Unix socket that is closed with unread data gives its peer an error after what was
 * sent to it, and not the end of file, which it is; and a peer that waits in poll(2) until it can
 * write is not woken while its socket is full (unix_poll() in the kernel's net/unix/af_unix.c).
 */
static void discard_input(int fd, int how)
{
	char bytes[16384];

	/* It fails only where the other end is gone, which is noticed elsewhere. */
	shutdown(fd, how);
	while (recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
		;
}

static void stream_close(struct stream *stream)
{
	struct ev_loop *loop = stream->host->loop;

	ev_io_stop(loop, &stream->reader);
	ev_io_stop(loop, &stream->writer);
	ev_timer_stop(loop, &stream->timer);
	if (stream->fd >= 0)
		discard_input(stream->fd, SHUT_RDWR);
	/* Closing takes it out of the hangup set. */
	stream->fd = close_fd(stream->fd);
}

static void stream_destroy(struct stream *stream)
{
	stream_close(stream);
	list_remove(&stream->link);
	stream->host->streams--;
	free(stream);
}

static struct stream *stream_create(struct host *host)
{
	struct stream *stream = calloc(1, sizeof(*stream));

	if (!stream)
		return NULL;
	stream->host = host;
	stream->fd = -1;
	list_init(&stream->link);
	host->streams++;
	return stream;
}

static void stream_set_limit(struct stream *stream, double seconds)
{
	ev_timer_stop(stream->host->loop, &stream->timer);
	if (seconds > 0) {
		ev_timer_set(&stream->timer, seconds, 0.);
		ev_timer_start(stream->host->loop, &stream->timer);
	}
}

/* --- an established stream --- */

static void stream_on_readable(struct ev_loop *loop, ev_io *watcher, int events)
{
	struct stream *stream = container_of(watcher, struct stream, reader);

	if (ev_unwatched(loop, watcher, events))
		return;
	mux_readable(&stream->connection);
}

static void stream_on_writable(struct ev_loop *loop, ev_io *watcher, int events)
{
	struct stream *stream = container_of(watcher, struct stream, writer);

	if (ev_unwatched(loop, watcher, events))
		return;
	mux_writable(&stream->connection);
}

static void stream_on_limit(struct ev_loop *loop, ev_timer *watcher, int events)
{
	struct stream *stream = container_of(watcher, struct stream, timer);

	(void)loop;
	(void)events;
	mux_expired(&stream->connection);
}

/* Makes a socket that is there the host's end of the connection: 0 or a negative errno. */
static int stream_attach(struct stream *stream)
{
	struct epoll_event event = { .events = EPOLLONESHOT, .data.ptr = stream };

	if (epoll_ctl(stream->host->hangup_fd, EPOLL_CTL_ADD, stream->fd, &event) < 0)
		return -errno;
	ev_io_stop(stream->host->loop, &stream->reader);
	ev_io_init(&stream->reader, stream_on_readable, stream->fd, EV_READ);
	ev_io_init(&stream->writer, stream_on_writable, stream->fd, EV_WRITE);
	ev_timer_stop(stream->host->loop, &stream->timer);
	ev_set_cb(&stream->timer, stream_on_limit);
	return 0;
}

static void host_on_hangup(struct ev_loop *loop, ev_io *watcher, int events)
{
	struct host *host = container_of(watcher, struct host, hangup_watcher);
	struct epoll_event ready[64];
	int count;

	if (ev_unwatched(loop, watcher, events))
		return;
	count = epoll_wait(host->hangup_fd, ready, ARRAY_SIZE(ready), 0);
	for (int i = 0; i < count; i++)
		mux_hangup(&((struct stream *)ready[i].data.ptr)->connection);
}

/* --- clients that want a port of the guest --- */

static bool not_now(int error)
{
	return error == EAGAIN || error == EINTR;
}

/* Reads up to the newline and not beyond: what follows is the guest's. 1 when it is there. */
static int handshake_read(struct stream *stream)
{
	char *place = stream->line + stream->line_length;
	ssize_t count = recv(stream->fd, place, sizeof(stream->line) - stream->line_length,
			     MSG_PEEK | MSG_DONTWAIT);
	const char *end;

	if (count < 0)
		return not_now(errno) ? 0 : -errno;
	if (count == 0)
		return -ENOTCONN;
	end = memchr(place, '\n', (size_t)count);
	count = recv(stream->fd, place, end ? (size_t)(end + 1 - place) : (size_t)count,
		     MSG_DONTWAIT);
	if (count < 0)
		return not_now(errno) ? 0 : -errno;
	stream->line_length += (size_t)count;
	if (end && stream->line + stream->line_length == end + 1)
		return 1;
	return stream->line_length == sizeof(stream->line) ? -EMSGSIZE : 0;
}

static void handshake_on_readable(struct ev_loop *loop, ev_io *watcher, int events)
{
	struct stream *stream = container_of(watcher, struct stream, reader);
	uint32_t port;
	int result;

	if (ev_unwatched(loop, watcher, events))
		return;
	result = handshake_read(stream);
	if (result == 0)
		return;
	if (result > 0)
		result = handshake_parse(stream->line, stream->line_length, &port)
				 ? stream_attach(stream)
				 : -EMSGSIZE;
	if (result < 0) {
		if (result == -EMSGSIZE)
			log_warning("a client was refused: its first line is not \"CONNECT PORT\"");
		else if (result != -ENOTCONN)
			log_warning("a client was refused: %s", strerror(-result));
		stream_destroy(stream);
		return;
	}
	list_remove(&stream->link);
	mux_connect(stream->host->mux, &stream->connection, port);
}

static void handshake_on_limit(struct ev_loop *loop, ev_timer *watcher, int events)
{
	(void)loop;
	(void)events;
	log_warning("a client was refused: no line within %.0f seconds", HANDSHAKE_LIMIT);
	stream_destroy(container_of(watcher, struct stream, timer));
}

static void host_on_accepted(void *context, int fd)
{
	struct host *host = context;
	struct stream *stream;

	if (host->streams >= host->max_streams) {
		log_warning("a client was refused: there are %u connections", host->streams);
		close(fd);
		return;
	}
	stream = stream_create(host);
	if (!stream) {
		log_warning("a client was refused: no memory");
		close(fd);
		return;
	}
	stream->fd = fd;
	list_append(&host->handshakes, &stream->link);
	ev_io_init(&stream->reader, handshake_on_readable, fd, EV_READ);
	ev_io_init(&stream->writer, stream_on_writable, fd, EV_WRITE);
	ev_timer_init(&stream->timer, handshake_on_limit, HANDSHAKE_LIMIT, 0.);
	ev_io_start(host->loop, &stream->reader);
	ev_timer_start(host->loop, &stream->timer);
}

/* --- servers that the guest wants --- */

/* Connects to the server of a port: 0 or a negative errno. */
static int stream_connect(struct stream *stream, uint32_t port)
{
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	int fd;

	snprintf(path, sizeof(path), "%s_%u", stream->host->path, port);
	fd = unix_connect(path);
	if (fd < 0)
		return fd;
	stream->fd = fd;
	return stream_attach(stream);
}

static void stream_on_retry(struct ev_loop *loop, ev_timer *watcher, int events)
{
	struct stream *stream = container_of(watcher, struct stream, timer);
	int result = stream_connect(stream, stream->connection.host_port);

	(void)loop;
	(void)events;
	if (result == -EAGAIN && monotonic_ns() < stream->open_until)
		stream_set_limit(stream, OPEN_RETRY_INTERVAL);
	else
		mux_opened(&stream->connection, result == 0);
}

static struct connection *host_open_port(void *context, uint32_t port, bool *opening)
{
	struct host *host = context;
	struct stream *stream;
	int result;

	if (host->streams >= host->max_streams) {
		log_warning("the guest was refused: there are %u connections", host->streams);
		return NULL;
	}
	stream = stream_create(host);
	if (!stream) {
		log_warning("the guest was refused: no memory");
		return NULL;
	}
	ev_io_init(&stream->reader, stream_on_readable, -1, EV_READ);
	ev_io_init(&stream->writer, stream_on_writable, -1, EV_WRITE);
	ev_timer_init(&stream->timer, stream_on_retry, 0., 0.);

	result = stream_connect(stream, port);
	if (result == -EAGAIN) {
		*opening = true;
		stream->open_until = monotonic_ns() + (uint64_t)(OPEN_RETRY_LIMIT * 1e9);
		stream_set_limit(stream, OPEN_RETRY_INTERVAL);
	} else if (result < 0) {
		/* That nobody serves a port is nothing to tell of. */
		log_write(result == -ENOENT || result == -ECONNREFUSED ? LOG_LEVEL_DEBUG
								       : LOG_LEVEL_WARNING,
			  "the guest was refused: %s_%u: %s", host->path, port, strerror(-result));
		stream_destroy(stream);
		return NULL;
	}
	return &stream->connection;
}

/* --- what the mux asks for --- */

static int stream_accepted(struct connection *connection)
{
	char line[HANDSHAKE_LINE_LIMIT];
	size_t length = (size_t)snprintf(line, sizeof(line), "OK %u\n", connection->host_port);
	size_t sent = 0;

	/* Nothing was written to this socket before: it has room. */
	while (sent < length) {
		ssize_t count = send(stream_of(connection)->fd, line + sent, length - sent,
				     MSG_NOSIGNAL | MSG_DONTWAIT);

		if (count < 0 && errno == EINTR)
			continue;
		if (count < 0) {
			int error = errno;

			if (error != EPIPE && error != ECONNRESET)
				log_warning("a client was not answered: %s", strerror(error));
			return -error;
		}
		sent += (size_t)count;
	}
	return 0;
}

static ssize_t stream_read(struct connection *connection, const struct iovec *iov,
			   unsigned int count)
{
	ssize_t result;

	do
		result = readv(stream_of(connection)->fd, iov, (int)MIN(count, (unsigned)IOV_MAX));
	while (result < 0 && errno == EINTR);
	return result < 0 ? -errno : result;
}

static ssize_t stream_write(struct connection *connection, const struct iovec *iov,
			    unsigned int count)
{
	struct msghdr message = { .msg_iov = (struct iovec *)iov,
				  .msg_iovlen = MIN(count, (unsigned)IOV_MAX) };
	ssize_t result;

	do
		result = sendmsg(stream_of(connection)->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (result < 0 && errno == EINTR);
	return result < 0 ? -errno : result;
}

static void stream_shutdown(struct connection *connection, int how)
{
	int fd = stream_of(connection)->fd;

	if (how == SHUT_WR)
		shutdown(fd, how);
	else
		discard_input(fd, how);
}

static void watcher_set(struct ev_loop *loop, ev_io *watcher, bool wanted)
{
	if (wanted && !ev_is_active(watcher))
		ev_io_start(loop, watcher);
	else if (!wanted && ev_is_active(watcher))
		ev_io_stop(loop, watcher);
}

static void stream_watch(struct connection *connection, bool readable, bool writable)
{
	struct stream *stream = stream_of(connection);

	watcher_set(stream->host->loop, &stream->reader, readable);
	watcher_set(stream->host->loop, &stream->writer, writable);
}

static void stream_limit(struct connection *connection, double seconds)
{
	stream_set_limit(stream_of(connection), seconds);
}

static void stream_on_close(struct connection *connection)
{
	stream_close(stream_of(connection));
}

static void stream_release(struct connection *connection)
{
	stream_destroy(stream_of(connection));
}

const struct connection_ops host_ops = {
	.open = host_open_port,
	.accepted = stream_accepted,
	.read = stream_read,
	.write = stream_write,
	.shutdown = stream_shutdown,
	.watch = stream_watch,
	.limit = stream_limit,
	.close = stream_on_close,
	.release = stream_release,
};

/* --- */

static unsigned int fd_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return 1024;
	if (limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
		getrlimit(RLIMIT_NOFILE, &limit);
	}
	return (unsigned int)MIN(limit.rlim_cur, (rlim_t)INT_MAX);
}

int host_open(struct host *host, struct ev_loop *loop, struct mux *mux, const char *path,
	      struct reason *reason)
{
	unsigned int fds = fd_limit();
	int result;

	*host = (struct host){ .loop = loop, .mux = mux, .path = path, .hangup_fd = -1 };
	acceptor_init(&host->acceptor, loop, host_on_accepted, host);
	list_init(&host->handshakes);

	if (fds <= RESERVED_FDS)
		return refuse(reason, EMFILE, "RLIMIT_NOFILE is %u, more than %u are needed", fds,
			      RESERVED_FDS);
	host->max_streams = MIN(fds - RESERVED_FDS, HOST_MAX_STREAMS);

	if (strlen(path) + HOST_PORT_SUFFIX >= sizeof(((struct sockaddr_un *)0)->sun_path))
		return refuse(reason, ENAMETOOLONG,
			      "\"%s\" is too long: \"_PORT\" is appended to it, and a socket's "
			      "path has at most %zu bytes",
			      path, sizeof(((struct sockaddr_un *)0)->sun_path) - 1);

	host->hangup_fd = epoll_create1(EPOLL_CLOEXEC);
	if (host->hangup_fd < 0)
		return refuse(reason, errno, "epoll_create1: %s", strerror(errno));
	result = acceptor_listen(&host->acceptor, path, reason);
	if (result < 0) {
		host->hangup_fd = close_fd(host->hangup_fd);
		return result;
	}

	ev_io_init(&host->hangup_watcher, host_on_hangup, host->hangup_fd, EV_READ);
	ev_io_start(loop, &host->hangup_watcher);
	return 0;
}

void host_stop_listening(struct host *host)
{
	struct stream *stream, *next;

	acceptor_close(&host->acceptor);
	list_for_each_safe(stream, next, &host->handshakes, link)
		stream_destroy(stream);
}

void host_close(struct host *host)
{
	host_stop_listening(host);
	ev_io_stop(host->loop, &host->hangup_watcher);
	host->hangup_fd = close_fd(host->hangup_fd);
}
