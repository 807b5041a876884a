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

static void ready_script(struct fake *agent)
{
	fake_ready(agent);
	fake_expect_end(agent);
}

/* ------------------------------------------------------------------------------------------- */
/* Output and result */

struct captured {
	char text[2][64];
	size_t size[2];
};

static void capture(void *user, enum provium_stream stream, const void *data, size_t size)
{
	struct captured *captured = user;
	size_t i = stream - PROVIUM_STDOUT;

	ck_assert_uint_lt(captured->size[i] + size, sizeof(captured->text[i]));
	memcpy(captured->text[i] + captured->size[i], data, size);
	captured->size[i] += size;
}

static void result_script(struct fake *agent)
{
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__ExecResult body = PROVIUM__V1__EXEC_RESULT__INIT;
	Provium__V1__Rusage rusage = PROVIUM__V1__RUSAGE__INIT;

	fake_ready(agent);
	fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_EXEC);
	fake_output(agent, 0, PROVIUM__V1__STREAM__STREAM_STDOUT, 0, "one", 3);
	fake_output(agent, 0, PROVIUM__V1__STREAM__STREAM_STDERR, 0, "ERR", 3);
	fake_output(agent, 0, PROVIUM__V1__STREAM__STREAM_STDOUT, 3, "", 0);
	fake_output(agent, 0, PROVIUM__V1__STREAM__STREAM_STDOUT, 3, "two", 3);
	rusage.user_us = 1;
	rusage.system_us = 2;
	rusage.max_rss_kib = 3;
	rusage.minor_faults = 4;
	rusage.major_faults = 5;
	rusage.voluntary_switches = 6;
	rusage.involuntary_switches = 7;
	body.rusage = &rusage;
	body.outcome = PROVIUM__V1__OUTCOME__OUTCOME_SIGNALLED;
	body.has_signal = true;
	body.signal = 11;
	body.has_core_dumped = true;
	body.core_dumped = true;
	body.pid = 77;
	body.wall_ns = 88;
	body.stdout_bytes = 6;
	body.stderr_bytes = 9;
	body.has_stderr_truncated = true;
	body.stderr_truncated = true;
	body.has_pipes_held = true;
	body.pipes_held = true;
	message.has_id = true;
	message.id = agent->id;
	message.body_case = PROVIUM__V1__MESSAGE__BODY_EXEC_RESULT;
	message.exec_result = &body;
	fake_send(agent, &message);
	/* Its final reply was that: this belongs to nobody. */
	fake_output(agent, 0, PROVIUM__V1__STREAM__STREAM_STDOUT, 6, "late", 4);
	fake_send(agent, &message);
	fake_expect_end(agent);
}

START_TEST(test_result)
{
	struct captured captured = { 0 };
	struct provium_exec_options options = plain;
	struct provium_exec *exec;

	options.on_output = capture;
	options.user = &captured;
	connection = fake_connect(&fake, result_script);
	check_ok(provium_exec_start(connection, &options, &exec, &error));
	for (int i = 0; i < 2; i++) {
		memset(&result, 0xff, sizeof(result));
		check_ok(provium_exec_wait(exec, 5000, &result, &error));
		ck_assert_int_eq(result.outcome, PROVIUM_SIGNALLED);
		ck_assert_int_eq(result.signal, 11);
		ck_assert(result.core_dumped);
		ck_assert_int_eq(result.pid, 77);
		ck_assert_uint_eq(result.wall_ns, 88);
		ck_assert_uint_eq(result.user_us, 1);
		ck_assert_uint_eq(result.system_us, 2);
		ck_assert_uint_eq(result.max_rss_kib, 3);
		ck_assert_uint_eq(result.minor_faults, 4);
		ck_assert_uint_eq(result.major_faults, 5);
		ck_assert_uint_eq(result.voluntary_switches, 6);
		ck_assert_uint_eq(result.involuntary_switches, 7);
		ck_assert_uint_eq(result.stdout_bytes, 6);
		ck_assert_uint_eq(result.stderr_bytes, 9);
		ck_assert(!result.stdout_truncated);
		ck_assert(result.stderr_truncated);
		ck_assert(result.pipes_held);
	}
	provium_exec_free(exec);
	ck_assert_str_eq(captured.text[0], "onetwo");
	ck_assert_str_eq(captured.text[1], "ERR");
	disconnect();
}
END_TEST

