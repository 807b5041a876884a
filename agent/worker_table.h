/*
 * The workers that there are, in memory that supervisor, servers and workers share: so a server
 * that is started again knows them, and learns how one ended that it was not the parent of.
 *
 *	server        FREE -> STARTING           (SPAWN_WORKER)
 *	worker        STARTING -> RUNNING        its listener is there; the server is told
 *	supervisor    ... -> ENDED               it has reaped the process, or that of the thread
 *	thread        RUNNING -> ENDED           it has finished
 *	server        ENDED -> FREE              the host has been told
 *
 * A test's calls may write over it: what is read here is checked before it is used.
 */
#ifndef AGENT_WORKER_TABLE_H
#define AGENT_WORKER_TABLE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Workers of one agent. */
#define WORKERS_MAX        256u

#define WORKER_REASON_SIZE 160

enum worker_state {
	WORKER_FREE,
	WORKER_STARTING,
	WORKER_RUNNING,
	WORKER_ENDED,
};

struct worker_entry {
	_Atomic uint32_t state;
	/* Of a thread the process is that of its server. */
	int32_t pid;
	int32_t tid;
	uint32_t port;
	uint64_t number;
	bool thread;
	/* It has been RUNNING. */
	bool served;
	/* Of a thread, in its server: an eventfd that ends its loop. */
	int32_t stop_fd;
	/* And its connection, while it has one: a thread that has died leaves it open. */
	int32_t connection_fd;
	/* An errno where it could not serve: the reason is the call that failed. */
	int32_t start_error;
	/* As waitid(2) has them; of a thread that has finished CLD_EXITED and 0. */
	int32_t end_code;
	int32_t end_status;
	/* "": nothing is known beyond that. Before its end: why it is stuck. */
	char reason[WORKER_REASON_SIZE];
};

struct worker_table {
	/* Of the worker that was made last. */
	_Atomic uint64_t last_number;
	/* No entry from here on has ever been used. */
	_Atomic uint32_t used;
	struct worker_entry entries[WORKERS_MAX];
};

/* An entry in the state STARTING, with a number; NULL: there are WORKERS_MAX already. */
struct worker_entry *worker_add(struct worker_table *table, bool thread);

/* NULL: there is none. */
struct worker_entry *worker_find(struct worker_table *table, uint64_t number);

/* The next after previous (NULL: the first) that is not FREE, or NULL. */
struct worker_entry *worker_next(struct worker_table *table, struct worker_entry *previous);

/* Those that start or run. */
unsigned int worker_count(struct worker_table *table);

/* Why a worker does not answer, or ended; cut where it is too long. */
void worker_note(struct worker_entry *entry, const char *reason);

/* It is over. A reason that was noted before stays. */
void worker_end(struct worker_entry *entry, int code, int status, const char *reason);

/*
 * The supervisor has reaped this process: a worker, or a server and its threads. True: there was a
 * worker in it.
 */
bool worker_table_reaped(struct worker_table *table, pid_t process, int code, int status);

#endif
