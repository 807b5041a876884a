/* Commands with a pseudo-terminal. */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent_harness.h"
#include "common/cleanup.h"
#include "common/util.h"
#include "unit.h"

static struct outcome outcome;
static Provium__V1__Exec exec;
static Provium__V1__Pty pty;
/* What has been shown so far. */
static char screen[8192];

static void start(void)
{
	exec = (Provium__V1__Exec)PROVIUM__V1__EXEC__INIT;
	pty = (Provium__V1__Pty)PROVIUM__V1__PTY__INIT;
	exec.has_shell = true;
	exec.pty = &pty;
	screen[0] = '\0';
}

static void finish(void)
{
	outcome_free(&outcome);
}

static void run(const char *command)
{
	outcome_free(&outcome);
	exec.shell = bytes_of(command);
	client_collect(&client, client_exec(&client, &exec), &outcome);
}

/* Starts a command that somebody types for. */
static uint32_t start_typing(const char *command)
{
	exec.shell = bytes_of(command);
	exec.has_stdin_kind = true;
	exec.stdin_kind = PROVIUM__V1__STDIN_KIND__STDIN_STREAM;
	return client_exec(&client, &exec);
}

/* A message of the command that is not the OK of what was typed. */
static const Provium__V1__Message *next(void)
{
	for (;;) {
		const Provium__V1__Message *message = client_receive(&client);

		ck_assert_ptr_nonnull(message);
		if (message->body_case != BODY(OK))
			return message;
	}
}

/* Waits until the screen shows this, and forgets what it has shown up to there. */
static void expect_shown(const char *text)
{
	const char *found;

	while (!(found = strstr(screen, text))) {
		const Provium__V1__Message *message = next();
		size_t length = strlen(screen);

		ck_assert_msg(message->body_case == BODY(OUTPUT), "message %d; \"%s\" lacks \"%s\"",
			      message->body_case, screen, text);
		ck_assert_int_eq(message->output->stream, PROVIUM__V1__STREAM__STREAM_STDOUT);
		ck_assert_uint_lt(length + message->output->data.len, sizeof(screen));
		memcpy(screen + length, message->output->data.data, message->output->data.len);
		screen[length + message->output->data.len] = '\0';
	}
	found += strlen(text);
	memmove(screen, found, strlen(found) + 1);
}

static void type(uint32_t id, const char *keys)
{
	client_stdin(&client, id, keys, strlen(keys), false);
}

/* Waits for the end, and collects what is shown until then. */
static const Provium__V1__ExecResult *expect_result(void)
{
	const Provium__V1__Message *message;

	while ((message = next())->body_case == BODY(OUTPUT)) {
		size_t length = strlen(screen);

		snprintf(screen + length, sizeof(screen) - length, "%.*s",
			 (int)message->output->data.len, (const char *)message->output->data.data);
	}
	ck_assert_int_eq(message->body_case, BODY(EXEC_RESULT));
	return message->exec_result;
}

static void expect_cancelled(uint32_t id)
{
	client_cancel(&client, id);
	ck_assert_int_eq(expect_result()->outcome, PROVIUM__V1__OUTCOME__OUTCOME_CANCELLED);
}

/* ------------------------------------------------------------------------------------------- */
/* What it is */

START_TEST(three_fds)
{
	run("[ -t 0 ] && [ -t 1 ] && [ -t 2 ] && : </dev/tty && tty | grep -c ^/dev/pts/ &&"
	    "ls /proc/self/fd | tr '\\n' ' '; echo error >&2");
	/* 3 is the folder that ls reads. */
	outcome_expect(&outcome, "1\r\n0 1 2 3 error\r\n", "");
	outcome_expect_exit(&outcome, 0);
	ck_assert(!outcome.result.pipes_held);
}
END_TEST

START_TEST(foreground)
{
	run("read -r pid name state parent group session tty front rest </proc/$$/stat;"
	    "[ $pid = $group ] && [ $pid = $session ] && [ $pid = $front ] && echo leader");
	outcome_expect(&outcome, "leader\r\n", "");
}
END_TEST

START_TEST(size)
{
	run("stty size");
	outcome_expect(&outcome, "24 80\r\n", "");
	pty.has_rows = pty.has_cols = true;
	pty.rows = 65535;
	pty.cols = 1;
	run("stty size");
	outcome_expect(&outcome, "65535 1\r\n", "");
	pty.rows = pty.cols = 0;
	run("stty size");
	outcome_expect(&outcome, "0 0\r\n", "");
}
END_TEST

