#include "listener.h"

#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/vm_sockets.h>

#include "agent/fds.h"
#include "agent/log.h"
#include "agent/loop.h"
#include "agent/os.h"
#include "agent/server.h"
#include "agent/session.h"
#include "agent/worker_table.h"
#include "common/cleanup.h"

/* Connections accepted before others have their turn. */
#define ACCEPT_ROUNDS 16

/*
 * Seconds until accepting is tried again after fds or memory have run out: nothing tells when there
 * are some again, since others may have used them up.
 */
#define ACCEPT_RETRY  0.1

/* Seconds for which a worker waits for its connection. */
#define WORKER_WAIT   30.

struct listener {
	struct loop *loop;
	int fd;
	ev_io readable;
	ev_timer retry;
	/* A worker's time is up. */
	ev_timer alone;
};

static void end(struct listener *listener)
{
	struct loop *loop = listener->loop;

	ev_io_stop(loop->ev, &listener->readable);
	ev_timer_stop(loop->ev, &listener->retry);
	ev_timer_stop(loop->ev, &listener->alone);
	loop->listening = false;
}

/*
 * The agent gives root to whoever is connected, so only the host is: the kernel says the peer's
 * CID, which no guest can forge (vsock(7)).
 */
static bool may_enter(const struct listener *listener, const struct sockaddr_vm *peer)
{
	if (listener->loop->config->listener != LISTENER_VSOCK)
		return true;
	if (peer->svm_family == AF_VSOCK && peer->svm_cid == VMADDR_CID_HOST)
		return true;
	log_warn("connection from CID %u refused: not the host", peer->svm_cid);
	return false;
}

/* False: there is none now. */
static bool accept_one(struct listener *listener)
{
	union {
		struct sockaddr any;
		struct sockaddr_vm vm;
		struct sockaddr_storage room;
	} peer = { 0 };
	socklen_t length = sizeof(peer);
	int fd = os_accept(listener->fd, &peer.any, &length, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0) {
		if (errno == ECONNABORTED)
			return true;
		if (errno != EAGAIN && errno != EWOULDBLOCK) {
			log_error("accept: %s", strerror(errno));
			ev_io_stop(listener->loop->ev, &listener->readable);
			ev_timer_again(listener->loop->ev, &listener->retry);
		}
		return false;
	}
	if (!may_enter(listener, &peer.vm)) {
		close(fd);
		return true;
	}
	fd = fd_raise(fd);
	if (listener->loop->config->role == SERVER_THREAD_WORKER)
		listener->loop->config->worker->connection_fd = fd;
	session_start(listener->loop, fd);
	if (listener->loop->config->role == SERVER_MAIN)
		return true;
	/* Whoever else waits is refused. */
	end(listener);
	listener->fd = close_fd(listener->fd);
	if (listener->loop->config->listener == LISTENER_UNIX)
		unlink(listener->loop->config->listen_path);
	return false;
}

static void on_readable(struct ev_loop *ev, ev_io *watcher, int events)
{
	if (loop_unwatched(ev, watcher, events))
		return;
	for (int round = 0; round < ACCEPT_ROUNDS; round++)
		if (!accept_one(watcher->data))
			break;
}

static void on_retry(struct ev_loop *ev, ev_timer *watcher, int events)
{
	struct listener *listener = watcher->data;

	(void)events;
	ev_timer_stop(ev, watcher);
	ev_io_start(ev, &listener->readable);
}

static void on_alone(struct ev_loop *ev, ev_timer *watcher, int events)
{
	(void)ev;
	(void)events;
	end(watcher->data);
}

struct listener *listener_start(struct loop *loop)
{
	struct listener *listener = malloc(sizeof(*listener));

	if (!listener)
		return NULL;
	listener->loop = loop;
	listener->fd = loop->config->listen_fd;
	/* Non-blocking, or a peer that has gone again would make accept wait for the next. */
	(void)fcntl(listener->fd, F_SETFL, O_NONBLOCK);
	ev_init(&listener->retry, on_retry);
	listener->retry.repeat = ACCEPT_RETRY;
	listener->retry.data = listener;
	ev_io_init(&listener->readable, on_readable, listener->fd, EV_READ);
	listener->readable.data = listener;
	ev_io_start(loop->ev, &listener->readable);
	ev_timer_init(&listener->alone, on_alone, WORKER_WAIT, 0.);
	listener->alone.data = listener;
	if (loop->config->role != SERVER_MAIN)
		ev_timer_start(loop->ev, &listener->alone);
	loop->listening = true;
	return listener;
}

void listener_stop(struct listener *listener)
{
	if (!listener)
		return;
	end(listener);
	if (listener->loop->config->role != SERVER_MAIN)
		close_fd(listener->fd);
	free(listener);
}
