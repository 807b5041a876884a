/* Standard input of commands: none, bytes, and a stream of STDIN requests with its window. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/session.h"
#include "agent_harness.h"
#include "common/cleanup.h"
#include "common/util.h"
#include "proto/limits.h"
#include "unit.h"

static struct outcome outcome;

static void finish(void)
{
	outcome_free(&outcome);
}

static uint32_t start(const char *command)
{
	Provium__V1__Exec exec = PROVIUM__V1__EXEC__INIT;

	exec.has_shell = true;
	exec.shell = bytes_of(command);
	exec.has_stdin_kind = true;
	exec.stdin_kind = PROVIUM__V1__STDIN_KIND__STDIN_STREAM;
	return client_exec(&client, &exec);
}

/* As start; the command waits before it begins until let_go is called. */
static uint32_t start_waiting(const char *command)
{
	char text[600];

	snprintf(text, sizeof(text), "until [ -e %s ]; do sleep 0.01; done; %s", test_path("go"),
		 command);
	return start(text);
}

static void let_go(void)
{
	close(creat(test_path("go"), 0600));
}

/* The OK of a STDIN. */
static void expect_taken(uint32_t id, uint64_t bytes)
{
	const Provium__V1__Message *message = client_expect(&client, BODY(OK));

	ck_assert_uint_eq(message->id, id);
	ck_assert(message->ok->has_bytes);
	ck_assert_uint_eq(message->ok->bytes, bytes);
}

START_TEST(none)
{
	client_run(&client, "cat; echo end", &outcome);
	outcome_expect(&outcome, "end\n", "");
}
END_TEST

/* Less than a pipe holds, more than it holds, and nothing. */
START_TEST(bytes)
{
	static const size_t sizes[] = { 5, 4096, 65536, 65537, 5000000, 0 };
	size_t size = sizes[_i];
	cleanup_free uint8_t *input = malloc(size + 1);
	Provium__V1__Exec exec = PROVIUM__V1__EXEC__INIT;

	ck_assert_ptr_nonnull(input);
	for (size_t i = 0; i < size; i++)
		input[i] = (uint8_t)(i % 251);
	exec.has_shell = true;
	exec.shell = BYTES("cat");
	exec.has_input = size > 0;
	exec.input = (ProtobufCBinaryData){ size, input };
	exec.has_stdin_kind = true;
	exec.stdin_kind = PROVIUM__V1__STDIN_KIND__STDIN_BYTES;
	client_collect(&client, client_exec(&client, &exec), &outcome);
	outcome_expect_exit(&outcome, 0);
	ck_assert_uint_eq(outcome.size[0], size);
	ck_assert(size == 0 || memcmp(outcome.output[0], input, size) == 0);
}
END_TEST

/* A command that reads none of it, or a part, ends as it ends. */
START_TEST(bytes_unread)
{
	static const char *const commands[] = { "exit 3", "head -c 1 >/dev/null; exit 3",
						"exec <&-; sleep 0.1; exit 3" };
	cleanup_free uint8_t *input = calloc(1, 1000000);
	Provium__V1__Exec exec = PROVIUM__V1__EXEC__INIT;

	exec.has_shell = true;
	exec.shell = bytes_of(commands[_i]);
	exec.has_input = true;
	exec.input = (ProtobufCBinaryData){ 1000000, input };
	client_collect(&client, client_exec(&client, &exec), &outcome);
	outcome_expect_exit(&outcome, 3);
}
END_TEST

START_TEST(bytes_with_another_kind)
{
	Provium__V1__Exec exec = PROVIUM__V1__EXEC__INIT;

	exec.has_shell = true;
	exec.shell = BYTES("true");
	exec.has_input = true;
	exec.input = BYTES("text");
	exec.has_stdin_kind = true;
	exec.stdin_kind = _i;
	client_expect_error(&client, client_exec(&client, &exec), CODE(INVALID), "EXEC: input");
}
END_TEST

/* What commands have not read is held up to a limit, over all of them. */
START_TEST(bytes_held)
{
	cleanup_free uint8_t *input = calloc(1, MIB(8));
	Provium__V1__Exec exec = PROVIUM__V1__EXEC__INIT;
	uint32_t ids[2];

	exec.has_shell = true;
	exec.shell = BYTES("sleep 1000");
	exec.has_input = true;
	exec.input = (ProtobufCBinaryData){ MIB(8), input };
	for (int i = 0; i < 2; i++)
		ids[i] = client_exec(&client, &exec);
	client_expect_error(&client, client_exec(&client, &exec), CODE(LIMIT), "EXEC: input");
	client_expect_ok(&client, client_cancel(&client, ids[0]));
	ck_assert_uint_eq(client_expect(&client, BODY(EXEC_RESULT))->id, ids[0]);
	/* There is room again. */
	exec.shell = BYTES("exit 0");
	client_collect(&client, client_exec(&client, &exec), &outcome);
	outcome_expect_exit(&outcome, 0);
}
END_TEST

