#include "os.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/clone3.h"
#include "common/detached.h"

#define RETRY(call)                                      \
	({                                               \
		__typeof__(call) result_;                \
		do                                       \
			result_ = (call);                \
		while (result_ == -1 && errno == EINTR); \
		result_;                                 \
	})

int os_accept(int fd, struct sockaddr *address, socklen_t *length, int flags)
{
	return RETRY(accept4(fd, address, length, flags));
}

int os_open(const char *path, int flags, mode_t mode)
{
	return RETRY(open(path, flags, mode));
}

ssize_t os_read(int fd, void *data, size_t size)
{
	return RETRY(read(fd, data, size));
}

ssize_t os_write(int fd, const void *data, size_t size)
{
	return RETRY(write(fd, data, size));
}

ssize_t os_pread(int fd, void *data, size_t size, off_t offset)
{
	return RETRY(pread(fd, data, size, offset));
}

ssize_t os_pwrite(int fd, const void *data, size_t size, off_t offset)
{
	return RETRY(pwrite(fd, data, size, offset));
}

ssize_t os_receive(int fd, void *data, size_t size)
{
	return RETRY(recv(fd, data, size, MSG_DONTWAIT));
}

ssize_t os_send(int fd, const struct msghdr *message)
{
	return RETRY(sendmsg(fd, message, MSG_DONTWAIT | MSG_NOSIGNAL));
}

int os_fsync(int fd)
{
	return RETRY(fsync(fd));
}

long os_call(long number, long a, long b, long c, long d, long e)
{
	return RETRY(syscall(number, a, b, c, d, e));
}

int os_openat(int dir, const char *name, int flags)
{
	return RETRY(openat(dir, name, flags));
}

int os_detached(const char *fstype)
{
	return detached_mount(fstype);
}

/*
 * clone3(2) only where it is needed: filters of system calls cannot look into its arguments, and
 * those of containers refuse it for that.
 */
int os_clone(int (*function)(void *), void *stack_end, int flags, void *argument, int *pidfd,
	     int cgroup)
{
	if (cgroup >= 0)
		return clone3_into(cgroup, function, stack_end, flags, argument, pidfd);
	return clone(function, stack_end, flags, argument, pidfd);
}
