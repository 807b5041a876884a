/* VMs that come up, with everything that can be asked of them, and go down. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/integration/vm/machine.h"
#include "tests/unit/unit.h"

static void check_mode(const char *path, unsigned int mode)
{
	struct stat st;

	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, mode);
}

START_TEST(test_plain)
{
	struct provium_vm_options options = machine_options();
	struct provium_vm *vm = machine_boot(&options);
	struct provium_connection *connection = provium_vm_connection(vm);
	const struct provium_agent *agent = provium_connection_agent(connection);
	struct provium_connection *second;
	struct provium_error error;
	char wanted[128];
	char *tail;

	snprintf(wanted, sizeof(wanted), "Linux %s x86_64\n", agent->kernel_release);
	machine_expect(connection, "uname -srm", wanted);
	machine_expect(connection, "grep -c ^processor /proc/cpuinfo", "1\n");

	/* Steps and notices, in order. */
	ck_assert_ptr_nonnull(strstr(machine_notices, "trying KVM\n"));
	ck_assert_ptr_nonnull(strstr(machine_notices, "packing the initramfs\nstarting QEMU\n"
						      "waiting for the agent\n"));
	if (provium_vm_accel(vm) == PROVIUM_ACCEL_TCG)
		ck_assert_ptr_nonnull(strstr(machine_notices, "no KVM ("));
	else
		ck_assert_int_eq(provium_vm_accel(vm), PROVIUM_ACCEL_KVM);

	ck_assert_int_gt(provium_vm_qemu_pid(vm), 0);
	ck_assert_int_eq(
		strncmp(provium_vm_console(vm), machine_directory, strlen(machine_directory)), 0);
	check_mode(provium_vm_console(vm), 0600);
	/* Behind which the kernel would have more to say: clocks, random numbers. */
	machine_expect(connection, "echo 1 >/proc/sys/kernel/printk; echo at the end >/dev/console",
		       "");
	for (int i = 0; i < 100; i++) {
		tail = provium_vm_console_tail(vm, 1);
		if (strcmp(tail, "  at the end") == 0)
			break;
		free(tail);
		tail = NULL;
		usleep(20000);
	}
	ck_assert_msg(tail != NULL, "the console's last line is another");
	free(tail);

	ck_assert_msg(provium_vm_connect(vm, 0, 30000, &second, &error) == 0, "%s", error.message);
	machine_expect(second, "echo second", "second\n");
	provium_connection_free(second);
	ck_assert_int_eq(provium_vm_connect(vm, 9, 30000, &second, &error), -1);
	ck_assert_int_eq(error.code, PROVIUM_HOST);

	ck_assert_msg(provium_vm_shutdown(vm, PROVIUM_POWER_OFF, true, 60000, &error) == 0, "%s",
		      error.message);
	ck_assert_int_eq(provium_vm_qemu_pid(vm), -1);
	provium_vm_free(vm);
}
END_TEST

static void make_disk(const char *path)
{
	char block[4096];
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	ck_assert_int_ge(fd, 0);
	memset(block, 'd', sizeof(block));
	ck_assert_int_eq(write(fd, block, sizeof(block)), sizeof(block));
	ck_assert_int_eq(ftruncate(fd, 1 << 20), 0);
	close(fd);
}

static void check_disk(const char *path)
{
	char text[6] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(pread(fd, text, 5, 8192), 5);
	ck_assert_str_eq(text, "guest");
	close(fd);
}

