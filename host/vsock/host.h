/*
 * The host's ends of connections: Unix sockets. Clients connect to one path and name the guest's
 * port; servers listen at that path with "_PORT" behind it.
 */
#ifndef VSOCK_HOST_H
#define VSOCK_HOST_H

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/list.h"
#include "host/vsock/acceptor.h"
#include "host/vsock/connection.h"
#include "host/vsock/mux.h"
#include "host/vsock/reason.h"

/* Connections of both kinds, handshakes included; fewer where RLIMIT_NOFILE says so. */
#define HOST_MAX_STREAMS 4096u

/* "_" and the longest port. */
#define HOST_PORT_SUFFIX 11u

struct host {
	struct ev_loop *loop;
	struct mux *mux;
	const char *path;
	struct acceptor acceptor;

	int hangup_fd; /* an epoll set: see host.c */
	ev_io hangup_watcher;

	struct list handshakes; /* streams whose client has not named a port yet, by link */
	unsigned int streams;
	unsigned int max_streams;
};

/*
 * Listens for clients at path, which must stay valid; mux must have been given host_ops and this
 * host. Negative errno with a reason.
 */
int host_open(struct host *host, struct ev_loop *loop, struct mux *mux, const char *path,
	      struct reason *reason);

/* No new clients, and an end to those that have not named a port. Connections stay. */
void host_stop_listening(struct host *host);

/* After mux_finish(). */
void host_close(struct host *host);

extern const struct connection_ops host_ops;

#endif
