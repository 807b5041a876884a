/* Programs that end, replace, stop or blind the server that makes their calls. */
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/util.h"
#include "tests/integration/programs/programs.h"

#define STACK_SIZE 65536

static void call_exit(void)
{
	PROVIUM_CALL(program, SYS_exit_group, VALUE(3));
}

static void signal_itself(int number)
{
	int pid = provium_program_call(program, SYS_getpid, NULL, 0);

	PROVIUM_CALL(program, SYS_kill, provium_result_of(pid), VALUE(number));
}

/* It must not keep the connection open, whenever it is stopped. */
static void call_exit_beside_stopped_child(void)
{
	int child = provium_program_call(program, SYS_fork, NULL, 0);

	PROVIUM_CALL(program, SYS_kill, provium_result_of(child), VALUE(SIGSTOP));
	call_exit();
}

static void call_kill(void)
{
	signal_itself(SIGKILL);
}

static void call_stop(void)
{
	signal_itself(SIGSTOP);
}

static void call_execve(void)
{
	const uint64_t nothing[4] = { 0 };
	int argv = provium_program_input(program, nothing, sizeof(nothing));
	int path = provium_program_string(program, "/bin/busybox");
	int name = provium_program_string(program, "sleep");
	int time = provium_program_string(program, "987654");

	provium_program_pointer(program, argv, 0, name, 0);
	provium_program_pointer(program, argv, 8, time, 0);
	PROVIUM_CALL(program, SYS_execve, provium_address(path), provium_address(argv),
		     provium_address_at(argv, 24));
}

/* A filter that has one answer to everything. */
static void call_seccomp_filter(uint32_t answer)
{
	const struct sock_filter filter = BPF_STMT(BPF_RET | BPF_K, answer);
	const struct sock_fprog header = { .len = 1 };
	int filters = provium_program_input(program, &filter, sizeof(filter));
	int fprog = provium_program_input(program, &header, sizeof(header));

	provium_program_pointer(program, fprog, offsetof(struct sock_fprog, filter), filters, 0);
	PROVIUM_CALL(program, SYS_prctl, VALUE(PR_SET_NO_NEW_PRIVS), VALUE(1), VALUE(0), VALUE(0),
		     VALUE(0));
	PROVIUM_CALL(program, SYS_seccomp, VALUE(SECCOMP_SET_MODE_FILTER), VALUE(0),
		     provium_address(fprog));
}

static void call_filter_kill(void)
{
	call_seccomp_filter(SECCOMP_RET_KILL_PROCESS);
}

static void call_filter_errno(void)
{
	call_seccomp_filter(SECCOMP_RET_ERRNO | 1);
}

/*
 * Strict mode also takes the TSC away (kernel/seccomp.c, disable_TSC): where that is the clock, the
 * agent ends by signal 11 when it looks at it, before it ends by 9 for its next system call.
 */
static void call_seccomp_strict(void)
{
	PROVIUM_CALL(program, SYS_seccomp, VALUE(SECCOMP_SET_MODE_STRICT), VALUE(0), VALUE(0));
}

/* As proc_pid_maps(5) has it: from-to, what is allowed, and more. */
static void call_munmap(void)
{
	unsigned long from = 0, to = 0;
	struct provium_buffer maps;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/maps", provium_connection_agent(connection)->pid);
	OK(provium_read_file_memory(connection, path, 1 << 20, TIMEOUT, &maps, &error));
	for (char *rest = maps.data, *line; (line = strtok_r(NULL, "\n", &rest)) && to == 0;)
		if (!strstr(line, " r-xp ") || !strstr(line, "agent") ||
		    sscanf(line, "%lx-%lx", &from, &to) != 2)
			to = 0;
	free(maps.data);
	ck_assert_uint_ne(to, 0);
	PROVIUM_CALL(program, SYS_munmap, VALUE(from), VALUE(to - from));
}

static void call_close_range(void)
{
	PROVIUM_CALL(program, SYS_close_range, VALUE(3), VALUE(~0u), VALUE(0));
}

/* One that does nothing for ever. */
static void call_thread(void)
{
	int stack = PROVIUM_CALL(program, SYS_mmap, VALUE(0), VALUE(STACK_SIZE),
				 VALUE(PROT_READ | PROT_WRITE), VALUE(MAP_PRIVATE | MAP_ANONYMOUS),
				 VALUE(-1), VALUE(0));

	PROVIUM_CALL(program, SYS_clone,
		     VALUE(CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD |
			   CLONE_SYSVSEM),
		     provium_result_plus(stack, STACK_SIZE));
}

static void call_exit_beside_thread(void)
{
	call_thread();
	PROVIUM_CALL(program, SYS_exit, VALUE(0));
}

