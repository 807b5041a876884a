/*
 * The guest's allocator: here malloc and its kin stand for the guest's, and the mappings that it
 * makes go through functions that count them and let them fail (meson.build).
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/guest_malloc.h"
#include "common/util.h"
#include "unit.h"

/* What the allocator maps at a time, and from where on a block has its own mapping. */
#define REGION_SIZE  KIB(256)
#define LEAST_MAPPED KIB(128)

void *seam_mmap(void *place, size_t size, int protection, int flags, int fd, off_t offset);
int seam_munmap(void *place, size_t size);
void *seam_mremap(void *place, size_t old_size, size_t size, int flags, ...);

/* Bytes that are mapped, calls that made them, and how many calls may still succeed. */
static _Atomic size_t mapped;
static _Atomic unsigned int mappings;
static _Atomic unsigned int allowed = UINT32_MAX;

static size_t pages(size_t size)
{
	return (size + 4095) & ~(size_t)4095;
}

static bool may_map(void)
{
	errno = EAGAIN;
	if (allowed == 0)
		return false;
	allowed--;
	mappings++;
	return true;
}

void *seam_mmap(void *place, size_t size, int protection, int flags, int fd, off_t offset)
{
	long result;

	if (!may_map())
		return MAP_FAILED;
	result = syscall(SYS_mmap, place, size, protection, flags, fd, offset);
	if (result != -1)
		mapped += pages(size);
	return (void *)result;
}

int seam_munmap(void *place, size_t size)
{
	int result = (int)syscall(SYS_munmap, place, size);

	errno = EBADF;
	if (result == 0)
		mapped -= pages(size);
	return result;
}

void *seam_mremap(void *place, size_t old_size, size_t size, int flags, ...)
{
	long result;

	if (!may_map())
		return MAP_FAILED;
	result = syscall(SYS_mremap, place, old_size, size, flags);
	if (result != -1)
		mapped += pages(size) - pages(old_size);
	return (void *)result;
}

/* Check's, too: it maps before a test. */
static void start(void)
{
	mapped = 0;
	mappings = 0;
}

static void fill(unsigned char *memory, size_t size, unsigned int seed)
{
	for (size_t i = 0; i < size; i++)
		memory[i] = (unsigned char)(seed + i * 7);
}

static bool is_filled(const unsigned char *memory, size_t size, unsigned int seed)
{
	for (size_t i = 0; i < size; i++)
		if (memory[i] != (unsigned char)(seed + i * 7))
			return false;
	return true;
}

static bool is_zero(const unsigned char *memory, size_t size)
{
	return size == 0 || (memory[0] == 0 && memcmp(memory, memory + 1, size - 1) == 0);
}

static void check_aligned(const void *memory)
{
	ck_assert_ptr_nonnull(memory);
	ck_assert_uint_eq((uintptr_t)memory % 16, 0);
}

/* A block of each size, all at once. */
START_TEST(every_size)
{
	static unsigned char *blocks[2300];
	static const size_t borders[] = { REGION_SIZE, LEAST_MAPPED, KIB(64) };
	unsigned int count = 0;

	for (size_t size = 0; size < 2100; size++)
		blocks[count++] = malloc(size);
	for (size_t i = 0; i < ARRAY_SIZE(borders); i++)
		for (size_t size = borders[i] - 20; size < borders[i] + 20; size++)
			blocks[count++] = malloc(size);
	for (unsigned int i = 0; i < count; i++) {
		size_t size = i < 2100 ? i : borders[(i - 2100) / 40] - 20 + (i - 2100) % 40;

		check_aligned(blocks[i]);
		fill(blocks[i], size, i);
	}
	for (unsigned int i = 0; i < count; i++) {
		size_t size = i < 2100 ? i : borders[(i - 2100) / 40] - 20 + (i - 2100) % 40;

		ck_assert(is_filled(blocks[i], size, i));
	}
	/* Every third, every second, the rest: neighbours before, behind, and on both sides. */
	for (unsigned int step = 3; step > 0; step--) {
		for (unsigned int i = 0; i < count; i += step) {
			free(blocks[i]);
			blocks[i] = NULL;
		}
	}
	ck_assert_uint_eq(mapped, 0);
}
END_TEST

static uint32_t next_random(uint32_t *state)
{
	*state = *state * 1664525 + 1013904223;
	return *state >> 8;
}

/* Mostly small, some with mappings of their own. */
static size_t random_size(uint32_t *state)
{
	return next_random(state) % ((size_t)1 << (2 + next_random(state) % 17));
}

struct slot {
	unsigned char *memory;
	size_t size;
	unsigned int seed;
};

