/*
 * The supervisor with servers that do what servers should not. It runs in a process of its own, and
 * each server that it starts writes what it is told of, then acts by a script.
 */
#include "agent/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/util.h"
#include "unit.h"

/* What a server does. The last of a script is done by all further servers. */
enum act {
	STAY,
	EXIT,
	KILLED,
	TERMINATED,
	EXECUTE,
	CLOSE_ALL,
	STOPPED,
	MAKE_SIBLING,
};

struct report {
	pid_t pid;
	uint32_t restarts;
	uint64_t at_ns;
	char reason[128];
	pid_t sibling;
	bool masked;
};

/* Shared by all processes of a test. */
static struct shared {
	enum act script[32];
	unsigned int started;
	unsigned int length;
} * shared;

static int report_read = -1;
static int report_write = -1;
static pid_t supervisor;

/* A sibling of ours, which ends at once: the supervisor's child, though it has not made it. */
static pid_t make_sibling(void)
{
	pid_t pid = (pid_t)syscall(SYS_clone, CLONE_PARENT | SIGCHLD, NULL, NULL, NULL, 0);

	if (pid == 0)
		_exit(0);
	return pid;
}

static void act(enum act what, const struct server_config *config)
{
	struct pollfd stop = { .fd = config->stop_fd, .events = POLLIN };

	switch (what) {
	case STAY:
	case MAKE_SIBLING:
		poll(&stop, 1, -1);
		break;
	case EXIT:
		_exit(7);
	case KILLED:
		raise(SIGKILL);
		break;
	case TERMINATED:
		raise(SIGTERM);
		break;
	case EXECUTE:
		execl("/bin/sleep", "sleep", "1000", NULL);
		break;
	case CLOSE_ALL:
		syscall(SYS_close_range, 3, ~0U, 0);
		for (;;)
			pause();
	case STOPPED:
		raise(SIGSTOP);
		break;
	}
}

/* In the place of the agent's. */
int server_run(const struct server_config *config)
{
	unsigned int turn = __atomic_fetch_add(&shared->started, 1, __ATOMIC_SEQ_CST);
	enum act what = shared->script[MIN(turn, shared->length - 1)];
	struct report report = {
		.pid = getpid(),
		.restarts = config->restarts,
		.at_ns = monotonic_ns(),
	};
	sigset_t mask;

	sigprocmask(SIG_BLOCK, NULL, &mask);
	report.masked = sigismember(&mask, SIGCHLD) || sigismember(&mask, SIGTERM);
	if (config->restart_reason)
		snprintf(report.reason, sizeof(report.reason), "%s", config->restart_reason);
	if (what == MAKE_SIBLING)
		report.sibling = make_sibling();
	if (write(report_write, &report, sizeof(report)) != sizeof(report))
		_exit(99);
	act(what, config);
	return 0;
}

static void set_up(void)
{
	int ends[2];

	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	ck_assert_ptr_ne(shared, MAP_FAILED);
	ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
	report_read = ends[0];
	report_write = ends[1];
}

static void start(const enum act *script, unsigned int length, bool stoppable)
{
	memcpy(shared->script, script, length * sizeof(*script));
	shared->length = length;
	supervisor = fork();
	if (supervisor == 0) {
		struct server_config config = { .listen_fd = -1 };

		/* Check's handlers end all of the test. */
		signal(SIGTERM, SIG_DFL);
		signal(SIGINT, SIG_DFL);
		close(report_read);
		_exit(supervisor_run(&config, stoppable) == 0 ? 0 : 1);
	}
}

static struct report next_report(void)
{
	struct pollfd readable = { .fd = report_read, .events = POLLIN };
	struct report report;

	ck_assert_msg(poll(&readable, 1, 5000) == 1, "no server is started");
	ck_assert_int_eq(read(report_read, &report, sizeof(report)), sizeof(report));
	return report;
}

/* Whether there is such a process, a zombie included. */
static bool is_there(pid_t pid)
{
	return kill(pid, 0) == 0;
}

static void await_gone(pid_t pid)
{
	for (int i = 0; i < 500 && is_there(pid); i++)
		poll(NULL, 0, 10);
	ck_assert_msg(!is_there(pid), "process %d is still there", (int)pid);
}

/* Ends it by a signal; the supervisor must exit with 0 and leave nothing. */
static void stop(int signal, pid_t server)
{
	int status;

	ck_assert_int_eq(kill(supervisor, signal), 0);
	ck_assert_int_eq(waitpid(supervisor, &status, 0), supervisor);
	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %x", (unsigned)status);
	await_gone(server);
	close(report_read);
	close(report_write);
}

START_TEST(stops)
{
	static const int signals[] = { SIGTERM, SIGINT, SIGHUP };
	static const enum act script[] = { STAY };
	struct report report;

	start(script, ARRAY_SIZE(script), true);
	report = next_report();
	ck_assert_uint_eq(report.restarts, 0);
	ck_assert_str_eq(report.reason, "");
	ck_assert(!report.masked);
	stop(signals[_i], report.pid);
	ck_assert_uint_eq(shared->started, 1);
}
END_TEST