/* Three commands whose messages are mixed; waited for in another order than they end. */
static void mixed_script(struct fake *agent)
{
	uint32_t ids[3];

	fake_ready(agent);
	for (size_t i = 0; i < 3; i++) {
		fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_EXEC);
		ids[i] = agent->id;
	}
	for (uint64_t at = 0; at < 20; at++)
		for (size_t i = 0; i < 3; i++)
			fake_output(agent, ids[i], PROVIUM__V1__STREAM__STREAM_STDOUT, at,
				    &"abc"[i], 1);
	for (size_t i = 3; i-- > 0;)
		fake_result(agent, ids[i], (uint32_t)i, 20, 0);
	fake_expect_end(agent);
}

START_TEST(test_mixed)
{
	struct captured captured[3] = { 0 };
	struct provium_exec_options options = plain;
	struct provium_exec *exec[3];

	connection = fake_connect(&fake, mixed_script);
	options.on_output = capture;
	for (size_t i = 0; i < 3; i++) {
		options.user = &captured[i];
		check_ok(provium_exec_start(connection, &options, &exec[i], &error));
	}
	for (size_t i = 0; i < 3; i++) {
		check_ok(provium_exec_wait(exec[i], 5000, &result, &error));
		ck_assert_int_eq(result.exit_code, (int)i);
		ck_assert_uint_eq(captured[i].size[0], 20);
		ck_assert_uint_eq(strspn(captured[i].text[0], i == 0   ? "a"
							      : i == 1 ? "b"
								       : "c"),
				  20);
		provium_exec_free(exec[i]);
	}
	disconnect();
}
END_TEST

static void missing_script(struct fake *agent)
{
	fake_ready(agent);
	fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_EXEC);
	fake_error(agent, 0, PROVIUM__V1__ERROR_CODE__ERROR_OS, 2, "ENOENT", "execve",
		   "EXEC: no \"program\": No such file or directory");
	fake_expect_end(agent);
}

START_TEST(test_missing_program)
{
	struct provium_exec *exec;

	connection = fake_connect(&fake, missing_script);
	check_ok(provium_exec_start(connection, &plain, &exec, &error));
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(provium_exec_wait(exec, 5000, &result, &error), -1);
		check_error(PROVIUM_GUEST,
			    "EXEC: no \"program\": No such file or directory (execve: ENOENT)");
		ck_assert_int_eq(error.os_errno, 2);
		ck_assert_str_eq(error.operation, "execve");
	}
	ck_assert(provium_exec_done(exec));
	ck_assert_int_eq(provium_exec_signal(exec, 9, false, 5000, &error), -1);
	check_error(PROVIUM_NOT_FOUND, "has ended");
	check_ok(provium_exec_cancel(exec, &error));
	provium_exec_free(exec);
	disconnect();
}
END_TEST

/* What take_result and take_output must refuse, each a change to a good result. */
struct wrong {
	const char *why;
	void (*change)(Provium__V1__ExecResult *body);
	Provium__V1__Stream stream;
	uint64_t offset;
};

static void no_code(Provium__V1__ExecResult *body)
{
	body->has_exit_code = false;
}

static void large_code(Provium__V1__ExecResult *body)
{
	body->exit_code = 256;
}

static void no_signal(Provium__V1__ExecResult *body)
{
	body->outcome = PROVIUM__V1__OUTCOME__OUTCOME_SIGNALLED;
}

static void large_signal(Provium__V1__ExecResult *body)
{
	body->has_signal = true;
	body->signal = 0x80000000u;
}

static void other_outcome(Provium__V1__ExecResult *body)
{
	body->outcome = (Provium__V1__Outcome)99;
}

static void lost_output(Provium__V1__ExecResult *body)
{
	body->stdout_bytes = 4;
}

static void too_much_output(Provium__V1__ExecResult *body)
{
	body->stdout_bytes = 2;
	body->has_stdout_truncated = true;
	body->stdout_truncated = true;
}

static void lost_errors(Provium__V1__ExecResult *body)
{
	body->stderr_bytes = 1;
}

static void nothing(Provium__V1__ExecResult *body)
{
	(void)body;
}

