#include "agent/listen.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <linux/vm_sockets.h>

#include "agent/fds.h"
#include "common/cleanup.h"

/* A burst of short connections overruns a queue of 128, and what does not fit is refused. */
#define BACKLOG 4096

static int listen_at(const struct sockaddr *address, socklen_t size)
{
	cleanup_close int fd =
		fd_raise(socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));

	/* Of a Unix socket the mode of its file (net/unix/af_unix.c, unix_bind). */
	if (fd < 0 || fchmod(fd, 0600) < 0 || bind(fd, address, size) < 0 ||
	    listen(fd, BACKLOG) < 0)
		return -1;
	return steal_fd(&fd);
}

int listen_vsock(uint32_t port)
{
	struct sockaddr_vm address = {
		.svm_family = AF_VSOCK,
		.svm_port = port,
		.svm_cid = VMADDR_CID_ANY,
	};

	return listen_at((const struct sockaddr *)&address, sizeof(address));
}

int listen_unix(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	if (strlen(path) >= sizeof(address.sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(address.sun_path, path, strlen(path));
	return listen_at((const struct sockaddr *)&address, sizeof(address));
}
