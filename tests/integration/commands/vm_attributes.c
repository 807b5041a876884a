/* What a command is given in a guest: a cgroup, a user, a niceness, limits. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "common/util.h"
#include "tests/integration/vm/machine.h"
#include "tests/unit/unit.h"

#define TIMEOUT 60000

/* Where the guest looks at its groups. */
#define CGROUPS "/cgroups"

static struct provium_vm *vm;
static struct provium_connection *connection;
static struct provium_error error;

#define CALL(call) ck_assert_msg((call) == 0, "%s: %s", #call, error.message)

/*
 * A command that leaves a daemon behind: forked twice, so that init is its parent, in a session of
 * its own, its outputs closed, deaf to SIGTERM. Then it writes down what is so.
 */
static const char leave_daemon[] =
	"(setsid sh -c 'trap \"\" TERM; exec </dev/null >/dev/null 2>&1; echo $$ >/daemon;"
	"               while :; do sleep 1000; done' & );"
	"until read pid </daemon; do sleep 0.02; done 2>/dev/null;"
	"kill $pid; sleep 0.1;"
	"{ grep PPid: /proc/$pid/status;"
	"  [ -d " CGROUPS "$(sed s/0::// /proc/$pid/cgroup)/. ] && echo grouped;"
	"  find " CGROUPS " -mindepth 1 -type d | wc -l; } >/evidence.new;"
	"mv /evidence.new /evidence;";

static const char *shell_of(const char *ending)
{
	static char shell[1024];

	snprintf(shell, sizeof(shell), "%s %s", leave_daemon, ending);
	return shell;
}

/* While the command runs, or when it has ended. */
static void expect_evidence(void)
{
	machine_expect(connection, "until [ -e /evidence ]; do sleep 0.05; done; cat /evidence",
		       "PPid:\t1\ngrouped\n1\n");
}

/*
 * The daemon dies, with all that it has started, and the group's directory goes. The result has
 * waited for that, but for no more than 100 ms.
 */
static void expect_gone(void)
{
	machine_expect(connection,
		       "read pid </daemon; while [ -e /proc/$pid ]; do sleep 0.1; done;"
		       "while find " CGROUPS " -mindepth 1 -type d | grep -q .; do sleep 0.1; done;"
		       "rm /daemon /evidence; pidof sleep || echo none",
		       "none\n");
}

static struct provium_exec_result run_in_group(const char *ending, uint64_t timeout_ms, bool cancel)
{
	const struct provium_exec_options options = {
		.shell = shell_of(ending),
		.kill_scope = PROVIUM_KILL_CGROUP,
		.timeout_ms = timeout_ms,
	};
	struct provium_exec_result result;
	struct provium_exec *exec;

	CALL(provium_exec_start(connection, &options, &exec, &error));
	expect_evidence();
	if (cancel)
		CALL(provium_exec_cancel(exec, &error));
	CALL(provium_exec_wait(exec, TIMEOUT, &result, &error));
	provium_exec_free(exec);
	expect_gone();
	return result;
}

static void check_job_in_group(void)
{
	const struct provium_exec_options options = {
		.shell = shell_of("exec sleep 1000"),
		.kill_scope = PROVIUM_KILL_CGROUP,
	};
	struct provium_job_ref ref = { 0 };
	struct provium_job_result result;

	CALL(provium_job_start(connection, &options, NULL, TIMEOUT, &ref.number, NULL, &error));
	expect_evidence();
	CALL(provium_job_kill(connection, &ref, NULL, TIMEOUT, &result, &error));
	ck_assert_int_eq(result.result.outcome, PROVIUM_EXEC_CANCELLED);
	expect_gone();
}

/* What has left the command's tree is found by its group alone. */
static void check_groups(void)
{
	struct provium_exec_result result;

	CALL(provium_mkdir(connection, CGROUPS, 0755, false, TIMEOUT, &error));
	CALL(provium_mount(connection, "none", CGROUPS, "cgroup2", 0, NULL, TIMEOUT, &error));

	/* Time enough for what comes before. */
	result = run_in_group("exec sleep 1000", 3000, false);
	ck_assert_int_eq(result.outcome, PROVIUM_EXEC_TIMED_OUT);
	result = run_in_group("exec sleep 1000", 0, true);
	ck_assert_int_eq(result.outcome, PROVIUM_EXEC_CANCELLED);
	result = run_in_group("exit 5", 0, false);
	ck_assert_int_eq(result.outcome, PROVIUM_EXITED);
	ck_assert_int_eq(result.exit_code, 5);
	check_job_in_group();
}

/* Limits and niceness are raised while it is still allowed, before the user changes. */
static void check_user(void)
{
	static const uint32_t groups[] = { 7, 8 };
	static const struct provium_rlimit rlimit = {
		.resource = RLIMIT_NOFILE,
		.soft = 5000,
		.hard = 9000,
	};
	const struct provium_exec_options options = {
		.shell = "grep -E '^(Uid|Gid|Groups|CapEff):' /proc/self/status;"
			 "awk '/^Max open files/ {print $4, $5}' /proc/self/limits;"
			 /* Its niceness, proc_pid_stat(5). */
			 "awk '{print $19}' /proc/self/stat",
		.has_uid = true,
		.uid = 1234,
		.has_gid = true,
		.gid = 2345,
		.has_groups = true,
		.groups = groups,
		.n_groups = ARRAY_SIZE(groups),
		.nice = -5,
		.rlimits = &rlimit,
		.n_rlimits = 1,
	};
	struct provium_exec_result result;
	struct provium_buffer output;

	/* What it would have otherwise. */
	machine_expect(connection, "ulimit -Hn; awk '{print $19}' /proc/self/stat", "4096\n0\n");
	CALL(provium_exec_run(connection, &options, 0, TIMEOUT, &result, &output, NULL, &error));
	ck_assert_str_eq(output.data, "Uid:\t1234\t1234\t1234\t1234\n"
				      "Gid:\t2345\t2345\t2345\t2345\n"
				      "Groups:\t7 8 \n"
				      "CapEff:\t0000000000000000\n"
				      "5000 9000\n"
				      "-5\n");
	ck_assert_int_eq(result.exit_code, 0);
	free(output.data);
}

/* One guest for both. */
START_TEST(attributes)
{
	struct provium_vm_options options = machine_options();

	vm = machine_boot(&options);
	connection = provium_vm_connection(vm);
	check_user();
	check_groups();
	CALL(provium_vm_shutdown(vm, PROVIUM_POWER_OFF, false, TIMEOUT, &error));
	provium_vm_free(vm);
}
END_TEST

int main(int argc, char **argv)
{
	Suite *suite = suite_create("vm-attributes");
	TCase *tcase = unit_counted_case("attributes");

	if (argc < 2)
		return 2;
	machine_kernels = argv[1];
	tcase_add_checked_fixture(tcase, machine_start, machine_finish);
	tcase_set_timeout(tcase, 300);
	tcase_add_test(tcase, attributes);
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
