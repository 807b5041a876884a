/*
 * Judging a kernel image.
 *
 * QEMU's own messages about a bad -kernel are short, and some images it starts without a word and
 * nothing ever happens. Two kinds run: a bzImage (Documentation/arch/x86/boot.rst), and an
 * uncompressed x86-64 vmlinux with a PVH entry note (include/xen/interface/elfnote.h).
 */
#include "host/lib/vm_kernel.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/read_at.h"
#include "common/util.h"
#include "host/lib/error.h"

/* The real-mode header lies in the image's second 512 bytes. */
#define SETUP_SECTS_OFFSET    0x1f1
#define SYSSIZE_OFFSET        0x1f4
#define BOOT_FLAG_OFFSET      0x1fe
#define HEADER_MAGIC_OFFSET   0x202
#define HEADER_VERSION_OFFSET 0x206
#define HEADER_XLOADFLAGS     0x236
#define HEADER_CMDLINE_SIZE   0x238
#define HEADER_END            0x268

#define XLF_KERNEL_64         1

/* COMMAND_LINE_SIZE of x86 (arch/x86/include/asm/setup.h), its NUL included. */
#define COMMAND_LINE_SIZE     2048

/* XEN_ELFNOTE_PHYS32_ENTRY */
#define PVH_NOTE_TYPE         18

/* Notes and program headers that a vmlinux may have; real ones have a handful. */
#define MAX_PROGRAM_HEADERS   64
#define MAX_NOTES_SIZE        KIB(64)

static uint16_t get_u16(const uint8_t *from)
{
	return (uint16_t)(from[0] | from[1] << 8);
}

static uint32_t get_u32(const uint8_t *from)
{
	return get_u16(from) | (uint32_t)get_u16(from + 2) << 16;
}

/* What the header says of the image's size: its real-mode part (4 sectors where it says 0) and the
 * rest.
 */
static uint64_t bzimage_size(const uint8_t *header)
{
	unsigned int sectors = header[SETUP_SECTS_OFFSET] ? header[SETUP_SECTS_OFFSET] : 4;

	return (sectors + (uint64_t)1) * 512 + (uint64_t)get_u32(header + SYSSIZE_OFFSET) * 16;
}

static int check_bzimage(int fd, const char *path, const uint8_t *header, struct vm_kernel *kernel,
			 struct provium_error *error)
{
	uint16_t version = get_u16(header + HEADER_VERSION_OFFSET);
	uint64_t size = bzimage_size(header);
	uint32_t cmdline_size;
	struct stat st;

	if (fstat(fd, &st) < 0)
		return error_set(error, PROVIUM_HOST, errno, "look at kernel '%s'", path);
	/* The last 16 bytes of the rest may be a part. */
	if ((uint64_t)st.st_size + 15 < size)
		return error_set(error, PROVIUM_INVALID, 0,
				 "kernel '%s' is cut short: %lld bytes of %llu", path,
				 (long long)st.st_size, (unsigned long long)size);

	/* xloadflags came with 2.12 (Linux 3.8). */
	if (version < 0x020c || !(get_u16(header + HEADER_XLOADFLAGS) & XLF_KERNEL_64))
		return error_set(error, PROVIUM_INVALID, 0,
				 "kernel '%s' is not a 64-bit one: the agent needs x86-64", path);
	cmdline_size = get_u32(header + HEADER_CMDLINE_SIZE);
	kernel->command_line_limit = MIN(cmdline_size, (uint32_t)COMMAND_LINE_SIZE - 1);
	return 0;
}

static bool has_pvh_note(const uint8_t *notes, size_t size)
{
	size_t at = 0;

	while (size - at >= sizeof(Elf64_Nhdr)) {
		Elf64_Nhdr note;
		size_t name_size;
		size_t body_size;

		memcpy(&note, notes + at, sizeof(note));
		at += sizeof(note);
		name_size = ((size_t)note.n_namesz + 3) & ~(size_t)3;
		body_size = ((size_t)note.n_descsz + 3) & ~(size_t)3;
		if (name_size > size - at || body_size > size - at - name_size)
			return false;
		if (note.n_type == PVH_NOTE_TYPE && note.n_namesz == 4 &&
		    memcmp(notes + at, "Xen", 4) == 0)
			return true;
		at += name_size + body_size;
	}
	return false;
}

/* 1: it has the note; 0: it has not; -1: errno. */
static int find_pvh_note(int fd, const Elf64_Ehdr *elf)
{
	cleanup_free uint8_t *notes = malloc(MAX_NOTES_SIZE);

	if (!notes)
		return -1;
	if (elf->e_phentsize != sizeof(Elf64_Phdr))
		return 0;
	for (unsigned int i = 0; i < elf->e_phnum && i < MAX_PROGRAM_HEADERS; i++) {
		Elf64_Phdr program;
		ssize_t n;

		n = read_at(fd, &program, sizeof(program),
			    (off_t)(elf->e_phoff + i * sizeof(program)));
		if (n < 0)
			return -1;
		if (n < (ssize_t)sizeof(program))
			return 0;
		if (program.p_type != PT_NOTE || program.p_offset > INT64_MAX)
			continue;
		n = read_at(fd, notes, MIN(program.p_filesz, MAX_NOTES_SIZE),
			    (off_t)program.p_offset);
		if (n < 0)
			return -1;
		if (has_pvh_note(notes, (size_t)n))
			return 1;
	}
	return 0;
}

