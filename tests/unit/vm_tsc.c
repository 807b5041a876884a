/* The frequency of this machine's time stamp counter: the same whenever it is measured. */
#include "host/lib/tsc.h"

#include "unit.h"

START_TEST(test_twice)
{
	unsigned int first = tsc_khz();
	unsigned int second = tsc_khz();

#if defined(__x86_64__)
	/* Slower than any processor that there is, and faster. */
	ck_assert_uint_gt(first, 100000);
	ck_assert_uint_lt(first, 20000000);
#else
	ck_assert_uint_eq(first, 0);
#endif
	/* A kernel that knows it better corrects so much. */
	ck_assert_uint_le(first > second ? first - second : second - first, first / 100);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("vm-tsc");
	TCase *tcase = unit_counted_case("tsc");

	tcase_add_test(tcase, test_twice);
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
