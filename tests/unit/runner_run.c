/* The runner with files of steps (runner_script.h): what becomes of each, and what is left. */
#include "host/runner/runner.h"

#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/util.h"
#include "host/runner/process.h"
#include "runner_script.h"
#include "unit.h"

static char suite[PATH_MAX / 2];
static struct run_directory directory;
static struct plan plan;
static struct file_result results[64];
static char notices[4096];
static size_t n_ended;
static size_t stop_after;

static void set_up(void)
{
	struct provium_error error;

	snprintf(suite, sizeof(suite), "/tmp/runner-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(suite));
	setenv("TMPDIR", suite, 1);
	ck_assert_int_eq(run_directory_make(&directory, &error), 0);
	notices[0] = '\0';
	n_ended = 0;
	stop_after = SIZE_MAX;
}

static void tear_down(void)
{
	directory_remove(suite);
}

static void begin_anew(void)
{
	tear_down();
	set_up();
}

__attribute__((format(printf, 2, 3))) static void script(const char *name, const char *format, ...)
{
	char path[PATH_MAX];
	va_list arguments;
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", suite, name);
	file = fopen(path, "w");
	ck_assert_ptr_nonnull(file);
	va_start(arguments, format);
	vfprintf(file, format, arguments);
	va_end(arguments);
	ck_assert_int_eq(fclose(file), 0);
}

static bool file_ended(void *user, const struct file_result *result)
{
	(void)user;
	ck_assert_int_ne(result->verdict, FILE_NOT_RUN);
	return ++n_ended < stop_after;
}

static void notice(void *user, const char *text)
{
	size_t used = strlen(notices);

	(void)user;
	snprintf(notices + used, sizeof(notices) - used, "%s\n", text);
}

static struct runner_options defaults(void)
{
	return (struct runner_options){
		.plan = &plan,
		.memory = MIB(1024),
		.cpus = 2,
		.parallel = 4,
		.timeout_ms = 60000,
		.accel = PROVIUM_ACCEL_TCG,
		.run = script_run,
		.directory = &directory,
		.cancel_fd = -1,
		.file_ended = file_ended,
		.notice = notice,
	};
}

static int run(const struct runner_options *options, struct provium_error *error)
{
	const char *const paths[] = { suite, NULL };

	ck_assert_int_eq(plan_discover(&plan, paths, error), 0);
	ck_assert_uint_le(plan.count, ARRAY_SIZE(results));
	memset(results, 0, sizeof(results));
	return runner_run(options, results, error);
}

static void run_well(const struct runner_options *options)
{
	struct provium_error error;

	if (run(options, &error) < 0)
		ck_abort_msg("%s", error.message);
	ck_assert_uint_eq(n_ended, plan.count);
}

static const struct file_result *result_of(const char *name)
{
	for (size_t i = 0; i < plan.count; i++) {
		if (strcmp(results[i].name, name) == 0)
			return &results[i];
	}
	ck_abort_msg("%s is missing", name);
	return NULL;
}

static void finish(void)
{
	for (size_t i = 0; i < plan.count; i++)
		file_result_finish(&results[i]);
	plan_finish(&plan);
	run_directory_finish(&directory);
}

static void has(const char *text, const char *part)
{
	if (!text || !strstr(text, part))
		ck_abort_msg("'%s' is missing in '%.2000s'", part, text ? text : "(nothing)");
}

START_TEST(passes)
{
	struct runner_options options = defaults();

	script("a.lua", "test one\ntest two\ntodo three|later\n");
	script("b.lua", "file-todo waiting\n");
	script("c.lua", "print nothing\n");
	run_well(&options);
	ck_assert_int_eq(result_of("a.lua")->verdict, FILE_PASSED);
	ck_assert_uint_eq(result_of("a.lua")->passed, 2);
	ck_assert_uint_eq(result_of("a.lua")->todo, 1);
	ck_assert_str_eq(result_of("a.lua")->subtests[2].message, "later");
	ck_assert_int_eq(result_of("b.lua")->verdict, FILE_TODO);
	ck_assert_str_eq(result_of("b.lua")->message, "waiting");
	ck_assert_int_eq(result_of("c.lua")->verdict, FILE_PASSED);
	finish();
	/* No logs, so nothing. */
	ck_assert_str_eq(directory.path, "");
}
END_TEST

START_TEST(keeps)
{
	struct runner_options options = defaults();
	char path[PATH_MAX];
	struct stat st;

	options.keep = true;
	script("a.lua", "print hello\n");
	run_well(&options);
	snprintf(path, sizeof(path), "%s/output", result_of("a.lua")->log_directory);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_int_eq(st.st_size, 6);
	ck_assert_int_eq(stat(directory.path, &st), 0);
	ck_assert_int_eq(st.st_mode & 0777, 0700);
	finish();
	ck_assert_int_eq(stat(path, &st), 0);
}
END_TEST

START_TEST(fails)
{
	struct runner_options options = defaults();

	script("fail.lua",
	       "print some output\nguest 1 base console-1\nstart x\nfail x|fail.lua:3: no\n");
	script("file.lua", "test x\nfile-fail at the end\n");
	script("signal.lua", "start x\nraise 11\n");
	script("exit.lua", "test x\nexit 0\n");
	script("status.lua", "test x\nstatus 7\n");
	script("splat.lua", "test x\nsplat 2 a title\n");
	script("garbage.lua", "garbage 100\nhang\n");
	script("garbage2.lua", "garbage 150000\nhang\n");
	script("good.lua", "test x\n");
	run_well(&options);

	for (size_t i = 0; i < plan.count; i++)
		ck_assert_int_eq(results[i].verdict == FILE_PASSED,
				 strcmp(results[i].name, "good.lua") == 0);
	ck_assert_str_eq(result_of("fail.lua")->subtests[0].message, "fail.lua:3: no");
	ck_assert_str_eq(result_of("fail.lua")->output, "some output\n");
	ck_assert_str_eq(result_of("fail.lua")->guests[0].tail,
			 "[    0.0] console-1\nlast words?[0m of base\n");
	ck_assert_ptr_null(result_of("fail.lua")->message);
	ck_assert_str_eq(result_of("file.lua")->message, "at the end");
	has(result_of("signal.lua")->message, "signal 11 (Segmentation fault)");
	has(result_of("signal.lua")->subtests[0].message, "it did not end");
	ck_assert_uint_eq(result_of("signal.lua")->failed, 1);
	has(result_of("exit.lua")->message, "exited with status 0 before the file's end");
	has(result_of("status.lua")->message, "exited with status 7 and does not say why");
	ck_assert_str_eq(result_of("splat.lua")->splats[0].title, "a title");
	ck_assert_uint_eq(result_of("splat.lua")->splats[0].guest, 2);
	has(result_of("garbage.lua")->message, "sent what no test sends");
	has(result_of("garbage2.lua")->message, "sent what no test sends");
	finish();
}
END_TEST

START_TEST(times_out)
{
	struct runner_options options = defaults();

	options.timeout_ms = 300;
	script("hang.lua", "start the hanging one\nhang\n");
	script("flood.lua", "flood 1000000\n");
	script("where.lua", "where at line 3\nhang\n");
	script("stubborn.lua", "where \nhang\n");
	script("good.lua", "test x\n");
	/* Its time does not pass while it waits for the other. */
	options.parallel = 2;
	options.memory = MIB(100);
	script("a1.lua", "acquire 100 1\nsleep 200\nrelease 100 1\n");
	script("a2.lua", "acquire 100 1\nsleep 200\nrelease 100 1\n");
	script("a3.lua", "acquire 100 1\nsleep 200\nrelease 100 1\n");
	run_well(&options);
	ck_assert_int_eq(result_of("hang.lua")->verdict, FILE_FAILED);
	has(result_of("hang.lua")->message, "it ran longer than 0.3 s (--timeout)");
	has(result_of("hang.lua")->subtests[0].message, "did not end: it ran longer than 0.3 s");
	ck_assert_str_eq(result_of("where.lua")->message,
			 "it ran longer than 0.3 s (--timeout)\nat line 3");
	ck_assert_str_eq(result_of("stubborn.lua")->message,
			 "it ran longer than 0.3 s (--timeout)");
	has(result_of("flood.lua")->message, "it ran longer than 0.3 s (--timeout)");
	ck_assert_int_eq(result_of("good.lua")->verdict, FILE_PASSED);
	ck_assert_int_eq(result_of("a1.lua")->verdict, FILE_PASSED);
	ck_assert_int_eq(result_of("a2.lua")->verdict, FILE_PASSED);
	ck_assert_int_eq(result_of("a3.lua")->verdict, FILE_PASSED);
	finish();
}
END_TEST

START_TEST(limits_output)
{
	struct runner_options options = defaults();
	char path[PATH_MAX];
	struct stat st;

	script("flood.lua", "flood 40\nfile-fail flooded\n");
	run_well(&options);
	ck_assert_str_eq(result_of("flood.lua")->message, "flooded");
	has(result_of("flood.lua")->output, "[16 MiB: what follows was left out]");
	snprintf(path, sizeof(path), "%s/output", result_of("flood.lua")->log_directory);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_int_ge(st.st_size, MIB(16));
	ck_assert_int_lt(st.st_size, MIB(16) + 100);
	finish();
}
END_TEST

/* Where what has come so far just fits, what comes then is what is cut. */
START_TEST(limits_output_exactly)
{
	struct process process = PROCESS_NONE;
	char path[PATH_MAX], text[256] = "";
	int fds[2];

	snprintf(path, sizeof(path), "%s/log", suite);
	ck_assert_int_eq(pipe(fds), 0);
	process.output = fds[0];
	process.log = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	process.output_size = PROCESS_MAX_OUTPUT - 4;
	ck_assert_int_eq(write(fds[1], "abcd", 4), 4);
	process_take_output(&process);
	ck_assert(!process.output_cut);
	for (unsigned int i = 0; i < 3; i++) {
		ck_assert_int_eq(write(fds[1], "efgh", 4), 4);
		process_take_output(&process);
	}
	ck_assert_int_gt(pread(process.log, text, sizeof(text) - 1, 0), 0);
	ck_assert_str_eq(text, "abcd\n[16 MiB: what follows was left out]\n");
	close(process.log);
	close(fds[0]);
	close(fds[1]);
}
END_TEST

START_TEST(forty)
{
	struct runner_options options = defaults();
	char name[32];

	for (unsigned int i = 0; i < 40; i++) {
		snprintf(name, sizeof(name), "t%02u.lua", i);
		script(name, "acquire %u 1\ntest x\nrelease %u 1\n%s\n", 100 + i * 10, 100 + i * 10,
		       i % 10 == 3 ? "file-fail this one" : "test y");
	}
	run_well(&options);
	for (unsigned int i = 0; i < 40; i++) {
		snprintf(name, sizeof(name), "t%02u.lua", i);
		ck_assert_int_eq(result_of(name)->verdict, i % 10 == 3 ? FILE_FAILED : FILE_PASSED);
	}
	finish();
}
END_TEST

/* Two that hold one guest and want another, with room for two: one is put back, and both pass. */
START_TEST(puts_back)
{
	struct runner_options options = defaults();

	script("a.lua", "acquire 400 1\nsleep 100\ntest once\nacquire 400 1\ntest twice\n");
	script("b.lua", "acquire 400 1\nsleep 100\ntest once\nacquire 400 1\ntest twice\n");
	script("c.lua", "acquire 600 1\nsleep 50\nrelease 600 1\nacquire 600 1\n");
	run_well(&options);
	for (size_t i = 0; i < plan.count; i++)
		ck_assert_int_eq(results[i].verdict, FILE_PASSED);
	/* What it told before is gone. */
	ck_assert_uint_eq(result_of("a.lua")->n_subtests, 2);
	ck_assert_uint_eq(result_of("b.lua")->n_subtests, 2);
	has(notices, " is put back");
	finish();
}
END_TEST

START_TEST(refuses)
{
	struct runner_options options = defaults();

	script("memory.lua", "acquire 1025 1\n");
	script("cpus.lua", "acquire 1 3\n");
	script("both.lua", "acquire 600 1\nacquire 600 1\n");
	script("back.lua", "acquire 600 1\nrelease 601 1\nhang\n");
	script("fits.lua", "acquire 1024 2\n");
	run_well(&options);
	has(result_of("memory.lua")->message,
	    "a guest of 1025 MiB and 1 processors never fits: all guests together have 1024 MiB "
	    "and 2 processors (--mem, --cpus)");
	has(result_of("cpus.lua")->message, "never fits");
	has(result_of("both.lua")->message, "of which this file holds 600 MiB and 1");
	has(result_of("back.lua")->message, "gives back more than it has");
	ck_assert_int_eq(result_of("fits.lua")->verdict, FILE_PASSED);
	finish();
}
END_TEST

/* What QEMU itself takes counts, too, and is given back. */
START_TEST(counts_overhead)
{
	struct runner_options options = defaults();

	options.overhead = MIB(128);
	script("most.lua", "acquire 896 1\nrelease 896 1\nacquire 896 1\nrelease 896 1\n");
	script("over.lua", "acquire 897 1\n");
	script("two.lua", "acquire 384 1\nacquire 384 1\nrelease 384 1\nacquire 385 1\n");
	/* -1 MiB: the sum would be small. */
	script("huge.lua", "acquire 17592186044415 1\n");
	run_well(&options);
	ck_assert_int_eq(result_of("most.lua")->verdict, FILE_PASSED);
	has(result_of("over.lua")->message,
	    "a guest of 897 MiB (and 128 MiB for its QEMU) and 1 processors never fits");
	has(result_of("two.lua")->message, "a guest of 385 MiB");
	has(result_of("huge.lua")->message, "never fits");
	finish();
}
END_TEST

/* However many want it, one builds it; each of the others has it, with its descriptor. */
START_TEST(shares_fixtures)
{
	struct runner_options options = defaults();
	unsigned int n_built = 0;
	char name[32];

	options.keep = true;
	for (unsigned int i = 0; i < 6; i++) {
		snprintf(name, sizeof(name), "t%u.lua", i);
		script(name, "need base\nsleep 50\nbuilt base\nneed base\n");
	}
	run_well(&options);
	for (size_t i = 0; i < plan.count; i++) {
		char path[PATH_MAX], line[128];
		FILE *file;
		int lines = 0;

		ck_assert_int_eq(results[i].verdict, FILE_PASSED);
		snprintf(path, sizeof(path), "%s/output", results[i].log_directory);
		file = fopen(path, "r");
		ck_assert_ptr_nonnull(file);
		for (; fgets(line, sizeof(line), file); lines++)
			ck_assert_str_eq(line, "base is a snapshot of base, 1 fds b\n");
		fclose(file);
		n_built += lines == 1;
		ck_assert_int_ge(lines, 1);
	}
	ck_assert_uint_eq(n_built, 1);
	finish();
}
END_TEST

/* Who builds it dies: the next builds it. Who cannot build it fails all. */
START_TEST(fixtures_fail)
{
	struct runner_options options = defaults();

	script("a.lua", "need f\nsleep 100\nunless %s/first\nraise 9\n", suite);
	script("b.lua", "need f\nunless %s/first\nraise 9\n", suite);
	run_well(&options);
	/* Exactly one of them has died of it. */
	ck_assert_int_ne(result_of("a.lua")->verdict == FILE_FAILED,
			 result_of("b.lua")->verdict == FILE_FAILED);
	finish();

	begin_anew();
	script("a.lua", "need f\nsleep 100\nspoil f\n");
	script("b.lua", "sleep 30\nneed f\n");
	script("c.lua", "sleep 300\nneed f\n");
	run_well(&options);
	ck_assert_int_eq(result_of("a.lua")->verdict, FILE_PASSED);
	ck_assert_str_eq(result_of("b.lua")->message, "it is spoilt");
	ck_assert_str_eq(result_of("c.lua")->message, "it is spoilt");
	finish();
}
END_TEST

START_TEST(fixtures_cycle)
{
	struct runner_options options = defaults();
	const char *one, *other;

	script("a.lua", "need f\nsleep 100\nneed g\nbuilt f\n");
	script("b.lua", "need g\nsleep 100\nneed f\nbuilt g\n");
	script("self.lua", "need x\nneed y\nneed x\n");
	run_well(&options);
	has(result_of("self.lua")->message, "fixtures need each other: x needs y needs x");
	/* One of the two is told; the other builds what it was asked for. */
	one = result_of("a.lua")->message;
	other = result_of("b.lua")->message;
	ck_assert((one == NULL) != (other == NULL));
	has(one ? one : other, one ? "g needs f needs g" : "f needs g needs f");
	finish();
}
END_TEST

START_TEST(stops)
{
	struct runner_options options = defaults();
	struct provium_error error;
	int pipe_fds[2];

	options.fail_fast = true;
	options.parallel = 2;
	script("a.lua", "sleep 100\nfile-fail x\n");
	script("b.lua", "hang\n");
	script("c.lua", "hang\n");
	ck_assert_int_eq(run(&options, &error), 0);
	ck_assert_uint_eq(n_ended, 1);
	ck_assert_int_eq(result_of("a.lua")->verdict, FILE_FAILED);
	ck_assert_int_eq(result_of("b.lua")->verdict, FILE_NOT_RUN);
	ck_assert_int_eq(result_of("c.lua")->verdict, FILE_NOT_RUN);
	finish();

	begin_anew();
	options.fail_fast = false;
	ck_assert_int_eq(pipe(pipe_fds), 0);
	options.cancel_fd = pipe_fds[0];
	close(pipe_fds[1]);
	script("b.lua", "hang\n");
	ck_assert_int_eq(run(&options, &error), -1);
	ck_assert_int_eq(error.code, PROVIUM_CANCELLED);
	finish();
	close(pipe_fds[0]);

	begin_anew();
	options.cancel_fd = -1;
	stop_after = 1;
	script("a.lua", "test x\n");
	script("b.lua", "hang\n");
	ck_assert_int_eq(run(&options, &error), -1);
	ck_assert_int_eq(error.code, PROVIUM_CANCELLED);
	finish();
	ck_assert_str_eq(directory.path, "");
}
END_TEST

/* unit_counted_case sees whether one is left. */
START_TEST(leaves_nothing)
{
	struct runner_options options = defaults();

	script("a.lua", "orphan\nlitter\n");
	script("b.lua", "orphan\nlitter\nraise 9\n");
	script("c.lua", "orphan\nlitter\nhang\n");
	options.timeout_ms = 500;
	run_well(&options);
	ck_assert_int_eq(result_of("a.lua")->verdict, FILE_PASSED);
	finish();
	/* With the logs of the two that failed. */
	ck_assert_str_ne(directory.path, "");
	for (size_t i = 0; i < 2; i++) {
		char path[PATH_MAX + 8];

		snprintf(path, sizeof(path), "%s/t", directory.path);
		ck_assert_int_ne(access(path, F_OK), 0);
	}
}
END_TEST

static void show(void *user, const struct runner_view *view)
{
	struct runner_view *kept = user;

	if (view->running > 0 && view->files[0].subtest)
		*kept = *view;
}

START_TEST(shows)
{
	struct runner_options options = defaults();
	struct runner_view view = { 0 };

	options.user = &view;
	options.show = show;
	options.refresh_ms = 10;
	script("a.lua", "start slow\nsleep 200\nok slow\n");
	run_well(&options);
	ck_assert_uint_eq(view.total, 1);
	ck_assert_uint_eq(view.running, 1);
	finish();
}
END_TEST

int main(void)
{
	Suite *tests = suite_create("runner");
	TCase *tcase = unit_counted_case("run");

	tcase_add_checked_fixture(tcase, set_up, tear_down);
	tcase_set_timeout(tcase, 30);
	tcase_add_test(tcase, passes);
	tcase_add_test(tcase, keeps);
	tcase_add_test(tcase, fails);
	tcase_add_test(tcase, times_out);
	tcase_add_test(tcase, limits_output);
	tcase_add_test(tcase, limits_output_exactly);
	tcase_add_test(tcase, forty);
	tcase_add_test(tcase, puts_back);
	tcase_add_test(tcase, refuses);
	tcase_add_test(tcase, counts_overhead);
	tcase_add_test(tcase, shares_fixtures);
	tcase_add_test(tcase, fixtures_fail);
	tcase_add_test(tcase, fixtures_cycle);
	tcase_add_test(tcase, stops);
	tcase_add_test(tcase, leaves_nothing);
	tcase_add_test(tcase, shows);
	suite_add_tcase(tests, tcase);
	return unit_run(tests);
}