static void change_slot(struct slot *slot, uint32_t *random)
{
	unsigned char *memory;
	size_t size;

	ck_assert(is_filled(slot->memory, slot->size, slot->seed));
	size = random_size(random);
	switch (next_random(random) % 4) {
	case 0:
		memory = realloc(slot->memory, size);
		check_aligned(memory);
		ck_assert(is_filled(memory, MIN(size, slot->size), slot->seed));
		break;
	case 1:
		free(slot->memory);
		memory = calloc(1, size);
		check_aligned(memory);
		ck_assert(is_zero(memory, size));
		break;
	case 2:
		free(slot->memory);
		guest_malloc_trim();
		memory = NULL;
		size = 0;
		break;
	default:
		free(slot->memory);
		memory = malloc(size);
		check_aligned(memory);
		break;
	}
	slot->memory = memory;
	slot->size = size;
	slot->seed = next_random(random);
	if (memory)
		fill(memory, size, slot->seed);
}

static void churn(uint32_t random, unsigned int changes)
{
	struct slot slots[64] = { 0 };

	for (unsigned int i = 0; i < changes; i++)
		change_slot(&slots[next_random(&random) % ARRAY_SIZE(slots)], &random);
	for (unsigned int i = 0; i < ARRAY_SIZE(slots); i++)
		free(slots[i].memory);
}

/* From a page on a block begins with a page, with at most so many bytes of it before its memory. */
START_TEST(large_blocks_begin_with_pages)
{
	const size_t most = 64 + 16;
	void *blocks[40];
	unsigned int count = 0;

	for (size_t size = KIB(4) - 8; size < LEAST_MAPPED && count + 3 < ARRAY_SIZE(blocks);
	     size += size / 3) {
		/* Whose ends would move the next one's beginning. */
		blocks[count++] = malloc(KIB(1) + size % 2000);
		blocks[count++] = malloc(size % 900);
		blocks[count] = malloc(size);
		ck_assert_ptr_nonnull(blocks[count]);
		ck_assert_uint_le((uintptr_t)blocks[count] % KIB(4), most);
		fill(blocks[count++], size, (unsigned int)size);
	}
	ck_assert_uint_gt(count, 20);
	while (count > 0)
		free(blocks[--count]);
	ck_assert_uint_eq(mapped, 0);
}
END_TEST

START_TEST(random_use)
{
	for (unsigned int round = 0; round < 10; round++) {
		churn(round, 1000);
		ck_assert_uint_eq(mapped, 0);
	}
	ck_assert_uint_gt(mappings, 10);
}
END_TEST

/* Without a pause, so that threads meet in every function. */
static void hurry(uint32_t random)
{
	void *blocks[8] = { NULL };

	for (unsigned int i = 0; i < 100000; i++) {
		void **block = &blocks[i % ARRAY_SIZE(blocks)];

		free(*block);
		*block = malloc(next_random(&random) % 300 + 4);
		ck_assert_ptr_nonnull(*block);
		*(uint32_t *)*block = i;
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(blocks); i++)
		free(blocks[i]);
}

static void *churn_in_thread(void *data)
{
	hurry(*(const uint32_t *)data);
	churn(*(const uint32_t *)data, 2000);
	return NULL;
}

START_TEST(threads)
{
	pthread_t running[4];
	uint32_t seeds[ARRAY_SIZE(running)];

	for (unsigned int i = 0; i < ARRAY_SIZE(running); i++) {
		seeds[i] = 1000 + i;
		ck_assert_int_eq(pthread_create(&running[i], NULL, churn_in_thread, &seeds[i]), 0);
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(running); i++)
		ck_assert_int_eq(pthread_join(running[i], NULL), 0);
	ck_assert_uint_eq(mapped, 0);
}
END_TEST

static _Atomic bool stop;

static void *allocate_until_stopped(void *data)
{
	(void)data;
	while (!stop)
		free(malloc(100));
	return NULL;
}

/* The copy of a process has no memory without end because another thread had the lock. */
START_TEST(lock_in_copies)
{
	void *kept = malloc(100);
	pthread_t thread;

	ck_assert_int_eq(pthread_create(&thread, NULL, allocate_until_stopped, NULL), 0);
	for (unsigned int i = 0; i < 300; i++) {
		int status;
		pid_t pid;

		guest_malloc_lock();
		pid = (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
		guest_malloc_unlock();
		if (pid == 0) {
			free(malloc(1000));
			syscall(SYS_exit_group, 7);
		}
		ck_assert_int_gt(pid, 0);
		ck_assert_int_eq(waitpid(pid, &status, 0), pid);
		ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 7);
	}
	stop = true;
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	free(kept);
}
END_TEST

