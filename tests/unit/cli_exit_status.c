/*
 * How a command line ends: the status, or the signal. What ends a process is tried in a child,
 * whose wait status and standard error are looked at.
 */
#include "host/cli/session/exit_status.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "host/cli/report.h"
#include "unit.h"

static char told[512];
static uint64_t time_limit_ms;

/* In a child: holds signals back, does what `act` does, and ends by command_end. */
static int end_of(int (*act)(struct interrupts *interrupts, struct provium_error *error,
			     bool *broken_pipe))
{
	int fds[2];
	ssize_t size;
	int status;
	pid_t pid;

	ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		struct interrupts interrupts;
		struct provium_error error = { .code = PROVIUM_OK };
		bool broken_pipe = false;
		int result;

		/* Check has handlers of its own; a program begins without any. */
		signal(SIGINT, SIG_DFL);
		signal(SIGTERM, SIG_DFL);
		dup2(fds[1], STDERR_FILENO);
		if (interrupts_init(&interrupts, time_limit_ms, &error) < 0)
			_exit(99);
		result = act(&interrupts, &error, &broken_pipe);
		result = command_end(result, &error, broken_pipe, &interrupts);
		_exit(result < 0 ? 98 : result);
	}
	close(fds[1]);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	size = read(fds[0], told, sizeof(told) - 1);
	ck_assert_int_ge(size, 0);
	told[size] = '\0';
	close(fds[0]);
	return status;
}

static void wait_for_interrupt(const struct interrupts *interrupts)
{
	struct pollfd fd = { .fd = interrupts->fd, .events = POLLIN };

	while (poll(&fd, 1, -1) < 0)
		;
}

START_TEST(of_results)
{
	struct provium_exec_result result = { .outcome = PROVIUM_EXITED, .exit_code = 7 };

	ck_assert_int_eq(exit_status(&result), 7);
	result = (struct provium_exec_result){ .outcome = PROVIUM_SIGNALLED, .signal = SIGSEGV };
	ck_assert_int_eq(exit_status(&result), 139);
	result = (struct provium_exec_result){ .outcome = PROVIUM_EXEC_TIMED_OUT,
					       .signal = SIGKILL };
	ck_assert_int_eq(exit_status(&result), 124);
	result = (struct provium_exec_result){ .outcome = PROVIUM_EXEC_CANCELLED,
					       .signal = SIGKILL };
	ck_assert_int_eq(exit_status(&result), 125);
}
END_TEST

static int succeed(struct interrupts *interrupts, struct provium_error *error, bool *broken_pipe)
{
	(void)interrupts;
	(void)error;
	(void)broken_pipe;
	return 42;
}

START_TEST(nothing_happened)
{
	int status = end_of(succeed);

	ck_assert(WIFEXITED(status));
	ck_assert_int_eq(WEXITSTATUS(status), 42);
	ck_assert_str_eq(told, "");
}
END_TEST

static int not_found(struct interrupts *interrupts, struct provium_error *error, bool *broken_pipe)
{
	(void)interrupts;
	(void)broken_pipe;
	cli_fail(error, PROVIUM_GUEST, "nonsense: not there");
	strcpy(error->operation, "execve");
	error->os_errno = ENOENT;
	return -1;
}

static int not_executable(struct interrupts *interrupts, struct provium_error *error,
			  bool *broken_pipe)
{
	not_found(interrupts, error, broken_pipe);
	error->os_errno = EACCES;
	return -1;
}

/* Only the program itself counts, and only the guest's. */
static int no_directory(struct interrupts *interrupts, struct provium_error *error,
			bool *broken_pipe)
{
	not_found(interrupts, error, broken_pipe);
	strcpy(error->operation, "chdir");
	return -1;
}

static int not_in_the_guest(struct interrupts *interrupts, struct provium_error *error,
			    bool *broken_pipe)
{
	not_found(interrupts, error, broken_pipe);
	error->code = PROVIUM_HOST;
	return -1;
}

START_TEST(programs_that_do_not_run)
{
	ck_assert_int_eq(WEXITSTATUS(end_of(not_found)), 127);
	ck_assert_str_eq(told, "provium: nonsense: not there\n");
	ck_assert_int_eq(WEXITSTATUS(end_of(not_executable)), 126);
	ck_assert_str_eq(told, "provium: nonsense: not there\n");
	/* Left to main(). */
	ck_assert_int_eq(WEXITSTATUS(end_of(no_directory)), 98);
	ck_assert_str_eq(told, "");
	ck_assert_int_eq(WEXITSTATUS(end_of(not_in_the_guest)), 98);
}
END_TEST

static int time_out(struct interrupts *interrupts, struct provium_error *error, bool *broken_pipe)
{
	(void)broken_pipe;
	wait_for_interrupt(interrupts);
	return cli_fail(error, PROVIUM_CANCELLED, "cancelled");
}

