/* AUTH: what a connection gets before it, with a wrong one, and with the right one. */
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/auth.h"
#include "agent/init.h"
#include "agent_harness.h"
#include "common/util.h"
#include "proto/limits.h"
#include "unit.h"

static uint8_t token[PROVIUM_TOKEN_SIZE];

static void start(void)
{
	/* One that could not be executed. */
	static struct init_state init = {
		.path = "/sbin/init",
		.used = sizeof(init.status),
		.over = true,
		.release_fd = -1,
	};

	for (size_t i = 0; i < sizeof(token); i++)
		token[i] = (uint8_t)(i * 37 + 5);
	agent_config.token = token;
	agent_config.restarts = 1;
	agent_config.restart_reason = "lost the job 'secret'";
	agent_config.init = &init;
	agent_start();
	client_connect_silent(&client);
}

static uint32_t send_auth(struct client *to, const void *data, size_t size)
{
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__Auth auth = PROVIUM__V1__AUTH__INIT;

	auth.has_token = data != NULL;
	auth.token = (ProtobufCBinaryData){ size, (uint8_t *)(uintptr_t)data };
	message.body_case = BODY(AUTH);
	message.auth = &auth;
	return client_send(to, &message);
}

/* A token that differs in one bit, as that of the right one's length and of others. */
static uint32_t send_wrong(struct client *to, unsigned int number)
{
	uint8_t wrong[PROVIUM_TOKEN_SIZE];

	memcpy(wrong, token, sizeof(wrong));
	wrong[number % sizeof(wrong)] ^= (uint8_t)(1 << number % 8);
	return send_auth(to, wrong, sizeof(wrong));
}

static void expect_brief(const Provium__V1__Ready *ready)
{
	ck_assert(ready->auth_required);
	ck_assert_uint_eq(ready->protocol_major, PROVIUM_PROTOCOL_MAJOR);
	ck_assert_uint_eq(ready->max_frame, AUTH_MAX_FRAME);
	ck_assert_uint_eq(ready->n_requests, 1);
	ck_assert_uint_eq(ready->requests[0], BODY(AUTH));
	ck_assert(!ready->boot_id && !ready->has_restarts && !ready->restart_reason &&
		  !ready->init_error && !ready->has_listening_ns && !ready->has_role);
}

static void expect_full(uint32_t id)
{
	const Provium__V1__Message *message = client_expect(&client, BODY(READY));

	ck_assert_uint_eq(message->id, id);
	ck_assert(!message->ready->auth_required);
	ck_assert_uint_eq(message->ready->max_frame, PROVIUM_MAX_FRAME);
	ck_assert_uint_gt(message->ready->n_requests, 20);
	ck_assert_str_eq(message->ready->restart_reason, "lost the job 'secret'");
	ck_assert_ptr_nonnull(message->ready->init_error);
}

START_TEST(right_token)
{
	expect_brief(client_expect(&client, BODY(READY))->ready);
	expect_full(send_auth(&client, token, sizeof(token)));
	client_ping(&client);
	/* Once more is as good. */
	expect_full(send_auth(&client, token, sizeof(token)));
	client_ping(&client);
}
END_TEST

/* Each request that there is, and codes that are none: one answer, and nothing is done. */
START_TEST(everything_else_is_refused)
{
	Provium__V1__Exec exec = PROVIUM__V1__EXEC__INIT;
	char command[256];
	uint32_t id;

	client_expect(&client, BODY(READY));
	for (uint32_t code = 1; code < 128; code++) {
		uint8_t frame[16] = { 0, 0, 0, 0, 0x80, 0x01, 9 };
		size_t size = 7;

		if (code == 16 || code == BODY(AUTH))
			continue;
		frame[size++] = (uint8_t)((code << 3 | 2) & 0x7f) | (code >= 16 ? 0x80 : 0);
		if (code >= 16)
			frame[size++] = (uint8_t)(code >> 4);
		frame[size++] = 0;
		frame_put_header(frame, (uint32_t)(size - FRAME_HEADER));
		/* kernel_events is a list of numbers, that is no message. */
		if (code == 48)
			continue;
		client_send_bytes(&client, frame, size);
		client_expect_error(&client, 9, CODE(AUTH), "AUTH must come first");
	}

	snprintf(command, sizeof(command), "touch %s", test_path("made"));
	exec.has_shell = true;
	exec.shell = bytes_of(command);
	id = client_exec(&client, &exec);
	client_expect_error(&client, id, CODE(AUTH), "AUTH must come first");
	/* What came before it is not done when AUTH has come, either. */
	expect_full(send_auth(&client, token, sizeof(token)));
	client_ping(&client);
	ck_assert_uint_eq(client_info(&client).commands_started, 0);
	ck_assert_int_ne(access(test_path("made"), F_OK), 0);
}
END_TEST

