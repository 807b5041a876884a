/* An initramfs that the kernel can read is told from all else, and what it is instead is named. */
#include "shim/initrd.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/util.h"
#include "unit.h"

/* An archive with nothing in it: its end alone. In the second line the size, in the third the
 * name's. */
static const char empty_cpio[] = "070701"
				 "00000000000000000000000000000000"
				 "00000001000000000000000000000000"
				 "0000000000000000000000000000000b"
				 "00000000"
				 "TRAILER!!!\0\0\0";
#define EMPTY_CPIO_SIZE 124

/* One file, "abc", of 5 bytes. */
static const char file_cpio[] = "070701"
				"00000001000081a40000000000000000"
				"00000001000000000000000500000000"
				"00000000000000000000000000000004"
				"00000000"
				"abc\0\0\0hello\0\0\0";
#define FILE_CPIO_SIZE 124

static_assert(sizeof(empty_cpio) == EMPTY_CPIO_SIZE, "with its last NUL");
static_assert(sizeof(file_cpio) == FILE_CPIO_SIZE + 1, "without it");

/* The empty archive, compressed. */
static const unsigned char gzip[] = {
	0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x03, 0x33, 0x30,
	0x37, 0x30, 0x37, 0x30, 0x34, 0x20, 0x0e, 0x10, 0xab, 0x0e, 0x1d, 0x38,
	0xc1, 0x18, 0x21, 0x41, 0x8e, 0x9e, 0x3e, 0xae, 0x41, 0x8a, 0x8a, 0x8a,
	0x0c, 0x40, 0x00, 0x00, 0x4e, 0xe5, 0x09, 0x37, 0x7c, 0x00, 0x00, 0x00,
};

static const unsigned char xz_crc32[] = {
	0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00, 0x00, 0x01, 0x69, 0x22, 0xde, 0x36, 0x02, 0x00,
	0x21, 0x01, 0x16, 0x00, 0x00, 0x00, 0x74, 0x2f, 0xe5, 0xa3, 0xe0, 0x00, 0x7b, 0x00,
	0x1c, 0x5d, 0x00, 0x18, 0x0d, 0xdd, 0x04, 0x63, 0x9d, 0x8a, 0x40, 0x5a, 0x31, 0xe4,
	0xcb, 0x7b, 0x1c, 0xc7, 0xc9, 0xc0, 0xef, 0x91, 0x37, 0x4e, 0x01, 0x5d, 0xbd, 0xd5,
	0x71, 0xc8, 0x00, 0x00, 0x4e, 0xe5, 0x09, 0x37, 0x00, 0x01, 0x34, 0x7c, 0xcb, 0x7b,
	0x1f, 0xc2, 0x90, 0x42, 0x99, 0x0d, 0x01, 0x00, 0x00, 0x00, 0x00, 0x01, 0x59, 0x5a,
};

static const unsigned char xz_crc64[] = {
	0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00, 0x00, 0x04, 0xe6, 0xd6, 0xb4, 0x46, 0x02, 0x00, 0x21,
	0x01, 0x16, 0x00, 0x00, 0x00, 0x74, 0x2f, 0xe5, 0xa3, 0xe0, 0x00, 0x7b, 0x00, 0x1c, 0x5d,
	0x00, 0x18, 0x0d, 0xdd, 0x04, 0x63, 0x9d, 0x8a, 0x40, 0x5a, 0x31, 0xe4, 0xcb, 0x7b, 0x1c,
	0xc7, 0xc9, 0xc0, 0xef, 0x91, 0x37, 0x4e, 0x01, 0x5d, 0xbd, 0xd5, 0x71, 0xc8, 0x00, 0x00,
	0x34, 0x7e, 0xf7, 0x34, 0xf5, 0x2f, 0x97, 0x76, 0x00, 0x01, 0x38, 0x7c, 0xc7, 0x34, 0xaa,
	0x6e, 0x1f, 0xb6, 0xf3, 0x7d, 0x01, 0x00, 0x00, 0x00, 0x00, 0x04, 0x59, 0x5a,
};

