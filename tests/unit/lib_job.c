/* Jobs: each call's request and replies, and agents that get them wrong. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/util.h"
#include "host/lib/connection.h"
#include "lib_fake.h"
#include "proto/limits.h"
#include "unit.h"

#define OUT PROVIUM__V1__STREAM__STREAM_STDOUT
#define ERR PROVIUM__V1__STREAM__STREAM_STDERR

static struct fake fake;
static struct provium_connection *connection;
static struct provium_job_result result;

static const char *const argv[] = { "program", NULL };
static const struct provium_exec_options command = { .argv = argv };
static const struct provium_job_ref seven = { .number = 7 };
static const struct provium_job_ref named = { .name = "builder" };

static void disconnect(void)
{
	provium_connection_free(connection);
	fake_finish(&fake);
}

static bool is(ProtobufCBinaryData data, const char *text)
{
	return data.len == strlen(text) && memcmp(data.data, text, data.len) == 0;
}

static bool is_seven(const Provium__V1__JobRef *ref)
{
	return ref && ref->ref_case == PROVIUM__V1__JOB_REF__REF_JOB && ref->job == 7;
}

static bool is_named(const Provium__V1__JobRef *ref)
{
	return ref && ref->ref_case == PROVIUM__V1__JOB_REF__REF_NAME && is(ref->name, "builder");
}

static void ready_script(struct fake *agent)
{
	fake_ready(agent);
	fake_expect_end(agent);
}

/* What has come of both streams, with '.' for each byte of a gap. */
struct captured {
	char text[2][64];
	size_t size[2];
	/* The call is ended when so many pieces have come. 0: never. */
	unsigned int stop_after;
	unsigned int pieces;
};

static int capture(void *user, enum provium_stream stream, uint64_t offset, const void *data,
		   size_t size)
{
	struct captured *captured = user;
	size_t i = stream - PROVIUM_STDOUT;

	ck_assert_uint_lt(offset + size, sizeof(captured->text[i]));
	ck_assert_uint_ge(offset, captured->size[i]);
	memset(captured->text[i] + captured->size[i], '.', offset - captured->size[i]);
	memcpy(captured->text[i] + offset, data, size);
	captured->size[i] = offset + size;
	return ++captured->pieces == captured->stop_after;
}

/* ------------------------------------------------------------------------------------------- */
/* Starting */

static void start_script(struct fake *agent)
{
	const Provium__V1__ExecAsync *body;

	fake_ready(agent);
	body = fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_EXEC_ASYNC)->exec_async;
	fake_check(agent, body->command->n_argv == 1 && is(body->command->argv[0], "program"));
	fake_check(agent, !body->has_name && !body->has_keep);
	fake_job_started(agent, 0, UINT64_MAX, 123);

	body = fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_EXEC_ASYNC)->exec_async;
	fake_check(agent, body->command->has_uid && body->command->uid == 12);
	fake_check(agent, is(body->name, "builder") && body->has_keep && body->keep == 4096);
	fake_error(agent, 0, PROVIUM__V1__ERROR_CODE__ERROR_BUSY, 0, NULL, NULL,
		   "the name is used");

	fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_EXEC_ASYNC);
	fake_error(agent, 0, PROVIUM__V1__ERROR_CODE__ERROR_OS, 2, "ENOENT", "execve",
		   "EXEC_ASYNC: no \"program\"");
	fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_EXEC_ASYNC);
	fake_ok(agent, 0, -1);
}

START_TEST(test_start)
{
	struct provium_exec_options as_user = command;
	const struct provium_job_options options = { .name = "builder", .keep = 4096 };
	uint64_t number = 0;
	int pid = 0;

	as_user.has_uid = true;
	as_user.uid = 12;
	connection = fake_connect(&fake, start_script);
	check_ok(provium_job_start(connection, &command, NULL, 5000, &number, &pid, &error));
	ck_assert(number == UINT64_MAX);
	ck_assert_int_eq(pid, 123);
	ck_assert_int_eq(
		provium_job_start(connection, &as_user, &options, 5000, NULL, NULL, &error), -1);
	check_error(PROVIUM_BUSY, "program: the name is used");
	ck_assert_int_eq(provium_job_start(connection, &command, NULL, 5000, NULL, NULL, &error),
			 -1);
	check_error(PROVIUM_GUEST, "no \"program\" (execve: ENOENT)");
	ck_assert_int_eq(provium_job_start(connection, &command, NULL, 5000, NULL, NULL, &error),
			 -1);
	check_error(PROVIUM_PROTOCOL, "message 136 does not belong there");
	disconnect();
}
END_TEST

