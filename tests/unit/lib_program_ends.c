/* Calls that do not return, and calls that end the agent's server, which has a supervisor. */
#include "lib_programs.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "common/util.h"
#include "proto/limits.h"
#include "unit.h"

/* ------------------------------------------------------------------------------------------- */
/* Deadlines, which only an agent with a supervisor has */

#define DEADLINE_MS 100

/* Of a server. */
#define ENDS        10

enum blocker {
	READ_PIPE,
	FUTEX_WAITS,
	FUTEX_LOCKS_PI,
	PAUSES,
	FLOCKS,
	PPOLLS,
	WAITS,
	OPENS_FIFO,
	SLEEPS,
	BLOCKERS,
};

static int call_pipe(int fds)
{
	return PROVIUM_CALL(program, SYS_pipe2, provium_address(fds), VALUE(0));
}

/* The call that blocks, after what it needs. */
static int call_blocker(enum blocker blocker)
{
	struct timespec hour = { .tv_sec = 3600 };
	struct provium_buffer_options word = { .input = "\1\0\0\0", .input_size = 4 };
	int pair = provium_program_output(program, 8);
	int first, second;

	switch (blocker) {
	case READ_PIPE:
		call_pipe(pair);
		return PROVIUM_CALL(program, SYS_read, provium_load(pair, 0, 4),
				    provium_address(pair), VALUE(1));
	case FUTEX_WAITS:
		return PROVIUM_CALL(program, SYS_futex,
				    provium_address(provium_program_buffer(program, &word)),
				    VALUE(FUTEX_WAIT), VALUE(1));
	case FUTEX_LOCKS_PI:
		/* Held by the first process, which holds none really: it is not asked. */
		return PROVIUM_CALL(program, SYS_futex,
				    provium_address(provium_program_buffer(program, &word)),
				    VALUE(FUTEX_LOCK_PI));
	case PAUSES:
		return provium_program_call(program, SYS_pause, NULL, 0);
	case FLOCKS:
		first = call_open(path, O_RDWR | O_CREAT);
		second = call_open(path, O_RDWR);
		PROVIUM_CALL(program, SYS_flock, provium_result_of(first), VALUE(LOCK_EX));
		return PROVIUM_CALL(program, SYS_flock, provium_result_of(second), VALUE(LOCK_EX));
	case PPOLLS:
		return PROVIUM_CALL(program, SYS_ppoll, VALUE(0), VALUE(0), VALUE(0), VALUE(0));
	case WAITS:
		first = provium_program_call(program, SYS_fork, NULL, 0);
		return PROVIUM_CALL(program, SYS_wait4, provium_result_of(first), VALUE(0),
				    VALUE(0), VALUE(0));
	case OPENS_FIFO:
		PROVIUM_CALL(program, SYS_mknodat, VALUE(AT_FDCWD),
			     provium_address(provium_program_string(program, path)),
			     VALUE(S_IFIFO | 0600), VALUE(0));
		return call_open(path, O_RDONLY);
	default:
		first = provium_program_input(program, &hour, sizeof(hour));
		return PROVIUM_CALL(program, SYS_clock_nanosleep, VALUE(CLOCK_MONOTONIC), VALUE(0),
				    provium_address(first), VALUE(0));
	}
}

/*
 * That a call was not interrupted before its time. From here: its own duration is counted from when
 * its deadline has been set, and by CLOCK_MONOTONIC_RAW, which is not the deadline's clock.
 */
static void check_time(int blocked, uint64_t start)
{
	ck_assert_uint_ge(monotonic_ns() - start, DEADLINE_MS * UINT64_C(1000000));
	ck_assert_uint_gt(provium_program_duration_ns(program, blocked), 0);
}

