/* A connection that ends under requests: the agent is dialled again, and tells why. */
#include "host/lib/connection.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/util.h"
#include "lib_fake.h"
#include "proto/limits.h"
#include "unit.h"

static struct provium_connection *connection;
static struct provium_program *program;
static struct fake fake;
/* With unasked. */
static int listener;
static char directory[64];
static char socket_path[80];
static char address[128];

/* ------------------------------------------------------------------------------------------- */
/* An agent that is connected to more than once */

/* What a READY says; with answer that is sent instead. */
struct ready_of {
	const char *boot_id;
	unsigned int restarts;
	const char *reason;
	void (*answer)(struct fake *agent, const Provium__V1__Message *ready);
};

static void say(struct fake *agent, const struct ready_of *what)
{
	Provium__V1__Message message;
	Provium__V1__Ready ready;

	fake_ready_message(&message, &ready);
	ready.boot_id = (char *)(what->boot_id ? what->boot_id : "boot");
	ready.has_restarts = what->restarts > 0;
	ready.restarts = what->restarts;
	ready.restart_reason = (char *)what->reason;
	if (what->answer)
		what->answer(agent, &message);
	else
		fake_send(agent, &message);
}

static void take_connection(struct fake *agent)
{
	agent->fd = accept(listener, NULL, NULL);
	fake_check(agent, agent->fd >= 0);
	frame_reader_init(&agent->reader, PROVIUM_MAX_FRAME);
	decoder_init(&agent->decoder);
}

/* Where nobody is to connect again. */
static const struct ready_of unasked;

/* The first connection has taken so many requests when it ends; how the second one begins. */
static void serve(int requests, const struct ready_of *second)
{
	static const struct ready_of first;
	struct pollfd queue = { .fd = listener, .events = POLLIN };

	take_connection(&fake);
	say(&fake, &first);
	for (int i = 0; i < requests; i++)
		fake_check(&fake, fake_receive(&fake) != NULL);
	if (!second)
		close(listener);
	close(fake.fd);
	if (!second || second == &unasked)
		return;
	take_connection(&fake);
	say(&fake, second);
	fake_expect_end(&fake);
	/* Nobody asks twice. */
	fake_check(&fake, poll(&queue, 1, 0) == 0);
}

static void start_agent(int requests, const struct ready_of *second)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };

	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	snprintf(directory, sizeof(directory), "/tmp/lib-lost-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(directory));
	snprintf(socket_path, sizeof(socket_path), "%s/agent", directory);
	snprintf(at.sun_path, sizeof(at.sun_path), "%s", socket_path);
	ck_assert_int_eq(bind(listener, (struct sockaddr *)&at, sizeof(at)), 0);
	ck_assert_int_eq(listen(listener, 8), 0);
	fake.pid = fork();
	ck_assert_int_ge(fake.pid, 0);
	if (fake.pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		alarm(60);
		serve(requests, second);
		_exit(0);
	}
	if (second != &unasked)
		close(listener);
	snprintf(address, sizeof(address), "agent-unix:%s", socket_path);
	check_ok(provium_connect(address, 5000, &connection, &error));
}

static void end_agent(void)
{
	provium_connection_free(connection);
	fake_finish(&fake);
	ck_assert_int_eq(unlink(socket_path), 0);
	ck_assert_int_eq(rmdir(directory), 0);
}

/* ------------------------------------------------------------------------------------------- */
/* Tests */

START_TEST(test_reason)
{
	const struct ready_of second = { .restarts = 1, .reason = "it was \x1b[31m killed" };

	start_agent(1, &second);
	ck_assert_int_eq(provium_ping(connection, 5000, &error), -1);
	check_error(PROVIUM_DISCONNECTED, "connection lost while request 1 (ping) ran: the agent's "
					  "server has ended and was started again: it was ?[31m "
					  "killed");
	ck_assert_int_eq(provium_ping(connection, 5000, &error), -1);
	check_error(PROVIUM_DISCONNECTED, "ping: the agent's server has ended");
	end_agent();
}
END_TEST

