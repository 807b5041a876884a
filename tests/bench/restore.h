/* The floor of a resume: QEMU and provium-vsock by themselves, told what to do by hand. */
#ifndef TESTS_BENCH_RESTORE_H
#define TESTS_BENCH_RESTORE_H

#include "tests/bench/guest.h"

struct restore_programs {
	/* In PATH, or a path. */
	const char *qemu;
	const char *vsock;
};

/*
 * Has QEMU load the snapshot, whose memory has been copied before, and its guest go on. Returns the
 * milliseconds from QEMU's start until guest-floor, which waits in it, has sent a message back.
 */
double restore(const struct provium_snapshot *snapshot, const struct restore_programs *programs);

#endif
