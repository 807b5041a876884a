/* Commands in cgroups of their own: what dies with them, and what is left. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent_harness.h"
#include "agent_os.h"
#include "common/cleanup.h"
#include "common/detached.h"
#include "common/util.h"
#include "unit.h"

/* A process that is nobody's child, in a session and a group of its own, and its pid. */
#define DAEMON "(setsid sh -c 'trap \"\" TERM HUP; echo $$; exec sleep 1000' &) "

static struct outcome outcome;
static Provium__V1__Exec exec;

static void start(void)
{
	exec = (Provium__V1__Exec)PROVIUM__V1__EXEC__INIT;
	exec.has_shell = true;
	exec.has_kill_scope = true;
	exec.kill_scope = PROVIUM__V1__KILL_SCOPE__KILL_CGROUP;
}

static void finish(void)
{
	outcome_free(&outcome);
}

static uint32_t start_command(struct client *on, const char *command)
{
	exec.shell = bytes_of(command);
	return client_exec(on, &exec);
}

static void run(const char *command)
{
	outcome_free(&outcome);
	client_collect(&client, start_command(&client, command), &outcome);
}

/* Groups of this process's agent; -1: there can be none here. */
static int count_groups(void)
{
	cleanup_close int root = detached_mount("cgroup2");
	DIR *dir = root < 0 ? NULL : fdopendir(openat(root, ".", O_RDONLY | O_DIRECTORY));
	const struct dirent *entry;
	char prefix[32];
	int count = 0;

	if (!dir)
		return -1;
	snprintf(prefix, sizeof(prefix), "provium-%d-", getpid());
	while ((entry = readdir(dir)))
		count += strncmp(entry->d_name, prefix, strlen(prefix)) == 0;
	closedir(dir);
	return count;
}

/* Reads a file of the first command's group as a string, as far as there is room: its length. */
static size_t read_group(const char *file, char *text, size_t size)
{
	cleanup_close int root = detached_mount("cgroup2");
	cleanup_close int fd = -1;
	char path[64];
	size_t length = 0;
	ssize_t count;

	snprintf(path, sizeof(path), "provium-%d-1/%s", getpid(), file);
	fd = openat(root, path, O_RDONLY | O_CLOEXEC);
	ck_assert_msg(fd >= 0, "%s: %s", path, strerror(errno));
	while ((count = read(fd, text + length, size - 1 - length)) > 0)
		length += (size_t)count;
	text[length] = '\0';
	return length;
}

/* False: the test is told as skipped. */
static bool is_possible(void)
{
	if (count_groups() >= 0)
		return true;
	unit_skip("no cgroup2 can be mounted: %s", strerror(errno));
	return false;
}

static bool is_running(pid_t pid)
{
	return kill(pid, 0) == 0;
}

START_TEST(born_there)
{
	char expected[64];

	if (!is_possible())
		return;
	for (int i = 1; i <= 3; i++) {
		run("grep ^0: /proc/self/cgroup; ls /proc/self/fd | tr '\\n' ' '; exit 7");
		snprintf(expected, sizeof(expected), "0::/provium-%d-%d\n0 1 2 3 ", getpid(), i);
		outcome_expect(&outcome, expected, "");
		outcome_expect_exit(&outcome, 7);
		ck_assert(!outcome.result.pipes_held);
		eventually(count_groups() == 0);
	}
}
END_TEST

/* Nothing of it survives its end: not even what has left everything else behind. */
START_TEST(ends_by_itself)
{
	pid_t away;

	if (!is_possible())
		return;
	run(DAEMON "; sleep 0.2; exit 3");
	outcome_expect_exit(&outcome, 3);
	away = atoi((const char *)outcome.output[0]);
	ck_assert_int_gt(away, 1);
	eventually(!is_running(away));
	eventually(count_groups() == 0);
}
END_TEST

START_TEST(timeout)
{
	pid_t away;

	if (!is_possible())
		return;
	exec.has_timeout_ms = true;
	exec.timeout_ms = 300;
	run(DAEMON "; exec sleep 1000");
	ck_assert_int_eq(outcome.result.outcome, PROVIUM__V1__OUTCOME__OUTCOME_TIMED_OUT);
	ck_assert_uint_eq(outcome.result.signal, SIGKILL);
	ck_assert_int_eq(sscanf((const char *)outcome.output[0], "%d", &away), 1);
	eventually(!is_running(away));
	eventually(count_groups() == 0);
}
END_TEST

