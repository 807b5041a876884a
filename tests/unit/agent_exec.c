/* EXEC: what a command starts with, what comes of it, and how it ends. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/connection.h"
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

/* The next message, an OUTPUT, as a string (static). */
static const char *expect_output(struct client *from)
{
	const Provium__V1__Output *output = client_expect(from, BODY(OUTPUT))->output;
	static char text[256];

	snprintf(text, sizeof(text), "%.*s", (int)output->data.len,
		 (const char *)output->data.data);
	return text;
}

static bool is_running(pid_t pid)
{
	return kill(pid, 0) == 0;
}

/* ------------------------------------------------------------------------------------------- */
/* Arguments, environment, directory */

START_TEST(arguments)
{
	Provium__V1__Exec exec = PROVIUM__V1__EXEC__INIT;
	ProtobufCBinaryData argv[] = {
		BYTES("printf"), BYTES("<%s>"), BYTES(""), BYTES("two words"), BYTES("\xff\n"),
	};

	exec.argv = argv;
	exec.n_argv = ARRAY_SIZE(argv);
	client_collect(&client, client_exec(&client, &exec), &outcome);
	outcome_expect(&outcome, "<><two words><\xff\n>", "");
	outcome_expect_exit(&outcome, 0);
}
END_TEST

START_TEST(environment)
{
	Provium__V1__Exec exec = PROVIUM__V1__EXEC__INIT;
	ProtobufCBinaryData env[] = { BYTES("ONE=1"), BYTES("TWO="), BYTES("ONE=last=\xff") };

	exec.has_shell = true;
	exec.shell = BYTES("env -u PWD -u SHLVL -u _ | sort");
	exec.env = env;
	exec.n_env = ARRAY_SIZE(env);
	exec.has_clear_env = true;
	exec.clear_env = true;
	client_collect(&client, client_exec(&client, &exec), &outcome);
	outcome_expect(&outcome, "ONE=last=\xff\nTWO=\n", "");
}
END_TEST

START_TEST(inherited_environment)
{
	Provium__V1__Exec exec = PROVIUM__V1__EXEC__INIT;
	ProtobufCBinaryData env[] = { BYTES("OURS=theirs") };

	exec.has_shell = true;
	exec.shell = BYTES("echo \"$OURS $HOME $TERM\"");
	exec.env = env;
	exec.n_env = ARRAY_SIZE(env);
	setenv("OURS", "ours", true);
	setenv("HOME", "/home", true);
	unsetenv("TERM");
	client_collect(&client, client_exec(&client, &exec), &outcome);
	outcome_expect(&outcome, "theirs /home linux\n", "");
}
END_TEST

START_TEST(directory)
{
	Provium__V1__Exec exec = PROVIUM__V1__EXEC__INIT;

	exec.has_shell = true;
	exec.shell = BYTES("pwd -P");
	client_collect(&client, client_exec(&client, &exec), &outcome);
	outcome_expect(&outcome, "/\n", "");
	outcome_free(&outcome);
	exec.has_cwd = true;
	exec.cwd = BYTES("/usr/bin");
	client_collect(&client, client_exec(&client, &exec), &outcome);
	outcome_expect(&outcome, "/usr/bin\n", "");
}
END_TEST

/* What a process has that nobody has told it to have. */
START_TEST(clean_process)
{
	/* The tests' own are not close-on-exec, as what a test opens in the agent. */
	int leak = dup(0);

	signal(SIGUSR1, SIG_IGN);
	client_run(&client,
		   "ls /proc/self/fd | tr '\\n' ' '; readlink /proc/self/fd/0;"
		   "grep -E 'Sig(Blk|Ign)' /proc/self/status | tr -d '\\n';"
		   "read -r pid name state parent group session rest </proc/$$/stat;"
		   "[ $pid = $group ] && [ $pid = $session ] && echo leader",
		   &outcome);
	/* 3 is the folder that ls reads. */
	outcome_expect(&outcome,
		       "0 1 2 3 /dev/null\n"
		       "SigBlk:\t0000000000000000SigIgn:\t0000000000000000leader\n",
		       "");
	close(leak);
}
END_TEST

