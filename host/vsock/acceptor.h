/* A listening socket under the event loop. */
#ifndef VSOCK_ACCEPTOR_H
#define VSOCK_ACCEPTOR_H

#include <ev.h>
#include <stdbool.h>

#include "host/vsock/listener.h"
#include "host/vsock/reason.h"

struct acceptor {
	struct ev_loop *loop;
	struct listener listener;
	ev_io watcher;
	ev_timer pause;

	/* Takes an accepted socket, which does not block. */
	void (*accepted)(void *context, int fd);
	void *context;
};

void acceptor_init(struct acceptor *acceptor, struct ev_loop *loop,
		   void (*accepted)(void *context, int fd), void *context);

/* Listens at a path, as listener_open(). */
int acceptor_listen(struct acceptor *acceptor, const char *path, struct reason *reason);

/* Takes over a listening socket, which must not block. */
void acceptor_inherit(struct acceptor *acceptor, int fd);

/* False before it listens and after acceptor_close(). */
bool acceptor_is_open(const struct acceptor *acceptor);

/* Leaves those who come in the queue; takes them again. For one that is open. */
void acceptor_suspend(struct acceptor *acceptor);
void acceptor_resume(struct acceptor *acceptor);

void acceptor_close(struct acceptor *acceptor);

#endif