static const unsigned char zstd[] = {
	0x28, 0xb5, 0x2f, 0xfd, 0x04, 0x58, 0x1d, 0x01, 0x00, 0xb8, 0x30, 0x37,
	0x30, 0x37, 0x30, 0x31, 0x30, 0x42, 0x30, 0x54, 0x52, 0x41, 0x49, 0x4c,
	0x45, 0x52, 0x21, 0x21, 0x21, 0x00, 0x00, 0x00, 0x00, 0x04, 0x00, 0x20,
	0x43, 0x80, 0xc4, 0xa5, 0x4a, 0xf0, 0x01, 0x46, 0x95, 0xfb, 0x16, 0x6d,
};

static const unsigned char lz4[] = {
	0x02, 0x21, 0x4c, 0x18, 0x25, 0x00, 0x00, 0x00, 0x7f, 0x30, 0x37, 0x30, 0x37, 0x30, 0x31,
	0x30, 0x01, 0x00, 0x13, 0x0f, 0x28, 0x00, 0x15, 0x0c, 0x02, 0x00, 0x14, 0x42, 0x11, 0x00,
	0xe0, 0x54, 0x52, 0x41, 0x49, 0x4c, 0x45, 0x52, 0x21, 0x21, 0x21, 0x00, 0x00, 0x00, 0x00,
};

static const unsigned char lz4_frame[] = {
	0x04, 0x22, 0x4d, 0x18, 0x64, 0x40, 0xa7, 0x25, 0x00, 0x00, 0x00, 0x7f, 0x30, 0x37,
	0x30, 0x37, 0x30, 0x31, 0x30, 0x01, 0x00, 0x13, 0x0f, 0x28, 0x00, 0x15, 0x0c, 0x02,
	0x00, 0x14, 0x42, 0x11, 0x00, 0xe0, 0x54, 0x52, 0x41, 0x49, 0x4c, 0x45, 0x52, 0x21,
	0x21, 0x21, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x9f, 0xbf, 0xff, 0x4e,
};

static const unsigned char bzip2[] = {
	0x42, 0x5a, 0x68, 0x39, 0x31, 0x41, 0x59, 0x26, 0x53, 0x59, 0x12, 0x3c, 0x9e, 0xb3,
	0x00, 0x00, 0x0c, 0x5e, 0x00, 0x44, 0x00, 0x28, 0x00, 0x68, 0x80, 0x32, 0x24, 0x14,
	0x00, 0x20, 0x00, 0x31, 0x4c, 0x00, 0x00, 0xd3, 0x28, 0x0d, 0x0f, 0x48, 0x88, 0x17,
	0x41, 0xa8, 0x8e, 0x68, 0x21, 0x24, 0xe5, 0x6c, 0xc6, 0x65, 0xf5, 0xba, 0xaf, 0x8b,
	0xb9, 0x22, 0x9c, 0x28, 0x48, 0x09, 0x1e, 0x4f, 0x59, 0x80,
};

static const unsigned char lzma[] = {
	0x5d, 0x00, 0x00, 0x80, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
	0xff, 0x00, 0x18, 0x0d, 0xdd, 0x04, 0x63, 0x9d, 0x8a, 0x40, 0x5a, 0x31,
	0xe4, 0xcb, 0x7b, 0x1c, 0xc7, 0xc9, 0xc0, 0xef, 0x91, 0x37, 0x4e, 0x01,
	0x5d, 0xbd, 0xd6, 0x6f, 0x7f, 0x9b, 0xff, 0xff, 0x89, 0x23, 0x80, 0x00,
};

struct bytes {
	const void *data;
	size_t size;
};

#define BYTES(array)                   \
	{                              \
		(array), sizeof(array) \
	}
#define TEXT(text)                       \
	{                                \
		(text), sizeof(text) - 1 \
	}
#define EMPTY                               \
	{                                   \
		empty_cpio, EMPTY_CPIO_SIZE \
	}
#define FILE_ENTRY                        \
	{                                 \
		file_cpio, FILE_CPIO_SIZE \
	}

static struct provium_error error;

static int check_fd(int fd, uint64_t size)
{
	memset(&error, 0, sizeof(error));
	return initrd_check(fd, "image", size, NULL, &error);
}