START_TEST(restored_limits)
{
	agent_config.restore_nofile = true;
	agent_config.nofile = (struct rlimit){ 123, 456 };
	agent_config.restore_oom_score_adj = true;
	agent_config.oom_score_adj = 321;
	agent_start_connected();
	client_run(&client, "ulimit -Sn; ulimit -Hn; cat /proc/self/oom_score_adj", &outcome);
	outcome_expect(&outcome, "123\n456\n321\n", "");
	agent_stop_connected();
}
END_TEST

/* ------------------------------------------------------------------------------------------- */
/* Results */

START_TEST(two_streams)
{
	client_run(&client, "echo out; echo err >&2; exit 7", &outcome);
	outcome_expect(&outcome, "out\n", "err\n");
	outcome_expect_exit(&outcome, 7);
	ck_assert_int_gt(outcome.result.pid, 1);
	ck_assert_uint_gt(outcome.result.wall_ns, 0);
	ck_assert(!outcome.result.pipes_held);
}
END_TEST

START_TEST(merged_streams)
{
	Provium__V1__Exec exec = PROVIUM__V1__EXEC__INIT;

	exec.has_shell = true;
	exec.shell = BYTES("echo out; echo err >&2; echo out");
	exec.has_merge_stderr = true;
	exec.merge_stderr = true;
	client_collect(&client, client_exec(&client, &exec), &outcome);
	outcome_expect(&outcome, "out\nerr\nout\n", "");
}
END_TEST

START_TEST(output_as_it_comes)
{
	uint32_t id = client_shell(&client, "echo first; sleep 100");

	ck_assert_str_eq(expect_output(&client), "first\n");
	client_expect_ok(&client, client_cancel(&client, id));
	ck_assert_uint_eq(client_expect(&client, BODY(EXEC_RESULT))->id, id);
}
END_TEST

START_TEST(killed_by_signal)
{
	client_run(&client, "kill -TERM $$", &outcome);
	ck_assert_int_eq(outcome.result.outcome, PROVIUM__V1__OUTCOME__OUTCOME_SIGNALLED);
	ck_assert(outcome.result.has_signal && !outcome.result.has_exit_code);
	ck_assert_uint_eq(outcome.result.signal, SIGTERM);
	ck_assert(!outcome.result.core_dumped);
}
END_TEST

/* Exit status 143 is what a shell makes of SIGTERM: not the same thing. */
START_TEST(exit_that_looks_like_a_signal)
{
	client_run(&client, "exit 143", &outcome);
	outcome_expect_exit(&outcome, 143);
}
END_TEST

START_TEST(dumped_core)
{
	struct rlimit limit = { 1 << 20, RLIM_INFINITY };
	char pattern[8] = "";
	int fd = open("/proc/sys/kernel/core_pattern", O_RDONLY | O_CLOEXEC);
	Provium__V1__Exec exec = PROVIUM__V1__EXEC__INIT;

	if (read(fd, pattern, sizeof(pattern)) <= 0 || setrlimit(RLIMIT_CORE, &limit) < 0) {
		close(fd);
		return;
	}
	close(fd);
	exec.has_shell = true;
	exec.shell = BYTES("kill -SEGV $$");
	exec.has_cwd = true;
	exec.cwd = bytes_of(test_path("."));
	client_collect(&client, client_exec(&client, &exec), &outcome);
	ck_assert_int_eq(outcome.result.outcome, PROVIUM__V1__OUTCOME__OUTCOME_SIGNALLED);
	ck_assert_uint_eq(outcome.result.signal, SIGSEGV);
	ck_assert(outcome.result.core_dumped);
}
END_TEST

