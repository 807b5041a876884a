/* STDIN, SIGNAL and RESIZE for jobs, from whatever connection. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/session.h"
#include "agent_jobs.h"
#include "common/cleanup.h"
#include "common/util.h"
#include "unit.h"

static Provium__V1__Target target_job(uint64_t job)
{
	Provium__V1__Target target = PROVIUM__V1__TARGET__INIT;

	target.target_case = PROVIUM__V1__TARGET__TARGET_JOB;
	target.job = job;
	return target;
}

static Provium__V1__Target target_name(const char *name)
{
	Provium__V1__Target target = PROVIUM__V1__TARGET__INIT;

	target.target_case = PROVIUM__V1__TARGET__TARGET_JOB_NAME;
	target.job_name = bytes_of(name);
	return target;
}

static uint32_t send_stdin(struct client *to, Provium__V1__Target target, const void *data,
			   size_t size, bool eof)
{
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__Stdin body = PROVIUM__V1__STDIN__INIT;

	body.target = &target;
	body.has_data = size > 0;
	body.data = (ProtobufCBinaryData){ size, (uint8_t *)(uintptr_t)data };
	body.has_eof = eof;
	body.eof = eof;
	message.body_case = BODY(STDIN_DATA);
	message.stdin_data = &body;
	return client_send(to, &message);
}

static uint32_t send_text(struct client *to, Provium__V1__Target target, const char *text, bool eof)
{
	return send_stdin(to, target, text, strlen(text), eof);
}

static uint32_t send_signal(Provium__V1__Target target, unsigned int number, bool group)
{
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__Signal body = PROVIUM__V1__SIGNAL__INIT;

	body.target = &target;
	body.has_signal = true;
	body.signal = number;
	body.has_group = group;
	body.group = group;
	message.body_case = BODY(SIGNAL);
	message.signal = &body;
	return client_send(&client, &message);
}

static uint32_t send_resize(Provium__V1__Target target, unsigned int rows, unsigned int cols)
{
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__Resize body = PROVIUM__V1__RESIZE__INIT;

	body.target = &target;
	body.has_rows = rows != 0;
	body.rows = rows;
	body.has_cols = cols != 0;
	body.cols = cols;
	message.body_case = BODY(RESIZE);
	message.resize = &body;
	return client_send(&client, &message);
}

/* Waits for the job. */
static void collect_job(uint64_t job)
{
	collect(wait_job(&client, job_number(job), ABSENT, true));
}

START_TEST(input)
{
	uint64_t job = start_stream_job(&client, "cat; echo end", "reader");

	client_expect_ok(&client, send_text(&client, target_job(job), "one\n", false));
	client_expect_ok(&other, send_text(&other, target_name("reader"), "two\n", true));
	client_expect_error(&other, send_text(&other, target_job(job), "three", false),
			    CODE(INVALID), "end has been sent");
	collect_job(job);
	outcome_expect(&outcome.outcome, "one\ntwo\nend\n", "");
	client_expect_error(&client, send_text(&client, target_job(job), "x", false),
			    CODE(NOT_FOUND), "STDIN: there is no job");
}
END_TEST

/* What was accepted is delivered, though nobody is there to be told. */
START_TEST(outlives_its_connection)
{
	static uint8_t data[PROVIUM_STDIN_WINDOW];
	uint64_t job = start_stream_job(&client, waiting("true", "wc -c"), NULL);

	/* More than a pipe holds. */
	send_stdin(&other, target_job(job), data, sizeof(data), true);
	client_ping(&other);
	client_close(&other);
	eventually(client_info(&client).connections == 1);
	let_go();
	collect_job(job);
	outcome_expect(&outcome.outcome, "262144\n", "");
	client_connect(&other);
}
END_TEST

/* Connections that come and go: what they have sent counts for the next ones. */
START_TEST(from_many_connections)
{
	static uint8_t data[KIB(64)];
	uint64_t job = start_stream_job(&client, waiting("true", "wc -c"), "sink");

	/* One pipe full, and the window. */
	for (int i = 0; i < 5; i++) {
		send_stdin(&other, target_name("sink"), data, sizeof(data), false);
		eventually(client_info(&client).connections == 2);
		client_close(&other);
		eventually(client_info(&client).connections == 1);
		client_connect(&other);
	}
	client_expect_error(&other, send_text(&other, target_name("sink"), "x", true), CODE(LIMIT),
			    "unanswered");
	let_go();
	client_expect_ok(&other, send_stdin(&other, target_name("sink"), NULL, 0, true));
	collect_job(job);
	outcome_expect(&outcome.outcome, "327680\n", "");
}
END_TEST

