/* The life of jobs: start, wait, kill, list, names, and what is kept of them. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <linux/sockios.h>

#include "agent/job.h"
#include "agent_jobs.h"
#include "common/util.h"
#include "unit.h"

START_TEST(wait)
{
	uint32_t id = send_job(&client, "echo out; echo err >&2; exit 7", NULL, ABSENT);
	const Provium__V1__JobStarted started =
		*client_expect(&client, BODY(JOB_STARTED))->job_started;

	ck_assert_uint_gt(id, 0);
	ck_assert_uint_gt(started.job, 0);
	job_collect(&client, wait_job(&client, job_number(started.job), ABSENT, true), &outcome);
	ck_assert_uint_eq(outcome.result.job, started.job);
	ck_assert(!outcome.result.running);
	ck_assert(!outcome.result.has_stdout_dropped);
	ck_assert(!outcome.result.has_stderr_dropped);
	ck_assert_int_eq(outcome.outcome.result.pid, started.pid);
	ck_assert_uint_gt(outcome.outcome.result.wall_ns, 0);
	outcome_expect(&outcome.outcome, "out\n", "err\n");
	outcome_expect_exit(&outcome.outcome, 7);
	/* Collected: it is gone. */
	expect_gone(&client, started.job);
	ck_assert_uint_eq(client_info(&client).jobs, 0);
}
END_TEST

START_TEST(wait_without_output)
{
	uint64_t job = start_job(&client, "echo out; exit 1");

	job_expect_exit(&client, wait_job(&client, job_number(job), ABSENT, false), job, 1);
}
END_TEST

START_TEST(wait_for_the_past)
{
	uint64_t job = start_job(&client, "exit 3");

	job_await_end(&client, job);
	ck_assert_uint_eq(client_info(&client).jobs, 1);
	ck_assert_uint_eq(client_info(&client).commands_running, 0);
	job_expect_exit(&client, wait_job(&client, job_number(job), 0, true), job, 3);
	expect_gone(&client, job);
}
END_TEST

/* A wait that asks, one that gives up, and neither touches the job. */
START_TEST(wait_in_vain)
{
	uint64_t job = start_job(&client, "echo out; sleep 1000");
	uint64_t begin = monotonic_ns();

	job_expect_running(&client, wait_job(&client, job_number(job), 0, true), job);
	job_expect_running(&client, wait_job(&client, job_number(job), 50, true), job);
	ck_assert_uint_ge(monotonic_ns() - begin, 50000000);
	ck_assert_uint_eq(client_info(&client).commands_running, 1);
	ck_assert_uint_eq(client_info(&client).jobs, 1);
}
END_TEST

/* One that is in time, and its limit does nothing later. */
START_TEST(wait_in_time)
{
	uint64_t job = start_stream_job(&client, "read -r line; exit 4", "waits");
	uint32_t id = wait_job(&client, job_number(job), 20000, true);
	uint32_t forever = wait_job(&other, job_number(job), UINT64_MAX - 1, true);

	client_ping(&other);
	ck_assert(!client_is_readable(&client, 50));
	kill_job(&other, job_number(job), SIGTERM, 5000);
	job_collect(&client, id, &outcome);
	expect_signalled(PROVIUM__V1__OUTCOME__OUTCOME_SIGNALLED, SIGTERM);
	job_outcome_free(&outcome);
	job_collect(&other, forever, &outcome);
	expect_signalled(PROVIUM__V1__OUTCOME__OUTCOME_SIGNALLED, SIGTERM);
}
END_TEST

/* The connection that has started a job ends; another finds it, by number and name. */
START_TEST(outlives_its_connection)
{
	uint64_t job = start_named_job(&other, "sleep 0.3; echo late; exit 5", "long");

	client_close(&other);
	eventually(client_info(&client).connections == 1);
	ck_assert_uint_eq(client_info(&client).commands_running, 1);
	job_expect_running(&client, wait_job(&client, job_name("long"), 0, false), job);
	client_connect(&other);
	job_collect(&other, wait_job(&other, job_number(job), ABSENT, true), &outcome);
	outcome_expect(&outcome.outcome, "late\n", "");
	outcome_expect_exit(&outcome.outcome, 5);
}
END_TEST

