/*
 * A seam in malloc for the tests that ask for it (meson.build: 'alloc_seam'): counts what the
 * program's own sources allocate, those under test among them, and lets chosen allocations fail.
 * Libraries, Check for one, are not touched. Not for threads.
 */
#ifndef TESTS_ALLOC_SEAM_H
#define TESTS_ALLOC_SEAM_H

#include <stddef.h>

struct alloc_counts {
	/* Calls of malloc, calloc and realloc since the last reset. */
	size_t calls;
	/* Bytes held now that were allocated since the last reset, and the most there were. */
	size_t bytes;
	size_t peak;
};

extern struct alloc_counts alloc_counts;

void alloc_reset(void);

/* Lets the allocation after so many more fail with ENOMEM, once: 0 is the next. */
void alloc_fail_after(size_t calls);
void alloc_fail_never(void);

#endif
