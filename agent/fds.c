#include "fds.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <unistd.h>

int fd_raise(int fd)
{
	int saved = errno;
	int raised;

	if (fd < 0 || fd >= OWN_FD_MIN)
		return fd;
	raised = fcntl(fd, F_DUPFD_CLOEXEC, OWN_FD_MIN);
	if (raised >= 0) {
		close(fd);
		fd = raised;
	} else {
		(void)fcntl(fd, F_SETFD, FD_CLOEXEC);
	}
	errno = saved;
	return fd;
}

/* In the place of epoll_create1() for libev, which offers no way to choose its fd (meson.build). */
int __real_epoll_create1(int flags);
int __wrap_epoll_create1(int flags);

int __wrap_epoll_create1(int flags)
{
	return fd_raise(__real_epoll_create1(flags));
}
