/* How commands end: by themselves, by a limit, by CANCEL, by signals, with their connection. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent_harness.h"
#include "common/util.h"
#include "unit.h"

static struct outcome outcome;

static void finish(void)
{
	outcome_free(&outcome);
}

static bool is_running(pid_t pid)
{
	return kill(pid, 0) == 0;
}

START_TEST(timeout)
{
	Provium__V1__Exec exec = PROVIUM__V1__EXEC__INIT;

	exec.has_shell = true;
	exec.shell = BYTES("echo started; sleep 100 & sleep 100");
	exec.has_timeout_ms = true;
	exec.timeout_ms = 300;
	client_collect(&client, client_exec(&client, &exec), &outcome);
	outcome_expect(&outcome, "started\n", "");
	ck_assert_int_eq(outcome.result.outcome, PROVIUM__V1__OUTCOME__OUTCOME_TIMED_OUT);
	ck_assert_uint_eq(outcome.result.signal, SIGKILL);
	ck_assert_uint_ge(outcome.result.wall_ns, 290000000);
	ck_assert_uint_lt(outcome.result.wall_ns, 5000000000);
	/* Its group went with it: the pipes are not held. */
	ck_assert(!outcome.result.pipes_held);
}
END_TEST

START_TEST(timeout_that_is_not_reached)
{
	Provium__V1__Exec exec = PROVIUM__V1__EXEC__INIT;

	exec.has_shell = true;
	exec.shell = BYTES("true");
	exec.has_timeout_ms = true;
	exec.timeout_ms = UINT64_MAX;
	client_collect(&client, client_exec(&client, &exec), &outcome);
	outcome_expect_exit(&outcome, 0);
}
END_TEST

START_TEST(cancel)
{
	uint32_t id = client_shell(&client, "trap '' TERM INT; echo started; sleep 100");

	client_expect(&client, BODY(OUTPUT));
	client_expect_ok(&client, client_cancel(&client, id));
	client_collect(&client, id, &outcome);
	ck_assert_int_eq(outcome.result.outcome, PROVIUM__V1__OUTCOME__OUTCOME_CANCELLED);
	ck_assert_uint_eq(outcome.result.signal, SIGKILL);
	client_expect_error(&client, client_cancel(&client, id), CODE(NOT_FOUND), "");
}
END_TEST

static uint32_t send_signal(uint32_t request, unsigned int number, bool group)
{
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__Signal body = PROVIUM__V1__SIGNAL__INIT;
	Provium__V1__Target target = PROVIUM__V1__TARGET__INIT;

	target.target_case = PROVIUM__V1__TARGET__TARGET_REQUEST;
	target.request = request;
	body.target = &target;
	body.has_signal = true;
	body.signal = number;
	body.has_group = true;
	body.group = group;
	message.body_case = BODY(SIGNAL);
	message.signal = &body;
	return client_send(&client, &message);
}

START_TEST(signal_to_leader)
{
	uint32_t id = client_shell(
		&client, "trap 'echo got; exit 3' USR1; echo ready; while :; do sleep 0.01; done");

	client_expect(&client, BODY(OUTPUT));
	client_expect_ok(&client, send_signal(id, 0, false));
	client_expect_ok(&client, send_signal(id, SIGUSR1, false));
	ck_assert_str_eq(expect_output(&client), "got\n");
	ck_assert_uint_eq(client_expect(&client, BODY(EXEC_RESULT))->exec_result->exit_code, 3);
}
END_TEST

START_TEST(signal_to_group)
{
	uint32_t id = client_shell(&client, "sleep 100 & trap '' INT; echo ready; wait; echo over");

	client_expect(&client, BODY(OUTPUT));
	client_expect_ok(&client, send_signal(id, SIGTERM, true));
	client_collect(&client, id, &outcome);
	ck_assert_int_eq(outcome.result.outcome, PROVIUM__V1__OUTCOME__OUTCOME_SIGNALLED);
	ck_assert_uint_eq(outcome.result.signal, SIGTERM);
	ck_assert(!outcome.result.pipes_held);
}
END_TEST