START_TEST(stream)
{
	uint32_t command = start("read -r line; echo \"<$line>\"; cat; echo end");

	expect_taken(client_stdin(&client, command, "one\n", 4, false), 4);
	ck_assert_uint_eq(client_expect(&client, BODY(OUTPUT))->output->data.len, 6);
	expect_taken(client_stdin(&client, command, NULL, 0, false), 0);
	expect_taken(client_stdin(&client, command, "two", 3, true), 3);
	ck_assert_uint_eq(client_expect(&client, BODY(OUTPUT))->output->offset, 6);
	for (;;) {
		const Provium__V1__Message *message = client_receive(&client);

		ck_assert_ptr_nonnull(message);
		if (message->body_case == BODY(OUTPUT))
			continue;
		ck_assert_int_eq(message->body_case, BODY(EXEC_RESULT));
		ck_assert_uint_eq(message->exec_result->stdout_bytes, strlen("<one>\ntwoend\n"));
		break;
	}
}
END_TEST

START_TEST(stream_after_its_end)
{
	uint32_t command = start("cat; sleep 100");

	expect_taken(client_stdin(&client, command, NULL, 0, true), 0);
	client_expect_error(&client, client_stdin(&client, command, "more", 4, false),
			    CODE(INVALID), "end has been sent");
}
END_TEST

START_TEST(stream_where_there_is_none)
{
	uint32_t command = client_shell(&client, "sleep 100");

	client_expect_error(&client, client_stdin(&client, command, "x", 1, false), CODE(INVALID),
			    "STDIN_STREAM");
	client_expect_error(&client, client_stdin(&client, command + 5, "x", 1, false),
			    CODE(NOT_FOUND), "");
}
END_TEST

/* A command that does not read: its window fills, and nobody else waits. */
START_TEST(window)
{
	static uint8_t data[PROVIUM_STDIN_WINDOW];
	uint32_t command = start_waiting("wc -c"), last;
	uint32_t ids[4];

	/* One pipe full is taken at once, the rest is what the window is for. */
	expect_taken(client_stdin(&client, command, data, KIB(64), false), KIB(64));
	for (int i = 0; i < 4; i++)
		ids[i] = client_stdin(&client, command, data, KIB(64), false);
	client_expect_error(&client, client_stdin(&client, command, data, 1, false), CODE(LIMIT),
			    "unanswered");
	client_ping(&client);
	client_run(&client, "echo beside", &outcome);
	outcome_expect(&outcome, "beside\n", "");
	outcome_free(&outcome);
	/* In order, when it reads. */
	let_go();
	for (int i = 0; i < 4; i++)
		expect_taken(ids[i], KIB(64));
	last = client_stdin(&client, command, data, 7, true);
	expect_taken(last, 7);
	client_collect(&client, command, &outcome);
	outcome_expect(&outcome, "327687\n", "");
}
END_TEST

START_TEST(more_than_the_window)
{
	static uint8_t data[PROVIUM_STDIN_WINDOW + 1];
	uint32_t command = start("cat >/dev/null");

	client_expect_error(&client, client_stdin(&client, command, data, sizeof(data), false),
			    CODE(LIMIT), "unanswered");
	expect_taken(client_stdin(&client, command, data, 1, true), 1);
	client_collect(&client, command, &outcome);
	outcome_expect_exit(&outcome, 0);
}
END_TEST

/* A reader that goes away, with input on its way. */
START_TEST(closed_by_the_command)
{
	static uint8_t data[PROVIUM_STDIN_WINDOW];
	uint32_t command = start("echo ready; sleep 0.2; exec <&-; echo closed; sleep 100"), id;

	client_expect(&client, BODY(OUTPUT));
	id = client_stdin(&client, command, data, sizeof(data), false);
	/* In whatever order the agent notices. */
	for (int i = 0; i < 2; i++) {
		const Provium__V1__Message *message = client_receive(&client);

		ck_assert_ptr_nonnull(message);
		if (message->body_case == BODY(OUTPUT))
			continue;
		ck_assert_int_eq(message->body_case, BODY(ERROR));
		ck_assert_uint_eq(message->id, id);
		ck_assert_int_eq(message->error->os_errno, EPIPE);
	}
	client_expect_os_error(&client, client_stdin(&client, command, "x", 1, false), EPIPE, "");
	/* The next finds no pipe at all. */
	client_expect_os_error(&client, client_stdin(&client, command, "x", 1, false), EPIPE, "");
}
END_TEST

