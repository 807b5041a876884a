/* Killing commands: with all that they have started, and nothing else. */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/kill_tree.h"
#include "agent_harness.h"
#include "common/util.h"
#include "unit.h"

static struct outcome outcome;
static char self[256];

static void finish(void)
{
	outcome_free(&outcome);
}

/* Zombies are dead: whose they are is not our business. */
static bool is_alive(pid_t pid)
{
	struct process_stat stat;
	char path[32], text[512] = "";
	ssize_t size;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	size = read(fd, text, sizeof(text) - 1);
	close(fd);
	return size > 0 && process_stat_parse(text, &stat) && stat.state != 'Z';
}

/* How many processes of this session live. */
static unsigned int count_session(pid_t session)
{
	DIR *dir = opendir("/proc");
	const struct dirent *entry;
	unsigned int count = 0;

	ck_assert_ptr_nonnull(dir);
	while ((entry = readdir(dir))) {
		pid_t pid = atoi(entry->d_name);

		if (pid > 0 && getsid(pid) == session && is_alive(pid))
			count++;
	}
	closedir(dir);
	return count;
}

/* ------------------------------------------------------------------------------------------- */
/* What this program does when it is started as a command (below) */

/* A child that its parent does not wait for, in a group of its own. */
static void start_orphan(void)
{
	if (fork() == 0) {
		setpgid(0, 0);
		signal(SIGHUP, SIG_IGN);
		if (fork() == 0) {
			printf("%d\n", getpid());
			fflush(stdout);
			pause();
		}
		_exit(0);
	}
	pause();
}

/* Whatever happens to the test, its processes end. */
#define MOST_NS 20000000000u

/* Each hands on to a child and ends: whoever looks for it finds that it has gone. */
static void hop(void)
{
	uint64_t start = monotonic_ns();

	printf("started\n");
	fflush(stdout);
	for (int i = 0; i < 20; i++) {
		if (fork() != 0)
			continue;
		while (fork() == 0 && monotonic_ns() - start < MOST_NS)
			;
		_exit(0);
	}
	pause();
}

/* As many as there can be, all of them starting others, all the time. */
static void multiply(void)
{
	enum {
		MOST = 300
	};
	uint64_t start = monotonic_ns();
	int *count = mmap(NULL, sizeof(*count), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
			  -1, 0);

	if (count == MAP_FAILED)
		_exit(1);
	signal(SIGCHLD, SIG_IGN);
	printf("started\n");
	fflush(stdout);
	while (monotonic_ns() - start < MOST_NS) {
		if (__atomic_add_fetch(count, 1, __ATOMIC_SEQ_CST) < MOST) {
			fork();
			continue;
		}
		__atomic_sub_fetch(count, 1, __ATOMIC_SEQ_CST);
		/* There is room for another: the bomb goes on. */
		if (getpid() != getsid(0)) {
			__atomic_sub_fetch(count, 1, __ATOMIC_SEQ_CST);
			_exit(0);
		}
	}
}

static int run_helper(const char *name)
{
	if (strcmp(name, "orphan") == 0)
		start_orphan();
	else if (strcmp(name, "hop") == 0)
		hop();
	else if (strcmp(name, "multiply") == 0)
		multiply();
	return EXIT_FAILURE;
}

static uint32_t start_helper(const char *name)
{
	Provium__V1__Exec exec = PROVIUM__V1__EXEC__INIT;
	ProtobufCBinaryData argv[] = { bytes_of(self), bytes_of(name) };

	exec.argv = argv;
	exec.n_argv = 2;
	return client_exec(&client, &exec);
}

static void expect_cancelled(uint32_t id)
{
	client_expect_ok(&client, client_cancel(&client, id));
	client_collect(&client, id, &outcome);
	ck_assert_int_eq(outcome.result.outcome, PROVIUM__V1__OUTCOME__OUTCOME_CANCELLED);
	ck_assert_uint_eq(outcome.result.signal, SIGKILL);
	ck_assert(!outcome.result.has_exit_code);
}

/* ------------------------------------------------------------------------------------------- */
/* The line of a process */