START_TEST(wrong_signals)
{
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__Signal body = PROVIUM__V1__SIGNAL__INIT;
	Provium__V1__Target target = PROVIUM__V1__TARGET__INIT;
	uint32_t id;

	client_expect_error(&client, send_signal(999, SIGTERM, false), CODE(NOT_FOUND), "999");
	client_expect_error(&client, send_signal(999, 65, false), CODE(INVALID), "signal: 65");
	message.body_case = BODY(SIGNAL);
	message.signal = &body;
	body.has_signal = true;
	id = client_send(&client, &message);
	client_expect_error(&client, id, CODE(INVALID), "SIGNAL: target: is absent");
	body.target = &target;
	message.has_id = false;
	id = client_send(&client, &message);
	client_expect_error(&client, id, CODE(INVALID), "SIGNAL: target: is empty");
	target.target_case = PROVIUM__V1__TARGET__TARGET_JOB;
	message.has_id = false;
	id = client_send(&client, &message);
	client_expect_error(&client, id, CODE(NOT_FOUND), "SIGNAL: there is no job 0");
}
END_TEST

/* A daemon that has inherited the pipes keeps nobody waiting, and can go on writing. */
START_TEST(pipes_held)
{
	struct stat status;
	uint64_t start = monotonic_ns();
	char command[600];

	snprintf(command, sizeof(command),
		 "echo begin; (trap '' HUP; sleep 2; echo dropped; echo dropped; : >%s) & exit 4",
		 test_path("survived"));
	client_run(&client, command, &outcome);
	outcome_expect(&outcome, "begin\n", "");
	outcome_expect_exit(&outcome, 4);
	ck_assert(outcome.result.pipes_held);
	ck_assert_uint_ge(monotonic_ns() - start, 90000000);
	ck_assert_uint_lt(monotonic_ns() - start, 1900000000);
	/* It was not killed by SIGPIPE. */
	eventually(stat(test_path("survived"), &status) == 0);
}
END_TEST

/* What the leader wrote just before its end is not lost where others hold the pipe. */
START_TEST(tail_of_held_pipes)
{
	client_run(&client, "sleep 5 & seq 1 10000", &outcome);
	outcome_expect_exit(&outcome, 0);
	ck_assert(outcome.result.pipes_held);
	ck_assert_uint_eq(outcome.size[0], 48894);
}
END_TEST

/* Pipes that end within the time are waited for. */
START_TEST(pipes_held_for_a_moment)
{
	/* On a busy machine they may take longer, now and then. */
	for (int tries = 0; tries < 20; tries++) {
		client_run(&client, "(sleep 0.03; echo late) & exit 0", &outcome);
		if (!outcome.result.pipes_held)
			break;
		outcome_free(&outcome);
	}
	ck_assert(!outcome.result.pipes_held);
	outcome_expect(&outcome, "late\n", "");
}
END_TEST

/* Between the leader's end and that of its pipes there is nobody to signal; the group is not ours.
 */
START_TEST(signal_after_the_end)
{
	bool gone = false;

	/* There are 100 ms for it: on a busy machine that may be missed. */
	for (int tries = 0; tries < 50 && !gone; tries++) {
		uint32_t id = client_shell(&client, "sleep 5 & echo $$; exit 0"), number;
		pid_t leader = atoi(expect_output(&client));
		const Provium__V1__Message *message;

		while (is_running(leader))
			usleep(1000);
		number = send_signal(id, SIGTERM, tries % 2);
		message = client_receive(&client);
		ck_assert_ptr_nonnull(message);
		gone = message->id == number && message->body_case == BODY(ERROR) &&
		       message->error->code == CODE(OS) && message->error->os_errno == ESRCH;
		client_receive(&client);
	}
	ck_assert(gone);
}
END_TEST

