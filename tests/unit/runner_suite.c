/*
 * A whole run with files of steps: what is told of it, by the judgement of other programs too, and
 * what is left when it is killed. The program's argument is the schema of JUnit's XML.
 */
#include "host/runner/suite.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/util.h"
#include "host/runner/guard.h"
#include "host/runner/progress.h"
#include "runner_script.h"
#include "unit.h"

static const char *schema;
static char root[PATH_MAX / 4];
static struct suite_options options;
static const char *paths[2];
static char notices[4096];

static void note(const char *text)
{
	size_t used = strlen(notices);

	snprintf(notices + used, sizeof(notices) - used, "%s\n", text);
}

/* The last four stay. */
static char *in_root(const char *name)
{
	static char path[4][PATH_MAX];
	static unsigned int next;
	char *text = path[next++ % 4];

	snprintf(text, PATH_MAX, "%s/%s", root, name);
	return text;
}

/* For an option, which has it until the next. */
static const char *report_path(const char *name)
{
	static char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", root, name);
	return path;
}

static void script(const char *name, const char *steps)
{
	FILE *file = fopen(in_root(name), "w");

	ck_assert_ptr_nonnull(file);
	fputs(steps, file);
	ck_assert_int_eq(fclose(file), 0);
}

static void set_up(void)
{
	snprintf(root, sizeof(root), "/tmp/runner-suite-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(root));
	ck_assert_int_eq(mkdir(in_root("suite"), 0700), 0);
	ck_assert_int_eq(mkdir(in_root("tmp"), 0700), 0);
	setenv("TMPDIR", in_root("tmp"), 1);
	setenv("XDG_STATE_HOME", in_root("state"), 1);
	notices[0] = '\0';
	paths[0] = strdup(in_root("suite"));
	options = (struct suite_options){
		.paths = paths,
		.memory = MIB(1024),
		.cpus = 2,
		.accel = PROVIUM_ACCEL_TCG,
		.run = script_run,
		.notice = note,
	};
}

static void tear_down(void)
{
	free((char *)(uintptr_t)paths[0]);
	directory_remove(root);
}

/* Runs it with standard output in the file "out". */
static enum suite_outcome run(struct provium_error *error)
{
	struct run_directory directory;
	enum suite_outcome outcome;
	struct plan plan = { 0 };
	int saved, out;
	bool broken;

	if (suite_plan(&options, &plan, error) < 0)
		return SUITE_ERROR;
	fflush(stdout);
	saved = dup(STDOUT_FILENO);
	out = open(in_root("out"), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	ck_assert_int_ge(dup2(out, STDOUT_FILENO), 0);
	close(out);
	ck_assert_int_eq(run_directory_make(&directory, error), 0);
	outcome = suite_run(&options, &plan, &directory, -1, &broken, error);
	fflush(stdout);
	ck_assert_int_ge(dup2(saved, STDOUT_FILENO), 0);
	close(saved);
	run_directory_finish(&directory);
	plan_finish(&plan);
	return outcome;
}

/* For free(3). */
static char *content(const char *path)
{
	char *text = NULL;
	size_t size = 0;
	FILE *file = fopen(path, "r");

	ck_assert_ptr_nonnull(file);
	if (getdelim(&text, &size, '\0', file) < 0)
		*text = '\0';
	fclose(file);
	return text;
}

static void file_has(const char *path, const char *part)
{
	char *text = content(path);

	if (!strstr(text, part))
		ck_abort_msg("'%s' is missing in:\n%.4000s", part, text);
	free(text);
}

static void many(void)
{
	script("suite/good.lua", "test kernel boots\ntodo complex scenario|waiting on feature X\n");
	script("suite/bad.lua",
	       "print out \x1b[1m \x01 & <b>\nguest 1 base console-1\nstart proc # mounted\n"
	       "fail proc # mounted|/proc/version: No such file or directory\nsplat 1 WARNING: "
	       "x\n");
	script("suite/crash.lua", "start \\ it \"crashes\" & <that> \xff\x1b\nraise 6\n");
	script("suite/todo.lua", "file-todo not yet\n");
	script("suite/none.lua", "print x\n");
}

START_TEST(tells_lines)
{
	struct provium_error error;

	many();
	ck_assert_int_eq(run(&error), SUITE_FAILED);
	file_has(in_root("out"), "\ngood.lua ... ok (2 tests, 0.");
	file_has(in_root("out"), "s)\n  · kernel boots ... ok\n"
				 "  · complex scenario ... todo: waiting on feature X\n");
	file_has(in_root("out"), "\n  · proc # mounted ... FAIL: /proc/version: No such file or "
				 "directory\n");
	file_has(in_root("out"), "\n  · the kernel of guest 1 reports: WARNING: x\n"
				 "      | WARNING: line one\n");
	file_has(in_root("out"), "\n  · the console of guest 1 (base) ends with\n"
				 "      | [    0.0] console-1\n");
	file_has(in_root("out"), "\n  · its output ends with\n      | out ?[1m ? & <b>\n");
	file_has(in_root("out"), "\n  · logs: /tmp/");
	file_has(in_root("out"), "\ntodo.lua ... todo (0 tests, 0.");
	file_has(in_root("out"), "\nFailed:\n  bad.lua\n  crash.lua\n");
	file_has(in_root("out"), "\n5 files: 2 passed, 2 failed, 1 todo; 4 tests: 1 passed, 2 "
				 "failed, 1 todo; ");
	file_has(in_root("out"), "\nlogs: /tmp/");
	ck_assert_str_eq(notices, "");
}
END_TEST

START_TEST(runs_the_failed_again)
{
	struct provium_error error;
	struct plan plan = { 0 };

	many();
	ck_assert_int_eq(run(&error), SUITE_FAILED);
	options.rerun_failed = true;
	ck_assert_int_eq(suite_plan(&options, &plan, &error), 0);
	ck_assert_uint_eq(plan.count, 2);
	plan_finish(&plan);
	script("suite/bad.lua", "test x\n");
	ck_assert_int_eq(run(&error), SUITE_FAILED);
	file_has(in_root("out"), "\n2 files: 1 passed, 1 failed; ");
	script("suite/crash.lua", "test x\n");
	ck_assert_int_eq(run(&error), SUITE_PASSED);
	file_has(in_root("out"), "\n1 file: 1 passed; 1 test: 1 passed; ");
	ck_assert_int_eq(suite_plan(&options, &plan, &error), 0);
	ck_assert_uint_eq(plan.count, 0);
	plan_finish(&plan);
}
END_TEST

__attribute__((format(printf, 1, 2))) static int shell(const char *format, ...)
{
	char command[4 * PATH_MAX];
	va_list arguments;
	int status;
	pid_t pid;

	va_start(arguments, format);
	vsnprintf(command, sizeof(command), format, arguments);
	va_end(arguments);
	pid = fork();
	if (pid == 0) {
		execl("/bin/sh", "sh", "-c", command, NULL);
		_exit(127);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status));
	return WEXITSTATUS(status);
}

START_TEST(tells_tap)
{
	struct provium_error error;

	many();
	options.tap = true;
	ck_assert_int_eq(run(&error), SUITE_FAILED);
	file_has(in_root("out"), "TAP version 13\n1..5\n");
	file_has(in_root("out"),
		 "\n# Subtest: good.lua\n    1..2\n    ok 1 - kernel boots\n"
		 "    not ok 2 - complex scenario # TODO waiting on feature X\nok ");
	file_has(in_root("out"), "\n    not ok 1 - proc \\# mounted\n      ---\n      message: "
				 "\"/proc/version: No such file or directory\"\n      ...\n");
	ck_assert_ptr_nonnull(strstr(notices, "logs: /tmp/"));
	if (shell("command -v prove >/dev/null") != 0) {
		unit_skip("there is no prove");
		return;
	}
	/* Its status is how many failed; it complains of what it does not understand. */
	ck_assert_int_eq(shell("prove --exec cat %s >%s 2>&1", in_root("out"), in_root("prove")),
			 1);
	file_has(in_root("prove"), "Failed 2/5 subtests");
	ck_assert_int_ne(shell("grep -q 'Parse errors' %s", in_root("prove")), 0);

	options.patterns = (const char *const[]){ "good", "todo", "none", NULL };
	ck_assert_int_eq(run(&error), SUITE_PASSED);
	ck_assert_int_eq(shell("prove --exec cat %s >%s 2>&1", in_root("out"), in_root("prove")),
			 0);
	options.patterns = NULL;
	options.fail_fast = true;
	options.parallel = 1;
	ck_assert_int_eq(run(&error), SUITE_FAILED);
	file_has(in_root("out"), "\nBail out! a file failed (--fail-fast)\n");
}
END_TEST

START_TEST(tells_junit)
{
	struct provium_error error;

	many();
	options.junit = report_path("junit.xml");
	ck_assert_int_eq(run(&error), SUITE_FAILED);
	file_has(in_root("junit.xml"),
		 "<testsuite name=\"good.lua\" tests=\"2\" failures=\"0\" errors=\"0\" "
		 "skipped=\"1\" time=\"0.");
	file_has(in_root("junit.xml"), "<skipped message=\"waiting on feature X\"/>");
	file_has(in_root("junit.xml"), "<testcase name=\"\\ it &quot;crashes&quot; &amp; "
				       "&lt;that&gt; ??\" classname=\"crash.lua\"");
	file_has(in_root("junit.xml"), "signal 6 (Aborted)");
	if (shell("command -v xmllint >/dev/null") != 0) {
		unit_skip("there is no xmllint");
		return;
	}
	if (shell("xmllint --noout --schema %s %s >%s 2>&1", schema, in_root("junit.xml"),
		  in_root("xmllint")) != 0)
		ck_abort_msg("%s", content(in_root("xmllint")));
	/* The schema does judge. */
	ck_assert_int_eq(shell("sed 's/<testsuite name=[^ ]*/<testsuite/' %s >%s",
			       in_root("junit.xml"), in_root("bad.xml")),
			 0);
	ck_assert_int_ne(shell("xmllint --noout --schema %s %s >%s 2>&1", schema,
			       in_root("bad.xml"), in_root("xmllint")),
			 0);
	/* Files that were not run are there, too. */
	options.fail_fast = true;
	options.parallel = 1;
	options.junit = report_path("stopped.xml");
	ck_assert_int_eq(run(&error), SUITE_FAILED);
	file_has(in_root("stopped.xml"), "<skipped message=\"not run\"/>");
	ck_assert_int_eq(shell("xmllint --noout --schema %s %s >%s 2>&1", schema,
			       in_root("stopped.xml"), in_root("xmllint")),
			 0);
}
END_TEST

START_TEST(tells_json)
{
	struct provium_error error;
	json_error_t where;
	json_t *root_object, *files;
	const char *name, *outcome, *console;

	many();
	options.json = report_path("out.json");
	ck_assert_int_eq(run(&error), SUITE_FAILED);
	root_object = json_load_file(in_root("out.json"), JSON_REJECT_DUPLICATES, &where);
	ck_assert_ptr_nonnull(root_object);
	files = json_object_get(root_object, "results");
	ck_assert_uint_eq(json_array_size(files), 5);
	ck_assert_int_eq(json_unpack(json_array_get(files, 0), "{s:s, s:s, s:[{s:s}]}", "name",
				     &name, "outcome", &outcome, "guests", "console", &console),
			 0);
	ck_assert_str_eq(name, "bad.lua");
	ck_assert_str_eq(outcome, "failed");
	ck_assert_str_eq(console, "[    0.0] console-1\nlast words?[0m of base\n");
	json_decref(root_object);

	options.json = report_path("nowhere/out.json");
	ck_assert_int_eq(run(&error), SUITE_ERROR);
	ck_assert_ptr_nonnull(strstr(error.message, "No such file or directory"));
}
END_TEST

START_TEST(plans)
{
	struct provium_error error;
	struct plan plan = { 0 };

	many();
	options.patterns = (const char *const[]){ "nothing", NULL };
	ck_assert_int_eq(suite_plan(&options, &plan, &error), -1);
	ck_assert_str_eq(error.message, "--filter: there is no such test file");
	options.patterns = NULL;
	options.shard_index = 7;
	options.shard_count = 7;
	ck_assert_int_eq(suite_plan(&options, &plan, &error), 0);
	ck_assert_uint_eq(plan.count, 0);
	plan_finish(&plan);
}
END_TEST

START_TEST(shows_progress)
{
	struct runner_view view = {
		.total = 40,
		.ended = 10,
		.failed = 1,
		.running = 2,
		.files = { { .name = "boot.lua",
			     .subtest = "kernel\nboots",
			     .since_ns = 17000000000 },
			   { .name = "net.lua", .waits = true } },
	};
	char text[200];

	progress_text(&view, 20000000000, text, sizeof(text));
	ck_assert_str_eq(text, "10/40 files, 1 failed, 1:00 left  boot.lua: kernel boots 3s, "
			       "net.lua waits");
	progress_text(&view, 20000000000, text, 12);
	ck_assert_str_eq(text, "10/40 files");
	view = (struct runner_view){ .total = 1 };
	progress_text(&view, 0, text, sizeof(text));
	ck_assert_str_eq(text, "0/1 files");
}
END_TEST

/* ------------------------------------------------------------------------------------------- */
/* The guard */

struct guarded {
	struct run_directory directory;
	struct plan plan;
};

static int run_guarded(void *user)
{
	struct guarded *guarded = user;
	struct provium_error error;
	bool broken;

	return (int)suite_run(&options, &guarded->plan, &guarded->directory, -1, &broken, &error);
}

/* As `provium test`: a process that is the guard. */
static pid_t start_guard(void)
{
	pid_t pid = fork();
	struct provium_error error;
	struct guarded guarded = { 0 };
	struct guard_end end;
	pid_t older;
	int null_fd;

	if (pid != 0)
		return pid;
	/* Check's own handler would end the whole group. */
	signal(SIGTERM, SIG_DFL);
	null_fd = open("/dev/null", O_WRONLY);
	dup2(null_fd, STDOUT_FILENO);
	/* One that it has had before, and that is not to be ended. */
	older = fork();
	if (older == 0) {
		for (;;)
			pause();
	}
	if (suite_plan(&options, &guarded.plan, &error) < 0 ||
	    run_directory_make(&guarded.directory, &error) < 0 ||
	    guard_run(&guarded.directory, run_guarded, &guarded, &end, &error) < 0)
		_exit(99);
	if (waitpid(older, NULL, WNOHANG) != 0 || kill(older, SIGKILL) < 0 ||
	    waitpid(older, NULL, 0) != older)
		_exit(98);
	_exit(end.signal ? 100 + end.signal : end.status);
}

/* Its last child: the runner of a guard. */
static int child_of(pid_t pid)
{
	char path[64];
	int child = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)pid, (int)pid);
	file = fopen(path, "r");
	ck_assert_ptr_nonnull(file);
	while (fscanf(file, "%d", &child) == 1)
		;
	fclose(file);
	return child;
}

