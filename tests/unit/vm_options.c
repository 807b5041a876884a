/* Options that cannot be used are refused before anything starts, by their name. */
#include "host/lib/vm_options.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/lib/error.h"
#include "unit.h"

static char directory[64];
static char path[96];
static struct provium_vm_options options;
static struct provium_vm_options completed;
static struct vm_kernel kernel;
static struct provium_error error;

/* The kernel's image has tests of its own (vm_kernel.c). */
int vm_kernel_check(const char *image, struct vm_kernel *found, struct provium_error *failure)
{
	*found = (struct vm_kernel){ .command_line_limit = 2047 };
	return image ? 0 : error_set(failure, PROVIUM_INVALID, 0, "no kernel is named");
}

static void start(void)
{
	const char *base = getenv("TMPDIR");

	snprintf(directory, sizeof(directory), "%s/vm-options-XXXXXX", base ? base : "/tmp");
	ck_assert_ptr_nonnull(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/disk", directory);
	options = (struct provium_vm_options){ .kernel = "vmlinuz" };
}

static void finish(void)
{
	unlink(path);
	ck_assert_int_eq(rmdir(directory), 0);
}

static void make_disk(off_t size)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, size), 0);
	close(fd);
}

static void check_refused(enum provium_code code, const char *message)
{
	ck_assert_int_eq(vm_options_check(&options, &completed, &kernel, &error), -1);
	ck_assert_int_eq(error.code, code);
	ck_assert_msg(strstr(error.message, message), "%s", error.message);
}

static void check_fine(void)
{
	ck_assert_msg(vm_options_check(&options, &completed, &kernel, &error) == 0, "%s",
		      error.message);
}

START_TEST(test_defaults)
{
	check_fine();
	ck_assert_uint_eq(completed.memory, (uint64_t)512 << 20);
	ck_assert_uint_eq(completed.cpus, 1);
	ck_assert_int_eq(completed.cancel_fd, -1);
	ck_assert_str_eq(completed.qemu, "qemu-system-x86_64");
	ck_assert_str_eq(completed.vsock_program, "provium-vsock");

	options.has_cancel_fd = true;
	options.cancel_fd = 0;
	options.qemu = "/opt/qemu";
	options.cpus = 3;
	check_fine();
	ck_assert_int_eq(completed.cancel_fd, 0);
	ck_assert_str_eq(completed.qemu, "/opt/qemu");
	ck_assert_uint_eq(completed.cpus, 3);

	options.kernel = NULL;
	check_refused(PROVIUM_INVALID, "kernel");
}
END_TEST

START_TEST(test_memory)
{
	options.memory = 64 << 20;
	check_fine();
	ck_assert_uint_eq(completed.memory, 64 << 20);
	options.memory = (64 << 20) - 1;
	check_refused(PROVIUM_INVALID, "at least 64 MiB");
	options.memory = 1;
	check_refused(PROVIUM_INVALID, "at least 64 MiB");
	options.memory = (100 << 20) + 4096;
	check_refused(PROVIUM_INVALID, "multiple of 1 MiB");
	options.memory = (uint64_t)1 << 40;
	check_fine();
	options.memory = ((uint64_t)1 << 40) + (1 << 20);
	check_refused(PROVIUM_INVALID, "at most 1024 GiB");
	options.memory = UINT64_MAX;
	check_refused(PROVIUM_INVALID, "at most 1024 GiB");
}
END_TEST

START_TEST(test_choices)
{
	options.cpus = 256;
	check_refused(PROVIUM_INVALID, "256 CPUs");
	options.cpus = 255;
	check_fine();
	options.accel = 3;
	check_refused(PROVIUM_INVALID, "accelerator 3");
	options.accel = PROVIUM_ACCEL_KVM;
	options.machine = 3;
	check_refused(PROVIUM_INVALID, "machine 3");
	options.machine = PROVIUM_MACHINE_MICROVM;
	options.vsock = 3;
	check_refused(PROVIUM_INVALID, "vsock 3");
	options.vsock = PROVIUM_VSOCK_KERNEL;
	options.socket = "/run/x";
	check_refused(PROVIUM_INVALID, "'/run/x' needs provium-vsock");
	options.vsock = PROVIUM_VSOCK_AUTO;
	check_fine();
}
END_TEST