START_TEST(no_memory)
{
	void *blocks[64];
	unsigned char *small;
	unsigned char *large;
	unsigned int count = 0;

	small = malloc(100);
	large = malloc(LEAST_MAPPED);
	fill(small, 100, 1);
	fill(large, LEAST_MAPPED, 2);
	allowed = 2;
	while (count < ARRAY_SIZE(blocks)) {
		errno = 0;
		blocks[count] = malloc(KIB(60));
		if (!blocks[count])
			break;
		count++;
	}
	ck_assert_int_eq(errno, ENOMEM);
	/* Four in each region, beside 100 bytes in the first. */
	ck_assert_uint_eq(count, 12);
	errno = 0;
	ck_assert_ptr_null(calloc(1, KIB(60)));
	ck_assert_int_eq(errno, ENOMEM);
	errno = 0;
	ck_assert_ptr_null(realloc(small, KIB(60)));
	ck_assert_int_eq(errno, ENOMEM);
	errno = 0;
	ck_assert_ptr_null(malloc(MIB(1)));
	ck_assert_int_eq(errno, ENOMEM);
	errno = 0;
	ck_assert_ptr_null(realloc(large, MIB(1)));
	ck_assert_int_eq(errno, ENOMEM);
	ck_assert(is_filled(small, 100, 1));
	ck_assert(is_filled(large, LEAST_MAPPED, 2));
	/* There is room again as soon as something is freed. */
	free(blocks[5]);
	blocks[5] = malloc(KIB(60));
	ck_assert_ptr_nonnull(blocks[5]);
	while (count > 0)
		free(blocks[--count]);
	free(small);
	free(large);
	ck_assert_uint_eq(mapped, 0);
	allowed = UINT32_MAX;
	free(malloc(KIB(60)));
}
END_TEST

START_TEST(too_much)
{
	volatile size_t most = SIZE_MAX;
	unsigned char *large = malloc(MIB(1));
	unsigned char *small = malloc(1);

	fill(large, MIB(1), 3);
	for (volatile size_t size = most; size > PTRDIFF_MAX; size = size / 2 + PTRDIFF_MAX / 3) {
		errno = 0;
		ck_assert_ptr_null(malloc(size));
		ck_assert_int_eq(errno, ENOMEM);
		errno = 0;
		ck_assert_ptr_null(calloc(size, 1));
		ck_assert_int_eq(errno, ENOMEM);
		errno = 0;
		ck_assert_ptr_null(realloc(large, size));
		ck_assert_int_eq(errno, ENOMEM);
		errno = 0;
		ck_assert_ptr_null(realloc(small, size));
		ck_assert_int_eq(errno, ENOMEM);
	}
	/* Would be 0 and 16 bytes. */
	ck_assert_ptr_null(calloc(most / 2 + 1, 2));
	ck_assert_ptr_null(calloc(most / 16 + 2, 16));
	ck_assert(is_filled(large, MIB(1), 3));
	free(large);
	free(small);
	ck_assert_uint_eq(mapped, 0);
}
END_TEST

START_TEST(sizes_change)
{
	static const size_t sizes[] = { 1,      24,       25,       100,          40,
					5000,   KIB(100), KIB(127), LEAST_MAPPED, MIB(1),
					MIB(3), 4097,     0 };
	unsigned char *memory = realloc(NULL, 10);
	size_t size = 10;

	fill(memory, size, 9);
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		memory = realloc(memory, sizes[i]);
		check_aligned(memory);
		ck_assert(is_filled(memory, MIN(size, sizes[i]), 9));
		size = sizes[i];
		fill(memory, size, 9);
	}
	/* What has a mapping of its own has given its pages back. */
	ck_assert_uint_eq(mapped, 4096);
	free(memory);
	ck_assert_uint_eq(mapped, 0);
}
END_TEST

START_TEST(memory_returns)
{
	void *kept = malloc(1);
	void *blocks[100];
	void *large;

	ck_assert_uint_eq(mapped, REGION_SIZE);
	large = malloc(MIB(8));
	ck_assert_uint_ge(mapped, REGION_SIZE + MIB(8));
	free(large);
	ck_assert_uint_eq(mapped, REGION_SIZE);
	for (unsigned int i = 0; i < ARRAY_SIZE(blocks); i++)
		blocks[i] = malloc(KIB(100));
	ck_assert_uint_eq(mapped, 50 * REGION_SIZE);
	for (unsigned int i = 0; i < ARRAY_SIZE(blocks); i++)
		free(blocks[i]);
	ck_assert_uint_eq(mapped, REGION_SIZE);
	free(kept);
	ck_assert_uint_eq(mapped, 0);
}
END_TEST

/* What comes and goes beside what stays needs no system call. */
START_TEST(memory_is_used_again)
{
	void *kept = malloc(1000);

	for (unsigned int i = 0; i < 20000; i++) {
		void *first = malloc(i % 9000);
		void *second = malloc(KIB(8) + 24);

		check_aligned(first);
		check_aligned(second);
		free(first);
		free(second);
	}
	ck_assert_uint_eq(mappings, 1);
	free(kept);
}
END_TEST