START_TEST(test_deadline)
{
	const struct provium_interruption *where;
	int before, blocked, after;
	struct provium_info info;
	uint64_t start;

	before = provium_program_call(program, SYS_getpid, NULL, 0);
	blocked = call_blocker((enum blocker)_i);
	after = provium_program_call(program, SYS_getpid, NULL, 0);
	provium_program_deadline_of(program, blocked, DEADLINE_MS);
	start = monotonic_ns();
	program_run();
	ck_assert_int_eq(result_of(blocked), -EINTR);
	check_time(blocked, start);
	where = provium_program_interrupted(program, blocked);
	ck_assert_ptr_nonnull(where);
	ck_assert_ptr_nonnull(strstr(where->status, "State:\tS"));
	/* These need rights that a test may not have. */
	if (geteuid() == 0) {
		ck_assert_ptr_nonnull(strstr(where->syscall, "0x"));
		ck_assert_str_ne(where->stack, "");
	}
	ck_assert_int_eq(provium_program_check(program, &error), -1);
	check_error(PROVIUM_GUEST, ": EINTR, interrupted at its deadline");
	ck_assert_ptr_null(provium_program_interrupted(program, before));
	ck_assert_ptr_null(provium_program_interrupted(program, after));
	/* The program goes on, in the same server. */
	ck_assert_int_gt(result_of(after), 0);
	ck_assert_int_eq(result_of(after), result_of(before));
	check_ok(provium_info(connection, SOON, &info, &error));
	ck_assert_uint_eq(info.restarts, 0);
}
END_TEST

/* One after the other, of a few of which it is told where they were. */
START_TEST(test_many_deadlines)
{
	int pair, first = 2;

	pair = provium_program_output(program, 8);
	call_pipe(pair);
	provium_program_call(program, SYS_getpid, NULL, 0);
	for (int i = 0; i < 20; i++)
		PROVIUM_CALL(program, SYS_read, provium_load(pair, 0, 4), provium_address(pair),
			     VALUE(1));
	provium_program_deadline(program, 5);
	program_run();
	ck_assert_uint_eq(provium_program_made(program), 22);
	for (int i = 0; i < 20; i++) {
		const struct provium_interruption *where =
			provium_program_interrupted(program, first + i);

		ck_assert_int_eq(result_of(first + i), -EINTR);
		ck_assert_ptr_nonnull(where);
		ck_assert_int_eq(where->status[0] != '\0', i < 16);
	}
}
END_TEST

/* What is repeated has its time in all, and one that is long done is not interrupted. */
START_TEST(test_deadline_of_repetitions)
{
	int many, after;

	many = provium_program_call(program, SYS_sched_yield, NULL, 0);
	after = provium_program_call(program, SYS_getpid, NULL, 0);
	provium_program_repeat(program, many, 1000000);
	provium_program_deadline_of(program, many, 20);
	provium_program_deadline_of(program, after, 1);
	program_run();
	ck_assert_ptr_nonnull(provium_program_interrupted(program, many));
	ck_assert_ptr_null(provium_program_interrupted(program, after));
	ck_assert_int_gt(result_of(after), 0);
	usleep(100000);
	check_ok(provium_ping(connection, SOON, &error));
}
END_TEST

/* Requests of the connection before the one that ends the server. */
static unsigned int requests;

/*
 * Connects anew where the server was lost; the reason is the next READY's. call: NULL where it is
 * not sure whether it is told.
 */
static void expect_restart(const char *call, const char *reason)
{
	char address[200], wanted[64];

	ck_assert_int_eq(provium_program_run(connection, program, SOON, &error), -1);
	snprintf(wanted, sizeof(wanted),
		 "connection lost while request %u (system calls) ran%s: ", requests + 1,
		 call ? call : "");
	if (call)
		check_error(PROVIUM_DISCONNECTED, wanted);
	check_error(PROVIUM_DISCONNECTED, "the agent's server has ended and was started again: ");
	check_error(PROVIUM_DISCONNECTED, reason);
	/* It has learnt that while it waited; what follows knows it as well. */
	ck_assert_int_eq(provium_ping(connection, SOON, &error), -1);
	check_error(PROVIUM_DISCONNECTED, reason);
	provium_connection_free(connection);
	snprintf(address, sizeof(address), "agent-unix:%s/agent", directory);
	check_ok(provium_connect(address, SOON, &connection, &error));
	ck_assert_uint_eq(provium_connection_agent(connection)->restarts, 1);
	if (!strstr(provium_connection_agent(connection)->restart_reason, reason))
		ck_abort_msg("\"%s\" is not in \"%s\"", reason,
			     provium_connection_agent(connection)->restart_reason);
}

