/* AUTH as the library makes it: with the right token, without one, and what an agent may answer. */
#include "host/lib/connection.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/util.h"
#include "host/lib/token.h"
#include "lib_fake.h"
#include "proto/limits.h"
#include "unit.h"

static const uint8_t token[PROVIUM_TOKEN_SIZE] = "32 bytes, the last one is a NUL";
static struct provium_connection *connection;
static struct fake fake;

/* The READY of an agent that asks for a token. */
static void send_brief(struct fake *agent, uint32_t id)
{
	Provium__V1__Message message;
	Provium__V1__Ready ready;

	fake_ready_message(&message, &ready);
	message.has_id = id != 0;
	message.id = id;
	ready.max_frame = 4096;
	ready.has_auth_required = true;
	ready.auth_required = true;
	fake_send(agent, &message);
}

static void send_full(struct fake *agent, uint32_t id)
{
	Provium__V1__Message message;
	Provium__V1__Ready ready;

	fake_ready_message(&message, &ready);
	message.has_id = id != 0;
	message.id = id;
	ready.boot_id = (char *)"boot";
	fake_send(agent, &message);
}

static void expect_auth(struct fake *agent)
{
	const Provium__V1__Message *message = fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_AUTH);

	fake_check(agent, message->auth->token.len == sizeof(token));
	fake_check(agent, memcmp(message->auth->token.data, token, sizeof(token)) == 0);
}

static void right_script(struct fake *agent)
{
	send_brief(agent, 0);
	expect_auth(agent);
	send_full(agent, agent->id);
	fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_PING);
	fake_pong(agent, 0);
	fake_expect_end(agent);
}

START_TEST(test_right_token)
{
	int fd = fake_start(&fake, right_script);

	check_ok(provium_connect_fd_token(fd, token, 5000, &connection, &error));
	ck_assert_str_eq(provium_connection_agent(connection)->boot_id, "boot");
	check_ok(provium_ping(connection, 5000, &error));
	provium_connection_free(connection);
	fake_finish(&fake);
}
END_TEST

static void not_asked_script(struct fake *agent)
{
	send_full(agent, 0);
	fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_PING);
	fake_pong(agent, 0);
	fake_expect_end(agent);
}

/* One who does not ask does not get it. */
START_TEST(test_not_asked)
{
	int fd = fake_start(&fake, not_asked_script);

	check_ok(provium_connect_fd_token(fd, token, 5000, &connection, &error));
	check_ok(provium_ping(connection, 5000, &error));
	provium_connection_free(connection);
	fake_finish(&fake);
}
END_TEST

static void brief_script(struct fake *agent)
{
	send_brief(agent, 0);
	fake_expect_end(agent);
}

START_TEST(test_no_token)
{
	int fd = fake_start(&fake, brief_script);

	ck_assert_int_eq(provium_connect_fd(fd, 5000, &connection, &error), -1);
	check_error(PROVIUM_AUTH, "asks for a token");
	fake_finish(&fake);
}
END_TEST

static void other_major_script(struct fake *agent)
{
	Provium__V1__Message message;
	Provium__V1__Ready ready;

	fake_ready_message(&message, &ready);
	ready.protocol_major = PROVIUM_PROTOCOL_MAJOR + 1;
	ready.has_auth_required = true;
	ready.auth_required = true;
	fake_send(agent, &message);
	fake_expect_end(agent);
}

static void refuse_script(struct fake *agent)
{
	send_brief(agent, 0);
	expect_auth(agent);
	fake_error(agent, 0, PROVIUM__V1__ERROR_CODE__ERROR_AUTH, 0, NULL, NULL, "no such token");
	fake_expect_end(agent);
}

static void again_script(struct fake *agent)
{
	send_brief(agent, 0);
	expect_auth(agent);
	send_brief(agent, agent->id);
	fake_expect_end(agent);
}

static void other_id_script(struct fake *agent)
{
	send_brief(agent, 0);
	expect_auth(agent);
	send_full(agent, 1);
	fake_expect_end(agent);
}

static void ready_with_id_script(struct fake *agent)
{
	send_full(agent, 7);
	fake_expect_end(agent);
}

static void ok_script(struct fake *agent)
{
	send_brief(agent, 0);
	expect_auth(agent);
	fake_ok(agent, 0, -1);
	fake_expect_end(agent);
}

static void close_script(struct fake *agent)
{
	send_brief(agent, 0);
	expect_auth(agent);
}

static void silent_script(struct fake *agent)
{
	send_brief(agent, 0);
	expect_auth(agent);
	fake_expect_end(agent);
}