static void expect_cancelled(uint32_t id)
{
	const Provium__V1__Message *message;

	client_cancel(&client, id);
	do {
		message = client_receive(&client);
		ck_assert_ptr_nonnull(message);
	} while (message->body_case != BODY(EXEC_RESULT));
	ck_assert_int_eq(message->exec_result->outcome, PROVIUM__V1__OUTCOME__OUTCOME_CANCELLED);
}

/* What takes the leader out of its group saves neither. */
START_TEST(leader_leaves)
{
	char command[256];
	uint32_t id;
	pid_t pids[2];

	if (!is_possible())
		return;
	if (access("/sys/fs/cgroup/unified/cgroup.procs", W_OK) < 0) {
		unit_skip("no cgroup2 at /sys/fs/cgroup/unified");
		return;
	}
	snprintf(command, sizeof(command),
		 "sleep 1000 & echo $$ >/sys/fs/cgroup/unified/cgroup.procs && echo $$ $!;"
		 "wait");
	id = start_command(&client, command);
	ck_assert_int_eq(sscanf(expect_output(&client), "%d %d", &pids[0], &pids[1]), 2);
	expect_cancelled(id);
	eventually(!is_running(pids[0]) && !is_running(pids[1]));
	eventually(count_groups() == 0);
}
END_TEST

/* The group's cgroup.freeze, when its processes are about to be walked. */
static char freeze[8];

static void read_freeze(void)
{
	read_group("cgroup.freeze", freeze, sizeof(freeze));
}

/* Kernels before 5.14 have no cgroup.kill: what is killed one by one is more than a read lists. */
START_TEST(without_kill)
{
	static char procs[KIB(16)];
	uint32_t id;
	pid_t away;

	if (!is_possible())
		return;
	os_hide("cgroup.kill");
	id = start_command(&client,
			   "for i in $(seq 500); do sleep 1000 & done;" DAEMON "; exec sleep 1000");
	away = atoi(expect_output(&client));
	ck_assert_uint_gt(read_group("cgroup.procs", procs, sizeof(procs)), KIB(2));
	os_before(OS_OPENAT, 1, read_freeze);
	/* They start nothing: a single walk gets them. */
	os_fail(OS_OPENAT, EMFILE, 2, UINT_MAX);
	expect_cancelled(id);
	eventually(!is_running(away));
	eventually(count_groups() == 0);
	ck_assert_str_eq(freeze, "1\n");
}
END_TEST

/*
 * Each forks, leaves the session, and ends, in ten places at once: there is nothing but the group
 * to find them by. They would go on for longer than is waited for their end.
 */
#define FORKERS                                   \
	"python3 -c '\n"                          \
	"import os, time\n"                       \
	"end = time.monotonic() + 60\n"           \
	"any(os.fork() == 0 for i in range(9))\n" \
	"while time.monotonic() < end:\n"         \
	"    if os.fork() != 0: os._exit(0)\n"    \
	"    os.setsid()\n"                       \
	"' & "

START_TEST(while_it_forks)
{
	uint32_t id;

	if (!is_possible())
		return;
	id = start_command(&client, FORKERS "echo started; exec sleep 1000");
	ck_assert_str_eq(expect_output(&client), "started\n");
	usleep(300000);
	if (_i) {
		os_hide("cgroup.kill");
		os_before(OS_OPENAT, 1, read_freeze);
	}
	expect_cancelled(id);
	eventually(count_groups() == 0);
	ck_assert_str_eq(freeze, _i ? "1\n" : "");
	client_ping(&client);
}
END_TEST

START_TEST(connection_ends)
{
	enum {
		COUNT = 50
	};
	struct client other;
	pid_t away[COUNT];

	if (!is_possible())
		return;
	client_connect(&other);
	for (int i = 0; i < COUNT; i++) {
		start_command(&other, DAEMON "; exec sleep 1000");
		away[i] = atoi(expect_output(&other));
	}
	ck_assert_int_eq(count_groups(), COUNT);
	client_close(&other);
	for (int i = 0; i < COUNT; i++)
		eventually(!is_running(away[i]));
	eventually(count_groups() == 0);
	eventually(client_info(&client).commands_running == 0);
}
END_TEST

