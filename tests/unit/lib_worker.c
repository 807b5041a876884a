/* Workers, of an agent with a supervisor (lib_real.h) or in a guest (tests/integration/workers). */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/util.h"
#include "tests/unit/lib_real.h"
#include "tests/unit/unit.h"

#define ARGS(...)                            \
	((const uint64_t[]){ __VA_ARGS__ }), \
		sizeof((const uint64_t[]){ __VA_ARGS__ }) / sizeof(uint64_t)

static const enum provium_worker_kind kinds[] = { PROVIUM_WORKER_FORK, PROVIUM_WORKER_THREAD };

static struct provium_worker worker;
static struct provium_connection *to_worker;

static void spawn(enum provium_worker_kind kind)
{
	struct provium_worker_options options = { .kind = kind };

	check_ok(provium_worker_spawn(connection, &options, SOON, &worker, &error));
	check_ok(provium_worker_connect(connection, &worker, SOON, &to_worker, &error));
}

static int64_t call(struct provium_connection *from, uint32_t number, const uint64_t *args,
		    size_t n_args)
{
	int64_t result;

	check_ok(provium_syscall(from, number, args, n_args, SOON, &result, &error));
	return result;
}

static void count_worker(void *user, const struct provium_worker *listed, const char *stuck)
{
	unsigned int *count = user;

	(void)stuck;
	ck_assert_uint_gt(listed->number, 0);
	++*count;
}

static unsigned int workers(void)
{
	unsigned int count = 0;

	check_ok(provium_worker_list(connection, count_worker, &count, SOON, &error));
	return count;
}

/* The end of a worker that has this number, and as many others before it as there are. */
static struct provium_worker_end await_end(uint64_t number)
{
	struct provium_worker_end end;

	do {
		check_ok(provium_worker_next_end(connection, SOON, &end, &error));
	} while (end.number != number);
	return end;
}

/* What a shell says that the agent at this connection starts. */
static void expect_output(struct provium_connection *from, const char *line, const char *expected)
{
	struct provium_exec_options options = { .shell = line };
	struct provium_exec_result result;
	struct provium_buffer out = { 0 };

	check_ok(provium_exec_run(from, &options, 0, SOON, &result, &out, NULL, &error));
	ck_assert_str_eq(out.data, expected);
	free(out.data);
}

/* The end of a connection is noticed by the worker, and its end by the agent. */
static struct provium_worker_end leave_worker(void)
{
	struct provium_worker_end end;

	provium_connection_free(to_worker);
	to_worker = NULL;
	end = await_end(worker.number);
	ck_assert_uint_eq(workers(), 0);
	return end;
}

START_TEST(test_life)
{
	struct provium_worker_end end;
	struct provium_info info;

	spawn(kinds[_i]);
	ck_assert_int_eq(worker.kind, kinds[_i]);
	ck_assert_int_eq(call(to_worker, SYS_getpid, NULL, 0), worker.pid);
	ck_assert_int_eq(call(to_worker, SYS_gettid, NULL, 0), worker.tid);
	ck_assert_int_eq(worker.pid == provium_connection_agent(connection)->pid,
			 kinds[_i] == PROVIUM_WORKER_THREAD);
	ck_assert_int_ne(call(connection, SYS_gettid, NULL, 0), worker.tid);
	check_ok(provium_info(connection, SOON, &info, &error));
	ck_assert_uint_eq(info.workers, 1);
	ck_assert_uint_eq(workers(), 1);
	ck_assert_int_eq(provium_worker_next_end(connection, 0, &end, &error), -1);
	ck_assert_int_eq(error.code, PROVIUM_TIMED_OUT);
	end = leave_worker();
	ck_assert_int_eq(end.exit_code, 0);
	ck_assert_int_eq(end.signal, 0);
	ck_assert_str_eq(end.reason, "");
	check_ok(provium_info(connection, SOON, &info, &error));
	ck_assert_uint_eq(info.workers, 0);
	ck_assert_uint_eq(info.restarts, provium_connection_agent(connection)->restarts);
}
END_TEST