START_TEST(test_refused_before_it_is_sent)
{
	const struct provium_exec_options both = { .argv = argv, .shell = "true" };
	const struct provium_job_options no_name = { .name = "" };
	const struct provium_job_ref nobody = { .name = "" };
	const struct provium_job_kill_options grace = { .grace_ms = 1 };
	const struct provium_job_kill_options negative = { .signal = -1 };
	const struct provium_job_output_options stream = { .stream = (enum provium_stream)3 };

	connection = fake_connect(&fake, ready_script);
	ck_assert_int_eq(provium_job_start(connection, &both, NULL, 5000, NULL, NULL, &error), -1);
	check_error(PROVIUM_INVALID, "either a program");
	ck_assert_int_eq(
		provium_job_start(connection, &command, &no_name, 5000, NULL, NULL, &error), -1);
	check_error(PROVIUM_INVALID, "name is empty");
	ck_assert_int_eq(provium_job_wait(connection, &nobody, NULL, 5000, NULL, &error), -1);
	check_error(PROVIUM_INVALID, "wait: the job's name is empty");
	ck_assert_int_eq(provium_job_kill(connection, &seven, &grace, 5000, NULL, &error), -1);
	check_error(PROVIUM_INVALID, "there is none");
	ck_assert_int_eq(provium_job_kill(connection, &seven, &negative, 5000, NULL, &error), -1);
	check_error(PROVIUM_INVALID, "there is none");
	ck_assert_int_eq(
		provium_job_output(connection, &seven, &stream, capture, NULL, 5000, NULL, &error),
		-1);
	check_error(PROVIUM_INVALID, "no stream 3");
	ck_assert_int_eq(provium_job_signal(connection, &seven, -1, false, 5000, &error), -1);
	check_error(PROVIUM_INVALID, "no signal -1");
	ck_assert_int_eq(provium_job_resize(connection, &seven, 0, 1, 5000, &error), -1);
	check_error(PROVIUM_INVALID, "1 to 65535");
	disconnect();
}
END_TEST

/* ------------------------------------------------------------------------------------------- */
/* Waiting and killing */

static void wait_script(struct fake *agent)
{
	const Provium__V1__JobWait *body;
	Provium__V1__ExecResult end;
	Provium__V1__Rusage rusage;

	fake_ready(agent);
	body = fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_JOB_WAIT)->job_wait;
	fake_check(agent, is_seven(body->ref) && body->has_timeout_ms && body->timeout_ms == 0);
	fake_check(agent, !body->has_output);
	fake_job_result(agent, 0, 7, NULL, 0);

	body = fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_JOB_WAIT)->job_wait;
	fake_check(agent, is_named(body->ref) && !body->has_timeout_ms && body->output);
	fake_output(agent, 0, OUT, 3, "def", 3);
	fake_output(agent, 0, ERR, 0, "E", 1);
	fake_output(agent, 0, OUT, 6, "g", 1);
	fake_result_init(&end, &rusage, 5, 7, 1);
	fake_job_result(agent, 0, 7, &end, 3);

	body = fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_JOB_WAIT)->job_wait;
	fake_check(agent, body->timeout_ms == 1234);
	fake_error(agent, 0, PROVIUM__V1__ERROR_CODE__ERROR_NOT_FOUND, 0, NULL, NULL, "no job");
	fake_expect_end(agent);
}