/* A test that has blocked all signals: the call ends with its server. */
START_TEST(test_deadline_with_signals_blocked)
{
	int mask, pair, blocked;

	mask = provium_program_input(program, "\xff\xff\xff\xff\xff\xff\xff\xff", 8);
	pair = provium_program_output(program, 8);
	PROVIUM_CALL(program, SYS_rt_sigprocmask, VALUE(SIG_SETMASK), provium_address(mask),
		     VALUE(0), VALUE(8));
	call_pipe(pair);
	blocked = PROVIUM_CALL(program, SYS_read, provium_load(pair, 0, 4), provium_address(pair),
			       VALUE(1));
	provium_program_deadline_of(program, blocked, DEADLINE_MS);
	expect_restart(" call 2 (read)", "call 2 of request 1 did not end at its deadline");
}
END_TEST

/*
 * Each ends the server in a way of its own; another is there at once. The second half: there is
 * another thread in it, for which the process would go on.
 */
START_TEST(test_server_is_lost)
{
	struct provium_worker_options thread = { .kind = PROVIUM_WORKER_THREAD };
	int name = provium_program_string(program, "/bin/true");
	int empty = provium_program_output(program, 8);
	struct provium_worker worker;
	bool second = _i >= ENDS;
	char of_request[64];

	requests = second;
	snprintf(of_request, sizeof(of_request), "in call 0 of request %u", requests + 1);
	if (second)
		check_ok(provium_worker_spawn(connection, &thread, SOON, &worker, &error));
	switch (_i % ENDS) {
	case 0:
		PROVIUM_CALL(program, SYS_exit_group, VALUE(3));
		expect_restart(" call 0 (exit_group)", "it exited with status 3");
		break;
	case 1:
		PROVIUM_CALL(program, SYS_kill,
			     provium_result_of(provium_program_call(program, SYS_getpid, NULL, 0)),
			     VALUE(SIGKILL));
		expect_restart(" call 1 (kill)", "it was killed by signal 9");
		break;
	case 2:
		PROVIUM_CALL(program, SYS_kill,
			     provium_result_of(provium_program_call(program, SYS_getpid, NULL, 0)),
			     VALUE(SIGSTOP));
		expect_restart(" call 1 (kill)", "it was stopped by signal 19");
		break;
	case 3:
		PROVIUM_CALL(program, SYS_execve, provium_address(name), VALUE(0), VALUE(0));
		expect_restart(" call 0 (execve)", of_request);
		break;
	case 4:
		PROVIUM_CALL(program, SYS_close_range, VALUE(3), VALUE(~0U), VALUE(0));
		expect_restart("", "");
		break;
	case 5:
		/* The agent's text (its segments are there), and what lies behind it. */
		PROVIUM_CALL(program, SYS_munmap, VALUE(0x70000000), VALUE(0x100000));
		expect_restart(" call 0 (munmap)", "it was killed by signal 11");
		break;
	case 6:
		PROVIUM_CALL(program, SYS_prctl, VALUE(22), VALUE(1));
		/*
		 * With another thread only this one is killed, as it sends the result; but where it
		 * reads the processor's clock before that, which is a fault now, that ends all.
		 */
		expect_restart(second ? NULL : " call 0 (prctl)",
			       second ? "it " : "it was killed by signal");
		break;
	case 7:
		/* Nor does a child keep the connection open that is stopped at once. */
		PROVIUM_CALL(program, SYS_kill,
			     provium_result_of(provium_program_call(program, SYS_fork, NULL, 0)),
			     VALUE(SIGSTOP));
		PROVIUM_CALL(program, SYS_exit_group, VALUE(3));
		expect_restart(" call 2 (exit_group)", "it exited with status 3");
		break;
	case 8:
		/* Nor one that shares its fds, and that the server has lost the right to kill. */
		PROVIUM_CALL(program, SYS_clone, VALUE(CLONE_FILES | SIGCHLD));
		PROVIUM_CALL(program, SYS_setuid, VALUE(65534));
		PROVIUM_CALL(program, SYS_exit_group, VALUE(3));
		expect_restart(" call 2 (exit_group)", "it exited with status 3");
		break;
	default:
		PROVIUM_CALL(program, SYS_arch_prctl, VALUE(0x1002), provium_address(empty));
		PROVIUM_CALL(program, SYS_exit, VALUE(0));
		expect_restart(" call 1 (exit)",
			       second ? "it exited with status 1" : "it exited with status 0");
		break;
	}
	check_ok(provium_ping(connection, SOON, &error));
}
END_TEST

