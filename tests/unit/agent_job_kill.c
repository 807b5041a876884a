/* JOB_KILL, and CANCEL of what waits for a job. */
#include <signal.h>
#include <unistd.h>

#include "agent_jobs.h"
#include "common/util.h"
#include "unit.h"

START_TEST(cancelled)
{
	uint64_t job = start_job(&client, "sleep 1000");
	uint32_t ids[] = {
		wait_job(&client, job_number(job), ABSENT, true),
		wait_job(&client, job_number(job), 20000, true),
		read_job(&client, job_number(job), 0, ABSENT, true),
		kill_job(&client, job_number(job), SIGCONT, 1000000),
	};

	for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
		uint32_t cancel = client_cancel(&client, ids[i]);

		client_expect_error(&client, ids[i], CODE(CANCELLED), "the job is not");
		client_expect_ok(&client, cancel);
	}
	job_expect_running(&client, wait_job(&client, job_number(job), 0, false), job);
}
END_TEST

START_TEST(kill_at_once)
{
	uint64_t job = start_job(&client, "trap '' TERM; echo out; sleep 1000 & wait");

	eventually(job_entry(&client, job).stdout_bytes == 4);
	job_collect(&client, kill_job(&client, job_number(job), ABSENT, ABSENT), &outcome);
	expect_signalled(PROVIUM__V1__OUTCOME__OUTCOME_CANCELLED, SIGKILL);
	outcome_expect(&outcome.outcome, "out\n", "");
	expect_gone(&client, job);
}
END_TEST

/* One that takes its leave has its own status. */
START_TEST(kill_with_grace)
{
	uint64_t job = start_job(
		&client, "exec 2>/dev/null; trap 'echo bye; exit 9' TERM; echo out; while :; do "
			 "sleep 0.01; done");

	eventually(job_entry(&client, job).stdout_bytes == 4);
	job_collect(&client, kill_job(&client, job_number(job), SIGTERM, 20000), &outcome);
	outcome_expect(&outcome.outcome, "out\nbye\n", "");
	outcome_expect_exit(&outcome.outcome, 9);
}
END_TEST

/* One that does not is killed when the grace is over. */
START_TEST(kill_after_grace)
{
	uint64_t job = start_job(&client, "trap '' TERM; echo out; while :; do sleep 0.01; done");
	uint64_t begin;

	eventually(job_entry(&client, job).stdout_bytes == 4);
	begin = monotonic_ns();
	job_collect(&client, kill_job(&client, job_number(job), SIGTERM, 100), &outcome);
	ck_assert_uint_ge(monotonic_ns() - begin, 100000000);
	expect_signalled(PROVIUM__V1__OUTCOME__OUTCOME_CANCELLED, SIGKILL);
}
END_TEST

/* Of several graces the shortest counts, whoever asks for it and whenever. */
START_TEST(kill_with_several_graces)
{
	uint64_t job = start_job(&client, "trap '' TERM; echo out; while :; do sleep 0.01; done");
	uint32_t id;

	eventually(job_entry(&client, job).stdout_bytes == 4);
	id = kill_job(&client, job_number(job), SIGTERM, UINT64_MAX - 1);
	client_ping(&client);
	kill_job(&other, job_number(job), SIGTERM, 100);
	client_ping(&other);
	kill_job(&other, job_number(job), SIGTERM, 1000000);
	/* A connection that has asked for the end need not stay for it. */
	client_ping(&other);
	client_close(&other);
	client_connect(&other);
	job_collect(&client, id, &outcome);
	expect_signalled(PROVIUM__V1__OUTCOME__OUTCOME_CANCELLED, SIGKILL);
}
END_TEST

START_TEST(kill_the_dead)
{
	uint64_t job = start_job(&client, "exit 2");

	job_await_end(&client, job);
	job_expect_exit(&client, kill_job(&client, job_number(job), SIGTERM, 1000), job, 2);
	job = start_job(&client, "sleep 3 & exit 3");
	eventually(job_entry(&client, job).pid > 0);
	/* The leader has ended or ends; what it has left behind holds the pipe. */
	usleep(50000);
	job_collect(&client, kill_job(&client, job_number(job), SIGCONT, 10000), &outcome);
	outcome_expect_exit(&outcome.outcome, 3);
	ck_assert(outcome.outcome.result.pipes_held);
}
END_TEST

START_TEST(wrong_kills)
{
	uint64_t job = start_job(&client, "sleep 1000");

	client_expect_error(&client, kill_job(&client, job_number(job), 0, ABSENT), CODE(INVALID),
			    "signal: 0 is out of range");
	client_expect_error(&client, kill_job(&client, job_number(job), 65, ABSENT), CODE(INVALID),
			    "signal: 65");
	client_expect_error(&client, kill_job(&client, job_number(job), ABSENT, 5), CODE(INVALID),
			    "grace_ms: only with a signal");
	job_expect_running(&client, wait_job(&client, job_number(job), 0, false), job);
}
END_TEST

static Suite *kill_suite(void)
{
	Suite *suite = suite_create("agent: killing jobs");
	TCase *tcase = unit_counted_case("two clients");

	tcase_add_checked_fixture(tcase, jobs_start, jobs_stop);
	tcase_add_test(tcase, cancelled);
	tcase_add_test(tcase, kill_at_once);
	tcase_add_test(tcase, kill_with_grace);
	tcase_add_test(tcase, kill_after_grace);
	tcase_add_test(tcase, kill_with_several_graces);
	tcase_add_test(tcase, kill_the_dead);
	tcase_add_test(tcase, wrong_kills);
	tcase_set_timeout(tcase, 60);
	suite_add_tcase(suite, tcase);
	return suite;
}

int main(void)
{
	return unit_run(kill_suite());
}
