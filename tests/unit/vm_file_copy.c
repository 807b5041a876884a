/* Files without a name, and copies: holes, file systems that can less, limits. */
#include "host/lib/file_copy.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/util.h"
#include "unit.h"

#define SIZE MIB(40)

/* What meson.build gives the names of the real ones, and what they do. */
int seam_ioctl(int fd, unsigned long request, ...);
ssize_t seam_copy_file_range(int in, off_t *in_at, int out, off_t *out_at, size_t size,
			     unsigned int flags);

static int clone_errno;
static int range_errno;
static unsigned int clones;
static unsigned int ranges;
/* Where copy_file_range is to make what readable. */
static int wake_fd;

static int from;
static int to;
static struct wait_limits limits;
static struct provium_error error;

int seam_ioctl(int fd, unsigned long request, ...)
{
	va_list arguments;
	int source;

	va_start(arguments, request);
	source = va_arg(arguments, int);
	va_end(arguments);
	ck_assert_uint_eq(request, FICLONE);
	ck_assert_int_eq(fd, to);
	ck_assert_int_eq(source, from);
	clones++;
	errno = clone_errno;
	return clone_errno ? -1 : 0;
}

ssize_t seam_copy_file_range(int in, off_t *in_at, int out, off_t *out_at, size_t size,
			     unsigned int flags)
{
	ranges++;
	if (wake_fd >= 0)
		ck_assert_int_eq(write(wake_fd, "x", 1), 1);
	errno = range_errno;
	if (range_errno)
		return -1;
	return syscall(SYS_copy_file_range, in, in_at, out, out_at, size, flags);
}

static void put(size_t at, size_t size, int byte)
{
	cleanup_free char *data = malloc(size);

	memset(data, byte, size);
	ck_assert_int_eq(pwrite(from, data, size, (off_t)at), (ssize_t)size);
}

static void start(void)
{
	from = memfd_create("from", MFD_CLOEXEC);
	to = memfd_create("to", MFD_CLOEXEC);
	ck_assert_int_ge(from, 0);
	ck_assert_int_ge(to, 0);
	clone_errno = EOPNOTSUPP;
	range_errno = 0;
	clones = ranges = 0;
	wake_fd = -1;
	limits = (struct wait_limits){ .deadline = deadline_after(30000), .cancel_fd = -1 };
	ck_assert_int_eq(ftruncate(from, SIZE), 0);
}

static void finish(void)
{
	close(from);
	close(to);
}

/* Blocks of 512 bytes that hold something. */
static uint64_t blocks_of(int fd)
{
	struct stat st;

	ck_assert_int_eq(fstat(fd, &st), 0);
	return (uint64_t)st.st_blocks;
}

static void check_same(void)
{
	struct stat st;
	char *a;
	char *b;

	ck_assert_int_eq(fstat(to, &st), 0);
	ck_assert_uint_eq((uint64_t)st.st_size, SIZE);
	a = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, from, 0);
	b = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, to, 0);
	ck_assert_int_eq(memcmp(a, b, SIZE), 0);
	munmap(a, SIZE);
	munmap(b, SIZE);
}

static int copy(void)
{
	return file_copy(from, to, SIZE, &limits, "a file", &error);
}

START_TEST(test_holes)
{
	put(KIB(8), KIB(12), 'a');
	put(MIB(20), MIB(1), 'b');
	put(SIZE - 1, 1, 'c');
	ck_assert_msg(copy() == 0, "%s", error.message);
	ck_assert_uint_eq(clones, 1);
	/* Reading it would fill the holes of a memfd. */
	ck_assert_uint_eq(blocks_of(to), blocks_of(from));
	ck_assert_uint_le(blocks_of(to), (MIB(1) + KIB(64)) / 512);
	check_same();
	ck_assert_int_eq(lseek(to, 0, SEEK_CUR), 0);
}
END_TEST

START_TEST(test_nothing_but_a_hole)
{
	ck_assert_int_eq(copy(), 0);
	ck_assert_uint_eq(blocks_of(to), 0);
	ck_assert_uint_eq(ranges, 0);
	check_same();
}
END_TEST

