/*
 * One connection to an agent.
 *
 * connection.c moves bytes: a non-blocking socket, the frames that arrive, the frames that wait to
 * be sent. request.c knows which request a message belongs to. What a message means is the business
 * of the request's own file (agent.c, exec.c, file.c, copy.c).
 *
 * Everything happens in connection_turn: it waits, sends, reads once, hands each complete message
 * to its request, and only then, with no handler on the stack, ends what a handler has marked as
 * broken. Any call that waits turns; so the replies of all requests are handled whoever waits, and
 * sending and receiving never block each other.
 *
 * The agent is not trusted. A message of a kind, size, offset or order that the protocol does not
 * allow breaks the connection: every request in flight fails, and no later byte is read. A message
 * for an id that is not in flight is the late reply of a request that was given up, and is dropped.
 */
#ifndef LIB_CONNECTION_H
#define LIB_CONNECTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/list.h"
#include "host/include/provium.h"
#include "host/lib/address.h"
#include "host/lib/error.h"
#include "host/lib/kernel.h"
#include "host/lib/wait.h"
#include "host/lib/worker.h"
#include "proto/codec.h"
#include "proto/frame.h"

/* A power of two. Ids are counted up, so requests spread evenly. */
#define CONNECTION_BUCKETS     64

/*
 * Bytes that may wait to be sent when another request comes. Bulk data has windows of its own
 * (PROVIUM_WRITE_WINDOW, PROVIUM_STDIN_WINDOW); this is for requests that are not waited for.
 */
#define CONNECTION_QUEUE_LIMIT MIB(32)

/* Holds the strings of a provium_agent; longer ones are cut. */
struct agent_text {
	char version[64];
	char arch[64];
	char kernel_release[128];
	char boot_id[64];
	char restart_reason[1024];
	char init_error_path[1024];
	char init_error_operation[PROVIUM_OPERATION_SIZE];
};

struct provium_connection {
	/* -1 once it has ended. */
	int fd;
	struct frame_reader reader;
	struct decoder decoder;

	/* Frames to send: the bytes from queue_start to queue_end. */
	uint8_t *queue;
	size_t queue_capacity;
	size_t queue_start;
	size_t queue_end;
	/* Why sending has failed, or 0. What has arrived is read first, then the connection ends.
	 */
	int send_errno;

	/* struct request by id: those that wait for their final reply. */
	struct list requests[CONNECTION_BUCKETS];
	uint32_t last_id;

	int cancel_fd;
	struct connection_monitor monitor;
	bool has_monitor;

	/* The first READY, or where that asks for AUTH the one that answers it. */
	bool ready;
	/* The request that was sent for it; 0: none was. */
	uint32_t auth_id;
	bool has_token;
	uint8_t token[PROVIUM_TOKEN_SIZE];
	struct provium_agent agent;
	struct agent_text agent_text;
	uint32_t max_frame;
	/* Bit N: the agent serves the request with code N (below 128). */
	uint64_t serves[2];
	/* Messages that belonged to no request in flight. */
	uint64_t strays;
	struct kernel_events kernel;
	struct worker_ends worker_ends;

	/* A handler is running: callbacks must not wait on the connection they are called from. */
	bool in_turn;
	/* How it came, if that is known: for others that lead to the same guest. */
	struct address address;
	bool has_address;

	/*
	 * It has ended, or must; loss says why: what connection_lose was told first, unless the
	 * monitor knows that the VM is gone.
	 */
	bool lost;
	struct provium_error loss;
	/* Why its server has ended, where that is known; else "". */
	char restart_reason[sizeof(((struct agent_text *)0)->restart_reason)];
};

/*
 * Makes a connection of a connected stream socket, which it owns from then on (also on failure),
 * and waits for READY; where the agent asks for a token it gets this one (NULL: there is none).
 * Cancel fd and monitor of the limits stay with it, and a copy of the token.
 */
int connection_open(int fd, const uint8_t *token, const struct wait_limits *limits,
		    struct provium_connection **connection, struct provium_error *error);

/* For other connections to the same guest; NULL: it has none. */
const uint8_t *connection_token(const struct provium_connection *connection);

/*
 * From now on a call that waits fails with what the monitor says (and the connection ends).
 * *monitor is copied; monitor->user must live as long as the connection. NULL: none.
 */
void connection_set_monitor(struct provium_connection *connection,
			    const struct connection_monitor *monitor);

/*
 * Where the connection leads. Should it end while requests are in flight, the agent is dialled
 * again there and asked why (lost.h).
 */
void connection_set_address(struct provium_connection *connection, const struct address *address);

/* Whether the agent serves the request with this code. */
bool connection_serves(const struct provium_connection *connection, unsigned int code);

/*
 * Queues one message and sends what can be sent without waiting. limited: refuse it with
 * PROVIUM_BUSY where CONNECTION_QUEUE_LIMIT bytes wait already.
 */
int connection_send(struct provium_connection *connection, const Provium__V1__Message *message,
		    bool limited, struct provium_error *error);

/* Bytes that wait to be sent. */
size_t connection_queued(const struct provium_connection *connection);

/*
 * Waits until something can be done or the deadline has passed, and does it. Fails with the limit
 * that was met, or with why the connection is lost; messages that had arrived are handled first.
 */
int connection_turn(struct provium_connection *connection, const struct deadline *deadline,
		    const char *what, struct provium_error *error);

/* Turns until ready(arg). Fails as connection_turn, unless ready(arg) has become true by then. */
int connection_wait(struct provium_connection *connection, bool (*ready)(const void *arg),
		    const void *arg, const struct deadline *deadline, const char *what,
		    struct provium_error *error);

/*
 * Marks the connection as lost (the first call counts). It is closed, and its requests fail, at the
 * end of the turn or by connection_settle.
 */
void connection_lose(struct provium_connection *connection, enum provium_code code, int os_errno,
		     const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* Outside of a turn: carries out what connection_lose has marked; does not ask why. */
void connection_settle(struct provium_connection *connection);

#endif