/* The agent itself is not the OOM killer's; what runs a test's calls is, as a command is. */
START_TEST(test_oom_score)
{
	char line[64];

	spawn(PROVIUM_WORKER_FORK);
	snprintf(line, sizeof(line), "cmp /proc/%d/oom_score_adj /proc/self/oom_score_adj",
		 worker.pid);
	expect_output(connection, line, "");
	leave_worker();
}
END_TEST

/* The requests of a connection, but for those of the main agent. */
START_TEST(test_serves)
{
	struct provium_file_status status;
	struct provium_worker another;
	char expected[32];

	spawn(kinds[_i]);
	snprintf(expected, sizeof(expected), "%d\n", worker.pid);
	expect_output(to_worker, "echo $PPID", expected);
	check_ok(provium_write_file_memory(to_worker, path, NULL, "text", 4, SOON, &error));
	check_ok(provium_stat(connection, path, true, SOON, &status, &error));
	ck_assert_uint_eq(status.size, 4);
	ck_assert_int_eq(provium_worker_spawn(to_worker, NULL, SOON, &another, &error), -1);
	ck_assert_int_eq(error.code, PROVIUM_UNSUPPORTED);
	ck_assert_int_eq(provium_shutdown(to_worker, PROVIUM_POWER_OFF, false, SOON, &error), -1);
	ck_assert_int_eq(error.code, PROVIUM_UNSUPPORTED);
	leave_worker();
}
END_TEST

/* Its address leads there, for whoever has no connection to the agent. */
START_TEST(test_address)
{
	struct provium_worker_options options = { .kind = kinds[_i] };
	char address[PROVIUM_ADDRESS_SIZE];
	char cut[PROVIUM_ADDRESS_SIZE];

	check_ok(provium_worker_spawn(connection, &options, SOON, &worker, &error));
	check_ok(provium_worker_address(connection, &worker, address, sizeof(address), &error));
	ck_assert_int_eq(provium_worker_address(connection, &worker, cut, strlen(address), &error),
			 -1);
	ck_assert_int_eq(error.code, PROVIUM_INVALID);
	ck_assert_str_eq(cut, "");
	check_ok(provium_connect(address, SOON, &to_worker, &error));
	ck_assert_int_eq(call(to_worker, SYS_gettid, NULL, 0), worker.tid);
	leave_worker();
}
END_TEST

/* It takes one connection: whoever comes second is refused. */
START_TEST(test_one_connection)
{
	struct provium_connection *second;

	spawn(kinds[_i]);
	ck_assert_int_eq(provium_worker_connect(connection, &worker, SOON, &second, &error), -1);
	ck_assert_ptr_null(second);
	check_ok(provium_ping(to_worker, SOON, &error));
	leave_worker();
}
END_TEST

static bool is_open(struct provium_connection *from, int64_t fd)
{
	return call(from, SYS_fcntl, ARGS((uint64_t)fd, F_GETFD)) >= 0;
}

START_TEST(test_fds)
{
	int64_t before = call(connection, SYS_socket, ARGS(1, 1, 0)), after;

	ck_assert_int_ge(before, 3);
	spawn(kinds[_i]);
	after = call(connection, SYS_socket, ARGS(1, 1, 0));
	ck_assert(is_open(to_worker, before));
	ck_assert_int_eq(is_open(to_worker, after), kinds[_i] == PROVIUM_WORKER_THREAD);
	/*
	 * None of the server's connections, whose end nobody would notice: there are the worker's
	 * own and the test's socket.
	 */
	if (kinds[_i] == PROVIUM_WORKER_FORK)
		expect_output(to_worker, "ls -l /proc/$PPID/fd | grep -c socket", "2\n");
	leave_worker();
}
END_TEST

START_TEST(test_memory)
{
	int64_t address = call(connection, SYS_mmap, ARGS(0, 4096, 3, 0x22, (uint64_t)-1, 0));
	char byte;

	ck_assert_int_gt(address, 0);
	spawn(kinds[_i]);
	ck_assert_int_eq(call(connection, SYS_mprotect, ARGS((uint64_t)address, 4096, 0)), 0);
	ck_assert_int_eq(provium_read_memory(to_worker, (uint64_t)address, &byte, 1, SOON, &error),
			 kinds[_i] == PROVIUM_WORKER_THREAD ? -1 : 0);
	leave_worker();
}
END_TEST

