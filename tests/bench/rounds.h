/* Measurements and their floors, which take turns in short rounds. */
#ifndef TESTS_BENCH_ROUNDS_H
#define TESTS_BENCH_ROUNDS_H

#include "tests/bench/figures.h"

struct measurement {
	struct figure_name name;
	void (*run)(void);
	void (*run_floor)(void);
	/* How often each runs in a round. */
	unsigned int per_round;
	/* It takes long: only every such round has it, the first too. 0: each. */
	unsigned int every;
	/* Of `bulk_bytes`, told in MiB/s, and not in milliseconds. */
	bool is_bulk;
};

/*
 * Appends a figure for each to the list, or for those alone whose name has `only` in it. A round
 * before those that count warms up.
 */
void rounds_measure(const struct measurement *measurements, size_t count, const char *only,
		    unsigned int rounds, json_t *list);

#endif
