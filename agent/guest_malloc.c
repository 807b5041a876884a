/*
 * malloc() and its kin of the guest's programs, in the place of the C library's. musl's takes 8.5
 * KiB, a fifteenth of the agent, for speed with many threads and sizes that the agent does not
 * have, and its blocks cost 16 bytes and are multiples of 32.
 *
 * Theory of operation. Small blocks are cut from regions of 256 KiB that are mapped when they are
 * needed. In a region blocks lie one behind the other without a gap. A block is led by its size,
 * and tells by a flag whether the block before it is in use; a free block says its size at its end
 * too, so that its successor finds its beginning. Two free blocks never lie side by side: what is
 * freed joins its neighbours. A region that is one free block is unmapped; the pages of a large
 * free block in another go back to the kernel when guest_malloc_trim() is called.
 *
 * Free blocks hang in bins by size: each of the smallest sizes has its own, above it is four for
 * each doubling, and a bit for each bin tells which may hold something. A block of the smallest bin
 * in which every block is large enough is taken, after a look at the first of its own bin; what is
 * too much is cut off. So every call takes the same few steps, however many blocks there are. What
 * is large is taken from a free block's end, so that what is small lies together; what is a page or
 * more begins with one, as then its contents nearly do. A process that was forked writes to fewer
 * pages like this, each of which the kernel has to copy.
 *
 * From 128 KiB on a block has a mapping of its own: it goes back to the kernel at once when it is
 * freed, and the kernel moves it when it grows.
 *
 * What must hold: a block's memory is at a multiple of 16; the last block of a region is followed
 * by a mark that is in use, and says so of that block, too, whatever it is; one lock guards the
 * bins and all blocks that are not in use, and all flags about a block's predecessor. It is not
 * held over system calls but the one that maps a region, and that of guest_malloc_trim().
 *
 * As in malloc(3): 0 bytes are a block of their own, errno is ENOMEM on failure, free() leaves it
 * as it is. A block that realloc() makes smaller stays where it is.
 */
#include "agent/guest_malloc.h"

#include <assert.h>
#include <errno.h>
#include <linux/futex.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/util.h"

#define GRAIN        ((size_t)16)
#define REGION_SIZE  KIB(256)
/* Of a region's only block: the mark takes the rest. */
#define WHOLE_REGION (REGION_SIZE - GRAIN)
#define LEAST_MAPPED KIB(128)
/* Of blocks that are cut from the end of a free one. */
#define LEAST_LARGE  KIB(1)
/* Of free blocks whose pages are given back. */
#define LEAST_TRIM   KIB(32)
#define PAGE_SIZE    KIB(4)
/* So far into its page a block of a page or more may begin: so one that is a little smaller than
 * whole pages leaves no gap. */
#define MOST_BEFORE  ((size_t)64)
#define BINS         64

/* In a block's size. */
#define USED         ((size_t)1)
#define BEFORE_USED  ((size_t)2)
#define MAPPED       ((size_t)4)
/* Its pages have been given back, and it has not been in use since. */
#define TRIMMED      ((size_t)8)
#define FLAGS        (GRAIN - 1)

struct block {
	/* The predecessor's last bytes: its own while it is in use, else its size. */
	size_t size_before;
	/* Of all up to the successor's size, and flags. */
	size_t size;
	/* The memory begins here. In a free block: the next one in its bin, and what points to it.
	 */
	struct block *next;
	struct block **link;
};

#define MEMORY_OFFSET offsetof(struct block, next)
#define LEAST_BLOCK   sizeof(struct block)

static_assert(MEMORY_OFFSET == GRAIN && LEAST_BLOCK % GRAIN == 0, "memory is aligned");

static struct block *bins[BINS];
/* Of a bin that is empty since the last look its bit is still set. */
static uint64_t filled;

/* 0: free, 1: taken, 2: taken, and somebody may be waiting. */
static _Atomic int lock;

static void futex(int operation, int value)
{
	int error = errno;

	syscall(SYS_futex, &lock, operation, value, NULL, NULL, 0);
	errno = error;
}