START_TEST(kind_of_terminal)
{
	ProtobufCBinaryData env[] = { BYTES("TERM=told") };

	setenv("TERM", "inherited", true);
	run("echo $TERM");
	outcome_expect(&outcome, "linux\r\n", "");
	pty.has_term = true;
	pty.term = BYTES("xterm-256color");
	run("echo $TERM");
	outcome_expect(&outcome, "xterm-256color\r\n", "");
	exec.has_clear_env = true;
	exec.clear_env = true;
	run("echo $TERM");
	outcome_expect(&outcome, "xterm-256color\r\n", "");
	exec.env = env;
	exec.n_env = 1;
	run("echo $TERM");
	outcome_expect(&outcome, "told\r\n", "");
}
END_TEST

START_TEST(refused)
{
	char term[256];

	exec.shell = BYTES("true");
	pty.has_rows = true;
	pty.rows = 65536;
	client_expect_error(&client, client_exec(&client, &exec), CODE(INVALID), "EXEC: pty: rows");
	pty.has_rows = false;
	pty.has_cols = true;
	pty.cols = UINT32_MAX;
	client_expect_error(&client, client_exec(&client, &exec), CODE(INVALID), "EXEC: pty: cols");
	pty.has_cols = false;
	pty.has_term = true;
	pty.term = BYTES("");
	client_expect_error(&client, client_exec(&client, &exec), CODE(INVALID), "EXEC: pty: term");
	pty.term = BYTES("a\0b");
	client_expect_error(&client, client_exec(&client, &exec), CODE(INVALID), "EXEC: pty: term");
	memset(term, 'a', sizeof(term));
	pty.term = (ProtobufCBinaryData){ sizeof(term), (uint8_t *)term };
	client_expect_error(&client, client_exec(&client, &exec), CODE(LIMIT), "EXEC: pty: term");
	pty.term.len--;
	run("echo ${#TERM}");
	outcome_expect(&outcome, "255\r\n", "");
}
END_TEST

/* Whoever it runs as may open it by its name. */
START_TEST(owner)
{
	if (!unit_is_root())
		return;
	exec.has_uid = true;
	exec.uid = 12345;
	run("stat -c %u $(tty) && echo fine >$(tty)");
	outcome_expect(&outcome, "12345\r\nfine\r\n", "");
}
END_TEST

/* Where the guest has no devpts the agent mounts one nowhere; without the right to, it says so. */
START_TEST(no_devpts)
{
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) {
		unit_skip("no mount namespace: %s", strerror(errno));
		return;
	}
	while (umount2("/dev/pts", MNT_DETACH) == 0)
		;
	agent_start_connected();
	for (int i = 0; i < 3; i++) {
		run("[ -t 0 ] && : </dev/tty && stty size");
		outcome_expect(&outcome, "24 80\r\n", "");
	}
	agent_stop_connected();
	agent_start_connected();
	agent_drop_user();
	exec.shell = BYTES("true");
	client_expect_os_error(&client, client_exec(&client, &exec), ENODEV,
			       "cannot start a process");
	agent_stop_connected();
}
END_TEST

/* ------------------------------------------------------------------------------------------- */
/* What is typed */

START_TEST(echo)
{
	uint32_t id = start_typing("read -r line; echo \"got $line\"");

	type(id, "text\n");
	expect_shown("text\r\ngot text\r\n");
	outcome.result = *expect_result();
	outcome_expect_exit(&outcome, 0);
	ck_assert_str_eq(screen, "");
}
END_TEST

START_TEST(password)
{
	uint32_t id = start_typing("stty -echo; echo ready; read -r line; stty echo;"
				   "echo \"got $line\"; read -r line");

	expect_shown("ready\r\n");
	type(id, "secret\n");
	expect_shown("got secret\r\n");
	type(id, "shown\n");
	expect_result();
	ck_assert_str_eq(screen, "shown\r\n");
}
END_TEST

/*
 * The end of input is what a person types: on a new line, within one, on an empty one. It is that
 * of one reader, and the terminal stays.
 */
