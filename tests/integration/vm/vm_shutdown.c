/*
 * How a guest is shut down: acknowledged, with what was written on its disks, and within its time.
 *
 *     vm-shutdown KERNELS
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/util.h"
#include "tests/integration/vm/machine.h"
#include "tests/unit/unit.h"

#define TIMEOUT 120000

static struct provium_error error;

static void wait_gone(struct provium_connection *connection, const char *shell, const char *text)
{
	const struct provium_exec_options options = { .shell = shell };

	ck_assert_int_eq(
		provium_exec_run(connection, &options, 0, TIMEOUT, NULL, NULL, NULL, &error), -1);
	ck_assert_msg(error.code == PROVIUM_VM_GONE, "%d: %s", error.code, error.message);
	ck_assert_msg(strstr(error.message, text), "%s", error.message);
}

/* ------------------------------------------------------------------------------------------- */
/* What is left of a guest: its console, its disk */

static void read_into(char *content, size_t size, int fd)
{
	size_t used = 0;
	ssize_t count;

	while (used < size - 1 && (count = read(fd, content + used, size - 1 - used)) > 0)
		used += (size_t)count;
	content[used] = '\0';
}

static bool console_has(const char *path, const char *text)
{
	static char content[1 << 20];
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	read_into(content, sizeof(content), fd);
	close(fd);
	return strstr(content, text) != NULL;
}

/* As who mounts it would find it: what was synced may be in the journal alone. */
static void check_disk(void)
{
	machine_on_host("{ e2fsck -y -E journal_only disk >/dev/null 2>&1; "
			"debugfs -R 'cat /file' disk 2>/dev/null | grep -qx 'written before'; }");
}

/* ------------------------------------------------------------------------------------------- */

/*
 * Each mode is acknowledged, makes the kernel say this last, and leaves what was written before on
 * the disk. QEMU ends by itself, but when the guest has halted.
 */
START_TEST(test_modes)
{
	static const struct {
		enum provium_shutdown_mode mode;
		const char *text;
	} modes[] = {
		{ PROVIUM_POWER_OFF, "reboot: Power down" },
		{ PROVIUM_REBOOT, "sysrq: Resetting" },
		{ PROVIUM_PANIC, "Kernel panic - not syncing: sysrq triggered crash" },
		{ PROVIUM_HALT, "reboot: System halted" },
	};
	const char *const modules[] = { "virtio_blk", "ext4", NULL };
	struct provium_vm_options options = machine_options();
	struct provium_disk disk = { 0 };
	char console[256], path[128];
	bool said = false;
	struct provium_vm *vm;

	machine_on_host("truncate -s 16M disk && mke2fs -q -t ext4 disk");
	snprintf(path, sizeof(path), "%s/disk", machine_directory);
	disk.path = path;
	options.disks = &disk;
	options.n_disks = 1;
	options.modules = modules;
	snprintf(console, sizeof(console), "%s/console", machine_directory);
	options.console = console;
	vm = machine_boot(&options);
	machine_expect(provium_vm_connection(vm),
		       "mkdir /m && mount -t ext4 /dev/vda /m && echo written before >/m/file && "
		       "echo done",
		       "done\n");
	if (modes[_i].mode == PROVIUM_HALT) {
		ck_assert_msg(provium_shutdown(provium_vm_connection(vm), modes[_i].mode, true,
					       TIMEOUT, &error) == 0,
			      "%s", error.message);
		for (int i = 0; i < 500 && !said; i++) {
			poll(NULL, 0, 20);
			said = console_has(console, modes[_i].text);
		}
		provium_vm_kill(vm);
	} else {
		ck_assert_msg(provium_vm_shutdown(vm, modes[_i].mode, true, TIMEOUT, &error) == 0,
			      "%s", error.message);
		said = console_has(console, modes[_i].text);
	}
	ck_assert_msg(said, "the console lacks '%s'", modes[_i].text);
	ck_assert_int_eq(provium_vm_qemu_pid(vm), -1);
	provium_vm_free(vm);
	check_disk();
	unlink(path);
	unlink(console);
}
END_TEST

/*
 * A disk that takes hours for what is to be written to it: the sync has its time and no more. What
 * QEMU holds of it then is written at once.
 */
START_TEST(test_slow_disk)
{
	struct provium_vm_options options = machine_options();
	const char *const modules[] = { "virtio_blk", NULL };
	char path[128], script[512];
	uint64_t before, ms;
	struct provium_vm *vm;

	snprintf(path, sizeof(path), "%s/disk", machine_directory);
	close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	ck_assert_int_eq(truncate(path, 16 << 20), 0);
	snprintf(script, sizeof(script),
		 "#!/bin/sh\nexec qemu-system-x86_64 \"$@\" -device virtio-blk-pci,drive=slow "
		 "-drive "
		 "file=%s,format=raw,if=none,id=slow,throttling.bps-write=4096\n",
		 path);
	machine_put("qemu", script, 0700);
	options.qemu = machine_path;
	options.modules = modules;
	vm = machine_boot(&options);
	/* Who closes the device waits for it. */
	machine_expect(provium_vm_connection(vm),
		       "(exec 3>/dev/vda; head -c 8388608 /dev/zero >&3; touch /written; "
		       "exec sleep 1000) >/dev/null 2>&1 & "
		       "until [ -e /written ]; do sleep 0.1; done; echo done",
		       "done\n");
	before = machine_now_ms();
	ck_assert_msg(provium_vm_shutdown(vm, PROVIUM_POWER_OFF, true, TIMEOUT, &error) == 0, "%s",
		      error.message);
	ms = machine_now_ms() - before;
	printf("# gone after %llu ms, 5000 of them for the sync\n", (unsigned long long)ms);
	ck_assert_uint_ge(ms, 5000);
	ck_assert_uint_lt(ms, 60000);
	provium_vm_free(vm);
	unlink(path);
	unlink(machine_path);
}
END_TEST