/* The end of a waiter is not that of the job. */
START_TEST(outlives_its_waiters)
{
	uint64_t job = start_job(&client, "sleep 0.3; exit 6");

	for (int i = 0; i < 10; i++) {
		wait_job(&other, job_number(job), i % 2 ? ABSENT : 10000, true);
		read_job(&other, job_number(job), 0, ABSENT, true);
		if (i % 3 == 0)
			client_ping(&other);
		client_close(&other);
		client_connect(&other);
	}
	job_expect_exit(&client, wait_job(&client, job_number(job), ABSENT, true), job, 6);
}
END_TEST

/* All that wait for an end get it, and then the job is gone. */
START_TEST(many_waiters)
{
	struct client waiting[5];
	uint64_t job = start_named_job(&client, "sleep 0.2; echo out; exit 8", "shared");
	uint32_t ids[5], second;

	for (int i = 0; i < 5; i++) {
		client_connect(&waiting[i]);
		ids[i] = wait_job(&waiting[i], i % 2 ? job_name("shared") : job_number(job), ABSENT,
				  true);
	}
	second = wait_job(&waiting[0], job_number(job), ABSENT, false);
	for (int i = 0; i < 5; i++) {
		job_collect(&waiting[i], ids[i], &outcome);
		outcome_expect(&outcome.outcome, "out\n", "");
		outcome_expect_exit(&outcome.outcome, 8);
		job_outcome_free(&outcome);
		if (i == 0)
			job_expect_exit(&waiting[0], second, job, 8);
		expect_gone(&client, job);
		client_close(&waiting[i]);
	}
	ck_assert_uint_eq(client_info(&client).jobs, 0);
}
END_TEST

/* A waiter that takes its time over the output has all of it, though the job is forgotten. */
START_TEST(slow_waiter)
{
	uint64_t job = job_started(&client, send_job(&client, "seq 1 1000000", "big", MIB(16)));
	uint32_t slow, quick;

	job_await_end(&client, job);
	slow = wait_job(&other, job_name("big"), ABSENT, true);
	eventually(client_info(&client).queued_bytes > KIB(256));
	quick = wait_job(&client, job_name("big"), ABSENT, false);
	job_expect_exit(&client, quick, job, 0);
	expect_gone(&client, job);
	/* Its name is free again. */
	ck_assert_uint_gt(start_named_job(&client, "true", "big"), job);
	job_collect(&other, slow, &outcome);
	ck_assert_uint_eq(outcome.first[0], 0);
	ck_assert_uint_eq(outcome.outcome.size[0], 6888896);
	expect_lines(outcome.outcome.output[0], 1, 1000000);
	outcome_expect_exit(&outcome.outcome, 0);
}
END_TEST

/* The same, and it goes away in the midst of it. */
START_TEST(slow_waiter_that_ends)
{
	uint64_t job = job_started(&client, send_job(&client, "seq 1 1000000", NULL, MIB(16)));

	job_await_end(&client, job);
	wait_job(&other, job_number(job), ABSENT, true);
	eventually(client_info(&client).queued_bytes > KIB(256));
	/* Nobody has had the result: it is kept. */
	client_close(&other);
	eventually(client_info(&client).connections == 1);
	client_connect(&other);
	wait_job(&other, job_number(job), ABSENT, true);
	eventually(client_info(&client).queued_bytes > KIB(256));
	job_expect_exit(&client, wait_job(&client, job_number(job), ABSENT, false), job, 0);
	client_close(&other);
	eventually(client_info(&client).connections == 1);
	client_connect(&other);
	expect_gone(&client, job);
}
END_TEST

START_TEST(listed)
{
	uint64_t first = start_named_job(&client, "printf 12345; printf 123 >&2; exit 1", "first");
	uint64_t second = start_job(&other, "echo; sleep 1000");
	Provium__V1__JobEntry entry;

	job_await_end(&client, first);
	eventually(job_entry(&client, second).stdout_bytes == 1);
	entry = job_entry(&client, first);
	ck_assert(entry.has_name);
	ck_assert_uint_eq(entry.name.len, 5);
	ck_assert_int_gt(entry.pid, 0);
	ck_assert_uint_eq(entry.stdout_bytes, 5);
	ck_assert_uint_eq(entry.stderr_bytes, 3);
	entry = job_entry(&client, second);
	ck_assert(entry.running);
	ck_assert(!entry.has_name);
	ck_assert_uint_eq(job_entry(&client, second + 1).job, 0);
	ck_assert_uint_eq(client_info(&client).jobs, 2);
}
END_TEST

