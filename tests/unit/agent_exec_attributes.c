/* EXEC: who a command runs as, its niceness and its limits. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent_harness.h"
#include "common/util.h"
#include "unit.h"

#define STATUS "grep -E '^(Uid|Gid|Groups):' /proc/self/status | tr -s '\\t ' ' '"

static struct outcome outcome;
static Provium__V1__Exec exec;
static Provium__V1__Groups groups;

static void start(void)
{
	exec = (Provium__V1__Exec)PROVIUM__V1__EXEC__INIT;
	groups = (Provium__V1__Groups)PROVIUM__V1__GROUPS__INIT;
	exec.has_shell = true;
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

static void expect_refused(int code, const char *text)
{
	exec.shell = BYTES("true");
	client_expect_error(&client, client_exec(&client, &exec), code, text);
	client_ping(&client);
}

static void expect_not_started(int os_errno, const char *operation)
{
	const Provium__V1__Message *message;

	exec.shell = BYTES("true");
	client_exec(&client, &exec);
	message = client_expect(&client, BODY(ERROR));
	ck_assert_int_eq(message->error->os_errno, os_errno);
	ck_assert_str_eq(message->error->operation, operation);
	client_ping(&client);
}

static void set_limit(uint32_t resource, uint64_t soft, uint64_t hard)
{
	static Provium__V1__Rlimit rlimit;
	static Provium__V1__Rlimit *rlimits[] = { &rlimit };

	rlimit = (Provium__V1__Rlimit)PROVIUM__V1__RLIMIT__INIT;
	rlimit.has_resource = rlimit.has_soft = rlimit.has_hard = true;
	rlimit.resource = resource;
	rlimit.soft = soft;
	rlimit.hard = hard;
	exec.rlimits = rlimits;
	exec.n_rlimits = 1;
}

/* ------------------------------------------------------------------------------------------- */
/* Credentials */

START_TEST(unchanged)
{
	gid_t ours[] = { 30, 20 };

	if (!unit_is_root())
		return;
	ck_assert_int_eq(setgroups(2, ours), 0);
	run(STATUS);
	outcome_expect(&outcome, "Uid: 0 0 0 0\nGid: 0 0 0 0\nGroups: 20 30 \n", "");
}
END_TEST

START_TEST(user)
{
	gid_t ours[] = { 20, 30 };

	if (!unit_is_root())
		return;
	ck_assert_int_eq(setgroups(2, ours), 0);
	exec.has_uid = true;
	exec.uid = 12345;
	run(STATUS);
	outcome_expect(&outcome, "Uid: 12345 12345 12345 12345\nGid: 0 0 0 0\nGroups: \n", "");
}
END_TEST

START_TEST(group)
{
	gid_t ours[] = { 20 };

	if (!unit_is_root())
		return;
	ck_assert_int_eq(setgroups(1, ours), 0);
	exec.has_gid = true;
	exec.gid = 54321;
	run(STATUS);
	outcome_expect(&outcome, "Uid: 0 0 0 0\nGid: 54321 54321 54321 54321\nGroups: 20 \n", "");
}
END_TEST

START_TEST(everything)
{
	uint32_t wanted[] = { 7, 4294967294u, 5 };

	if (!unit_is_root())
		return;
	exec.has_uid = true;
	exec.uid = UINT32_MAX - 1;
	exec.has_gid = true;
	exec.gid = 5;
	groups.gid = wanted;
	groups.n_gid = ARRAY_SIZE(wanted);
	exec.groups = &groups;
	run(STATUS);
	outcome_expect(&outcome,
		       "Uid: 4294967294 4294967294 4294967294 4294967294\n"
		       "Gid: 5 5 5 5\nGroups: 5 7 4294967294 \n",
		       "");
	/* None at all is a list, too. */
	groups.n_gid = 0;
	exec.has_uid = false;
	exec.has_gid = false;
	run(STATUS);
	outcome_expect(&outcome, "Uid: 0 0 0 0\nGid: 0 0 0 0\nGroups: \n", "");
}
END_TEST

