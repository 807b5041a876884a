#include "shim/content.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/util.h"
#include "host/lib/error.h"

#define CHUNK KIB(64)

static ssize_t read_some(int fd, void *data, size_t size)
{
	ssize_t count;

	do
		count = read(fd, data, size);
	while (count < 0 && errno == EINTR);
	return count;
}

static int has_changed(const char *name, struct provium_error *error)
{
	return error_set(
		error, PROVIUM_INVALID, 0,
		"%s changes while it is read, or is longer than it says (a file of /proc or "
		"/sys?): give a copy of it",
		name);
}

int content_add(struct cpio *cpio, const struct cpio_entry *entry, int fd, const char *name,
		struct provium_error *error)
{
	char data[CHUNK];
	uint64_t left = entry->size;
	ssize_t count;

	if (cpio_add(cpio, entry, error) < 0)
		return -1;
	while ((count = read_some(fd, data, sizeof(data))) > 0) {
		if ((uint64_t)count > left)
			return has_changed(name, error);
		if (cpio_data(cpio, data, (size_t)count, error) < 0)
			return -1;
		left -= (uint64_t)count;
	}
	if (count < 0)
		return error_set(error, PROVIUM_HOST, errno, "cannot read %s", name);
	return left > 0 ? has_changed(name, error) : 0;
}

int content_copy(int to, int fd, uint64_t size, const char *name, struct provium_error *error)
{
	char data[CHUNK];
	ssize_t count;

	if (lseek(fd, 0, SEEK_SET) < 0)
		return error_set(error, PROVIUM_HOST, errno, "cannot read %s", name);
	while ((count = read_some(fd, data, sizeof(data))) > 0) {
		if ((uint64_t)count > size)
			return has_changed(name, error);
		if (cpio_write_raw(to, data, (size_t)count, error) < 0)
			return -1;
		size -= (uint64_t)count;
	}
	if (count < 0)
		return error_set(error, PROVIUM_HOST, errno, "cannot read %s", name);
	return size > 0 ? has_changed(name, error) : 0;
}

static void free_archive(struct archive **archive)
{
	archive_read_free(*archive);
}

/*
 * Decompresses all of fd and adds it up in *size; into cpio, too, unless that is NULL. A header
 * comes before its content, so that the content is gone through twice.
 */
static int decompress(struct cpio *cpio, int fd, const char *path, uint64_t *size,
		      struct provium_error *error)
{
	cleanup(free_archive) struct archive *archive = archive_read_new();
	struct archive_entry *entry;
	char data[CHUNK];
	la_ssize_t count = -1;

	*size = 0;
	if (!archive)
		return error_set(error, PROVIUM_HOST, ENOMEM, "cannot read module %s", path);
	if (lseek(fd, 0, SEEK_SET) == 0 &&
	    archive_read_support_filter_gzip(archive) >= ARCHIVE_WARN &&
	    archive_read_support_filter_xz(archive) >= ARCHIVE_WARN &&
	    archive_read_support_filter_zstd(archive) >= ARCHIVE_WARN &&
	    archive_read_support_format_raw(archive) == ARCHIVE_OK &&
	    archive_read_open_fd(archive, fd, CHUNK) == ARCHIVE_OK &&
	    archive_read_next_header(archive, &entry) == ARCHIVE_OK &&
	    /* What is not recognised libarchive passes on as it is. */
	    archive_filter_code(archive, 0) != ARCHIVE_FILTER_NONE) {
		while ((count = archive_read_data(archive, data, sizeof(data))) > 0) {
			if (cpio && cpio_data(cpio, data, (size_t)count, error) < 0)
				return -1;
			*size += (uint64_t)count;
		}
	}
	if (count < 0)
		return error_set(error, PROVIUM_INVALID, 0, "cannot decompress module %s: %s", path,
				 archive_error_string(archive) ?: "it is damaged");
	return 0;
}

int content_add_module(struct cpio *cpio, const char *guest_path, const char *path,
		       struct provium_error *error)
{
	cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct cpio_entry entry = { .path = guest_path, .mode = S_IFREG | 0644 };
	const char *suffix = strrchr(path, '.');
	struct stat status;
	uint64_t size;

	if (fd < 0 || fstat(fd, &status) < 0)
		return error_set(error, PROVIUM_HOST, errno, "cannot read module %s", path);
	if (suffix && strcmp(suffix, ".ko") == 0) {
		entry.size = (uint64_t)status.st_size;
		return content_add(cpio, &entry, fd, path, error);
	}
	if (decompress(NULL, fd, path, &entry.size, error) < 0 ||
	    cpio_add(cpio, &entry, error) < 0 || decompress(cpio, fd, path, &size, error) < 0)
		return -1;
	return size != entry.size ? has_changed(path, error) : 0;
}
