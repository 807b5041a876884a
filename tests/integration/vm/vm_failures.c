/* VMs that do not come up: each says what was wrong, and leaves nothing behind. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/integration/vm/machine.h"
#include "tests/unit/unit.h"

START_TEST(test_kernel)
{
	struct provium_vm_options options = machine_options();

	options.kernel = "/nowhere/vmlinuz";
	machine_refuse(&options, PROVIUM_HOST, "/nowhere/vmlinuz");
	options.kernel = machine_directory;
	machine_refuse(&options, PROVIUM_INVALID, "is a directory");
	options.kernel = "/etc/passwd";
	machine_refuse(&options, PROVIUM_INVALID, "not a kernel image");
	options.kernel = "/bin/sh";
	machine_refuse(&options, PROVIUM_INVALID, "is an ELF file that QEMU cannot start");
	options.kernel = NULL;
	machine_refuse(&options, PROVIUM_INVALID, "no kernel");
}
END_TEST

START_TEST(test_options)
{
	struct provium_vm_options options = machine_options();
	char text[4096];

	options.init = "sbin/init";
	machine_refuse(&options, PROVIUM_INVALID, "not an absolute path");
	options = machine_options();
	memset(text, 'x', 2100);
	text[2100] = '\0';
	options.append = text;
	machine_refuse(&options, PROVIUM_INVALID, "this kernel takes 2047");
	options = machine_options();
	options.modules_dir = machine_directory;
	machine_refuse(&options, PROVIUM_INVALID, "modules.dep");
	options = machine_options();
	options.memory = 1000;
	machine_refuse(&options, PROVIUM_INVALID, "at least 64 MiB");
	options = machine_options();
	options.console = "/nowhere/console";
	machine_refuse(&options, PROVIUM_HOST, "/nowhere/console");
}
END_TEST

START_TEST(test_initrd)
{
	struct provium_vm_options options = machine_options();

	machine_put("initrd", "this is no initramfs at all, whatever its name says\n", 0600);
	options.initrd = machine_path;
	machine_refuse(&options, PROVIUM_INVALID, machine_path);
	unlink(machine_path);
	machine_refuse(&options, PROVIUM_HOST, machine_path);
}
END_TEST

START_TEST(test_programs)
{
	struct provium_vm_options options = machine_options();

	options.qemu = "/nowhere/qemu";
	machine_refuse(&options, PROVIUM_NOT_FOUND, "install QEMU");
	options.qemu = "no-such-qemu";
	machine_refuse(&options, PROVIUM_NOT_FOUND, "'no-such-qemu'");
	options = machine_options();
	options.vsock = PROVIUM_VSOCK_USER;
	options.vsock_program = "/nowhere/provium-vsock";
	machine_refuse(&options, PROVIUM_NOT_FOUND, "a part of Provium");

	/* Programs that end at once; what they print is told. */
	options = machine_options();
	machine_put("qemu", "#!/bin/sh\necho this is no QEMU >&2\nexit 3\n", 0700);
	options.qemu = machine_path;
	machine_refuse(&options, PROVIUM_BOOT, "QEMU exited with status 3");
	machine_refuse(&options, PROVIUM_BOOT, "QEMU said:\n  this is no QEMU");
	unlink(machine_path);
	options = machine_options();
	options.vsock = PROVIUM_VSOCK_USER;
	machine_put("vsock", "#!/bin/sh\necho no idea of vsock >&2\nkill -SEGV $$\n", 0700);
	options.vsock_program = machine_path;
	machine_refuse(&options, PROVIUM_BOOT, "provium-vsock was killed by signal 11");
	machine_refuse(&options, PROVIUM_BOOT, "no idea of vsock");
	unlink(machine_path);
	/* QEMU, whose end follows from that, is the first to be seen. */
	machine_put("vsock", "#!/bin/sh\nsleep 0.02\nkill -SEGV $$\n", 0700);
	options.qemu = "/bin/false";
	machine_refuse(&options, PROVIUM_BOOT, "provium-vsock was killed by signal 11");
	unlink(machine_path);
}
END_TEST

/* QEMU itself refuses: its own words are there. */
START_TEST(test_qemu_refuses)
{
	struct provium_vm_options options = machine_options();

	machine_put("qemu", "#!/bin/sh\nexec qemu-system-x86_64 -device no-such-device \"$@\"\n",
		    0700);
	options.qemu = machine_path;
	machine_refuse(&options, PROVIUM_BOOT, "'no-such-device' is not a valid device model name");
	unlink(machine_path);
}
END_TEST

START_TEST(test_init)
{
	struct provium_vm_options options = machine_options();

	options.init = "/no/such init";
	machine_refuse(&options, PROVIUM_BOOT, "cannot execute its init '/no/such init'");
	options.init = "/etc";
	machine_refuse(&options, PROVIUM_BOOT, strerror(EACCES));
}
END_TEST