/*
 * What the server's commands have started is over with it, also where the leader has left it, and
 * the host is told what was lost.
 */
START_TEST(test_lost_commands)
{
	struct provium_exec_options shell = {
		.shell = "sleep 1000 & echo $! >file; echo; exec sleep 1000",
		.cwd = directory,
	};
	struct provium_job_options named = { .name = "build" };
	struct provium_job_result ended;
	struct provium_job_ref build = { .name = "build" };
	struct provium_exec_options wait = { .shell = "until [ -s file ]; do :; done; cat file",
					     .cwd = directory };
	struct provium_exec_result result;
	struct provium_buffer out;
	struct provium_exec *command;
	uint64_t number;
	int pid;

	check_ok(provium_job_start(connection, &shell, &named, SOON, &number, &pid, &error));
	check_ok(provium_exec_run(connection, &wait, 0, SOON, &result, &out, NULL, &error));
	pid = atoi(out.data);
	free(out.data);
	ck_assert_int_eq(kill(pid, 0), 0);
	shell.shell = "sleep 1000";
	check_ok(provium_job_start(connection, &shell, NULL, SOON, &number, NULL, &error));
	check_ok(provium_exec_start(connection, &shell, &command, &error));
	PROVIUM_CALL(program, SYS_exit_group, VALUE(3));
	requests = 4;
	expect_restart(" call 0 (exit_group)", "; lost with it: 1 command, 2 jobs: build, 2");
	provium_exec_free(command);
	for (int i = 0; kill(pid, 0) == 0; i++) {
		ck_assert_int_lt(i, 2000);
		usleep(5000);
	}
	ck_assert_int_eq(provium_job_wait(connection, &build, NULL, SOON, &ended, &error), -1);
	ck_assert_int_eq(error.code, PROVIUM_NOT_FOUND);
}
END_TEST

/* ------------------------------------------------------------------------------------------- */
/* In the background */

