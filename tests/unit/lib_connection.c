/* Requests, against agents that keep to the protocol and agents that do not. */
#include "host/lib/connection.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/util.h"
#include "host/lib/file.h"
#include "lib_fake.h"
#include "proto/limits.h"
#include "unit.h"

static struct fake fake;
static struct provium_connection *connection;

static void disconnect(void)
{
	provium_connection_free(connection);
	fake_finish(&fake);
}

static void minimal_ready_script(struct fake *agent)
{
	fake_ready(agent);
	fake_expect_end(agent);
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

START_TEST(test_ping)
{
	fake.number = 1000;
	connection = fake_connect(&fake, pong_script);
	for (int i = 0; i < 1000; i++)
		check_ok(provium_ping(connection, 5000, &error));
	ck_assert_uint_eq(connection->strays, 0);
	disconnect();
}
END_TEST

/* The ids of 2^32 requests: none is 0. */
START_TEST(test_ids_wrap)
{
	fake.number = 4;
	connection = fake_connect(&fake, pong_script);
	connection->last_id = UINT32_MAX - 2;
	for (int i = 0; i < 4; i++)
		check_ok(provium_ping(connection, 5000, &error));
	ck_assert_uint_eq(connection->last_id, 2);
	disconnect();
}
END_TEST

static void late_script(struct fake *agent)
{
	uint32_t late;

	fake_ready(agent);
	fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_PING);
	late = agent->id;
	fake_check(agent,
		   fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_CANCEL)->cancel->request == late);
	/* Now the late reply, the CANCEL's own, and a wrong one. */
	fake_ok(agent, 0, -1);
	fake_pong(agent, late);
	fake_pong(agent, late);
	fake_pong(agent, 4000000000u);
	fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_PING);
	fake_pong(agent, 0);
	fake_expect_end(agent);
}

START_TEST(test_late_reply)
{
	uint64_t start = monotonic_ns();

	connection = fake_connect(&fake, late_script);
	ck_assert_int_eq(provium_ping(connection, 80, &error), -1);
	check_error(PROVIUM_TIMED_OUT, "ping: timed out after 80 ms");
	ck_assert_uint_ge(monotonic_ns() - start, 80000000);
	check_ok(provium_ping(connection, 5000, &error));
	ck_assert_uint_eq(connection->strays, 4);
	disconnect();
}
END_TEST

static const struct {
	Provium__V1__ErrorCode wire;
	enum provium_code code;
} codes[] = {
	{ PROVIUM__V1__ERROR_CODE__ERROR_INVALID, PROVIUM_INVALID },
	{ PROVIUM__V1__ERROR_CODE__ERROR_UNKNOWN_MESSAGE, PROVIUM_UNSUPPORTED },
	{ PROVIUM__V1__ERROR_CODE__ERROR_OS, PROVIUM_GUEST },
	{ PROVIUM__V1__ERROR_CODE__ERROR_NOT_FOUND, PROVIUM_NOT_FOUND },
	{ PROVIUM__V1__ERROR_CODE__ERROR_LIMIT, PROVIUM_LIMIT },
	{ PROVIUM__V1__ERROR_CODE__ERROR_BUSY, PROVIUM_BUSY },
	{ PROVIUM__V1__ERROR_CODE__ERROR_CANCELLED, PROVIUM_CANCELLED },
	{ PROVIUM__V1__ERROR_CODE__ERROR_AUTH, PROVIUM_AUTH },
	{ PROVIUM__V1__ERROR_CODE__ERROR_UNSUPPORTED, PROVIUM_UNSUPPORTED },
	{ (Provium__V1__ErrorCode)1000, PROVIUM_PROTOCOL },
};

static void errors_script(struct fake *agent)
{
	fake_ready(agent);
	for (size_t i = 0; i < ARRAY_SIZE(codes); i++) {
		fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_PING);
		fake_error(agent, 0, codes[i].wire,
			   codes[i].wire == PROVIUM__V1__ERROR_CODE__ERROR_OS ? 12 : 0,
			   codes[i].wire == PROVIUM__V1__ERROR_CODE__ERROR_OS ? "ENOMEM" : NULL,
			   "think", "this is why\x1b");
	}
	fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_PING);
	fake_error(agent, 0, PROVIUM__V1__ERROR_CODE__ERROR_OS, 4242, NULL, NULL, "odd");
	fake_expect_end(agent);
}