START_TEST(end_of_input)
{
	static const char *const typed[] = { "line\n", "line\npart", "line\r", "" };
	char count[32];
	uint32_t id;

	exec.has_input = true;
	exec.input = bytes_of(typed[_i]);
	exec.has_stdin_kind = true;
	exec.stdin_kind = PROVIUM__V1__STDIN_KIND__STDIN_BYTES;
	/* Where it comes late its echo may be missing. */
	run("stty -echo; wc -c; echo over");
	outcome_expect_exit(&outcome, 0);
	ck_assert(strstr((const char *)outcome.output[0], "over\r\n"));
	exec.has_input = false;
	id = start_typing("stty -echo; echo ready; wc -c; echo over; cat");
	expect_shown("ready\r\n");
	client_stdin(&client, id, typed[_i], strlen(typed[_i]), true);
	snprintf(count, sizeof(count), "%zu\r\nover\r\n", strlen(typed[_i]));
	expect_shown(count);
	expect_cancelled(id);
	ck_assert_str_eq(screen, "");
}
END_TEST

/* Somebody may come who knows what to do with it: it is not the end of the terminal. */
START_TEST(end_of_input_of_a_raw_terminal)
{
	uint32_t id = start_typing("stty raw -echo; echo ready; head -c 1 | od -An -tx1");

	expect_shown("ready");
	client_stdin(&client, id, NULL, 0, true);
	expect_shown("04");
	outcome.result = *expect_result();
	outcome_expect_exit(&outcome, 0);
}
END_TEST

START_TEST(nobody_types)
{
	uint32_t id;

	exec.shell = BYTES("echo ready; cat");
	id = client_exec(&client, &exec);
	expect_shown("ready\r\n");
	client_expect_error(&client, client_stdin(&client, id, "a", 1, false), CODE(INVALID), "");
	client_ping(&client);
	expect_cancelled(id);
}
END_TEST

START_TEST(interrupted)
{
	static const struct {
		const char *key;
		int number;
	} cases[] = { { "\x03", SIGINT }, { "\x1c", SIGQUIT } };
	uint32_t id = start_typing("ulimit -c 0; echo ready; exec sleep 1000");
	const Provium__V1__ExecResult *result;

	expect_shown("ready\r\n");
	type(id, cases[_i].key);
	result = expect_result();
	ck_assert_int_eq(result->outcome, PROVIUM__V1__OUTCOME__OUTCOME_SIGNALLED);
	ck_assert_uint_eq(result->signal, cases[_i].number);
	ck_assert_str_eq(screen, _i ? "^\\" : "^C");
}
END_TEST

START_TEST(interrupt_that_is_caught)
{
	uint32_t id =
		start_typing("trap 'echo caught' INT; echo ready; until read -r a; do :; done");

	expect_shown("ready\r\n");
	type(id, "\x03");
	expect_shown("^C");
	expect_shown("caught\r\n");
	type(id, "on\n");
	expect_result();
}
END_TEST

/* A shell with job control: its jobs have groups of their own, and stop. */
START_TEST(job_control)
{
	ProtobufCBinaryData argv[] = { BYTES("sh"), BYTES("-i") };
	ProtobufCBinaryData env[] = { BYTES("PS1=> "), BYTES("ENV=") };
	uint32_t id;
	pid_t pid;

	exec.has_shell = false;
	exec.argv = argv;
	exec.n_argv = 2;
	exec.env = env;
	exec.n_env = 2;
	exec.has_stdin_kind = true;
	exec.stdin_kind = PROVIUM__V1__STDIN_KIND__STDIN_STREAM;
	id = client_exec(&client, &exec);
	expect_shown("> ");
	type(id, "sh -c 'echo $$; echo run''ning; exec sleep 1000'\n");
	expect_shown("running\r\n");
	type(id, "\x1a");
	expect_shown("^Z");
	expect_shown("> ");
	type(id, "jobs\n");
	expect_shown("Stopped");
	expect_shown("> ");
	type(id, "fg\n");
	expect_shown("sleep 1000");
	/* The job is not in the leader's group. */
	type(id, "\x03");
	expect_shown("> ");
	type(id, "sleep 1001 & echo pid $!\n");
	expect_shown("\r\npid ");
	expect_shown("> ");
	type(id, "sh -c 'echo is $$; exec sleep 1002'\n");
	expect_shown("\r\nis ");
	while (!strchr(screen, '\n'))
		expect_shown("");
	pid = atoi(screen);
	ck_assert_int_gt(pid, 1);
	ck_assert_int_eq(kill(pid, 0), 0);
	expect_cancelled(id);
	eventually(kill(pid, 0) < 0);
}
END_TEST