START_TEST(lines)
{
	static const struct {
		const char *text;
		struct process_stat stat;
	} cases[] = {
		{ "17 (sh) S 1 2 3 0 -1 4194304", { 'S', 1, 2, 3 } },
		{ "17 (a) R 1 (b) Z 40 50 60 0", { 'Z', 40, 50, 60 } },
		{ "17 (a) R 1 () T 4 5 6 0", { 'T', 4, 5, 6 } },
		{ "17 ()) S 7 8 9 0", { 'S', 7, 8, 9 } },
		{ "17 () R 2147483647 0 1 0", { 'R', 2147483647, 0, 1 } },
		{ "17 (\\n 1 2 3) D 3 4 5 -1", { 'D', 3, 4, 5 } },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct process_stat stat;

		ck_assert_msg(process_stat_parse(cases[i].text, &stat), "%s", cases[i].text);
		ck_assert_int_eq(stat.state, cases[i].stat.state);
		ck_assert_int_eq(stat.parent, cases[i].stat.parent);
		ck_assert_int_eq(stat.group, cases[i].stat.group);
		ck_assert_int_eq(stat.session, cases[i].stat.session);
	}
}
END_TEST

START_TEST(lines_that_are_none)
{
	static const char *const cases[] = {
		"",
		"17",
		"17 (sh",
		"17 (sh)",
		"17 (sh) ",
		"17 (sh) S",
		"17 (sh) S ",
		"17 (sh) S 1 2",
		"17 (sh) S 1 2 3",
		"17 (sh) S 1 x 3 0",
		"17 (sh) S 1 -1 -1 0",
		"17 (sh)S 1 2 3 0",
		"17 (sh) SS 1 2 3 0",
		"17 (sh) S 1  2 3 0",
		"17 (sh) S 2147483648 2 3 0",
		"17 (sh) S 1 2 99999999999999999999999 0",
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct process_stat stat;

		ck_assert_msg(!process_stat_parse(cases[i], &stat), "%s", cases[i]);
	}
}
END_TEST

/* In order, whatever order they come in, and no more than the limit. */
START_TEST(members)
{
	struct kill_tree tree = { 0 };

	for (pid_t i = 0; i < KILL_TREE_MAX_MEMBERS; i++)
		ck_assert(kill_tree_add(&tree, i % 2 ? i : 2 * KILL_TREE_MAX_MEMBERS - i));
	ck_assert(!kill_tree_add(&tree, 1));
	ck_assert_uint_eq(tree.count, KILL_TREE_MAX_MEMBERS);
	for (size_t i = 1; i < tree.count; i++)
		ck_assert_int_lt(tree.members[i - 1], tree.members[i]);
	kill_tree_finish(&tree);
}
END_TEST

/* ------------------------------------------------------------------------------------------- */
/* Who is found */

/* The example of the manual: what has left the session and the group, beside a leader that waits.
 */
START_TEST(another_session)
{
	Provium__V1__Exec exec = PROVIUM__V1__EXEC__INIT;
	pid_t away;

	exec.has_shell = true;
	exec.shell = BYTES("setsid sleep 1000 & echo $!; exec sleep 1000");
	exec.has_timeout_ms = true;
	exec.timeout_ms = 300;
	client_collect(&client, client_exec(&client, &exec), &outcome);
	ck_assert_int_eq(outcome.result.outcome, PROVIUM__V1__OUTCOME__OUTCOME_TIMED_OUT);
	ck_assert_uint_eq(outcome.result.signal, SIGKILL);
	away = atoi((const char *)outcome.output[0]);
	ck_assert_int_gt(away, 1);
	eventually(!is_alive(away));
	ck_assert(!outcome.result.pipes_held);
}
END_TEST

/* Several sessions deep, and deaf to what can be ignored. */
START_TEST(deep)
{
	pid_t pids[3];
	uint32_t id = client_shell(
		&client, "setsid sh -c 'trap \"\" TERM HUP INT; setsid sh -c \"setsid sleep 1000 & "
			 "echo \\$\\$ \\$!; wait\" & echo $$; wait' & wait");
	char text[128] = "";

	while (sscanf(text, "%d %d %d", &pids[0], &pids[1], &pids[2]) != 3)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s",
			 expect_output(&client));
	for (size_t i = 0; i < ARRAY_SIZE(pids); i++)
		ck_assert(is_alive(pids[i]));
	expect_cancelled(id);
	for (size_t i = 0; i < ARRAY_SIZE(pids); i++)
		eventually(!is_alive(pids[i]));
}
END_TEST