START_TEST(test_wait)
{
	struct captured captured = { 0 };
	const struct provium_job_wait_options to_the_end = {
		.wait_ms = PROVIUM_FOREVER,
		.on_output = capture,
		.user = &captured,
	};
	const struct provium_job_wait_options some_time = { .wait_ms = 1234 };

	connection = fake_connect(&fake, wait_script);
	check_ok(provium_job_wait(connection, &seven, NULL, 5000, &result, &error));
	ck_assert(result.running);
	ck_assert_uint_eq(result.number, 7);
	check_ok(provium_job_wait(connection, &named, &to_the_end, 5000, &result, &error));
	ck_assert(!result.running);
	ck_assert_int_eq(result.result.outcome, PROVIUM_EXITED);
	ck_assert_int_eq(result.result.exit_code, 5);
	ck_assert_uint_eq(result.result.stdout_bytes, 7);
	ck_assert_uint_eq(result.stdout_dropped, 3);
	ck_assert_uint_eq(result.stderr_dropped, 0);
	ck_assert_str_eq(captured.text[0], "...defg");
	ck_assert_str_eq(captured.text[1], "E");
	ck_assert_int_eq(provium_job_wait(connection, &named, &some_time, 5000, &result, &error),
			 -1);
	check_error(PROVIUM_NOT_FOUND, "job \"builder\": no job");
	disconnect();
}
END_TEST

/* The call's own timeout, and the receiver of output, end the waiting and nothing else. */
static void give_up_script(struct fake *agent)
{
	uint32_t id;

	fake_ready(agent);
	for (int i = 0; i < 2; i++) {
		fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_JOB_WAIT);
		id = agent->id;
		if (i == 1)
			fake_output(agent, 0, OUT, 0, "x", 1);
		fake_check(agent,
			   fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_CANCEL)->cancel->request ==
				   id);
		fake_error(agent, id, PROVIUM__V1__ERROR_CODE__ERROR_CANCELLED, 0, NULL, NULL, "x");
	}
	fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_PING);
	fake_pong(agent, 0);
	fake_expect_end(agent);
}

START_TEST(test_wait_given_up)
{
	struct captured captured = { .stop_after = 1 };
	const struct provium_job_wait_options options = {
		.wait_ms = PROVIUM_FOREVER,
		.on_output = capture,
		.user = &captured,
	};

	connection = fake_connect(&fake, give_up_script);
	ck_assert_int_eq(provium_job_wait(connection, &seven, &options, 50, &result, &error), -1);
	check_error(PROVIUM_TIMED_OUT, "job 7: wait: timed out after 50 ms");
	ck_assert_int_eq(provium_job_wait(connection, &seven, &options, 5000, &result, &error), -1);
	check_error(PROVIUM_CANCELLED, "job 7: wait: the receiver wanted no more");
	check_ok(provium_ping(connection, 5000, &error));
	disconnect();
}
END_TEST

static void kill_script(struct fake *agent)
{
	const Provium__V1__JobKill *body;
	Provium__V1__ExecResult end;
	Provium__V1__Rusage rusage;

	fake_ready(agent);
	fake_result_init(&end, &rusage, 0, 2, 0);
	end.outcome = PROVIUM__V1__OUTCOME__OUTCOME_CANCELLED;
	end.has_exit_code = false;
	end.has_signal = true;
	end.signal = 9;
	body = fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_JOB_KILL)->job_kill;
	fake_check(agent, is_seven(body->ref) && !body->has_signal && !body->has_grace_ms);
	fake_check(agent, !body->has_output);
	fake_job_result(agent, 0, 7, &end, 0);

	body = fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_JOB_KILL)->job_kill;
	fake_check(agent, is_named(body->ref) && body->signal == 15 && body->grace_ms == 500);
	fake_check(agent, body->has_output && body->output);
	fake_output(agent, 0, OUT, 0, "hi", 2);
	fake_job_result(agent, 0, 8, &end, 0);

	fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_JOB_KILL);
	fake_job_result(agent, 0, 7, NULL, 0);
}

