/*
 * The kernel takes an initramfs as a sequence of parts (init/initramfs.c, unpack_to_rootfs): cpio
 * archives at multiples of four bytes, compressed archives anywhere, and any number of zero bytes
 * between them. Inside a compressed part there are archives and zero bytes. Which compressions the
 * kernel knows depends on its configuration. Where a compressed part ends cannot be found, so that
 * the first of them is the last that is looked at.
 */
#include "shim/initrd.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/read_at.h"
#include "common/util.h"
#include "host/lib/error.h"

/* Magic, then 13 fields of 8 hexadecimal digits. */
#define MAGIC_SIZE   6
#define HEADER_SIZE  110
#define FIELD(index) (MAGIC_SIZE + (size_t)8 * (index))

/* More than what libarchive decompresses at once. */
#define LOOK_AHEAD   KIB(256)

/* More than a header and the longest name. */
#define WINDOW       KIB(64)

/* What is read: the file itself, or what comes out of a compressed part of it. */
struct source {
	int fd;
	const char *name;
	uint64_t size;

	/* NULL: the file. Otherwise offsets count what comes out, and only grow. */
	struct archive *archive;
	unsigned char *window;
	uint64_t window_at;
	size_t window_used;
};

struct magic {
	const char *bytes;
	size_t length;
	size_t offset;
	const char *what;
	/* Of a compression that the kernel knows. */
	int (*filter)(struct archive *);
};

#define MAGIC(text) text, sizeof(text) - 1

static const struct magic compressions[] = {
	{ MAGIC("\x1f\x8b\x08"), 0, "gzip", archive_read_support_filter_gzip },
	{ MAGIC("\x28\xb5\x2f\xfd"), 0, "zstd", archive_read_support_filter_zstd },
	{ MAGIC("\xfd"
		"7zXZ\0"),
	  0, "xz", archive_read_support_filter_xz },
	{ MAGIC("\x02\x21\x4c\x18"), 0, "lz4", archive_read_support_filter_lz4 },
	{ MAGIC("BZh"), 0, "bzip2", archive_read_support_filter_bzip2 },
	{ MAGIC("\x5d\0\0"), 0, "lzma", archive_read_support_filter_lzma },
};

/* What people give by mistake. */
static const struct magic others[] = {
	{ MAGIC("\x04\x22\x4d\x18"), 0,
	  "an lz4 file of the frame format, which the kernel cannot read (make it with lz4 -l)",
	  NULL },
	{ MAGIC("\x89LZO"), 0, "lzo-compressed, which is not supported (use zstd or gzip)", NULL },
	{ MAGIC("070707"), 0, "a cpio archive of the old odc format (make it with cpio -H newc)",
	  NULL },
	{ MAGIC("\xc7\x71"), 0,
	  "a cpio archive of the old binary format (make it with cpio -H newc)", NULL },
	{ MAGIC("HdrS"), 0x202, "a kernel image", NULL },
	{ MAGIC("\x7f"
		"ELF"),
	  0, "an ELF file (a program, or an uncompressed kernel)", NULL },
	{ MAGIC("QFI\xfb"), 0, "a qcow2 disk image", NULL },
	{ MAGIC("hsqs"), 0, "a squashfs image", NULL },
	{ MAGIC("PK\x03\x04"), 0, "a zip file", NULL },
	{ MAGIC("#!"), 0, "a script", NULL },
	{ MAGIC("!<arch>"), 0, "an ar archive (a Debian package?)", NULL },
	{ MAGIC("ustar"), 257, "a tar archive", NULL },
	{ MAGIC("\x53\xef"), 0x438, "an ext2, ext3 or ext4 image", NULL },
};

static const struct magic *find_magic(const struct magic *table, size_t count,
				      const unsigned char *head, size_t length)
{
	for (size_t i = 0; i < count; i++) {
		if (table[i].offset + table[i].length <= length &&
		    memcmp(head + table[i].offset, table[i].bytes, table[i].length) == 0)
			return &table[i];
	}
	return NULL;
}

