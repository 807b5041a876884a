#include "timer.h"

#include <ev.h>
#include <stdlib.h>

#include "agent/loop.h"

struct timer {
	ev_timer timer;
	struct loop *loop;
	void (*expired)(void *data);
	void *data;
};

static void on_expired(struct ev_loop *ev, ev_timer *watcher, int events)
{
	struct timer *timer = watcher->data;

	(void)ev;
	(void)events;
	timer->expired(timer->data);
}

struct timer *timer_start(struct loop *loop, uint64_t milliseconds, void (*expired)(void *data),
			  void *data)
{
	struct timer *timer = malloc(sizeof(*timer));

	if (!timer)
		return NULL;
	timer->loop = loop;
	timer->expired = expired;
	timer->data = data;
	ev_timer_init(&timer->timer, on_expired, (double)milliseconds / 1000., 0.);
	timer->timer.data = timer;
	/* From now and not from when the loop last looked at the clock. */
	ev_now_update(loop->ev);
	ev_timer_start(loop->ev, &timer->timer);
	return timer;
}

void timer_stop(struct timer *timer)
{
	if (!timer)
		return;
	ev_timer_stop(timer->loop->ev, &timer->timer);
	free(timer);
}