START_TEST(usage)
{
	uint32_t id = client_shell(&client, "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done");
	const Provium__V1__ExecResult *result =
		client_expect(&client, BODY(EXEC_RESULT))->exec_result;

	(void)id;
	ck_assert_uint_gt(result->rusage->user_us + result->rusage->system_us, 10000);
	ck_assert_uint_ge(result->wall_ns / 1000 * 2,
			  result->rusage->user_us + result->rusage->system_us);
	ck_assert_uint_gt(result->rusage->max_rss_kib, 100);
	ck_assert_uint_gt(result->rusage->minor_faults, 10);
}
END_TEST

/* Lines that count, so that what is lost or doubled shows. Returns where they end. */
static const char *expect_lines(const uint8_t *output, unsigned long first, unsigned long last)
{
	const char *at = (const char *)output;

	for (unsigned long line = first; line <= last; line++) {
		char *end;

		if (strtoul(at, &end, 10) != line)
			ck_abort_msg("line %lu is not there", line);
		at = end + 1;
	}
	return at;
}

START_TEST(large_output)
{
	client_run(&client, "seq 1 1000000; seq 1 100000 >&2", &outcome);
	outcome_expect_exit(&outcome, 0);
	ck_assert_str_eq(expect_lines(outcome.output[0], 1, 1000000), "");
	ck_assert_str_eq(expect_lines(outcome.output[1], 1, 100000), "");
}
END_TEST

START_TEST(limited_output)
{
	Provium__V1__Exec exec = PROVIUM__V1__EXEC__INIT;

	exec.has_shell = true;
	exec.shell = BYTES("seq 1 100000; echo error >&2");
	exec.has_output_limit = true;
	exec.output_limit = 1000;
	client_collect(&client, client_exec(&client, &exec), &outcome);
	outcome_expect_exit(&outcome, 0);
	ck_assert_uint_eq(outcome.size[0], 1000);
	ck_assert_uint_eq(outcome.result.stdout_bytes, 588895);
	ck_assert(outcome.result.stdout_truncated);
	ck_assert_uint_eq(outcome.size[1], 6);
	ck_assert(!outcome.result.stderr_truncated);
}
END_TEST

/* 0 is a limit like any other. */
START_TEST(no_output)
{
	Provium__V1__Exec exec = PROVIUM__V1__EXEC__INIT;

	exec.has_shell = true;
	exec.shell = BYTES("echo lost");
	exec.has_output_limit = true;
	client_collect(&client, client_exec(&client, &exec), &outcome);
	ck_assert_uint_eq(outcome.size[0], 0);
	ck_assert_uint_eq(outcome.result.stdout_bytes, 5);
	ck_assert(outcome.result.stdout_truncated);
}
END_TEST

START_TEST(closed_streams)
{
	/* The end of both is not the end of the command. */
	client_run(&client, "exec >&- 2>&-; sleep 0.2; exit 5", &outcome);
	outcome_expect(&outcome, "", "");
	outcome_expect_exit(&outcome, 5);
	ck_assert_uint_gt(outcome.result.wall_ns, 190000000);
}
END_TEST

/* ------------------------------------------------------------------------------------------- */
/* What cannot be started */

static void expect_refused(const Provium__V1__Exec *exec, int code, const char *text)
{
	client_expect_error(&client, client_exec(&client, exec), code, text);
	client_ping(&client);
}

static void expect_not_started(const Provium__V1__Exec *exec, int os_errno, const char *text)
{
	client_expect_os_error(&client, client_exec(&client, exec), os_errno, text);
	client_ping(&client);
}

START_TEST(nothing_in_it)
{
	Provium__V1__Exec exec = PROVIUM__V1__EXEC__INIT;

	expect_refused(&exec, CODE(INVALID), "EXEC: exactly one of argv and shell");
}
END_TEST

START_TEST(argv_and_shell)
{
	Provium__V1__Exec exec = PROVIUM__V1__EXEC__INIT;
	ProtobufCBinaryData argv[] = { BYTES("true") };

	exec.argv = argv;
	exec.n_argv = 1;
	exec.has_shell = true;
	exec.shell = BYTES("true");
	expect_refused(&exec, CODE(INVALID), "exactly one of argv and shell");
}
END_TEST

