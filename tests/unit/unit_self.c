/* The counter of fds, threads and children: it must see one that is left behind. */
#include <fcntl.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

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

int main(void)
{
	Suite *suite = suite_create("unit");
	TCase *tcase = unit_counted_case("counter");

	tcase_add_test(tcase, nothing);
	tcase_add_test(tcase, fd);
	tcase_add_test(tcase, thread);
	tcase_add_test(tcase, zombie);
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