/* Every option that changes the machine; names with commas in them. */
START_TEST(test_options)
{
	struct provium_vm_options options = machine_options();
	struct provium_disk disk_option = { 0 };
	struct provium_connection *second;
	struct provium_error error;
	struct provium_vm *vm;
	char address[160];
	char console[96];
	char socket[96];
	char disk[96];

	snprintf(disk, sizeof(disk), "%s/a,b.img", machine_directory);
	snprintf(console, sizeof(console), "%s/console,log", machine_directory);
	snprintf(socket, sizeof(socket), "%s/socket", machine_directory);
	make_disk(disk);
	disk_option.path = disk;
	options.disks = &disk_option;
	options.n_disks = 1;
	options.console = console;
	options.socket = socket;
	options.cpus = 2;
	options.memory = 384 << 20;
	options.accel = PROVIUM_ACCEL_TCG;
	options.append = "test.option=\"a b\" loglevel=4 -- told to init";
	vm = machine_boot(&options);

	ck_assert_int_eq(provium_vm_vsock(vm), PROVIUM_VSOCK_USER);
	ck_assert_int_eq(provium_vm_accel(vm), PROVIUM_ACCEL_TCG);
	machine_expect(provium_vm_connection(vm), "grep -c ^processor /proc/cpuinfo", "2\n");
	machine_expect(provium_vm_connection(vm),
		       "set -- $(grep MemTotal /proc/meminfo); [ $2 -gt 300000 ] && echo more",
		       "more\n");
	machine_expect(provium_vm_connection(vm), "grep -o 'test.option=\"a b\"' /proc/cmdline",
		       "test.option=\"a b\"\n");
	machine_expect(provium_vm_connection(vm), "head -c 5 /dev/vda", "ddddd");
	machine_expect(provium_vm_connection(vm), "cat /sys/block/vda/serial", "disk0");
	machine_expect(provium_vm_connection(vm),
		       "echo guest | dd of=/dev/vda bs=1 seek=8192 conv=fsync 2>/dev/null", "");

	/* Another process finds the guest by its socket. */
	check_mode(socket, 0600);
	snprintf(address, sizeof(address), "unix:%s", socket);
	ck_assert_msg(provium_connect(address, 30000, &second, &error) == 0, "%s", error.message);
	machine_expect(second, "echo found", "found\n");
	provium_connection_free(second);

	ck_assert_msg(provium_vm_shutdown(vm, PROVIUM_POWER_OFF, true, 60000, &error) == 0, "%s",
		      error.message);
	check_disk(disk);
	provium_vm_free(vm);
	ck_assert_int_eq(access(socket, F_OK), -1);
	check_mode(console, 0600);
	unlink(console);
	unlink(disk);
}
END_TEST

/* All that the guest prints is in the file, also what comes while nobody calls. */
START_TEST(test_console)
{
	struct provium_vm_options options = machine_options();
	struct provium_vm *vm = machine_boot(&options);
	struct provium_error error;
	unsigned int next = 1;
	char line[256];
	FILE *file;

	machine_expect(provium_vm_connection(vm),
		       "i=0; while [ $((i += 1)) -le 3000 ]; do echo \"test line $i\"; done "
		       ">/dev/console 2>&1 </dev/null & echo started",
		       "started\n");
	/* Its end is waited for where it is: in the file. */
	file = fopen(provium_vm_console(vm), "re");
	ck_assert_ptr_nonnull(file);
	for (int idle = 0; idle < 1000 && next <= 3000;) {
		long start = ftell(file);

		if (!fgets(line, sizeof(line), file) || !strchr(line, '\n')) {
			clearerr(file);
			ck_assert_int_eq(fseek(file, start, SEEK_SET), 0);
			usleep(20000);
			idle++;
			continue;
		}
		if (strncmp(line, "test line ", 10) == 0) {
			ck_assert_int_eq(atoi(line + 10), next);
			next++;
			idle = 0;
		}
	}
	ck_assert_uint_eq(next, 3001);
	fclose(file);
	ck_assert_msg(provium_vm_shutdown(vm, PROVIUM_POWER_OFF, false, 60000, &error) == 0, "%s",
		      error.message);
	provium_vm_free(vm);
}
END_TEST

int main(int argc, char **argv)
{
	Suite *suite = suite_create("vm-boot");
	TCase *tcase = unit_counted_case("boot");

	if (argc < 2)
		return 2;
	machine_kernels = argv[1];
	tcase_add_checked_fixture(tcase, machine_start, machine_finish);
	tcase_set_timeout(tcase, 300);
	tcase_add_test(tcase, test_plain);
	/* The rest is the same whatever the kernel. */
	if (argc == 2 || strcmp(argv[2], "plain") != 0) {
		tcase_add_test(tcase, test_options);
		tcase_add_test(tcase, test_console);
	}
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
