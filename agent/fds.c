#include "fds.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/util.h"

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

void fds_close_others(const int *keep, size_t count)
{
	unsigned int from = OWN_FD_MIN, next;

	do {
		next = UINT_MAX;
		for (size_t i = 0; i < count; i++)
			if (keep[i] >= (int)from)
				next = MIN(next, (unsigned int)keep[i]);
		if (next > from)
			syscall(SYS_close_range, from, next == UINT_MAX ? next : next - 1, 0);
		from = next + 1;
	} while (next != UINT_MAX);
}

/* In the place of epoll_create1() for libev, which offers no way to choose its fd (meson.build). */
int __real_epoll_create1(int flags);
int __wrap_epoll_create1(int flags);

int __wrap_epoll_create1(int flags)
{
	return fd_raise(__real_epoll_create1(flags));
}