static const struct {
	fake_script script;
	enum provium_code code;
	const char *text;
} refusals[] = {
	{ other_major_script, PROVIUM_PROTOCOL, "speaks protocol" },
	{ refuse_script, PROVIUM_AUTH, "no such token" },
	{ again_script, PROVIUM_PROTOCOL, "asks for it again" },
	{ other_id_script, PROVIUM_PROTOCOL, "READY with id 1 instead of 4294967295" },
	{ ready_with_id_script, PROVIUM_PROTOCOL, "READY with id 7 instead of 0" },
	{ ok_script, PROVIUM_PROTOCOL, "instead of READY" },
	{ close_script, PROVIUM_DISCONNECTED, "closed the connection" },
	{ silent_script, PROVIUM_TIMED_OUT, "READY" },
};

START_TEST(test_refused)
{
	int fd = fake_start(&fake, refusals[_i].script);
	int timeout_ms = refusals[_i].code == PROVIUM_TIMED_OUT ? 100 : 5000;

	ck_assert_int_eq(provium_connect_fd_token(fd, token, timeout_ms, &connection, &error), -1);
	ck_assert_ptr_null(connection);
	check_error(refusals[_i].code, refusals[_i].text);
	/* Whatever goes wrong, it says nothing of the token. */
	ck_assert_ptr_null(memmem(&error, sizeof(error), token, 8));
	fake_finish(&fake);
}
END_TEST

/* ------------------------------------------------------------------------------------------- */
/* More connections to the same guest */

static int listener;
static char directory[64];
static char path[96];
static char address[128];

static void take_connection(struct fake *agent, const char *want)
{
	char line[32];
	size_t used = 0;

	agent->fd = accept(listener, NULL, NULL);
	fake_check(agent, agent->fd >= 0);
	do
		fake_check(agent, recv(agent->fd, line + used, 1, 0) == 1);
	while (line[used++] != '\n');
	fake_check(agent, used == strlen(want) && memcmp(line, want, used) == 0);
	fake_send_bytes(agent, "OK 1\n", 5);
	frame_reader_init(&agent->reader, PROVIUM_MAX_FRAME);
	decoder_init(&agent->decoder);
	send_brief(agent, 0);
	expect_auth(agent);
	send_full(agent, agent->id);
}

/* The main connection, that of a worker, and the one that is made when the first is lost. */
static void serve(struct fake *agent)
{
	int main_fd;

	take_connection(agent, "CONNECT 5123\n");
	main_fd = agent->fd;
	take_connection(agent, "CONNECT 77\n");
	fake_expect_end(agent);
	close(agent->fd);
	agent->fd = main_fd;
	fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_PING);
	close(main_fd);
	take_connection(agent, "CONNECT 5123\n");
	/* Whether the kernel has said something. */
	fake_expect_end(agent);
}

static void start_hybrid(void)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };

	snprintf(directory, sizeof(directory), "/tmp/lib-auth-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/socket", directory);
	snprintf(address, sizeof(address), "unix:%s", path);
	snprintf(at.sun_path, sizeof(at.sun_path), "%s", path);
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(listener, (struct sockaddr *)&at, sizeof(at)), 0);
	ck_assert_int_eq(listen(listener, 8), 0);
	fake.pid = fork();
	ck_assert_int_ge(fake.pid, 0);
	if (fake.pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		alarm(60);
		serve(&fake);
		_exit(0);
	}
	close(listener);
}

static void use_hybrid(void)
{
	const struct provium_worker worker = { .number = 1, .port = 77 };
	struct provium_connection *other;

	check_ok(provium_worker_connect(connection, &worker, 5000, &other, &error));
	provium_connection_free(other);
	ck_assert_int_eq(provium_ping(connection, 5000, &error), -1);
	check_error(PROVIUM_DISCONNECTED, "");
	provium_connection_free(connection);
	fake_finish(&fake);
}

START_TEST(test_other_connections)
{
	start_hybrid();
	check_ok(provium_connect_token(address, token, 5000, &connection, &error));
	use_hybrid();
	unlink(path);
	ck_assert_int_eq(rmdir(directory), 0);
}
END_TEST

START_TEST(test_token_beside_the_socket)
{
	char beside[128];

	start_hybrid();
	snprintf(beside, sizeof(beside), "%s" TOKEN_SUFFIX, path);
	check_ok(token_write(beside, token, &error));
	ck_assert_int_eq(chmod(beside, 0644), 0);
	ck_assert_int_eq(provium_connect(address, 5000, &connection, &error), -1);
	check_error(PROVIUM_INVALID, "chmod 600");
	ck_assert_int_eq(chmod(beside, 0600), 0);
	check_ok(provium_connect(address, 5000, &connection, &error));
	use_hybrid();
	unlink(beside);
	unlink(path);
	ck_assert_int_eq(rmdir(directory), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("lib-auth");
	TCase *tcase = unit_counted_case("auth");

	tcase_set_timeout(tcase, 30);
	tcase_add_test(tcase, test_right_token);
	tcase_add_test(tcase, test_not_asked);
	tcase_add_test(tcase, test_no_token);
	tcase_add_loop_test(tcase, test_refused, 0, ARRAY_SIZE(refusals));
	tcase_add_test(tcase, test_other_connections);
	tcase_add_test(tcase, test_token_beside_the_socket);
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
