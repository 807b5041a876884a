/* What bench and guest-floor say to each other. Both run on one machine: no byte order. */
#ifndef TESTS_BENCH_FLOOR_H
#define TESTS_BENCH_FLOOR_H

#include <stdint.h>

/* Written and read by both; of the guest's tmpfs, its root. */
#define FLOOR_FILE "/floor-data"

enum floor_kind {
	FLOOR_ECHO = 'e',
	FLOOR_SPAWN = 's',
	FLOOR_READ = 'r',
	FLOOR_WRITE = 'w',
	FLOOR_CALLS = 'c',
	FLOOR_DECODE = 'd',
	FLOOR_ENCODE = 'p',
	FLOOR_SPAWN_MANY = 'm',
	FLOOR_OUTPUT = 'o',
	FLOOR_FORK = 'f',
	FLOOR_COMMANDS = 'C',
	FLOOR_WORKER = 'W',
	FLOOR_SINK = 'i',
	FLOOR_SOURCE = 'q',
	FLOOR_LOOPBACK = 'l',
};

struct floor_request {
	uint8_t kind;
	uint8_t unused[7];
	/* Nanoseconds, bytes, how many, or a port. */
	uint64_t number;
	uint8_t padding[48];
};

#endif