START_TEST(test_background)
{
	static const char text[] = "text";
	int pair, reader, fds[2];
	struct provium_program *writer = provium_program_new();
	int64_t result;

	pair = provium_program_output(program, 8);
	call_pipe(pair);
	program_run();
	memcpy(fds, provium_program_data(program, pair), sizeof(fds));
	provium_program_free(program);
	program = provium_program_new();
	reader = provium_program_output(program, 4);
	reader = PROVIUM_CALL(program, SYS_read, VALUE(fds[0]), provium_address(reader), VALUE(4));
	provium_program_deadline(program, 0);
	check_ok(provium_program_start(connection, program, &error));
	ck_assert_int_eq(provium_program_start(connection, program, &error), -1);
	check_error(PROVIUM_BUSY, "running");
	/* It waits, and nobody with it. */
	ck_assert_int_eq(provium_program_wait(program, 100, &error), -1);
	ck_assert_int_eq(error.code, PROVIUM_TIMED_OUT);
	PROVIUM_CALL(writer, SYS_write, VALUE(fds[1]),
		     provium_address(provium_program_input(writer, text, 4)), VALUE(4));
	check_ok(provium_program_run(connection, writer, SOON, &error));
	check_ok(provium_program_wait(program, SOON, &error));
	ck_assert_int_eq(result_of(reader), 4);
	ck_assert_int_eq(memcmp(provium_program_data(program, 0), text, 4), 0);
	/* It had a thread of its own. */
	check_ok(provium_syscall(connection, SYS_getpid, NULL, 0, SOON, &result, &error));
	ck_assert_int_gt(result, 0);
	provium_program_free(writer);
}
END_TEST

START_TEST(test_background_thread)
{
	int pid = provium_program_call(program, SYS_getpid, NULL, 0);
	int tid = provium_program_call(program, SYS_gettid, NULL, 0);

	check_ok(provium_program_start(connection, program, &error));
	check_ok(provium_program_wait(program, SOON, &error));
	ck_assert_int_eq(result_of(pid), provium_connection_agent(connection)->pid);
	ck_assert_int_ne(result_of(tid), result_of(pid));
	/* And again, in the server's own. */
	program_run();
	ck_assert_int_eq(result_of(tid), result_of(pid));
}
END_TEST

START_TEST(test_background_cancelled)
{
	const struct provium_interruption *where;
	int blocked = call_blocker((enum blocker)_i);

	provium_program_call(program, SYS_pause, NULL, 0);
	provium_program_deadline(program, 0);
	check_ok(provium_program_start(connection, program, &error));
	ck_assert_int_eq(provium_program_wait(program, 50, &error), -1);
	check_ok(provium_program_cancel(program, &error));
	check_ok(provium_program_wait(program, SOON, &error));
	/* None follows. */
	ck_assert_uint_eq(provium_program_made(program), (unsigned int)blocked + 1);
	ck_assert_int_eq(result_of(blocked), -EINTR);
	where = provium_program_interrupted(program, blocked);
	ck_assert_ptr_nonnull(where);
	ck_assert_ptr_nonnull(strstr(where->status, "State:\tS"));
	ck_assert_int_eq(provium_program_cancel(program, &error), -1);
	ck_assert_int_eq(error.code, PROVIUM_NOT_FOUND);
	check_ok(provium_ping(connection, SOON, &error));
}
END_TEST

START_TEST(test_background_deadline)
{
	int paused = provium_program_call(program, SYS_pause, NULL, 0);
	uint64_t start = monotonic_ns();

	provium_program_deadline(program, DEADLINE_MS);
	check_ok(provium_program_start(connection, program, &error));
	check_ok(provium_program_wait(program, SOON, &error));
	ck_assert_int_eq(result_of(paused), -EINTR);
	check_time(paused, start);
	ck_assert_ptr_nonnull(provium_program_interrupted(program, paused));
}
END_TEST

/* With its connection, or with its handle, a program ends, and its thread; one keeps watch. */
START_TEST(test_background_abandoned)
{
	char line[64];
	struct provium_exec_options options = { .shell = line };
	struct provium_exec_result result;
	char address[200];

	snprintf(line, sizeof(line), "while [ $(ls /proc/%d/task | wc -l) -gt 2 ]; do :; done",
		 provium_connection_agent(connection)->pid);
	provium_program_call(program, SYS_pause, NULL, 0);
	provium_program_deadline(program, 0);
	check_ok(provium_program_start(connection, program, &error));
	provium_program_free(program);
	program = NULL;
	if (_i == 1) {
		provium_connection_free(connection);
		snprintf(address, sizeof(address), "agent-unix:%s/agent", directory);
		check_ok(provium_connect(address, SOON, &connection, &error));
	}
	check_ok(provium_exec_run(connection, &options, 0, SOON, &result, NULL, NULL, &error));
	ck_assert_int_eq(result.outcome, PROVIUM_EXITED);
}
END_TEST

