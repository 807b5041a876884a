#include "shim/cpio.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "common/util.h"
#include "host/lib/error.h"

/* Of a header: the magic number and 13 numbers of 8 hexadecimal digits. */
#define HEADER_SIZE 110
#define ALIGNMENT   4

/* The last entry, which holds nothing, has this name. */
#define END_NAME    "TRAILER!!!"

struct cpio {
	int fd;
	/* Numbers the entries: the kernel takes two with one inode for hard links. */
	uint32_t inode;
	/* Bytes of the archive so far, and those that its last entry still lacks. */
	uint64_t size;
	uint64_t left;
	/* The archive's end, that is not written yet. */
	size_t used;
	uint8_t buffer[KIB(64)];
};

struct cpio *cpio_create(int fd, struct provium_error *error)
{
	struct cpio *cpio = malloc(sizeof(*cpio));

	if (!cpio) {
		error_set(error, PROVIUM_HOST, ENOMEM, "cannot write an archive");
		return NULL;
	}
	cpio->fd = fd;
	cpio->inode = 0;
	cpio->size = 0;
	cpio->left = 0;
	cpio->used = 0;
	return cpio;
}

void cpio_destroy(struct cpio *cpio)
{
	free(cpio);
}

int cpio_write_raw(int fd, const void *data, size_t size, struct provium_error *error)
{
	while (size > 0) {
		ssize_t count = write(fd, data, size);

		if (count < 0 && errno == EINTR)
			continue;
		if (count < 0)
			return error_set(error, PROVIUM_HOST, errno, "cannot write an archive");
		data = (const char *)data + count;
		size -= (size_t)count;
	}
	return 0;
}

static int flush(struct cpio *cpio, struct provium_error *error)
{
	size_t used = cpio->used;

	cpio->used = 0;
	return cpio_write_raw(cpio->fd, cpio->buffer, used, error);
}

static int append(struct cpio *cpio, const void *data, size_t size, struct provium_error *error)
{
	const uint8_t *from = data;

	cpio->size += size;
	while (size > 0) {
		size_t part = MIN(size, sizeof(cpio->buffer) - cpio->used);

		memcpy(cpio->buffer + cpio->used, from, part);
		cpio->used += part;
		from += part;
		size -= part;
		if (cpio->used == sizeof(cpio->buffer) && flush(cpio, error) < 0)
			return -1;
	}
	return 0;
}

static int pad(struct cpio *cpio, size_t alignment, struct provium_error *error)
{
	static const uint8_t zeros[CPIO_BLOCK];

	return append(cpio, zeros, -cpio->size % alignment, error);
}

/* The numbers that stand in no cpio_entry are 0: owner, group, the device that it lies on. */
static int append_header(struct cpio *cpio, const struct cpio_entry *entry, const char *name,
			 uint64_t size, struct provium_error *error)
{
	size_t name_size = strlen(name) + 1;
	char header[HEADER_SIZE + 1];
	/* 32 bits in this format. */
	uint32_t mtime = (uint32_t)MIN(MAX(entry->mtime, 0), (int64_t)UINT32_MAX);

	snprintf(header, sizeof(header),
		 "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x", cpio->inode,
		 entry->mode, 0, 0, 1, mtime, (uint32_t)size, 0, 0, major(entry->device),
		 minor(entry->device), (uint32_t)name_size, 0);
	if (append(cpio, header, HEADER_SIZE, error) < 0 ||
	    append(cpio, name, name_size, error) < 0)
		return -1;
	return pad(cpio, ALIGNMENT, error);
}

/* What comes next would be taken for the rest of it. */
static int check_complete(const struct cpio *cpio, struct provium_error *error)
{
	if (cpio->left > 0)
		return error_set(error, PROVIUM_INVALID, 0,
				 "a file for the initramfs lacks %llu bytes of its size",
				 (unsigned long long)cpio->left);
	return 0;
}

int cpio_add(struct cpio *cpio, const struct cpio_entry *entry, struct provium_error *error)
{
	uint64_t size = 0;

	if (entry->target)
		size = strlen(entry->target);
	else if (S_ISREG(entry->mode))
		size = entry->size;
	if (size > UINT32_MAX)
		return error_set(error, PROVIUM_INVALID, 0,
				 "%s: %llu bytes are more than a file in an initramfs can have "
				 "(4 GiB)",
				 entry->path, (unsigned long long)size);
	cpio->inode++;
	if (check_complete(cpio, error) < 0 ||
	    append_header(cpio, entry, entry->path + 1, size, error) < 0)
		return -1;
	cpio->left = size;
	return entry->target ? cpio_data(cpio, entry->target, size, error) : 0;
}

int cpio_data(struct cpio *cpio, const void *data, size_t size, struct provium_error *error)
{
	if (size > cpio->left)
		return error_set(error, PROVIUM_INVALID, 0,
				 "a file for the initramfs is longer than it was");
	cpio->left -= size;
	if (append(cpio, data, size, error) < 0)
		return -1;
	return cpio->left == 0 ? pad(cpio, ALIGNMENT, error) : 0;
}

int cpio_add_bytes(struct cpio *cpio, const char *path, mode_t permissions, const void *data,
		   size_t size, struct provium_error *error)
{
	struct cpio_entry entry = { .path = path, .mode = S_IFREG | permissions, .size = size };

	if (cpio_add(cpio, &entry, error) < 0)
		return -1;
	return cpio_data(cpio, data, size, error);
}

int cpio_finish(struct cpio *cpio, struct provium_error *error)
{
	static const struct cpio_entry end = { 0 };
	int result = -1;

	cpio->inode = 0;
	if (check_complete(cpio, error) == 0 &&
	    append_header(cpio, &end, END_NAME, 0, error) == 0 &&
	    pad(cpio, CPIO_BLOCK, error) == 0 && flush(cpio, error) == 0)
		result = 0;
	cpio_destroy(cpio);
	return result;
}