static void expect_user(struct provium_connection *from, uint64_t uid)
{
	char expected[32];

	ck_assert_int_eq(call(from, SYS_geteuid, NULL, 0), (int64_t)uid);
	snprintf(expected, sizeof(expected), "%d\n", (int)uid);
	expect_output(from, "id -u", expected);
}

START_TEST(test_credentials)
{
	struct provium_worker_options options = {
		.kind = kinds[_i], .has_uid = true, .uid = 12345, .has_gid = true, .gid = 54321
	};
	struct provium_file_status status;
	struct provium_error refused;

	if (!real_is_root())
		return;
	real_open_directory();
	check_ok(provium_worker_spawn(connection, &options, SOON, &worker, &error));
	check_ok(provium_worker_connect(connection, &worker, SOON, &to_worker, &error));
	expect_user(to_worker, 12345);
	expect_user(connection, 0);
	/* Files are its own, too. */
	check_ok(provium_write_file_memory(to_worker, path, NULL, "", 0, SOON, &error));
	check_ok(provium_stat(connection, path, true, SOON, &status, &error));
	ck_assert_uint_eq(status.uid, 12345);
	ck_assert_uint_eq(status.gid, 54321);
	ck_assert_int_eq(
		provium_write_file_memory(to_worker, "/etc/passwd", NULL, "", 0, SOON, &refused),
		-1);
	ck_assert_int_eq(refused.os_errno, EACCES);
	leave_worker();
}
END_TEST

/* A raw call changes the calling thread's credentials, and nobody else's. */
START_TEST(test_raw_credentials)
{
	if (!real_is_root())
		return;
	real_open_directory();
	spawn(kinds[_i]);
	ck_assert_int_eq(call(to_worker, SYS_setresuid, ARGS(12345, 12345, 12345)), 0);
	expect_user(to_worker, 12345);
	expect_user(connection, 0);
	leave_worker();
}
END_TEST

START_TEST(test_refused_credentials)
{
	struct provium_worker_options options = { .kind = kinds[_i], .has_uid = true, .uid = 1 };

	/* The agent is as we are: it must be somebody else first. */
	real_open_directory();
	if (call(connection, SYS_geteuid, NULL, 0) == 0)
		ck_assert_int_eq(call(connection, SYS_setresuid, ARGS(12345, 12345, 12345)), 0);
	ck_assert_int_eq(provium_worker_spawn(connection, &options, SOON, &worker, &error), -1);
	ck_assert_int_eq(error.code, PROVIUM_GUEST);
	ck_assert_int_eq(error.os_errno, EPERM);
	ck_assert_uint_eq(workers(), 0);
}
END_TEST

START_TEST(test_kill_idle)
{
	spawn(kinds[_i]);
	check_ok(provium_worker_kill(connection, worker.number, SOON, &error));
	ck_assert_int_eq(provium_ping(to_worker, SOON, &error), -1);
	ck_assert_int_eq(error.code, PROVIUM_DISCONNECTED);
	ck_assert_int_eq(provium_worker_kill(connection, worker.number, SOON, &error), -1);
	ck_assert_int_eq(error.code, PROVIUM_NOT_FOUND);
	leave_worker();
	check_ok(provium_ping(connection, SOON, &error));
}
END_TEST

/* In a call that has no deadline. */
START_TEST(test_kill_in_a_call)
{
	struct provium_program *program = provium_program_new();
	int64_t result;

	spawn(kinds[_i]);
	provium_program_call(program, SYS_pause, NULL, 0);
	provium_program_call(program, SYS_pause, NULL, 0);
	provium_program_deadline(program, 0);
	ck_assert_int_eq(provium_program_run(to_worker, program, 100, &error), -1);
	ck_assert_int_eq(error.code, PROVIUM_TIMED_OUT);
	check_ok(provium_worker_kill(connection, worker.number, SOON, &error));
	ck_assert_int_eq(provium_syscall(to_worker, SYS_getpid, NULL, 0, SOON, &result, &error),
			 -1);
	provium_program_free(program);
	leave_worker();
}
END_TEST

