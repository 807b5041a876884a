/* What libev could not have watched. Whoever includes this has an <ev.h>. */
#ifndef COMMON_UNWATCHED_H
#define COMMON_UNWATCHED_H

#include <ev.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>

/* Between two attempts. */
#define UNWATCHED_MS 1

/*
 * Of a callback's events: true where they say that the kernel had no memory to watch the fd. libev
 * has given the watcher up then; here it is started again.
 */
static inline bool ev_unwatched(struct ev_loop *loop, struct ev_io *watcher, int events)
{
	/* One that was closed under it is its owner's to find out. */
	if (!(events & EV_ERROR) || fcntl(watcher->fd, F_GETFD) < 0)
		return false;
	/* It comes when others give theirs back. */
	poll(NULL, 0, UNWATCHED_MS);
	/* Anew, or libev takes it for what it has told the kernel. */
	ev_io_set(watcher, watcher->fd, watcher->events & (EV_READ | EV_WRITE));
	ev_io_start(loop, watcher);
	return true;
}

#endif