START_TEST(names)
{
	char longest[JOB_MAX_NAME + 2];
	uint64_t job = start_named_job(&client, "exit 1", "name"), next;
	Provium__V1__ExecAsync request = PROVIUM__V1__EXEC_ASYNC__INIT;
	Provium__V1__Exec exec = PROVIUM__V1__EXEC__INIT;

	client_expect_error(&other, send_job(&other, "exit 2", "name", ABSENT), CODE(BUSY),
			    "a job \"name\" is there");
	/* Also when it has ended: it is kept. */
	job_await_end(&client, job);
	client_expect_error(&other, send_job(&other, "exit 2", "name", ABSENT), CODE(BUSY),
			    "a job \"name\" is there");
	job_expect_exit(&client, wait_job(&client, job_name("name"), ABSENT, false), job, 1);
	next = start_named_job(&client, "exit 2", "name");
	ck_assert_uint_gt(next, job);
	job_expect_exit(&client, wait_job(&client, job_name("name"), ABSENT, false), next, 2);

	client_expect_error(&client, send_job(&client, "true", "", ABSENT), CODE(INVALID),
			    "EXEC_ASYNC: name: is empty");
	memset(longest, 'n', sizeof(longest));
	longest[JOB_MAX_NAME + 1] = '\0';
	client_expect_error(&client, send_job(&client, "true", longest, ABSENT), CODE(LIMIT),
			    "EXEC_ASYNC: name: 256 bytes");
	longest[JOB_MAX_NAME] = '\0';
	job = start_named_job(&client, "exit 3", longest);
	job_expect_exit(&client, wait_job(&client, job_name(longest), ABSENT, false), job, 3);
	exec.has_shell = true;
	exec.shell = BYTES("true");
	request.command = &exec;
	request.has_name = true;
	request.name = BYTES("a\0b");
	client_expect_error(&client, send_job_request(&client, &request), CODE(INVALID),
			    "name: holds a NUL");
	/* One without a name is not found by an empty one. */
	job = start_job(&client, "true");
	client_expect_error(&client, wait_job(&client, job_name(""), 0, false), CODE(NOT_FOUND),
			    "there is no job \"\"");
}
END_TEST

START_TEST(not_there)
{
	Provium__V1__JobRef refs[] = { job_number(0), job_number(77), job_name("nobody") };

	for (size_t i = 0; i < ARRAY_SIZE(refs); i++) {
		client_expect_error(&client, wait_job(&client, refs[i], 0, true), CODE(NOT_FOUND),
				    "JOB_WAIT: there is no job");
		client_expect_error(&client, kill_job(&client, refs[i], ABSENT, ABSENT),
				    CODE(NOT_FOUND), "JOB_KILL: there is no job");
		client_expect_error(&client, read_job(&client, refs[i], 0, 0, true),
				    CODE(NOT_FOUND), "JOB_OUTPUT: there is no job");
	}
}
END_TEST

START_TEST(refs_that_are_none)
{
	Provium__V1__JobRef empty = PROVIUM__V1__JOB_REF__INIT;
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__JobWait body = PROVIUM__V1__JOB_WAIT__INIT;

	client_expect_error(&client, wait_job(&client, empty, 0, true), CODE(INVALID),
			    "JOB_WAIT: ref: is empty");
	client_expect_error(&client, kill_job(&client, empty, ABSENT, ABSENT), CODE(INVALID),
			    "JOB_KILL: ref: is empty");
	client_expect_error(&client, read_job(&client, empty, 0, 0, true), CODE(INVALID),
			    "JOB_OUTPUT: ref: is empty");
	message.body_case = BODY(JOB_WAIT);
	message.job_wait = &body;
	client_expect_error(&client, client_send(&client, &message), CODE(INVALID),
			    "JOB_WAIT: ref: is absent");
}
END_TEST

