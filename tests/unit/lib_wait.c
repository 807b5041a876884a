/* Waiting: readiness, deadlines, the cancel fd and the monitor. */
#include "host/lib/wait.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "common/util.h"
#include "host/lib/error.h"
#include "unit.h"

static int quiet[2];
static int full[2];

static void open_pipes(void)
{
	ck_assert_int_eq(pipe(quiet), 0);
	ck_assert_int_eq(pipe(full), 0);
	ck_assert_int_eq(write(full[1], "x", 1), 1);
}

static void close_pipes(void)
{
	for (size_t i = 0; i < 2; i++) {
		close(quiet[i]);
		close(full[i]);
	}
}

static struct wait_limits limits_of(int timeout_ms)
{
	return (struct wait_limits){ .deadline = deadline_after(timeout_ms), .cancel_fd = -1 };
}

START_TEST(test_deadline)
{
	struct deadline never = deadline_after(PROVIUM_FOREVER);
	struct deadline now = deadline_after(0);
	struct deadline later = deadline_after(1000);
	struct deadline longest = deadline_after(INT_MAX);

	ck_assert(!deadline_passed(&never));
	ck_assert_int_eq(deadline_remaining_ms(&never), -1);
	ck_assert(deadline_passed(&now));
	ck_assert_int_eq(deadline_remaining_ms(&now), 0);
	ck_assert(!deadline_passed(&later));
	ck_assert_int_gt(deadline_remaining_ms(&later), 0);
	ck_assert_int_le(deadline_remaining_ms(&later), 1000);
	ck_assert_int_gt(deadline_remaining_ms(&longest), INT_MAX - 10000);
}
END_TEST

START_TEST(test_ready)
{
	struct wait_limits limits = limits_of(10000);
	struct provium_error error;
	short revents;

	ck_assert_int_eq(wait_fd(full[0], POLLIN, &limits, "test", &revents, &error), WAIT_READY);
	ck_assert_int_eq(revents, POLLIN);
}
END_TEST

START_TEST(test_timeout)
{
	struct wait_limits limits = limits_of(30);
	uint64_t start = monotonic_ns();
	struct provium_error error;
	short revents;

	ck_assert_int_eq(wait_fd(quiet[0], POLLIN, &limits, "test", &revents, &error),
			 WAIT_TIMED_OUT);
	ck_assert_uint_ge(monotonic_ns() - start, 30000000);
	ck_assert_int_eq(revents, 0);
	ck_assert_int_eq(error.code, PROVIUM_TIMED_OUT);
	ck_assert_str_eq(error.message, "test: timed out after 30 ms");
}
END_TEST

/* A limit wins, and the caller still learns what is ready. */
START_TEST(test_timeout_and_ready)
{
	struct wait_limits limits = limits_of(0);
	struct provium_error error;
	short revents;

	ck_assert_int_eq(wait_fd(full[0], POLLIN, &limits, "test", &revents, &error),
			 WAIT_TIMED_OUT);
	ck_assert_int_eq(revents, POLLIN);
}
END_TEST

START_TEST(test_cancel)
{
	struct wait_limits limits = limits_of(10000);
	struct provium_error error;
	short revents;

	limits.cancel_fd = full[0];
	ck_assert_int_eq(wait_fd(quiet[0], POLLIN, &limits, "test", &revents, &error),
			 WAIT_CANCELLED);
	ck_assert_int_eq(error.code, PROVIUM_CANCELLED);
	/* It is only looked at: the next wait ends as well. */
	ck_assert_int_eq(wait_fd(full[0], POLLIN, &limits, "test", &revents, &error),
			 WAIT_CANCELLED);
	ck_assert_int_eq(revents, POLLIN);
}
END_TEST

START_TEST(test_closed_cancel_fd)
{
	struct wait_limits limits = limits_of(10000);
	struct provium_error error;
	short revents;

	limits.cancel_fd = 900;
	ck_assert_int_eq(wait_fd(quiet[0], POLLIN, &limits, "test", &revents, &error), WAIT_FAILED);
	ck_assert_int_eq(error.code, PROVIUM_INVALID);
	ck_assert_ptr_nonnull(strstr(error.message, "cancel fd 900"));
}
END_TEST

struct watched {
	bool gone;
	int checks;
};

static int check(void *user, struct provium_error *error)
{
	struct watched *watched = user;

	watched->checks++;
	return watched->gone ? error_set(error, PROVIUM_VM_GONE, 0, "it is gone") : 0;
}

START_TEST(test_monitor)
{
	struct watched watched = { .gone = true };
	struct connection_monitor monitor = { .fd = full[0], .check = check, .user = &watched };
	struct wait_limits limits = limits_of(10000);
	struct provium_error error;
	short revents;

	limits.monitor = &monitor;
	ck_assert_int_eq(wait_fd(quiet[0], POLLIN, &limits, "test", &revents, &error), WAIT_GONE);
	ck_assert_int_eq(error.code, PROVIUM_VM_GONE);
	ck_assert_str_eq(error.message, "it is gone");
	ck_assert_int_eq(watched.checks, 1);

	/* News that are not its end. */
	watched.gone = false;
	ck_assert_int_eq(wait_fd(quiet[0], POLLIN, &limits, "test", &revents, &error), WAIT_READY);
	ck_assert_int_eq(revents, 0);
	ck_assert_int_eq(watched.checks, 2);

	monitor.fd = quiet[0];
	ck_assert_int_eq(wait_fd(full[0], POLLIN, &limits, "test", &revents, &error), WAIT_READY);
	ck_assert_int_eq(watched.checks, 2);
}
END_TEST

static volatile sig_atomic_t alarms;

static void count_alarm(int number)
{
	(void)number;
	alarms++;
}

/* Signals neither end a wait nor make it longer. */
START_TEST(test_signals)
{
	const struct sigaction action = { .sa_handler = count_alarm };
	const struct itimerval every = { { 0, 5000 }, { 0, 5000 } };
	const struct itimerval never = { { 0, 0 }, { 0, 0 } };
	struct wait_limits limits = limits_of(100);
	uint64_t start = monotonic_ns();
	struct provium_error error;
	short revents;

	ck_assert_int_eq(sigaction(SIGALRM, &action, NULL), 0);
	ck_assert_int_eq(setitimer(ITIMER_REAL, &every, NULL), 0);
	ck_assert_int_eq(wait_fd(quiet[0], POLLIN, &limits, "test", &revents, &error),
			 WAIT_TIMED_OUT);
	setitimer(ITIMER_REAL, &never, NULL);
	ck_assert_int_gt(alarms, 2);
	ck_assert_uint_ge(monotonic_ns() - start, 100000000);
	ck_assert_uint_lt(monotonic_ns() - start, 2000000000);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("lib-wait");
	TCase *tcase = unit_counted_case("wait");

	tcase_add_checked_fixture(tcase, open_pipes, close_pipes);
	tcase_add_test(tcase, test_deadline);
	tcase_add_test(tcase, test_ready);
	tcase_add_test(tcase, test_timeout);
	tcase_add_test(tcase, test_timeout_and_ready);
	tcase_add_test(tcase, test_cancel);
	tcase_add_test(tcase, test_closed_cancel_fd);
	tcase_add_test(tcase, test_monitor);
	tcase_add_test(tcase, test_signals);
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
