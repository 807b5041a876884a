/* The agent's log: its lines, its levels, and what it drops. */
#include "agent/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/util.h"
#include "unit.h"

static int log_read = -1;
static int log_write = -1;

static void set_up(void)
{
	int ends[2];

	ck_assert_int_eq(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
	log_read = ends[0];
	log_write = ends[1];
}

static void tear_down(void)
{
	close(log_read);
	close(log_write);
}

/* All that has been written, NUL-terminated. */
static const char *take(void)
{
	static char text[65536];
	ssize_t length = read(log_read, text, sizeof(text) - 1);

	text[MAX(length, 0)] = '\0';
	return text;
}

static unsigned int count(const char *text, const char *part)
{
	unsigned int found = 0;

	for (; (text = strstr(text, part)) != NULL; text++)
		found++;
	return found;
}

START_TEST(lines)
{
	char expected[128];

	log_to_kmsg(log_write, true);
	log_set_level(LEVEL_DEBUG);
	log_error("a %d", 1);
	snprintf(expected, sizeof(expected), "<3>provium-agent[%d]: error: a 1\n", (int)getpid());
	ck_assert_str_eq(take(), expected);
	log_warn("b");
	ck_assert_msg(strncmp(take(), "<4>", 3) == 0, "warning");
	log_info("c");
	snprintf(expected, sizeof(expected), "<6>provium-agent[%d]: c\n", (int)getpid());
	ck_assert_str_eq(take(), expected);
	log_debug("d");
	ck_assert_msg(strncmp(take(), "<7>", 3) == 0, "debug");
	errno = ENOENT;
	log_error("open: %m");
	ck_assert_ptr_nonnull(strstr(take(), "error: open: No such file or directory\n"));
}
END_TEST

/* What a launcher looks for on the console, at the highest priority and without a rate. */
START_TEST(fatal)
{
	log_to_kmsg(log_write, false);
	log_set_level(LEVEL_ERROR);
	for (int i = 0; i < 50; i++)
		log_error("flood");
	take();
	log_fatal("no %s", "vsock");
	ck_assert_str_eq(take(), "<0>provium-agent: fatal: no vsock\n");
}
END_TEST

START_TEST(levels)
{
	static const char *const names[] = { "error", "warn", "info", "debug" };

	log_to_kmsg(log_write, true);
	for (unsigned int i = 0; i < ARRAY_SIZE(names); i++) {
		enum log_level level;

		ck_assert(log_parse_level(names[i], &level));
		log_set_level(level);
		log_error("x");
		log_warn("x");
		log_info("x");
		log_debug("x");
		ck_assert_uint_eq(count(take(), "\n"), i + 1);
	}
}
END_TEST

START_TEST(bad_levels)
{
	static const char *const names[] = { "", "warning", "Error", "errors", "3" };
	enum log_level level;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		ck_assert_msg(!log_parse_level(names[i], &level), "%s", names[i]);
}
END_TEST

/* One line is one record: no text can begin a second, or command a terminal. */
START_TEST(control_characters)
{
	log_to_kmsg(log_write, true);
	log_error("a\nb\x1b[2Jc\td\x7f\xc3\xa9");
	ck_assert_ptr_nonnull(strstr(take(), "error: a?b?[2Jc?d?\xc3\xa9\n"));
}
END_TEST

START_TEST(long_lines)
{
	char text[4096];
	const char *line;

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	log_to_kmsg(log_write, true);
	log_error("%s", text);
	line = take();
	ck_assert_uint_eq(count(line, "\n"), 1);
	ck_assert_uint_le(strlen(line), 976);
	ck_assert_uint_ge(strlen(line), 800);
}
END_TEST

/* The kernel takes ten lines in five seconds: we stay under it, and say what was dropped. */
START_TEST(rate)
{
	unsigned int dropped;
	const char *text;

	log_to_kmsg(log_write, false);
	for (int i = 0; i < 100; i++)
		log_error("line");
	ck_assert_uint_eq(count(take(), "line\n"), 5);
	usleep(2100000);
	log_error("late");
	text = take();
	ck_assert_ptr_nonnull(strstr(text, "late\n"));
	ck_assert_int_eq(sscanf(text, "<4>provium-agent: %u lines", &dropped), 1);
	ck_assert_uint_eq(dropped, 95);
}
END_TEST

START_TEST(rate_without_limit)
{
	log_to_kmsg(log_write, true);
	for (int i = 0; i < 100; i++)
		log_error("line");
	ck_assert_uint_eq(count(take(), "line\n"), 100);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("agent-log");
	TCase *tests = unit_counted_case("log");

	tcase_add_checked_fixture(tests, set_up, tear_down);
	tcase_add_test(tests, lines);
	tcase_add_test(tests, fatal);
	tcase_add_test(tests, levels);
	tcase_add_test(tests, bad_levels);
	tcase_add_test(tests, control_characters);
	tcase_add_test(tests, long_lines);
	tcase_add_test(tests, rate);
	tcase_add_test(tests, rate_without_limit);
	suite_add_tcase(suite, tests);
	return unit_run(suite);
}