/* In whatever order its parts are freed. */
START_TEST(neighbours_join)
{
	unsigned char *blocks[200];
	void *kept = malloc(16);

	for (unsigned int order = 0; order < 3; order++) {
		void *all;

		for (unsigned int i = 0; i < ARRAY_SIZE(blocks); i++)
			blocks[i] = malloc(1200);
		for (unsigned int i = 0; i < ARRAY_SIZE(blocks); i++) {
			size_t twice = (size_t)i * 2;
			size_t up = twice % ARRAY_SIZE(blocks) + (twice >= ARRAY_SIZE(blocks));
			size_t down = ARRAY_SIZE(blocks) - 1 - i;

			free(blocks[order == 0 ? i : order == 1 ? down : up]);
		}
		all = malloc(LEAST_MAPPED - 1);
		ck_assert_uint_eq(mappings, 1);
		free(all);
	}
	free(kept);
	ck_assert_uint_eq(mapped, 0);
}
END_TEST

static bool is_resident(unsigned char *memory)
{
	uintptr_t page = ((uintptr_t)memory + 4095) & ~(uintptr_t)4095;
	unsigned char resident;

	ck_assert_int_eq(mincore((void *)page, 4096, &resident), 0);
	return resident & 1;
}

/* What is in use between large free blocks keeps the region, and not their pages. */
START_TEST(pages_return)
{
	enum {
		COUNT = 64,
		KEPT = 8,
		SIZE = 16000
	};
	unsigned char *blocks[COUNT];

	for (int i = 0; i < COUNT; i++) {
		blocks[i] = malloc(SIZE);
		memset(blocks[i], i + 1, SIZE);
	}
	for (int i = 0; i < COUNT; i++)
		if (i % KEPT != 0)
			free(blocks[i]);
	for (int times = 0; times < 2; times++)
		guest_malloc_trim();
	for (int i = 0; i < COUNT; i++) {
		ck_assert_int_eq(is_resident(blocks[i] + 4096), i % KEPT == 0);
		for (size_t at = 0; i % KEPT == 0 && at < SIZE; at++)
			ck_assert_uint_eq(blocks[i][at], i + 1);
	}
	for (int i = 0; i < COUNT; i++)
		if (i % KEPT != 0) {
			blocks[i] = calloc(SIZE, 1);
			ck_assert(is_zero(blocks[i], SIZE));
			memset(blocks[i], 0xff, SIZE);
		}
	for (int i = 0; i < COUNT; i++)
		free(blocks[i]);
	ck_assert_uint_eq(mapped, 0);
}
END_TEST

START_TEST(free_keeps_errno)
{
	void *small = malloc(1);
	void *large = malloc(MIB(1));

	errno = EDOM;
	free(small);
	free(large);
	free(NULL);
	ck_assert_int_eq(errno, EDOM);
	ck_assert_uint_eq(mapped, 0);
}
END_TEST

START_TEST(zeroed)
{
	unsigned char *kept = malloc(1);

	for (size_t size = 1; size < 70000; size += 997) {
		unsigned char *memory = malloc(size);

		memset(memory, 0xff, size);
		free(memory);
		memory = calloc(size, 1);
		ck_assert(is_zero(memory, size));
		free(memory);
	}
	free(kept);
}
END_TEST

/* The second time it would join its neighbours again. */
START_TEST(freed_twice)
{
	void *before = malloc(100);
	void *volatile memory = malloc(100);
	void *after = malloc(100);

	ck_assert(before && after);
	free(memory);
	free(memory);
}
END_TEST

START_TEST(freed_twice_when_joined)
{
	void *before = malloc(100);
	void *volatile memory = malloc(100);
	void *after = malloc(100);

	ck_assert(after);
	free(before);
	free(memory);
	free(memory);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("guest malloc");
	TCase *tcase = tcase_create("malloc");

	tcase_add_checked_fixture(tcase, start, NULL);
	tcase_add_test(tcase, every_size);
	tcase_add_test(tcase, large_blocks_begin_with_pages);
	tcase_add_test(tcase, random_use);
	tcase_add_test(tcase, threads);
	tcase_add_test(tcase, lock_in_copies);
	tcase_add_test(tcase, no_memory);
	tcase_add_test(tcase, too_much);
	tcase_add_test(tcase, sizes_change);
	tcase_add_test(tcase, memory_returns);
	tcase_add_test(tcase, memory_is_used_again);
	tcase_add_test(tcase, neighbours_join);
	tcase_add_test(tcase, pages_return);
	tcase_add_test(tcase, free_keeps_errno);
	tcase_add_test(tcase, zeroed);
	tcase_add_test_raise_signal(tcase, freed_twice, SIGILL);
	tcase_add_test_raise_signal(tcase, freed_twice_when_joined, SIGILL);
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