/* With everything in flight the server's end leaves nothing. */
START_TEST(agent_ends)
{
	pid_t away;

	if (!is_possible())
		return;
	agent_start_connected();
	start_command(&client, DAEMON "; exec sleep 1000");
	away = atoi(expect_output(&client));
	start_command(&client, "exit 0");
	start_command(&client, "sleep 1000 & exit 0");
	agent_stop_connected();
	ck_assert_int_eq(count_groups(), 0);
	eventually(!is_running(away));
}
END_TEST

START_TEST(not_started)
{
	if (!is_possible())
		return;
	exec.has_cwd = true;
	exec.cwd = BYTES("/no/such/directory");
	client_expect_os_error(&client, start_command(&client, "true"), ENOENT, "cannot start in");
	ck_assert_int_eq(count_groups(), 0);
	exec.has_cwd = false;
	os_fail(OS_CLONE, EAGAIN, 0, 1);
	client_expect_os_error(&client, start_command(&client, "true"), EAGAIN,
			       "cannot start a process");
	ck_assert_int_eq(count_groups(), 0);
}
END_TEST

static void expect_operation(const char *operation)
{
	const Provium__V1__Message *message;

	start_command(&client, "true");
	message = client_expect(&client, BODY(ERROR));
	ck_assert_int_eq(message->error->code, CODE(OS));
	ck_assert_str_eq(message->error->operation, operation);
}

/* What fails is told by name, and works again when it works. */
START_TEST(faults)
{
	if (!is_possible())
		return;
	os_fail(OS_DETACHED, ENODEV, 0, 1);
	expect_operation("mount of cgroup2");
	os_fail(OS_OPENAT, EMFILE, 0, 1);
	expect_operation("open");
	os_fail(OS_OPENAT, EMFILE, 1, 1);
	expect_operation("open");
	os_fail(OS_CLONE, ENOSYS, 0, 1);
	expect_operation("clone3");
	ck_assert_int_eq(count_groups(), 0);
	run("echo fine");
	outcome_expect(&outcome, "fine\n", "");
}
END_TEST

START_TEST(not_permitted)
{
	if (!unit_is_root())
		return;
	agent_drop_user();
	expect_operation("mount of cgroup2");
	/* The other scope needs no rights. */
	exec.kill_scope = PROVIUM__V1__KILL_SCOPE__KILL_TREE;
	run("echo fine");
	outcome_expect(&outcome, "fine\n", "");
}
END_TEST

/* With a terminal and a user of its own, too. */
START_TEST(everything)
{
	Provium__V1__Pty pty = PROVIUM__V1__PTY__INIT;

	if (!is_possible())
		return;
	exec.pty = &pty;
	exec.has_uid = true;
	exec.uid = 12345;
	for (int i = 0; i < 20; i++) {
		run("trap '' HUP; sleep 1000 & id -u; stty size");
		outcome_expect(&outcome, "12345\r\n24 80\r\n", "");
		outcome_expect_exit(&outcome, 0);
	}
	eventually(count_groups() == 0);
}
END_TEST

static Suite *cgroup_suite(void)
{
	Suite *suite = suite_create("agent: cgroups");
	TCase *alone = unit_counted_case("alone");
	TCase *tcase = unit_counted_case("connected");

	tcase_add_checked_fixture(alone, start, finish);
	tcase_add_test(alone, agent_ends);
	suite_add_tcase(suite, alone);

	tcase_add_checked_fixture(tcase, agent_start_connected, agent_stop_connected);
	tcase_add_checked_fixture(tcase, start, finish);
	tcase_add_test(tcase, born_there);
	tcase_add_test(tcase, ends_by_itself);
	tcase_add_test(tcase, timeout);
	tcase_add_test(tcase, leader_leaves);
	tcase_add_test(tcase, without_kill);
	tcase_add_loop_test(tcase, while_it_forks, 0, 2);
	tcase_add_test(tcase, connection_ends);
	tcase_add_test(tcase, not_started);
	tcase_add_test(tcase, faults);
	tcase_add_test(tcase, not_permitted);
	tcase_add_test(tcase, everything);
	tcase_set_timeout(tcase, 60);
	suite_add_tcase(suite, tcase);
	return suite;
}

int main(void)
{
	return unit_run(cgroup_suite());
}
