/*
 * What libev calls for memset() in the guest's programs. Its table of descriptors has an entry for
 * each number up to the highest, and those below the agent's own are a test's (fds.h): two pages
 * that nobody writes to, and two more for numbers to come. Whole pages are given back to the
 * kernel, which reads zeros from what it has not and takes no memory for it (madvise(2), of private
 * anonymous memory, as the allocator's is).
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include "common/util.h"

#define PAGE_SIZE KIB(4)

void *ev_memset(void *to, int byte, size_t size);

void *ev_memset(void *to, int byte, size_t size)
{
	char *end = (char *)to + size;
	char *first_page = (char *)(((uintptr_t)to + PAGE_SIZE - 1) & ~(uintptr_t)(PAGE_SIZE - 1));
	char *last_page = (char *)((uintptr_t)end & ~(uintptr_t)(PAGE_SIZE - 1));

	/* Refused, too, where there is no page between the two. */
	if (byte != 0 || madvise(first_page, (size_t)(last_page - first_page), MADV_DONTNEED) != 0)
		return memset(to, byte, size);
	memset(to, 0, (size_t)(first_page - (char *)to));
	memset(last_page, 0, (size_t)(end - last_page));
	return to;
}