START_TEST(time_limit)
{
	int status;

	time_limit_ms = 20;
	status = end_of(time_out);

	ck_assert(WIFEXITED(status));
	ck_assert_int_eq(WEXITSTATUS(status), 124);
	ck_assert_str_eq(told, "provium: timed out after 0.02 s\n");
}
END_TEST

static int signal_to_send;

static int interrupt(struct interrupts *interrupts, struct provium_error *error, bool *broken_pipe)
{
	(void)broken_pipe;
	kill(getpid(), signal_to_send);
	wait_for_interrupt(interrupts);
	return cli_fail(error, PROVIUM_CANCELLED, "cancelled");
}

START_TEST(signals)
{
	static const int ending[] = { SIGINT, SIGTERM, SIGHUP };
	int status;

	signal_to_send = ending[_i];
	/* Who started the tests may have it ignored, as nohup(1) does. */
	signal(signal_to_send, SIG_DFL);
	status = end_of(interrupt);
	ck_assert(WIFSIGNALED(status));
	ck_assert_int_eq(WTERMSIG(status), signal_to_send);
	ck_assert_str_eq(told, "");
}
END_TEST

/* A command that ended by itself is not undone by a signal that came after, but we end by it. */
static int end_then_interrupt(struct interrupts *interrupts, struct provium_error *error,
			      bool *broken_pipe)
{
	(void)error;
	(void)broken_pipe;
	(void)interrupts;
	kill(getpid(), SIGTERM);
	return 0;
}

START_TEST(signal_after_the_end)
{
	int status = end_of(end_then_interrupt);

	ck_assert(WIFSIGNALED(status));
	ck_assert_int_eq(WTERMSIG(status), SIGTERM);
}
END_TEST

/* The descriptor is quiet after the first has been taken, and not after a second. */
static int interrupt_twice(struct interrupts *interrupts, struct provium_error *error,
			   bool *broken_pipe)
{
	struct pollfd fd = { .fd = interrupts->fd, .events = POLLIN };

	kill(getpid(), SIGINT);
	if (poll(&fd, 1, 0) != 1 || !interrupts_take(interrupts))
		return 90;
	if (poll(&fd, 1, 0) != 0 || interrupts_take(interrupts))
		return 91;
	kill(getpid(), SIGTERM);
	if (poll(&fd, 1, 0) != 1)
		return 92;
	(void)broken_pipe;
	return cli_fail(error, PROVIUM_CANCELLED, "cancelled");
}

START_TEST(second_signal)
{
	int status = end_of(interrupt_twice);

	ck_assert(WIFSIGNALED(status));
	ck_assert_int_eq(WTERMSIG(status), SIGINT);
}
END_TEST

/* As under nohup(1). */
START_TEST(ignored_signal)
{
	int status;

	signal(SIGHUP, SIG_IGN);
	signal_to_send = SIGHUP;
	/* So the time limit is what comes. */
	time_limit_ms = 20;
	status = end_of(interrupt);
	signal(SIGHUP, SIG_DFL);
	ck_assert(WIFEXITED(status));
	ck_assert_int_eq(WEXITSTATUS(status), 124);
}
END_TEST

static int write_to_nobody(struct interrupts *interrupts, struct provium_error *error,
			   bool *broken_pipe)
{
	int fds[2];

	(void)interrupts;
	if (pipe(fds) < 0)
		return 90;
	close(fds[0]);
	if (write(fds[1], "x", 1) != -1 || errno != EPIPE)
		return 91;
	close(fds[1]);
	*broken_pipe = true;
	return cli_fail(error, PROVIUM_HOST, "broken pipe");
}

/* A write of the library's to a socket that has ended is its error, not our end. */
static int write_and_go_on(struct interrupts *interrupts, struct provium_error *error,
			   bool *broken_pipe)
{
	write_to_nobody(interrupts, error, broken_pipe);
	*broken_pipe = false;
	return 5;
}

START_TEST(broken_pipe)
{
	int status;

	signal(SIGPIPE, SIG_DFL);
	status = end_of(write_to_nobody);
	ck_assert(WIFSIGNALED(status));
	ck_assert_int_eq(WTERMSIG(status), SIGPIPE);
	status = end_of(write_and_go_on);
	ck_assert(WIFEXITED(status));
	ck_assert_int_eq(WEXITSTATUS(status), 5);

	signal(SIGPIPE, SIG_IGN);
	status = end_of(write_to_nobody);
	signal(SIGPIPE, SIG_DFL);
	ck_assert(WIFEXITED(status));
	ck_assert_int_eq(WEXITSTATUS(status), 98);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("cli exit status");
	TCase *tcase = unit_counted_case("exit status");

	tcase_add_test(tcase, of_results);
	tcase_add_test(tcase, nothing_happened);
	tcase_add_test(tcase, programs_that_do_not_run);
	tcase_add_test(tcase, time_limit);
	tcase_add_loop_test(tcase, signals, 0, 3);
	tcase_add_test(tcase, signal_after_the_end);
	tcase_add_test(tcase, second_signal);
	tcase_add_test(tcase, ignored_signal);
	tcase_add_test(tcase, broken_pipe);
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
