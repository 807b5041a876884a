/* Connections and requests, against agents that keep to the protocol and agents that do not. */
#include "host/lib/connection.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/util.h"
#include "host/lib/file.h"
#include "lib_fake.h"
#include "lib_seam.h"
#include "proto/limits.h"
#include "unit.h"

static struct fake fake;
static struct provium_connection *connection;

static void disconnect(void)
{
	provium_connection_free(connection);
	fake_finish(&fake);
}

/* ------------------------------------------------------------------------------------------- */
/* READY */

static void full_ready_script(struct fake *agent)
{
	Provium__V1__InitError init_error = PROVIUM__V1__INIT_ERROR__INIT;
	uint32_t requests[] = { 1, 3, 24, 127, 128, 4000000000u };
	Provium__V1__Message message;
	Provium__V1__Ready ready;

	fake_ready_message(&message, &ready);
	ready.protocol_minor = 9;
	ready.boot_id = (char *)"0123-4567";
	ready.has_restarts = true;
	ready.restarts = 3;
	ready.restart_reason = (char *)"killed by \x1b[31mSIGKILL";
	init_error.path.data = (uint8_t *)"/sbin/init";
	init_error.path.len = 10;
	init_error.os_errno = ENOENT;
	ready.init_error = &init_error;
	ready.has_init_started_ns = true;
	ready.init_started_ns = 111;
	ready.has_listening_ns = true;
	ready.listening_ns = 222;
	ready.n_requests = ARRAY_SIZE(requests);
	ready.requests = requests;
	fake_send(agent, &message);
	fake_expect_end(agent);
}

START_TEST(test_ready)
{
	const struct provium_agent *agent;

	connection = fake_connect(&fake, full_ready_script);
	agent = provium_connection_agent(connection);
	ck_assert_uint_eq(agent->protocol_major, PROVIUM_PROTOCOL_MAJOR);
	ck_assert_uint_eq(agent->protocol_minor, 9);
	ck_assert_str_eq(agent->version, "0.1.0");
	ck_assert_str_eq(agent->arch, "x86_64");
	ck_assert_str_eq(agent->kernel_release, "6.1.0-fake");
	ck_assert_str_eq(agent->boot_id, "0123-4567");
	ck_assert_int_eq(agent->pid, 42);
	ck_assert_uint_eq(agent->restarts, 3);
	ck_assert_str_eq(agent->restart_reason, "killed by ?[31mSIGKILL");
	ck_assert_str_eq(agent->init_error_path, "/sbin/init");
	ck_assert_int_eq(agent->init_error_errno, ENOENT);
	ck_assert_uint_eq(agent->init_started_ns, 111);
	ck_assert_uint_eq(agent->listening_ns, 222);
	ck_assert(connection_serves(connection, 1));
	ck_assert(connection_serves(connection, 24));
	ck_assert(connection_serves(connection, 127));
	ck_assert(!connection_serves(connection, 2));
	ck_assert(!connection_serves(connection, 128));
	disconnect();
}
END_TEST

static void long_ready_script(struct fake *agent)
{
	static char text[KIB(100)];
	Provium__V1__InitError init_error = PROVIUM__V1__INIT_ERROR__INIT;
	Provium__V1__Message message;
	Provium__V1__Ready ready;

	memset(text, 'x', sizeof(text) - 1);
	fake_ready_message(&message, &ready);
	ready.agent_version = text;
	ready.arch = text;
	ready.kernel_release = text;
	ready.boot_id = text;
	ready.restart_reason = text;
	init_error.path.data = (uint8_t *)text;
	init_error.path.len = sizeof(text);
	ready.init_error = &init_error;
	fake_send(agent, &message);
	fake_expect_end(agent);
}

START_TEST(test_long_ready)
{
	const struct provium_agent *agent;

	connection = fake_connect(&fake, long_ready_script);
	agent = provium_connection_agent(connection);
	ck_assert_uint_lt(strlen(agent->version), 1024);
	ck_assert_uint_lt(strlen(agent->restart_reason), 1024);
	ck_assert_uint_lt(strlen(agent->init_error_path), 1024);
	disconnect();
}
END_TEST

static void minimal_ready_script(struct fake *agent)
{
	fake_ready(agent);
	fake_expect_end(agent);
}

START_TEST(test_minimal_ready)
{
	const struct provium_agent *agent;

	connection = fake_connect(&fake, minimal_ready_script);
	agent = provium_connection_agent(connection);
	ck_assert_str_eq(agent->boot_id, "");
	ck_assert_str_eq(agent->restart_reason, "");
	ck_assert_str_eq(agent->init_error_path, "");
	ck_assert(!connection_serves(connection, 1));
	disconnect();
}
END_TEST

