/* For want of memory: what libev cannot do then. Whoever includes this has an <ev.h>. */
#ifndef COMMON_EV_LACKS_H
#define COMMON_EV_LACKS_H

#include <ev.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>

/* Before another attempt: it comes when others give theirs back. */
#define EV_LACKS_MS      1
/* ... where there is no third. */
#define EV_LACKS_LONG_MS 1000

/*
 * Of a callback's events: true where they say that the kernel had no memory to watch the fd. libev
 * has given the watcher up then; here it is started again.
 */
static inline bool ev_unwatched(struct ev_loop *loop, struct ev_io *watcher, int events)
{
	/* One that was closed under it is its owner's to find out. */
	if (!(events & EV_ERROR) || fcntl(watcher->fd, F_GETFD) < 0)
		return false;
	poll(NULL, 0, EV_LACKS_MS);
	/* Anew, or libev takes it for what it has told the kernel. */
	ev_io_set(watcher, watcher->fd, watcher->events & (EV_READ | EV_WRITE));
	ev_io_start(loop, watcher);
	return true;
}

/* For ev_set_allocator(): where NULL comes of it, libev can only abort. */
static inline void *ev_allocate(void *old, long size)
{
	void *place;

	if (size == 0) {
		free(old);
		return NULL;
	}
	place = realloc(old, (size_t)size);
	if (place)
		return place;
	poll(NULL, 0, EV_LACKS_LONG_MS);
	return realloc(old, (size_t)size);
}

#endif
