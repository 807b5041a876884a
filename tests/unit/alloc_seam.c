#include "alloc_seam.h"

#include <errno.h>
#include <malloc.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "common/util.h"

#define NEVER SIZE_MAX

struct alloc_counts alloc_counts;
static size_t fail_after = NEVER;

/* Here the libc's own are meant. */
#undef malloc
#undef calloc
#undef realloc
#undef free

void *malloc(size_t size);
void *calloc(size_t count, size_t size);
void *realloc(void *old, size_t size);
void free(void *old);

void alloc_reset(void)
{
	alloc_counts = (struct alloc_counts){ 0 };
}

void alloc_fail_after(size_t calls)
{
	fail_after = calls;
}

void alloc_fail_never(void)
{
	fail_after = NEVER;
}

static bool fails(void)
{
	alloc_counts.calls++;
	if (fail_after == NEVER || fail_after-- > 0)
		return false;
	fail_after = NEVER;
	errno = ENOMEM;
	return true;
}

static void *added(void *place)
{
	alloc_counts.bytes += malloc_usable_size(place);
	alloc_counts.peak = MAX(alloc_counts.peak, alloc_counts.bytes);
	return place;
}

/* What was allocated before the reset is not in the count. */
static void removed(void *place)
{
	alloc_counts.bytes -= MIN(alloc_counts.bytes, malloc_usable_size(place));
}

void *seam_malloc(size_t size)
{
	return fails() ? NULL : added(malloc(size));
}

void *seam_calloc(size_t count, size_t size)
{
	return fails() ? NULL : added(calloc(count, size));
}

void *seam_realloc(void *old, size_t size)
{
	if (fails())
		return NULL;
	removed(old);
	return added(realloc(old, size));
}

void seam_free(void *old)
{
	removed(old);
	free(old);
}
