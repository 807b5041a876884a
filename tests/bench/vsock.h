/* What provium-vsock takes of the host's processors. */
#ifndef TESTS_BENCH_VSOCK_H
#define TESTS_BENCH_VSOCK_H

#include <jansson.h>

/* Appends the figures of raw streams, in the guest that is up. */
void vsock_measure(unsigned int rounds, json_t *list);

#endif
