/* Kernel images, and the many things that are none. */
#include "host/lib/vm_kernel.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "unit.h"

static char directory[64];
static char path[96];

static void start(void)
{
	const char *base = getenv("TMPDIR");

	snprintf(directory, sizeof(directory), "%s/vm-kernel-XXXXXX", base ? base : "/tmp");
	ck_assert_ptr_nonnull(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/kernel", directory);
}

static void finish(void)
{
	unlink(path);
	ck_assert_int_eq(rmdir(directory), 0);
}

static void put(const void *data, size_t size)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, data, size), (ssize_t)size);
	close(fd);
}

static void check_refused(enum provium_code code, const char *message)
{
	struct provium_error error = { 0 };
	struct vm_kernel kernel;

	ck_assert_int_eq(vm_kernel_check(path, &kernel, &error), -1);
	ck_assert_int_eq(error.code, code);
	ck_assert_msg(strstr(error.message, message), "%s", error.message);
	ck_assert_ptr_nonnull(strstr(error.message, path));
}

#define IMAGE_SIZE (5 * 512 + 64)

/* The fields of Documentation/arch/x86/boot.rst that count. */
static void make_bzimage(uint8_t *image)
{
	memset(image, 0, IMAGE_SIZE);
	image[0x1f1] = 4;
	image[0x1f4] = 4;
	image[0x1fe] = 0x55;
	image[0x1ff] = 0xaa;
	memcpy(image + 0x202, "HdrS", 4);
	image[0x206] = 0x0f;
	image[0x207] = 0x02;
	image[0x236] = 0x01;
	image[0x238] = 0xff;
	image[0x239] = 0x07;
}

START_TEST(test_bzimage)
{
	uint8_t image[IMAGE_SIZE];
	struct provium_error error;
	struct vm_kernel kernel;

	make_bzimage(image);
	put(image, sizeof(image));
	ck_assert_int_eq(vm_kernel_check(path, &kernel, &error), 0);
	ck_assert_uint_eq(kernel.command_line_limit, 2047);

	/* A command line that is shorter. */
	image[0x239] = 0;
	put(image, sizeof(image));
	ck_assert_int_eq(vm_kernel_check(path, &kernel, &error), 0);
	ck_assert_uint_eq(kernel.command_line_limit, 255);

	/* It says more than any kernel for x86 takes. */
	memset(image + 0x238, 0xff, 4);
	put(image, sizeof(image));
	ck_assert_int_eq(vm_kernel_check(path, &kernel, &error), 0);
	ck_assert_uint_eq(kernel.command_line_limit, 2047);
}
END_TEST

START_TEST(test_not_64_bit)
{
	uint8_t image[IMAGE_SIZE];

	make_bzimage(image);
	image[0x236] = 0;
	put(image, sizeof(image));
	check_refused(PROVIUM_INVALID, "not a 64-bit one");

	make_bzimage(image);
	image[0x206] = 0x0b;
	put(image, sizeof(image));
	check_refused(PROVIUM_INVALID, "not a 64-bit one");
}
END_TEST

/* At every length: the file is refused, and never read behind its end. */
START_TEST(test_cut)
{
	uint8_t image[IMAGE_SIZE];

	make_bzimage(image);
	for (size_t size = 1; size < IMAGE_SIZE - 15; size += 7) {
		put(image, size);
		check_refused(PROVIUM_INVALID,
			      size < 0x268 ? "is not a kernel image" : "is cut short");
	}
}
END_TEST

static size_t make_elf(uint8_t *image, uint32_t note_type)
{
	static const char name[] = "Xen";
	Elf64_Ehdr elf = {
		.e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB },
		.e_machine = EM_X86_64,
		.e_phoff = sizeof(elf),
		.e_phentsize = sizeof(Elf64_Phdr),
		.e_phnum = 2,
	};
	Elf64_Phdr programs[2] = {
		{ .p_type = PT_LOAD },
		{ .p_type = PT_NOTE },
	};
	Elf64_Nhdr notes[2] = {
		{ .n_namesz = 4, .n_descsz = 3, .n_type = 1 },
		{ .n_namesz = 4, .n_descsz = 8, .n_type = note_type },
	};
	size_t at = sizeof(elf) + sizeof(programs);

	programs[1].p_offset = at;
	programs[1].p_filesz = 2 * sizeof(notes[0]) + 4 + 4 + 4 + 8;
	memset(image, 0, 1024);
	memcpy(image, &elf, sizeof(elf));
	memcpy(image + sizeof(elf), programs, sizeof(programs));
	memcpy(image + at, &notes[0], sizeof(notes[0]));
	at += sizeof(notes[0]);
	memcpy(image + at, "GNU", 4);
	at += 8;
	memcpy(image + at, &notes[1], sizeof(notes[1]));
	at += sizeof(notes[1]);
	memcpy(image + at, name, sizeof(name));
	return at + 12;
}

