/* A listening Unix socket with a path. */
#ifndef VSOCK_LISTENER_H
#define VSOCK_LISTENER_H

#include <sys/stat.h>

#include "host/vsock/reason.h"

struct listener {
	int fd;           /* owned; -1 when closed */
	const char *path; /* NULL where the fd was inherited */
	dev_t device;     /* which socket the path named */
	ino_t inode;
};

/*
 * Listens at a path, which must stay valid; accepted sockets do not block. A socket that nobody
 * listens at any more is replaced. Negative errno with a reason.
 */
int listener_open(struct listener *listener, const char *path, struct reason *reason);

/* Closes it and removes its path, unless that names another socket by now. */
void listener_close(struct listener *listener);

/*
 * Connects to a path without waiting: the fd, or a negative errno; -EAGAIN when the listener's
 * queue is full.
 */
int unix_connect(const char *path);

#endif