START_TEST(many_groups)
{
	static uint32_t wanted[65537];

	if (!unit_is_root())
		return;
	for (uint32_t i = 0; i < ARRAY_SIZE(wanted); i++)
		wanted[i] = i + 1;
	groups.gid = wanted;
	groups.n_gid = ARRAY_SIZE(wanted);
	exec.groups = &groups;
	expect_refused(CODE(LIMIT), "EXEC: groups: gid: 65537 entries");
	groups.n_gid--;
	run("id -G | wc -w");
	/* Its own is none of these. */
	outcome_expect(&outcome, "65537\n", "");
}
END_TEST

/* Of a command whose niceness is changed by so much; that of the tests may be any. */
static int niceness_after(int change)
{
	int niceness = getpriority(PRIO_PROCESS, 0) + change;

	return MAX(-20, MIN(niceness, 19));
}

static void expect_niceness(int change)
{
	char text[16];

	exec.has_nice = true;
	exec.nice = change;
	run("nice");
	snprintf(text, sizeof(text), "%d\n", niceness_after(change));
	outcome_expect(&outcome, text, "");
}

/* The directory is entered as who runs it; the niceness, which only root may lower, is set before.
 */
START_TEST(rights_of_the_user)
{
	char text[32];

	if (!unit_is_root())
		return;
	ck_assert_int_eq(mkdir(test_path("private"), 0700), 0);
	exec.has_uid = true;
	exec.uid = 12345;
	exec.has_nice = true;
	exec.nice = -3;
	set_limit(RLIMIT_NOFILE, 99, 1500);
	run("ulimit -Sn && ulimit -Hn && nice");
	snprintf(text, sizeof(text), "99\n1500\n%d\n", niceness_after(-3));
	outcome_expect(&outcome, text, "");
	outcome_expect_exit(&outcome, 0);
	exec.has_cwd = true;
	exec.cwd = bytes_of(test_path("private"));
	expect_not_started(EACCES, "chdir");
}
END_TEST

/* A user may not raise a limit that is hard: that is done while there are the agent's rights. */
START_TEST(raised_limit)
{
	const struct rlimit own = { 1000, 1000 }, more = { 1000, 1001 };

	if (!unit_is_root())
		return;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &own), 0);
	if (setrlimit(RLIMIT_NOFILE, &more) < 0) {
		unit_skip("no right to raise a limit (CAP_SYS_RESOURCE)");
		return;
	}
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &own), 0);
	exec.has_uid = true;
	exec.uid = 12345;
	run("ulimit -Sn && ulimit -Hn && ulimit -Hn 1001");
	ck_assert_str_eq((const char *)outcome.output[0], "1000\n1000\n");
	ck_assert_uint_ne(outcome.result.exit_code, 0);
	set_limit(RLIMIT_NOFILE, 500, 2000);
	run("id -u && ulimit -Sn && ulimit -Hn");
	outcome_expect(&outcome, "12345\n500\n2000\n", "");
	outcome_expect_exit(&outcome, 0);
}
END_TEST

/* As root in name and as nobody else in fact: the last steps of a user's change fail. */
static void drop_rights(void)
{
	struct rlimit limit = { 50, 50 };

	ck_assert_int_eq(setrlimit(RLIMIT_NPROC, &limit), 0);
	ck_assert_int_eq(setgroups(0, NULL), 0);
	agent_drop_user();
}

START_TEST(not_permitted)
{
	struct rlimit core;

	if (!unit_is_root())
		return;
	ck_assert_int_eq(setrlimit(RLIMIT_CORE, &(struct rlimit){ 1, 1 }), 0);
	ck_assert_int_eq(getrlimit(RLIMIT_CORE, &core), 0);
	drop_rights();
	exec.has_gid = true;
	exec.gid = 1;
	expect_not_started(EPERM, "setresgid");
	exec.has_gid = false;
	exec.has_uid = true;
	expect_not_started(EPERM, "setgroups");
	exec.has_uid = false;
	exec.has_nice = true;
	exec.nice = -1;
	expect_not_started(EACCES, "setpriority");
	exec.has_nice = false;
	set_limit(RLIMIT_CORE, core.rlim_max + 1, core.rlim_max + 1);
	expect_not_started(EPERM, "prlimit64");
	/* That is tried before the credentials change, and with them what is permitted. */
	exec.has_gid = true;
	expect_not_started(EPERM, "prlimit64");
	exec.has_gid = false;
	exec.n_rlimits = 0;
	run("echo fine");
	outcome_expect(&outcome, "fine\n", "");
}
END_TEST

