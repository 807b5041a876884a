/* What bench and guest-floor say to each other. Both run on one machine: no byte order. */
#ifndef TESTS_BENCH_FLOOR_H
#define TESTS_BENCH_FLOOR_H

#include <stdint.h>

enum floor_kind {
	FLOOR_ECHO = 'e',
	FLOOR_SPAWN = 's',
	FLOOR_READ = 'r',
	FLOOR_WRITE = 'w',
	FLOOR_CALLS = 'c',
	FLOOR_DECODE = 'd',
	FLOOR_ENCODE = 'p',
};

struct floor_request {
	uint8_t kind;
	uint8_t unused[7];
	/* Nanoseconds, or bytes. */
	uint64_t number;
	uint8_t padding[48];
};

#endif