/* What is wrong with the command is told as for an EXEC, and there is no job. */
START_TEST(not_started)
{
	Provium__V1__ExecAsync request = PROVIUM__V1__EXEC_ASYNC__INIT;
	Provium__V1__Exec exec = PROVIUM__V1__EXEC__INIT;
	ProtobufCBinaryData argv[] = { BYTES("/no/such/program") };

	client_expect_error(&client, send_job_request(&client, &request), CODE(INVALID),
			    "EXEC_ASYNC: command: is absent");
	request.command = &exec;
	client_expect_error(&client, send_job_request(&client, &request), CODE(INVALID),
			    "EXEC_ASYNC: command: exactly one of argv and shell");
	exec.argv = argv;
	exec.n_argv = 1;
	client_expect_os_error(&client, send_job_request(&client, &request), ENOENT,
			       "EXEC_ASYNC: command: cannot execute \"/no/such/program\"");
	argv[0] = BYTES("true");
	exec.has_input = true;
	exec.input = BYTES("x");
	exec.has_stdin_kind = true;
	exec.stdin_kind = PROVIUM__V1__STDIN_KIND__STDIN_STREAM;
	client_expect_error(&client, send_job_request(&client, &request), CODE(INVALID),
			    "EXEC_ASYNC: command: input: only with STDIN_BYTES");
	client_expect_error(&client, send_job(&client, "true", NULL, JOBS_MAX_OUTPUT + 1),
			    CODE(LIMIT), "EXEC_ASYNC: keep: 67108865 bytes");
	ck_assert_uint_eq(client_info(&client).jobs, 0);
	ck_assert_uint_gt(job_started(&client, send_job(&client, "true", NULL, JOBS_MAX_OUTPUT)),
			  0);
}
END_TEST

START_TEST(fields_of_the_command)
{
	Provium__V1__ExecAsync request = PROVIUM__V1__EXEC_ASYNC__INIT;
	Provium__V1__Exec exec = PROVIUM__V1__EXEC__INIT;
	ProtobufCBinaryData env[] = { BYTES("A=value") };
	uint64_t job;

	exec.has_shell = true;
	exec.shell = BYTES("echo $A; pwd; cat; echo err >&2; sleep 1000");
	exec.env = env;
	exec.n_env = 1;
	exec.has_cwd = true;
	exec.cwd = BYTES("/tmp");
	exec.has_input = true;
	exec.input = BYTES("input\n");
	exec.has_merge_stderr = true;
	exec.merge_stderr = true;
	exec.has_timeout_ms = true;
	exec.timeout_ms = 300;
	request.command = &exec;
	job = job_started(&client, send_job_request(&client, &request));
	job_collect(&client, wait_job(&client, job_number(job), ABSENT, true), &outcome);
	expect_signalled(PROVIUM__V1__OUTCOME__OUTCOME_TIMED_OUT, SIGKILL);
	outcome_expect(&outcome.outcome, "value\n/tmp\ninput\nerr\n", "");
}
END_TEST

/* Those that nobody collects are kept up to a number; the oldest goes first. */
START_TEST(many_ended)
{
	uint64_t first = start_job(&client, "exit 1"), second, last = 0;

	job_await_end(&client, first);
	second = start_job(&client, "exit 2");
	job_await_end(&client, second);
	for (int i = 2; i < JOBS_MAX_ENDED; i++)
		last = start_job(&client, "exit 3");
	eventually(client_info(&client).commands_running == 0);
	ck_assert_uint_eq(client_info(&client).jobs, JOBS_MAX_ENDED);
	ck_assert_uint_eq(job_entry(&client, first).job, first);
	last = start_job(&client, "exit 4");
	job_await_end(&client, last);
	eventually(client_info(&client).jobs == JOBS_MAX_ENDED);
	expect_gone(&client, first);
	job_expect_exit(&client, wait_job(&client, job_number(second), 0, true), second, 2);
	job_expect_exit(&client, wait_job(&client, job_number(last), 0, true), last, 4);
}
END_TEST

/* A job that is forgotten in the midst of its output ends for those who look, as it would have. */
/* Sent to the agent, and not taken out of the socket yet. */
static int unread_bytes(const struct client *peer)
{
	int bytes = -1;

	ck_assert_int_eq(ioctl(peer->fd, SIOCOUTQ, &bytes), 0);
	return bytes;
}

