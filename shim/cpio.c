#include "shim/cpio.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/util.h"
#include "host/lib/error.h"

struct cpio {
	struct archive *archive;
	struct archive_entry *entry;
	int fd;
	/* Nothing more is written: what is incomplete gets neither padding nor an end. */
	bool given_up;
	/* Numbers the entries: the kernel takes two with one inode for hard links. */
	uint32_t inode;
};

static int fail(struct cpio *cpio, const char *what, struct provium_error *error)
{
	int os_errno = archive_errno(cpio->archive);

	/* Libarchive has negative numbers of its own, and says nothing of the system's. */
	return error_set(error, PROVIUM_HOST, os_errno > 0 ? os_errno : 0, "cannot write %s%s%s",
			 what, os_errno > 0 ? "" : ": ",
			 os_errno > 0 ? "" : archive_error_string(cpio->archive));
}

static la_ssize_t write_out(struct archive *archive, void *user, const void *data, size_t size)
{
	const struct cpio *cpio = user;
	ssize_t count;

	if (cpio->given_up) {
		archive_set_error(archive, ECANCELED, "given up");
		return -1;
	}
	do
		count = write(cpio->fd, data, size);
	while (count < 0 && errno == EINTR);
	if (count < 0)
		archive_set_error(archive, errno, "write failed");
	return count;
}

struct cpio *cpio_create(int fd, struct provium_error *error)
{
	struct cpio *cpio = calloc(1, sizeof(*cpio));

	if (cpio) {
		cpio->archive = archive_write_new();
		cpio->entry = archive_entry_new();
	}
	if (!cpio || !cpio->archive || !cpio->entry) {
		error_set(error, PROVIUM_HOST, ENOMEM, "cannot write an archive");
		cpio_destroy(cpio);
		return NULL;
	}
	cpio->fd = fd;
	if (archive_write_set_format_cpio_newc(cpio->archive) != ARCHIVE_OK ||
	    archive_write_add_filter_none(cpio->archive) != ARCHIVE_OK ||
	    archive_write_set_bytes_per_block(cpio->archive, (int)KIB(64)) != ARCHIVE_OK ||
	    archive_write_set_bytes_in_last_block(cpio->archive, CPIO_BLOCK) != ARCHIVE_OK ||
	    archive_write_open(cpio->archive, cpio, NULL, write_out, NULL) != ARCHIVE_OK) {
		fail(cpio, "an archive", error);
		cpio_destroy(cpio);
		return NULL;
	}
	return cpio;
}

void cpio_destroy(struct cpio *cpio)
{
	if (!cpio)
		return;
	cpio->given_up = true;
	archive_write_free(cpio->archive);
	archive_entry_free(cpio->entry);
	free(cpio);
}

int cpio_finish(struct cpio *cpio, struct provium_error *error)
{
	int result = 0;

	if (archive_write_close(cpio->archive) != ARCHIVE_OK)
		result = fail(cpio, "the archive's end", error);
	cpio_destroy(cpio);
	return result;
}

int cpio_add(struct cpio *cpio, const struct cpio_entry *entry, struct provium_error *error)
{
	struct archive_entry *header = archive_entry_clear(cpio->entry);

	if (entry->size > UINT32_MAX)
		return error_set(error, PROVIUM_INVALID, 0,
				 "%s: %llu bytes are more than a file in an initramfs can have "
				 "(4 GiB)",
				 entry->path, (unsigned long long)entry->size);
	archive_entry_set_pathname(header, entry->path + 1);
	archive_entry_set_mode(header, entry->mode);
	/* 32 bits in this format. */
	archive_entry_set_mtime(header, MIN(MAX(entry->mtime, 0), (int64_t)UINT32_MAX), 0);
	archive_entry_set_ino64(header, ++cpio->inode);
	archive_entry_set_nlink(header, 1);
	archive_entry_set_size(header, S_ISREG(entry->mode) ? (int64_t)entry->size : 0);
	if (S_ISLNK(entry->mode))
		archive_entry_set_symlink(header, entry->target);
	if (S_ISCHR(entry->mode) || S_ISBLK(entry->mode))
		archive_entry_set_rdev(header, entry->device);
	if (archive_write_header(cpio->archive, header) != ARCHIVE_OK)
		return fail(cpio, entry->path, error);
	return 0;
}

int cpio_data(struct cpio *cpio, const void *data, size_t size, struct provium_error *error)
{
	if (size > 0 && archive_write_data(cpio->archive, data, size) != (la_ssize_t)size)
		return fail(cpio, "a file's content", error);
	return 0;
}

int cpio_add_bytes(struct cpio *cpio, const char *path, mode_t permissions, const void *data,
		   size_t size, struct provium_error *error)
{
	struct cpio_entry entry = { .path = path, .mode = S_IFREG | permissions, .size = size };

	if (cpio_add(cpio, &entry, error) < 0)
		return -1;
	return cpio_data(cpio, data, size, error);
}
