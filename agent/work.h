/*
 * File operations that take more than one pass of the loop.
 *
 * Each is a step that is made again and again, once in a pass and never while the connection is
 * congested, so that nobody else is kept waiting and no queue grows. What ends one is the same for
 * all: its last step, CANCEL, or the connection's end.
 */
#ifndef AGENT_WORK_H
#define AGENT_WORK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/session.h"
#include "proto/codec.h"

struct work;

enum work_progress {
	/* There is more to do at once. */
	WORK_MORE,
	/* Whoever is waited for calls work_run. It may be called without that, too. */
	WORK_WAIT,
	WORK_END,
	/* errno says how, work->failed what. */
	WORK_FAILED,
};

struct work_operations {
	enum work_progress (*step)(struct work *work);
	/* Releases what it holds; the memory itself is not its matter. */
	void (*release)(struct work *work);
	/* It counts bytes, which its OK tells, and not entries. */
	bool counts_bytes;
	/* Lasts until CANCEL, which is no failure then; later file operations do not wait for it.
	 */
	bool endless;
};

/* The first member of what serves it. */
struct work {
	struct request request;
	struct task next;
	const struct work_operations *operations;
	/* The path or fd that it is about, for errors as well. */
	char *subject;
	/* What has been done so far. */
	uint64_t count;
	/* The call that has failed. */
	const char *failed;
};

/*
 * A structure of this size, zeroed, for a request about subject, which it takes over (NULL: no
 * memory). NULL: no memory, which has been answered.
 */
void *work_create(struct session *session, uint32_t id, const Provium__V1__Message *message,
		  const struct work_operations *operations, size_t size, char *subject);

/*
 * Puts it in flight and makes the first step, with which it may have ended and be gone: false.
 * failed: what could not even be begun (errno), which is answered; NULL: nothing.
 */
bool work_start(struct work *work, const char *failed);

/* One step, and what is to come after it. */
void work_run(struct work *work);

#endif
