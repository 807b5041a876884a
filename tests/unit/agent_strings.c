/* The guest's functions on strings: here the names stand for the guest's (meson.build). */
#include <stdlib.h>
#include <string.h>

#include "unit.h"

START_TEST(finds)
{
	static const char text[] = "a=b=c", high[] = "\x80";

	ck_assert_ptr_eq(strchr(text, '='), text + 1);
	ck_assert_ptr_eq(strchr(text, 'c'), text + 4);
	ck_assert_ptr_eq(strchr(text, '\0'), text + 5);
	ck_assert_ptr_null(strchr(text, 'x'));
	ck_assert_ptr_eq(strchrnul(text, '='), text + 1);
	ck_assert_ptr_eq(strchrnul(text, 'x'), text + 5);
	ck_assert_ptr_eq(strchrnul(text + 5, 'x'), text + 5);
	ck_assert_ptr_eq(memchr(text, 'c', 5), text + 4);
	ck_assert_ptr_null(memchr(text, 'c', 4));
	ck_assert_ptr_null(memchr(text, 'a', 0));
	ck_assert_ptr_eq(memchr(high, 0x180, 1), high);
	ck_assert_ptr_eq(memchr(high, -128, 1), high);
}
END_TEST

START_TEST(copies)
{
	char place[8] = "#######";

	ck_assert_ptr_eq(strcpy(place, "four"), place);
	ck_assert_mem_eq(place, "four\0##", 8);
	ck_assert_ptr_eq(strcpy(place, ""), place);
	ck_assert_mem_eq(place, "\0our\0##", 8);
	ck_assert_ptr_eq(stpcpy(place, "three"), place + 5);
	ck_assert_mem_eq(place, "three\0#", 8);
}
END_TEST

START_TEST(reads_numbers)
{
	ck_assert_int_eq(atoi("0"), 0);
	ck_assert_int_eq(atoi("1000\n"), 1000);
	ck_assert_int_eq(atoi("-1000\n"), -1000);
	ck_assert_int_eq(atoi(""), 0);
	ck_assert_int_eq(atoi("x"), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("guest strings");
	TCase *tcase = tcase_create("strings");

	tcase_add_test(tcase, finds);
	tcase_add_test(tcase, copies);
	tcase_add_test(tcase, reads_numbers);
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