/* Init's child by now, and in a group that is not the leader's: the session is left. */
START_TEST(orphan)
{
	uint32_t id = start_helper("orphan");
	pid_t pid = atoi(expect_output(&client));

	ck_assert(is_alive(pid));
	expect_cancelled(id);
	eventually(!is_alive(pid));
}
END_TEST

START_TEST(stopped)
{
	uint32_t id = client_shell(&client, "echo $$; kill -STOP $$");
	pid_t leader = atoi(expect_output(&client));

	expect_cancelled(id);
	ck_assert(!is_alive(leader));
}
END_TEST

START_TEST(while_it_forks)
{
	uint32_t id = start_helper(_i ? "multiply" : "hop");
	pid_t leader;

	ck_assert_str_eq(expect_output(&client), "started\n");
	/* At different moments of its growth. */
	usleep(10000 << _i);
	client_expect_ok(&client, client_cancel(&client, id));
	do {
		const Provium__V1__Message *message = client_receive(&client);

		ck_assert_ptr_nonnull(message);
		if (message->body_case == BODY(OUTPUT))
			continue;
		ck_assert_int_eq(message->body_case, BODY(EXEC_RESULT));
		leader = message->exec_result->pid;
		break;
	} while (true);
	eventually(count_session(leader) == 0);
	client_ping(&client);
}
END_TEST

/* ------------------------------------------------------------------------------------------- */
/* Who is not */

START_TEST(others)
{
	uint32_t other = client_shell(&client, "setsid sleep 1000 & echo $! $$; wait"), id;
	pid_t away, leader, killed;

	ck_assert_int_eq(sscanf(expect_output(&client), "%d %d", &away, &leader), 2);
	for (int i = 0; i < 20; i++) {
		id = client_shell(&client, "setsid sleep 1000 & echo $!; wait");
		killed = atoi(expect_output(&client));
		expect_cancelled(id);
		eventually(!is_alive(killed));
		outcome_free(&outcome);
	}
	ck_assert(is_alive(leader) && is_alive(away));
	expect_cancelled(other);
	eventually(!is_alive(leader) && !is_alive(away));
}
END_TEST

/* All at once, in one walk; another connection's go on. */
START_TEST(connection_ends)
{
	enum {
		COUNT = 50
	};
	uint32_t stays = client_shell(&client, "echo $$; exec sleep 1000");
	pid_t away[COUNT], leader = atoi(expect_output(&client));
	struct client other;

	client_connect(&other);
	for (int i = 0; i < COUNT; i++) {
		client_shell(&other, "setsid sleep 1000 & echo $!; exec sleep 1000");
		away[i] = atoi(expect_output(&other));
	}
	client_close(&other);
	for (int i = 0; i < COUNT; i++)
		eventually(!is_alive(away[i]));
	eventually(client_info(&client).commands_running == 1);
	ck_assert(is_alive(leader));
	expect_cancelled(stays);
}
END_TEST

/* ------------------------------------------------------------------------------------------- */
/* Outcomes */

/* A command may end by itself while it is told to: it is one or the other. */
START_TEST(never_both)
{
	bool exited = false, cancelled = false;

	for (int i = 0; i < 200 && !(exited && cancelled && i >= 50); i++) {
		uint32_t id = client_shell(&client, "echo; exit 3");

		expect_output(&client);
		usleep((useconds_t)(i % 20) * 50);
		client_cancel(&client, id);
		for (int left = 2; left > 0; left--) {
			const Provium__V1__Message *message = client_receive(&client);
			const Provium__V1__ExecResult *result = message->exec_result;

			if (message->body_case != BODY(EXEC_RESULT))
				continue;
			if (result->outcome == PROVIUM__V1__OUTCOME__OUTCOME_EXITED) {
				ck_assert(result->has_exit_code && !result->has_signal);
				ck_assert_uint_eq(result->exit_code, 3);
				exited = true;
			} else {
				ck_assert_int_eq(result->outcome,
						 PROVIUM__V1__OUTCOME__OUTCOME_CANCELLED);
				ck_assert(!result->has_exit_code && result->has_signal);
				ck_assert_uint_eq(result->signal, SIGKILL);
				cancelled = true;
			}
		}
	}
	ck_assert(exited || cancelled);
}
END_TEST