START_TEST(test_disks)
{
	struct provium_disk disks[17] = { { .path = path } };

	options.disks = disks;
	options.n_disks = 1;
	check_refused(PROVIUM_HOST, strerror(ENOENT));
	make_disk(0);
	check_refused(PROVIUM_INVALID, "is empty");
	make_disk(1000);
	check_refused(PROVIUM_INVALID, "not a multiple of 512");
	disks[0].format = "qcow2";
	check_fine();
	disks[0].format = "vmdk";
	check_refused(PROVIUM_INVALID, "neither raw nor qcow2");
	disks[0].format = "raw";
	check_refused(PROVIUM_INVALID, "not a multiple of 512");
	make_disk(1024);
	check_fine();

	disks[0].path = directory;
	check_refused(PROVIUM_INVALID, "neither a file nor a block device");
	disks[0].path = "";
	check_refused(PROVIUM_INVALID, "without a path");
	disks[0].path = NULL;
	check_refused(PROVIUM_INVALID, "without a path");

	for (size_t i = 0; i < 17; i++)
		disks[i] = (struct provium_disk){ .path = path };
	options.n_disks = 16;
	check_fine();
	options.n_disks = 17;
	check_refused(PROVIUM_INVALID, "17 disks");
}
END_TEST

START_TEST(test_disk_permission)
{
	struct provium_disk disk = { .path = path };

	options.disks = &disk;
	options.n_disks = 1;
	make_disk(512);
	ck_assert_int_eq(chmod(path, 0444), 0);
	if (geteuid() == 0) {
		ck_assert_int_eq(chmod(directory, 0711), 0);
		ck_assert_int_eq(seteuid(65534), 0);
	}
	check_refused(PROVIUM_HOST, strerror(EACCES));
	ck_assert_ptr_nonnull(strstr(error.message, "read-only"));
	disk.readonly = true;
	check_fine();
	if (getuid() == 0)
		ck_assert_int_eq(seteuid(0), 0);
}
END_TEST

START_TEST(test_root)
{
	static const struct provium_file file = { .guest_path = "/x", .host_path = "x" };

	options.root = "/dev/vda";
	check_fine();
	options.root = "PARTUUID=0badf00d-01";
	check_fine();
	options.initrd = "initrd";
	check_refused(PROVIUM_INVALID, "an initramfs mounts its root by itself");
	options.initrd = NULL;
	options.files = &file;
	options.n_files = 1;
	check_refused(PROVIUM_INVALID, "push them");
}
END_TEST

START_TEST(test_bad_root)
{
	static const char *const roots[] = {
		"",          "/dev/",       "/etc/x",     "UUID=1-2",    "LABEL=x",
		"PARTUUID=", "/dev/vda rw", "/dev/\"vda", "/dev/vda\x7f"
	};

	for (size_t i = 0; i < sizeof(roots) / sizeof(roots[0]); i++) {
		options.root = roots[i];
		check_refused(PROVIUM_INVALID, "root '");
	}
	options.root = "UUID=1-2";
	check_refused(PROVIUM_INVALID, "an initramfs may know others, by 'root=UUID=1-2'");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("vm-options");
	TCase *tcase = unit_counted_case("options");

	tcase_add_checked_fixture(tcase, start, finish);
	tcase_add_test(tcase, test_defaults);
	tcase_add_test(tcase, test_memory);
	tcase_add_test(tcase, test_choices);
	tcase_add_test(tcase, test_disks);
	tcase_add_test(tcase, test_disk_permission);
	tcase_add_test(tcase, test_root);
	tcase_add_test(tcase, test_bad_root);
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