START_TEST(no_token_at_all)
{
	uint8_t longer[PROVIUM_TOKEN_SIZE + 1] = { 0 };

	client_expect(&client, BODY(READY));
	client_expect_error(&client, send_auth(&client, NULL, 0), CODE(INVALID), "token");
	client_expect_error(&client, send_auth(&client, longer, sizeof(longer)), CODE(LIMIT),
			    "token");
	/* Neither of them was a guess. */
	expect_full(send_auth(&client, token, sizeof(token)));
}
END_TEST

/* The first bytes of the right one, and the empty one, are as wrong as any. */
START_TEST(short_tokens)
{
	static const size_t sizes[] = { 0, 1, PROVIUM_TOKEN_SIZE - 1 };

	client_expect(&client, BODY(READY));
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
		client_expect_error(&client, send_auth(&client, token, sizes[i]), CODE(AUTH),
				    "not the guest's token");
	client_expect_error(&client, 0, CODE(AUTH), "too often");
	client_expect_end(&client);
}
END_TEST

START_TEST(three_failures)
{
	static const unsigned int least_ms[] = { 100, 400, 1000 };

	client_expect(&client, BODY(READY));
	for (unsigned int i = 0; i < ARRAY_SIZE(least_ms); i++) {
		uint64_t start = monotonic_ns();
		uint32_t id = send_wrong(&client, 31 * i);

		client_expect_error(&client, id, CODE(AUTH), "not the guest's token");
		ck_assert_uint_ge(monotonic_ns() - start, least_ms[i] * UINT64_C(1000000));
	}
	client_expect_error(&client, 0, CODE(AUTH), "too often");
	client_expect_end(&client);
}
END_TEST

START_TEST(right_after_two_wrong)
{
	client_expect(&client, BODY(READY));
	for (unsigned int i = 0; i < 2; i++)
		client_expect_error(&client, send_wrong(&client, i), CODE(AUTH), "not the guest's");
	expect_full(send_auth(&client, token, sizeof(token)));
	client_ping(&client);
}
END_TEST

/* While a wrong one waits, the right one behind it counts for nothing, and nobody else waits. */
START_TEST(delay_holds_up_nobody)
{
	struct client other = client;
	uint32_t wrong, behind;

	client_expect(&other, BODY(READY));
	wrong = send_wrong(&other, 0);
	behind = send_auth(&other, token, sizeof(token));
	client_expect_error(&other, behind, CODE(BUSY), "not answered");

	client_connect_silent(&client);
	client_expect(&client, BODY(READY));
	expect_full(send_auth(&client, token, sizeof(token)));
	for (int i = 0; i < 20; i++)
		client_ping(&client);
	client_expect_error(&other, wrong, CODE(AUTH), "not the guest's token");
	client_close(&other);
}
END_TEST

/* Its peer goes while it waits. */
START_TEST(end_within_a_delay)
{
	client_expect(&client, BODY(READY));
	send_wrong(&client, 0);
	client_close(&client);
	client_connect_silent(&client);
	client_expect(&client, BODY(READY));
	expect_full(send_auth(&client, token, sizeof(token)));
	eventually(client_info(&client).connections == 1);
}
END_TEST

START_TEST(long_frame)
{
	uint8_t header[FRAME_HEADER];

	client_expect(&client, BODY(READY));
	frame_put_header(header, AUTH_MAX_FRAME + 1);
	client_send_bytes(&client, header, sizeof(header));
	client_expect_error(&client, 0, CODE(INVALID), "at most 4096");
	client_expect_end(&client);
}
END_TEST

/* Sent together: the long one is behind the AUTH that allows it. */
START_TEST(long_frame_behind_auth)
{
	static uint8_t payload[PROVIUM_MAX_PING];
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__Ping ping = PROVIUM__V1__PING__INIT;
	uint32_t id;

	client_expect(&client, BODY(READY));
	id = send_auth(&client, token, sizeof(token));
	ping.has_payload = true;
	ping.payload = (ProtobufCBinaryData){ sizeof(payload), payload };
	message.body_case = BODY(PING);
	message.ping = &ping;
	client_send(&client, &message);
	expect_full(id);
	ck_assert_uint_eq(client_expect(&client, BODY(PONG))->pong->payload.len, sizeof(payload));
}
END_TEST