static const struct wrong wrongs[] = {
	{ "exit code", no_code, PROVIUM__V1__STREAM__STREAM_STDOUT, 0 },
	{ "exit code 256", large_code, PROVIUM__V1__STREAM__STREAM_STDOUT, 0 },
	{ "signal 0", no_signal, PROVIUM__V1__STREAM__STREAM_STDOUT, 0 },
	{ "signal 2147483648", large_signal, PROVIUM__V1__STREAM__STREAM_STDOUT, 0 },
	{ "outcome 99", other_outcome, PROVIUM__V1__STREAM__STREAM_STDOUT, 0 },
	{ "it wrote 4 and 0", lost_output, PROVIUM__V1__STREAM__STREAM_STDOUT, 0 },
	{ "it wrote 2 and 0", too_much_output, PROVIUM__V1__STREAM__STREAM_STDOUT, 0 },
	{ "it wrote 3 and 1", lost_errors, PROVIUM__V1__STREAM__STREAM_STDOUT, 0 },
	{ "offset 1 where 0", nothing, PROVIUM__V1__STREAM__STREAM_STDOUT, 1 },
	{ "offset 18446744073709551615", nothing, PROVIUM__V1__STREAM__STREAM_STDOUT, UINT64_MAX },
	{ "stream 3", nothing, (Provium__V1__Stream)3, 0 },
	{ "stream 0", nothing, (Provium__V1__Stream)0, 0 },
	{ "stream -1", nothing, (Provium__V1__Stream)-1, 0 },
};

static void wrong_script(struct fake *agent)
{
	const struct wrong *wrong = agent->data;
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__ExecResult body = PROVIUM__V1__EXEC_RESULT__INIT;
	Provium__V1__Rusage rusage = PROVIUM__V1__RUSAGE__INIT;

	fake_ready(agent);
	fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_EXEC);
	fake_output(agent, 0, wrong->stream, wrong->offset, "out", 3);
	body.rusage = &rusage;
	body.outcome = PROVIUM__V1__OUTCOME__OUTCOME_EXITED;
	body.has_exit_code = true;
	body.stdout_bytes = 3;
	wrong->change(&body);
	message.has_id = true;
	message.id = agent->id;
	message.body_case = PROVIUM__V1__MESSAGE__BODY_EXEC_RESULT;
	message.exec_result = &body;
	fake_send(agent, &message);
}

START_TEST(test_wrong_reply)
{
	fake.data = &wrongs[_i];
	connection = fake_connect(&fake, wrong_script);
	ck_assert_int_eq(provium_exec_run(connection, &plain, 0, 5000, &result, NULL, NULL, &error),
			 -1);
	check_error(PROVIUM_PROTOCOL, "broke the protocol in its reply to \"exec\"");
	check_error(PROVIUM_PROTOCOL, wrongs[_i].why);
	disconnect();
}
END_TEST

static void use_connection(void *user, enum provium_stream stream, const void *data, size_t size)
{
	struct provium_error refusal;

	(void)stream;
	(void)data;
	(void)size;
	ck_assert_int_eq(provium_ping(connection, 5000, &refusal), -1);
	ck_assert_int_eq(refusal.code, PROVIUM_INVALID);
	ck_assert_ptr_nonnull(strstr(refusal.message, "callback"));
	ck_assert_int_eq(provium_connection_dispatch(connection, 5000, &refusal), -1);
	ck_assert_int_eq(refusal.code, PROVIUM_INVALID);
	(*(int *)user)++;
}

static void callback_script(struct fake *agent)
{
	uint32_t id;

	fake_ready(agent);
	fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_EXEC);
	id = agent->id;
	fake_output(agent, id, PROVIUM__V1__STREAM__STREAM_STDOUT, 0, "x", 1);
	fake_result(agent, id, 0, 1, 0);
	fake_expect_end(agent);
}

START_TEST(test_call_in_callback)
{
	struct provium_exec_options options = plain;
	struct provium_exec *exec;
	int calls = 0;

	options.on_output = use_connection;
	options.user = &calls;
	connection = fake_connect(&fake, callback_script);
	check_ok(provium_exec_start(connection, &options, &exec, &error));
	check_ok(provium_exec_wait(exec, 5000, &result, &error));
	ck_assert_int_eq(calls, 1);
	provium_exec_free(exec);
	disconnect();
}
END_TEST

/* ------------------------------------------------------------------------------------------- */
/* Ending a command */

