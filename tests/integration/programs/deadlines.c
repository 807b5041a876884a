/* System calls that would block for ever, each with 100 ms of time. */
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "common/util.h"
#include "tests/integration/programs/programs.h"

#define DEADLINE_MS 100

/* Each returns the call that blocks, after what it needs. What that leaves is cleared away by the
 * calls that the second function adds. */

static int fds;

static void call_pipe(void)
{
	fds = provium_program_output(program, 8);
	PROVIUM_CALL(program, SYS_pipe2, provium_address(fds), VALUE(0));
}

static int call_read(void)
{
	int byte = provium_program_output(program, 1);

	call_pipe();
	return PROVIUM_CALL(program, SYS_read, provium_load(fds, 0, 4), provium_address(byte),
			    VALUE(1));
}

static void close_pipe(void)
{
	call_close_at(fds, 0);
	call_close_at(fds, 4);
}

static int call_futex_wait(void)
{
	static const uint32_t one = 1;

	return PROVIUM_CALL(program, SYS_futex,
			    provium_address(provium_program_input(program, &one, sizeof(one))),
			    VALUE(FUTEX_WAIT), VALUE(1));
}

static int mapped;

/* The lock is another process's, which really holds it: after a signal the kernel makes the call
 * again. */
static int call_lock_pi(void)
{
	static const char *const argv[] = { "/holder", "/tmp/lock", NULL };
	int fd;

	start_job(argv);
	fd = call_open("/tmp/lock", O_RDWR);
	mapped = PROVIUM_CALL(program, SYS_mmap, VALUE(0), VALUE(4096),
			      VALUE(PROT_READ | PROT_WRITE), VALUE(MAP_SHARED),
			      provium_result_of(fd), VALUE(0));
	call_close(fd);
	return PROVIUM_CALL(program, SYS_futex, provium_result_of(mapped), VALUE(FUTEX_LOCK_PI));
}

static void unmap_lock(void)
{
	PROVIUM_CALL(program, SYS_munmap, provium_result_of(mapped), VALUE(4096));
}

/* The holder has it still, and the kernel knows that another has waited. */
static void release_lock(void)
{
	struct provium_job_result ended;
	struct provium_job_ref ref = { 0 };
	struct provium_buffer content;
	struct provium_jobs jobs;
	uint32_t word;

	OK(provium_read_file_memory(connection, "/tmp/lock", 4096, TIMEOUT, &content, &error));
	memcpy(&word, content.data, sizeof(word));
	free(content.data);
	OK(provium_job_list(connection, TIMEOUT, &jobs, &error));
	ck_assert_uint_eq(jobs.count, 1);
	ck_assert_int_eq((int)(word & FUTEX_TID_MASK), jobs.entries[0].pid);
	ck_assert_uint_ne(word & FUTEX_WAITERS, 0);
	ref.number = jobs.entries[0].number;
	provium_job_list_free(&jobs);
	OK(provium_job_kill(connection, &ref, NULL, TIMEOUT, &ended, &error));
	ck_assert_int_eq(ended.result.signal, SIGKILL);
}

static int call_pause(void)
{
	return provium_program_call(program, SYS_pause, NULL, 0);
}

static int first, second;

static int call_flock(void)
{
	first = call_open("/tmp/file", O_RDWR | O_CREAT);
	second = call_open("/tmp/file", O_RDWR);
	PROVIUM_CALL(program, SYS_flock, provium_result_of(first), VALUE(LOCK_EX));
	return PROVIUM_CALL(program, SYS_flock, provium_result_of(second), VALUE(LOCK_EX));
}

static void close_files(void)
{
	call_close(first);
	call_close(second);
	PROVIUM_CALL(program, SYS_unlink,
		     provium_address(provium_program_string(program, "/tmp/file")));
}

static int call_ppoll(void)
{
	return PROVIUM_CALL(program, SYS_ppoll, VALUE(0), VALUE(0), VALUE(0), VALUE(0));
}

static int call_wait(void)
{
	first = provium_program_call(program, SYS_fork, NULL, 0);
	return PROVIUM_CALL(program, SYS_wait4, provium_result_of(first), VALUE(0), VALUE(0),
			    VALUE(0));
}

/* The child that is waited for can be killed and is then reaped. */
static void kill_child(void)
{
	PROVIUM_CALL(program, SYS_kill, provium_result_of(first), VALUE(SIGKILL));
	PROVIUM_CALL(program, SYS_wait4, provium_result_of(first), VALUE(0), VALUE(0), VALUE(0));
}

static int call_open_fifo(void)
{
	int name = provium_program_string(program, "/tmp/fifo");

	PROVIUM_CALL(program, SYS_mknodat, VALUE(AT_FDCWD), provium_address(name),
		     VALUE(S_IFIFO | 0600), VALUE(0));
	return PROVIUM_CALL(program, SYS_openat, VALUE(AT_FDCWD), provium_address(name),
			    VALUE(O_RDONLY));
}

static void remove_fifo(void)
{
	PROVIUM_CALL(program, SYS_unlink,
		     provium_address(provium_program_string(program, "/tmp/fifo")));
}

static void clear_nothing(void)
{
}