static const struct {
	enum act act;
	const char *reason;
	/* What passes at least until the next server. */
	uint64_t least_ms;
} deaths[] = {
	{ EXIT, "it exited with status 7", 0 },
	{ KILLED, "it was killed by signal 9 (Killed)", 0 },
	{ TERMINATED, "it was killed by signal 15 (Terminated)", 0 },
	/* These do not end: they are given a moment, then killed. */
	{ EXECUTE, "its file descriptors were closed under it (execve, close_range)", 150 },
	{ CLOSE_ALL, "its file descriptors were closed under it (execve, close_range)", 150 },
};

START_TEST(starts_again)
{
	const enum act script[] = { deaths[_i].act, STAY };
	struct report first, second;

	start(script, ARRAY_SIZE(script), true);
	first = next_report();
	second = next_report();
	ck_assert_int_ne(second.pid, first.pid);
	ck_assert_uint_eq(second.restarts, 1);
	ck_assert_str_eq(second.reason, deaths[_i].reason);
	ck_assert(!second.masked);
	ck_assert_uint_ge(second.at_ns - first.at_ns, deaths[_i].least_ms * 1000000);
	await_gone(first.pid);
	stop(SIGTERM, second.pid);
}
END_TEST

/* At once, then after 10 ms, 20 ms, ... */
START_TEST(delays_grow)
{
	static const enum act script[] = { EXIT, EXIT, EXIT, EXIT, EXIT, EXIT, STAY };
	struct report reports[7];

	start(script, ARRAY_SIZE(script), true);
	for (size_t i = 0; i < ARRAY_SIZE(reports); i++)
		reports[i] = next_report();
	ck_assert_uint_eq(reports[6].restarts, 6);
	for (size_t i = 2; i < ARRAY_SIZE(reports); i++) {
		uint64_t waited = reports[i].at_ns - reports[i - 1].at_ns;

		ck_assert_uint_ge(waited, (UINT64_C(10000000) << (i - 2)));
		ck_assert_uint_lt(waited, (UINT64_C(10000000) << (i - 2)) + 1000000000);
	}
	stop(SIGTERM, reports[6].pid);
}
END_TEST

/* While it waits for the time of the next start. */
START_TEST(stops_between)
{
	static const enum act script[] = { EXIT };
	struct report report;

	start(script, ARRAY_SIZE(script), true);
	for (int i = 0; i < 6; i++)
		report = next_report();
	stop(SIGTERM, report.pid);
}
END_TEST

START_TEST(stops_stopped_server)
{
	static const enum act script[] = { STOPPED };
	struct report report;

	start(script, ARRAY_SIZE(script), true);
	report = next_report();
	stop(SIGTERM, report.pid);
}
END_TEST

START_TEST(reaps_siblings)
{
	static const enum act script[] = { MAKE_SIBLING };
	struct report report;

	start(script, ARRAY_SIZE(script), true);
	report = next_report();
	ck_assert_int_gt(report.sibling, 0);
	await_gone(report.sibling);
	ck_assert(is_there(report.pid));
	stop(SIGTERM, report.pid);
	ck_assert_uint_eq(shared->started, 1);
}
END_TEST

/* In a guest nothing but SIGKILL ends it; of a server that is told to end a new one is made. */
START_TEST(stays)
{
	static const int signals[] = { SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGALRM, SIGPIPE };
	static const enum act script[] = { STAY };
	struct report first, second;

	start(script, ARRAY_SIZE(script), false);
	first = next_report();
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		kill(supervisor, signals[i]);
	kill(first.pid, SIGTERM);
	second = next_report();
	ck_assert_str_eq(second.reason, "it was killed by signal 15 (Terminated)");
	ck_assert(is_there(supervisor));
	kill(supervisor, SIGKILL);
	kill(second.pid, SIGKILL);
	waitpid(supervisor, NULL, 0);
	close(report_read);
	close(report_write);
}
END_TEST

/* Nothing wakes it: the kernel counts how often it has slept. */
START_TEST(idle)
{
	static const enum act script[] = { STAY };
	struct report report;
	unsigned long before = 0, after = 0;

	start(script, ARRAY_SIZE(script), true);
	report = next_report();
	poll(NULL, 0, 100);
	for (int pass = 0; pass < 2; pass++) {
		char path[64], line[256];
		unsigned long *count = pass == 0 ? &before : &after;
		FILE *status;

		snprintf(path, sizeof(path), "/proc/%d/status", (int)supervisor);
		status = fopen(path, "re");
		ck_assert_ptr_nonnull(status);
		while (fgets(line, sizeof(line), status))
			sscanf(line, "voluntary_ctxt_switches: %lu", count);
		fclose(status);
		if (pass == 0)
			poll(NULL, 0, 1000);
	}
	ck_assert_uint_gt(before, 0);
	ck_assert_uint_eq(before, after);
	stop(SIGTERM, report.pid);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("supervisor-run");
	TCase *tests = unit_counted_case("supervisor");

	tcase_add_checked_fixture(tests, set_up, NULL);
	tcase_set_timeout(tests, 30);
	tcase_add_loop_test(tests, stops, 0, 3);
	tcase_add_loop_test(tests, starts_again, 0, (int)ARRAY_SIZE(deaths));
	tcase_add_test(tests, delays_grow);
	tcase_add_test(tests, stops_between);
	tcase_add_test(tests, stops_stopped_server);
	tcase_add_test(tests, reaps_siblings);
	tcase_add_test(tests, stays);
	tcase_add_test(tests, idle);
	suite_add_tcase(suite, tests);
	return unit_run(suite);
}