/* What the child does to memory that it shares with the agent is undone. */
START_TEST(agent_stays_as_it_is)
{
	if (!unit_is_root())
		return;
	ck_assert_int_eq(prctl(PR_GET_DUMPABLE), 1);
	exec.has_uid = true;
	exec.uid = 12345;
	exec.has_gid = true;
	exec.gid = 5;
	for (int i = 0; i < 10; i++)
		run("exit 0");
	exec.has_cwd = true;
	exec.cwd = BYTES("/no/such/directory");
	expect_not_started(ENOENT, "chdir");
	ck_assert_int_eq(prctl(PR_GET_DUMPABLE), 1);
	ck_assert_uint_eq(getuid(), 0);
	ck_assert_uint_eq(getgid(), 0);
	exec.has_uid = exec.has_gid = exec.has_cwd = false;
	run(STATUS "| grep -c ' 0 0 0 0'");
	outcome_expect(&outcome, "2\n", "");
	/* What it was before is left. */
	ck_assert_int_eq(prctl(PR_SET_DUMPABLE, 0), 0);
	run("exit 0");
	ck_assert_int_eq(prctl(PR_GET_DUMPABLE), 0);
}
END_TEST

/* Whoever it runs as it dies with the agent: the change of users must not undo that. */
START_TEST(dies_with_the_agent)
{
	ProtobufCBinaryData argv[] = {
		BYTES("python3"),
		BYTES("-c"),
		BYTES("import ctypes\n"
		      "number = ctypes.c_int()\n"
		      "ctypes.CDLL(None).prctl(2, ctypes.byref(number))\n"
		      "print(number.value)"),
	};

	exec.has_uid = geteuid() == 0;
	exec.uid = 12345;
	exec.has_shell = false;
	exec.argv = argv;
	exec.n_argv = ARRAY_SIZE(argv);
	client_collect(&client, client_exec(&client, &exec), &outcome);
	outcome_expect(&outcome, "9\n", "");
}
END_TEST

START_TEST(ids_that_are_none)
{
	exec.has_uid = true;
	exec.uid = UINT32_MAX;
	expect_refused(CODE(INVALID), "EXEC: uid: 4294967295 is out of range");
	exec.has_uid = false;
	exec.has_gid = true;
	exec.gid = UINT32_MAX;
	expect_refused(CODE(INVALID), "EXEC: gid: 4294967295 is out of range");
}
END_TEST

/* ------------------------------------------------------------------------------------------- */
/* Niceness and limits */

START_TEST(niceness)
{
	int own = getpriority(PRIO_PROCESS, 0);

	expect_niceness(0);
	expect_niceness(5);
	/* The kernel knows none beyond. */
	expect_niceness(39);
	ck_assert_int_eq(getpriority(PRIO_PROCESS, 0), own);
	if (!unit_is_root())
		return;
	expect_niceness(-39);
}
END_TEST

START_TEST(niceness_out_of_range)
{
	static const int wrong[] = { 40, -40, INT32_MAX, INT32_MIN };

	exec.has_nice = true;
	exec.nice = wrong[_i];
	expect_refused(CODE(INVALID), "EXEC: nice: ");
}
END_TEST

