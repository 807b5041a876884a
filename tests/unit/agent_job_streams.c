/* Output of jobs through the server: kept, read, followed, within its limits. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/connection.h"
#include "agent/job.h"
#include "agent_jobs.h"
#include "common/util.h"
#include "unit.h"

#define STDOUT PROVIUM__V1__STREAM__STREAM_STDOUT
#define STDERR PROVIUM__V1__STREAM__STREAM_STDERR

static uint64_t start_keeping(const char *command, uint64_t keep)
{
	return job_started(&client, send_job(&client, command, NULL, keep));
}

/* What a finished read has brought. */
static void expect_read(uint64_t first_out, const char *out, uint64_t first_err, const char *err)
{
	const uint64_t first[] = { first_out, first_err };
	const char *const expected[] = { out, err };

	for (int i = 0; i < 2; i++) {
		ck_assert_uint_eq(outcome.outcome.size[i], strlen(expected[i]));
		if (expected[i][0]) {
			ck_assert_str_eq((const char *)outcome.outcome.output[i], expected[i]);
			ck_assert_uint_eq(outcome.first[i], first[i]);
		}
	}
	ck_assert_uint_eq(outcome.bytes, strlen(out) + strlen(err));
}

START_TEST(read_by_stream_and_offset)
{
	uint64_t job = start_job(&client, "printf 0123456789; printf abcdefgh >&2");
	Provium__V1__JobRef ref = job_number(job);

	job_await_end(&client, job);
	collect(read_job(&client, ref, 0, ABSENT, false));
	expect_read(0, "0123456789", 0, "abcdefgh");
	collect(read_job(&client, ref, STDERR, ABSENT, false));
	expect_read(0, "", 0, "abcdefgh");
	collect(read_job(&client, ref, STDOUT, 4, false));
	expect_read(4, "456789", 0, "");
	collect(read_job(&client, ref, 0, 8, false));
	expect_read(8, "89", 0, "");
	collect(read_job(&client, ref, 0, 10, true));
	expect_read(0, "", 0, "");
	collect(read_job(&client, ref, 0, UINT64_MAX - 1, true));
	expect_read(0, "", 0, "");
	client_expect_error(&client, read_job(&client, ref, 3, ABSENT, false), CODE(INVALID),
			    "JOB_OUTPUT: stream: 3 is out of range");
	/* Reading does not collect. */
	job_expect_exit(&client, wait_job(&client, ref, 0, false), job, 0);
}
END_TEST

START_TEST(read_while_it_runs)
{
	uint64_t job = start_job(&client, "echo one; sleep 1000");

	eventually(job_entry(&client, job).stdout_bytes == 4);
	collect(read_job(&client, job_number(job), 0, ABSENT, false));
	expect_read(0, "one\n", 0, "");
}
END_TEST

/* A firehose that nobody stops: a read ends with what was there at its begin. */
START_TEST(read_of_an_endless_job)
{
	uint64_t job = start_job(&client, "exec yes");

	eventually(job_entry(&client, job).stdout_bytes > MIB(2));
	collect(read_job(&client, job_number(job), 0, ABSENT, false));
	ck_assert_uint_le(outcome.outcome.size[0], MIB(1));
	ck_assert_uint_gt(outcome.first[0], 0);
}
END_TEST

START_TEST(followed)
{
	uint64_t job = start_job(&client, waiting("echo one; echo err >&2", "echo two; exit 3"));
	uint32_t id = read_job(&client, job_number(job), STDOUT, ABSENT, true), late;

	ck_assert_str_eq(expect_output(&client), "one\n");
	/* From a place that is not there yet. */
	late = read_job(&other, job_number(job), STDOUT, 6, true);
	client_ping(&other);
	ck_assert(!client_is_readable(&client, 50));
	let_go();
	ck_assert_str_eq(expect_output(&client), "two\n");
	collect(id);
	ck_assert_uint_eq(outcome.bytes, 8);
	job_outcome_free(&outcome);
	job_collect(&other, late, &outcome);
	expect_read(6, "o\n", 0, "");
	job_expect_exit(&client, wait_job(&client, job_number(job), 0, false), job, 3);
}
END_TEST

/* Everything that is written, in order, while it is written, though little is kept. */
START_TEST(followed_closely)
{
	uint64_t job = start_keeping(waiting("true", "seq 1 100000; seq 1 100000 >&2"), MIB(1));
	uint32_t id = read_job(&client, job_number(job), 0, 0, true);

	client_ping(&other);
	let_go();
	collect(id);
	ck_assert_uint_eq(outcome.outcome.size[0], 588895);
	ck_assert_uint_eq(outcome.outcome.size[1], 588895);
	for (int i = 0; i < 2; i++)
		expect_lines(outcome.outcome.output[i], 1, 100000);
}
END_TEST