START_TEST(window)
{
	static uint8_t data[PROVIUM_STDIN_WINDOW];
	uint64_t job = start_stream_job(&client, waiting("true", "wc -c"), NULL);
	uint32_t ids[2];

	/* A pipe full is taken; then the window fills from two sides. */
	client_expect_ok(&client, send_stdin(&client, target_job(job), data, KIB(64), false));
	ids[0] = send_stdin(&client, target_job(job), data, KIB(128), false);
	ids[1] = send_stdin(&other, target_job(job), data, KIB(128), false);
	client_ping(&other);
	client_expect_error(&client, send_stdin(&client, target_job(job), data, 1, false),
			    CODE(LIMIT), "unanswered");
	client_expect_error(&client, client_cancel(&client, ids[0]), CODE(UNSUPPORTED), "STDIN");
	let_go();
	client_expect_ok(&client, ids[0]);
	client_expect_ok(&other, ids[1]);
	client_expect_ok(&client, send_stdin(&client, target_job(job), NULL, 0, true));
	collect_job(job);
	outcome_expect(&outcome.outcome, "327680\n", "");
}
END_TEST

/* What jobs have not read is held up to a limit of their own, over all connections. */
START_TEST(held_for_all)
{
	Provium__V1__ExecAsync request = PROVIUM__V1__EXEC_ASYNC__INIT;
	Provium__V1__Exec exec = PROVIUM__V1__EXEC__INIT;
	cleanup_free uint8_t *data = calloc(1, MIB(8));
	uint64_t jobs[2];

	exec.has_shell = true;
	exec.shell = BYTES("sleep 1000");
	exec.has_input = true;
	exec.input = (ProtobufCBinaryData){ MIB(8), data };
	request.command = &exec;
	jobs[0] = job_started(&client, send_job_request(&client, &request));
	jobs[1] = job_started(&other, send_job_request(&other, &request));
	client_expect_error(&client, send_job_request(&client, &request), CODE(LIMIT),
			    "input: no memory, or more than");
	/* An EXEC's is another matter. */
	exec.shell = BYTES("exit 0");
	job_outcome_free(&outcome);
	client_collect(&client, client_exec(&client, &exec), &outcome.outcome);
	outcome_free(&outcome.outcome);
	job_collect(&client, kill_job(&client, job_number(jobs[0]), ABSENT, ABSENT), &outcome);
	ck_assert_uint_gt(job_started(&client, send_job_request(&client, &request)), jobs[1]);
}
END_TEST

/* Every STDIN has its answer, in whatever way the job ends. */
START_TEST(unanswered_at_the_end)
{
	static uint8_t data[KIB(100)];
	uint64_t job = start_stream_job(&client, "sleep 1000", NULL);
	uint32_t mine = send_stdin(&client, target_job(job), data, sizeof(data), false);
	uint32_t others = send_stdin(&other, target_job(job), data, sizeof(data), false);
	uint32_t end;

	client_ping(&client);
	client_ping(&other);
	end = kill_job(&client, job_number(job), ABSENT, ABSENT);
	client_expect_os_error(&client, mine, EPIPE, "STDIN");
	client_expect_os_error(&other, others, EPIPE, "STDIN");
	job_collect(&client, end, &outcome);
}
END_TEST

START_TEST(no_stream)
{
	uint64_t job = start_job(&client, "sleep 1000");

	client_expect_error(&client, send_text(&client, target_job(job), "x", false), CODE(INVALID),
			    "STDIN_STREAM");
	client_expect_error(&client, send_text(&client, target_job(job + 1), "x", false),
			    CODE(NOT_FOUND), "there is no job");
	client_expect_error(&client, send_text(&client, target_name("x"), "x", false),
			    CODE(NOT_FOUND), "there is no job \"x\"");
}
END_TEST

START_TEST(signals)
{
	uint64_t job = start_job(&client, "trap 'echo usr1; exit 3' USR1; echo ready; while :; do "
					  "sleep 0.01; done");

	eventually(job_entry(&client, job).stdout_bytes == 6);
	client_expect_ok(&client, send_signal(target_job(job), 0, false));
	client_expect_ok(&client, send_signal(target_job(job), SIGUSR1, false));
	job_await_end(&client, job);
	client_expect_error(&client, send_signal(target_job(job), SIGUSR1, false), CODE(NOT_FOUND),
			    "has ended");
	collect_job(job);
	outcome_expect(&outcome.outcome, "ready\nusr1\n", "");
	job = start_named_job(&client, "sleep 1000 & wait", "group");
	client_expect_ok(&client, send_signal(target_name("group"), SIGKILL, true));
	collect_job(job);
	ck_assert_uint_eq(outcome.outcome.result.signal, SIGKILL);
	ck_assert_int_eq(outcome.outcome.result.outcome, PROVIUM__V1__OUTCOME__OUTCOME_SIGNALLED);
}
END_TEST