static const struct blocker {
	const char *name;
	int (*call)(void);
	void (*clear)(void);
	/* Where the kernel is then: the number that it tells, and a function that is on the stack.
	 */
	int number;
	const char *function;
} blockers[] = {
	{ "read", call_read, close_pipe, SYS_read, "pipe_read" },
	{ "FUTEX_WAIT", call_futex_wait, clear_nothing, SYS_futex, "futex_wait" },
	{ "FUTEX_LOCK_PI", call_lock_pi, unmap_lock, SYS_futex, "futex_lock_pi" },
	{ "pause", call_pause, clear_nothing, SYS_pause, "sys_pause" },
	{ "flock", call_flock, close_files, SYS_flock, "sys_flock" },
	{ "ppoll", call_ppoll, clear_nothing, SYS_ppoll, "do_sys_poll" },
	{ "wait4", call_wait, kill_child, SYS_wait4, "do_wait" },
	{ "opening a FIFO", call_open_fifo, remove_fifo, SYS_openat, "fifo_open" },
};

/* As proc_pid_syscall(5) has it: the number, and in hexadecimal the arguments. */
static void expect_place(const struct blocker *blocker, const struct provium_interruption *where)
{
	char *rest;

	ck_assert_ptr_nonnull(where);
	ck_assert_msg(strtol(where->syscall, &rest, 10) == blocker->number &&
			      strncmp(rest, " 0x", 3) == 0,
		      "%s: syscall \"%s\"", blocker->name, where->syscall);
	ck_assert_msg(where->wchan[0] && strcmp(where->wchan, "0") != 0, "%s: wchan \"%s\"",
		      blocker->name, where->wchan);
	ck_assert_msg(strstr(where->stack, blocker->function) && strstr(where->stack, "syscall"),
		      "%s: no %s in stack \"%s\"", blocker->name, blocker->function, where->stack);
	ck_assert_msg(strstr(where->status, "State:\tS"), "%s: status \"%s\"", blocker->name,
		      where->status);
}

/* The program goes on, and so does the server. */
START_TEST(interrupted)
{
	const struct blocker *blocker = &blockers[_i];
	int pid = provium_connection_agent(connection)->pid, before, blocked, after;
	unsigned int restarts = provium_connection_agent(connection)->restarts;

	before = provium_program_call(program, SYS_getpid, NULL, 0);
	blocked = blocker->call();
	after = provium_program_call(program, SYS_getpid, NULL, 0);
	blocker->clear();
	provium_program_deadline_of(program, blocked, DEADLINE_MS);
	run_program();
	ck_assert_msg(result_of(blocked) == -EINTR, "%s: %lld", blocker->name,
		      (long long)result_of(blocked));
	/* It had its time, but for what setting the deadline took of it. */
	ck_assert_uint_ge(provium_program_duration_ns(program, blocked),
			  DEADLINE_MS * UINT64_C(1000000) / 2);
	ck_assert_int_eq(result_of(before), pid);
	ck_assert_int_eq(result_of(after), pid);
	ck_assert_ptr_null(provium_program_interrupted(program, before));
	ck_assert_ptr_null(provium_program_interrupted(program, after));
	expect_place(blocker, provium_program_interrupted(program, blocked));
	ck_assert_uint_eq(get_info().restarts, restarts);
	reconnect();
	ck_assert_int_eq(provium_connection_agent(connection)->pid, pid);
	ck_assert_uint_eq(provium_connection_agent(connection)->restarts, restarts);
	if (blocker->call == call_lock_pi)
		release_lock();
}
END_TEST

/* Who has blocked all signals does not hear of the deadline: the server ends, and says where. */
START_TEST(not_interruptible)
{
	const struct blocker *blocker = &blockers[_i];
	unsigned int restarts = provium_connection_agent(connection)->restarts;
	const struct provium_agent *agent;
	int mask = provium_program_input(program, "\xff\xff\xff\xff\xff\xff\xff\xff", 8), blocked;
	unsigned int request;
	struct provium_error told;
	char wanted[96];

	PROVIUM_CALL(program, SYS_rt_sigprocmask, VALUE(SIG_SETMASK), provium_address(mask),
		     VALUE(0), VALUE(8));
	blocked = blocker->call();
	provium_program_deadline_of(program, blocked, DEADLINE_MS);
	ck_assert_int_eq(provium_program_run(connection, program, TIMEOUT, &error), -1);
	ck_assert_int_eq(error.code, PROVIUM_DISCONNECTED);
	ck_assert_int_eq(sscanf(error.message, "connection lost while request %u", &request), 1);
	told = error;
	reconnect();
	agent = provium_connection_agent(connection);
	ck_assert_uint_eq(agent->restarts, restarts + 1);
	snprintf(wanted, sizeof(wanted), "call %d of request %u did not end at its deadline",
		 blocked, request);
	ck_assert_msg(strstr(agent->restart_reason, wanted), "%s: \"%s\"", blocker->name,
		      agent->restart_reason);
	snprintf(wanted, sizeof(wanted), "syscall %d 0x", blocker->number);
	ck_assert_msg(strstr(agent->restart_reason, wanted), "%s: \"%s\"", blocker->name,
		      agent->restart_reason);
	ck_assert_msg(strstr(told.message, agent->restart_reason), "%s: %s", blocker->name,
		      told.message);
	snprintf(wanted, sizeof(wanted), "ran call %d (", blocked);
	ck_assert_msg(strstr(told.message, wanted), "%s: %s", blocker->name, told.message);
	expect_output("echo fine", "fine\n");
}
END_TEST

void add_deadlines(TCase *tcase)
{
	tcase_add_loop_test(tcase, interrupted, 0, (int)ARRAY_SIZE(blockers));
	tcase_add_loop_test(tcase, not_interruptible, 0, 4);
}
