/*
 * What a connection means: the requests in flight on it, and in which order they run.
 */
#ifndef AGENT_SESSION_H
#define AGENT_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/loop.h"
#include "common/list.h"

struct connection;
struct request;
struct timer;

/* Requests that may be in flight on a connection. */
#define SESSION_MAX_REQUESTS 1024

/* Bytes of frames that may wait for their turn: the longest one and some. */
#define SESSION_MAX_WAITING  ((size_t)PROVIUM_MAX_FRAME + ((size_t)4 << 20))

/* Bytes for the standard input of commands that may be held: of a connection's, and of all jobs. */
#define SESSION_MAX_INPUT    ((size_t)PROVIUM_MAX_FRAME)

struct request_operations {
	/* CANCEL: end it and reply. NULL where the rule of its message says "not cancellable". */
	void (*cancel)(struct request *request);
	/* The connection was congested and no longer is. Ends no request. NULL: no interest. */
	void (*resume)(struct request *request);
	/* The connection has ended: release everything; no reply. It is in no list any more. */
	void (*abandon)(struct request *request);
};

/* A request that has not had its final reply; embedded in what serves it. */
struct request {
	struct list link;
	struct session *session;
	uint32_t id;
	/* The number of its body's field. */
	uint32_t code;
	const struct request_operations *operations;
	/* The last event of the kernel's before it (kmsg.c). */
	uint64_t kernel_from;
};

struct session {
	/* Among those of the loop, once it is authorised. */
	struct list link;
	struct loop *loop;
	struct connection *connection;
	/* Links struct request: those in flight, but for waiting ones. */
	struct list requests;
	unsigned int request_count;
	/* The file operation that is being done: later ones wait until it has ended (turn.c). */
	struct request *turn;
	/* Links struct waiting. */
	struct list waiting;
	unsigned int waiting_count;
	size_t waiting_bytes;
	struct task next_turn;
	/* Held for the standard input of its commands. */
	size_t input_bytes;
	/* The last event of the kernel's that it has got (kmsg.c). */
	uint64_t kernel_told;
	/* The request that has ended last, whose final reply is being sent. */
	uint32_t ended_id;
	uint64_t ended_from;
	/*
	 * The right AUTH has come, or none is asked for (auth.c). Until then: the wrong one that
	 * waits for its answer (0: none does), how many there were, whether half the time for
	 * another is over, and what is waited for.
	 */
	bool authorised;
	uint32_t auth_id;
	unsigned int auth_failures;
	bool auth_late;
	struct timer *auth_timer;
	/* SHUTDOWN has been answered: the power goes when this connection has ended. */
	bool shutting_down;
};

/* Takes fd, a connected socket, over and sends READY. */
void session_start(struct loop *loop, int fd);

/* It is authorised: from now on it gets events. */
void session_admit(struct session *session);

/* A request begins to be in flight; it is initialised wholly. */
void request_begin(struct request *request, struct session *session, uint32_t id, uint32_t code,
		   const struct request_operations *operations);

/* It no longer is: its final reply is being sent. Harmless a second time. */
void request_end(struct request *request);

/* NULL: none in flight with this id (that has begun). */
struct request *session_find(const struct session *session, uint32_t id);

/* Ends every request without a reply. */
void session_abandon_requests(struct session *session);

/* Says why in an ERROR about the connection, then closes it. */
void session_refuse(struct session *session, int code, const char *text);

#endif