/* Each of those in flight is told; the call only of its own request, which makes calls. */
START_TEST(test_every_request)
{
	static const char *const reasons[] = {
		"it exited, in call 1 of request 3", "it exited, in call 1 of request 2",
		"it exited, in call 2 of request 3", "a call of old, call 0 of request 3 was it",
		"in call 99999999999 of request 3",  "call call of request 3"
	};
	static const char *const places[] = { "ran call 1 (getpid):",           "ran:", "ran:",
					      "ran call 0 (system call 9999):", "ran:", "ran:" };
	const struct ready_of second = { .restarts = 7, .reason = reasons[_i] };
	static const char *const argv[] = { "true", NULL };
	const struct provium_exec_options options = { .argv = argv };
	struct provium_exec_result result;
	struct provium_exec *execs[2];

	start_agent(3, &second);
	for (size_t i = 0; i < ARRAY_SIZE(execs); i++)
		check_ok(provium_exec_start(connection, &options, &execs[i], &error));
	program = provium_program_new();
	provium_program_call(program, 9999, NULL, 0);
	provium_program_call(program, (uint32_t)provium_syscall_number("x86_64", "getpid"), NULL,
			     0);
	ck_assert_int_eq(provium_program_run(connection, program, 5000, &error), -1);
	check_error(PROVIUM_DISCONNECTED, "request 3 (system calls)");
	check_error(PROVIUM_DISCONNECTED, places[_i]);
	check_error(PROVIUM_DISCONNECTED, reasons[_i]);
	for (size_t i = 0; i < ARRAY_SIZE(execs); i++) {
		ck_assert_int_eq(provium_exec_wait(execs[i], 5000, &result, &error), -1);
		check_error(PROVIUM_DISCONNECTED, i ? "request 2 (" : "request 1 (");
		check_error(PROVIUM_DISCONNECTED, "ran: the agent's server");
		check_error(PROVIUM_DISCONNECTED, reasons[_i]);
		provium_exec_free(execs[i]);
	}
	provium_program_free(program);
	end_agent();
}
END_TEST

START_TEST(test_no_reason)
{
	const struct ready_of second = { .restarts = 1 };

	start_agent(1, &second);
	ck_assert_int_eq(provium_ping(connection, 5000, &error), -1);
	check_error(PROVIUM_DISCONNECTED, "was started again");
	end_agent();
}
END_TEST

START_TEST(test_other_boot)
{
	const struct ready_of second = { .boot_id = "another", .restarts = 1, .reason = "old" };

	start_agent(1, &second);
	ck_assert_int_eq(provium_ping(connection, 5000, &error), -1);
	check_error(PROVIUM_DISCONNECTED, "ran: the guest has booted anew since");
	end_agent();
}
END_TEST

static void same(struct fake *agent, const Provium__V1__Message *ready)
{
	fake_send(agent, ready);
}

static void say_nothing(struct fake *agent, const Provium__V1__Message *ready)
{
	(void)agent;
	(void)ready;
}

static void say_nonsense(struct fake *agent, const Provium__V1__Message *ready)
{
	(void)ready;
	fake_send_bytes(agent, "HTTP/1.1 400 Bad Request\r\n\r\n", 28);
}

/* Who answers otherwise does not change what is known, nor the time that the call takes. */
START_TEST(test_no_answer)
{
	static const struct ready_of seconds[] = { { .answer = same },
						   { .answer = say_nothing },
						   { .answer = say_nonsense } };
	uint64_t start;

	start_agent(1, &seconds[_i]);
	start = monotonic_ns();
	ck_assert_int_eq(provium_ping(connection, 400, &error), -1);
	check_error(PROVIUM_DISCONNECTED,
		    "connection lost while request 1 (ping) ran: the agent closed the connection");
	ck_assert_uint_lt(monotonic_ns() - start, UINT64_C(2000000000));
	end_agent();
}
END_TEST

/* Whoever waits without end is not kept waiting. */
START_TEST(test_silence_is_bounded)
{
	static const struct ready_of second = { .answer = say_nothing };

	start_agent(1, &second);
	ck_assert_int_eq(provium_ping(connection, PROVIUM_FOREVER, &error), -1);
	check_error(PROVIUM_DISCONNECTED, "the agent closed the connection");
	end_agent();
}
END_TEST

START_TEST(test_cancelled)
{
	static const struct ready_of second = { .answer = say_nothing };
	int ends[2];
	pid_t pid;

	start_agent(1, &second);
	ck_assert_int_eq(pipe(ends), 0);
	provium_connection_set_cancel_fd(connection, ends[0]);
	pid = fork();
	if (pid == 0) {
		usleep(50000);
		_exit(write(ends[1], "x", 1) != 1);
	}
	ck_assert_int_eq(provium_ping(connection, 60000, &error), -1);
	check_error(PROVIUM_DISCONNECTED, "the agent closed the connection");
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	close(ends[0]);
	close(ends[1]);
	end_agent();
}
END_TEST

START_TEST(test_nobody_there)
{
	start_agent(1, NULL);
	ck_assert_int_eq(provium_ping(connection, PROVIUM_FOREVER, &error), -1);
	check_error(PROVIUM_DISCONNECTED, "the agent closed the connection");
	end_agent();
}
END_TEST

/* ------------------------------------------------------------------------------------------- */
/* A VM that may be ending */

static int monitor_pipe[2];
static int cancel_pipe[2];

/* A byte that is not 'x' is news, but not the end. */
static int check(void *user, struct provium_error *why)
{
	char byte;

	(void)user;
	ck_assert_int_eq(read(monitor_pipe[0], &byte, 1), 1);
	return byte == 'x' ? error_set(why, PROVIUM_VM_GONE, 0, "QEMU has ended") : 0;
}

