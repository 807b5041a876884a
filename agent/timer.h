/* Waiting for a time, for what must not know the event loop. */
#ifndef AGENT_TIMER_H
#define AGENT_TIMER_H

#include <stdint.h>

struct loop;
struct timer;

/* Calls expired(data) once, so many milliseconds from now. NULL: no memory. */
struct timer *timer_start(struct loop *loop, uint64_t milliseconds, void (*expired)(void *data),
			  void *data);

/* Also after it has expired, and in expired(). NULL is nothing. */
void timer_stop(struct timer *timer);

#endif