static bool is_cpio(const void *head, size_t length)
{
	return length >= MAGIC_SIZE &&
	       (memcmp(head, "070701", MAGIC_SIZE) == 0 || memcmp(head, "070702", MAGIC_SIZE) == 0);
}

static ssize_t read_file(const struct source *source, void *data, size_t size, uint64_t offset,
			 struct provium_error *error)
{
	ssize_t count = read_at(source->fd, data, size, (off_t)offset);

	if (count < 0)
		return error_set(error, PROVIUM_HOST, errno, "cannot read initramfs %s",
				 source->name);
	return count;
}

/* Forgets what lies before offset, and reads on until size bytes from there are in the window. */
static ssize_t read_stream(struct source *source, void *data, size_t size, uint64_t offset,
			   struct provium_error *error)
{
	for (;;) {
		uint64_t passed = MIN(offset - source->window_at, (uint64_t)source->window_used);
		la_ssize_t count;

		source->window_used -= (size_t)passed;
		memmove(source->window, source->window + passed, source->window_used);
		source->window_at += passed;
		if (source->window_at == offset && source->window_used >= size)
			break;
		count = archive_read_data(source->archive, source->window + source->window_used,
					  WINDOW - source->window_used);
		if (count < 0)
			return error_set(error, PROVIUM_INVALID, 0,
					 "initramfs %s: cannot decompress: %s", source->name,
					 archive_error_string(source->archive) ?: "it is damaged");
		if (count == 0)
			break;
		source->window_used += (size_t)count;
	}
	if (source->window_at < offset)
		return 0;
	size = MIN(size, source->window_used);
	memcpy(data, source->window, size);
	return (ssize_t)size;
}

/* Reads size bytes (at most WINDOW), or fewer at the end. */
static ssize_t read_source(struct source *source, void *data, size_t size, uint64_t offset,
			   struct provium_error *error)
{
	return source->archive ? read_stream(source, data, size, offset, error)
			       : read_file(source, data, size, offset, error);
}

/* *offset goes over zero bytes, to the end at most. */
static int skip_zeros(struct source *source, uint64_t *offset, struct provium_error *error)
{
	unsigned char data[4096];

	while (*offset < source->size) {
		ssize_t count = read_source(source, data, sizeof(data), *offset, error);
		ssize_t i = 0;

		if (count <= 0)
			return (int)count;
		while (i < count && data[i] == 0)
			i++;
		*offset += (uint64_t)i;
		if (i < count)
			break;
	}
	return 0;
}

static bool parse_hex(const char *digits, uint32_t *value)
{
	*value = 0;
	for (int i = 0; i < 8; i++) {
		char c = digits[i];
		uint32_t digit;

		if (c >= '0' && c <= '9')
			digit = (uint32_t)(c - '0');
		else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
			digit = (uint32_t)((c | 0x20) - 'a' + 10);
		else
			return false;
		*value = *value << 4 | digit;
	}
	return true;
}

static int damaged(const struct source *source, uint64_t offset, const char *what,
		   struct provium_error *error)
{
	return error_set(error, PROVIUM_INVALID, 0, "initramfs %s: at byte %llu: %s", source->name,
			 (unsigned long long)offset, what);
}

/* Tells names of the entry whose header is at offset; it is within the file. */
static int enter(struct source *source, uint64_t offset, uint32_t mode, uint32_t name_size,
		 uint64_t body, uint32_t body_size, struct names *names,
		 struct provium_error *error)
{
	char path[PATH_MAX + 1] = "", target[PATH_MAX + 1] = "";

	if (read_source(source, path, name_size, offset + HEADER_SIZE, error) < 0)
		return -1;
	if (S_ISLNK(mode) &&
	    (body_size > PATH_MAX || read_source(source, target, body_size, body, error) < 0))
		return damaged(source, offset, "a link that leads nowhere", error);
	if (names_enter(names, path, mode, target) < 0)
		return error_set(error, PROVIUM_INVALID, errno, "initramfs %s: %s", source->name,
				 path);
	return 0;
}

/*
 * Goes from *offset, where an archive begins, behind its end: header by header, without reading
 * what is in the files. Padding and the trailer are as in buffer-format.rst.
 */