START_TEST(test_error_replies)
{
	connection = fake_connect(&fake, errors_script);
	for (size_t i = 0; i < ARRAY_SIZE(codes); i++) {
		ck_assert_int_eq(provium_ping(connection, 5000, &error), -1);
		check_error(codes[i].code, "this is why?");
		if (codes[i].code == PROVIUM_GUEST) {
			ck_assert_int_eq(error.os_errno, 12);
			ck_assert_str_eq(error.operation, "think");
			ck_assert_str_eq(error.message, "this is why? (think: ENOMEM)");
		} else {
			ck_assert_int_eq(error.os_errno, 0);
			ck_assert_str_eq(error.message, "this is why?");
		}
	}
	ck_assert_int_eq(provium_ping(connection, 5000, &error), -1);
	ck_assert_int_eq(error.os_errno, 4242);
	ck_assert_str_eq(error.message, "odd (errno 4242)");
	disconnect();
}
END_TEST

static void info_script(struct fake *agent)
{
	Provium__V1__InfoResult result = PROVIUM__V1__INFO_RESULT__INIT;
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;

	fake_ready(agent);
	fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_INFO);
	result.uptime_ns = 1;
	result.memory_total = 2;
	result.memory_free = 3;
	result.resident_bytes = 4;
	result.open_fds = 5;
	result.connections = 6;
	result.frames_received = 7;
	result.frames_sent = 8;
	result.bytes_received = 9;
	result.bytes_sent = 10;
	result.commands_running = 11;
	result.commands_started = 12;
	result.jobs = 13;
	result.workers = 14;
	result.restarts = 15;
	result.queued_bytes = 16;
	result.has_own_root = result.own_root = true;
	message.has_id = true;
	message.id = agent->id;
	message.body_case = PROVIUM__V1__MESSAGE__BODY_INFO_RESULT;
	message.info_result = &result;
	fake_send(agent, &message);
	fake_expect_end(agent);
}

START_TEST(test_info)
{
	struct provium_info info;

	connection = fake_connect(&fake, info_script);
	check_ok(provium_info(connection, 5000, &info, &error));
	ck_assert_uint_eq(info.uptime_ns, 1);
	ck_assert_uint_eq(info.memory_total, 2);
	ck_assert_uint_eq(info.memory_free, 3);
	ck_assert_uint_eq(info.resident_bytes, 4);
	ck_assert_uint_eq(info.open_fds, 5);
	ck_assert_uint_eq(info.connections, 6);
	ck_assert_uint_eq(info.frames_received, 7);
	ck_assert_uint_eq(info.frames_sent, 8);
	ck_assert_uint_eq(info.bytes_received, 9);
	ck_assert_uint_eq(info.bytes_sent, 10);
	ck_assert_uint_eq(info.commands_running, 11);
	ck_assert_uint_eq(info.commands_started, 12);
	ck_assert_uint_eq(info.jobs, 13);
	ck_assert_uint_eq(info.workers, 14);
	ck_assert_uint_eq(info.restarts, 15);
	ck_assert_uint_eq(info.queued_bytes, 16);
	ck_assert(info.own_root);
	disconnect();
}
END_TEST

static void shutdown_script(struct fake *agent)
{
	const Provium__V1__Shutdown *body;
	Provium__V1__Message message;
	Provium__V1__Ready ready;

	fake_ready(agent);
	body = fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_SHUTDOWN)->shutdown;
	fake_check(agent, body->mode == PROVIUM__V1__SHUTDOWN__MODE__REBOOT);
	fake_check(agent, body->has_sync && !body->sync);
	fake_ready_message(&message, &ready);
	message.has_id = true;
	message.id = agent->id;
	fake_send(agent, &message);
	shutdown(agent->fd, SHUT_WR);
	fake_expect_end(agent);
}

START_TEST(test_shutdown)
{
	connection = fake_connect(&fake, shutdown_script);
	check_ok(provium_shutdown(connection, PROVIUM_REBOOT, false, 5000, &error));
	/* The agent waits for the end that the library makes now, before the handle is released. */
	fake_finish(&fake);
	ck_assert_int_eq(provium_connection_fd(connection), -1);
	ck_assert_int_eq(provium_ping(connection, 5000, &error), -1);
	check_error(PROVIUM_DISCONNECTED, "told to shut down");
	provium_connection_free(connection);
}
END_TEST

/* ------------------------------------------------------------------------------------------- */
/* An agent that breaks the protocol, or goes */

static void wrong_kind_script(struct fake *agent)
{
	fake_ready(agent);
	fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_PING);
	fake_ok(agent, 0, 7);
	fake_expect_end(agent);
}

static void zero_id_script(struct fake *agent)
{
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__Error refusal = PROVIUM__V1__ERROR__INIT;

	fake_ready(agent);
	fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_PING);
	refusal.code = PROVIUM__V1__ERROR_CODE__ERROR_INVALID;
	refusal.text = (char *)"I could not read that";
	message.body_case = PROVIUM__V1__MESSAGE__BODY_ERROR;
	message.error = &refusal;
	fake_send(agent, &message);
}

static void end_script(struct fake *agent)
{
	fake_ready(agent);
	fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_PING);
}