/* A follower that does not read holds nobody up, and sees the gap. */
START_TEST(followed_slowly)
{
	uint64_t job = start_keeping(waiting("true", "head -c 20000000 /dev/zero"), KIB(512));
	uint64_t received = 0, last = 0, gaps = 0;

	read_job(&other, job_number(job), STDOUT, 0, true);
	client_ping(&client);
	let_go();
	job_await_end(&client, job);
	ck_assert_uint_le(client_info(&client).queued_bytes, QUEUE_HIGH + MIB(1));
	for (;;) {
		const Provium__V1__Message *message = client_receive(&other);

		ck_assert_ptr_nonnull(message);
		if (message->body_case == BODY(OK)) {
			ck_assert_uint_eq(message->ok->bytes, received);
			break;
		}
		ck_assert_int_eq(message->body_case, BODY(OUTPUT));
		ck_assert_uint_ge(message->output->offset, last);
		gaps += message->output->offset > last;
		last = message->output->offset + message->output->data.len;
		received += message->output->data.len;
	}
	ck_assert_uint_eq(last, 20000000);
	ck_assert_uint_gt(gaps, 0);
	ck_assert_uint_lt(received, 20000000);
	collect(wait_job(&client, job_number(job), 0, true));
	ck_assert_uint_eq(outcome.result.stdout_dropped, 20000000 - KIB(512));
	ck_assert_uint_eq(outcome.first[0], 20000000 - KIB(512));
}
END_TEST

/* Much through little: it never waits, the last is there, and the agent stays small. */
START_TEST(more_than_is_kept)
{
	uint64_t job = start_keeping(
		waiting("true", "head -c 64M /dev/zero | tr '\\0' x; seq 1 1000; echo end >&2"),
		ABSENT);
	const uint64_t size = MIB(64) + 3893;
	const uint8_t *data;
	size_t resident = resident_bytes();

	let_go();
	job_await_end(&client, job);
	if (!WITH_ADDRESS_SANITIZER)
		ck_assert_uint_le(resident_bytes(), resident + MIB(1));
	ck_assert_uint_eq(job_entry(&client, job).stdout_bytes, size);
	collect(wait_job(&client, job_number(job), ABSENT, true));
	ck_assert_uint_eq(outcome.outcome.result.stdout_bytes, size);
	ck_assert_uint_eq(outcome.result.stdout_dropped, size - MIB(1));
	ck_assert(!outcome.result.has_stderr_dropped);
	ck_assert(!outcome.outcome.result.stdout_truncated);
	ck_assert_uint_eq(outcome.first[0], size - MIB(1));
	ck_assert_uint_eq(outcome.outcome.size[0], MIB(1));
	ck_assert_str_eq((const char *)outcome.outcome.output[1], "end\n");
	data = outcome.outcome.output[0];
	for (size_t i = 0; i < MIB(1) - 3893; i++)
		if (data[i] != 'x')
			ck_abort_msg("byte %zu is not x", i);
	expect_lines(data + MIB(1) - 3893, 1, 1000);
}
END_TEST

START_TEST(keep_none)
{
	uint64_t job = start_keeping("echo out", 0);

	collect(wait_job(&client, job_number(job), ABSENT, true));
	ck_assert_uint_eq(outcome.outcome.size[0], 0);
	ck_assert_uint_eq(outcome.result.stdout_dropped, 4);
	ck_assert_uint_eq(outcome.outcome.result.stdout_bytes, 4);
}
END_TEST

/* output_limit: the first bytes are kept, all are counted. */
START_TEST(limited)
{
	Provium__V1__ExecAsync request = PROVIUM__V1__EXEC_ASYNC__INIT;
	Provium__V1__Exec exec = PROVIUM__V1__EXEC__INIT;
	uint64_t job;

	exec.has_shell = true;
	exec.shell = BYTES("printf 0123456789; printf abc >&2");
	exec.has_output_limit = true;
	exec.output_limit = 4;
	request.command = &exec;
	job = job_started(&client, send_job_request(&client, &request));
	job_await_end(&client, job);
	ck_assert_uint_eq(job_entry(&client, job).stdout_bytes, 10);
	collect(wait_job(&client, job_number(job), ABSENT, true));
	ck_assert_str_eq((const char *)outcome.outcome.output[0], "0123");
	ck_assert_str_eq((const char *)outcome.outcome.output[1], "abc");
	ck_assert(outcome.outcome.result.stdout_truncated);
	ck_assert(!outcome.outcome.result.stderr_truncated);
	ck_assert_uint_eq(outcome.outcome.result.stdout_bytes, 10);
	ck_assert_uint_eq(outcome.result.stdout_dropped, 6);
}
END_TEST

static uint64_t kept_of(uint64_t job)
{
	struct job_outcome read;
	uint64_t size;

	job_collect(&client, read_job(&client, job_number(job), STDOUT, ABSENT, false), &read);
	size = read.outcome.size[0];
	job_outcome_free(&read);
	return size;
}

