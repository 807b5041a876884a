/* What is printed of numbers, and the line of a transfer. */
#include <string.h>

#include "common/util.h"
#include "host/cli/show/progress.h"
#include "host/show/units.h"
#include "unit.h"

#define SECOND UINT64_C(1000000000)

START_TEST(bytes)
{
	static const struct {
		uint64_t bytes;
		const char *text;
	} cases[] = {
		{ 0, "0 B" },
		{ 1023, "1023 B" },
		{ 1024, "1.0 KiB" },
		{ 1536, "1.5 KiB" },
		{ (1 << 20) - 1, "1.0 MiB" },
		{ 1 << 20, "1.0 MiB" },
		{ UINT64_C(1) << 30, "1.0 GiB" },
		{ UINT64_MAX, "16.0 EiB" },
	};
	char text[UNITS_TEXT_SIZE];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		ck_assert_str_eq(format_bytes(cases[i].bytes, text), cases[i].text);
}
END_TEST

START_TEST(durations)
{
	char text[UNITS_TEXT_SIZE];

	ck_assert_str_eq(format_duration(0, text), "0:00");
	ck_assert_str_eq(format_duration(59, text), "0:59");
	ck_assert_str_eq(format_duration(3599, text), "59:59");
	ck_assert_str_eq(format_duration(3600, text), "1:00:00");
	ck_assert_str_eq(format_duration(UINT64_MAX, text), "5124095576030431:00:15");
}
END_TEST

static uint64_t entries = 1;
/* Too few for a bar. */
static size_t columns = 60;

static const char *line(uint64_t done, uint64_t total, uint64_t elapsed_ns, bool ended)
{
	static char text[128];
	struct progress progress = {
		.name = "file/",
		.name_size = 4,
		.done = done,
		.total = total,
		.entries = entries,
	};

	progress_format(&progress, elapsed_ns, ended, text, columns + 1);
	return text;
}

START_TEST(transfers)
{
	columns = 24;
	ck_assert_str_eq(line(0, 1 << 20, 0, false), "file  0%  0 B of 1.0 MiB");
	columns = 60;
	ck_assert_str_eq(line(1 << 20, 4 << 20, SECOND, false),
			 "file  25%  1.0 MiB of 4.0 MiB  1.0 MiB/s  0:03 left");
	columns = 40;
	/* Too early for a rate. */
	ck_assert_str_eq(line(1 << 20, 4 << 20, SECOND / 10, false),
			 "file  25%  1.0 MiB of 4.0 MiB");
	/* Nothing has come: no time can be told. */
	ck_assert_str_eq(line(0, 4 << 20, SECOND, false), "file  0%  0 B of 4.0 MiB  0 B/s");
	columns = 80;
	/* The size is not known, or the file has grown. */
	ck_assert_str_eq(line(1 << 20, 0, SECOND, false), "file  1.0 MiB  1.0 MiB/s");
	ck_assert_str_eq(line(2 << 20, 1 << 20, SECOND, false), "file  2.0 MiB  2.0 MiB/s");
	ck_assert_str_eq(line(4 << 20, 4 << 20, 2 * SECOND, true),
			 "file  100%  4.0 MiB of 4.0 MiB  2.0 MiB/s  in 0:02");
	ck_assert_str_eq(line(10, 10, SECOND / 100, true),
			 "file  100%  10 B of 10 B  1000 B/s  in 0:00");
}
END_TEST

/* It fills the line, where there is room for one that says something. */
START_TEST(bars)
{
	columns = 43;
	ck_assert_str_eq(line(0, 4 << 20, 0, false), "file  0%  0 B of 4.0 MiB  [---------------]");
	columns = 53;
	ck_assert_str_eq(line(1 << 20, 4 << 20, 0, false),
			 "file  25%  1.0 MiB of 4.0 MiB  [#####---------------]");
	ck_assert_str_eq(line(4 << 20, 4 << 20, 0, false),
			 "file  100%  4.0 MiB of 4.0 MiB  [###################]");
	columns = 43;
	ck_assert_str_eq(line(1 << 20, 4 << 20, 0, false),
			 "file  25%  1.0 MiB of 4.0 MiB  [##--------]");
	columns = 42;
	ck_assert_str_eq(line(1 << 20, 4 << 20, 0, false), "file  25%  1.0 MiB of 4.0 MiB");
	columns = 127;
	ck_assert_uint_eq(strlen(line(1 << 20, 4 << 20, SECOND, false)), 127);
}
END_TEST

/* A directory's size is not known. */
START_TEST(directories)
{
	entries = 12;
	ck_assert_str_eq(line(1 << 20, 0, SECOND, false), "file  12 entries  1.0 MiB  1.0 MiB/s");
	ck_assert_str_eq(line(0, 0, SECOND, true), "file  12 entries  0 B  0 B/s  in 0:01");
}
END_TEST

/* It is cut, never overrun (the sanitizers look). */
START_TEST(short_buffer)
{
	struct progress progress = { .name = "file", .name_size = 4, .done = 1, .total = 2 };

	for (size_t size = 1; size < 96; size++) {
		char text[96];

		memset(text, 'x', sizeof(text));
		progress_format(&progress, SECOND, false, text, size);
		ck_assert_uint_lt(strlen(text), size);
		for (size_t i = size; i < sizeof(text); i++)
			ck_assert_int_eq(text[i], 'x');
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("cli text");
	TCase *tcase = tcase_create("text");

	tcase_add_test(tcase, bytes);
	tcase_add_test(tcase, durations);
	tcase_add_test(tcase, transfers);
	tcase_add_test(tcase, bars);
	tcase_add_test(tcase, directories);
	tcase_add_test(tcase, short_buffer);
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