/* All that the kernel has, each to a number of its own. */
START_TEST(all_limits)
{
	Provium__V1__Rlimit rlimit[16];
	Provium__V1__Rlimit *rlimits[16];

	for (uint32_t i = 0; i < 16; i++) {
		struct rlimit own;

		ck_assert_int_eq(getrlimit(i, &own), 0);
		rlimit[i] = (Provium__V1__Rlimit)PROVIUM__V1__RLIMIT__INIT;
		rlimit[i].has_resource = rlimit[i].has_soft = rlimit[i].has_hard = true;
		rlimit[i].resource = i;
		rlimit[i].hard = own.rlim_max;
		rlimit[i].soft = own.rlim_cur;
		rlimits[i] = &rlimit[i];
	}
	rlimit[RLIMIT_NOFILE].soft = 77;
	rlimit[RLIMIT_NOFILE].hard = 78;
	rlimit[RLIMIT_CORE].soft = rlimit[RLIMIT_CORE].hard = 0;
	rlimit[RLIMIT_FSIZE].soft = 123456;
	rlimit[RLIMIT_CPU].soft = 55;
	rlimit[RLIMIT_CPU].hard = UINT64_MAX;
	exec.rlimits = rlimits;
	exec.n_rlimits = 16;
	run("grep -E 'open files|core file|file size|cpu time' /proc/self/limits | tr -s ' '");
	outcome_expect(&outcome,
		       "Max cpu time 55 unlimited seconds \n"
		       "Max file size 123456 unlimited bytes \n"
		       "Max core file size 0 0 bytes \n"
		       "Max open files 77 78 files \n",
		       "");
	outcome_expect_exit(&outcome, 0);
}
END_TEST

START_TEST(wrong_limits)
{
	Provium__V1__Rlimit one = PROVIUM__V1__RLIMIT__INIT, two;
	Provium__V1__Rlimit *rlimits[] = { &one, &two };

	exec.rlimits = rlimits;
	exec.n_rlimits = 1;
	expect_refused(CODE(INVALID), "EXEC: rlimits: resource: is absent");
	one.has_resource = true;
	expect_refused(CODE(INVALID), "EXEC: rlimits: soft: is absent");
	one.has_soft = true;
	expect_refused(CODE(INVALID), "EXEC: rlimits: hard: is absent");
	one.has_hard = true;
	one.resource = 16;
	expect_refused(CODE(INVALID), "EXEC: rlimits: resource: 16 is out of range");
	one.resource = RLIMIT_CORE;
	one.soft = 1;
	expect_refused(CODE(INVALID), "EXEC: rlimits: soft is greater than hard");
	one.soft = 0;
	two = one;
	exec.n_rlimits = 2;
	expect_refused(CODE(INVALID), "EXEC: rlimits: a resource is there twice");
}
END_TEST

/* Thousands are told from one another by what they are, not by how many fit. */
START_TEST(too_many_limits)
{
	static Provium__V1__Rlimit rlimit[2000];
	static Provium__V1__Rlimit *rlimits[2000];

	for (uint32_t i = 0; i < ARRAY_SIZE(rlimits); i++) {
		rlimit[i] = (Provium__V1__Rlimit)PROVIUM__V1__RLIMIT__INIT;
		rlimit[i].has_resource = rlimit[i].has_soft = rlimit[i].has_hard = true;
		rlimit[i].resource = i % 16;
		rlimits[i] = &rlimit[i];
	}
	exec.rlimits = rlimits;
	exec.n_rlimits = ARRAY_SIZE(rlimits);
	expect_refused(CODE(INVALID), "EXEC: rlimits: a resource is there twice");
}
END_TEST

static Suite *attributes_suite(void)
{
	Suite *suite = suite_create("agent: attributes of commands");
	TCase *tcase = unit_counted_case("connected");

	tcase_add_checked_fixture(tcase, agent_start_connected, agent_stop_connected);
	tcase_add_checked_fixture(tcase, start, finish);
	tcase_add_test(tcase, unchanged);
	tcase_add_test(tcase, user);
	tcase_add_test(tcase, group);
	tcase_add_test(tcase, everything);
	tcase_add_test(tcase, many_groups);
	tcase_add_test(tcase, rights_of_the_user);
	tcase_add_test(tcase, raised_limit);
	tcase_add_test(tcase, not_permitted);
	tcase_add_test(tcase, agent_stays_as_it_is);
	tcase_add_test(tcase, dies_with_the_agent);
	tcase_add_test(tcase, ids_that_are_none);
	tcase_add_test(tcase, niceness);
	tcase_add_loop_test(tcase, niceness_out_of_range, 0, 4);
	tcase_add_test(tcase, all_limits);
	tcase_add_test(tcase, wrong_limits);
	tcase_add_test(tcase, too_many_limits);
	tcase_set_timeout(tcase, 60);
	suite_add_tcase(suite, tcase);
	return suite;
}

int main(void)
{
	return unit_run(attributes_suite());
}