/* Typed faster than it is read: nothing is lost, and the rest waits. */
START_TEST(slow_program)
{
	enum {
		SIZE = 200000
	};
	cleanup_free char *keys = malloc(SIZE);
	char path[256], command[600];
	uint32_t id, typed;
	FILE *file;

	ck_assert_ptr_nonnull(keys);
	for (size_t i = 0; i < SIZE; i++)
		keys[i] = (char)(i * 7 % 251);
	snprintf(path, sizeof(path), "%s", test_path("typed"));
	snprintf(command, sizeof(command),
		 "stty raw -echo; echo ready; until [ -e %s ]; do sleep 0.01; done;"
		 "head -c %d >%s",
		 test_path("go"), SIZE, path);
	id = start_typing(command);
	expect_shown("ready");
	typed = client_stdin(&client, id, keys, SIZE, false);
	client_ping(&client);
	close(creat(test_path("go"), 0600));
	ck_assert_uint_eq(client_expect(&client, BODY(OK))->id, typed);
	outcome.result = *expect_result();
	outcome_expect_exit(&outcome, 0);
	file = fopen(path, "re");
	ck_assert_ptr_nonnull(file);
	for (size_t i = 0; i < SIZE; i++)
		ck_assert_int_eq(getc(file), (unsigned char)keys[i]);
	fclose(file);
}
END_TEST

/* ------------------------------------------------------------------------------------------- */
/* What is shown */

/* The output is lines that count from 1, as a terminal ends them. */
static void expect_all_lines(unsigned long last)
{
	const char *at = (const char *)outcome.output[0];

	for (unsigned long line = 1; line <= last; line++) {
		char expected[32];
		size_t length = (size_t)snprintf(expected, sizeof(expected), "%lu\r\n", line);

		ck_assert_msg(at && strncmp(at, expected, length) == 0, "line %lu of %lu", line,
			      last);
		at += length;
	}
	ck_assert_str_eq(at, "");
}

/* What the leader wrote last comes although it has gone, also where it comes late. */
START_TEST(tail)
{
	for (int i = 0; i < 20; i++) {
		run("seq 1 3000");
		outcome_expect_exit(&outcome, 0);
		expect_all_lines(3000);
	}
}
END_TEST

START_TEST(slow_reader)
{
	struct client other;
	uint32_t id;

	exec.shell = BYTES("seq 1 400000");
	id = client_exec(&client, &exec);
	/* Until the connection and the queue are full. */
	client_connect(&other);
	eventually(client_info(&other).queued_bytes >= MIB(1));
	client_ping(&other);
	client_close(&other);
	client_collect(&client, id, &outcome);
	outcome_expect_exit(&outcome, 0);
	expect_all_lines(400000);
}
END_TEST

/* Something else keeps the terminal open, deaf to the hangup: it keeps nobody waiting. */
START_TEST(held)
{
	struct stat status;
	char command[600];

	run("trap '' HUP; sleep 5 & seq 1 3000");
	outcome_expect_exit(&outcome, 0);
	ck_assert(outcome.result.pipes_held);
	expect_all_lines(3000);
	/* What it writes then is dropped, and harms it not. */
	snprintf(command, sizeof(command),
		 "trap '' HUP; (sleep 0.5; seq 1 10000 && : >%s) & echo begin", test_path("done"));
	run(command);
	outcome_expect(&outcome, "begin\r\n", "");
	ck_assert(outcome.result.pipes_held);
	eventually(stat(test_path("done"), &status) == 0);
}
END_TEST

START_TEST(held_behind_a_slow_reader)
{
	struct client other;
	uint32_t id;

	exec.shell = BYTES("trap '' HUP; sleep 20 & seq 1 400000");
	id = client_exec(&client, &exec);
	client_connect(&other);
	eventually(client_info(&other).queued_bytes >= MIB(1));
	client_close(&other);
	client_collect(&client, id, &outcome);
	outcome_expect_exit(&outcome, 0);
	ck_assert(outcome.result.pipes_held);
	expect_all_lines(400000);
}
END_TEST

/* While nobody has it open it is still the terminal. */
START_TEST(closed_for_a_while)
{
	run("exec <&- >&- 2>&-; sleep 0.2; echo back >/dev/tty; sleep 0.2; echo again >/dev/tty");
	outcome_expect(&outcome, "back\r\nagain\r\n", "");
	outcome_expect_exit(&outcome, 0);
}
END_TEST

