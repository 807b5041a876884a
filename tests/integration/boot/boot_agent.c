/* The agent in its guest: how it lives there, what it survives, how it ends the guest. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/integration/vm/machine.h"
#include "tests/unit/unit.h"

static struct provium_error error;

static void shut_down(struct provium_vm *vm)
{
	ck_assert_msg(provium_vm_shutdown(vm, PROVIUM_POWER_OFF, true, 60000, &error) == 0, "%s",
		      error.message);
	provium_vm_free(vm);
}

/* As init of a guest that has none. */
static void check_wrapper_as_init(struct provium_connection *connection)
{
	const struct provium_agent *agent = provium_connection_agent(connection);

	ck_assert_str_eq(agent->init_error_path, "");
	ck_assert_uint_eq(agent->init_started_ns, 0);
	ck_assert_uint_gt(agent->listening_ns, 0);
	ck_assert_uint_gt(agent->modules_ns, 0);
	ck_assert_uint_eq(agent->restarts, 0);

	machine_expect(connection, "tr '\\0' ' ' < /proc/1/cmdline", "/provium-wrapper ");
	machine_expect(connection, "awk '{print $2, $3}' /proc/mounts | grep -v ^/sys/",
		       "/ rootfs\n/proc proc\n/sys sysfs\n/dev devtmpfs\n/dev/pts devpts\n"
		       "/dev/shm tmpfs\n/tmp tmpfs\n/run tmpfs\n");
	machine_expect(connection, "echo through > /dev/stdout; cat < /dev/stdin", "through\n");
	machine_expect(connection, "stat -c %a /tmp /run /dev/pts/ptmx", "1777\n755\n666\n");
	/* Orphans are reaped: of those whose parents have gone none is left as a zombie. */
	machine_expect(connection,
		       "for i in 1 2 3 4 5; do (sleep 0.$i & ); done; sleep 1; "
		       "grep -l '^State:.Z' /proc/[0-9]*/status | wc -l",
		       "0\n");
}

/* Its name, its fds, and that commands get what the agent found and not what it has. */
static void check_process(struct provium_connection *connection)
{
	machine_expect(connection, "tr '\\0' '\\n' < /proc/$PPID/cmdline | head -n 1",
		       "@provium-agent\n");
	machine_expect(connection, "cat /proc/$PPID/oom_score_adj /proc/self/oom_score_adj",
		       "-1000\n0\n");
	machine_expect(connection, "ulimit -n; grep -c . /proc/self/cmdline", "1024\n1\n");
	/* All fds are the standard ones, which lead nowhere, or high. */
	machine_expect(connection,
		       "cd /proc/$PPID/fd; for f in *; do [ $f -ge 512 ] || readlink $f; done",
		       "/null\n/null\n/null\n");
	machine_expect(connection,
		       "s=$(awk '/^PPid/ {print $2}' /proc/$PPID/status); cd /proc/$s/fd; "
		       "for f in *; do [ $f -ge 512 ] || readlink $f; done",
		       "/null\n/null\n/null\n");
	/* The supervisor and its server are the only ones that we have added. */
	machine_expect(connection, "grep -l provium-agent /proc/[0-9]*/comm | wc -l", "2\n");
	/* Neither wakes up while nothing is asked of them; the server's loop does for this command.
	 */
	machine_expect(connection,
		       "s=$(awk '/^PPid/ {print $2}' /proc/$PPID/status); "
		       "a=$(grep -h ctxt /proc/$s/status /proc/1/status); sleep 3; "
		       "b=$(grep -h ctxt /proc/$s/status /proc/1/status); [ \"$a\" = \"$b\" ] && "
		       "echo asleep",
		       "asleep\n");
}

START_TEST(test_process)
{
	struct provium_vm_options options = machine_options();
	struct provium_vm *vm = machine_boot(&options);

	check_wrapper_as_init(provium_vm_connection(vm));
	check_process(provium_vm_connection(vm));
	shut_down(vm);
}
END_TEST

/* The command's connection is lost; the next one tells why. */
static void expect_restart(struct provium_vm *vm, struct provium_connection **connection,
			   const char *command, unsigned int restarts, const char *reason)
{
	const struct provium_exec_options options = { .shell = command };
	struct provium_exec_result result;

	ck_assert_int_eq(
		provium_exec_run(*connection, &options, 0, 60000, &result, NULL, NULL, &error), -1);
	ck_assert_msg(error.code == PROVIUM_DISCONNECTED, "%d: %s", error.code, error.message);
	ck_assert_msg(provium_vm_connect(vm, 0, 30000, connection, &error) == 0, "%s",
		      error.message);
	ck_assert_uint_eq(provium_connection_agent(*connection)->restarts, restarts);
	ck_assert_str_eq(provium_connection_agent(*connection)->restart_reason, reason);
	machine_expect(*connection, "echo alive", "alive\n");
}

START_TEST(test_server_dies)
{
	struct provium_vm_options options = machine_options();
	struct provium_vm *vm = machine_boot(&options);
	struct provium_connection *first = provium_vm_connection(vm);
	struct provium_connection *second = first, *third;

	expect_restart(vm, &second, "kill -KILL $PPID; sleep 60", 1,
		       "it was killed by signal 9 (SIGKILL); lost with it: 1 command, 0 jobs");
	/* Of what a test sends to all, the supervisor dies of nothing but SIGKILL. */
	third = second;
	expect_restart(vm, &third, "trap '' TERM; kill -TERM -1; sleep 60", 2,
		       "it was killed by signal 15 (SIGTERM); lost with it: 1 command, 0 jobs");
	/* The commands of the dead servers are gone. */
	machine_expect(third, "pidof sleep | wc -w", "0\n");
	provium_connection_free(second);
	provium_connection_free(third);
	provium_vm_kill(vm);
	provium_vm_free(vm);
}
END_TEST

/* Parameters that cannot be used are told in the kernel's log, and the agent comes up all the same.
 */
START_TEST(test_bad_parameters)
{
	struct provium_vm_options options = machine_options();
	struct provium_vm *vm;

	options.append = "provium.port=70x provium.log=loud";
	vm = machine_boot(&options);
	machine_expect(provium_vm_connection(vm), "dmesg | grep -o 'error: provium[.].*'",
		       "error: provium.log=loud: error, warn, info or debug\n"
		       "error: provium.port=70x: no vsock port, using 5123\n");
	shut_down(vm);
}
END_TEST

int main(int argc, char **argv)
{
	Suite *suite = suite_create("boot-agent");
	TCase *tcase = unit_counted_case("agent");

	if (argc < 2)
		return 2;
	machine_kernels = argv[1];
	tcase_add_checked_fixture(tcase, machine_start, machine_finish);
	tcase_set_timeout(tcase, 300);
	tcase_add_test(tcase, test_process);
	tcase_add_test(tcase, test_server_dies);
	/* A boot each, for what depends little on the kernel. */
	if (argc == 2) {
		tcase_add_test(tcase, test_bad_parameters);
	}
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
