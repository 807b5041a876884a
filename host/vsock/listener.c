#include "host/vsock/listener.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/cleanup.h"

/* A burst of connections shall not be refused; the kernel caps it at net.core.somaxconn. */
#define BACKLOG 4096

static int unix_address(struct sockaddr_un *address, const char *path)
{
	size_t length = strlen(path);

	if (length == 0 || length >= sizeof(address->sun_path))
		return -ENAMETOOLONG;
	*address = (struct sockaddr_un){ .sun_family = AF_UNIX };
	memcpy(address->sun_path, path, length + 1);
	return 0;
}

int unix_connect(const char *path)
{
	cleanup_close int fd = -1;
	struct sockaddr_un address;
	int result = unix_address(&address, path);

	if (result < 0)
		return result;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	do
		result = connect(fd, (struct sockaddr *)&address, sizeof(address));
	while (result < 0 && errno == EINTR);
	return result < 0 ? -errno : steal_fd(&fd);
}

/* Removes a socket that was left behind. */
static int remove_stale(const char *path, struct reason *reason)
{
	cleanup_close int fd = -1;
	struct stat status;

	if (lstat(path, &status) < 0)
		return errno == ENOENT ? 0 : refuse(reason, errno, "%s: %s", path, strerror(errno));
	if (!S_ISSOCK(status.st_mode))
		return refuse(reason, EEXIST, "%s exists and is not a socket", path);
	fd = unix_connect(path);
	if (fd >= 0 || fd == -EAGAIN)
		return refuse(reason, EADDRINUSE, "%s is in use by another process", path);
	if (fd != -ECONNREFUSED)
		return refuse(reason, -fd, "%s: %s", path, strerror(-fd));
	if (unlink(path) < 0)
		return refuse(reason, errno, "%s: unlink: %s", path, strerror(errno));
	return 0;
}

int listener_open(struct listener *listener, const char *path, struct reason *reason)
{
	cleanup_close int fd = -1;
	struct sockaddr_un address;
	struct stat status;
	int result;

	if (unix_address(&address, path) < 0)
		return refuse(reason, ENAMETOOLONG, "\"%s\": a socket's path has 1 to %zu bytes",
			      path, sizeof(address.sun_path) - 1);
	result = remove_stale(path, reason);
	if (result < 0)
		return result;

	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    listen(fd, BACKLOG) < 0 || lstat(path, &status) < 0)
		return refuse(reason, errno, "%s: %s", path, strerror(errno));

	*listener = (struct listener){
		.fd = steal_fd(&fd), .path = path, .device = status.st_dev, .inode = status.st_ino
	};
	return 0;
}

void listener_close(struct listener *listener)
{
	struct stat status;

	if (listener->fd >= 0 && listener->path && lstat(listener->path, &status) == 0 &&
	    status.st_dev == listener->device && status.st_ino == listener->inode)
		unlink(listener->path);
	listener->fd = close_fd(listener->fd);
}