/* All jobs together: those that have ended pay first, the one that ended first before others. */
START_TEST(kept_in_all)
{
	uint64_t running = start_keeping("head -c 20M /dev/zero; exec sleep 1000", MIB(64));
	uint64_t first = start_keeping("head -c 20M /dev/zero", MIB(64)), second, third;

	job_await_end(&client, first);
	second = start_keeping("head -c 15M /dev/zero", MIB(64));
	job_await_end(&client, second);
	eventually(job_entry(&client, running).stdout_bytes == MIB(20));
	ck_assert_uint_eq(kept_of(first), MIB(20));
	third = start_keeping("head -c 30M /dev/zero", MIB(64));
	job_await_end(&client, third);
	ck_assert_uint_eq(kept_of(first), 0);
	ck_assert_uint_eq(kept_of(second), MIB(14));
	ck_assert_uint_eq(kept_of(running), MIB(20));
	ck_assert_uint_eq(kept_of(third), MIB(30));
	/* And then those that run. */
	third = start_keeping("head -c 60M /dev/zero; exec sleep 1000", MIB(64));
	eventually(job_entry(&client, third).stdout_bytes == MIB(60));
	ck_assert_uint_eq(kept_of(running), MIB(4));
	ck_assert_uint_eq(kept_of(third), MIB(60));
	collect(wait_job(&client, job_number(second), 0, true));
	ck_assert_uint_eq(outcome.result.stdout_dropped, MIB(15));
	ck_assert_uint_eq(outcome.outcome.size[0], 0);
}
END_TEST

/* What is collected makes room. */
START_TEST(room_again)
{
	for (int i = 0; i < 4; i++) {
		uint64_t job = start_keeping("head -c 40M /dev/zero", MIB(64));

		collect(wait_job(&client, job_number(job), ABSENT, true));
		ck_assert_uint_eq(outcome.outcome.size[0], MIB(40));
	}
}
END_TEST

static uint64_t written_by(uint64_t job)
{
	Provium__V1__JobEntry entry = job_entry(&client, job);

	return entry.stdout_bytes + entry.stderr_bytes;
}

/* What a daemon writes after the job's end is kept with it, and kills it not. */
START_TEST(pipes_held)
{
	uint64_t job = start_job(&client, waiting("(true", "echo late; echo later >&2; sleep "
							   "0.01; echo last) & echo started"));
	Provium__V1__JobRef ref = job_number(job);
	uint32_t follow = read_job(&other, ref, 0, ABSENT, true);

	job_await_end(&client, job);
	job_collect(&other, follow, &outcome);
	expect_read(0, "started\n", 0, "");
	let_go();
	eventually(written_by(job) == 24);
	collect(read_job(&client, ref, 0, ABSENT, true));
	expect_read(0, "started\nlate\nlast\n", 0, "later\n");
	collect(wait_job(&client, ref, 0, true));
	ck_assert(outcome.outcome.result.pipes_held);
	ck_assert_uint_eq(outcome.outcome.result.stdout_bytes, 8);
	ck_assert_uint_eq(outcome.outcome.size[0], 18);
	ck_assert(!outcome.result.has_stdout_dropped);
}
END_TEST

/* When the job is forgotten the daemon may still write. */
START_TEST(pipes_held_and_forgotten)
{
	char daemon[300];
	uint64_t job;

	snprintf(daemon, sizeof(daemon), "echo late && echo later && : >%s) & exit 4",
		 test_path("written"));
	job = start_job(&client, waiting("(true", daemon));
	job_expect_exit(&client, wait_job(&client, job_number(job), ABSENT, true), job, 4);
	ck_assert_uint_eq(client_info(&client).jobs, 0);
	let_go();
	eventually(access(test_path("written"), F_OK) == 0);
}
END_TEST

static Suite *streams_suite(void)
{
	Suite *suite = suite_create("agent: streams of jobs");
	TCase *tcase = unit_counted_case("two clients");

	tcase_add_checked_fixture(tcase, jobs_start, jobs_stop);
	tcase_add_test(tcase, read_by_stream_and_offset);
	tcase_add_test(tcase, read_while_it_runs);
	tcase_add_test(tcase, read_of_an_endless_job);
	tcase_add_test(tcase, followed);
	tcase_add_test(tcase, followed_closely);
	tcase_add_test(tcase, followed_slowly);
	tcase_add_test(tcase, more_than_is_kept);
	tcase_add_test(tcase, keep_none);
	tcase_add_test(tcase, limited);
	tcase_add_test(tcase, kept_in_all);
	tcase_add_test(tcase, room_again);
	tcase_add_test(tcase, pipes_held);
	tcase_add_test(tcase, pipes_held_and_forgotten);
	tcase_set_timeout(tcase, 60);
	suite_add_tcase(suite, tcase);
	return suite;
}

int main(void)
{
	return unit_run(streams_suite());
}