/* Checks what the parts, one behind the other, are. */
static int check_parts(const struct bytes *parts, size_t count)
{
	cleanup_close int fd = memfd_create("initrd", MFD_CLOEXEC);
	uint64_t size = 0;

	for (size_t i = 0; i < count; i++) {
		ck_assert_int_eq(write(fd, parts[i].data, parts[i].size), (ssize_t)parts[i].size);
		size += parts[i].size;
	}
	return check_fd(fd, size);
}

static void assert_refused(int result, const char *text)
{
	ck_assert_int_eq(result, -1);
	ck_assert_int_eq(error.code, PROVIUM_INVALID);
	ck_assert_msg(strstr(error.message, text), "'%s' is not in: %s", text, error.message);
	ck_assert_ptr_nonnull(strstr(error.message, "image"));
}

static const struct {
	struct bytes parts[4];
} good[] = {
	{ { EMPTY } },
	{ { FILE_ENTRY, EMPTY } },
	{ { BYTES(gzip) } },
	{ { BYTES(xz_crc32) } },
	{ { BYTES(zstd) } },
	{ { BYTES(lz4) } },
	{ { BYTES(bzip2) } },
	{ { BYTES(lzma) } },
	/* Microcode first, then the rest; zeros before, between and behind. */
	{ { FILE_ENTRY, EMPTY, TEXT("\0\0\0\0\0\0\0\0"), BYTES(zstd) } },
	{ { TEXT("\0\0\0\0"), EMPTY, FILE_ENTRY, EMPTY } },
	{ { EMPTY, TEXT("\0"), BYTES(gzip) } },
	{ { EMPTY, TEXT("\0\0\0\0\0") } },
	/* Small compressed parts, one behind the other. */
	{ { BYTES(xz_crc32), TEXT("\0\0\0\0"), BYTES(zstd) } },
	{ { BYTES(zstd), TEXT("\0\0\0\0"), EMPTY } },
	{ { BYTES(lz4), TEXT("\0\0\0\0\0\0\0"), EMPTY } },
	/* What is behind something compressed is not looked at. */
	{ { BYTES(gzip), TEXT("whatever") } },
};

START_TEST(accepts)
{
	ck_assert_msg(check_parts(good[_i].parts, 4) == 0, "%s", error.message);
}
END_TEST

START_TEST(last_padding_may_be_missing)
{
	const struct bytes part = { empty_cpio, 121 };

	ck_assert_msg(check_parts(&part, 1) == 0, "%s", error.message);
}
END_TEST

static const struct {
	struct bytes parts[3];
	const char *text;
} bad[] = {
	{ { TEXT("") }, "is empty" },
	{ { TEXT("\0\0\0\0\0\0\0\0") }, "is empty" },
	{ { BYTES(xz_crc64) }, "--check=crc32" },
	{ { BYTES(lz4_frame) }, "lz4 -l" },
	{ { TEXT("\x89LZO\0\r\n\x1a\n") }, "lzo" },
	{ { TEXT("0707070000010000020000030000") }, "odc" },
	{ { TEXT("\xc7\x71\0\0") }, "old binary format" },
	{ { TEXT("\x7f"
		 "ELF\2\1\1") },
	  "an ELF file" },
	{ { TEXT("QFI\xfb\0\0\0\3") }, "qcow2" },
	{ { TEXT("hsqs....") }, "squashfs" },
	{ { TEXT("#!/bin/sh\n") }, "a script" },
	{ { TEXT("PK\3\4....") }, "zip" },
	{ { TEXT("root:x:0:0") }, "beginning with 72 6f 6f 74 3a 78 3a 30;" },
	{ { TEXT("x") }, "beginning with 78;" },
	/* The place of what is wrong is told. */
	{ { EMPTY, TEXT("\0\0\0\0\0\0\0\0oops") }, "at byte 132" },
	{ { FILE_ENTRY, TEXT("oops") }, "at byte 124: the cpio archive is cut off" },
	/* An archive that is not at a multiple of four is none to the kernel. */
	{ { TEXT("\0\0"), EMPTY }, "at byte 2" },
	/* Compressions of something else, or of nothing. */
	{ { TEXT("\x1f\x8b\x08\0garbage, garbage, garbage") }, "cannot decompress (gzip)" },
	{ { TEXT("\x1f\x8b\x08") }, "cannot decompress (gzip)" },
	{ { TEXT("\x1f\x8b") }, "beginning with 1f 8b" },
	{ { BYTES(xz_crc32), TEXT("oops") }, "cannot decompress (xz)" },
	{ { TEXT("\x28\xb5\x2f\xfd") }, "(zstd)" },
	{ { TEXT("\x02\x21\x4c\x18") }, "(lz4)" },
};

