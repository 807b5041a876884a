/* What is kept of what a test tells, how that is judged, and texts that are not clean. */
#include "host/runner/file_result.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/util.h"
#include "host/runner/text.h"
#include "unit.h"

START_TEST(cleans)
{
	static const struct {
		const char *bytes;
		const char *wanted;
	} cases[] = {
		{ "", "" },
		{ "plain\ttext\n", "plain\ttext\n" },
		{ "line\r\nline\rx", "line\nline?x" },
		{ "\x1b[31mred\x07\x7f", "?[31mred??" },
		{ "\xc3\xa9 \xe2\x82\xac \xf0\x9f\x90\xa7",
		  "\xc3\xa9 \xe2\x82\xac \xf0\x9f\x90\xa7" },
		/* Cut, stray, longer than needed, a surrogate, too large, C1, no character. */
		{ "\xe2\x82", "??" },
		{ "\x80x\xc3(", "?x?(" },
		{ "\xc0\xaf\xe0\x80\xaf", "?????" },
		{ "\xed\xa0\x80", "???" },
		{ "\xf4\x90\x80\x80\xff\xf8", "??????" },
		{ "\xc2\x9b", "??" },
		{ "\xef\xbf\xbe\xef\xbf\xbf\xef\xbf\xbd", "??????\xef\xbf\xbd" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char *text = text_clean(cases[i].bytes, strlen(cases[i].bytes));

		ck_assert_str_eq(text, cases[i].wanted);
		free(text);
	}
}
END_TEST

START_TEST(tails)
{
	char path[] = "/tmp/runner-result-XXXXXX";
	int fd = mkstemp(path);
	char *text;

	ck_assert_int_ge(fd, 0);
	ck_assert_ptr_null(text_tail(path, 3));
	ck_assert_int_eq(write(fd, "one\ntwo\nthree", 13), 13);
	text = text_tail(path, 2);
	ck_assert_str_eq(text, "two\nthree");
	free(text);
	text = text_tail(path, 20);
	ck_assert_str_eq(text, "one\ntwo\nthree");
	free(text);
	ck_assert_int_eq(write(fd, "\n", 1), 1);
	text = text_tail(path, 1);
	ck_assert_str_eq(text, "three\n");
	free(text);
	/* One long line: the last of it. */
	ck_assert_int_eq(ftruncate(fd, 0), 0);
	ck_assert_int_eq(pwrite(fd, "x", 1, MIB(100)), 1);
	text = text_tail(path, 3);
	ck_assert_uint_eq(strlen(text), KIB(64));
	free(text);
	close(fd);
	unlink(path);
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	ck_assert_ptr_null(text_tail(path, 3));
	unlink(path);
	ck_assert_ptr_null(text_tail(path, 3));
	ck_assert_ptr_null(text_tail("/tmp", 3));
}
END_TEST

static struct file_result result;

static void set_up(void)
{
	struct provium_error error;

	ck_assert_int_eq(file_result_init(&result, "a\x01.lua", &error), 0);
	ck_assert_str_eq(result.name, "a?.lua");
}

static void tear_down(void)
{
	file_result_finish(&result);
}

static void done(int status)
{
	char end[32];

	result.done = true;
	result.done_status = status;
	snprintf(end, sizeof(end), "exited with status %d", status);
	file_result_judge(&result, end, NULL, true, 5000);
}

START_TEST(judges)
{
	file_result_subtest_started(&result, "one", 1000);
	file_result_subtest_ended(&result, "one", HARNESS_PASSED, NULL, 2000);
	file_result_subtest_ended(&result, "two", HARNESS_TODO, "later", 3000);
	done(0);
	ck_assert_int_eq(result.verdict, FILE_PASSED);
	ck_assert_uint_eq(result.n_subtests, 2);
	ck_assert_uint_eq(result.subtests[0].ended_ns - result.subtests[0].started_ns, 1000);

	file_result_clear(&result);
	ck_assert_str_eq(result.name, "a?.lua");
	ck_assert_uint_eq(result.n_subtests, 0);
	ck_assert_int_eq(result.verdict, FILE_NOT_RUN);
	file_result_subtest_ended(&result, "one", HARNESS_FAILED, "no", 2000);
	done(0);
	ck_assert_int_eq(result.verdict, FILE_FAILED);
	ck_assert_ptr_null(result.message);

	file_result_clear(&result);
	file_result_ended(&result, HARNESS_TODO, NULL);
	done(0);
	ck_assert_int_eq(result.verdict, FILE_TODO);

	/* A todo that fails has failed; the first failure is told. */
	file_result_clear(&result);
	file_result_ended(&result, HARNESS_TODO, "later");
	file_result_ended(&result, HARNESS_FAILED, "first");
	file_result_ended(&result, HARNESS_FAILED, "second");
	file_result_ended(&result, HARNESS_TODO, "later");
	done(1);
	ck_assert_int_eq(result.verdict, FILE_FAILED);
	ck_assert_str_eq(result.message, "first");

	file_result_clear(&result);
	file_result_subtest_ended(&result, "one", HARNESS_FAILED, "no", 2000);
	file_result_ended(&result, HARNESS_TODO, "later");
	done(0);
	ck_assert_int_eq(result.verdict, FILE_FAILED);
	ck_assert_ptr_null(result.message);

	file_result_clear(&result);
	file_result_splat(&result, 1, "WARNING", "text");
	done(0);
	ck_assert_int_eq(result.verdict, FILE_FAILED);
}
END_TEST

/* The innermost of those that are called so ends; those that run at the end have not. */
START_TEST(nests)
{
	file_result_subtest_started(&result, "outer", 1);
	file_result_subtest_started(&result, "same", 2);
	file_result_subtest_started(&result, "same", 3);
	ck_assert_uint_eq(file_result_running(&result)->started_ns, 3);
	file_result_subtest_ended(&result, "same", HARNESS_PASSED, NULL, 4);
	ck_assert_uint_eq(file_result_running(&result)->started_ns, 2);
	file_result_subtest_ended(&result, "same", HARNESS_FAILED, "x", 5);
	ck_assert_str_eq(file_result_running(&result)->name, "outer");
	ck_assert_uint_eq(result.n_subtests, 3);
	file_result_judge(&result, "was killed by signal 9 (Killed)", NULL, false, 6);
	ck_assert_ptr_null(file_result_running(&result));
	ck_assert_str_eq(result.subtests[0].message,
			 "it did not end: was killed by signal 9 (Killed)");
	ck_assert_str_eq(result.message,
			 "the test process was killed by signal 9 (Killed) before the file's end");
	ck_assert_uint_eq(result.failed, 2);
	ck_assert_uint_eq(result.passed, 1);
}
END_TEST

/* Why it was ended stands before what the file itself has said. */
START_TEST(is_cut_short)
{
	file_result_subtest_started(&result, "one", 1);
	file_result_ended(&result, HARNESS_FAILED, "it was at a.lua:3");
	file_result_judge(&result, "was killed by signal 15 (Terminated)", "it took long", false,
			  6);
	ck_assert_str_eq(result.message, "it took long\nit was at a.lua:3");
	ck_assert_str_eq(result.subtests[0].message, "it did not end: it took long");

	file_result_clear(&result);
	file_result_ended(&result, HARNESS_FAILED, "first");
	file_result_judge(&result, "was killed by signal 9 (Killed)", NULL, false, 6);
	ck_assert_str_eq(result.message,
			 "the test process was killed by signal 9 (Killed) before the file's end\n"
			 "first");

	file_result_clear(&result);
	file_result_judge(&result, "exited with status 0", "it took long", true, 6);
	ck_assert_int_eq(result.verdict, FILE_FAILED);
	ck_assert_str_eq(result.message, "it took long");
}
END_TEST

START_TEST(limits)
{
	char *text = malloc(30001);

	memset(text, 'x', 30000);
	text[30000] = '\0';
	/* Also where it has failed before. */
	if (_i)
		file_result_ended(&result, HARNESS_FAILED, "its own reason");
	for (unsigned int i = 0; i < 30000; i++)
		file_result_subtest_started(&result, "t", i);
	for (unsigned int i = 0; i < 2000; i++)
		file_result_subtest_ended(&result, "other", HARNESS_PASSED, text, i);
	for (unsigned int i = 0; i < 2000; i++) {
		file_result_splat(&result, 1, "title", text);
		file_result_guest_started(&result, i, "name", NULL);
	}
	ck_assert_uint_le(result.n_subtests, 20000);
	ck_assert_uint_le(result.n_splats, 100);
	ck_assert_uint_le(result.n_guests, 1000);
	ck_assert_uint_le(result.text_size, MIB(9));
	done(0);
	ck_assert_int_eq(result.verdict, FILE_FAILED);
	ck_assert_ptr_nonnull(strstr(result.message, "more than there is room for"));
	ck_assert(!strstr(result.message, "its own reason") == !_i);
	free(text);
}
END_TEST

START_TEST(guests)
{
	file_result_guest_started(&result, 1, "base\n", "/tmp/\x01");
	file_result_guest_started(&result, 2, "x", NULL);
	file_result_guest_ended(&result, 1);
	file_result_guest_ended(&result, 7);
	ck_assert(!result.guests[0].running);
	ck_assert(result.guests[1].running);
	ck_assert_str_eq(result.guests[0].path, "/tmp/\x01");
	done(0);
	ck_assert_int_eq(result.verdict, FILE_PASSED);
}
END_TEST

int main(void)
{
	Suite *tests = suite_create("runner-result");
	TCase *texts = unit_counted_case("text");
	TCase *results = unit_counted_case("result");

	tcase_add_test(texts, cleans);
	tcase_add_test(texts, tails);
	suite_add_tcase(tests, texts);
	tcase_add_checked_fixture(results, set_up, tear_down);
	tcase_add_test(results, judges);
	tcase_add_test(results, nests);
	tcase_add_test(results, is_cut_short);
	tcase_add_loop_test(results, limits, 0, 2);
	tcase_add_test(results, guests);
	suite_add_tcase(tests, results);
	return unit_run(tests);
}