START_TEST(test_kill)
{
	struct captured captured = { 0 };
	const struct provium_job_kill_options options = {
		.signal = 15,
		.grace_ms = 500,
		.on_output = capture,
		.user = &captured,
	};

	connection = fake_connect(&fake, kill_script);
	check_ok(provium_job_kill(connection, &seven, NULL, 5000, &result, &error));
	ck_assert_int_eq(result.result.outcome, PROVIUM_EXEC_CANCELLED);
	ck_assert_int_eq(result.result.signal, 9);
	check_ok(provium_job_kill(connection, &named, &options, 5000, &result, &error));
	ck_assert_uint_eq(result.number, 8);
	ck_assert_str_eq(captured.text[0], "hi");
	ck_assert_int_eq(provium_job_kill(connection, &seven, NULL, 5000, &result, &error), -1);
	check_error(PROVIUM_PROTOCOL, "still runs");
	disconnect();
}
END_TEST

/* Replies to a JOB_WAIT for job 7 with its output, each wrong in one way. */
struct wrong {
	const char *why;
	/* What comes before the result. */
	Provium__V1__Stream stream;
	uint64_t offsets[2];
	uint64_t job;
	void (*change)(Provium__V1__JobResult *body);
	uint64_t written;
	uint64_t dropped;
};

static void no_result(Provium__V1__JobResult *body)
{
	body->result = NULL;
}

static void running_with_result(Provium__V1__JobResult *body)
{
	body->has_running = true;
	body->running = true;
}

static void running_with_output(Provium__V1__JobResult *body)
{
	running_with_result(body);
	body->result = NULL;
}

static void bad_outcome(Provium__V1__JobResult *body)
{
	body->result->outcome = (Provium__V1__Outcome)0;
}

static void no_exit_code(Provium__V1__JobResult *body)
{
	body->result->has_exit_code = false;
}

static const struct wrong wrongs[] = {
	{ "stream 3", (Provium__V1__Stream)3, { 0, 1 }, 7, NULL, 2, 0 },
	{ "offset 0 where 1", OUT, { 0, 0 }, 7, NULL, 2, 0 },
	{ "offset 18446744073709551615", OUT, { 0, UINT64_MAX }, 7, NULL, 2, 0 },
	{ "the result of job 8", OUT, { 0, 1 }, 8, NULL, 2, 0 },
	{ "ended without", OUT, { 0, 1 }, 7, no_result, 2, 0 },
	{ "runs and has", OUT, { 0, 1 }, 7, running_with_result, 2, 0 },
	{ "still runs", OUT, { 0, 1 }, 7, running_with_output, 2, 0 },
	{ "outcome 0", OUT, { 0, 1 }, 7, bad_outcome, 2, 0 },
	{ "exit code", OUT, { 0, 1 }, 7, no_exit_code, 2, 0 },
	{ "it wrote 1 and 0", OUT, { 0, 1 }, 7, NULL, 1, 0 },
	{ "it wrote 3 and 0", OUT, { 0, 1 }, 7, NULL, 3, 0 },
	{ "it wrote 4 and 0", OUT, { 0, 3 }, 7, NULL, 4, 1 },
	{ "it wrote 18446744073709551615", OUT, { 0, 1 }, 7, NULL, UINT64_MAX, 7 },
};

static void wrong_script(struct fake *agent)
{
	const struct wrong *wrong = agent->data;
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__JobResult body = PROVIUM__V1__JOB_RESULT__INIT;
	Provium__V1__ExecResult end;
	Provium__V1__Rusage rusage;

	fake_ready(agent);
	fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_JOB_WAIT);
	fake_output(agent, 0, wrong->stream, wrong->offsets[0], "a", 1);
	fake_output(agent, 0, wrong->stream, wrong->offsets[1], "b", 1);
	fake_result_init(&end, &rusage, 0, wrong->written, 0);
	body.job = wrong->job;
	body.result = &end;
	body.has_stdout_dropped = true;
	body.stdout_dropped = wrong->dropped;
	if (wrong->change)
		wrong->change(&body);
	message.has_id = true;
	message.id = agent->id;
	message.body_case = PROVIUM__V1__MESSAGE__BODY_JOB_RESULT;
	message.job_result = &body;
	fake_send(agent, &message);
}