static void cancel_script(struct fake *agent)
{
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__ExecResult body = PROVIUM__V1__EXEC_RESULT__INIT;
	Provium__V1__Rusage rusage = PROVIUM__V1__RUSAGE__INIT;
	const Provium__V1__Message *request;
	uint32_t id;

	fake_ready(agent);
	fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_EXEC);
	id = agent->id;
	request = fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_SIGNAL);
	fake_check(agent, request->signal->target->request == id);
	fake_check(agent, request->signal->signal == 15 && request->signal->group);
	fake_ok(agent, 0, -1);
	request = fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_SIGNAL);
	fake_check(agent, request->signal->signal == 999 && !request->signal->group);
	fake_error(agent, 0, PROVIUM__V1__ERROR_CODE__ERROR_OS, 22, "EINVAL", "kill", "no such");
	request = fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_CANCEL);
	fake_check(agent, request->cancel->request == id);
	body.rusage = &rusage;
	body.outcome = PROVIUM__V1__OUTCOME__OUTCOME_CANCELLED;
	body.has_signal = true;
	body.signal = 9;
	body.stdout_bytes = 100;
	message.has_id = true;
	message.id = id;
	message.body_case = PROVIUM__V1__MESSAGE__BODY_EXEC_RESULT;
	message.exec_result = &body;
	fake_send(agent, &message);
	fake_ok(agent, 0, -1);
	fake_expect_end(agent);
}

START_TEST(test_signal_and_cancel)
{
	struct provium_exec *exec;

	connection = fake_connect(&fake, cancel_script);
	check_ok(provium_exec_start(connection, &plain, &exec, &error));
	check_ok(provium_exec_signal(exec, 15, true, 5000, &error));
	ck_assert_int_eq(provium_exec_signal(exec, 999, false, 5000, &error), -1);
	check_error(PROVIUM_GUEST, "program: no such (kill: EINVAL)");
	ck_assert_int_eq(provium_exec_signal(exec, -1, false, 5000, &error), -1);
	check_error(PROVIUM_INVALID, "no signal -1");
	ck_assert(!provium_exec_done(exec));
	check_ok(provium_exec_cancel(exec, &error));
	check_ok(provium_exec_wait(exec, 5000, &result, &error));
	ck_assert_int_eq(result.outcome, PROVIUM_EXEC_CANCELLED);
	ck_assert_int_eq(result.signal, 9);
	provium_exec_free(exec);
	disconnect();
}
END_TEST

/* Waiting longer than its timeout leaves the command; freeing the handle ends it. */
static void freed_script(struct fake *agent)
{
	uint32_t id;

	fake_ready(agent);
	fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_EXEC);
	id = agent->id;
	fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_PING);
	fake_pong(agent, 0);
	fake_check(agent,
		   fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_CANCEL)->cancel->request == id);
	fake_output(agent, id, PROVIUM__V1__STREAM__STREAM_STDOUT, 0, "late", 4);
	fake_result(agent, id, 0, 4, 0);
	fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_PING);
	fake_pong(agent, 0);
	fake_expect_end(agent);
}

START_TEST(test_free_while_running)
{
	struct provium_exec *exec;

	connection = fake_connect(&fake, freed_script);
	check_ok(provium_exec_start(connection, &plain, &exec, &error));
	ck_assert_int_eq(provium_exec_wait(exec, 30, &result, &error), -1);
	check_error(PROVIUM_TIMED_OUT, "program: exec: timed out after 30 ms");
	ck_assert_int_eq(provium_exec_wait(exec, 0, &result, &error), -1);
	check_error(PROVIUM_TIMED_OUT, "timed out");
	check_ok(provium_ping(connection, 5000, &error));
	provium_exec_free(exec);
	provium_exec_free(NULL);
	check_ok(provium_ping(connection, 5000, &error));
	ck_assert_uint_eq(connection->strays, 2);
	disconnect();
}
END_TEST

static void run_timeout_script(struct fake *agent)
{
	uint32_t id;

	fake_ready(agent);
	fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_EXEC);
	id = agent->id;
	fake_output(agent, 0, PROVIUM__V1__STREAM__STREAM_STDOUT, 0, "some", 4);
	fake_check(agent,
		   fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_CANCEL)->cancel->request == id);
	fake_expect_end(agent);
}

