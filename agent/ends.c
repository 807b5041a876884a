#include "ends.h"

#include <ev.h>
#include <stdlib.h>
#include <sys/epoll.h>

#include "agent/connection.h"
#include "agent/fds.h"
#include "agent/loop.h"
#include "common/cleanup.h"
#include "common/util.h"

struct ends {
	int fd;
	ev_io readable;
};

static void on_ended(struct ev_loop *ev, ev_io *watcher, int events)
{
	const struct ends *ends = watcher->data;
	struct epoll_event ended[16];
	int count;

	if (loop_unwatched(ev, watcher, events))
		return;
	count = epoll_wait(ends->fd, ended, ARRAY_SIZE(ended), 0);
	for (int i = 0; i < count; i++)
		connection_retry(ended[i].data.ptr);
}

bool ends_start(struct loop *loop)
{
	struct ends *ends = malloc(sizeof(*ends));
	int fd = fd_raise(epoll_create1(EPOLL_CLOEXEC));

	if (!ends || fd < 0) {
		free(ends);
		close_fd(fd);
		return false;
	}
	ends->fd = fd;
	ev_io_init(&ends->readable, on_ended, fd, EV_READ);
	ends->readable.data = ends;
	ev_io_start(loop->ev, &ends->readable);
	loop->ends = ends;
	return true;
}

void ends_stop(struct loop *loop)
{
	ev_io_stop(loop->ev, &loop->ends->readable);
	close_fd(loop->ends->fd);
	free(loop->ends);
}

void ends_watch(struct loop *loop, int fd, struct connection *connection)
{
	/* Each time anew: a peer that has ended its sending may end its receiving later. */
	struct epoll_event event = { .events = EPOLLRDHUP | EPOLLET, .data.ptr = connection };

	/* Without memory for it the end is found where the socket takes more. */
	(void)epoll_ctl(loop->ends->fd, EPOLL_CTL_ADD, fd, &event);
}

void ends_unwatch(struct loop *loop, int fd)
{
	(void)epoll_ctl(loop->ends->fd, EPOLL_CTL_DEL, fd, NULL);
}