START_TEST(test_wrong_result)
{
	struct captured captured = { 0 };
	const struct provium_job_wait_options options = { .on_output = capture, .user = &captured };

	fake.data = &wrongs[_i];
	connection = fake_connect(&fake, wrong_script);
	ck_assert_int_eq(provium_job_wait(connection, &seven, &options, 5000, &result, &error), -1);
	check_error(PROVIUM_PROTOCOL, "broke the protocol in its reply to \"wait\"");
	check_error(PROVIUM_PROTOCOL, wrongs[_i].why);
	disconnect();
}
END_TEST

static void unasked_script(struct fake *agent)
{
	fake_ready(agent);
	fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_JOB_WAIT);
	fake_output(agent, 0, OUT, 0, "x", 1);
}

START_TEST(test_output_not_asked_for)
{
	connection = fake_connect(&fake, unasked_script);
	ck_assert_int_eq(provium_job_wait(connection, &seven, NULL, 5000, &result, &error), -1);
	check_error(PROVIUM_PROTOCOL, "not asked for");
	disconnect();
}
END_TEST

/* ------------------------------------------------------------------------------------------- */
/* Listing */

static void send_list(struct fake *agent, Provium__V1__JobEntry *entries, size_t count)
{
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__JobListResult body = PROVIUM__V1__JOB_LIST_RESULT__INIT;
	Provium__V1__JobEntry *list[4];

	for (size_t i = 0; i < count; i++)
		list[i] = &entries[i];
	body.n_jobs = count;
	body.jobs = list;
	message.has_id = true;
	message.id = agent->id;
	message.body_case = PROVIUM__V1__MESSAGE__BODY_JOB_LIST_RESULT;
	message.job_list_result = &body;
	fake_send(agent, &message);
}

static void entry_init(Provium__V1__JobEntry *entry, uint64_t job, const char *name,
		       Provium__V1__ExecResult *end)
{
	provium__v1__job_entry__init(entry);
	entry->job = job;
	entry->pid = 40 + (int)job;
	entry->has_name = name != NULL;
	if (name)
		entry->name = (ProtobufCBinaryData){ strlen(name), (uint8_t *)name };
	entry->running = !end;
	entry->result = end;
	entry->stdout_bytes = 100 + job;
	entry->stderr_bytes = 200 + job;
}

static void list_script(struct fake *agent)
{
	Provium__V1__JobEntry entries[2];
	Provium__V1__ExecResult end;
	Provium__V1__Rusage rusage;

	fake_ready(agent);
	fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_JOB_LIST);
	send_list(agent, NULL, 0);
	fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_JOB_LIST);
	fake_result_init(&end, &rusage, 9, 0, 0);
	entry_init(&entries[0], 1, "builder", NULL);
	entry_init(&entries[1], 2, NULL, &end);
	send_list(agent, entries, 2);
	fake_expect_end(agent);
}

START_TEST(test_list)
{
	struct provium_jobs jobs = { (struct provium_job_entry *)1, 1 };

	connection = fake_connect(&fake, list_script);
	check_ok(provium_job_list(connection, 5000, &jobs, &error));
	ck_assert_uint_eq(jobs.count, 0);
	provium_job_list_free(&jobs);
	check_ok(provium_job_list(connection, 5000, &jobs, &error));
	ck_assert_uint_eq(jobs.count, 2);
	ck_assert_uint_eq(jobs.entries[0].number, 1);
	ck_assert_str_eq(jobs.entries[0].name, "builder");
	ck_assert_int_eq(jobs.entries[0].pid, 41);
	ck_assert(jobs.entries[0].running);
	ck_assert_uint_eq(jobs.entries[0].stdout_bytes, 101);
	ck_assert_uint_eq(jobs.entries[0].stderr_bytes, 201);
	ck_assert_ptr_null(jobs.entries[1].name);
	ck_assert(!jobs.entries[1].running);
	ck_assert_int_eq(jobs.entries[1].result.exit_code, 9);
	provium_job_list_free(&jobs);
	ck_assert_uint_eq(jobs.count, 0);
	disconnect();
}
END_TEST

static const char *const list_wrongs[] = {
	"job 2 runs and has a result",
	"job 2 has ended without a result",
	"job 2 has a name that is none",
	"job 2 has a name that is none",
	"outcome 77",
};

