/*
 * The least that an agent of libev and protobuf-c can be: the floor of provium-agent's size and
 * memory.
 *
 * guest-skeleton PORT: listens on the vsock port, says so on standard output, and answers each
 * message of a connection, a length of four bytes and a SkeletonPing, with itself.
 */
#include <errno.h>
#include <ev.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/vm_sockets.h>

#include "common/cleanup.h"
#include "common/util.h"
#include "tests/bench/skeleton.pb-c.h"

struct connection {
	struct ev_io watcher;
	uint32_t filled;
	uint8_t frame[KIB(16)];
};

static int answer(struct connection *connection, uint32_t size)
{
	SkeletonPing *ping = skeleton_ping__unpack(NULL, size, connection->frame + sizeof(size));
	int result = -1;

	if (!ping)
		return -1;
	if (skeleton_ping__get_packed_size(ping) == size) {
		skeleton_ping__pack(ping, connection->frame + sizeof(size));
		size += (uint32_t)sizeof(size);
		result = write(connection->watcher.fd, connection->frame, size) == size ? 0 : -1;
	}
	skeleton_ping__free_unpacked(ping, NULL);
	connection->filled = 0;
	return result;
}

static int advance(struct connection *connection)
{
	uint32_t size = 0;
	ssize_t count = read(connection->watcher.fd, connection->frame + connection->filled,
			     sizeof(connection->frame) - connection->filled);

	if (count <= 0)
		return -1;
	connection->filled += (uint32_t)count;
	if (connection->filled < sizeof(size))
		return 0;
	memcpy(&size, connection->frame, sizeof(size));
	if (size > sizeof(connection->frame) - sizeof(size))
		return -1;
	return connection->filled == sizeof(size) + size ? answer(connection, size) : 0;
}

static void on_readable(struct ev_loop *loop, struct ev_io *watcher, int events)
{
	struct connection *connection = watcher->data;

	(void)events;
	if (advance(connection) == 0)
		return;
	ev_io_stop(loop, watcher);
	close(watcher->fd);
	free(connection);
}

static void on_connection(struct ev_loop *loop, struct ev_io *watcher, int events)
{
	cleanup_close int fd = accept4(watcher->fd, NULL, NULL, SOCK_CLOEXEC);
	struct connection *connection;

	(void)events;
	if (fd < 0)
		return;
	connection = calloc(1, sizeof(*connection));
	if (!connection)
		return;
	connection->watcher.data = connection;
	ev_io_init(&connection->watcher, on_readable, steal_fd(&fd), EV_READ);
	ev_io_start(loop, &connection->watcher);
}

int main(int argc, char **argv)
{
	static const char listening[] = "listening\n";
	struct sockaddr_vm address = { .svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_ANY };
	int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct ev_loop *loop = ev_loop_new(EVFLAG_NOENV);
	struct ev_io listener;

	if (argc != 2 || !loop)
		return 2;
	address.svm_port = (uint32_t)strtoul(argv[1], NULL, 10);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    listen(fd, 1) < 0)
		return errno;
	if (write(STDOUT_FILENO, listening, strlen(listening)) < 0)
		return errno;
	ev_io_init(&listener, on_connection, fd, EV_READ);
	ev_io_start(loop, &listener);
	return ev_run(loop, 0);
}
