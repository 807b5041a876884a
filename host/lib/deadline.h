/* Deadlines: a timeout is turned into a point in time once, however many waits it covers. */
#ifndef LIB_DEADLINE_H
#define LIB_DEADLINE_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/util.h"
#include "host/include/provium.h"

#define DEADLINE_NEVER UINT64_MAX

struct deadline {
	/* On CLOCK_MONOTONIC, nanoseconds, or DEADLINE_NEVER. */
	uint64_t at_ns;
	/* What it was made of, for messages. */
	int timeout_ms;
};

/* timeout_ms from now; PROVIUM_FOREVER (any negative number): never. */
static inline struct deadline deadline_after(int timeout_ms)
{
	struct deadline deadline = { .at_ns = DEADLINE_NEVER, .timeout_ms = timeout_ms };

	if (timeout_ms >= 0)
		deadline.at_ns = monotonic_ns() + (uint64_t)timeout_ms * 1000000u;
	return deadline;
}

static inline bool deadline_passed(const struct deadline *deadline)
{
	return deadline->at_ns != DEADLINE_NEVER && monotonic_ns() >= deadline->at_ns;
}

/* What is left of it as a timeout: milliseconds, rounded up (0: passed), or -1 for never. */
static inline int deadline_remaining_ms(const struct deadline *deadline)
{
	uint64_t now;
	uint64_t left_ms;

	if (deadline->at_ns == DEADLINE_NEVER)
		return -1;
	now = monotonic_ns();
	if (now >= deadline->at_ns)
		return 0;
	left_ms = (deadline->at_ns - now + 999999u) / 1000000u;
	return left_ms > INT_MAX ? INT_MAX : (int)left_ms;
}

#endif
