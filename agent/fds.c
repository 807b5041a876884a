#include "fds.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/close_range.h>
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

static bool is_among(const int *fds, size_t count, int fd)
{
	for (size_t i = 0; i < count; i++)
		if (fds[i] == fd)
			return true;
	return false;
}

/* Those that are kept were opened early, and are the lowest. */
bool fds_leave(const int *keep, size_t count)
{
	int above = OWN_FD_MIN;

	for (size_t i = 0; i < count; i++)
		above = MAX(above, keep[i] + 1);
	/* Of a table that is shared only what is below is copied. */
	if (syscall(SYS_close_range, above, UINT_MAX, CLOSE_RANGE_UNSHARE) < 0)
		return false;
	for (int fd = OWN_FD_MIN; fd < above; fd++)
		if (!is_among(keep, count, fd))
			close(fd);
	return true;
}

/* In the place of epoll_create1() for libev, which offers no way to choose its fd (meson.build). */
int __real_epoll_create1(int flags);
int __wrap_epoll_create1(int flags);

int __wrap_epoll_create1(int flags)
{
	return fd_raise(__real_epoll_create1(flags));
}
