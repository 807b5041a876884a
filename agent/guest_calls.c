/*
 * System calls of the guest's programs, in the place of the C library's functions, which are
 * cancellation points, or know what to do on kernels older than ours: 3 KiB of the agent.
 *
 * musl pads struct msghdr where the kernel has a size_t (recvmsg(2)): who calls sendmsg() has
 * cleared it, as an initialiser does.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* The argument that may follow: one that does not is not looked at by the kernel. */
#define LAST_ARGUMENT(last, value)               \
	do {                                     \
		va_list arguments;               \
		va_start(arguments, last);       \
		value = va_arg(arguments, long); \
		va_end(arguments);               \
	} while (0)

int open(const char *path, int flags, ...)
{
	long mode;

	LAST_ARGUMENT(flags, mode);
	return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

int openat(int dir, const char *path, int flags, ...)
{
	long mode;

	LAST_ARGUMENT(flags, mode);
	return (int)syscall(SYS_openat, dir, path, flags, mode);
}

int fcntl(int fd, int command, ...)
{
	long argument;

	LAST_ARGUMENT(command, argument);
	return (int)syscall(SYS_fcntl, fd, command, argument);
}

void *mremap(void *address, size_t size, size_t new_size, int flags, ...)
{
	long new_address;

	LAST_ARGUMENT(flags, new_address);
	return (void *)syscall(SYS_mremap, address, size, new_size, flags, new_address);
}

int pipe2(int fds[2], int flags)
{
	return (int)syscall(SYS_pipe2, fds, flags);
}

int fchmod(int fd, mode_t mode)
{
	return (int)syscall(SYS_fchmod, fd, mode);
}

int socket(int domain, int type, int protocol)
{
	return (int)syscall(SYS_socket, domain, type, protocol);
}

int accept4(int fd, struct sockaddr *restrict address, socklen_t *restrict size, int flags)
{
	return (int)syscall(SYS_accept4, fd, address, size, flags);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
	return syscall(SYS_sendmsg, fd, message, flags);
}

int signalfd(int fd, const sigset_t *set, int flags)
{
	return (int)syscall(SYS_signalfd4, fd, set, _NSIG / 8, flags);
}

int nanosleep(const struct timespec *time, struct timespec *left)
{
	return (int)syscall(SYS_nanosleep, time, left);
}

/* A handler that somebody has set has its turn, and does not keep it from ending. */
void abort(void)
{
	syscall(SYS_kill, getpid(), SIGABRT);
	__builtin_trap();
}
