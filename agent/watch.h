/* Waiting until a file can be read or written, for what must not know the event loop. */
#ifndef AGENT_WATCH_H
#define AGENT_WATCH_H

#include <stdbool.h>

struct loop;
struct watch;

enum watch_for {
	WATCH_READABLE,
	WATCH_WRITABLE,
};

/* Calls ready(data) in each pass in which fd is ready. NULL: no memory. */
struct watch *watch_start(struct loop *loop, int fd, enum watch_for what, void (*ready)(void *data),
			  void *data);

/* Before fd is closed. NULL is nothing. */
void watch_stop(struct watch *watch);

#endif