START_TEST(nul_bytes)
{
	Provium__V1__Exec exec = PROVIUM__V1__EXEC__INIT;
	ProtobufCBinaryData good[] = { BYTES("true") };
	ProtobufCBinaryData bad[] = { BYTES("A=b"), BYTES("a\0b") };

	exec.argv = bad;
	exec.n_argv = 2;
	expect_refused(&exec, CODE(INVALID), "EXEC: argv: holds a NUL");
	exec.argv = good;
	exec.n_argv = 1;
	exec.env = bad;
	exec.n_env = 2;
	expect_refused(&exec, CODE(INVALID), "EXEC: env: holds a NUL");
	exec.n_env = 0;
	exec.has_cwd = true;
	exec.cwd = bad[1];
	expect_refused(&exec, CODE(INVALID), "EXEC: cwd: holds a NUL");
	exec.cwd.len = 0;
	expect_refused(&exec, CODE(INVALID), "EXEC: cwd: is empty");
	exec.has_cwd = false;
	exec.n_argv = 0;
	exec.has_shell = true;
	exec.shell = bad[1];
	expect_refused(&exec, CODE(INVALID), "EXEC: shell: holds a NUL");
}
END_TEST

START_TEST(environment_that_is_none)
{
	static const char *const wrong[] = { "", "=value", "name" };
	Provium__V1__Exec exec = PROVIUM__V1__EXEC__INIT;
	ProtobufCBinaryData env[] = { bytes_of(wrong[_i]) };

	exec.has_shell = true;
	exec.shell = BYTES("true");
	exec.env = env;
	exec.n_env = 1;
	expect_refused(&exec, CODE(INVALID), "EXEC: env: an entry is not NAME=VALUE");
}
END_TEST

START_TEST(unserved_fields)
{
	Provium__V1__Groups groups = PROVIUM__V1__GROUPS__INIT;
	Provium__V1__Pty pty = PROVIUM__V1__PTY__INIT;
	Provium__V1__Rlimit rlimit = PROVIUM__V1__RLIMIT__INIT;
	Provium__V1__Rlimit *rlimits[] = { &rlimit };
	Provium__V1__Exec exec = PROVIUM__V1__EXEC__INIT;
	Provium__V1__Exec plain;

	exec.has_shell = true;
	exec.shell = BYTES("true");
	plain = exec;
	exec.has_uid = true;
	expect_refused(&exec, CODE(UNSUPPORTED), "EXEC: uid: is not served");
	exec = plain;
	exec.has_gid = true;
	expect_refused(&exec, CODE(UNSUPPORTED), "EXEC: gid: is not served");
	exec = plain;
	exec.groups = &groups;
	expect_refused(&exec, CODE(UNSUPPORTED), "EXEC: groups: is not served");
	exec = plain;
	exec.pty = &pty;
	expect_refused(&exec, CODE(UNSUPPORTED), "EXEC: pty: is not served");
	exec = plain;
	exec.has_nice = true;
	exec.nice = 1;
	expect_refused(&exec, CODE(UNSUPPORTED), "EXEC: nice: is not served");
	exec = plain;
	exec.rlimits = rlimits;
	exec.n_rlimits = 1;
	expect_refused(&exec, CODE(UNSUPPORTED), "EXEC: rlimits: is not served");
	exec = plain;
	exec.has_kill_scope = true;
	exec.kill_scope = PROVIUM__V1__KILL_SCOPE__KILL_CGROUP;
	expect_refused(&exec, CODE(UNSUPPORTED), "EXEC: kill_scope: is not served");
	exec.kill_scope = 7;
	expect_refused(&exec, CODE(INVALID), "EXEC: kill_scope: 7 is out of range");
	exec.kill_scope = PROVIUM__V1__KILL_SCOPE__KILL_TREE;
	client_collect(&client, client_exec(&client, &exec), &outcome);
	outcome_expect_exit(&outcome, 0);
}
END_TEST

