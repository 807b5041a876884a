#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

#include "agent/fds.h"
#include "agent/os.h"
#include "agent/path.h"
#include "agent/statx.h"
#include "common/cleanup.h"
#include "common/util.h"

const char *file_open(struct file *file, const char *path, int fd, int flags)
{
	struct statx status;
	int mode;

	file->fd = -1;
	if (path) {
		file->fd = os_open(path, flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0);
		return file->fd < 0 ? "open" : NULL;
	}
	/* Whether there is such an fd, and what it is. */
	if (os_statx(fd, "", AT_EMPTY_PATH, STATX_TYPE, &status) < 0)
		return "statx";
	/* One that is open for the other direction would never be ready. */
	mode = fcntl(fd, F_GETFL) & O_ACCMODE;
	if (mode != O_RDWR && mode != flags) {
		errno = EBADF;
		return "fcntl";
	}
	file->plain = S_ISREG(status.stx_mode) || S_ISBLK(status.stx_mode);
	file->borrowed = true;
	file->fd = file->plain ? fd : fd_raise(fcntl(fd, F_DUPFD_CLOEXEC, 0));
	return file->fd < 0 ? "fcntl" : NULL;
}

const char *file_seek(struct file *file, bool has_offset, uint64_t offset)
{
	off_t place = file->borrowed || !has_offset ? lseek(file->fd, 0, SEEK_CUR)
						    : lseek(file->fd, (off_t)offset, SEEK_SET);

	if (!has_offset) {
		file->offset = place < 0 ? 0 : (uint64_t)place;
		return NULL;
	}
	if (place < 0)
		return "lseek";
	file->placed = file->borrowed;
	file->offset = offset;
	return NULL;
}

/* An invalid fd is ready, to fail. */
static bool is_ready(int fd, short events)
{
	struct pollfd poll_fd = { .fd = fd, .events = events };

	return poll(&poll_fd, 1, 0) != 0;
}

/* A terminal that can be written may have room for as little as a byte. */
static size_t piece_size(int fd)
{
	struct termios termios;

	return tcgetattr(fd, &termios) == 0 ? 1 : PIPE_BUF;
}

ssize_t file_read(struct file *file, void *data, size_t size)
{
	ssize_t count;

	if (file->borrowed && !is_ready(file->fd, POLLIN)) {
		errno = EAGAIN;
		return -1;
	}
	count = file->placed ? os_pread(file->fd, data, size, (off_t)file->offset)
			     : os_read(file->fd, data, size);
	if (count > 0)
		file->offset += (size_t)count;
	return count;
}

ssize_t file_write(struct file *file, const void *data, size_t size)
{
	ssize_t count;

	if (file->borrowed && !file->plain) {
		if (!is_ready(file->fd, POLLOUT)) {
			errno = EAGAIN;
			return -1;
		}
		size = MIN(size, piece_size(file->fd));
	}
	count = file->placed ? os_pwrite(file->fd, data, size, (off_t)file->offset)
			     : os_write(file->fd, data, size);
	if (count > 0)
		file->offset += (size_t)count;
	return count;
}

void file_close(struct file *file)
{
	if (!file->borrowed || !file->plain)
		close_fd(file->fd);
	file->fd = -1;
}

char *file_subject(const ProtobufCBinaryData *path, int fd)
{
	char *text;

	if (path)
		return path_from_bytes(path);
	text = malloc(16);
	if (text)
		snprintf(text, 16, "fd %d", fd);
	return text;
}
