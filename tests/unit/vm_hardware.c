/* The files that a machine is made of. */
#include "host/lib/vm_hardware.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "unit.h"

static struct vm_hardware hardware;
static struct provium_error error;

static void start(void)
{
	vm_hardware_init(&hardware);
}

static void finish(void)
{
	vm_hardware_finish(&hardware);
	/* Once more: of nothing. */
	vm_hardware_finish(&hardware);
}

START_TEST(test_memory)
{
	struct stat st;

	hardware.memory = (uint64_t)1 << 40;
	ck_assert_msg(vm_hardware_make_memory(&hardware, &error) == 0, "%s", error.message);
	ck_assert_int_eq(fstat(hardware.memory_fd, &st), 0);
	ck_assert_uint_eq((uint64_t)st.st_size, hardware.memory);
	ck_assert_uint_eq((uint64_t)st.st_blocks, 0);
	ck_assert_uint_eq(st.st_nlink, 0);
	ck_assert_int_eq(fcntl(hardware.memory_fd, F_GETFD), FD_CLOEXEC);
}
END_TEST

START_TEST(test_memory_refused)
{
	const struct rlimit limit = { 1 << 20, 1 << 20 };

	/* SIGXFSZ is for write(2). */
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	signal(SIGXFSZ, SIG_IGN);
	hardware.memory = 2 << 20;
	ck_assert_int_eq(vm_hardware_make_memory(&hardware, &error), -1);
	ck_assert_int_eq(error.code, PROVIUM_HOST);
	ck_assert_int_eq(error.os_errno, EFBIG);
	ck_assert_ptr_nonnull(strstr(error.message, "2097152 bytes"));
	ck_assert_int_eq(hardware.memory_fd, -1);
}
END_TEST

START_TEST(test_disks)
{
	const struct provium_disk disks[] = {
		{ .path = "/proc/self/exe" },
		{ .path = "/dev/null", .readonly = true, .format = "qcow2" },
		{ .path = "/nowhere/disk" },
	};

	ck_assert_int_eq(vm_hardware_open_disks(&hardware, disks, 2, &error), 0);
	ck_assert_uint_eq(hardware.n_disks, 2);
	ck_assert_str_eq(hardware.disks[0].format, "raw");
	ck_assert_str_eq(hardware.disks[1].format, "qcow2");
	ck_assert(!hardware.disks[0].readonly && hardware.disks[1].readonly);
	for (size_t i = 0; i < 2; i++) {
		ck_assert(!hardware.disks[i].own);
		ck_assert_int_eq(fcntl(hardware.disks[i].fd, F_GETFD), FD_CLOEXEC);
	}
	vm_hardware_finish(&hardware);
	/* Those before it are closed by the end. */
	ck_assert_int_eq(vm_hardware_open_disks(&hardware, disks, 3, &error), -1);
	ck_assert_int_eq(error.os_errno, ENOENT);
	ck_assert_ptr_nonnull(strstr(error.message, "/nowhere/disk"));
	ck_assert_uint_eq(hardware.n_disks, 2);
}
END_TEST

START_TEST(test_formats)
{
	ck_assert(vm_format_known("raw") && vm_format_known("qcow2"));
	ck_assert(!vm_format_known("") && !vm_format_known("qcow") && !vm_format_known("vmdk"));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("vm-hardware");
	TCase *tcase = unit_counted_case("files");

	tcase_add_checked_fixture(tcase, start, finish);
	tcase_add_test(tcase, test_memory);
	tcase_add_test(tcase, test_memory_refused);
	tcase_add_test(tcase, test_disks);
	tcase_add_test(tcase, test_formats);
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