START_TEST(limited)
{
	exec.has_output_limit = true;
	exec.output_limit = 10;
	run("seq 1 3000");
	outcome_expect_exit(&outcome, 0);
	ck_assert_uint_eq(outcome.size[0], 10);
	ck_assert(outcome.result.stdout_truncated);
	ck_assert_uint_eq(outcome.result.stdout_bytes, 16893);
}
END_TEST

START_TEST(many)
{
	enum {
		COUNT = 100
	};
	uint32_t ids[COUNT], fds = client_info(&client).open_fds;
	bool seen[COUNT] = { false };

	for (int i = 0; i < COUNT; i++) {
		char command[64];

		snprintf(command, sizeof(command), "read -r a; echo \"[%d $a]\"; exit %d", i, i);
		ids[i] = start_typing(command);
	}
	for (int i = 0; i < COUNT; i++)
		type(ids[i], "typed\n");
	for (int left = COUNT; left > 0;) {
		const Provium__V1__Message *message = next();

		if (message->body_case == BODY(OUTPUT))
			continue;
		ck_assert_int_eq(message->body_case, BODY(EXEC_RESULT));
		ck_assert_uint_lt(message->exec_result->exit_code, COUNT);
		ck_assert_uint_eq(ids[message->exec_result->exit_code], message->id);
		ck_assert(!seen[message->exec_result->exit_code]);
		seen[message->exec_result->exit_code] = true;
		left--;
	}
	eventually(client_info(&client).open_fds == fds);
}
END_TEST

START_TEST(connection_ends)
{
	struct client other;
	pid_t leader;

	client_connect(&other);
	exec.shell = BYTES("trap '' HUP; echo $$; cat; sleep 1000");
	client_exec(&other, &exec);
	leader = atoi(expect_output(&other));
	client_close(&other);
	eventually(kill(leader, 0) < 0);
	eventually(client_info(&client).commands_running == 0);
}
END_TEST

START_TEST(timeout)
{
	exec.has_timeout_ms = true;
	exec.timeout_ms = 200;
	run("echo shown; cat");
	outcome_expect(&outcome, "shown\r\n", "");
	ck_assert_int_eq(outcome.result.outcome, PROVIUM__V1__OUTCOME__OUTCOME_TIMED_OUT);
	ck_assert(!outcome.result.pipes_held);
}
END_TEST

static Suite *pty_suite(void)
{
	Suite *suite = suite_create("agent: terminals");
	TCase *alone = unit_counted_case("configured");
	TCase *tcase = unit_counted_case("connected");

	tcase_add_checked_fixture(alone, start, finish);
	tcase_add_test(alone, no_devpts);
	suite_add_tcase(suite, alone);

	tcase_add_checked_fixture(tcase, agent_start_connected, agent_stop_connected);
	tcase_add_checked_fixture(tcase, start, finish);
	tcase_add_test(tcase, three_fds);
	tcase_add_test(tcase, foreground);
	tcase_add_test(tcase, size);
	tcase_add_test(tcase, kind_of_terminal);
	tcase_add_test(tcase, refused);
	tcase_add_test(tcase, owner);
	tcase_add_test(tcase, echo);
	tcase_add_test(tcase, password);
	tcase_add_loop_test(tcase, end_of_input, 0, 4);
	tcase_add_test(tcase, end_of_input_of_a_raw_terminal);
	tcase_add_test(tcase, nobody_types);
	tcase_add_loop_test(tcase, interrupted, 0, 2);
	tcase_add_test(tcase, interrupt_that_is_caught);
	tcase_add_test(tcase, job_control);
	tcase_add_test(tcase, slow_program);
	tcase_add_test(tcase, tail);
	tcase_add_test(tcase, slow_reader);
	tcase_add_test(tcase, held);
	tcase_add_test(tcase, held_behind_a_slow_reader);
	tcase_add_test(tcase, closed_for_a_while);
	tcase_add_test(tcase, limited);
	tcase_add_test(tcase, many);
	tcase_add_test(tcase, connection_ends);
	tcase_add_test(tcase, timeout);
	tcase_set_timeout(tcase, 60);
	suite_add_tcase(suite, tcase);
	return suite;
}

int main(void)
{
	return unit_run(pty_suite());
}
