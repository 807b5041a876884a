#include "agent_os.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/vm_sockets.h>

#include "agent/clone3.h"
#include "agent/os.h"
#include "common/detached.h"
#include "common/util.h"

/* Of a call; set by the test's thread, read by the server's. */
struct script {
	int error;
	unsigned int after;
	unsigned int times;
	size_t most;
	/* NULL: nothing. */
	void (*run)(void);
	unsigned int run_after;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct script scripts[OS_CALLS];
static unsigned int peer_cid;
/* NULL: none. */
static const char *hidden;
static const void *pretended_status;

void os_fail(enum os_call call, int error, unsigned int after, unsigned int times)
{
	pthread_mutex_lock(&lock);
	scripts[call].error = error;
	scripts[call].after = after;
	scripts[call].times = times;
	pthread_mutex_unlock(&lock);
}

void os_before(enum os_call call, unsigned int after, void (*run)(void))
{
	pthread_mutex_lock(&lock);
	scripts[call].run = run;
	scripts[call].run_after = after;
	pthread_mutex_unlock(&lock);
}

void os_shorten(enum os_call call, size_t most)
{
	pthread_mutex_lock(&lock);
	scripts[call].most = most;
	pthread_mutex_unlock(&lock);
}

unsigned int os_failures_left(enum os_call call)
{
	unsigned int times;

	pthread_mutex_lock(&lock);
	times = scripts[call].times;
	pthread_mutex_unlock(&lock);
	return times;
}

static bool fails(enum os_call call)
{
	struct script *script = &scripts[call];
	void (*run)(void) = NULL;
	bool failed = false;

	pthread_mutex_lock(&lock);
	if (script->run && script->run_after-- == 0) {
		run = script->run;
		script->run = NULL;
	}
	if (script->times > 0 && script->after > 0) {
		script->after--;
	} else if (script->times > 0) {
		script->times--;
		errno = script->error;
		failed = true;
	}
	pthread_mutex_unlock(&lock);
	if (run)
		run();
	return failed;
}

static size_t shortened(enum os_call call, size_t size)
{
	size_t most;

	pthread_mutex_lock(&lock);
	most = scripts[call].most;
	pthread_mutex_unlock(&lock);
	return most ? MIN(size, most) : size;
}

void os_hide(const char *name)
{
	pthread_mutex_lock(&lock);
	hidden = name;
	pthread_mutex_unlock(&lock);
}

static bool is_hidden(const char *name)
{
	bool is;

	pthread_mutex_lock(&lock);
	is = hidden && strcmp(name, hidden) == 0;
	pthread_mutex_unlock(&lock);
	return is;
}

void os_pretend_peer(unsigned int cid)
{
	pthread_mutex_lock(&lock);
	peer_cid = cid;
	pthread_mutex_unlock(&lock);
}

int os_accept(int fd, struct sockaddr *address, socklen_t *length, int flags)
{
	struct sockaddr_vm peer = { .svm_family = AF_VSOCK, .svm_port = 1024 };
	int accepted = fails(OS_ACCEPT) ? -1 : accept4(fd, address, length, flags);

	pthread_mutex_lock(&lock);
	peer.svm_cid = peer_cid;
	pthread_mutex_unlock(&lock);
	if (accepted >= 0 && peer.svm_cid) {
		memcpy(address, &peer, sizeof(peer));
		*length = sizeof(peer);
	}
	return accepted;
}

int os_open(const char *path, int flags, mode_t mode)
{
	return fails(OS_OPEN) ? -1 : open(path, flags, mode);
}

ssize_t os_read(int fd, void *data, size_t size)
{
	return fails(OS_READ) ? -1 : read(fd, data, shortened(OS_READ, size));
}

ssize_t os_write(int fd, const void *data, size_t size)
{
	return fails(OS_WRITE) ? -1 : write(fd, data, shortened(OS_WRITE, size));
}

ssize_t os_pread(int fd, void *data, size_t size, off_t offset)
{
	return fails(OS_READ) ? -1 : pread(fd, data, shortened(OS_READ, size), offset);
}

ssize_t os_pwrite(int fd, const void *data, size_t size, off_t offset)
{
	return fails(OS_WRITE) ? -1 : pwrite(fd, data, shortened(OS_WRITE, size), offset);
}

ssize_t os_receive(int fd, void *data, size_t size)
{
	return fails(OS_RECEIVE) ? -1 : recv(fd, data, shortened(OS_RECEIVE, size), MSG_DONTWAIT);
}

ssize_t os_send(int fd, const struct msghdr *message)
{
	size_t size = message->msg_iov[0].iov_len;

	if (fails(OS_SEND))
		return -1;
	if (shortened(OS_SEND, size) < size)
		return send(fd, message->msg_iov[0].iov_base, shortened(OS_SEND, size),
			    MSG_DONTWAIT | MSG_NOSIGNAL);
	return sendmsg(fd, message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

int os_fsync(int fd)
{
	return fails(OS_FSYNC) ? -1 : fsync(fd);
}

/* OS_CALLS: one that does not fail. */
static enum os_call call_of(long number)
{
	switch (number) {
	case SYS_renameat2:
		return OS_RENAME;
	case SYS_unlinkat:
		return OS_UNLINK;
	case SYS_statx:
		return OS_STATX;
	case SYS_openat2:
		return OS_OPENAT2;
	case SYS_getdents64:
		return OS_LIST;
	case SYS_fchmodat:
		return OS_CHMOD;
	case SYS_inotify_init1:
		return OS_INOTIFY;
	case SYS_inotify_add_watch:
		return OS_WATCH;
	default:
		return OS_CALLS;
	}
}

void os_pretend_status(const void *status)
{
	pthread_mutex_lock(&lock);
	pretended_status = status;
	pthread_mutex_unlock(&lock);
}

static long (*pretended_machine)(long number, long a, long b, long c);

void os_pretend_machine(long (*call)(long number, long a, long b, long c))
{
	pthread_mutex_lock(&lock);
	pretended_machine = call;
	pthread_mutex_unlock(&lock);
}

/* False: what there is is to be told. */
static bool pretends_status(uint32_t mask, void *status)
{
	const void *pretended;
	uint32_t told;

	pthread_mutex_lock(&lock);
	pretended = pretended_status;
	pthread_mutex_unlock(&lock);
	if (!pretended)
		return false;
	memcpy(status, pretended, 256);
	memcpy(&told, status, sizeof(told));
	told &= mask;
	memcpy(status, &told, sizeof(told));
	return true;
}

long os_call(long number, long a, long b, long c, long d, long e)
{
	enum os_call call = call_of(number);

	if (call < OS_CALLS && fails(call))
		return -1;
	if (call == OS_STATX && pretends_status((uint32_t)d, (void *)e))
		return 0;
	if (number == SYS_clock_settime || number == SYS_ioctl) {
		long (*machine)(long number, long a, long b, long c);

		pthread_mutex_lock(&lock);
		machine = pretended_machine;
		pthread_mutex_unlock(&lock);
		if (machine)
			return machine(number, a, b, c);
	}
	return syscall(number, a, b, c, d, e);
}

int os_openat(int dir, const char *name, int flags)
{
	if (is_hidden(name)) {
		errno = ENOENT;
		return -1;
	}
	return fails(OS_OPENAT) ? -1 : openat(dir, name, flags);
}

int os_detached(const char *fstype)
{
	return fails(OS_DETACHED) ? -1 : detached_mount(fstype);
}

int os_clone(int (*function)(void *), void *stack_end, int flags, void *argument, int *pidfd,
	     int cgroup)
{
	if (fails(OS_CLONE))
		return -1;
	if (cgroup >= 0)
		return clone3_into(cgroup, function, stack_end, flags, argument, pidfd);
	return clone(function, stack_end, flags, argument, pidfd);
}
