#include "host/lib/file_copy.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/util.h"
#include "host/lib/error.h"

/* Between two looks at the limits. */
#define CHUNK  MIB(16)

/* Of what goes through our memory. */
#define BUFFER KIB(256)

int file_make_nameless(const char *directory, struct provium_error *error)
{
	char path[PATH_MAX];
	int fd = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (fd >= 0)
		return fd;
	/* A file system without O_TMPFILE, as those over a network are. */
	if (snprintf(path, sizeof(path), "%s/XXXXXX", directory) >= (int)sizeof(path))
		return error_set(error, PROVIUM_INVALID, ENAMETOOLONG, "'%s'", directory);
	fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0)
		return error_set(error, PROVIUM_HOST, errno, "make a file in '%s' (TMPDIR)",
				 directory);
	unlink(path);
	return fd;
}

/* Not 0: a limit has been met. */
static int check_limits(const struct wait_limits *limits, const char *what,
			struct provium_error *error)
{
	struct wait_limits now = *limits;
	struct provium_error limit;
	enum wait_end end;
	short revents;

	if (!deadline_passed(&limits->deadline))
		now.deadline = deadline_after(0);
	end = wait_fd(-1, 0, &now, what, &revents, &limit);
	if (end == WAIT_READY || (end == WAIT_TIMED_OUT && !deadline_passed(&limits->deadline)))
		return 0;
	return error_copy(error, &limit);
}

/* Of files that the kernel does not copy: block devices, and what lies on another file system. */
static ssize_t copy_by_hand(int from, int to, uint64_t at, size_t size, char *buffer)
{
	ssize_t n = pread(from, buffer, MIN(size, BUFFER), (off_t)at);

	if (n <= 0)
		return n;
	/* What is zero stays a hole. */
	if (buffer[0] == 0 && memcmp(buffer, buffer + 1, (size_t)n - 1) == 0)
		return n;
	return pwrite(to, buffer, (size_t)n, (off_t)at);
}

static ssize_t copy_some(int from, int to, uint64_t at, size_t size, char **buffer)
{
	off_t in = (off_t)at;
	off_t out = (off_t)at;
	ssize_t n;

	if (!*buffer) {
		n = copy_file_range(from, &in, to, &out, size, 0);
		if (n > 0)
			return n;
		if (n < 0 && (errno == EINTR || errno == ENOSPC || errno == EDQUOT || errno == EIO))
			return -1;
		*buffer = malloc(BUFFER);
		if (!*buffer)
			return -1;
	}
	return copy_by_hand(from, to, at, size, *buffer);
}

/* From at to end there is no hole. */
static int copy_data(int from, int to, uint64_t at, uint64_t end, const struct wait_limits *limits,
		     const char *what, struct provium_error *error)
{
	cleanup_free char *buffer = NULL;
	uint64_t checked = at;

	while (at < end) {
		ssize_t n = copy_some(from, to, at, MIN(end - at, CHUNK), &buffer);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return error_set(error, PROVIUM_HOST, errno, "copy %s", what);
		if (n == 0)
			return error_set(error, PROVIUM_HOST, 0,
					 "copy %s: it ends at %" PRIu64 " bytes", what, at);
		at += (uint64_t)n;
		if (at - checked >= CHUNK) {
			checked = at;
			if (check_limits(limits, what, error) < 0)
				return -1;
		}
	}
	return 0;
}

int file_copy(int from, int to, uint64_t size, const struct wait_limits *limits, const char *what,
	      struct provium_error *error)
{
	uint64_t at = 0;

	if (ioctl(to, FICLONE, from) == 0)
		return 0;
	if (ftruncate(to, (off_t)size) < 0)
		return error_set(error, PROVIUM_HOST, errno, "copy %s: %" PRIu64 " bytes", what,
				 size);
	while (at < size) {
		off_t data = lseek(from, (off_t)at, SEEK_DATA);
		off_t hole;

		/* The rest is a hole. Other errors: one that cannot tell, so all of it may be data.
		 */
		if (data < 0 && errno == ENXIO)
			break;
		hole = data < 0 ? -1 : lseek(from, data, SEEK_HOLE);
		at = data < 0 ? at : (uint64_t)data;
		if (hole < 0 || (uint64_t)hole > size)
			hole = (off_t)size;
		if (at >= size)
			break;
		if (copy_data(from, to, at, (uint64_t)hole, limits, what, error) < 0)
			return -1;
		at = (uint64_t)hole;
		if (check_limits(limits, what, error) < 0)
			return -1;
	}
	return 0;
}