/* CANCEL then ends the waiting, and changes nothing of how it ended. */
START_TEST(cancel_after_the_end)
{
	bool ended = false;

	for (int tries = 0; tries < 50 && !ended; tries++) {
		uint32_t id = client_shell(&client, "sleep 5 & echo $$; exit 4"), last;
		pid_t leader = atoi(expect_output(&client));
		const Provium__V1__Message *message;

		while (is_running(leader))
			usleep(1000);
		last = client_cancel(&client, id);
		message = client_expect(&client, BODY(EXEC_RESULT));
		ck_assert_int_eq(message->exec_result->outcome,
				 PROVIUM__V1__OUTCOME__OUTCOME_EXITED);
		ck_assert_uint_eq(message->exec_result->exit_code, 4);
		ck_assert(message->exec_result->pipes_held);
		message = client_receive(&client);
		ck_assert_ptr_nonnull(message);
		ck_assert_uint_eq(message->id, last);
		ended = message->body_case == BODY(OK);
	}
	ck_assert(ended);
}
END_TEST

/* However many daemons there are, the fds that wait for their ends are bounded. */
START_TEST(many_pipes_held)
{
	enum {
		COUNT = 150
	};
	char command[300];
	uint32_t fds;
	int end;

	/* The daemons end when the FIFO does, which they have opened before their leaders exit. */
	ck_assert_int_eq(mkfifo(test_path("end"), 0600), 0);
	end = open(test_path("end"), O_RDWR | O_CLOEXEC);
	ck_assert_int_ge(end, 0);
	snprintf(command, sizeof(command), "exec 3<%s; read line <&3 & exit 0", test_path("end"));
	fds = client_info(&client).open_fds;

	for (int i = 0; i < COUNT; i++)
		client_shell(&client, command);
	for (int i = 0; i < COUNT; i++)
		ck_assert(client_expect(&client, BODY(EXEC_RESULT))->exec_result->pipes_held);
	ck_assert_uint_le(client_info(&client).open_fds, fds + 256);
	ck_assert_uint_ge(client_info(&client).open_fds, fds + 200);
	close(end);
	eventually(client_info(&client).open_fds == fds - 1);
}
END_TEST

START_TEST(connection_ends)
{
	struct client other;
	pid_t leader, child;

	client_connect(&other);
	client_shell(&other, "sleep 1000 & echo $$ $!; sleep 1000");
	ck_assert_int_eq(sscanf(expect_output(&other), "%d %d", &leader, &child), 2);
	ck_assert(is_running(leader) && is_running(child));
	client_close(&other);
	eventually(!is_running(leader));
	eventually(!is_running(child));
	eventually(client_info(&client).commands_running == 0);
}
END_TEST

/* The host may close only its sending side; it has ended all the same. */
START_TEST(connection_ends_by_half)
{
	struct client other;
	pid_t leader;

	client_connect(&other);
	client_shell(&other, "echo $$; sleep 1000");
	leader = atoi(expect_output(&other));
	shutdown(other.fd, SHUT_WR);
	client_expect_end(&other);
	eventually(!is_running(leader));
	client_close(&other);
}
END_TEST

/* With everything in flight, at many moments. */
START_TEST(connection_ends_in_the_middle)
{
	for (int i = 0; i < 30; i++) {
		struct client other;

		client_connect(&other);
		client_shell(&other, "yes");
		client_shell(&other, "cat /dev/zero >&2");
		client_shell(&other, "sleep 1000");
		client_shell(&other, "(sleep 0.2) & exit 0");
		usleep((useconds_t)i * 1000);
		client_close(&other);
	}
	eventually(client_info(&client).commands_running == 0);
	eventually(client_info(&client).connections == 1);
	client_run(&client, "echo fine", &outcome);
	outcome_expect(&outcome, "fine\n", "");
}
END_TEST

/* ------------------------------------------------------------------------------------------- */
/* Side by side */

