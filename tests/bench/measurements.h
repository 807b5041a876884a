/* What is measured in a guest that is up, each beside its floor. */
#ifndef TESTS_BENCH_MEASUREMENTS_H
#define TESTS_BENCH_MEASUREMENTS_H

#include "tests/bench/rounds.h"

extern const struct measurement measurements[];
extern const size_t measurements_count;

#endif
