/* Init that is held back, and what it finds when it is not any more. */
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/integration/boot/guest.h"
#include "tests/integration/vm/machine.h"
#include "tests/unit/unit.h"

static struct provium_error error;

static void refuse_release(struct provium_connection *connection)
{
	ck_assert_int_eq(provium_release_init(connection, GUEST_MS, &error), -1);
	ck_assert_msg(error.code == PROVIUM_UNSUPPORTED, "%s", error.message);
	ck_assert_msg(strstr(error.message, "no init is held back"), "%s", error.message);
}

/* The program itself is put there, and what it finds, while it is held back. */
START_TEST(test_hold)
{
	struct provium_vm_options options = machine_options();
	struct provium_connection *connection, *second;
	struct provium_vm *vm;

	options.init = "/init";
	options.hold = true;
	vm = machine_boot(&options);
	connection = provium_vm_connection(vm);
	ck_assert(provium_connection_agent(connection)->init_held);
	ck_assert_uint_eq(provium_connection_agent(connection)->init_started_ns, 0);

	machine_expect(connection, "mkdir /proc; mount -t proc proc /proc; cat /proc/1/comm",
		       "provium-wrapper\n");
	/* What ends there as nobody's child is not left to init. */
	machine_expect(connection,
		       "(sleep 0.1 &) ; sleep 0.5; grep -c '^State:.Z' /proc/*/status "
		       "| grep -v ':0$' | wc -l",
		       "1\n");
	guest_put(connection, "/given", "before");
	guest_put(connection, "/init",
		  "#!/bin/sh\n"
		  "cat /given /proc/1/comm > /found\n"
		  "grep -l '^State:.Z' /proc/[0-9]*/status | wc -l > /zombies\n"
		  "while sleep 1; do wait; done\n");
	ck_assert_msg(provium_release_init(connection, GUEST_MS, &error) == 0, "%s", error.message);
	guest_await(connection, "/found", "beforeinit\n");
	guest_await(connection, "/zombies", "0\n");
	refuse_release(connection);

	ck_assert_msg(provium_vm_connect(vm, 0, GUEST_MS, &second, &error) == 0, "%s",
		      error.message);
	ck_assert(!provium_connection_agent(second)->init_held);
	ck_assert_uint_gt(provium_connection_agent(second)->init_started_ns, 0);
	provium_connection_free(second);
	provium_vm_kill(vm);
	provium_vm_free(vm);
}
END_TEST

/* Whoever held it back is gone, and init runs all the same. */
START_TEST(test_agent_dies)
{
	static const char kill_both[] = "kill -KILL $(awk '/^PPid/ {print $2}' /proc/$PPID/status) "
					"$PPID; sleep 60";
	const struct provium_exec_options kill = { .shell = kill_both };
	struct provium_vm_options options = machine_options();
	struct provium_exec_result result;
	struct provium_connection *connection;
	struct provium_vm *vm;
	uint64_t end;
	char *console;
	bool runs = false;

	options.init = "/init";
	options.hold = true;
	vm = machine_boot(&options);
	connection = provium_vm_connection(vm);
	machine_expect(connection, "mkdir /proc; mount -t proc proc /proc", "");
	guest_put(connection, "/init",
		  "#!/bin/sh\nmount -t devtmpfs dev /dev\n"
		  "echo init runs > /dev/kmsg\nwhile sleep 1; do :; done\n");
	ck_assert_int_eq(
		provium_exec_run(connection, &kill, 0, GUEST_MS, &result, NULL, NULL, &error), -1);

	end = machine_now_ms() + GUEST_MS;
	do {
		ck_assert_uint_lt(machine_now_ms(), end);
		poll(NULL, 0, 50);
		console = provium_vm_console_tail(vm, 30);
		runs = strstr(console, "init runs") &&
		       strstr(console, "it ended while init was held back");
		free(console);
	} while (!runs);
	provium_vm_kill(vm);
	provium_vm_free(vm);
}
END_TEST

int main(int argc, char **argv)
{
	Suite *suite = suite_create("boot-hold");
	TCase *tcase = unit_counted_case("hold");

	if (argc < 2)
		return 2;
	machine_kernels = argv[1];
	tcase_add_checked_fixture(tcase, machine_start, machine_finish);
	tcase_set_timeout(tcase, 300);
	tcase_add_test(tcase, test_hold);
	tcase_add_test(tcase, test_agent_dies);
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
