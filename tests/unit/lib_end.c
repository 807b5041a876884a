/* The end of a connection: with its VM, with a broken socket, with an agent that does not read. */
#include "host/lib/connection.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/util.h"
#include "lib_fake.h"
#include "lib_seam.h"
#include "unit.h"

static struct fake fake;
static struct provium_connection *connection;

static void disconnect(void)
{
	provium_connection_free(connection);
	fake_finish(&fake);
}

static void pong_script(struct fake *agent)
{
	fake_ready(agent);
	for (int i = 0; i < agent->number; i++) {
		fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_PING);
		fake_pong(agent, 0);
	}
	fake_expect_end(agent);
}

static void minimal_ready_script(struct fake *agent)
{
	fake_ready(agent);
	fake_expect_end(agent);
}

static void end_script(struct fake *agent)
{
	fake_ready(agent);
	fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_PING);
}

/* ------------------------------------------------------------------------------------------- */
/* Monitors */

static int monitor_pipe[2];

/* A byte that is not 'x' is news, but not the end. */
static int check(void *user, struct provium_error *why)
{
	char byte;

	(void)user;
	ck_assert_int_eq(read(monitor_pipe[0], &byte, 1), 1);
	return byte == 'x' ? error_set(why, PROVIUM_VM_GONE, 0, "QEMU has ended") : 0;
}

static void start_monitor(void)
{
	struct connection_monitor monitor = { .check = check };

	ck_assert_int_eq(pipe(monitor_pipe), 0);
	monitor.fd = monitor_pipe[0];
	connection_set_monitor(connection, &monitor);
}

static void stop_monitor(void)
{
	close(monitor_pipe[0]);
	close(monitor_pipe[1]);
}

START_TEST(test_monitor_quiet)
{
	fake.number = 3;
	connection = fake_connect(&fake, pong_script);
	start_monitor();
	for (int i = 0; i < 3; i++)
		check_ok(provium_ping(connection, 5000, &error));
	disconnect();
	stop_monitor();
}
END_TEST

START_TEST(test_monitor)
{
	uint64_t start = monotonic_ns();

	connection = fake_connect(&fake, minimal_ready_script);
	start_monitor();
	ck_assert_int_eq(write(monitor_pipe[1], "x", 1), 1);
	ck_assert_int_eq(provium_connection_dispatch(connection, PROVIUM_FOREVER, &error), -1);
	check_error(PROVIUM_VM_GONE, "QEMU has ended");
	ck_assert_uint_lt(monotonic_ns() - start, 1000000000);
	ck_assert_int_eq(provium_ping(connection, PROVIUM_FOREVER, &error), -1);
	check_error(PROVIUM_VM_GONE, "QEMU has ended");
	disconnect();
	stop_monitor();
}
END_TEST

/* A program that polls by itself has the monitor's fd, and learns of the end by dispatch. */
START_TEST(test_own_poll)
{
	struct pollfd fds[2];

	connection = fake_connect(&fake, minimal_ready_script);
	ck_assert_int_eq(provium_connection_vm_fd(connection), -1);
	start_monitor();
	fds[0] = (struct pollfd){ .fd = provium_connection_fd(connection), .events = POLLIN };
	fds[1] = (struct pollfd){ .fd = provium_connection_vm_fd(connection), .events = POLLIN };
	ck_assert_int_eq(poll(fds, 2, 0), 0);

	ck_assert_int_eq(write(monitor_pipe[1], "n", 1), 1);
	ck_assert_int_eq(poll(fds, 2, 0), 1);
	ck_assert_int_eq(fds[1].revents, POLLIN);
	check_ok(provium_connection_dispatch(connection, 0, &error));
	ck_assert_int_eq(poll(fds, 2, 0), 0);

	ck_assert_int_eq(write(monitor_pipe[1], "x", 1), 1);
	ck_assert_int_eq(poll(fds, 2, 0), 1);
	ck_assert_int_eq(fds[1].revents, POLLIN);
	ck_assert_int_eq(provium_connection_dispatch(connection, 0, &error), -1);
	check_error(PROVIUM_VM_GONE, "QEMU has ended");
	disconnect();
	stop_monitor();
}
END_TEST

