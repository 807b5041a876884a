/* Commands: output, results, standard input, signals, cancelling; and agents that get them wrong.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/util.h"
#include "host/lib/connection.h"
#include "lib_fake.h"
#include "proto/limits.h"
#include "unit.h"

static struct fake fake;
static struct provium_connection *connection;
static struct provium_exec_result result;

static const char *const argv[] = { "program", "argument", NULL };
static const struct provium_exec_options plain = { .argv = argv };

static void disconnect(void)
{
	provium_connection_free(connection);
	fake_finish(&fake);
}

static const struct provium_exec_options streamed = {
	.argv = argv,
	.stdin_kind = PROVIUM_STDIN_STREAM,
};

/* Takes nothing until a PING comes, then answers what it got. */
static void window_script(struct fake *agent)
{
	uint32_t ids[64];
	uint64_t sizes[64];
	size_t count = 0;
	uint64_t total = 0;
	uint32_t command;
	const Provium__V1__Message *request;

	fake_ready(agent);
	fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_EXEC);
	command = agent->id;
	while ((request = fake_receive(agent)) &&
	       request->body_case == PROVIUM__V1__MESSAGE__BODY_STDIN_DATA) {
		fake_check(agent, request->stdin_data->target->request == command);
		fake_check(agent, count < ARRAY_SIZE(ids));
		ids[count] = agent->id;
		sizes[count] = request->stdin_data->data.len;
		total += sizes[count++];
	}
	fake_check(agent, request && request->body_case == PROVIUM__V1__MESSAGE__BODY_PING);
	fake_check(agent, total == (uint64_t)agent->number);
	fake_pong(agent, 0);
	for (size_t i = 0; i < count; i++)
		fake_ok(agent, ids[i], (int64_t)sizes[i]);
	request = fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_STDIN_DATA);
	fake_check(agent, request->stdin_data->data.len == 5 && !request->stdin_data->eof);
	fake_ok(agent, 0, 5);
	request = fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_STDIN_DATA);
	fake_check(agent, request->stdin_data->data.len == 0 && request->stdin_data->eof);
	fake_ok(agent, 0, 0);
	fake_result(agent, command, 0, 0, 0);
	fake_expect_end(agent);
}

START_TEST(test_stdin_window)
{
	static char data[KIB(300)];
	struct provium_exec *exec;

	fake.number = PROVIUM_STDIN_WINDOW;
	connection = fake_connect(&fake, window_script);
	check_ok(provium_exec_start(connection, &streamed, &exec, &error));
	ck_assert_uint_eq(provium_exec_writable(exec), PROVIUM_STDIN_WINDOW);
	check_ok(provium_exec_write(exec, data, KIB(100), 5000, &error));
	ck_assert_uint_eq(provium_exec_writable(exec), PROVIUM_STDIN_WINDOW - KIB(100));
	/* No more than the window is sent. */
	ck_assert_int_eq(provium_exec_write(exec, data, KIB(300), 50, &error), -1);
	check_error(PROVIUM_TIMED_OUT, "program: standard input: timed out");
	ck_assert_uint_eq(provium_exec_writable(exec), 0);
	check_ok(provium_ping(connection, 5000, &error));
	check_ok(provium_exec_write(exec, "hello", 5, 5000, &error));
	while (provium_exec_writable(exec) < PROVIUM_STDIN_WINDOW)
		check_ok(provium_connection_dispatch(connection, 5000, &error));
	check_ok(provium_exec_close_stdin(exec, &error));
	check_ok(provium_exec_close_stdin(exec, &error));
	ck_assert_int_eq(provium_exec_write(exec, "x", 1, 5000, &error), -1);
	check_error(PROVIUM_INVALID, "closed already");
	check_ok(provium_exec_wait(exec, 5000, &result, &error));
	provium_exec_free(exec);
	disconnect();
}
END_TEST

/* Single bytes are bounded by their number, not by the window. */
START_TEST(test_stdin_small_writes)
{
	struct provium_exec *exec;
	int count = 0;

	fake.number = 16;
	connection = fake_connect(&fake, window_script);
	check_ok(provium_exec_start(connection, &streamed, &exec, &error));
	while (provium_exec_write(exec, "x", 1, 20, &error) == 0)
		count++;
	check_error(PROVIUM_TIMED_OUT, "timed out");
	ck_assert_int_eq(count, 16);
	ck_assert_uint_eq(provium_exec_writable(exec), 0);
	check_ok(provium_ping(connection, 5000, &error));
	check_ok(provium_exec_write(exec, "hello", 5, 5000, &error));
	check_ok(provium_exec_close_stdin(exec, &error));
	check_ok(provium_exec_wait(exec, 5000, &result, &error));
	provium_exec_free(exec);
	disconnect();
}
END_TEST

