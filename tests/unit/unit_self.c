/* The counter of fds, threads and children: it must see one that is left behind. */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/util.h"
#include "unit.h"

static struct unit_count before;
static struct unit_count after;
static char text[128];

START_TEST(nothing)
{
	unit_count(&before);
	unit_count(&after);
	ck_assert(unit_count_equal(&before, &after, text, sizeof(text)));
}
END_TEST

START_TEST(fd)
{
	int left;

	unit_count(&before);
	left = open("/dev/null", O_RDONLY | O_CLOEXEC);
	unit_count(&after);
	ck_assert(!unit_count_equal(&before, &after, text, sizeof(text)));
	close(left);
	unit_count(&after);
	ck_assert(unit_count_equal(&before, &after, text, sizeof(text)));
}
END_TEST

static void *wait_for_lock(void *lock)
{
	pthread_mutex_lock(lock);
	pthread_mutex_unlock(lock);
	return NULL;
}

START_TEST(thread)
{
	pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	pthread_t left;

	pthread_mutex_lock(&lock);
	unit_count(&before);
	ck_assert_int_eq(pthread_create(&left, NULL, wait_for_lock, &lock), 0);
	unit_count(&after);
	ck_assert(!unit_count_equal(&before, &after, text, sizeof(text)));
	pthread_mutex_unlock(&lock);
	pthread_join(left, NULL);
}
END_TEST

START_TEST(zombie)
{
	siginfo_t info;
	pid_t left;

	unit_count(&before);
	left = fork();
	if (left == 0)
		_exit(0);
	ck_assert_int_eq(waitid(P_PID, (id_t)left, &info, WEXITED | WNOWAIT), 0);
	unit_count(&after);
	ck_assert(!unit_count_equal(&before, &after, text, sizeof(text)));
	waitpid(left, NULL, 0);
	unit_count(&after);
	ck_assert(unit_count_equal(&before, &after, text, sizeof(text)));
}
END_TEST

START_TEST(passes)
{
}
END_TEST

START_TEST(skips)
{
	printf("ok, says the test\n");
	unit_skip("no %s today", "luck");
	/* Also where there is more of it. */
	ck_assert(true);
}
END_TEST

START_TEST(fails)
{
	unit_skip("not told");
	ck_abort_msg("as it must");
}
END_TEST

static Suite *skipping_suite(void)
{
	Suite *suite = suite_create("skipping");
	TCase *tcase = unit_counted_case("case");

	tcase_add_test(tcase, passes);
	tcase_add_test(tcase, skips);
	tcase_add_test(tcase, fails);
	tcase_add_test(tcase, passes);
	suite_add_tcase(suite, tcase);
	return suite;
}

/* A test that was skipped is told as one, and no other. */
START_TEST(skipping)
{
	static const char *const ends[] = {
		":passes: Passed\n",    "says the test\n",   ":skips # SKIP no luck today\n",
		":fails: as it must\n", ":passes: Passed\n", "..4\n",
	};
	char line[512];
	size_t i = 0;
	FILE *lines;
	int status, channel[2];
	pid_t child;

	ck_assert_int_eq(pipe2(channel, O_CLOEXEC), 0);
	child = fork();
	if (child == 0) {
		dup2(channel[1], STDOUT_FILENO);
		execl("/proc/self/exe", "test-unit-self", "skipping", NULL);
		_exit(127);
	}
	close(channel[1]);
	lines = fdopen(channel[0], "r");
	ck_assert_ptr_nonnull(lines);
	for (; fgets(line, sizeof(line), lines); i++) {
		ck_assert_uint_lt(i, ARRAY_SIZE(ends));
		ck_assert_uint_gt(strlen(line), strlen(ends[i]));
		ck_assert_str_eq(line + strlen(line) - strlen(ends[i]), ends[i]);
	}
	ck_assert_uint_eq(i, ARRAY_SIZE(ends));
	fclose(lines);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 1);
}
END_TEST

static Suite *unit_suite(void)
{
	Suite *suite = suite_create("unit");
	TCase *tcase = unit_counted_case("counter");

	tcase_add_test(tcase, nothing);
	tcase_add_test(tcase, fd);
	tcase_add_test(tcase, thread);
	tcase_add_test(tcase, zombie);
	tcase_add_test(tcase, skipping);
	suite_add_tcase(suite, tcase);
	return suite;
}

/* With an argument it is what the test of skipping runs. */
int main(int argc, char **argv)
{
	(void)argv;
	return unit_run(argc > 1 ? skipping_suite() : unit_suite());
}
