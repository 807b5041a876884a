#include "watch.h"

#include <ev.h>
#include <stdlib.h>

#include "agent/loop.h"

struct watch {
	ev_io io;
	struct loop *loop;
	void (*ready)(void *data);
	void *data;
};

static void on_ready(struct ev_loop *ev, ev_io *watcher, int events)
{
	struct watch *watch = watcher->data;

	if (loop_unwatched(ev, watcher, events))
		return;
	watch->ready(watch->data);
}

struct watch *watch_start(struct loop *loop, int fd, enum watch_for what, void (*ready)(void *data),
			  void *data)
{
	struct watch *watch = malloc(sizeof(*watch));

	if (!watch)
		return NULL;
	watch->loop = loop;
	watch->ready = ready;
	watch->data = data;
	ev_io_init(&watch->io, on_ready, fd, what == WATCH_READABLE ? EV_READ : EV_WRITE);
	watch->io.data = watch;
	ev_io_start(loop->ev, &watch->io);
	return watch;
}

void watch_stop(struct watch *watch)
{
	if (!watch)
		return;
	ev_io_stop(watch->loop->ev, &watch->io);
	free(watch);
}