START_TEST(resize_without_terminal)
{
	uint64_t job = start_job(&client, "sleep 1000");
	Provium__V1__Target command = PROVIUM__V1__TARGET__INIT;

	client_expect_error(&client, send_resize(target_job(job), 24, 80), CODE(INVALID),
			    "RESIZE: the command has no terminal");
	client_expect_error(&client, send_resize(target_job(job), 0, 80), CODE(INVALID),
			    "RESIZE: rows: is absent");
	client_expect_error(&client, send_resize(target_job(job), 24, 65536), CODE(INVALID),
			    "RESIZE: cols: 65536 is out of range");
	command.target_case = PROVIUM__V1__TARGET__TARGET_REQUEST;
	command.request = 999;
	client_expect_error(&client, send_resize(command, 24, 80), CODE(NOT_FOUND), "999");
	command.request = client_shell(&client, "sleep 1000");
	client_expect_error(&client, send_resize(command, 24, 80), CODE(INVALID),
			    "RESIZE: the command has no terminal");
}
END_TEST

static uint64_t start_terminal_job(const char *command, const char *name)
{
	Provium__V1__ExecAsync request = PROVIUM__V1__EXEC_ASYNC__INIT;
	Provium__V1__Exec exec = PROVIUM__V1__EXEC__INIT;
	Provium__V1__Pty pty = PROVIUM__V1__PTY__INIT;

	pty.has_rows = pty.has_cols = true;
	pty.rows = 30;
	pty.cols = 90;
	exec.pty = &pty;
	exec.has_shell = true;
	exec.shell = bytes_of(command);
	exec.has_stdin_kind = true;
	exec.stdin_kind = PROVIUM__V1__STDIN_KIND__STDIN_STREAM;
	request.command = &exec;
	request.has_name = true;
	request.name = bytes_of(name);
	return job_started(&client, send_job_request(&client, &request));
}

/* Whether what the job has written so far ends like this. */
static bool shows(uint64_t job, const char *text)
{
	size_t length = strlen(text);

	collect(read_job(&client, job_number(job), 0, 0, false));
	return outcome.outcome.size[0] >= length &&
	       strcmp((const char *)outcome.outcome.output[0] + outcome.outcome.size[0] - length,
		      text) == 0;
}

START_TEST(terminal)
{
	uint64_t job = start_terminal_job("trap 'stty size' WINCH; trap 'echo usr1; exit 4' USR1;"
					  "[ -t 0 ] && [ -t 1 ] && [ -t 2 ] && stty size;"
					  "while :; do sleep 0.01; done",
					  "screen");

	eventually(shows(job, "30 90\r\n"));
	client_expect_ok(&client, send_resize(target_job(job), 50, 100));
	eventually(shows(job, "50 100\r\n"));
	client_expect_ok(&client, send_resize(target_name("screen"), 61, 121));
	eventually(shows(job, "61 121\r\n"));
	client_expect_error(&client, send_resize(target_name("other"), 1, 1), CODE(NOT_FOUND), "");
	client_expect_ok(&client, send_signal(target_name("screen"), SIGUSR1, false));
	job_await_end(&client, job);
	client_expect_error(&client, send_resize(target_job(job), 1, 1), CODE(NOT_FOUND),
			    "has ended");
	collect_job(job);
	outcome_expect(&outcome.outcome, "30 90\r\n50 100\r\n61 121\r\nusr1\r\n", "");
	outcome_expect_exit(&outcome.outcome, 4);
	expect_gone(&client, job);
}
END_TEST

/* What is typed from another connection, and Ctrl-C at last. */
START_TEST(typed)
{
	uint64_t job =
		start_terminal_job("read -r line; echo \"got $line\"; exec sleep 1000", "screen");

	client_expect_ok(&other, send_text(&other, target_name("screen"), "text\n", false));
	eventually(shows(job, "text\r\ngot text\r\n"));
	client_expect_ok(&other, send_text(&other, target_job(job), "\x03", false));
	collect_job(job);
	outcome_expect(&outcome.outcome, "text\r\ngot text\r\n^C", "");
	ck_assert_int_eq(outcome.outcome.result.outcome, PROVIUM__V1__OUTCOME__OUTCOME_SIGNALLED);
	ck_assert_uint_eq(outcome.outcome.result.signal, SIGINT);
}
END_TEST

static Suite *input_suite(void)
{
	Suite *suite = suite_create("agent: input of jobs");
	TCase *tcase = unit_counted_case("two clients");

	tcase_add_checked_fixture(tcase, jobs_start, jobs_stop);
	tcase_add_test(tcase, input);
	tcase_add_test(tcase, outlives_its_connection);
	tcase_add_test(tcase, from_many_connections);
	tcase_add_test(tcase, window);
	tcase_add_test(tcase, held_for_all);
	tcase_add_test(tcase, unanswered_at_the_end);
	tcase_add_test(tcase, no_stream);
	tcase_add_test(tcase, signals);
	tcase_add_test(tcase, resize_without_terminal);
	tcase_add_test(tcase, terminal);
	tcase_add_test(tcase, typed);
	tcase_set_timeout(tcase, 60);
	suite_add_tcase(suite, tcase);
	return suite;
}

int main(void)
{
	return unit_run(input_suite());
}