START_TEST(test_run_timeout)
{
	struct provium_buffer out = { NULL, 1 };

	connection = fake_connect(&fake, run_timeout_script);
	ck_assert_int_eq(provium_exec_run(connection, &plain, 0, 50, &result, &out, NULL, &error),
			 -1);
	check_error(PROVIUM_TIMED_OUT, "program: exec: timed out after 50 ms");
	ck_assert_ptr_null(out.data);
	disconnect();
}
END_TEST

/* ------------------------------------------------------------------------------------------- */
/* Output in memory */

static void run_script(struct fake *agent)
{
	fake_ready(agent);
	fake_check(agent, fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_EXEC)->exec->output_limit ==
				  (uint64_t)agent->number);
	fake_output(agent, 0, PROVIUM__V1__STREAM__STREAM_STDOUT, 0, "0123456789", 10);
	fake_output(agent, 0, PROVIUM__V1__STREAM__STREAM_STDERR, 0, "err", 3);
	fake_result(agent, 0, 5, 10, 3);
	fake_expect_end(agent);
}

START_TEST(test_run)
{
	struct provium_buffer out;
	struct provium_buffer err;

	fake.number = 16 << 20;
	connection = fake_connect(&fake, run_script);
	check_ok(provium_exec_run(connection, &plain, 0, 5000, &result, &out, &err, &error));
	ck_assert_int_eq(result.outcome, PROVIUM_EXITED);
	ck_assert_int_eq(result.exit_code, 5);
	ck_assert(!result.stdout_truncated);
	ck_assert_uint_eq(out.size, 10);
	ck_assert_str_eq(out.data, "0123456789");
	ck_assert_uint_eq(err.size, 3);
	ck_assert_str_eq(err.data, "err");
	free(out.data);
	free(err.data);
	disconnect();
}
END_TEST

/* Also from an agent that does not mind the limit it was given. */
START_TEST(test_run_limit)
{
	struct provium_buffer out;
	struct provium_buffer err;

	fake.number = 4;
	connection = fake_connect(&fake, run_script);
	check_ok(provium_exec_run(connection, &plain, 4, 5000, &result, &out, &err, &error));
	ck_assert_str_eq(out.data, "0123");
	ck_assert(result.stdout_truncated);
	ck_assert_str_eq(err.data, "err");
	ck_assert(!result.stderr_truncated);
	free(out.data);
	free(err.data);
	disconnect();
}
END_TEST

START_TEST(test_run_streamed)
{
	const struct provium_exec_options options = {
		.argv = argv,
		.stdin_kind = PROVIUM_STDIN_STREAM,
	};

	connection = fake_connect(&fake, ready_script);
	ck_assert_int_eq(
		provium_exec_run(connection, &options, 0, 5000, &result, NULL, NULL, &error), -1);
	check_error(PROVIUM_INVALID, "nobody to stream");
	disconnect();
}
END_TEST

START_TEST(test_run_without_buffers)
{
	fake.number = 4;
	connection = fake_connect(&fake, run_script);
	check_ok(provium_exec_run(connection, &plain, 4, 5000, NULL, NULL, NULL, NULL));
	disconnect();
}
END_TEST

static TCase *output_cases(void)
{
	TCase *tcase = unit_counted_case("output");

	tcase_add_test(tcase, test_result);
	tcase_add_test(tcase, test_mixed);
	tcase_add_test(tcase, test_missing_program);
	tcase_add_loop_test(tcase, test_wrong_reply, 0, ARRAY_SIZE(wrongs));
	tcase_add_test(tcase, test_call_in_callback);
	tcase_add_test(tcase, test_run);
	tcase_add_test(tcase, test_run_limit);
	tcase_add_test(tcase, test_run_streamed);
	tcase_add_test(tcase, test_run_without_buffers);
	return tcase;
}

static TCase *end_cases(void)
{
	TCase *tcase = unit_counted_case("end");

	tcase_add_test(tcase, test_signal_and_cancel);
	tcase_add_test(tcase, test_free_while_running);
	tcase_add_test(tcase, test_run_timeout);
	return tcase;
}

int main(void)
{
	Suite *suite = suite_create("lib-exec");

	suite_add_tcase(suite, output_cases());
	suite_add_tcase(suite, end_cases());
	return unit_run(suite);
}