/* What the guest had sent before its end still counts. */
static void last_words_script(struct fake *agent)
{
	static const uint8_t noise[KIB(200)];

	fake_ready(agent);
	fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_PING);
	fake_data(agent, 999, 0, noise, sizeof(noise));
	fake_pong(agent, 0);
	ck_assert_int_eq(write(monitor_pipe[1], "x", 1), 1);
	usleep(10000);
}

START_TEST(test_last_words)
{
	struct connection_monitor monitor = { .check = check };

	/* Before the fork: its other end tells of the end. */
	ck_assert_int_eq(pipe(monitor_pipe), 0);
	monitor.fd = monitor_pipe[0];
	connection = fake_connect(&fake, last_words_script);
	connection_set_monitor(connection, &monitor);
	check_ok(provium_ping(connection, 5000, &error));
	ck_assert_int_eq(provium_ping(connection, 5000, &error), -1);
	check_error(PROVIUM_VM_GONE, "QEMU has ended");
	disconnect();
	stop_monitor();
}
END_TEST

/* All of it is there when the end is noticed, and nothing more is waited for. */
static void silent_script(struct fake *agent)
{
	static const uint8_t noise[KIB(200)];

	fake_ready(agent);
	fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_PING);
	fake_data(agent, 999, 0, noise, sizeof(noise));
	fake_pong(agent, 0);
	ck_assert_int_eq(write(monitor_pipe[1], "x", 1), 1);
	fake_expect_end(agent);
}

/* Long ago: what it had sent has come. */
static uint64_t long_ago(void *user)
{
	(void)user;
	return 1;
}

START_TEST(test_silent)
{
	struct connection_monitor monitor = { .check = check, .silent_since = long_ago };

	ck_assert_int_eq(pipe(monitor_pipe), 0);
	monitor.fd = monitor_pipe[0];
	connection = fake_connect(&fake, silent_script);
	connection_set_monitor(connection, &monitor);
	check_ok(provium_ping(connection, 5000, &error));
	disconnect();
	stop_monitor();
}
END_TEST

/* The connection's end is seen first, QEMU's a moment later: the latter is the reason. */
START_TEST(test_monitor_after_end)
{
	pid_t pid;

	connection = fake_connect(&fake, end_script);
	start_monitor();
	pid = fork();
	if (pid == 0) {
		usleep(40000);
		_exit(write(monitor_pipe[1], "x", 1) != 1);
	}
	ck_assert_int_eq(provium_ping(connection, 5000, &error), -1);
	check_error(PROVIUM_VM_GONE, "QEMU has ended");
	disconnect();
	stop_monitor();
	fake.pid = pid;
	fake_finish(&fake);
}
END_TEST

START_TEST(test_end_without_monitor)
{
	connection = fake_connect(&fake, end_script);
	start_monitor();
	ck_assert_int_eq(provium_ping(connection, 5000, &error), -1);
	check_error(PROVIUM_DISCONNECTED, "closed the connection");
	disconnect();
	stop_monitor();
}
END_TEST

/* ------------------------------------------------------------------------------------------- */
/* Sockets that behave badly */

/* One byte at a time, every other call interrupted. */
START_TEST(test_disturbed)
{
	fake.number = 20;
	connection = fake_connect(&fake, pong_script);
	seam.most = 1;
	seam.interrupt = _i == 0;
	seam.again = _i == 1;
	for (int i = 0; i < 20; i++)
		check_ok(provium_ping(connection, 5000, &error));
	disconnect();
}
END_TEST

START_TEST(test_recv_fails)
{
	fake.number = 1;
	connection = fake_connect(&fake, pong_script);
	seam.recv_errno = ECONNRESET;
	ck_assert_int_eq(provium_ping(connection, 5000, &error), -1);
	check_error(PROVIUM_DISCONNECTED, "Connection reset by peer");
	disconnect();
}
END_TEST