void guest_malloc_lock(void)
{
	int state = 0;

	if (atomic_compare_exchange_strong(&lock, &state, 1))
		return;
	while (atomic_exchange(&lock, 2) != 0)
		futex(FUTEX_WAIT_PRIVATE, 2);
}

void guest_malloc_unlock(void)
{
	if (atomic_exchange(&lock, 0) == 2)
		futex(FUTEX_WAKE_PRIVATE, 1);
}

/* Of fork(), where the process has more than one thread; who is -1 before, 0 and 1 after. */
void __malloc_atfork(int who);

void __malloc_atfork(int who)
{
	if (who < 0)
		guest_malloc_lock();
	else
		guest_malloc_unlock();
}

static size_t size_of(const struct block *block)
{
	return block->size & ~FLAGS;
}

static struct block *block_at(struct block *block, size_t distance)
{
	return (struct block *)((char *)block + distance);
}

static void *memory_of(struct block *block)
{
	return (char *)block + MEMORY_OFFSET;
}

static struct block *block_of(void *memory)
{
	return (struct block *)((char *)memory - MEMORY_OFFSET);
}

/* Sizes up to 7 grains, then four bins for each doubling. */
static unsigned int bin_of(size_t size)
{
	unsigned long grains = size / GRAIN;
	unsigned int shift = 0;

	if (grains > 7)
		shift = 61u - (unsigned int)__builtin_clzl(grains);
	return shift * 4 + (unsigned int)(grains >> shift);
}

static void unlink_block(struct block *block)
{
	*block->link = block->next;
	if (block->next)
		block->next->link = block->link;
}

/* A free block of that size; its neighbours are in use. */
static void put_block(struct block *block, size_t size)
{
	unsigned int bin = bin_of(size);
	struct block *after = block_at(block, size);

	block->size = size | BEFORE_USED;
	/* Nobody asks the mark at a region's end; a process that was forked need not copy it. */
	if (size_of(after) > 0) {
		after->size_before = size;
		after->size &= ~BEFORE_USED;
	}
	block->next = bins[bin];
	block->link = &bins[bin];
	if (block->next)
		block->next->link = &block->next;
	bins[bin] = block;
	filled |= (uint64_t)1 << bin;
}

static struct block *map(size_t size)
{
	void *place = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return place == MAP_FAILED ? NULL : place;
}

static void unmap(struct block *block, size_t size)
{
	int error = errno;

	munmap(block, size);
	errno = error;
}

/* A free block of at least that size, out of its bin. */
static struct block *take_block(size_t size)
{
	unsigned int bin = bin_of(size);
	struct block *block = bins[bin];

	if (!block || block->size < size) {
		uint64_t larger = filled & (~(uint64_t)1 << bin);

		for (;; larger &= larger - 1) {
			if (!larger)
				return NULL;
			bin = (unsigned int)__builtin_ctzll(larger);
			block = bins[bin];
			if (block)
				break;
			filled &= ~((uint64_t)1 << bin);
		}
	}
	unlink_block(block);
	return block;
}

static struct block *map_region(void)
{
	struct block *block = map(REGION_SIZE);

	if (block) {
		block->size = WHOLE_REGION | BEFORE_USED;
		block_at(block, WHOLE_REGION)->size = USED | BEFORE_USED;
	}
	return block;
}

static struct block *allocate_mapped(size_t size)
{
	struct block *block;

	size = (size + MEMORY_OFFSET + GRAIN - 1) & ~FLAGS;
	block = map(size);
	if (block)
		block->size = size | USED | MAPPED;
	return block;
}

static struct block *allocate_small(size_t size)
{
	struct block *block, *after;
	size_t rest, flags;

	size = (size + sizeof(size) + GRAIN - 1) & ~FLAGS;
	size = MAX(size, LEAST_BLOCK);
	guest_malloc_lock();
	block = take_block(size);
	if (!block)
		block = map_region();
	if (block) {
		flags = USED | BEFORE_USED;
		rest = size_of(block) - size;
		if (rest < LEAST_BLOCK) {
			size += rest;
		} else if (size < LEAST_LARGE) {
			put_block(block_at(block, size), rest);
		} else {
			size_t before = (uintptr_t)block_at(block, rest) % PAGE_SIZE;

			if (size >= PAGE_SIZE && before > MOST_BEFORE &&
			    rest >= before + LEAST_BLOCK) {
				rest -= before;
				size += before;
			}
			after = block_at(block, rest);
			after->size = size;
			put_block(block, rest);
			block = after;
			flags = USED;
		}
		block->size = size | flags;
		after = block_at(block, size);
		/* Not in the mark, which says so already: a write would be a page to copy. */
		if (!(after->size & BEFORE_USED))
			after->size |= BEFORE_USED;
	}
	guest_malloc_unlock();
	return block;
}

