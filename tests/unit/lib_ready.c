/* The start of a connection: what agents say first, and what else may answer. */
#include "host/lib/connection.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/util.h"
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
	init_error.operation = (char *)"mo\x1bnt";
	ready.init_error = &init_error;
	ready.has_init_started_ns = true;
	ready.init_started_ns = 111;
	ready.has_listening_ns = true;
	ready.listening_ns = 222;
	ready.has_modules_ns = true;
	ready.modules_ns = 333;
	ready.has_init_held = ready.init_held = true;
	ready.has_own_root = ready.own_root = true;
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
	ck_assert_str_eq(agent->init_error_operation, "mo?nt");
	ck_assert_uint_eq(agent->init_started_ns, 111);
	ck_assert_uint_eq(agent->listening_ns, 222);
	ck_assert_uint_eq(agent->modules_ns, 333);
	ck_assert(agent->init_held);
	ck_assert(agent->own_root);
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
	/* Of an agent that knows of no other. */
	ck_assert_str_eq(agent->init_error_operation, "execve");
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
	ck_assert_str_eq(agent->init_error_operation, "");
	ck_assert(!agent->init_held && !agent->own_root);
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

int main(void)
{
	Suite *suite = suite_create("lib-ready");

	suite_add_tcase(suite, start_cases());
	return unit_run(suite);
}