static void call_strict_beside_thread(void)
{
	call_thread();
	call_seccomp_strict();
}

static void call_execve_beside_thread(void)
{
	call_thread();
	call_execve();
}

static void call_close_range_beside_thread(void)
{
	call_thread();
	call_close_range();
}

static const struct end {
	const char *name;
	void (*calls)(void);
	const char *reason;
	/* As the message tells it; NULL: the server returns from it and ends later. */
	const char *call;
} ends[] = {
	{ "exit_group", call_exit, "it exited with status 3", "ran call 0 (exit_group)" },
	{ "exit_group beside a stopped child", call_exit_beside_stopped_child,
	  "it exited with status 3", "ran call 2 (exit_group)" },
	{ "SIGKILL", call_kill, "it was killed by signal 9 ", "ran call 1 (kill)" },
	{ "execve", call_execve, "its file descriptors were closed under it",
	  "ran call 0 (execve)" },
	{ "seccomp filter: kill", call_filter_kill, "it was killed by signal 31 " },
	{ "seccomp filter: errno", call_filter_errno, "it was killed by signal " },
	{ "seccomp strict", call_seccomp_strict, "it was killed by signal " },
	{ "munmap of the text", call_munmap, "it was killed by signal 11 ", "ran call 0 (munmap)" },
	{ "close_range", call_close_range, "" },
	{ "SIGSTOP", call_stop, "it was stopped by signal 19 ", "ran call 1 (kill)" },
	{ "exit with a second thread", call_exit_beside_thread, "call 2 of request",
	  "ran call 2 (exit)" },
	{ "seccomp strict with a second thread", call_strict_beside_thread, "" },
	{ "execve with a second thread", call_execve_beside_thread,
	  "its file descriptors were closed under it", "ran call 2 (execve)" },
	{ "close_range with a second thread", call_close_range_beside_thread, "" },
};

/* What the new server can do: a command, a program whose first fd is 3. */
static void expect_service(void)
{
	int fd, closed;

	new_program();
	fd = call_open("/dev/null", O_RDWR);
	closed = call_close(fd);
	run_program();
	ck_assert_int_eq(result_of(fd), 3);
	ck_assert_int_eq(result_of(closed), 0);
	expect_output("echo fine", "fine\n");
}

/* Whoever reaps it may take a moment. */
static void expect_gone(int pid)
{
	char path[32];
	int tries = 0;

	snprintf(path, sizeof(path), "/proc/%d", pid);
	for (struct provium_file_status status;
	     provium_stat(connection, path, true, TIMEOUT, &status, &error) == 0; usleep(10000))
		ck_assert_msg(++tries < 300, "process %d is still there", pid);
	ck_assert_int_eq(error.code, PROVIUM_GUEST);
}

/* A job that ran is known to be lost: nobody lists it, and it runs no more. */
static void expect_lost(int job)
{
	struct provium_jobs jobs;

	OK(provium_job_list(connection, TIMEOUT, &jobs, &error));
	ck_assert_uint_eq(jobs.count, 0);
	provium_job_list_free(&jobs);
	expect_gone(job);
}

/* agent/supervisor.c: what it waits before it starts a server again, after so many deaths each of
 * which followed the last in less than 10 s. */
static unsigned int pause_ms(unsigned int deaths)
{
	return deaths == 0 ? 0 : deaths > 7 ? 1000 : 10u << (deaths - 1);
}

START_TEST(a_new_server)
{
	static const char *const argv[] = { "/holder", "/tmp/lock", NULL };
	const struct end *end = &ends[_i];
	int pid = provium_connection_agent(connection)->pid, job = start_job(argv);
	unsigned int restarts = provium_connection_agent(connection)->restarts;
	const struct provium_agent *agent;
	uint64_t start;

	end->calls();
	/* That the thread has ended alone is seen a second after its deadline. */
	provium_program_deadline(program, 1000);
	start = monotonic_ns();
	ck_assert_int_eq(provium_program_run(connection, program, TIMEOUT, &error), -1);
	ck_assert_msg(error.code == PROVIUM_DISCONNECTED &&
			      strstr(error.message, "connection lost while request") &&
			      strstr(error.message, "(system calls) ran") &&
			      strstr(error.message, end->reason),
		      "%s: %s", end->name, error.message);
	reconnect();
	start = monotonic_ns() - start;
	agent = provium_connection_agent(connection);
	ck_assert_msg(strstr(error.message, agent->restart_reason), "%s: %s", end->name,
		      error.message);
	/* Which call it was is known unless the server was there to return from it. */
	ck_assert_msg(end->call == NULL || strstr(error.message, end->call), "%s: %s", end->name,
		      error.message);
	printf("# %s: over, and a new server, after %llu ms, of which %u are the pause after %u "
	       "deaths: %s\n",
	       end->name, (unsigned long long)(start / 1000000), pause_ms(restarts), restarts,
	       agent->restart_reason);
	ck_assert_uint_lt(start, 5000000000u);
	ck_assert_uint_eq(agent->restarts, restarts + 1);
	ck_assert_msg(strstr(agent->restart_reason, end->reason), "%s: \"%s\"", end->name,
		      agent->restart_reason);
	ck_assert_int_ne(agent->pid, pid);
	expect_service();
	expect_lost(job);
	expect_gone(pid);
}
END_TEST