/* Not malloc() itself: the compiler would make a calloc() of what calloc() does with it. */
static struct block *allocate(size_t size)
{
	struct block *block = NULL;

	if (size < LEAST_MAPPED)
		block = allocate_small(size);
	else if (size <= PTRDIFF_MAX)
		block = allocate_mapped(size);
	if (!block)
		errno = ENOMEM;
	return block;
}

void *malloc(size_t size)
{
	struct block *block = allocate(size);

	return block ? memory_of(block) : NULL;
}

void *calloc(size_t nmemb, size_t size)
{
	struct block *block;

	if (__builtin_mul_overflow(nmemb, size, &size))
		size = SIZE_MAX;
	block = allocate(size);
	if (!block)
		return NULL;
	if (!(block->size & MAPPED))
		memset(memory_of(block), 0, size);
	return memory_of(block);
}

void free(void *ptr)
{
	struct block *block, *after;
	size_t size;

	if (!ptr)
		return;
	block = block_of(ptr);
	size = size_of(block);
	if (block->size & MAPPED) {
		unmap(block, size);
		return;
	}
	guest_malloc_lock();
	/* Freed twice, or not ours: better to end here than to go on with it. */
	if (!(block->size & USED))
		__builtin_trap();
	if (!(block->size & BEFORE_USED)) {
		size += block->size_before;
		block->size = 0;
		block = (struct block *)((char *)block - block->size_before);
		unlink_block(block);
	}
	after = block_at(block, size);
	if (!(after->size & USED)) {
		unlink_block(after);
		size += size_of(after);
	}
	if (size < WHOLE_REGION)
		put_block(block, size);
	guest_malloc_unlock();
	if (size == WHOLE_REGION)
		unmap(block, REGION_SIZE);
}

/* Of one with a mapping of its own. */
static struct block *remap(struct block *block, size_t size)
{
	size = (size + MEMORY_OFFSET + GRAIN - 1) & ~FLAGS;
	block = mremap(block, size_of(block), size, MREMAP_MAYMOVE);
	if (block == MAP_FAILED)
		return NULL;
	block->size = size | USED | MAPPED;
	return block;
}

static struct block *move(struct block *block, size_t size)
{
	struct block *moved = allocate(size);

	if (!moved)
		return NULL;
	memcpy(memory_of(moved), memory_of(block), size_of(block) - sizeof(size));
	free(memory_of(block));
	return moved;
}

void *realloc(void *ptr, size_t size)
{
	struct block *block;

	if (!ptr)
		return malloc(size);
	block = block_of(ptr);
	if ((block->size & MAPPED) && size <= PTRDIFF_MAX)
		block = remap(block, size);
	else if (size > size_of(block) - sizeof(size))
		block = move(block, size);
	if (block)
		return memory_of(block);
	errno = ENOMEM;
	return NULL;
}

static void trim(struct block *block)
{
	/* It begins with what is in this struct; its end is in its successor's. */
	uintptr_t begin = ((uintptr_t)(block + 1) + PAGE_SIZE - 1) & ~(PAGE_SIZE - 1);
	uintptr_t end = (uintptr_t)block_at(block, size_of(block)) & ~(PAGE_SIZE - 1);

	madvise((void *)begin, end - begin, MADV_DONTNEED);
	block->size |= TRIMMED;
}

void guest_malloc_trim(void)
{
	guest_malloc_lock();
	for (unsigned int bin = bin_of(LEAST_TRIM); bin < BINS; bin++)
		for (struct block *block = bins[bin]; block; block = block->next)
			if (!(block->size & TRIMMED))
				trim(block);
	guest_malloc_unlock();
}