START_TEST(missing_programs)
{
	Provium__V1__Exec exec = PROVIUM__V1__EXEC__INIT;
	ProtobufCBinaryData argv[1], env[] = { BYTES("PATH=/usr/bin::/bin") };

	exec.argv = argv;
	exec.n_argv = 1;
	exec.env = env;
	exec.n_env = 1;
	argv[0] = BYTES("no-such-program");
	expect_not_started(&exec, ENOENT,
			   "no program \"no-such-program\" in PATH (/usr/bin::/bin)");
	argv[0] = BYTES("/no/such/program");
	expect_not_started(&exec, ENOENT, "\"/no/such/program\"");
	argv[0] = BYTES("");
	expect_not_started(&exec, ENOENT, "");
	argv[0] = BYTES("/tmp");
	expect_not_started(&exec, EACCES, "\"/tmp\" is a directory");
	argv[0] = BYTES("/etc/passwd");
	expect_not_started(&exec, EACCES, "cannot execute \"/etc/passwd\"");
	argv[0] = BYTES("/etc/passwd/program");
	expect_not_started(&exec, ENOTDIR, "");
	argv[0] = BYTES("/bin/true");
	exec.has_cwd = true;
	exec.cwd = BYTES("/no/such/directory");
	expect_not_started(&exec, ENOENT, "cannot start in \"/no/such/directory\"");
	exec.cwd = BYTES("/etc/passwd");
	expect_not_started(&exec, ENOTDIR, "cannot start in \"/etc/passwd\"");
}
END_TEST

static void write_file(const char *path, const char *text, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, text, strlen(text)), strlen(text));
	ck_assert_int_eq(fchmod(fd, mode), 0);
	close(fd);
}

START_TEST(broken_programs)
{
	Provium__V1__Exec exec = PROVIUM__V1__EXEC__INIT;
	char path[256];
	ProtobufCBinaryData argv[1];

	snprintf(path, sizeof(path), "%s", test_path("program"));
	argv[0] = bytes_of(path);
	exec.argv = argv;
	exec.n_argv = 1;
	write_file(path, "#!/no/such/interpreter\n", 0755);
	expect_not_started(&exec, ENOENT, "the interpreter of");
	write_file(path, "neither fish nor fowl\n", 0755);
	expect_not_started(&exec, ENOEXEC, "cannot execute");
	write_file(path, "#!/bin/sh\necho script\n", 0644);
	expect_not_started(&exec, EACCES, "cannot execute");
	write_file(path, "#!/bin/sh\necho script\n", 0755);
	client_collect(&client, client_exec(&client, &exec), &outcome);
	outcome_expect(&outcome, "script\n", "");
}
END_TEST

/* As execvp(3): goes past what cannot be run, and remembers that something was there. */
START_TEST(path_search)
{
	Provium__V1__Exec exec = PROVIUM__V1__EXEC__INIT;
	char first[256], second[256], path[600];
	ProtobufCBinaryData argv[] = { BYTES("tool") }, env[1];

	snprintf(first, sizeof(first), "%s", test_path("first"));
	snprintf(second, sizeof(second), "%s", test_path("second"));
	mkdir(first, 0755);
	mkdir(second, 0755);
	write_file(test_path("first/tool"), "#!/bin/sh\n", 0644);
	snprintf(path, sizeof(path), "PATH=/etc/passwd:%s:%s", first, second);
	env[0] = bytes_of(path);
	exec.argv = argv;
	exec.n_argv = 1;
	exec.env = env;
	exec.n_env = 1;
	expect_not_started(&exec, EACCES, "tool");
	write_file(test_path("second/tool"), "#!/bin/sh\necho found\n", 0755);
	client_collect(&client, client_exec(&client, &exec), &outcome);
	outcome_expect(&outcome, "found\n", "");
	/* An empty entry is the current directory. */
	outcome_free(&outcome);
	env[0] = BYTES("PATH=:/nowhere");
	exec.has_cwd = true;
	exec.cwd = bytes_of(second);
	client_collect(&client, client_exec(&client, &exec), &outcome);
	outcome_expect(&outcome, "found\n", "");
}
END_TEST