static int check_elf(int fd, const char *path, const uint8_t *header, struct provium_error *error)
{
	Elf64_Ehdr elf;
	int found;

	memcpy(&elf, header, sizeof(elf));
	if (elf.e_ident[EI_CLASS] != ELFCLASS64 || elf.e_ident[EI_DATA] != ELFDATA2LSB ||
	    elf.e_machine != EM_X86_64 || elf.e_phoff > INT32_MAX)
		return error_set(error, PROVIUM_INVALID, 0,
				 "kernel '%s' is an ELF file, but not a kernel for x86-64", path);
	found = find_pvh_note(fd, &elf);
	if (found < 0)
		return error_set(error, PROVIUM_HOST, errno, "read kernel '%s'", path);
	if (!found)
		return error_set(
			error, PROVIUM_INVALID, 0,
			"kernel '%s' is an ELF file that QEMU cannot start: a vmlinux needs "
			"CONFIG_PVH; the bzImage (arch/x86/boot/bzImage) always works",
			path);
	return 0;
}

/* What the file is instead, where its first bytes tell. */
static const char *other_kind(const uint8_t *header, size_t size)
{
	static const struct {
		size_t offset;
		size_t length;
		const char *magic;
		const char *kind;
	} kinds[] = {
		{ 0, 2, "\x1f\x8b", "gzip data (an initramfs, or a kernel to unpack first)" },
		{ 0, 4, "\x28\xb5\x2f\xfd",
		  "zstd data (an initramfs, or a kernel to unpack first)" },
		{ 0, 6,
		  "\xfd"
		  "7zXZ",
		  "xz data (an initramfs, or a kernel to unpack first)" },
		{ 0, 5, "07070", "a cpio archive: an initramfs" },
		{ 56, 4, "ARM\x64", "a kernel for arm64" },
		{ 56, 4, "RSC\x05", "a kernel for RISC-V" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (size >= kinds[i].offset + kinds[i].length &&
		    memcmp(header + kinds[i].offset, kinds[i].magic, kinds[i].length) == 0)
			return kinds[i].kind;
	}
	return NULL;
}

static int open_kernel(const char *path, int *fd, struct provium_error *error)
{
	struct stat st;

	/* Not blocking: a FIFO would wait for its writer. */
	*fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (*fd < 0)
		return error_set(error, PROVIUM_HOST, errno, "open kernel '%s'", path);
	if (fstat(*fd, &st) < 0)
		return error_set(error, PROVIUM_HOST, errno, "look at kernel '%s'", path);
	if (S_ISDIR(st.st_mode))
		return error_set(error, PROVIUM_INVALID, 0,
				 "kernel '%s' is a directory: the image in it is wanted (bzImage, "
				 "vmlinuz)",
				 path);
	if (!S_ISREG(st.st_mode))
		return error_set(error, PROVIUM_INVALID, 0, "kernel '%s' is not a regular file",
				 path);
	if (st.st_size == 0)
		return error_set(error, PROVIUM_INVALID, 0, "kernel '%s' is empty", path);
	return 0;
}

int vm_kernel_check(const char *path, struct vm_kernel *kernel, struct provium_error *error)
{
	uint8_t header[HEADER_END] = { 0 };
	cleanup_close int fd = -1;
	const char *kind;
	ssize_t n;

	*kernel = (struct vm_kernel){ .command_line_limit = COMMAND_LINE_SIZE - 1 };
	if (!path)
		return error_set(error, PROVIUM_INVALID, 0, "no kernel is named");
	if (open_kernel(path, &fd, error) < 0)
		return -1;
	n = read_at(fd, header, sizeof(header), 0);
	if (n < 0)
		return error_set(error, PROVIUM_HOST, errno, "read kernel '%s'", path);

	if (n == sizeof(header) && get_u16(header + BOOT_FLAG_OFFSET) == 0xaa55 &&
	    memcmp(header + HEADER_MAGIC_OFFSET, "HdrS", 4) == 0)
		return check_bzimage(fd, path, header, kernel, error);
	if ((size_t)n >= sizeof(Elf64_Ehdr) && memcmp(header, ELFMAG, SELFMAG) == 0)
		return check_elf(fd, path, header, error);
	kind = other_kind(header, (size_t)n);
	return error_set(error, PROVIUM_INVALID, 0,
			 "kernel '%s' is not a kernel image for x86-64 (bzImage, vmlinuz)%s%s",
			 path, kind ? " but " : "", kind ? kind : "");
}