/* The rest of a job's output, up to this last reply to this request. */
static void expect_rest(struct client *from, uint32_t id, int body)
{
	const Provium__V1__Message *message;
	uint64_t received = 0;

	while ((message = client_receive(from)) && message->body_case == BODY(OUTPUT))
		received += message->output->data.len;
	ck_assert_ptr_nonnull(message);
	ck_assert_int_eq(message->body_case, body);
	ck_assert_uint_eq(message->id, id);
	ck_assert_uint_eq(received, 6888896);
}

START_TEST(forgotten_while_viewed)
{
	uint64_t job = job_started(&client, send_job(&client, "seq 1 1000000", NULL, MIB(16)));
	uint32_t wait_id, output_id;
	struct client third;

	job_await_end(&client, job);
	/* Of a host that is being sent as much nothing more is read. */
	client_connect(&third);
	wait_id = wait_job(&other, job_number(job), ABSENT, true);
	output_id = read_job(&third, job_number(job), 0, ABSENT, true);
	/* Both requests have been read, and one at least is being answered. */
	eventually(unread_bytes(&other) == 0 && unread_bytes(&third) == 0);
	eventually(client_info(&client).queued_bytes > KIB(256));
	for (int i = 0; i < JOBS_MAX_ENDED; i++)
		start_job(&client, "true");
	eventually(client_info(&client).commands_running == 0);
	expect_gone(&client, job);
	expect_rest(&other, wait_id, BODY(JOB_RESULT));
	expect_rest(&third, output_id, BODY(OK));
	client_close(&third);
	ck_assert_uint_eq(client_info(&client).jobs, JOBS_MAX_ENDED);
}
END_TEST

START_TEST(many_running)
{
	uint64_t job = 0;

	for (int i = 0; i < JOBS_MAX_RUNNING; i++)
		job = start_job(&client, "exec sleep 1000");
	client_expect_error(&other, send_job(&other, "true", NULL, ABSENT), CODE(LIMIT),
			    "256 jobs are running");
	job_collect(&client, kill_job(&client, job_number(job), ABSENT, ABSENT), &outcome);
	ck_assert_uint_gt(start_job(&other, "true"), job);
	/* The server's end, which follows, kills and reaps them. */
}
END_TEST

/* A number is not used again, not even by a server that takes another's place. */
START_TEST(numbers)
{
	uint64_t job = 0;

	agent_config.restarts = 3;
	agent_start_connected();
	for (int i = 0; i < 3; i++) {
		uint64_t next = start_job(&client, "true");

		ck_assert_uint_gt(next, job);
		job = next;
		job_expect_exit(&client, wait_job(&client, job_number(job), ABSENT, false), job, 0);
	}
	ck_assert_uint_eq(job >> 32, 3);
	agent_stop_connected();
}
END_TEST

static Suite *job_suite(void)
{
	Suite *suite = suite_create("agent: jobs");
	TCase *tcase = unit_counted_case("two clients");
	TCase *alone = unit_counted_case("alone");

	tcase_add_checked_fixture(tcase, jobs_start, jobs_stop);
	tcase_add_test(tcase, wait);
	tcase_add_test(tcase, wait_without_output);
	tcase_add_test(tcase, wait_for_the_past);
	tcase_add_test(tcase, wait_in_vain);
	tcase_add_test(tcase, wait_in_time);
	tcase_add_test(tcase, outlives_its_connection);
	tcase_add_test(tcase, outlives_its_waiters);
	tcase_add_test(tcase, many_waiters);
	tcase_add_test(tcase, slow_waiter);
	tcase_add_test(tcase, slow_waiter_that_ends);
	tcase_add_test(tcase, listed);
	tcase_add_test(tcase, names);
	tcase_add_test(tcase, not_there);
	tcase_add_test(tcase, refs_that_are_none);
	tcase_add_test(tcase, not_started);
	tcase_add_test(tcase, fields_of_the_command);
	tcase_add_test(tcase, many_ended);
	tcase_add_test(tcase, forgotten_while_viewed);
	tcase_add_test(tcase, many_running);
	tcase_set_timeout(tcase, 60);
	suite_add_tcase(suite, tcase);
	tcase_add_test(alone, numbers);
	suite_add_tcase(suite, alone);
	return suite;
}

int main(void)
{
	return unit_run(job_suite());
}
