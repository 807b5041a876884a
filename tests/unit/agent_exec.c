/* EXEC: what a command starts with, and what comes of it. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <unistd.h>

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

/*
 * What the kernel copies for a command, and goes through to close it, is the least: our own
 * descriptors, which are high, are none of its. Also in a guest without /dev/null.
 */
START_TEST(least_descriptors)
{
	if (_i) {
		if (unshare(CLONE_NEWNS) < 0 ||
		    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
		    mount("dev", "/dev", "tmpfs", 0, NULL) < 0) {
			unit_skip("no mount namespace: %s", strerror(errno));
			return;
		}
	}
	agent_start_connected();
	client_run(&client, "exec grep FDSize: /proc/self/status", &outcome);
	outcome_expect(&outcome, "FDSize:\t64\n", "");
	outcome_free(&outcome);
	client_run(&client, "cat", &outcome);
	outcome_expect(&outcome, "", "");
	outcome_expect_exit(&outcome, 0);
	agent_stop_connected();
}
END_TEST

START_TEST(restored_limits)
{
	int proc = -1, dev = -1;

	agent_config.restore_nofile = true;
	agent_config.nofile = (struct rlimit){ 123, 456 };
	agent_config.restore_oom_score_adj = true;
	agent_config.oom_score_adj = 321;
	/* Through the folders' fds, and by their names. */
	if (_i) {
		proc = agent_config.proc_fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
		dev = agent_config.dev_fd = open("/dev", O_PATH | O_DIRECTORY | O_CLOEXEC);
		ck_assert(proc >= 0 && dev >= 0);
	}
	agent_start_connected();
	client_run(&client, "ulimit -Sn; ulimit -Hn; cat /proc/self/oom_score_adj", &outcome);
	outcome_expect(&outcome, "123\n456\n321\n", "");
	ck_assert_uint_gt(client_info(&client).open_fds, 5);
	agent_stop_connected();
	close_fd(proc);
	close_fd(dev);
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

/* A test may have closed them in the agent: what the agent opens then must not end up there. */
START_TEST(agent_without_standard_fds)
{
	int kept[3];

	for (int fd = 0; fd < 3; fd++) {
		kept[fd] = fcntl(fd, F_DUPFD_CLOEXEC, 100);
		close(fd);
	}
	client_run(&client, "echo out; echo err >&2; cat", &outcome);
	for (int fd = 0; fd < 3; fd++) {
		ck_assert_int_eq(dup2(kept[fd], fd), fd);
		close(kept[fd]);
	}
	outcome_expect(&outcome, "out\n", "err\n");
}
END_TEST

/* Somebody else has waited for it: that it has ended is all that is known. */
START_TEST(status_that_is_gone)
{
	signal(SIGCHLD, SIG_IGN);
	client_run(&client, "echo out; exit 5", &outcome);
	signal(SIGCHLD, SIG_DFL);
	outcome_expect(&outcome, "out\n", "");
	ck_assert_int_eq(outcome.result.outcome, PROVIUM__V1__OUTCOME__OUTCOME_EXITED);
	ck_assert(!outcome.result.has_exit_code && !outcome.result.has_signal);
}
END_TEST

static Suite *exec_suite(void)
{
	Suite *suite = suite_create("agent: commands");
	TCase *alone = unit_counted_case("configured");
	TCase *connected = unit_counted_case("connected");

	tcase_add_checked_fixture(alone, NULL, finish);
	tcase_add_loop_test(alone, restored_limits, 0, 2);
	tcase_add_loop_test(alone, least_descriptors, 0, 2);
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
	tcase_add_test(connected, agent_without_standard_fds);
	tcase_add_test(connected, status_that_is_gone);
	tcase_set_timeout(connected, 60);
	suite_add_tcase(suite, connected);
	return suite;
}

int main(void)
{
	return unit_run(exec_suite());
}