/* AUTH has come in time, and a system call keeps the agent from looking at it until after that. */
START_TEST(agent_that_is_held_up)
{
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__Syscall program = PROVIUM__V1__SYSCALL__INIT;
	uint32_t number = SYS_poll, count = 3;
	uint64_t args[] = { 0, 0, 5500 };
	struct client other;
	uint32_t id;

	client_expect(&client, BODY(READY));
	expect_full(send_auth(&client, token, sizeof(token)));
	client_connect_silent(&other);
	client_expect(&other, BODY(READY));

	program.numbers = &number;
	program.n_numbers = 1;
	program.arg_counts = &count;
	program.n_arg_counts = 1;
	program.args = args;
	program.n_args = ARRAY_SIZE(args);
	message.body_case = BODY(SYSCALL);
	message.syscall = &program;
	client_send(&client, &message);
	usleep(100000);
	id = send_auth(&other, token, sizeof(token));
	client_expect(&client, BODY(SYSCALL_RESULT));
	ck_assert_uint_eq(client_expect(&other, BODY(READY))->id, id);
	client_ping(&other);
	client_close(&other);
}
END_TEST

/* A connection that says nothing is not kept: the longest wait of these tests. */
START_TEST(silence)
{
	uint64_t start = monotonic_ns();

	client_expect(&client, BODY(READY));
	client_expect_error(&client, 0, CODE(AUTH), "in time");
	client_expect_end(&client);
	ck_assert_uint_ge(monotonic_ns() - start, UINT64_C(9000000000));
}
END_TEST

/* Where no token is asked for, any is as good as none. */
START_TEST(none_asked_for)
{
	const Provium__V1__Message *message;
	uint32_t id;

	ck_assert(!client_expect(&client, BODY(READY))->ready->auth_required);
	client_ping(&client);
	id = send_wrong(&client, 0);
	message = client_expect(&client, BODY(READY));
	ck_assert_uint_eq(message->id, id);
	client_ping(&client);
}
END_TEST

static void start_without(void)
{
	agent_start();
	client_connect_silent(&client);
}

/* ------------------------------------------------------------------------------------------- */
/* Files */

START_TEST(token_files)
{
	uint8_t bytes[PROVIUM_TOKEN_SIZE + 1] = { 1, 2, 3 };
	uint8_t read_back[PROVIUM_TOKEN_SIZE];

	for (size_t size = 0; size <= sizeof(bytes); size++) {
		FILE *file = tmpfile();
		bool good = size == PROVIUM_TOKEN_SIZE;

		ck_assert_ptr_nonnull(file);
		ck_assert_uint_eq(fwrite(bytes, 1, size, file), size);
		rewind(file);
		ck_assert_int_eq(auth_read_token(fileno(file), read_back), good);
		if (good)
			ck_assert_mem_eq(read_back, bytes, sizeof(read_back));
		fclose(file);
	}
	ck_assert(!auth_read_token(-1, read_back));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("agent: AUTH");
	TCase *tcase = unit_counted_case("token");

	tcase_add_checked_fixture(tcase, start, agent_stop_connected);
	tcase_set_timeout(tcase, 60);
	tcase_add_test(tcase, right_token);
	tcase_add_test(tcase, everything_else_is_refused);
	tcase_add_test(tcase, no_token_at_all);
	tcase_add_test(tcase, short_tokens);
	tcase_add_test(tcase, three_failures);
	tcase_add_test(tcase, right_after_two_wrong);
	tcase_add_test(tcase, delay_holds_up_nobody);
	tcase_add_test(tcase, end_within_a_delay);
	tcase_add_test(tcase, long_frame);
	tcase_add_test(tcase, long_frame_behind_auth);
	tcase_add_test(tcase, agent_that_is_held_up);
	tcase_add_test(tcase, silence);
	suite_add_tcase(suite, tcase);

	tcase = unit_counted_case("no token");
	tcase_add_checked_fixture(tcase, start_without, agent_stop_connected);
	tcase_add_test(tcase, none_asked_for);
	suite_add_tcase(suite, tcase);

	tcase = unit_counted_case("files");
	tcase_add_test(tcase, token_files);
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
