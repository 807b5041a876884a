/* A QEMU with more than libprovium gives it. */
#ifndef TESTS_BENCH_QEMU_H
#define TESTS_BENCH_QEMU_H

#include <stddef.h>

#include "tests/bench/guest.h"

/* In the guest's directory: the peer's socket, and what the plugin counts (counts.h). */
#define QEMU_PEER   "peer"
#define QEMU_COUNTS "counts"

/*
 * Writes a script into the directory that starts QEMU with what the options ask for besides, and
 * its path to `program`.
 */
void qemu_prepare(const char *directory, const struct guest_options *options, char *program,
		  size_t size);
void qemu_remove(const char *directory);

#endif
