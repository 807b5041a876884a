/*
 * System calls of the guest's programs, in the place of the C library's functions, which are
 * cancellation points, keep books for such as nobody uses here, or know what to do on kernels older
 * than ours: 4 KiB of the agent.
 *
 * musl pads struct msghdr where the kernel has a size_t (recvmsg(2)): who calls sendmsg() has
 * cleared it, as an initialiser does.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "agent/threads.h"

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

/*
 * The C library's waits for threads that may be at work on a lock of other processes in what goes
 * (its vmlock); here is none. In a worker that was copied while a thread of the server was ending,
 * it waited for ever: that thread does not exist there.
 */
int munmap(void *address, size_t size)
{
	return (int)syscall(SYS_munmap, address, size);
}

/* musl's, hidden there: held by a thread from the middle of its end until the kernel clears it. */
__attribute__((visibility("hidden"))) extern volatile int __thread_list_lock;

/* As its fork() does it, for a copy by clone(2): pthread_create() would wait for ever. */
void guest_threads_forked(void)
{
	/* What is not written to need not be copied. */
	if (__thread_list_lock)
		__thread_list_lock = 0;
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

/* The kernel's (rt_sigaction(2)), and where it returns to from a handler: musl's, hidden there. */
struct kernel_sigaction {
	void (*handler)(int number);
	unsigned long flags;
	void (*restorer)(void);
	uint64_t mask;
};
#define KERNEL_SA_RESTORER 0x04000000
__attribute__((visibility("hidden"))) extern void __restore_rt(void);

int sigaction(int number, const struct sigaction *restrict action, struct sigaction *restrict old)
{
	struct kernel_sigaction set = {
		.handler = action->sa_handler,
		.flags = (unsigned long)action->sa_flags | KERNEL_SA_RESTORER,
		.restorer = __restore_rt,
	};

	/* Nobody here asks for it. */
	(void)old;
	memcpy(&set.mask, &action->sa_mask, sizeof(set.mask));
	return (int)syscall(SYS_rt_sigaction, number, &set, NULL, sizeof(set.mask));
}

/* What was there before is not told. */
void (*signal(int number, void (*handler)(int)))(int)
{
	const struct sigaction action = { .sa_handler = handler, .sa_flags = SA_RESTART };

	return sigaction(number, &action, NULL) < 0 ? SIG_ERR : SIG_DFL;
}

/* A handler that somebody has set has its turn, and does not keep it from ending. */
void abort(void)
{
	syscall(SYS_kill, getpid(), SIGABRT);
	__builtin_trap();
}