/* The agent says why it closes; that sending fails from then on must not hide it. */
static void told_why_script(struct fake *agent)
{
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__Error refusal = PROVIUM__V1__ERROR__INIT;

	fake_ready(agent);
	refusal.code = PROVIUM__V1__ERROR_CODE__ERROR_LIMIT;
	refusal.text = (char *)"too much";
	message.body_case = PROVIUM__V1__MESSAGE__BODY_ERROR;
	message.error = &refusal;
	fake_send(agent, &message);
}

START_TEST(test_send_fails)
{
	connection = fake_connect(&fake, told_why_script);
	fake_finish(&fake);
	ck_assert_int_eq(provium_ping(connection, PROVIUM_FOREVER, &error), -1);
	check_error(PROVIUM_PROTOCOL, "too much");
	provium_connection_free(connection);
}
END_TEST

static void deaf_script(struct fake *agent)
{
	fake_ready(agent);
	shutdown(agent->fd, SHUT_RD);
	for (;;)
		fake_pong(agent, 999);
}

/* It sends without end and reads nothing: a call that may wait for ever must still end. */
START_TEST(test_deaf_flood)
{
	connection = fake_connect(&fake, deaf_script);
	while (provium_ping(connection, 50, &error) < 0 && error.code == PROVIUM_TIMED_OUT)
		continue;
	check_error(PROVIUM_DISCONNECTED, "the connection is broken: Broken pipe");
	disconnect();
}
END_TEST

static void unread_script(struct fake *agent)
{
	fake_ready(agent);
	pause();
}

/* An agent that reads nothing costs bounded memory, and calls keep their deadlines. */
START_TEST(test_agent_does_not_read)
{
	static char input[MIB(1)];
	const char *const argv[] = { "cat", NULL };
	const struct provium_exec_options options = {
		.argv = argv,
		.input = input,
		.input_size = sizeof(input),
	};
	struct provium_exec *execs[64] = { NULL };
	size_t count = 0;

	connection = fake_connect(&fake, unread_script);
	while (count < ARRAY_SIZE(execs) &&
	       provium_exec_start(connection, &options, &execs[count], &error) == 0)
		count++;
	check_error(PROVIUM_BUSY, "wait for the agent to read");
	ck_assert_uint_le(connection_queued(connection), CONNECTION_QUEUE_LIMIT + MIB(2));
	ck_assert_uint_ge(count, 32);
	ck_assert(provium_connection_wants_write(connection));
	ck_assert_int_eq(provium_ping(connection, 50, &error), -1);
	check_error(PROVIUM_TIMED_OUT, "ping");
	for (size_t i = 0; i < count; i++)
		provium_exec_free(execs[i]);
	provium_connection_free(connection);
	fake_kill(&fake);
}
END_TEST

static TCase *monitor_cases(void)
{
	TCase *tcase = unit_counted_case("monitor");

	tcase_add_test(tcase, test_monitor_quiet);
	tcase_add_test(tcase, test_monitor);
	tcase_add_test(tcase, test_own_poll);
	tcase_add_test(tcase, test_last_words);
	tcase_add_test(tcase, test_silent);
	tcase_add_test(tcase, test_monitor_after_end);
	tcase_add_test(tcase, test_end_without_monitor);
	return tcase;
}

static TCase *socket_cases(void)
{
	TCase *tcase = unit_counted_case("sockets");

	tcase_set_timeout(tcase, 30);
	tcase_add_loop_test(tcase, test_disturbed, 0, 2);
	tcase_add_test(tcase, test_recv_fails);
	tcase_add_test(tcase, test_send_fails);
	tcase_add_test(tcase, test_deaf_flood);
	tcase_add_test(tcase, test_agent_does_not_read);
	return tcase;
}

int main(void)
{
	Suite *suite = suite_create("lib-end");

	suite_add_tcase(suite, monitor_cases());
	suite_add_tcase(suite, socket_cases());
	return unit_run(suite);
}
