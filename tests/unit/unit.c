#include "unit.h"

#include <dirent.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

/* Zombies count too: each child is somebody's to wait for. */
static unsigned int count_children(void)
{
	char path[64];
	unsigned int count = 0;
	int pid;
	FILE *file;

	/* CONFIG_PROC_CHILDREN, proc(5). Without it only "none" and "some" can be told apart. */
	snprintf(path, sizeof(path), "/proc/self/task/%d/children", getpid());
	file = fopen(path, "re");
	if (!file) {
		siginfo_t info;

		return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
	}
	while (fscanf(file, "%d", &pid) == 1)
		count++;
	fclose(file);
	return count;
}

static unsigned int count_entries(const char *path)
{
	DIR *dir = opendir(path);
	unsigned int count = 0;

	ck_assert_ptr_nonnull(dir);
	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}

void unit_count(struct unit_count *count)
{
	count->fds = count_entries("/proc/self/fd");
	count->threads = count_entries("/proc/self/task");
	count->children = count_children();
}

bool unit_count_equal(const struct unit_count *before, const struct unit_count *after, char *text,
		      size_t size)
{
	snprintf(text, size, "fds %u -> %u, threads %u -> %u, children %u -> %u", before->fds,
		 after->fds, before->threads, after->threads, before->children, after->children);
	return before->fds == after->fds && before->threads == after->threads &&
	       before->children == after->children;
}

static struct unit_count at_start;

static void count_before(void)
{
	unit_count(&at_start);
}

/*
 * A thread that was joined stays in /proc/self/task for a moment: pthread_join(3) waits for its tid
 * to be cleared (set_tid_address(2)), which the kernel does before it takes the thread out.
 */
static void count_after(void)
{
	struct unit_count at_end;
	char text[128];

	for (unsigned int i = 0; i < 200; i++) {
		unit_count(&at_end);
		if (unit_count_equal(&at_start, &at_end, text, sizeof(text)))
			return;
		if (at_end.threads <= at_start.threads)
			break;
		usleep(10000);
	}
	ck_abort_msg("the test left something behind: %s", text);
}

TCase *unit_counted_case(const char *name)
{
	TCase *tcase = tcase_create(name);

	tcase_add_checked_fixture(tcase, count_before, count_after);
	return tcase;
}

/*
 * Check has no word for a test that was skipped. So what it writes, a line for each test when that
 * has ended, goes through a stream that puts the reason there, which the test's process has left in
 * memory that both share.
 */
struct skip {
	bool is_set;
	char reason[256];
};

static struct skip *skipped;

/* Standard output as it is. */
static FILE *output;

void unit_skip(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(skipped->reason, sizeof(skipped->reason), format, arguments);
	va_end(arguments);
	skipped->is_set = true;
}

bool unit_is_root(void)
{
	if (geteuid() != 0)
		unit_skip("only root may do that");
	return geteuid() == 0;
}

static ssize_t write_line(void *unused, const char *line, size_t size)
{
	static const char passed[] = ": Passed\n";
	const size_t length = sizeof(passed) - 1;
	bool has_passed = size > length && memcmp(line + size - length, passed, length) == 0;

	(void)unused;
	/* Left by a test that has failed since. */
	if (size > 3 && memcmp(line, "not", 3) == 0)
		skipped->is_set = false;
	if (skipped->is_set && has_passed) {
		fprintf(output, "%.*s # SKIP %s\n", (int)(size - length), line, skipped->reason);
		skipped->is_set = false;
	} else {
		fwrite(line, 1, size, output);
	}
	return fflush(output) == 0 ? (ssize_t)size : 0;
}

int unit_run(Suite *suite)
{
	FILE *lines = fopencookie(NULL, "w", (cookie_io_functions_t){ .write = write_line });
	SRunner *runner = srunner_create(suite);
	int failed;

	skipped = mmap(NULL, sizeof(*skipped), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		       -1, 0);
	if (!lines || skipped == MAP_FAILED)
		return EXIT_FAILURE;
	setvbuf(lines, NULL, _IOLBF, 0);
	output = stdout;
	stdout = lines;
	srunner_set_tap(runner, "-");
	srunner_run_all(runner, CK_SILENT);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	fflush(lines);
	stdout = output;
	fclose(lines);
	munmap(skipped, sizeof(*skipped));
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int unit_run_long(Suite *suite)
{
	setenv("CK_FORK", "no", 1);
	return unit_run(suite);
}