/* What ends a fork worker ends nobody else. */
START_TEST(test_crash)
{
	struct provium_worker_end end;
	int64_t result;

	spawn(PROVIUM_WORKER_FORK);
	ck_assert_int_eq(provium_syscall(to_worker, _i == 0 ? SYS_exit_group : SYS_kill,
					 ARGS(_i == 0 ? 3 : (uint64_t)worker.pid, SIGKILL), SOON,
					 &result, &error),
			 -1);
	ck_assert_int_eq(error.code, PROVIUM_DISCONNECTED);
	end = leave_worker();
	ck_assert_int_eq(end.exit_code, _i == 0 ? 3 : 0);
	ck_assert_int_eq(end.signal, _i == 0 ? 0 : SIGKILL);
	check_ok(provium_ping(connection, SOON, &error));
}
END_TEST

/*
 * A process group that is orphaned while one of it is stopped gets SIGHUP from the kernel
 * (setpgid(2)): the worker's is nobody else's.
 */
START_TEST(test_orphaned_group)
{
	struct provium_program *program = provium_program_new();
	struct provium_worker_end end;

	spawn(PROVIUM_WORKER_FORK);
	PROVIUM_CALL(program, SYS_kill,
		     provium_result_of(provium_program_call(program, SYS_fork, NULL, 0)),
		     provium_value(SIGSTOP));
	PROVIUM_CALL(program, SYS_poll, provium_value(0), provium_value(0), provium_value(100));
	/* Else it would be killed with its parent. */
	PROVIUM_CALL(program, SYS_setuid, provium_value(65534));
	PROVIUM_CALL(program, SYS_setpgid, provium_value(0), provium_value(0));
	PROVIUM_CALL(program, SYS_exit_group, provium_value(3));
	ck_assert_int_eq(provium_program_run(to_worker, program, SOON, &error), -1);
	ck_assert_int_eq(error.code, PROVIUM_DISCONNECTED);
	provium_program_free(program);
	end = leave_worker();
	ck_assert_int_eq(end.exit_code, 3);
	check_ok(provium_ping(connection, SOON, &error));
}
END_TEST

/* A fork worker lives on when the server dies, a thread worker does not. */
START_TEST(test_death_of_the_server)
{
	unsigned int left = kinds[_i] == PROVIUM_WORKER_FORK;
	unsigned int restarts;
	uint64_t number;
	int64_t result;

	spawn(kinds[_i]);
	number = worker.number;
	ck_assert_int_eq(
		provium_syscall(connection, SYS_exit_group, ARGS(3), SOON, &result, &error), -1);
	restarts = provium_connection_agent(connection)->restarts;
	/* The connection has asked what became of the server, and was told of its threads. */
	if (!left)
		ck_assert_ptr_nonnull(strstr(await_end(number).reason, "the server"));
	real_connect_again();
	ck_assert_uint_eq(provium_connection_agent(connection)->restarts, restarts + 1);
	ck_assert_uint_eq(workers(), left);
	ck_assert_int_eq(provium_ping(to_worker, SOON, &error), left ? 0 : -1);
	/* The new server can end it, too, and learns how it has ended. */
	if (left)
		check_ok(provium_worker_kill(connection, worker.number, SOON, &error));
	if (left)
		ck_assert_int_eq(await_end(number).signal, SIGKILL);
	provium_connection_free(to_worker);
	spawn(kinds[_i]);
	ck_assert_uint_eq(worker.number, number + 1);
	leave_worker();
}
END_TEST

START_TEST(test_deadline)
{
	struct provium_program *program = provium_program_new();
	const struct provium_interruption *where;
	int paused = provium_program_call(program, SYS_pause, NULL, 0);

	spawn(kinds[_i]);
	provium_program_deadline(program, 50);
	check_ok(provium_program_run(to_worker, program, SOON, &error));
	ck_assert_int_eq(provium_program_result(program, paused), -EINTR);
	where = provium_program_interrupted(program, paused);
	ck_assert_ptr_nonnull(where);
	ck_assert_ptr_nonnull(strstr(where->status, "State:\tS"));
	provium_program_free(program);
	leave_worker();
}
END_TEST