static int check_cpio(struct source *source, uint64_t *offset, struct names *names,
		      struct provium_error *error)
{
	static const char trailer[] = "TRAILER!!!";
	char header[HEADER_SIZE + sizeof(trailer)];

	for (;;) {
		ssize_t count = read_source(source, header, sizeof(header), *offset, error);
		uint32_t name_size, body_size, mode;
		uint64_t body;

		if (count < 0)
			return -1;
		if (count < HEADER_SIZE)
			return damaged(source, *offset, "the cpio archive is cut off", error);
		if (!is_cpio(header, sizeof(header)))
			return damaged(source, *offset, "no cpio header where one must be", error);
		if (!parse_hex(header + FIELD(1), &mode) ||
		    !parse_hex(header + FIELD(6), &body_size) ||
		    !parse_hex(header + FIELD(11), &name_size))
			return damaged(source, *offset, "a damaged cpio header", error);
		if (name_size == 0 || name_size > PATH_MAX)
			return damaged(source, *offset, "a name of impossible length", error);
		body = *offset + ((HEADER_SIZE + name_size + 3) & ~UINT64_C(3));
		/* Its padding may be missing where the file ends. */
		if (name_size == sizeof(trailer) &&
		    memcmp(header + HEADER_SIZE, trailer, sizeof(trailer)) == 0) {
			*offset = body;
			return 0;
		}
		if (body > source->size || body_size > source->size - body)
			return damaged(source, *offset, "the cpio archive is cut off", error);
		if (names &&
		    enter(source, *offset, mode, name_size, body, body_size, names, error) < 0)
			return -1;
		*offset = (body + body_size + 3) & ~UINT64_C(3);
	}
}

/*
 * Whether a part may begin within LOOK_AHEAD bytes behind offset. 1: yes, 0: no, -1: failed.
 *
 * Libarchive takes what follows a small compressed part for more of it, and fails; which is no
 * fault of the image.
 */
static int part_follows(struct source *source, uint64_t offset, struct provium_error *error)
{
	cleanup_free unsigned char *data = malloc(LOOK_AHEAD);
	ssize_t count;

	if (!data)
		return error_set(error, PROVIUM_HOST, ENOMEM, "cannot read initramfs %s",
				 source->name);
	count = read_source(source, data, LOOK_AHEAD, offset, error);
	for (ssize_t i = 1; i < count; i++) {
		size_t left = (size_t)(count - i);

		if (((offset + (uint64_t)i) % 4 == 0 && is_cpio(data + i, left)) ||
		    find_magic(compressions, ARRAY_SIZE(compressions), data + i, left))
			return 1;
	}
	return count < 0 ? -1 : 0;
}

/* Begins to decompress what is at offset. Returns NULL and a reason where that cannot be. */
static struct archive *open_part(const struct source *source, uint64_t offset,
				 const struct magic *compression, char *reason, size_t reason_size)
{
	struct archive *archive = archive_read_new();
	struct archive_entry *entry;
	const char *text;

	if (archive && lseek(source->fd, (off_t)offset, SEEK_SET) >= 0 &&
	    compression->filter(archive) >= ARCHIVE_WARN &&
	    archive_read_support_format_raw(archive) == ARCHIVE_OK &&
	    archive_read_open_fd(archive, source->fd, KIB(64)) == ARCHIVE_OK &&
	    archive_read_next_header(archive, &entry) == ARCHIVE_OK &&
	    /* The magic number alone is not enough for libarchive, which then passes all on. */
	    archive_filter_code(archive, 0) != ARCHIVE_FILTER_NONE)
		return archive;
	text = archive ? archive_error_string(archive) : strerror(ENOMEM);
	snprintf(reason, reason_size, "%s", text ? text : "it is damaged");
	archive_read_free(archive);
	return NULL;
}

/* What comes out of a compressed part: its beginning, or, with names, all of it. */
static int check_stream(struct source *stream, const struct magic *compression, struct names *names,
			struct provium_error *error)
{
	uint64_t offset = 0;