/* Lines of numbers that a command has written. */
struct numbers {
	char text[128];
	size_t size;
	unsigned int wanted;
};

static unsigned int read_numbers(struct numbers *numbers, const void *data, size_t size)
{
	unsigned int lines = 0;

	ck_assert_uint_lt(size, sizeof(numbers->text) - numbers->size);
	memcpy(numbers->text + numbers->size, data, size);
	numbers->size += size;
	for (const char *at = numbers->text; (at = strchr(at, '\n')); at++)
		lines++;
	return lines;
}

static int take_numbers(void *user, enum provium_stream stream, uint64_t offset, const void *data,
			size_t size)
{
	struct numbers *numbers = user;

	(void)stream;
	(void)offset;
	return read_numbers(numbers, data, size) < numbers->wanted ? 0 : -1;
}

static void take_command_numbers(void *user, enum provium_stream stream, const void *data,
				 size_t size)
{
	(void)stream;
	read_numbers(user, data, size);
}

static void expect_numbers_gone(struct numbers *numbers)
{
	unsigned int count = 0;

	for (char *rest = numbers->text, *line; (line = strtok_r(NULL, "\n", &rest)); count++)
		expect_gone(atoi(line));
	ck_assert_uint_eq(count, numbers->wanted);
}

/* Starts it as a job, and waits until it has told the numbers of its processes. */
static uint64_t start_family(const char *name, const char *shell, struct numbers *numbers)
{
	const struct provium_exec_options command = { .shell = shell };
	const struct provium_job_options options = { .name = name };
	const struct provium_job_output_options follow = { .follow = true };
	struct provium_job_ref ref = { 0 };

	OK(provium_job_start(connection, &command, &options, TIMEOUT, &ref.number, NULL, &error));
	ck_assert_int_eq(provium_job_output(connection, &ref, &follow, take_numbers, numbers,
					    TIMEOUT, NULL, &error),
			 -1);
	ck_assert_msg(error.code == PROVIUM_CANCELLED, "%s", error.message);
	return ref.number;
}

/*
 * With the server end the commands and jobs that it has started, with what these have started: also
 * where the leader is a shell that has waited for it, or has gone on to be another program.
 */
START_TEST(what_is_lost)
{
	struct numbers build = { .wanted = 4 }, other = { .wanted = 2 }, ran = { .wanted = 2 };
	const struct provium_exec_options command = {
		.shell = "sleep 1000 & echo $!; echo $$; wait",
		.on_output = take_command_numbers,
		.user = &ran,
	};
	struct provium_exec *exec;
	uint64_t number;
	char told[64];

	start_family("build",
		     "sh -c 'sleep 1000 & echo $!; echo $$; wait' & sleep 1000 & echo $!; echo $$; "
		     "exec sleep 1000",
		     &build);
	number = start_family(NULL, "sleep 1000 & echo $!; echo $$; wait", &other);
	OK(provium_exec_start(connection, &command, &exec, &error));
	while (read_numbers(&ran, "", 0) < ran.wanted)
		OK(provium_connection_dispatch(connection, TIMEOUT, &error));

	call_exit();
	ck_assert_int_eq(provium_program_run(connection, program, TIMEOUT, &error), -1);
	ck_assert_msg(error.code == PROVIUM_DISCONNECTED, "%s", error.message);
	snprintf(told, sizeof(told), "1 command, 2 jobs: build, %llu", (unsigned long long)number);
	ck_assert_msg(strstr(error.message, told), "no \"%s\": %s", told, error.message);
	provium_exec_free(exec);
	reconnect();
	ck_assert_msg(strstr(provium_connection_agent(connection)->restart_reason, told), "%s",
		      provium_connection_agent(connection)->restart_reason);
	expect_numbers_gone(&build);
	expect_numbers_gone(&other);
	expect_numbers_gone(&ran);
}
END_TEST

void add_ends(TCase *tcase)
{
	tcase_add_test(tcase, what_is_lost);
	tcase_add_loop_test(tcase, a_new_server, 0, (int)ARRAY_SIZE(ends));
}
