/* The agent as the shim brings it: whole, and damaged in every way. */
#include "wrapper/unpack.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <lz4.h>

#include "common/boot.h"
#include "common/util.h"
#include "unit.h"

static char directory[64];
static const char packed[] = "packed", program[] = "program";

static uint8_t content[KIB(20)];
static uint8_t file[BOOT_PACKED_HEADER + LZ4_COMPRESSBOUND(sizeof(content))];
static size_t file_size;

static void put(const void *data, size_t size)
{
	int fd = open(packed, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, data, size), (ssize_t)size);
	close(fd);
}

static void set_size(uint32_t size)
{
	for (int i = 0; i < BOOT_PACKED_HEADER; i++)
		file[i] = (uint8_t)(size >> 8 * i);
}

static void start(void)
{
	int count;

	strcpy(directory, "/tmp/unpack-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(directory));
	ck_assert_int_eq(chdir(directory), 0);
	/* Neither all alike nor without repetition. */
	for (size_t i = 0; i < sizeof(content); i++)
		content[i] = (uint8_t)(i * i >> 5);
	count = LZ4_compress_default((const char *)content, (char *)file + BOOT_PACKED_HEADER,
				     sizeof(content), sizeof(file) - BOOT_PACKED_HEADER);
	ck_assert_int_gt(count, 0);
	ck_assert_int_lt(count, sizeof(content));
	file_size = BOOT_PACKED_HEADER + (size_t)count;
	set_size(sizeof(content));
}

static void finish(void)
{
	unlink(packed);
	unlink(program);
	ck_assert_int_eq(chdir("/"), 0);
	ck_assert_int_eq(rmdir(directory), 0);
}

static void expect_program(const void *data, size_t size)
{
	static uint8_t found[sizeof(content) + 1];
	int fd = open(program, O_RDONLY | O_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(read(fd, found, sizeof(found)), (ssize_t)size);
	ck_assert_mem_eq(found, data, size);
	close(fd);
}

static void expect_damaged(int error)
{
	ck_assert_int_eq(unpack(packed, program), error);
	ck_assert_int_ne(access(program, F_OK), 0);
}

START_TEST(whole)
{
	struct stat status;

	put(file, file_size);
	ck_assert_int_eq(unpack(packed, program), 0);
	expect_program(content, sizeof(content));
	ck_assert_int_eq(stat(program, &status), 0);
	ck_assert_uint_eq(status.st_mode & 0777, 0755);
	/* Once is enough. */
	ck_assert_int_eq(unpack(packed, program), 0);
}
END_TEST

START_TEST(of_ones_own)
{
	int fd = open(program, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);

	ck_assert_int_eq(write(fd, "mine", 4), 4);
	close(fd);
	put(file, file_size);
	ck_assert_int_eq(unpack(packed, program), 0);
	expect_program("mine", 4);
}
END_TEST

START_TEST(cut_at_every_byte)
{
	for (size_t size = 0; size < file_size; size++) {
		put(file, size);
		expect_damaged(EBADMSG);
	}
}
END_TEST

START_TEST(more_than_the_block)
{
	file[file_size] = 0;
	put(file, file_size + 1);
	expect_damaged(EBADMSG);
}
END_TEST

/* What was packed may have become another program of the same size; it is never written outside. */
START_TEST(each_byte_changed)
{
	for (size_t at = BOOT_PACKED_HEADER; at < file_size; at++) {
		int error;

		file[at] ^= 0x55;
		put(file, file_size);
		error = unpack(packed, program);
		ck_assert(error == 0 || error == EBADMSG);
		unlink(program);
		file[at] ^= 0x55;
	}
}
END_TEST

START_TEST(another_size)
{
	static const struct {
		uint32_t size;
		int error;
	} cases[] = {
		{ 0, EFBIG },
		{ 1, EBADMSG },
		{ sizeof(content) - 1, EBADMSG },
		{ sizeof(content) + 1, EBADMSG },
		{ BOOT_AGENT_MAX, EBADMSG },
		{ BOOT_AGENT_MAX + 1, EFBIG },
		{ UINT32_MAX, EFBIG },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		set_size(cases[i].size);
		put(file, file_size);
		expect_damaged(cases[i].error);
	}
}
END_TEST

START_TEST(too_long)
{
	put(file, file_size);
	ck_assert_int_eq(truncate(packed, (off_t)BOOT_AGENT_MAX * 2), 0);
	expect_damaged(EFBIG);
}
END_TEST

START_TEST(no_place_for_it)
{
	put(file, file_size);
	ck_assert_int_eq(unpack(packed, "none/program"), ENOENT);
	ck_assert_int_eq(access(packed, F_OK), 0);
}
END_TEST

static Suite *unpack_suite(void)
{
	Suite *suite = suite_create("unpack");
	TCase *tcase = tcase_create("unpack");

	tcase_add_checked_fixture(tcase, start, finish);
	tcase_add_test(tcase, whole);
	tcase_add_test(tcase, of_ones_own);
	tcase_add_test(tcase, cut_at_every_byte);
	tcase_add_test(tcase, more_than_the_block);
	tcase_add_test(tcase, each_byte_changed);
	tcase_add_test(tcase, another_size);
	tcase_add_test(tcase, too_long);
	tcase_add_test(tcase, no_place_for_it);
	tcase_set_timeout(tcase, 60);
	suite_add_tcase(suite, tcase);
	return suite;
}

int main(void)
{
	return unit_run(unpack_suite());
}
