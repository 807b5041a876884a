/* The kernel's vhost-vsock through its seam: no device is needed, and none is touched. */
#include "host/lib/vm_vsock.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "unit.h"

static int open_errno;
static int set_errno;
static int random_errno;
/* So many CIDs are in use. */
static int taken;
static int attempts;
static uint64_t last_cid;
static uint32_t next_random;

static void start(void)
{
	open_errno = 0;
	set_errno = 0;
	random_errno = 0;
	taken = 0;
	attempts = 0;
	next_random = 1000;
}

static int fake_open(void)
{
	if (open_errno) {
		errno = open_errno;
		return -1;
	}
	return open("/dev/null", O_RDWR | O_CLOEXEC);
}

static int fake_set_cid(int fd, uint64_t cid)
{
	ck_assert_int_ge(fd, 0);
	attempts++;
	last_cid = cid;
	if (set_errno || attempts <= taken) {
		errno = set_errno ? set_errno : EADDRINUSE;
		return -1;
	}
	return 0;
}

static int fake_random(uint32_t *number)
{
	if (random_errno) {
		errno = random_errno;
		return -1;
	}
	*number = next_random++;
	return 0;
}

static const struct vm_vhost_ops ops = {
	.open = fake_open,
	.set_cid = fake_set_cid,
	.random = fake_random,
};

START_TEST(test_first)
{
	struct provium_error error;
	uint32_t cid;
	int fd = vm_vhost_open(&ops, &cid, &error);

	ck_assert_int_ge(fd, 0);
	ck_assert_uint_eq(cid, 1003);
	ck_assert_uint_eq(last_cid, cid);
	close(fd);
}
END_TEST

START_TEST(test_in_use)
{
	struct provium_error error;
	uint32_t cid;
	int fd;

	taken = 63;
	fd = vm_vhost_open(&ops, &cid, &error);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(attempts, 64);
	ck_assert_uint_eq(cid, 1003 + 63);
	close(fd);
}
END_TEST

START_TEST(test_all_in_use)
{
	struct provium_error error;
	uint32_t cid;

	taken = 64;
	ck_assert_int_eq(vm_vhost_open(&ops, &cid, &error), -1);
	ck_assert_int_eq(error.os_errno, EADDRINUSE);
	ck_assert_int_eq(attempts, 64);
}
END_TEST

/* Whatever the random number, no reserved CID (vsock(7)) is tried. */
START_TEST(test_range)
{
	static const uint32_t numbers[] = { 0, 1, 0x7fffffef, 0x7ffffff0, 0xfffffffe, 0xffffffff };
	struct provium_error error;
	uint32_t cid;

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		int fd;

		next_random = numbers[i];
		fd = vm_vhost_open(&ops, &cid, &error);
		ck_assert_int_ge(fd, 0);
		ck_assert_uint_ge(cid, 3);
		ck_assert_uint_le(cid, 0x7fffffff);
		close(fd);
	}
}
END_TEST

START_TEST(test_failures)
{
	struct provium_error error;
	uint32_t cid;

	open_errno = EACCES;
	ck_assert_int_eq(vm_vhost_open(&ops, &cid, &error), -1);
	ck_assert_int_eq(error.code, PROVIUM_HOST);
	ck_assert_int_eq(error.os_errno, EACCES);
	ck_assert_ptr_nonnull(strstr(error.message, "/dev/vhost-vsock"));

	open_errno = 0;
	set_errno = ENOTTY;
	ck_assert_int_eq(vm_vhost_open(&ops, &cid, &error), -1);
	ck_assert_int_eq(error.os_errno, ENOTTY);
	ck_assert_int_eq(attempts, 1);

	random_errno = ENOSYS;
	ck_assert_int_eq(vm_vhost_open(&ops, &cid, &error), -1);
	ck_assert_int_eq(error.os_errno, ENOSYS);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("vm-vsock");
	TCase *tcase = unit_counted_case("vhost-vsock");

	tcase_add_checked_fixture(tcase, start, NULL);
	tcase_add_test(tcase, test_first);
	tcase_add_test(tcase, test_in_use);
	tcase_add_test(tcase, test_all_in_use);
	tcase_add_test(tcase, test_range);
	tcase_add_test(tcase, test_failures);
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