static void epipe_script(struct fake *agent)
{
	uint32_t command;

	fake_ready(agent);
	fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_EXEC);
	command = agent->id;
	fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_STDIN_DATA);
	if (agent->number)
		fake_error(agent, 0, PROVIUM__V1__ERROR_CODE__ERROR_NOT_FOUND, 0, NULL, NULL,
			   "no such request");
	else
		fake_error(agent, 0, PROVIUM__V1__ERROR_CODE__ERROR_OS, 32, "EPIPE", "write",
			   "Broken pipe");
	fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_PING);
	fake_pong(agent, 0);
	fake_result(agent, command, 1, 0, 0);
	fake_expect_end(agent);
}

START_TEST(test_stdin_epipe)
{
	struct provium_exec *exec;

	fake.number = _i;
	connection = fake_connect(&fake, epipe_script);
	check_ok(provium_exec_start(connection, &streamed, &exec, &error));
	check_ok(provium_exec_write(exec, "hello", 5, 5000, &error));
	while (provium_exec_write(exec, "", 0, 0, &error) == 0 &&
	       provium_exec_writable(exec) != PROVIUM_STDIN_WINDOW)
		check_ok(provium_connection_dispatch(connection, 5000, &error));
	ck_assert_int_eq(provium_exec_write(exec, "more", 4, 5000, &error), -1);
	check_error(PROVIUM_GUEST, "EPIPE");
	ck_assert_int_eq(error.os_errno, EPIPE);
	ck_assert_uint_gt(provium_exec_writable(exec), 0);
	/* Nobody has to hear of the end any more. */
	check_ok(provium_exec_close_stdin(exec, &error));
	check_ok(provium_ping(connection, 5000, &error));
	check_ok(provium_exec_wait(exec, 5000, &result, &error));
	ck_assert_int_eq(result.exit_code, 1);
	provium_exec_free(exec);
	disconnect();
}
END_TEST

static void quick_end_script(struct fake *agent)
{
	fake_ready(agent);
	fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_EXEC);
	fake_result(agent, 0, 0, 0, 0);
	fake_expect_end(agent);
}

START_TEST(test_write_after_end)
{
	struct provium_exec *exec;

	connection = fake_connect(&fake, quick_end_script);
	check_ok(provium_exec_start(connection, &streamed, &exec, &error));
	check_ok(provium_exec_wait(exec, 5000, &result, &error));
	ck_assert_uint_gt(provium_exec_writable(exec), 0);
	ck_assert_int_eq(provium_exec_write(exec, "x", 1, 5000, &error), -1);
	check_error(PROVIUM_GUEST, "the command has ended (EPIPE)");
	ck_assert_int_eq(error.os_errno, EPIPE);
	check_ok(provium_exec_close_stdin(exec, &error));
	provium_exec_free(exec);

	disconnect();
}
END_TEST

START_TEST(test_write_without_stream)
{
	struct provium_exec *exec;

	connection = fake_connect(&fake, quick_end_script);
	check_ok(provium_exec_start(connection, &plain, &exec, &error));
	ck_assert_int_eq(provium_exec_write(exec, "x", 1, 5000, &error), -1);
	check_error(PROVIUM_INVALID, "no stream");
	ck_assert_int_eq(provium_exec_close_stdin(exec, &error), -1);
	check_error(PROVIUM_INVALID, "no stream");
	check_ok(provium_exec_wait(exec, 5000, &result, &error));
	provium_exec_free(exec);
	disconnect();
}
END_TEST

/* More bytes taken than were sent. */
static void wrong_credit_script(struct fake *agent)
{
	fake_ready(agent);
	fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_EXEC);
	fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_STDIN_DATA);
	fake_ok(agent, 0, 6);
	fake_expect_end(agent);
}