	for (;;) {
		char head[MAGIC_SIZE];
		ssize_t length;

		if (skip_zeros(stream, &offset, error) < 0)
			return -1;
		length = read_source(stream, head, sizeof(head), offset, error);
		if (length < 0 || (length == 0 && offset > 0))
			return (int)length;
		if (!is_cpio(head, (size_t)length) || offset % 4 != 0)
			return error_set(
				error, PROVIUM_INVALID, 0,
				"initramfs %s: what is compressed there (%s) is not a cpio "
				"archive of the newc format",
				stream->name, compression->what);
		if (!names)
			return 0;
		if (check_cpio(stream, &offset, names, error) < 0)
			return -1;
	}
}

static int check_compressed(struct source *source, uint64_t offset, const struct magic *compression,
			    struct names *names, struct provium_error *error)
{
	cleanup_free unsigned char *window = malloc(WINDOW);
	struct source stream = { .name = source->name, .size = UINT64_MAX, .window = window };
	char reason[256];
	int result, follows;

	if (!window)
		return error_set(error, PROVIUM_HOST, ENOMEM, "cannot read initramfs %s",
				 source->name);
	stream.archive = open_part(source, offset, compression, reason, sizeof(reason));
	if (stream.archive)
		result = check_stream(&stream, compression, names, error);
	else
		result = error_set(error, PROVIUM_INVALID, 0,
				   "initramfs %s: cannot decompress (%s): %s", source->name,
				   compression->what, reason);
	archive_read_free(stream.archive);
	if (result == 0)
		return 0;
	follows = part_follows(source, offset, error);
	if (follows <= 0) {
		if (follows == 0)
			error_prefix(error, "at byte %llu", (unsigned long long)offset);
		return -1;
	}
	error_clear(error);
	return 0;
}

/*
 * The kernel's xz decoder knows no checksum but CRC-32 (Documentation/staging/xz.rst), and xz makes
 * CRC-64 unless told otherwise. The check's number is in the stream header's second flag byte.
 */
static int check_xz(const struct source *source, const unsigned char *head,
		    struct provium_error *error)
{
	if (head[7] <= 1)
		return 0;
	return error_set(
		error, PROVIUM_INVALID, 0,
		"initramfs %s: the kernel cannot read this xz file's kind of checksum (make "
		"it with xz --check=crc32)",
		source->name);
}

static int unknown(const struct source *source, uint64_t offset, const unsigned char *head,
		   size_t length, struct provium_error *error)
{
	const struct magic *other = find_magic(others, ARRAY_SIZE(others), head, length);
	char bytes[64] = "", *end = bytes;

	for (size_t i = 0; i < MIN(length, (size_t)8); i++)
		end += snprintf(end, 4, " %02x", head[i]);
	return error_set(error, PROVIUM_INVALID, 0,
			 "initramfs %s: at byte %llu is %s%s; expected a cpio archive "
			 "(newc), or that compressed by gzip, zstd, xz or lz4",
			 source->name, (unsigned long long)offset,
			 other ? other->what : "something unknown, beginning with",
			 other ? "" : bytes);
}

int initrd_check(int fd, const char *name, uint64_t size, struct names *names,
		 struct provium_error *error)
{
	struct source source = { .fd = fd, .name = name, .size = size };
	uint64_t offset = 0;
	bool found = false;

	for (;;) {
		unsigned char head[2048];
		const struct magic *compression;
		ssize_t length;

		if (skip_zeros(&source, &offset, error) < 0)
			return -1;
		length = read_source(&source, head, sizeof(head), offset, error);
		if (length < 0)
			return -1;
		if (length == 0)
			break;
		if (offset % 4 == 0 && is_cpio(head, (size_t)length)) {
			if (check_cpio(&source, &offset, names, error) < 0)
				return -1;
			found = true;
			continue;
		}
		compression =
			find_magic(compressions, ARRAY_SIZE(compressions), head, (size_t)length);
		if (!compression)
			return unknown(&source, offset, head, (size_t)length, error);
		if (strcmp(compression->what, "xz") == 0 && length >= 8 &&
		    check_xz(&source, head, error) < 0)
			return -1;
		return check_compressed(&source, offset, compression, names, error);
	}
	if (!found)
		return error_set(error, PROVIUM_INVALID, 0, "initramfs %s is empty", name);
	return 0;
}