/* All deadlines share a timer. */
START_TEST(test_deadlines_side_by_side)
{
	struct provium_connection *others[16];
	struct provium_worker_end end;

	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		spawn(kinds[i % 2]);
		others[i] = to_worker;
	}
	for (int round = 0; round < 3; round++)
		for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
			struct provium_program *program = provium_program_new();
			int paused = provium_program_call(program, SYS_pause, NULL, 0);

			provium_program_deadline(program, (uint32_t)(1 + (i * 7) % 20));
			check_ok(provium_program_run(others[i], program, SOON, &error));
			ck_assert_int_eq(provium_program_result(program, paused), -EINTR);
			provium_program_free(program);
		}
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		provium_connection_free(others[i]);
	to_worker = NULL;
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		check_ok(provium_worker_next_end(connection, SOON, &end, &error));
	ck_assert_uint_eq(workers(), 0);
}
END_TEST

/* A call that cannot be interrupted: the worker ends, or is told of; the server is well. */
START_TEST(test_stuck)
{
	static const uint64_t all = ~UINT64_C(0);
	struct provium_program *program = provium_program_new();
	int mask = provium_program_input(program, &all, sizeof(all));
	struct provium_worker_end end;
	struct provium_info info;

	PROVIUM_CALL(program, SYS_rt_sigprocmask, provium_value(SIG_SETMASK), provium_address(mask),
		     provium_value(0), provium_value(8));
	provium_program_call(program, SYS_pause, NULL, 0);
	provium_program_deadline(program, 20);
	spawn(PROVIUM_WORKER_FORK);
	ck_assert_int_eq(provium_program_run(to_worker, program, SOON, &error), -1);
	ck_assert_int_eq(error.code, PROVIUM_DISCONNECTED);
	check_ok(provium_info(connection, SOON, &info, &error));
	ck_assert_uint_eq(info.restarts, provium_connection_agent(connection)->restarts);
	provium_program_free(program);
	end = leave_worker();
	ck_assert_int_eq(end.signal, SIGKILL);
	ck_assert_ptr_nonnull(strstr(end.reason, "call 1 of request 1 did not end"));
}
END_TEST

static void find_stuck(void *user, const struct provium_worker *listed, const char *stuck)
{
	char *text = user;

	(void)listed;
	snprintf(text, 256, "%s", stuck);
}

START_TEST(test_stuck_thread)
{
	static const uint64_t all = ~UINT64_C(0);
	struct provium_program *program = provium_program_new();
	int mask = provium_program_input(program, &all, sizeof(all));
	char stuck[256] = "";

	PROVIUM_CALL(program, SYS_rt_sigprocmask, provium_value(SIG_SETMASK), provium_address(mask),
		     provium_value(0), provium_value(8));
	provium_program_call(program, SYS_pause, NULL, 0);
	provium_program_deadline(program, 20);
	spawn(PROVIUM_WORKER_THREAD);
	ck_assert_int_eq(provium_program_run(to_worker, program, 1500, &error), -1);
	ck_assert_int_eq(error.code, PROVIUM_TIMED_OUT);
	check_ok(provium_worker_list(connection, find_stuck, stuck, SOON, &error));
	if (!strstr(stuck, "call 1 of request") || !strstr(stuck, "deadline"))
		ck_abort_msg("\"%s\"", stuck);
	provium_program_free(program);
	provium_connection_free(to_worker);
	to_worker = NULL;
}
END_TEST

/* The next call of the thread, whichever it is, is its last. */
static void call_filter(struct provium_program *program)
{
	const struct sock_filter filter = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_THREAD);
	const struct sock_fprog header = { .len = 1 };
	int filters = provium_program_input(program, &filter, sizeof(filter));
	int fprog = provium_program_input(program, &header, sizeof(header));

	provium_program_pointer(program, fprog, offsetof(struct sock_fprog, filter), filters, 0);
	PROVIUM_CALL(program, SYS_prctl, provium_value(PR_SET_NO_NEW_PRIVS), provium_value(1),
		     provium_value(0), provium_value(0), provium_value(0));
	PROVIUM_CALL(program, SYS_seccomp, provium_value(SECCOMP_SET_MODE_FILTER), provium_value(0),
		     provium_address(fprog));
}