START_TEST(test_clone)
{
	put(0, KIB(4), 'a');
	clone_errno = 0;
	ck_assert_int_eq(copy(), 0);
	ck_assert_uint_eq(clones, 1);
	ck_assert_uint_eq(ranges, 0);
}
END_TEST

/* By reading and writing; what was written as zeroes becomes a hole. */
START_TEST(test_by_hand)
{
	static const int errnos[] = { EXDEV, EINVAL, ENOSYS, EOPNOTSUPP };

	range_errno = errnos[_i];
	put(KIB(8), KIB(12), 'a');
	put(MIB(1), MIB(2), 0);
	put(MIB(17), MIB(18) + 5, 'b');
	ck_assert_msg(copy() == 0, "%s", error.message);
	/* Asked once for each part that is no hole. */
	ck_assert_uint_eq(ranges, 3);
	ck_assert_uint_lt(blocks_of(to), blocks_of(from));
	check_same();
}
END_TEST

START_TEST(test_full)
{
	put(0, KIB(4), 'a');
	range_errno = ENOSPC;
	ck_assert_int_eq(copy(), -1);
	ck_assert_int_eq(error.code, PROVIUM_HOST);
	ck_assert_int_eq(error.os_errno, ENOSPC);
}
END_TEST

/* The source has become shorter. */
START_TEST(test_short)
{
	put(0, MIB(1), 'a');
	ck_assert_int_eq(ftruncate(from, MIB(1)), 0);
	/* What is behind the end is a hole. */
	ck_assert_int_eq(copy(), 0);
	ck_assert_int_eq(ftruncate(from, SIZE), 0);
	check_same();
}
END_TEST

START_TEST(test_limits)
{
	int pair[2];

	put(0, SIZE, 'a');
	ck_assert_int_eq(pipe(pair), 0);
	limits.cancel_fd = pair[0];
	wake_fd = pair[1];
	ck_assert_int_eq(copy(), -1);
	ck_assert_int_eq(error.code, PROVIUM_CANCELLED);
	/* Not at the end only. */
	ck_assert_uint_eq(ranges, 1);
	close(pair[0]);
	close(pair[1]);

	limits.cancel_fd = -1;
	wake_fd = -1;
	limits.deadline = deadline_after(0);
	ck_assert_int_eq(copy(), -1);
	ck_assert_int_eq(error.code, PROVIUM_TIMED_OUT);
	ck_assert_uint_eq(ranges, 2);

	limits.deadline = deadline_after(PROVIUM_FOREVER);
	ck_assert_int_eq(copy(), 0);
	check_same();
}
END_TEST

START_TEST(test_nameless)
{
	const char *base = getenv("TMPDIR");
	char directory[64];
	struct stat st;
	int fd;

	snprintf(directory, sizeof(directory), "%s/file-copy-XXXXXX", base ? base : "/tmp");
	ck_assert_ptr_nonnull(mkdtemp(directory));
	fd = file_make_nameless(directory, &error);
	ck_assert_msg(fd >= 0, "%s", error.message);
	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_uint_eq(st.st_nlink, 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0600);
	ck_assert_int_eq(write(fd, "x", 1), 1);
	ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
	/* Takes no directory that is not empty. */
	ck_assert_int_eq(rmdir(directory), 0);
	close(fd);

	ck_assert_int_eq(file_make_nameless(directory, &error), -1);
	ck_assert_int_eq(error.os_errno, ENOENT);
	ck_assert_ptr_nonnull(strstr(error.message, directory));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("vm-file-copy");
	TCase *tcase = unit_counted_case("copy");

	tcase_add_checked_fixture(tcase, start, finish);
	tcase_set_timeout(tcase, 60);
	tcase_add_test(tcase, test_holes);
	tcase_add_test(tcase, test_nothing_but_a_hole);
	tcase_add_test(tcase, test_clone);
	tcase_add_loop_test(tcase, test_by_hand, 0, 4);
	tcase_add_test(tcase, test_full);
	tcase_add_test(tcase, test_short);
	tcase_add_test(tcase, test_limits);
	tcase_add_test(tcase, test_nameless);
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