/* Its agent is dead after one request. What it tells comes 300 ms apart; 'c' cancels. */
static pid_t start_ending(int end_ms, const char *tells, uint32_t port)
{
	struct connection_monitor monitor = { .check = check, .end_ms = end_ms };
	pid_t pid;

	ck_assert_int_eq(pipe(monitor_pipe), 0);
	ck_assert_int_eq(pipe(cancel_pipe), 0);
	monitor.fd = monitor_pipe[0];
	start_agent(1, NULL);
	connection_set_monitor(connection, &monitor);
	provium_connection_set_cancel_fd(connection, cancel_pipe[0]);
	connection->address.port = port;
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid > 0)
		return pid;
	for (; *tells; tells++) {
		usleep(300000);
		if (write(*tells == 'c' ? cancel_pipe[1] : monitor_pipe[1], tells, 1) != 1)
			_exit(1);
	}
	_exit(0);
}

static void finish_ending(pid_t pid)
{
	int status;

	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	close(monitor_pipe[0]);
	close(monitor_pipe[1]);
	close(cancel_pipe[0]);
	close(cancel_pipe[1]);
	end_agent();
}

static const struct {
	int end_ms;
	const char *tells;
	uint32_t port;
	int timeout_ms;
	enum provium_code code;
	unsigned int at_least_ms;
} endings[] = {
	{ 60000, "nx", PROVIUM_PORT, PROVIUM_FOREVER, PROVIUM_VM_GONE, 500 },
	{ 400, "", PROVIUM_PORT, PROVIUM_FOREVER, PROVIUM_DISCONNECTED, 400 },
	{ 60000, "", PROVIUM_PORT, 500, PROVIUM_DISCONNECTED, 400 },
	{ 60000, "c", PROVIUM_PORT, PROVIUM_FOREVER, PROVIUM_DISCONNECTED, 200 },
	/* A worker's. */
	{ 60000, "", PROVIUM_PORT + 1, PROVIUM_FOREVER, PROVIUM_DISCONNECTED, 0 },
};

/* Whose agent is dead may be powering itself off: it is given time, but not without end. */
START_TEST(test_ending)
{
	bool gone = endings[_i].code == PROVIUM_VM_GONE;
	uint64_t start = monotonic_ns();
	pid_t pid = start_ending(endings[_i].end_ms, endings[_i].tells, endings[_i].port);
	uint64_t ms;

	ck_assert_int_eq(provium_ping(connection, endings[_i].timeout_ms, &error), -1);
	ms = (monotonic_ns() - start) / 1000000;
	check_error(endings[_i].code, gone ? "QEMU has ended" : "the agent closed the connection");
	ck_assert_uint_ge(ms, endings[_i].at_least_ms);
	ck_assert_uint_lt(ms, 20000);
	finish_ending(pid);
}
END_TEST

/* Without a request there is nothing to explain, and who has no time does not ask. */
START_TEST(test_not_asked)
{
	static const char *const argv[] = { "true", NULL };
	const struct provium_exec_options options = { .argv = argv };
	struct pollfd ended = { .events = POLLIN }, queue = { .events = POLLIN };
	struct provium_exec *exec = NULL;
	int requests = _i;

	start_agent(requests, &unasked);
	if (requests)
		check_ok(provium_exec_start(connection, &options, &exec, &error));
	ended.fd = provium_connection_fd(connection);
	ck_assert_int_eq(poll(&ended, 1, 5000), 1);
	ck_assert_int_eq(provium_connection_dispatch(connection, requests ? 0 : 5000, &error), -1);
	check_error(PROVIUM_DISCONNECTED, "the agent closed the connection");
	if (exec)
		ck_assert(provium_exec_done(exec));
	provium_exec_free(exec);
	queue.fd = listener;
	ck_assert_int_eq(poll(&queue, 1, 0), 0);
	close(listener);
	end_agent();
}
END_TEST

static TCase *cases(void)
{
	TCase *tcase = unit_counted_case("lost");

	tcase_set_timeout(tcase, 30);
	tcase_add_test(tcase, test_reason);
	tcase_add_loop_test(tcase, test_every_request, 0, 6);
	tcase_add_test(tcase, test_no_reason);
	tcase_add_test(tcase, test_other_boot);
	tcase_add_loop_test(tcase, test_no_answer, 0, 3);
	tcase_add_test(tcase, test_silence_is_bounded);
	tcase_add_test(tcase, test_cancelled);
	tcase_add_test(tcase, test_nobody_there);
	tcase_add_loop_test(tcase, test_ending, 0, (int)ARRAY_SIZE(endings));
	tcase_add_loop_test(tcase, test_not_asked, 0, 2);
	return tcase;
}

int main(void)
{
	Suite *suite = suite_create("lib-lost");

	suite_add_tcase(suite, cases());
	return unit_run(suite);
}