static void major_script(struct fake *agent)
{
	Provium__V1__Message message;
	Provium__V1__Ready ready;

	fake_ready_message(&message, &ready);
	ready.protocol_major = PROVIUM_PROTOCOL_MAJOR + 1;
	fake_send(agent, &message);
}

static void small_frame_script(struct fake *agent)
{
	Provium__V1__Message message;
	Provium__V1__Ready ready;

	fake_ready_message(&message, &ready);
	ready.max_frame = 1000;
	fake_send(agent, &message);
}

static void auth_script(struct fake *agent)
{
	Provium__V1__Message message;
	Provium__V1__Ready ready;

	fake_ready_message(&message, &ready);
	ready.has_auth_required = true;
	ready.auth_required = true;
	fake_send(agent, &message);
}

static void refusal_script(struct fake *agent)
{
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__Error refusal = PROVIUM__V1__ERROR__INIT;

	refusal.code = PROVIUM__V1__ERROR_CODE__ERROR_BUSY;
	refusal.text = (char *)"one connection is enough";
	message.body_case = PROVIUM__V1__MESSAGE__BODY_ERROR;
	message.error = &refusal;
	fake_send(agent, &message);
}

static void other_first_script(struct fake *agent)
{
	agent->id = 1;
	fake_pong(agent, 0);
}

static void silent_end_script(struct fake *agent)
{
	(void)agent;
}

static void http_script(struct fake *agent)
{
	fake_send_bytes(agent, "HTTP/1.1 400 Bad Request\r\n\r\n", 28);
}

static void empty_frame_script(struct fake *agent)
{
	fake_send_bytes(agent, "\0\0\0\0", 4);
}

static void garbage_script(struct fake *agent)
{
	fake_send_bytes(agent, "\x05\0\0\0\xff\xff\xff\xff\xff", 9);
}

static void cut_frame_script(struct fake *agent)
{
	fake_send_bytes(agent, "\x05\0\0\0\x01", 5);
}

/* Empty submessages (EXEC's rlimits) grow many times when decoded. */
static void bomb_script(struct fake *agent)
{
	static uint8_t frame[FRAME_HEADER + 4 + 3 * 333333];
	/* Field 1 of 999999 bytes. */
	static const uint8_t exec[] = { 0x0a, 0xbf, 0x84, 0x3d };
	/* Field 16 of 0 bytes. */
	static const uint8_t rlimit[] = { 0x82, 0x01, 0x00 };

	frame_put_header(frame, sizeof(frame) - FRAME_HEADER);
	memcpy(frame + FRAME_HEADER, exec, sizeof(exec));
	for (size_t at = FRAME_HEADER + sizeof(exec); at < sizeof(frame); at += sizeof(rlimit))
		memcpy(frame + at, rlimit, sizeof(rlimit));
	fake_send_bytes(agent, frame, sizeof(frame));
}

static const struct {
	fake_script script;
	enum provium_code code;
	const char *why;
} bad_starts[] = {
	{ major_script, PROVIUM_PROTOCOL, "speaks protocol 2.0" },
	{ small_frame_script, PROVIUM_PROTOCOL, "frames of 1000 bytes" },
	{ auth_script, PROVIUM_AUTH, "token" },
	{ refusal_script, PROVIUM_BUSY, "one connection is enough" },
	{ other_first_script, PROVIUM_PROTOCOL, "instead of READY" },
	{ silent_end_script, PROVIUM_DISCONNECTED, "closed the connection" },
	{ http_script, PROVIUM_PROTOCOL, "is this an agent?" },
	{ empty_frame_script, PROVIUM_PROTOCOL, "length 0" },
	{ garbage_script, PROVIUM_PROTOCOL, "no message" },
	{ cut_frame_script, PROVIUM_DISCONNECTED, "middle of a message" },
	{ bomb_script, PROVIUM_PROTOCOL, "too much memory" },
};

START_TEST(test_bad_start)
{
	int fd = fake_start(&fake, bad_starts[_i].script);

	ck_assert_int_eq(provium_connect_fd(fd, 5000, &connection, &error), -1);
	ck_assert_ptr_null(connection);
	check_error(bad_starts[_i].code, bad_starts[_i].why);
	fake_finish(&fake);
}
END_TEST

static void wait_for_end_script(struct fake *agent)
{
	fake_expect_end(agent);
}

