/* What count_plugin.c counts, in a file that it shares with whoever reads it. */
#ifndef TESTS_BENCH_COUNTS_H
#define TESTS_BENCH_COUNTS_H

#include <stdint.h>

/* Instructions that the guest's processor has been given, since it was started. */
struct counts {
	/* By the address of the code: those of the upper half are the kernel's. */
	volatile uint64_t kernel;
	volatile uint64_t programs;
};

#endif