/* A SIGKILL of its own is no time limit's. */
START_TEST(killed_by_itself)
{
	Provium__V1__Exec exec = PROVIUM__V1__EXEC__INIT;

	exec.has_shell = true;
	exec.shell = BYTES("kill -KILL $$");
	exec.has_timeout_ms = true;
	exec.timeout_ms = 100000;
	client_collect(&client, client_exec(&client, &exec), &outcome);
	ck_assert_int_eq(outcome.result.outcome, PROVIUM__V1__OUTCOME__OUTCOME_SIGNALLED);
	ck_assert_uint_eq(outcome.result.signal, SIGKILL);
}
END_TEST

/* The kernel reaps in our place: the number may be another's, and nothing is done by it. */
START_TEST(reaped_by_others)
{
	Provium__V1__Exec exec = PROVIUM__V1__EXEC__INIT;

	signal(SIGCHLD, SIG_IGN);
	exec.has_shell = true;
	exec.shell = BYTES("exec sleep 1000");
	exec.has_timeout_ms = true;
	exec.timeout_ms = 100;
	client_collect(&client, client_exec(&client, &exec), &outcome);
	signal(SIGCHLD, SIG_DFL);
	ck_assert_int_eq(outcome.result.outcome, PROVIUM__V1__OUTCOME__OUTCOME_TIMED_OUT);
	ck_assert(!outcome.result.has_exit_code && !outcome.result.has_signal);
}
END_TEST

/* Without a procfs there is the group. */
START_TEST(no_procfs)
{
	pid_t leader, child;
	uint32_t id;
	int dir;

	ck_assert_int_eq(mkdir(test_path("empty"), 0700), 0);
	dir = open(test_path("empty"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_ge(dir, 0);
	agent_config.proc_fd = dir;
	agent_start_connected();
	id = client_shell(&client, "sleep 1000 & echo $$ $!; wait");
	ck_assert_int_eq(sscanf(expect_output(&client), "%d %d", &leader, &child), 2);
	expect_cancelled(id);
	eventually(!is_alive(child));
	agent_stop_connected();
	close(dir);
}
END_TEST

static Suite *kill_suite(void)
{
	Suite *suite = suite_create("agent: killing");
	TCase *parts = tcase_create("parts");
	TCase *alone = unit_counted_case("configured");
	TCase *tcase = unit_counted_case("connected");

	tcase_add_test(parts, lines);
	tcase_add_test(parts, lines_that_are_none);
	tcase_add_test(parts, members);
	suite_add_tcase(suite, parts);

	tcase_add_checked_fixture(alone, NULL, finish);
	tcase_add_test(alone, no_procfs);
	suite_add_tcase(suite, alone);

	tcase_add_checked_fixture(tcase, agent_start_connected, agent_stop_connected);
	tcase_add_checked_fixture(tcase, NULL, finish);
	tcase_add_test(tcase, another_session);
	tcase_add_test(tcase, deep);
	tcase_add_test(tcase, orphan);
	tcase_add_test(tcase, stopped);
	tcase_add_loop_test(tcase, while_it_forks, 0, 4);
	tcase_add_test(tcase, others);
	tcase_add_test(tcase, connection_ends);
	tcase_add_test(tcase, never_both);
	tcase_add_test(tcase, killed_by_itself);
	tcase_add_test(tcase, reaped_by_others);
	tcase_set_timeout(tcase, 60);
	suite_add_tcase(suite, tcase);
	return suite;
}

int main(int argc, char **argv)
{
	if (argc > 1)
		return run_helper(argv[1]);
	if (readlink("/proc/self/exe", self, sizeof(self) - 1) < 0)
		return EXIT_FAILURE;
	return unit_run(kill_suite());
}