START_TEST(many_at_once)
{
	enum {
		COUNT = 64
	};
	struct outcome outcomes[COUNT] = { { { 0 } } };
	uint32_t first = 0;

	for (int i = 0; i < COUNT; i++) {
		char command[128];
		uint32_t id;

		snprintf(command, sizeof(command), "seq %d %d; echo e%d >&2; exit %d", i * 1000,
			 i * 1000 + 20000, i, i);
		id = client_shell(&client, command);
		if (i == 0)
			first = id;
		ck_assert_uint_eq(id, first + (uint32_t)i);
	}
	for (int left = COUNT; left > 0;) {
		const Provium__V1__Message *message = client_receive(&client);
		struct outcome *one;

		ck_assert_ptr_nonnull(message);
		ck_assert_uint_lt(message->id - first, COUNT);
		one = &outcomes[message->id - first];
		ck_assert_int_eq(one->result.pid, 0);
		if (message->body_case == BODY(OUTPUT)) {
			outcome_add(one, message->output);
			continue;
		}
		ck_assert_int_eq(message->body_case, BODY(EXEC_RESULT));
		one->result = *message->exec_result;
		left--;
	}
	for (int i = 0; i < COUNT; i++) {
		unsigned long line = (unsigned long)i * 1000;
		char text[32];

		outcome_expect_exit(&outcomes[i], (unsigned int)i);
		ck_assert_str_eq(expect_lines(outcomes[i].output[0], line, line + 20000), "");
		snprintf(text, sizeof(text), "e%d\n", i);
		ck_assert_str_eq((const char *)outcomes[i].output[1], text);
		outcome_free(&outcomes[i]);
	}
}
END_TEST

/* A quick one is not kept waiting by a slow one, and PING by neither. */
START_TEST(quick_beside_slow)
{
	uint32_t slow = client_shell(&client, "sleep 100");

	client_ping(&client);
	client_run(&client, "echo quick", &outcome);
	outcome_expect(&outcome, "quick\n", "");
	outcome_free(&outcome);
	client_expect_ok(&client, client_cancel(&client, slow));
	client_collect(&client, slow, &outcome);
}
END_TEST

START_TEST(one_after_another)
{
	for (int i = 0; i < 300; i++) {
		client_run(&client, "exit 9", &outcome);
		outcome_expect_exit(&outcome, 9);
	}
	ck_assert_uint_eq(client_info(&client).commands_running, 0);
}
END_TEST

static Suite *ends_suite(void)
{
	Suite *suite = suite_create("agent: ends of commands");
	TCase *tcase = unit_counted_case("connected");

	tcase_add_checked_fixture(tcase, agent_start_connected, agent_stop_connected);
	tcase_add_checked_fixture(tcase, NULL, finish);
	tcase_add_test(tcase, timeout);
	tcase_add_test(tcase, timeout_that_is_not_reached);
	tcase_add_test(tcase, cancel);
	tcase_add_test(tcase, signal_to_leader);
	tcase_add_test(tcase, signal_to_group);
	tcase_add_test(tcase, wrong_signals);
	tcase_add_test(tcase, pipes_held);
	tcase_add_test(tcase, tail_of_held_pipes);
	tcase_add_test(tcase, pipes_held_for_a_moment);
	tcase_add_test(tcase, connection_ends);
	tcase_add_test(tcase, connection_ends_by_half);
	tcase_add_test(tcase, connection_ends_in_the_middle);
	tcase_add_test(tcase, many_at_once);
	tcase_add_test(tcase, quick_beside_slow);
	tcase_add_test(tcase, one_after_another);
	tcase_add_test(tcase, signal_after_the_end);
	tcase_add_test(tcase, cancel_after_the_end);
	tcase_add_test(tcase, many_pipes_held);
	tcase_set_timeout(tcase, 60);
	suite_add_tcase(suite, tcase);
	return suite;
}

int main(void)
{
	return unit_run(ends_suite());
}
