/* The guest's memset() for libev: like memset(3) wherever it is used, and whole pages take no
 * memory. */
#include <string.h>
#include <sys/mman.h>

#include "common/util.h"
#include "unit.h"

#define PAGE  KIB(4)
#define PAGES ((size_t)8)
#define SIZE  (PAGES * PAGE)

void *ev_memset(void *to, int byte, size_t size);

static unsigned char *place;

static void setup(void)
{
	place = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(place, MAP_FAILED);
	memset(place, 7, SIZE);
}

static void teardown(void)
{
	munmap(place, SIZE);
}

static size_t resident_pages(void)
{
	unsigned char pages[PAGES];
	size_t count = 0;

	ck_assert_int_eq(mincore(place, SIZE, pages), 0);
	for (size_t i = 0; i < PAGES; i++)
		count += pages[i] & 1;
	return count;
}

static void check(size_t begin, size_t size, int byte)
{
	static unsigned char wanted[SIZE];

	memset(wanted, 7, SIZE);
	memset(wanted + begin, byte, size);
	memset(place, 7, SIZE);
	ck_assert_ptr_eq(ev_memset(place + begin, byte, size), place + begin);
	ck_assert_mem_eq(place, wanted, SIZE);
}

START_TEST(test_like_memset)
{
	static const size_t begins[] = { 0, 1, 16, PAGE - 1, PAGE, PAGE + 1, 2 * PAGE - 16 };
	static const size_t sizes[] = { 0,        1,    15,       PAGE - 1,      PAGE,
					PAGE + 1, 5000, 2 * PAGE, 3 * PAGE + 17, 5 * PAGE };

	for (size_t i = 0; i < ARRAY_SIZE(begins); i++)
		for (size_t n = 0; n < ARRAY_SIZE(sizes); n++) {
			check(begins[i], sizes[n], 0);
			check(begins[i], sizes[n], 3);
		}
}
END_TEST

START_TEST(test_pages_are_given_back)
{
	ck_assert_uint_eq(resident_pages(), PAGES);
	ev_memset(place + 16, 0, 6 * PAGE);
	/* The first, that in which it ends, and the one behind. */
	ck_assert_uint_eq(resident_pages(), 3);
}
END_TEST

/* mlockall(2), which a test may call in the agent: madvise(2) refuses then. */
START_TEST(test_locked)
{
	if (mlock(place, SIZE) < 0) {
		unit_skip("no right to lock %zu bytes", SIZE);
		return;
	}
	check(16, 6 * PAGE, 0);
	ck_assert_uint_eq(resident_pages(), PAGES);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("ev_memset");
	TCase *tcase = tcase_create("ev_memset");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, test_like_memset);
	tcase_add_test(tcase, test_pages_are_given_back);
	tcase_add_test(tcase, test_locked);
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