START_TEST(test_silent_start)
{
	int fd = fake_start(&fake, wait_for_end_script);

	ck_assert_int_eq(provium_connect_fd(fd, 60, &connection, &error), -1);
	check_error(PROVIUM_TIMED_OUT, "READY: timed out after 60 ms");
	fake_finish(&fake);
}
END_TEST

START_TEST(test_no_socket)
{
	int pair[2];

	ck_assert_int_eq(pipe(pair), 0);
	ck_assert_int_eq(provium_connect_fd(pair[0], 1000, &connection, &error), -1);
	check_error(PROVIUM_INVALID, "no socket");
	/* Closed all the same. */
	ck_assert_int_eq(fcntl(pair[0], F_GETFD), -1);
	close(pair[1]);

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair), 0);
	ck_assert_int_eq(provium_connect_fd(pair[0], 1000, &connection, &error), -1);
	check_error(PROVIUM_INVALID, "no stream socket");
	close(pair[1]);

	ck_assert_int_eq(provium_connect_fd(-1, 1000, &connection, NULL), -1);
}
END_TEST

START_TEST(test_connect_address)
{
	ck_assert_int_eq(provium_connect("nonsense", 1000, &connection, &error), -1);
	check_error(PROVIUM_INVALID, "nonsense");
	ck_assert_ptr_null(connection);
	ck_assert_int_eq(provium_connect("unix:/nonexistent/socket", 1000, &connection, &error),
			 -1);
	check_error(PROVIUM_HOST, "/nonexistent/socket");
	ck_assert_int_eq(error.os_errno, ENOENT);
}
END_TEST

/* ------------------------------------------------------------------------------------------- */
/* Requests */

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
	struct deadline deadline = deadline_after(5000);
	struct file_status status;

	(void)exec;
	return file_status(connection, "/x", &deadline, &status, &error);
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
	ck_assert_uint_gt(connection->strays, 1000);
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

/* ------------------------------------------------------------------------------------------- */
/* Monitors */

static int monitor_pipe[2];

static int prepare(void *user, struct pollfd *fds, int max)
{
	(void)user;
	(void)max;
	fds[0] = (struct pollfd){ .fd = monitor_pipe[0], .events = POLLIN };
	return 1;
}

static int check(void *user, const struct pollfd *fds, int count, struct provium_error *why)
{
	(void)user;
	(void)count;
	return fds[0].revents ? error_set(why, PROVIUM_VM_GONE, 0, "QEMU has ended") : 0;
}

static const struct connection_monitor monitor = { prepare, check, NULL };

static void start_monitor(void)
{
	ck_assert_int_eq(pipe(monitor_pipe), 0);
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

/* What the guest had sent before its end still counts. */
static void last_words_script(struct fake *agent)
{
	static const uint8_t noise[KIB(200)];

	fake_ready(agent);
	fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_PING);
	fake_data(agent, 999, 0, noise, sizeof(noise));
	fake_pong(agent, 0);
	usleep(10000);
}

START_TEST(test_last_words)
{
	connection = fake_connect(&fake, last_words_script);
	start_monitor();
	ck_assert_int_eq(write(monitor_pipe[1], "x", 1), 1);
	check_ok(provium_ping(connection, 5000, &error));
	ck_assert_int_eq(provium_ping(connection, 5000, &error), -1);
	check_error(PROVIUM_VM_GONE, "QEMU has ended");
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

static TCase *start_cases(void)
{
	TCase *tcase = unit_counted_case("start");

	tcase_add_test(tcase, test_ready);
	tcase_add_test(tcase, test_long_ready);
	tcase_add_test(tcase, test_minimal_ready);
	tcase_add_loop_test(tcase, test_bad_start, 0, ARRAY_SIZE(bad_starts));
	tcase_add_test(tcase, test_silent_start);
	tcase_add_test(tcase, test_no_socket);
	tcase_add_test(tcase, test_connect_address);
	return tcase;
}

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

static TCase *monitor_cases(void)
{
	TCase *tcase = unit_counted_case("monitor");

	tcase_add_test(tcase, test_monitor_quiet);
	tcase_add_test(tcase, test_monitor);
	tcase_add_test(tcase, test_last_words);
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
	Suite *suite = suite_create("lib-connection");

	suite_add_tcase(suite, start_cases());
	suite_add_tcase(suite, request_cases());
	suite_add_tcase(suite, monitor_cases());
	suite_add_tcase(suite, socket_cases());
	return unit_run(suite);
}
