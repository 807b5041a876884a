/*
 * Workers: processes and threads of the agent that serve one connection each, with credentials of
 * their own. This file makes and ends them; what is known of them is in worker_table.h, the
 * requests are op_worker.c's.
 *
 * A fork worker has what its server had at the fork, and a life of its own: the supervisor is its
 * parent. A thread worker shares memory and fds with its server, and ends with it.
 */
#ifndef AGENT_WORKER_H
#define AGENT_WORKER_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/spawn.h"

struct loop;
struct worker_entry;

/*
 * Starts a worker; its entry is STARTING. What becomes of it is in the entry, and told by the
 * worker_event_fd: RUNNING, or ENDED without having served. False: errno, and *failed says what
 * failed; the entry is free then.
 */
bool worker_start(const struct loop *loop, struct worker_entry *entry,
		  const struct spawn_attributes *attributes, const char **failed);

/* The host knows how it ended, or that it never was. */
void worker_free(const struct loop *loop, struct worker_entry *entry);

/* Ends a worker, whatever it does: false and errno. Its entry tells when it has. */
bool worker_kill(const struct loop *loop, const struct worker_entry *entry);

#endif