START_TEST(test_many_in_the_background)
{
	static struct provium_program *all[65];

	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		all[i] = provium_program_new();
		provium_program_call(all[i], SYS_pause, NULL, 0);
		provium_program_deadline(all[i], 0);
		check_ok(provium_program_start(connection, all[i], &error));
	}
	ck_assert_int_eq(provium_program_wait(all[64], SOON, &error), -1);
	ck_assert_int_eq(error.code, PROVIUM_LIMIT);
	for (size_t i = 0; i < ARRAY_SIZE(all) - 1; i++) {
		check_ok(provium_program_cancel(all[i], &error));
		check_ok(provium_program_wait(all[i], SOON, &error));
		/* It may not have been in its call yet: then it has made none. */
		if (provium_program_made(all[i]) == 1)
			ck_assert_int_eq(provium_program_result(all[i], 0), -EINTR);
	}
	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		provium_program_free(all[i]);
}
END_TEST

/* ------------------------------------------------------------------------------------------- */
/* Traced */

START_TEST(test_trace)
{
	for (int i = 0; i < 10; i++)
		provium_program_call(program, SYS_getpid, NULL, 0);
	program_run();
	ck_assert_int_eq(provium_program_last_started(program), -1);
	provium_program_trace(program);
	program_run();
	ck_assert_int_eq(provium_program_last_started(program), 9);
	ck_assert_uint_eq(provium_program_made(program), 10);
	check_ok(provium_program_start(connection, program, &error));
	ck_assert_int_eq(provium_program_wait(program, SOON, &error), -1);
	check_error(PROVIUM_UNSUPPORTED, "background");
}
END_TEST

START_TEST(test_trace_of_an_end)
{
	provium_program_call(program, SYS_getpid, NULL, 0);
	PROVIUM_CALL(program, SYS_exit_group, VALUE(3));
	provium_program_trace(program);
	ck_assert_int_eq(provium_program_run(connection, program, SOON, &error), -1);
	check_error(PROVIUM_DISCONNECTED, "call 1 (exit_group)");
	ck_assert_int_eq(provium_program_last_started(program), 1);
}
END_TEST

static TCase *cases(void)
{
	TCase *tcase = unit_counted_case("ends");

	tcase_set_timeout(tcase, 60);
	tcase_add_checked_fixture(tcase, program_start, program_finish);
	tcase_add_loop_test(tcase, test_deadline, 0, BLOCKERS);
	tcase_add_test(tcase, test_many_deadlines);
	tcase_add_test(tcase, test_deadline_of_repetitions);
	tcase_add_test(tcase, test_deadline_with_signals_blocked);
	tcase_add_test(tcase, test_lost_commands);
	tcase_add_test(tcase, test_background);
	tcase_add_test(tcase, test_background_thread);
	tcase_add_loop_test(tcase, test_background_cancelled, 0, BLOCKERS);
	tcase_add_test(tcase, test_background_deadline);
	tcase_add_loop_test(tcase, test_background_abandoned, 0, 2);
	tcase_add_test(tcase, test_many_in_the_background);
	tcase_add_test(tcase, test_trace);
	tcase_add_test(tcase, test_trace_of_an_end);
	tcase_add_loop_test(tcase, test_server_is_lost, 0, 2 * ENDS);
	return tcase;
}

int main(int argc, char **argv)
{
	Suite *suite = suite_create("lib-program-ends");

	if (!real_arguments(argc, argv))
		return EXIT_FAILURE;
	suite_add_tcase(suite, cases());
	return unit_run(suite);
}