START_TEST(test_wrong_credit)
{
	struct provium_exec *exec;

	connection = fake_connect(&fake, wrong_credit_script);
	check_ok(provium_exec_start(connection, &streamed, &exec, &error));
	check_ok(provium_exec_write(exec, "hello", 5, 5000, &error));
	ck_assert_int_eq(provium_exec_wait(exec, 5000, &result, &error), -1);
	check_error(PROVIUM_PROTOCOL, "6 bytes taken of 5");
	ck_assert_int_eq(provium_exec_write(exec, "x", 1, 5000, &error), -1);
	check_error(PROVIUM_PROTOCOL, "6 bytes taken of 5");
	provium_exec_free(exec);
	disconnect();
}
END_TEST

/* The answers to input whose command's handle is gone already belong to nobody. */
static void late_credit_script(struct fake *agent)
{
	uint32_t command, piece, end, ping;

	fake_ready(agent);
	fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_EXEC);
	command = agent->id;
	fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_STDIN_DATA);
	piece = agent->id;
	fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_STDIN_DATA);
	end = agent->id;
	fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_CANCEL);
	fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_PING);
	ping = agent->id;
	fake_ok(agent, piece, 5);
	fake_error(agent, end, PROVIUM__V1__ERROR_CODE__ERROR_OS, 32, "EPIPE", "write", "no");
	fake_result(agent, command, 0, 0, 0);
	fake_pong(agent, ping);
	fake_expect_end(agent);
}

START_TEST(test_free_with_input_in_flight)
{
	struct provium_exec *exec;

	connection = fake_connect(&fake, late_credit_script);
	check_ok(provium_exec_start(connection, &streamed, &exec, &error));
	check_ok(provium_exec_write(exec, "hello", 5, 5000, &error));
	check_ok(provium_exec_close_stdin(exec, &error));
	provium_exec_free(exec);
	/* All that could point into the handle is out of the table. */
	for (size_t i = 0; i < CONNECTION_BUCKETS; i++)
		ck_assert(list_empty(&connection->requests[i]));
	check_ok(provium_ping(connection, 5000, &error));
	ck_assert_uint_eq(connection->strays, 3);
	disconnect();
}
END_TEST

/* provium_exec_run streams input that no message could hold; this agent takes some and ends. */
static void large_input_script(struct fake *agent)
{
	const Provium__V1__Message *request;
	uint64_t total = 0;
	uint32_t command;

	fake_ready(agent);
	request = fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_EXEC);
	fake_check(agent, !request->exec->has_input);
	command = agent->id;
	for (;;) {
		request = fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_STDIN_DATA);
		total += request->stdin_data->data.len;
		if (agent->number && total >= (uint64_t)agent->number) {
			fake_error(agent, 0, PROVIUM__V1__ERROR_CODE__ERROR_OS, 32, "EPIPE",
				   "write", "Broken pipe");
			break;
		}
		fake_ok(agent, 0, (int64_t)request->stdin_data->data.len);
		if (request->stdin_data->eof)
			break;
	}
	fake_check(agent, agent->number || total == MIB(20));
	fake_result(agent, command, 9, 0, 0);
	while (fake_receive(agent))
		continue;
}

START_TEST(test_large_input)
{
	char *input = calloc(1, MIB(20));
	struct provium_exec_options options = plain;

	options.input = input;
	options.input_size = MIB(20);
	fake.number = _i ? MIB(5) : 0;
	connection = fake_connect(&fake, large_input_script);
	check_ok(provium_exec_run(connection, &options, 0, 20000, &result, NULL, NULL, &error));
	ck_assert_int_eq(result.exit_code, 9);
	free(input);
	disconnect();
}
END_TEST

static TCase *stdin_cases(void)
{
	TCase *tcase = unit_counted_case("stdin");

	tcase_set_timeout(tcase, 30);
	tcase_add_test(tcase, test_stdin_window);
	tcase_add_test(tcase, test_stdin_small_writes);
	tcase_add_loop_test(tcase, test_stdin_epipe, 0, 2);
	tcase_add_test(tcase, test_write_after_end);
	tcase_add_test(tcase, test_write_without_stream);
	tcase_add_test(tcase, test_wrong_credit);
	tcase_add_test(tcase, test_free_with_input_in_flight);
	tcase_add_loop_test(tcase, test_large_input, 0, 2);
	return tcase;
}

int main(void)
{
	Suite *suite = suite_create("lib-stdin");

	suite_add_tcase(suite, stdin_cases());
	return unit_run(suite);
}