static unsigned int entries(const char *path)
{
	return (unsigned int)shell("exit $(ls -A %s | wc -l)", path);
}

static void wait_for_file(const char *path)
{
	for (unsigned int i = 0; access(path, F_OK) != 0; i++) {
		ck_assert_uint_lt(i, 2000);
		usleep(5000);
	}
}

/* Nobody is left, and no file but logs, when the guard has ended. */
START_TEST(guards)
{
	char steps[PATH_MAX + 64];
	int status;
	pid_t pid;

	/* A test that has started another process, and left files. */
	snprintf(steps, sizeof(steps), "orphan\nlitter\nunless %s\nhang\n", in_root("ready"));
	script("suite/a.lua", steps);
	/* What the guard leaves behind becomes ours. */
	ck_assert_int_eq(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
	pid = start_guard();
	wait_for_file(in_root("ready"));
	/* The runner itself, or what the guard passes on to it. */
	kill(_i == SIGKILL ? child_of(pid) : pid, _i);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(WEXITSTATUS(status), 100 + _i);
	ck_assert_int_eq(waitpid(-1, NULL, 0), -1);
	ck_assert_int_eq(errno, ECHILD);
	ck_assert_int_ne(shell("ls -d %s/tmp/*/t 2>/dev/null", root), 0);
}
END_TEST

START_TEST(guards_in_peace)
{
	int status;
	pid_t pid;

	script("suite/a.lua", "orphan\nlitter\n");
	pid = start_guard();
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(WEXITSTATUS(status), SUITE_PASSED);
	ck_assert_uint_eq(entries(in_root("tmp")), 0);
	script("suite/a.lua", "file-fail x\n");
	pid = start_guard();
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(WEXITSTATUS(status), SUITE_FAILED);
	ck_assert_uint_eq(entries(in_root("tmp")), 1);
}
END_TEST

int main(int argc, char **argv)
{
	Suite *tests = suite_create("runner-suite");
	TCase *tcase = unit_counted_case("suite");

	if (argc != 2)
		return EXIT_FAILURE;
	schema = argv[1];
	/* No line that is written over, whoever looks on. */
	setenv("TERM", "dumb", 1);
	tcase_add_checked_fixture(tcase, set_up, tear_down);
	tcase_set_timeout(tcase, 30);
	tcase_add_test(tcase, tells_lines);
	tcase_add_test(tcase, runs_the_failed_again);
	tcase_add_test(tcase, tells_tap);
	tcase_add_test(tcase, tells_junit);
	tcase_add_test(tcase, tells_json);
	tcase_add_test(tcase, plans);
	tcase_add_test(tcase, shows_progress);
	tcase_add_loop_test(tcase, guards, SIGKILL, SIGKILL + 1);
	tcase_add_loop_test(tcase, guards, SIGTERM, SIGTERM + 1);
	tcase_add_test(tcase, guards_in_peace);
	suite_add_tcase(tests, tcase);
	return unit_run(tests);
}