static void wrong_list_script(struct fake *agent)
{
	Provium__V1__JobEntry entries[2];
	Provium__V1__ExecResult end;
	Provium__V1__Rusage rusage;

	fake_ready(agent);
	fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_JOB_LIST);
	fake_result_init(&end, &rusage, 9, 0, 0);
	entry_init(&entries[0], 1, "builder", NULL);
	entry_init(&entries[1], 2, "other", agent->number == 1 ? NULL : &end);
	if (agent->number < 2)
		entries[1].running = !entries[1].running;
	else if (agent->number == 2)
		entries[1].name.len = 0;
	else if (agent->number == 3)
		entries[1].name.data = (uint8_t *)"a\0b\0c";
	else
		end.outcome = (Provium__V1__Outcome)77;
	send_list(agent, entries, 2);
}

START_TEST(test_wrong_list)
{
	struct provium_jobs jobs;

	fake.number = _i;
	connection = fake_connect(&fake, wrong_list_script);
	ck_assert_int_eq(provium_job_list(connection, 5000, &jobs, &error), -1);
	check_error(PROVIUM_PROTOCOL, list_wrongs[_i]);
	ck_assert_ptr_null(jobs.entries);
	disconnect();
}
END_TEST

/* ------------------------------------------------------------------------------------------- */
/* Output */

static void output_script(struct fake *agent)
{
	const Provium__V1__JobOutput *body;

	fake_ready(agent);
	body = fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_JOB_OUTPUT)->job_output;
	fake_check(agent, is_seven(body->ref) && !body->has_stream && !body->has_offset);
	fake_check(agent, !body->has_follow);
	fake_output(agent, 0, OUT, 2, "cd", 2);
	fake_output(agent, 0, ERR, 0, "E", 1);
	fake_output(agent, 0, OUT, 4, "", 0);
	fake_output(agent, 0, OUT, 7, "h", 1);
	fake_ok(agent, 0, 4);

	body = fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_JOB_OUTPUT)->job_output;
	fake_check(agent, is_named(body->ref) && body->stream == ERR && body->offset == 5);
	fake_check(agent, body->follow);
	fake_output(agent, 0, ERR, 5, "f", 1);
	fake_ok(agent, 0, 1);

	fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_JOB_OUTPUT);
	fake_ok(agent, 0, 0);
	fake_expect_end(agent);
}

START_TEST(test_output)
{
	const struct provium_job_output_options options = {
		.stream = PROVIUM_STDERR,
		.offset = 5,
		.follow = true,
	};
	struct captured captured = { 0 };
	uint64_t bytes = 0;

	connection = fake_connect(&fake, output_script);
	check_ok(provium_job_output(connection, &seven, NULL, capture, &captured, 5000, &bytes,
				    &error));
	ck_assert_uint_eq(bytes, 4);
	ck_assert_str_eq(captured.text[0], "..cd...h");
	ck_assert_str_eq(captured.text[1], "E");
	captured = (struct captured){ 0 };
	check_ok(provium_job_output(connection, &named, &options, capture, &captured, 5000, NULL,
				    &error));
	ck_assert_str_eq(captured.text[1], ".....f");
	check_ok(provium_job_output(connection, &seven, NULL, capture, &captured, 5000, &bytes,
				    &error));
	ck_assert_uint_eq(bytes, 0);
	disconnect();
}
END_TEST

static void wrong_output_script(struct fake *agent)
{
	fake_ready(agent);
	fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_JOB_OUTPUT);
	switch (agent->number) {
	case 0:
		fake_output(agent, 0, ERR, 4, "x", 1);
		break;
	case 1:
		fake_output(agent, 0, OUT, 5, "x", 1);
		break;
	case 2:
		fake_ok(agent, 0, 1);
		break;
	case 3:
		fake_ok(agent, 0, -1);
		break;
	default:
		fake_pong(agent, 0);
	}
}

