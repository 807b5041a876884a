/* The writer of cpio archives: its bytes, and what does not fit. */
#include "shim/cpio.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/read_at.h"
#include "common/util.h"
#include "unit.h"

static struct provium_error error;

static struct cpio *create(int fd)
{
	struct cpio *cpio = cpio_create(fd, &error);

	ck_assert_ptr_nonnull(cpio);
	return cpio;
}

static int make_file(void)
{
	int fd = memfd_create("archive", MFD_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	return fd;
}

/* By the kernel's buffer-format.rst: 6 bytes of magic and 13 numbers, then the name and the data.
 */
START_TEST(layout)
{
	static const char wanted[] = "070701"
				     "00000001"
				     "000081a4"
				     "00000000"
				     "00000000"
				     "00000001"
				     "00000010"
				     "00000005"
				     "00000000"
				     "00000000"
				     "00000000"
				     "00000000"
				     "00000004"
				     "00000000"
				     "a/b\0"
				     "\0\0"
				     "12345\0\0\0"
				     "070701"
				     "00000002"
				     "0000a1ff"
				     "00000000"
				     "00000000"
				     "00000001"
				     "ffffffff"
				     "00000002"
				     "00000000"
				     "00000000"
				     "00000000"
				     "00000000"
				     "00000002"
				     "00000000"
				     "l\0"
				     "to\0\0"
				     "070701"
				     "00000000";
	const struct cpio_entry file = {
		.path = "/a/b", .mode = S_IFREG | 0644, .mtime = 16, .size = 5
	};
	/* Later than 32 bits hold. */
	const struct cpio_entry link = {
		.path = "/l", .mode = S_IFLNK | 0777, .mtime = INT64_MAX, .target = "to"
	};
	cleanup_close int fd = make_file();
	struct cpio *cpio = create(fd);
	char bytes[1024];

	ck_assert_int_eq(cpio_add(cpio, &file, &error), 0);
	ck_assert_int_eq(cpio_data(cpio, "12", 2, &error), 0);
	ck_assert_int_eq(cpio_data(cpio, "345", 3, &error), 0);
	ck_assert_int_eq(cpio_add(cpio, &link, &error), 0);
	ck_assert_int_eq(cpio_finish(cpio, &error), 0);
	ck_assert_int_eq(read_at(fd, bytes, sizeof(bytes), 0), CPIO_BLOCK);
	ck_assert_mem_eq(bytes, wanted, sizeof(wanted) - 1);
}
END_TEST

/* More than is written at once, and nothing that begins where that does. */
START_TEST(large)
{
	static uint8_t data[KIB(200) + 1];
	static uint8_t bytes[sizeof(data) + KIB(1)];
	cleanup_close int fd = make_file();
	struct cpio *cpio = create(fd);
	ssize_t size;

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 7 + i / 256);
	ck_assert_int_eq(cpio_add_bytes(cpio, "/data", 0600, data, sizeof(data), &error), 0);
	ck_assert_int_eq(cpio_finish(cpio, &error), 0);
	size = read_at(fd, bytes, sizeof(bytes), 0);
	ck_assert_int_eq(size % CPIO_BLOCK, 0);
	/* Behind 110 bytes and "data". */
	ck_assert_mem_eq(bytes + 116, data, sizeof(data));
}
END_TEST

/* Whatever comes next would be taken for the rest. */
START_TEST(too_short)
{
	const struct cpio_entry entry = { .path = "/a", .mode = S_IFREG | 0600, .size = 3 };
	cleanup_close int fd = make_file();
	struct cpio *cpio = create(fd);

	ck_assert_int_eq(cpio_add(cpio, &entry, &error), 0);
	ck_assert_int_eq(cpio_data(cpio, "12", 2, &error), 0);
	ck_assert_int_eq(cpio_add(cpio, &entry, &error), -1);
	ck_assert_ptr_nonnull(strstr(error.message, "lacks 1 bytes"));
	ck_assert_int_eq(cpio_finish(cpio, &error), -1);
	ck_assert_ptr_nonnull(strstr(error.message, "lacks 1 bytes"));
}
END_TEST

START_TEST(too_long)
{
	const struct cpio_entry entry = { .path = "/a", .mode = S_IFREG | 0600, .size = 3 };
	const struct cpio_entry huge = { .path = "/huge",
					 .mode = S_IFREG | 0600,
					 .size = (uint64_t)UINT32_MAX + 1 };
	cleanup_close int fd = make_file();
	struct cpio *cpio = create(fd);

	ck_assert_int_eq(cpio_add(cpio, &entry, &error), 0);
	ck_assert_int_eq(cpio_data(cpio, "1234", 4, &error), -1);
	ck_assert_ptr_nonnull(strstr(error.message, "longer"));
	ck_assert_int_eq(cpio_data(cpio, "123", 3, &error), 0);
	ck_assert_int_eq(cpio_add(cpio, &huge, &error), -1);
	ck_assert_ptr_nonnull(strstr(error.message, "4 GiB"));
	cpio_destroy(cpio);
}
END_TEST

START_TEST(full)
{
	cleanup_close int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
	struct cpio *cpio = create(fd);

	ck_assert_int_eq(cpio_finish(cpio, &error), -1);
	ck_assert_int_eq(error.code, PROVIUM_HOST);
	ck_assert_int_eq(error.os_errno, ENOSPC);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("shim-cpio");
	TCase *tcase = unit_counted_case("cpio");

	tcase_add_test(tcase, layout);
	tcase_add_test(tcase, large);
	tcase_add_test(tcase, too_short);
	tcase_add_test(tcase, too_long);
	tcase_add_test(tcase, full);
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
