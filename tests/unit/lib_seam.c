#undef send
#undef recv
#undef write

#include <errno.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib_seam.h"

struct seam seam;

/* Whether this call is to fail first. */
static bool disturbed(void)
{
	if (seam.interrupt && seam.calls++ % 2 == 0) {
		errno = EINTR;
		return true;
	}
	if (seam.again && seam.calls++ % 2 == 0) {
		errno = EAGAIN;
		return true;
	}
	return false;
}

static size_t cut(size_t size)
{
	return seam.most && size > seam.most ? seam.most : size;
}

ssize_t seam_send(int fd, const void *data, size_t size, int flags)
{
	if (disturbed())
		return -1;
	if (seam.send_errno) {
		errno = seam.send_errno;
		return -1;
	}
	return send(fd, data, cut(size), flags);
}

ssize_t seam_recv(int fd, void *data, size_t size, int flags)
{
	if (disturbed())
		return -1;
	if (seam.recv_errno) {
		errno = seam.recv_errno;
		return -1;
	}
	return recv(fd, data, cut(size), flags);
}

ssize_t seam_write(int fd, const void *data, size_t size)
{
	if (!seam.write_errno)
		return write(fd, data, size);
	if (seam.write_room == 0) {
		errno = seam.write_errno;
		return -1;
	}
	if (size > seam.write_room)
		size = seam.write_room;
	seam.write_room -= size;
	return write(fd, data, size);
}