START_TEST(test_no_vsock)
{
	struct provium_vm_options options = machine_options();
	struct provium_error error;
	struct provium_vm *vm;

	options.modules_dir = NULL;
	ck_assert_int_eq(provium_vm_boot(&options, &vm, &error), -1);
	ck_assert_int_eq(error.code, PROVIUM_BOOT);
	ck_assert_msg(strstr(error.message, "CONFIG_VIRTIO_VSOCKETS"), "%s", error.message);
	ck_assert_msg(strstr(error.message, "vmw_vsock_virtio_transport"), "%s", error.message);
	ck_assert_msg(strstr(error.message, "The console's last lines:\n"), "%s", error.message);
	ck_assert_msg(strstr(error.message, "provium-agent: fatal: "), "%s", error.message);
}
END_TEST

/* The console's last lines are in the error, thirty of them. */
START_TEST(test_timeout)
{
	struct provium_vm_options options = machine_options();
	uint64_t before = machine_now_ms();
	struct provium_error error;
	struct provium_vm *vm;
	const char *at;
	int lines = 0;

	/* The agent listens where nobody looks for it. */
	options.append = "provium.port=9";
	options.boot_timeout_ms = 10000;
	ck_assert_int_eq(provium_vm_boot(&options, &vm, &error), -1);
	ck_assert_uint_lt(machine_now_ms() - before, 12000);
	ck_assert_int_eq(error.code, PROVIUM_BOOT);
	ck_assert_msg(strstr(error.message, "has not answered within 10 s"), "%s", error.message);
	at = strstr(error.message, "The console's last lines:\n");
	ck_assert_msg(at, "%s", error.message);
	while ((at = strchr(at + 1, '\n')))
		lines++;
	ck_assert_int_ge(lines, 1);
	ck_assert_int_le(lines, 30);
}
END_TEST

static int cancel_fd;
static uint64_t cancelled_at;

static void *cancel_later(void *delay_us)
{
	usleep(*(const unsigned int *)delay_us);
	cancelled_at = machine_now_ms();
	eventfd_write(cancel_fd, 1);
	return NULL;
}

/* In the firmware, in the kernel, while nobody answers; before QEMU is there. */
START_TEST(test_cancel)
{
	static const unsigned int delays_us[] = { 0, 100000, 300000, 2500000 };
	struct provium_vm_options options = machine_options();
	unsigned int delay = delays_us[_i];
	struct provium_error error;
	struct provium_vm *vm;
	pthread_t thread;
	uint64_t after;

	cancel_fd = eventfd(0, EFD_CLOEXEC);
	options.has_cancel_fd = true;
	options.cancel_fd = cancel_fd;
	/* However fast it boots, it is not served where it is expected. */
	options.append = "provium.port=6000";
	ck_assert_int_eq(pthread_create(&thread, NULL, cancel_later, &delay), 0);
	ck_assert_int_eq(provium_vm_boot(&options, &vm, &error), -1);
	after = machine_now_ms();
	pthread_join(thread, NULL);
	close(cancel_fd);
	ck_assert_int_eq(error.code, PROVIUM_CANCELLED);
	/* Noticed within 100 ms; the rest is QEMU's end. */
	ck_assert_msg(after - cancelled_at < 1000, "%u ms", (unsigned int)(after - cancelled_at));
}
END_TEST

/* A guest whose token is damaged is not served without one. */
START_TEST(test_damaged_token)
{
	struct provium_file file = { .guest_path = "/provium-token", .host_path = machine_path };
	struct provium_vm_options options = machine_options();

	machine_put("token", "short", 0600);
	options.files = &file;
	options.n_files = 1;
	machine_refuse(&options, PROVIUM_BOOT,
		       "cannot serve: /provium-token does not hold 32 bytes");
	unlink(machine_path);
}
END_TEST

/* Too little for the kernel to unpack itself: it resets before it has printed anything. */
START_TEST(test_memory)
{
	struct provium_vm_options options = machine_options();

	options.memory = 64 << 20;
	machine_refuse(&options, PROVIUM_BOOT,
		       "before its kernel printed anything: does it need more memory");
}
END_TEST

/* An initramfs that the kernel takes and whose init ends: the kernel panics. */
START_TEST(test_init_ends)
{
	struct provium_vm_options options = machine_options();

	options.init = "/bin/true";
	machine_refuse(&options, PROVIUM_BOOT, "panicked: Attempted to kill init!");
}
END_TEST

int main(int argc, char **argv)
{
	Suite *suite = suite_create("vm-failures");
	TCase *tcase = unit_counted_case("failures");

	if (argc < 2)
		return 2;
	machine_kernels = argv[1];
	tcase_add_checked_fixture(tcase, machine_start, machine_finish);
	tcase_set_timeout(tcase, 300);
	tcase_add_test(tcase, test_kernel);
	tcase_add_test(tcase, test_options);
	tcase_add_test(tcase, test_initrd);
	tcase_add_test(tcase, test_programs);
	tcase_add_test(tcase, test_qemu_refuses);
	tcase_add_test(tcase, test_damaged_token);
	tcase_add_test(tcase, test_memory);
	tcase_add_test(tcase, test_timeout);
	tcase_add_loop_test(tcase, test_cancel, 0, 4);
	tcase_add_test(tcase, test_no_vsock);
	tcase_add_test(tcase, test_init);
	tcase_add_test(tcase, test_init_ends);
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