START_TEST(test_wrong_output)
{
	static const char *const why[] = {
		"offset 4 where 5",          "stream 1",    "0 bytes came, 1 were sent",
		"0 bytes came, 0 were sent", "message 137",
	};
	const struct provium_job_output_options options = { .stream = PROVIUM_STDERR, .offset = 5 };
	struct captured captured = { 0 };

	fake.number = _i;
	connection = fake_connect(&fake, wrong_output_script);
	ck_assert_int_eq(provium_job_output(connection, &seven, &options, capture, &captured, 5000,
					    NULL, &error),
			 -1);
	check_error(PROVIUM_PROTOCOL, why[_i]);
	disconnect();
}
END_TEST

/* ------------------------------------------------------------------------------------------- */
/* Input, signals, size */

static void input_script(struct fake *agent)
{
	const Provium__V1__Stdin *body;
	const Provium__V1__Signal *signal;
	const Provium__V1__Resize *resize;
	uint64_t size = 0;

	fake_ready(agent);
	while (size < 3 * PROVIUM_CHUNK / 2) {
		body = fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_STDIN_DATA)->stdin_data;
		fake_check(agent, body->target->target_case == PROVIUM__V1__TARGET__TARGET_JOB);
		fake_check(agent, body->target->job == 7 && !body->has_eof);
		fake_check(agent, body->data.len > 0 && body->data.len <= PROVIUM_CHUNK);
		size += body->data.len;
		fake_ok(agent, 0, (int64_t)body->data.len);
	}
	fake_check(agent, size == 3 * PROVIUM_CHUNK / 2);
	body = fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_STDIN_DATA)->stdin_data;
	fake_check(agent, body->target->target_case == PROVIUM__V1__TARGET__TARGET_JOB_NAME);
	fake_check(agent, is(body->target->job_name, "builder") && body->eof && !body->has_data);
	fake_ok(agent, 0, 0);

	signal = fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_SIGNAL)->signal;
	fake_check(agent, signal->target->job == 7 && signal->signal == 10 && signal->group);
	fake_ok(agent, 0, -1);
	resize = fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_RESIZE)->resize;
	fake_check(agent, is(resize->target->job_name, "builder"));
	fake_check(agent, resize->rows == 50 && resize->cols == 100);
	fake_ok(agent, 0, -1);

	fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_STDIN_DATA);
	fake_error(agent, 0, PROVIUM__V1__ERROR_CODE__ERROR_OS, EPIPE, "EPIPE", "write", "closed");
	fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_STDIN_DATA);
	fake_ok(agent, 0, 4);
}

START_TEST(test_input)
{
	uint8_t *data = calloc(1, 3 * PROVIUM_CHUNK / 2);

	connection = fake_connect(&fake, input_script);
	check_ok(provium_job_write(connection, &seven, data, 3 * PROVIUM_CHUNK / 2, 5000, &error));
	check_ok(provium_job_close_stdin(connection, &named, 5000, &error));
	check_ok(provium_job_signal(connection, &seven, 10, true, 5000, &error));
	check_ok(provium_job_resize(connection, &named, 50, 100, 5000, &error));
	ck_assert_int_eq(provium_job_write(connection, &seven, data, 5, 5000, &error), -1);
	check_error(PROVIUM_GUEST, "job 7: closed (write: EPIPE)");
	ck_assert_int_eq(error.os_errno, EPIPE);
	ck_assert_int_eq(provium_job_write(connection, &seven, data, 5, 5000, &error), -1);
	check_error(PROVIUM_PROTOCOL, "4 bytes taken of 5");
	disconnect();
	free(data);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("lib-job");
	TCase *tcase = unit_counted_case("jobs");

	tcase_add_test(tcase, test_start);
	tcase_add_test(tcase, test_refused_before_it_is_sent);
	tcase_add_test(tcase, test_wait);
	tcase_add_test(tcase, test_wait_given_up);
	tcase_add_test(tcase, test_kill);
	tcase_add_loop_test(tcase, test_wrong_result, 0, ARRAY_SIZE(wrongs));
	tcase_add_test(tcase, test_output_not_asked_for);
	tcase_add_test(tcase, test_list);
	tcase_add_loop_test(tcase, test_wrong_list, 0, ARRAY_SIZE(list_wrongs));
	tcase_add_test(tcase, test_output);
	tcase_add_loop_test(tcase, test_wrong_output, 0, 5);
	tcase_add_test(tcase, test_input);
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
