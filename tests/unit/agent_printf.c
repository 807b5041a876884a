/*
 * The guest's snprintf against the C library's: here the names stand for the guest's (meson.build),
 * and vasprintf is the library's.
 */
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unit.h"

/* With room for all, for some, for nothing. */
static void compare(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void compare(const char *format, ...)
{
	char *expected, place[256];
	va_list list;
	int length;

	va_start(list, format);
	length = vasprintf(&expected, format, list);
	va_end(list);
	ck_assert_int_ge(length, 0);
	for (size_t size = 0; size < sizeof(place); size++) {
		memset(place, '#', sizeof(place));
		va_start(list, format);
		ck_assert_int_eq(vsnprintf(place, size, format, list), length);
		va_end(list);
		if (size > 0) {
			size_t kept = (size_t)length < size ? (size_t)length : size - 1;

			ck_assert_int_eq(memcmp(place, expected, kept), 0);
			ck_assert_int_eq(place[kept], '\0');
		}
		ck_assert_int_eq(place[size], '#');
	}
	free(expected);
}

START_TEST(same_as_the_library)
{
	static const int integers[] = { 0, 1, -1, 42, INT_MAX, INT_MIN };
	/* Not a literal: the compiler would know. */
	const char *volatile none = NULL;

	compare("plain%%text");
	for (size_t i = 0; i < sizeof(integers) / sizeof(integers[0]); i++) {
		int value = integers[i];

		compare("%d|%i|%u|%x|%c", value, value, (unsigned int)value, (unsigned int)value,
			'c');
		compare("%5d|%-5d|%05d|%20d|%-20d|%020d", value, value, value, value, value, value);
		compare("%*d|%-*d", 12, value, 12, value);
		compare("%ld|%lu|%lx|%lld|%llu|%llx", (long)value, (unsigned long)value,
			(unsigned long)value, (long long)value, (unsigned long long)value,
			(unsigned long long)value);
		compare("%zu|%zd|%jd|%td", (size_t)value, (ssize_t)value, (intmax_t)value,
			(ptrdiff_t)value);
		compare("%016llx|%08x", (unsigned long long)value, (unsigned int)value);
	}
	compare("%lld|%lld|%llu", LLONG_MAX, LLONG_MIN, ULLONG_MAX);
	compare("%s|%10s|%-10s|%.3s|%.*s|%.0s|%s", "text", "text", "text", "text", 2, "text",
		"text", "");
	compare("%s", none);
	compare("%p", (void *)compare);
	errno = ENOENT;
	compare("%m and more");
}
END_TEST

START_TEST(snprintf_too)
{
	char place[8];

	ck_assert_int_eq(snprintf(place, sizeof(place), "%s-%d", "abcdef", 12), 9);
	ck_assert_str_eq(place, "abcdef-");
}
END_TEST

/* What it does not know ends the text; nothing is taken for something else. */
START_TEST(unknown_conversion)
{
	const char *volatile format = "%d and %f and %d";
	char place[64];

	snprintf(place, sizeof(place), format, 1, 2.0, 3);
	ck_assert_str_eq(place, "1 and ");
	format = "end in %";
	snprintf(place, sizeof(place), format);
	ck_assert_str_eq(place, "end in ");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("guest printf");
	TCase *tcase = tcase_create("printf");

	tcase_add_test(tcase, same_as_the_library);
	tcase_add_test(tcase, snprintf_too);
	tcase_add_test(tcase, unknown_conversion);
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
