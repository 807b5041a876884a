#include "fds.h"

#include <errno.h>
#include <fcntl.h>
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