static void oversized_script(struct fake *agent)
{
	fake_ready(agent);
	fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_PING);
	fake_send_bytes(agent, "\xff\xff\xff\xff", 4);
	fake_expect_end(agent);
}

static void one_over_script(struct fake *agent)
{
	uint8_t header[FRAME_HEADER];

	fake_ready(agent);
	fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_PING);
	frame_put_header(header, PROVIUM_MAX_FRAME + 1);
	fake_send_bytes(agent, header, sizeof(header));
	fake_expect_end(agent);
}

static const struct {
	fake_script script;
	enum provium_code code;
	const char *why;
} breaks[] = {
	{ wrong_kind_script, PROVIUM_PROTOCOL, "broke the protocol in its reply to \"ping\"" },
	{ zero_id_script, PROVIUM_PROTOCOL, "I could not read that" },
	{ end_script, PROVIUM_DISCONNECTED, "connection lost while request 1 (ping) ran" },
	{ oversized_script, PROVIUM_PROTOCOL, "4294967295 bytes" },
	{ one_over_script, PROVIUM_PROTOCOL, "16777217 bytes" },
};

START_TEST(test_break)
{
	connection = fake_connect(&fake, breaks[_i].script);
	ck_assert_int_eq(provium_ping(connection, 5000, &error), -1);
	check_error(breaks[_i].code, breaks[_i].why);
	/* And so does everything from then on. */
	ck_assert_int_eq(provium_ping(connection, 5000, &error), -1);
	ck_assert_int_eq(error.code, breaks[_i].code);
	ck_assert_int_eq(provium_connection_dispatch(connection, 0, &error), -1);
	ck_assert_int_eq(provium_connection_fd(connection), -1);
	disconnect();
}
END_TEST

/* Each call, answered with what belongs to none of them. */
static void wrong_kinds_script(struct fake *agent)
{
	fake_ready(agent);
	fake_receive(agent);
	if (agent->number)
		fake_receive(agent);
	fake_ack(agent, 0, 0);
	fake_expect_end(agent);
}

static int call_info(struct provium_exec *exec)
{
	struct provium_info info;

	(void)exec;
	return provium_info(connection, 5000, &info, &error);
}

static int call_shutdown(struct provium_exec *exec)
{
	(void)exec;
	return provium_shutdown(connection, PROVIUM_HALT, true, 5000, &error);
}

static int call_read(struct provium_exec *exec)
{
	struct provium_buffer content;

	(void)exec;
	return provium_read_file_memory(connection, "/x", 1, 5000, &content, &error);
}

static int call_stat(struct provium_exec *exec)
{
	struct provium_file_status status;

	(void)exec;
	return provium_stat(connection, "/x", true, 5000, &status, &error);
}

static int call_wait(struct provium_exec *exec)
{
	struct provium_exec_result result;

	return provium_exec_wait(exec, 5000, &result, &error);
}

static int call_signal(struct provium_exec *exec)
{
	return provium_exec_signal(exec, 1, false, 5000, &error);
}

static int call_write(struct provium_exec *exec)
{
	check_ok(provium_exec_write(exec, "x", 1, 5000, &error));
	return call_wait(exec);
}

static const struct {
	int (*call)(struct provium_exec *exec);
	/* How many requests of a command come before the answer. */
	int command;
} calls[] = {
	{ call_info, 0 }, { call_shutdown, 0 }, { call_read, 0 },  { call_stat, 0 },
	{ call_wait, 1 }, { call_signal, 2 },   { call_write, 2 },
};

START_TEST(test_wrong_kind)
{
	const char *const argv[] = { "program", NULL };
	const struct provium_exec_options options = {
		.argv = argv,
		.stdin_kind = PROVIUM_STDIN_STREAM,
	};
	struct provium_exec *exec = NULL;

	fake.number = calls[_i].command > 1;
	connection = fake_connect(&fake, wrong_kinds_script);
	if (calls[_i].command)
		check_ok(provium_exec_start(connection, &options, &exec, &error));
	ck_assert_int_eq(calls[_i].call(exec), -1);
	check_error(PROVIUM_PROTOCOL, "message 140 does not belong there");
	provium_exec_free(exec);
	disconnect();
}
END_TEST

/* Messages of later minors: an event, a body that is not known, and none at all. */
static void unknown_script(struct fake *agent)
{
	static const uint8_t frames[] = { /* Field 200, which no version has yet, with id 0. */
					  3, 0, 0, 0, 0xc2, 0x0c, 0x00,
					  /* The same with id 1. */
					  6, 0, 0, 0, 0x80, 0x01, 0x01, 0xc2, 0x0c, 0x00,
					  /* Only an id. */
					  3, 0, 0, 0, 0x80, 0x01, 0x01
	};

	fake_ready(agent);
	fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_PING);
	fake_send_bytes(agent, frames, sizeof(frames));
	fake_pong(agent, 0);
	fake_expect_end(agent);
}