START_TEST(too_long)
{
	enum {
		SIZE = 300000
	};
	cleanup_free char *text = malloc(SIZE + 1);
	Provium__V1__Exec exec = PROVIUM__V1__EXEC__INIT;
	ProtobufCBinaryData argv[] = { BYTES("true"), { 0 } };

	ck_assert_ptr_nonnull(text);
	memset(text, 'a', SIZE);
	text[SIZE] = '\0';
	argv[1] = bytes_of(text);
	exec.argv = argv;
	exec.n_argv = 2;
	expect_not_started(&exec, E2BIG, "");
	exec.argv++;
	exec.n_argv = 1;
	expect_not_started(&exec, ENOENT, "");
	argv[0] = BYTES("true");
	memcpy(text, "PATH=", 5);
	exec.argv--;
	exec.env = &argv[1];
	exec.n_env = 1;
	expect_refused(&exec, CODE(INVALID), "PATH is too long");
}
END_TEST

/* ------------------------------------------------------------------------------------------- */
/* Ends */

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
	client_expect_error(&client, id, CODE(UNSUPPORTED), "SIGNAL: target: jobs");
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

static Suite *exec_suite(void)
{
	Suite *suite = suite_create("agent: commands");
	TCase *alone = unit_counted_case("configured");
	TCase *connected = unit_counted_case("connected");

	tcase_add_checked_fixture(alone, NULL, finish);
	tcase_add_test(alone, restored_limits);
	suite_add_tcase(suite, alone);

	tcase_add_checked_fixture(connected, agent_start_connected, agent_stop_connected);
	tcase_add_checked_fixture(connected, NULL, finish);
	tcase_add_test(connected, arguments);
	tcase_add_test(connected, environment);
	tcase_add_test(connected, inherited_environment);
	tcase_add_test(connected, directory);
	tcase_add_test(connected, clean_process);
	tcase_add_test(connected, two_streams);
	tcase_add_test(connected, merged_streams);
	tcase_add_test(connected, output_as_it_comes);
	tcase_add_test(connected, killed_by_signal);
	tcase_add_test(connected, exit_that_looks_like_a_signal);
	tcase_add_test(connected, dumped_core);
	tcase_add_test(connected, usage);
	tcase_add_test(connected, large_output);
	tcase_add_test(connected, limited_output);
	tcase_add_test(connected, no_output);
	tcase_add_test(connected, closed_streams);
	tcase_add_test(connected, nothing_in_it);
	tcase_add_test(connected, argv_and_shell);
	tcase_add_test(connected, nul_bytes);
	tcase_add_loop_test(connected, environment_that_is_none, 0, 3);
	tcase_add_test(connected, unserved_fields);
	tcase_add_test(connected, missing_programs);
	tcase_add_test(connected, broken_programs);
	tcase_add_test(connected, path_search);
	tcase_add_test(connected, too_long);
	tcase_add_test(connected, timeout);
	tcase_add_test(connected, timeout_that_is_not_reached);
	tcase_add_test(connected, cancel);
	tcase_add_test(connected, signal_to_leader);
	tcase_add_test(connected, signal_to_group);
	tcase_add_test(connected, wrong_signals);
	tcase_add_test(connected, pipes_held);
	tcase_add_test(connected, tail_of_held_pipes);
	tcase_add_test(connected, pipes_held_for_a_moment);
	tcase_add_test(connected, connection_ends);
	tcase_add_test(connected, connection_ends_by_half);
	tcase_add_test(connected, connection_ends_in_the_middle);
	tcase_add_test(connected, many_at_once);
	tcase_add_test(connected, quick_beside_slow);
	tcase_add_test(connected, one_after_another);
	tcase_set_timeout(connected, 60);
	suite_add_tcase(suite, connected);
	return suite;
}

int main(void)
{
	return unit_run(exec_suite());
}