START_TEST(refuses)
{
	assert_refused(check_parts(bad[_i].parts, 3), bad[_i].text);
}
END_TEST

/* What is compressed must be an archive: gzip of "hello, hello, hello". */
START_TEST(compressed_text)
{
	static const unsigned char text[] = { 0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00,
					      0x02, 0x03, 0xcb, 0x48, 0xcd, 0xc9, 0xc9, 0xd7,
					      0x51, 0xc8, 0x40, 0xa2, 0x00, 0x9f, 0xa1, 0xca,
					      0x09, 0x13, 0x00, 0x00, 0x00 };
	const struct bytes part = BYTES(text);

	assert_refused(check_parts(&part, 1), "not a cpio archive");
}
END_TEST

START_TEST(cut_everywhere)
{
	for (size_t cut = 1; cut < FILE_CPIO_SIZE + 121; cut++) {
		const struct bytes whole[] = { FILE_ENTRY, EMPTY };
		const struct bytes parts[] = {
			{ whole[0].data, MIN(cut, (size_t)FILE_CPIO_SIZE) },
			{ whole[1].data, cut - MIN(cut, (size_t)FILE_CPIO_SIZE) },
		};

		ck_assert_msg(check_parts(parts, 2) == -1, "cut at %zu", cut);
		ck_assert_int_eq(error.code, PROVIUM_INVALID);
	}
}
END_TEST

/* The digits of a header's sizes, in turn, as large as they can be, and as none. */
START_TEST(damaged_headers)
{
	static const size_t fields[] = { 54, 94 };
	static const char *const values[] = { "ffffffff", "7fffffff", "80000000",
					      "0000000g", "-0000001", "00100000" };

	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		for (size_t j = 0; j < ARRAY_SIZE(values); j++) {
			char header[FILE_CPIO_SIZE];
			const struct bytes parts[] = { BYTES(header), EMPTY };

			memcpy(header, file_cpio, sizeof(header));
			memcpy(header + fields[i], values[j], 8);
			ck_assert_msg(check_parts(parts, 2) == -1, "%zu %zu", i, j);
			ck_assert_int_eq(error.code, PROVIUM_INVALID);
		}
	}
}
END_TEST

/* A large file in the image is stepped over, not read. */
START_TEST(large_hole)
{
	cleanup_close int fd = memfd_create("initrd", MFD_CLOEXEC);
	const uint64_t body = UINT64_C(3) << 30;
	char header[FILE_CPIO_SIZE];

	memcpy(header, file_cpio, sizeof(header));
	memcpy(header + 54, "c0000000", 8);
	ck_assert_int_eq(write(fd, header, 116), 116);
	ck_assert_int_eq(pwrite(fd, empty_cpio, EMPTY_CPIO_SIZE, (off_t)(116 + body)),
			 EMPTY_CPIO_SIZE);
	ck_assert_msg(check_fd(fd, 116 + body + EMPTY_CPIO_SIZE) == 0, "%s", error.message);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("shim-initrd");
	TCase *tests = unit_counted_case("initrd");

	tcase_add_loop_test(tests, accepts, 0, (int)ARRAY_SIZE(good));
	tcase_add_loop_test(tests, refuses, 0, (int)ARRAY_SIZE(bad));
	tcase_add_test(tests, last_padding_may_be_missing);
	tcase_add_test(tests, compressed_text);
	tcase_add_test(tests, cut_everywhere);
	tcase_add_test(tests, damaged_headers);
	tcase_add_test(tests, large_hole);
	suite_add_tcase(suite, tests);
	return unit_run(suite);
}