/* Nobody in the guest answers: QEMU is told to quit, and the call says that it was not the guest.
 */
START_TEST(test_agent_that_hangs)
{
	struct provium_vm_options options = machine_options();
	struct provium_vm *vm = machine_boot(&options);
	const struct provium_exec_options stop = {
		/* The supervisor first, which would put another in the place of the server. */
		.shell = "kill -STOP $(awk '/^PPid/ {print $2}' /proc/$PPID/status) $PPID; "
			 "sleep 1000",
	};

	ck_assert_int_eq(provium_exec_run(provium_vm_connection(vm), &stop, 0, 3000, NULL, NULL,
					  NULL, &error),
			 -1);
	ck_assert_int_eq(error.code, PROVIUM_TIMED_OUT);
	ck_assert_int_eq(provium_vm_shutdown(vm, PROVIUM_POWER_OFF, true, 1000, &error), -1);
	ck_assert_msg(error.code == PROVIUM_TIMED_OUT, "%s", error.message);
	ck_assert_int_eq(provium_vm_qemu_pid(vm), -1);
	provium_vm_free(vm);
}
END_TEST

START_TEST(test_power_off)
{
	struct provium_vm_options options = machine_options();
	struct provium_vm *vm = machine_boot(&options);

	wait_gone(provium_vm_connection(vm), "poweroff -f", "the guest has shut itself down");
	/* That is what was wanted. */
	ck_assert_int_eq(provium_vm_shutdown(vm, PROVIUM_POWER_OFF, true, 1000, &error), 0);
	provium_vm_free(vm);
}
END_TEST

/* A system call of a test ends the server, and with it the VM's own connection. */
static void end_server_by_call(struct provium_vm *vm)
{
	struct provium_program *program = provium_program_new();

	ck_assert_ptr_nonnull(program);
	PROVIUM_CALL(program, SYS_exit_group, provium_value(3));
	ck_assert_int_eq(provium_program_run(provium_vm_connection(vm), program, 60000, &error),
			 -1);
	ck_assert_msg(error.code == PROVIUM_DISCONNECTED, "%s", error.message);
	provium_program_free(program);
}

/* The same behind its back: it learns of that only when it is told to shut down. */
static void end_server_unseen(struct provium_vm *vm)
{
	int pid = provium_connection_agent(provium_vm_connection(vm))->pid;
	char command[64];
	const struct provium_exec_options options = { .shell = command };
	struct provium_connection *other;

	ck_assert_int_eq(provium_vm_connect(vm, 0, 30000, &other, &error), 0);
	snprintf(command, sizeof(command), "kill -9 %d; sleep 1000", pid);
	ck_assert_int_eq(provium_exec_run(other, &options, 0, 60000, NULL, NULL, NULL, &error), -1);
	ck_assert_msg(error.code == PROVIUM_DISCONNECTED, "%s", error.message);
	provium_connection_free(other);
}

START_TEST(test_server_that_ended)
{
	struct provium_vm_options options = machine_options();
	struct provium_vm *vm = machine_boot(&options);

	if (_i == 0)
		end_server_by_call(vm);
	else
		end_server_unseen(vm);
	ck_assert_msg(provium_vm_shutdown(vm, PROVIUM_POWER_OFF, true, 60000, &error) == 0, "%s",
		      error.message);
	ck_assert_int_eq(provium_vm_qemu_pid(vm), -1);
	provium_vm_free(vm);
}
END_TEST

/* A machine that stays when it has been turned off: QEMU is told to quit. */
START_TEST(test_quit)
{
	struct provium_vm_options options = machine_options();
	struct provium_vm *vm;

	machine_put("qemu", "#!/bin/sh\nexec qemu-system-x86_64 \"$@\" -action shutdown=pause\n",
		    0700);
	options.qemu = machine_path;
	vm = machine_boot(&options);
	ck_assert_msg(provium_vm_shutdown(vm, PROVIUM_POWER_OFF, false, 60000, &error) == 0, "%s",
		      error.message);
	provium_vm_free(vm);
	unlink(machine_path);
}
END_TEST

/* A QEMU that does not even do that is killed, and it is told. */
START_TEST(test_stopped)
{
	struct provium_vm_options options = machine_options();
	struct provium_vm *vm = machine_boot(&options);
	uint64_t before = machine_now_ms();

	kill(provium_vm_qemu_pid(vm), SIGSTOP);
	ck_assert_int_eq(provium_vm_shutdown(vm, PROVIUM_POWER_OFF, false, 500, &error), -1);
	ck_assert_int_eq(error.code, PROVIUM_TIMED_OUT);
	ck_assert_uint_lt(machine_now_ms() - before, 15000);
	ck_assert_int_eq(provium_vm_qemu_pid(vm), -1);
	provium_vm_free(vm);
}
END_TEST

int main(int argc, char **argv)
{
	Suite *suite = suite_create("vm-shutdown");
	TCase *tcase = unit_counted_case("shutdown");

	if (argc < 2)
		return 2;
	machine_kernels = argv[1];
	tcase_add_checked_fixture(tcase, machine_start, machine_finish);
	tcase_set_timeout(tcase, 300);
	tcase_add_loop_test(tcase, test_modes, 0, 4);
	tcase_add_test(tcase, test_slow_disk);
	tcase_add_test(tcase, test_agent_that_hangs);
	tcase_add_test(tcase, test_power_off);
	tcase_add_loop_test(tcase, test_server_that_ended, 0, 2);
	tcase_add_test(tcase, test_quit);
	tcase_add_test(tcase, test_stopped);
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