/* Every STDIN has its answer before the EXEC_RESULT. */
START_TEST(unanswered_at_the_end)
{
	static uint8_t data[KIB(100)];
	uint32_t command = start_waiting("exit 2");
	uint32_t first = client_stdin(&client, command, data, sizeof(data), false);
	uint32_t second = client_stdin(&client, command, data, sizeof(data), true);

	client_ping(&client);
	let_go();
	client_expect_os_error(&client, first, EPIPE, "");
	client_expect_os_error(&client, second, EPIPE, "");
	client_collect(&client, command, &outcome);
	outcome_expect_exit(&outcome, 2);
}
END_TEST

/* All commands together have a limit, too. */
START_TEST(held_for_all)
{
	enum {
		COUNT = SESSION_MAX_INPUT / PROVIUM_STDIN_WINDOW
	};
	static uint8_t data[PROVIUM_STDIN_WINDOW];
	uint32_t command = 0;

	for (int i = 0; i < COUNT; i++) {
		command = start("sleep 1000");
		client_stdin(&client, command, data, sizeof(data), false);
	}
	client_ping(&client);
	command = start("sleep 1000");
	client_expect_error(&client, client_stdin(&client, command, data, sizeof(data), false),
			    CODE(LIMIT), "are held");
}
END_TEST

START_TEST(cannot_be_cancelled)
{
	static uint8_t data[KIB(100)];
	uint32_t command = start("sleep 1000");
	uint32_t id = client_stdin(&client, command, data, sizeof(data), false);

	client_expect_error(&client, client_cancel(&client, id), CODE(UNSUPPORTED),
			    "STDIN cannot be ended");
	client_expect_ok(&client, client_cancel(&client, command));
	client_expect_os_error(&client, id, EPIPE, "");
	client_collect(&client, command, &outcome);
}
END_TEST

START_TEST(connection_ends)
{
	static uint8_t data[KIB(200)];

	for (int i = 0; i < 20; i++) {
		struct client kept = client;

		client_connect(&client);
		client_stdin(&client, start("sleep 1000"), data, sizeof(data), false);
		usleep((useconds_t)i * 500);
		client_close(&client);
		client = kept;
	}
	eventually(client_info(&client).commands_running == 0);
}
END_TEST

/* 64 MiB through a command and back, as fast as the windows let it. */
START_TEST(through_and_back)
{
	enum {
		PIECES = 1024
	};
	static uint8_t data[KIB(64)];
	uint32_t command = start("cat");
	unsigned int sent = 0, answered = 0;
	uint64_t received = 0;
	bool same = true;

	for (;;) {
		const Provium__V1__Message *message;

		while (sent < PIECES && sent - answered < 4) {
			memset(data, (int)sent, sizeof(data));
			sent++;
			client_stdin(&client, command, data, sizeof(data), sent == PIECES);
		}
		message = client_receive(&client);
		ck_assert_ptr_nonnull(message);
		if (message->body_case == BODY(OK)) {
			answered++;
			continue;
		}
		if (message->body_case == BODY(EXEC_RESULT))
			break;
		ck_assert_int_eq(message->body_case, BODY(OUTPUT));
		for (size_t i = 0; i < message->output->data.len; i++)
			same &= message->output->data.data[i] ==
				(uint8_t)((received + i) / sizeof(data));
		received += message->output->data.len;
	}
	ck_assert(same);
	ck_assert_uint_eq(received, PIECES * sizeof(data));
	ck_assert_uint_eq(answered, PIECES);
}
END_TEST

static Suite *stdin_suite(void)
{
	Suite *suite = suite_create("agent: standard input");
	TCase *tcase = unit_counted_case("connected");

	tcase_add_checked_fixture(tcase, agent_start_connected, agent_stop_connected);
	tcase_add_checked_fixture(tcase, NULL, finish);
	tcase_add_test(tcase, none);
	tcase_add_loop_test(tcase, bytes, 0, 6);
	tcase_add_loop_test(tcase, bytes_unread, 0, 3);
	tcase_add_test(tcase, bytes_held);
	tcase_add_test(tcase, stream);
	tcase_add_test(tcase, stream_after_its_end);
	tcase_add_test(tcase, stream_where_there_is_none);
	tcase_add_test(tcase, window);
	tcase_add_test(tcase, more_than_the_window);
	tcase_add_test(tcase, closed_by_the_command);
	tcase_add_test(tcase, unanswered_at_the_end);
	tcase_add_test(tcase, cannot_be_cancelled);
	tcase_add_test(tcase, connection_ends);
	tcase_add_test(tcase, through_and_back);
	tcase_add_test(tcase, bytes_with_another_kind);
	tcase_add_test(tcase, held_for_all);
	tcase_set_timeout(tcase, 60);
	suite_add_tcase(suite, tcase);
	return suite;
}

int main(void)
{
	return unit_run(stdin_suite());
}