START_TEST(test_unknown_messages)
{
	connection = fake_connect(&fake, unknown_script);
	check_ok(provium_ping(connection, 5000, &error));
	disconnect();
}
END_TEST

/* Sends without end what belongs to no request. */
static void flood_script(struct fake *agent)
{
	fake_ready(agent);
	for (;;)
		fake_pong(agent, 999);
}

START_TEST(test_flood)
{
	uint64_t start = monotonic_ns();

	connection = fake_connect(&fake, flood_script);
	ck_assert_int_eq(provium_ping(connection, 200, &error), -1);
	check_error(PROVIUM_TIMED_OUT, "timed out");
	ck_assert_uint_lt(monotonic_ns() - start, 3000000000);
	ck_assert_uint_gt(connection->strays, 0);
	disconnect();
}
END_TEST

START_TEST(test_flood_cancelled)
{
	int pipe_fds[2];

	connection = fake_connect(&fake, flood_script);
	ck_assert_int_eq(pipe(pipe_fds), 0);
	ck_assert_int_eq(write(pipe_fds[1], "x", 1), 1);
	provium_connection_set_cancel_fd(connection, pipe_fds[0]);
	ck_assert_int_eq(provium_ping(connection, PROVIUM_FOREVER, &error), -1);
	check_error(PROVIUM_CANCELLED, "cancelled");
	disconnect();
	close(pipe_fds[0]);
	close(pipe_fds[1]);
}
END_TEST

static void cancelled_script(struct fake *agent)
{
	fake_ready(agent);
	fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_PING);
	fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_CANCEL);
	fake_ok(agent, 0, -1);
	fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_PING);
	fake_pong(agent, 0);
	fake_expect_end(agent);
}

START_TEST(test_cancel_fd)
{
	int pipe_fds[2];

	connection = fake_connect(&fake, cancelled_script);
	ck_assert_int_eq(pipe(pipe_fds), 0);
	ck_assert_int_eq(write(pipe_fds[1], "x", 1), 1);
	provium_connection_set_cancel_fd(connection, pipe_fds[0]);
	ck_assert_int_eq(provium_ping(connection, PROVIUM_FOREVER, &error), -1);
	check_error(PROVIUM_CANCELLED, "ping: cancelled");
	/* The connection is as good as before. */
	provium_connection_set_cancel_fd(connection, -1);
	check_ok(provium_ping(connection, 5000, &error));
	disconnect();
	close(pipe_fds[0]);
	close(pipe_fds[1]);
}
END_TEST

/* Dispatch for event loops: nothing to do is no failure. */
START_TEST(test_dispatch)
{
	connection = fake_connect(&fake, minimal_ready_script);
	check_ok(provium_connection_dispatch(connection, 0, &error));
	check_ok(provium_connection_dispatch(connection, 20, &error));
	ck_assert(!provium_connection_wants_write(connection));
	ck_assert_int_ge(provium_connection_fd(connection), 0);
	disconnect();
	provium_connection_free(NULL);
}
END_TEST

static void ready_and_end_script(struct fake *agent)
{
	fake_ready(agent);
}

/* The end is told by the call that meets it: an event loop would not call again. */
START_TEST(test_dispatch_end)
{
	connection = fake_connect(&fake, ready_and_end_script);
	fake_finish(&fake);
	ck_assert_int_eq(provium_connection_dispatch(connection, 0, &error), -1);
	check_error(PROVIUM_DISCONNECTED, "closed the connection");
	provium_connection_free(connection);
}
END_TEST

static TCase *request_cases(void)
{
	TCase *tcase = unit_counted_case("requests");

	tcase_set_timeout(tcase, 30);
	tcase_add_test(tcase, test_ping);
	tcase_add_test(tcase, test_ids_wrap);
	tcase_add_test(tcase, test_late_reply);
	tcase_add_test(tcase, test_error_replies);
	tcase_add_test(tcase, test_info);
	tcase_add_test(tcase, test_shutdown);
	tcase_add_loop_test(tcase, test_break, 0, ARRAY_SIZE(breaks));
	tcase_add_loop_test(tcase, test_wrong_kind, 0, ARRAY_SIZE(calls));
	tcase_add_test(tcase, test_unknown_messages);
	tcase_add_test(tcase, test_flood);
	tcase_add_test(tcase, test_flood_cancelled);
	tcase_add_test(tcase, test_cancel_fd);
	tcase_add_test(tcase, test_dispatch);
	tcase_add_test(tcase, test_dispatch_end);
	return tcase;
}

int main(void)
{
	Suite *suite = suite_create("lib-connection");

	suite_add_tcase(suite, request_cases());
	return unit_run(suite);
}
