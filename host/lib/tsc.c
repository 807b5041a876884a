#include "host/lib/tsc.h"

#include <stdint.h>
#include <time.h>

#if defined(__x86_64__)

#include <x86intrin.h>

#include "common/util.h"

#define MEASURE_NS 20000000

/* Attempts to read clock and counter at once. */
#define ATTEMPTS   8

struct point {
	uint64_t ns;
	uint64_t ticks;
};

/* Of several the one between whose two looks at the clock the least time has passed. */
static struct point take(void)
{
	struct point best = { 0 };
	uint64_t shortest = UINT64_MAX;

	for (int i = 0; i < ATTEMPTS; i++) {
		uint64_t before = clock_ns(CLOCK_MONOTONIC_RAW);
		uint64_t ticks = __rdtsc();
		uint64_t took = clock_ns(CLOCK_MONOTONIC_RAW) - before;

		if (took < shortest) {
			shortest = took;
			best = (struct point){ .ns = before + took / 2, .ticks = ticks };
		}
	}
	return best;
}

unsigned int tsc_khz(void)
{
	const struct timespec pause = { .tv_nsec = MEASURE_NS };
	struct point begin = take(), end;

	nanosleep(&pause, NULL);
	end = take();
	return (unsigned int)((end.ticks - begin.ticks) * 1000000 / (end.ns - begin.ns));
}

#else

unsigned int tsc_khz(void)
{
	return 0;
}

#endif