/* What ends a thread alone: the worker is over, and its connection; the server is well. */
START_TEST(test_end_of_a_thread)
{
	struct provium_program *program = provium_program_new();

	spawn(PROVIUM_WORKER_THREAD);
	if (_i == 0)
		PROVIUM_CALL(program, SYS_exit, provium_value(0));
	else
		call_filter(program);
	ck_assert_int_eq(provium_program_run(to_worker, program, SOON, &error), -1);
	ck_assert_int_eq(error.code, PROVIUM_DISCONNECTED);
	provium_program_free(program);
	ck_assert_ptr_nonnull(strstr(await_end(worker.number).reason, "its thread has ended"));
	provium_connection_free(to_worker);
	check_ok(provium_ping(connection, SOON, &error));
	spawn(PROVIUM_WORKER_THREAD);
	leave_worker();
}
END_TEST

START_TEST(test_limit)
{
	static struct provium_worker all[256];
	struct provium_worker_options options = { .kind = kinds[_i] };

	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		check_ok(provium_worker_spawn(connection, &options, SOON, &all[i], &error));
	ck_assert_int_eq(provium_worker_spawn(connection, &options, SOON, &worker, &error), -1);
	ck_assert_int_eq(error.code, PROVIUM_LIMIT);
	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		check_ok(provium_worker_kill(connection, all[i].number, SOON, &error));
	ck_assert_uint_eq(workers(), 0);
	spawn(kinds[_i]);
	leave_worker();
}
END_TEST

/* One that is not there. */
START_TEST(test_no_worker)
{
	worker = (struct provium_worker){ .number = 77, .port = 77 };
	ck_assert_int_eq(provium_worker_connect(connection, &worker, SOON, &to_worker, &error), -1);
	ck_assert_ptr_nonnull(strstr(error.message, "worker 77"));
	ck_assert_ptr_null(to_worker);
}
END_TEST

int main(int argc, char **argv)
{
	Suite *suite = suite_create("workers");
	TCase *tcase = real_case("workers");
	const int each = ARRAY_SIZE(kinds);

	if (!real_arguments(argc, argv))
		return EXIT_FAILURE;
	tcase_set_timeout(tcase, 20);
	tcase_add_loop_test(tcase, test_life, 0, each);
	tcase_add_loop_test(tcase, test_serves, 0, each);
	tcase_add_loop_test(tcase, test_address, 0, each);
	tcase_add_loop_test(tcase, test_one_connection, 0, each);
	tcase_add_loop_test(tcase, test_fds, 0, each);
	tcase_add_loop_test(tcase, test_memory, 0, each);
	tcase_add_loop_test(tcase, test_credentials, 0, each);
	tcase_add_loop_test(tcase, test_raw_credentials, 0, each);
	tcase_add_loop_test(tcase, test_refused_credentials, 0, each);
	tcase_add_loop_test(tcase, test_kill_idle, 0, each);
	tcase_add_loop_test(tcase, test_kill_in_a_call, 0, each);
	tcase_add_loop_test(tcase, test_crash, 0, 2);
	tcase_add_test(tcase, test_oom_score);
	tcase_add_test(tcase, test_orphaned_group);
	tcase_add_loop_test(tcase, test_death_of_the_server, 0, each);
	tcase_add_loop_test(tcase, test_deadline, 0, each);
	tcase_add_test(tcase, test_deadlines_side_by_side);
	tcase_add_test(tcase, test_stuck);
	tcase_add_test(tcase, test_stuck_thread);
	tcase_add_loop_test(tcase, test_end_of_a_thread, 0, 2);
	tcase_add_loop_test(tcase, test_limit, 0, each);
	tcase_add_test(tcase, test_no_worker);
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
