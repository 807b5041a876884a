/*
 * Workers: processes and threads of the agent that serve a connection of their own, with
 * credentials of their own. They are the place for system calls that change or end their caller.
 *
 * A fork worker is a copy of the agent's server: it has its own address space and its own fds,
 * among them what earlier calls had opened in the server when it was made. A thread worker shares
 * memory and fds with the server and ends with it; only what Linux keeps per thread is its own,
 * credentials first of all.
 *
 *	struct provium_worker_options options = { .has_uid = true, .uid = 1000 };
 *	struct provium_worker worker;
 *	struct provium_connection *user;
 *
 *	if (provium_worker_spawn(connection, &options, 5000, &worker, &error) == 0 &&
 *	    provium_worker_connect(connection, &worker, 5000, &user, &error) == 0)
 *		provium_syscall(user, ...);
 *
 * Whatever works on a connection works on that of a worker, but for spawning workers and shutting
 * the guest down. A worker waits 30 s for its connection, serves one, and ends with it.
 *
 * Included by provium.h.
 */
#ifndef PROVIUM_WORKER_H
#define PROVIUM_WORKER_H

#include "provium_core.h"

#ifdef __cplusplus
extern "C" {
#endif

#pragma GCC visibility push(default)

enum provium_worker_kind {
	PROVIUM_WORKER_FORK,
	PROVIUM_WORKER_THREAD,
};

/* Zeroed: a fork worker with the agent's credentials. */
struct provium_worker_options {
	enum provium_worker_kind kind;
	/* As of a command (provium_exec_options): a uid without groups drops the supplementary
	 * groups. */
	bool has_uid;
	bool has_gid;
	bool has_groups;
	uint32_t uid;
	uint32_t gid;
	const uint32_t *groups;
	size_t n_groups;
};

struct provium_worker {
	/* Counted from 1 since the agent's start; never used again. */
	uint64_t number;
	enum provium_worker_kind kind;
	/* vsock port at which it waits for its connection. */
	uint32_t port;
	/* In the guest. */
	int pid;
	int tid;
};

/*
 * Makes a worker, by a connection to the main agent. options may be NULL. At most 256 are there at
 * a time (PROVIUM_LIMIT). PROVIUM_GUEST where the guest refuses a step.
 */
int provium_worker_spawn(struct provium_connection *connection,
			 const struct provium_worker_options *options, int timeout_ms,
			 struct provium_worker *worker, struct provium_error *error);

/*
 * Connects to a worker, by the way that the connection came (PROVIUM_INVALID for one of
 * provium_connect_fd, which came by none). The new connection is the caller's, and the worker ends
 * with it.
 */
int provium_worker_connect(struct provium_connection *connection,
			   const struct provium_worker *worker, int timeout_ms,
			   struct provium_connection **worker_connection,
			   struct provium_error *error);

/* Enough for any address: the longest path of a Unix socket has 107 bytes (unix(7)). */
#define PROVIUM_ADDRESS_SIZE 160

/*
 * Writes the address of a worker, as provium_connect takes it, for another process to connect to:
 * of the same form as that of the connection, by whose way it leads. size: of text, in bytes.
 * PROVIUM_INVALID where the connection is one of provium_connect_fd or the text does not fit;
 * text is empty then. Does not block.
 */
int provium_worker_address(const struct provium_connection *connection,
			   const struct provium_worker *worker, char *text, size_t size,
			   struct provium_error *error);

/*
 * Called with each worker that is there. stuck: why it does not answer, where a call of it has not
 * ended at its deadline; else "". Must not call functions on the same connection.
 */
typedef void (*provium_worker_fn)(void *user, const struct provium_worker *worker,
				  const char *stuck);

int provium_worker_list(struct provium_connection *connection, provium_worker_fn callback,
			void *user, int timeout_ms, struct provium_error *error);

/* Ends a worker, and returns when it is gone. PROVIUM_NOT_FOUND where there is none. */
int provium_worker_kill(struct provium_connection *connection, uint64_t number, int timeout_ms,
			struct provium_error *error);

/* How a worker has ended. */
struct provium_worker_end {
	uint64_t number;
	/* Its exit status, or the signal that has killed it; the other is 0. */
	int exit_code;
	int signal;
	/* Why, where the agent knows: a call that did not end at its deadline, say. Else "". */
	const char *reason;
};

/*
 * The next end of a worker that has not been fetched, in *end, which lives until the next call on
 * the connection. Waits for one: PROVIUM_TIMED_OUT where none has come; with a timeout of 0 it
 * knows of all that have arrived. Each connection to the main agent is told of all workers' ends;
 * it keeps 256, older ones are dropped.
 */
int provium_worker_next_end(struct provium_connection *connection, int timeout_ms,
			    struct provium_worker_end *end, struct provium_error *error);

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif

#endif