START_TEST(test_elf)
{
	struct provium_error error;
	struct vm_kernel kernel;
	uint8_t image[1024];
	size_t size = make_elf(image, 18);

	put(image, size);
	ck_assert_int_eq(vm_kernel_check(path, &kernel, &error), 0);
	ck_assert_uint_eq(kernel.command_line_limit, 2047);

	size = make_elf(image, 17);
	put(image, size);
	check_refused(PROVIUM_INVALID, "CONFIG_PVH");

	image[offsetof(Elf64_Ehdr, e_machine)] = EM_AARCH64;
	put(image, size);
	check_refused(PROVIUM_INVALID, "not a kernel for x86-64");
}
END_TEST

/* Sizes and offsets that lie, and every cut. */
START_TEST(test_bad_elf)
{
	uint8_t image[1024];
	size_t size = make_elf(image, 18);
	size_t note = sizeof(Elf64_Ehdr) + 2 * sizeof(Elf64_Phdr);
	size_t program = sizeof(Elf64_Ehdr) + sizeof(Elf64_Phdr);

	for (size_t cut = sizeof(Elf64_Ehdr); cut < size - 12; cut++) {
		put(image, cut);
		check_refused(PROVIUM_INVALID, "CONFIG_PVH");
	}
	memset(image + note, 0xff, 8);
	put(image, size);
	check_refused(PROVIUM_INVALID, "CONFIG_PVH");

	make_elf(image, 18);
	memset(image + program + offsetof(Elf64_Phdr, p_offset), 0xff, 8);
	put(image, size);
	check_refused(PROVIUM_INVALID, "CONFIG_PVH");

	make_elf(image, 18);
	memset(image + offsetof(Elf64_Ehdr, e_phoff), 0xff, 8);
	put(image, size);
	check_refused(PROVIUM_INVALID, "not a kernel for x86-64");
}
END_TEST

START_TEST(test_other_kinds)
{
	char image[64] = "";

	put("\x1f\x8b\x08", 3);
	check_refused(PROVIUM_INVALID, "gzip data");
	put("\x28\xb5\x2f\xfd", 4);
	check_refused(PROVIUM_INVALID, "zstd data");
	put("\xfd"
	    "7zXZ",
	    6);
	check_refused(PROVIUM_INVALID, "xz data");
	put("070701", 6);
	check_refused(PROVIUM_INVALID, "an initramfs");
	memcpy(image + 56, "ARM\x64", 4);
	put(image, sizeof(image));
	check_refused(PROVIUM_INVALID, "a kernel for arm64");
	put("#!/bin/sh\n", 10);
	check_refused(PROVIUM_INVALID, "is not a kernel image for x86-64");
}
END_TEST

START_TEST(test_files)
{
	struct provium_error error;
	struct vm_kernel kernel;

	check_refused(PROVIUM_HOST, strerror(ENOENT));
	put("", 0);
	check_refused(PROVIUM_INVALID, "is empty");
	unlink(path);
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	check_refused(PROVIUM_INVALID, "not a regular file");
	unlink(path);
	ck_assert_int_eq(mkdir(path, 0700), 0);
	check_refused(PROVIUM_INVALID, "is a directory");
	rmdir(path);

	ck_assert_int_eq(vm_kernel_check(NULL, &kernel, &error), -1);
	ck_assert_int_eq(error.code, PROVIUM_INVALID);
}
END_TEST

START_TEST(test_permission)
{
	/* Root may read anything: as somebody else then. */
	put("x", 1);
	ck_assert_int_eq(chmod(path, 0), 0);
	if (geteuid() == 0) {
		ck_assert_int_eq(chmod(directory, 0711), 0);
		ck_assert_int_eq(seteuid(65534), 0);
	}
	check_refused(PROVIUM_HOST, strerror(EACCES));
	if (getuid() == 0)
		ck_assert_int_eq(seteuid(0), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("vm-kernel");
	TCase *tcase = unit_counted_case("kernel");

	tcase_add_checked_fixture(tcase, start, finish);
	tcase_add_test(tcase, test_bzimage);
	tcase_add_test(tcase, test_not_64_bit);
	tcase_add_test(tcase, test_cut);
	tcase_add_test(tcase, test_elf);
	tcase_add_test(tcase, test_bad_elf);
	tcase_add_test(tcase, test_other_kinds);
	tcase_add_test(tcase, test_files);
	tcase_add_test(tcase, test_permission);
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
