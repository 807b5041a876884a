/*
 * Bytes that a host sends, to the real server: framing, decoding, the table's checks, the handlers
 * and what they queue.
 *
 * System calls that would reach the machine are replaced (agent/os.h): every file is an empty one
 * of its own in memory, no process is ever made, and the power stays on. The calls of programs
 * write to the programs' buffers and to nothing else. What is wanted: no crash, no finding of the
 * sanitizers, and a server that ends when the host's side has ended.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <linux/stat.h>

#include "agent/arch.h"
#include "agent/log.h"
#include "agent/os.h"
#include "agent/server.h"
#include "agent/shared.h"
#include "common/cleanup.h"
#include "common/util.h"
#include "tests/fuzz/mutate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed);

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed)
{
	return mutate_frames(data, size, max_size, seed);
}

/* So little that the socket takes it at once. */
#define MAX_SENT   8192

/* Bytes of an AUTH with a small id and a token. */
#define AUTH_FRAME 39

/* The host's end of the connection. */
static int host_fd;

/* What the supervisor shares with servers. */
static struct shared *shared;

/* Of the program that this thread has mapped last, buffers that its calls may write to. */
static _Thread_local struct {
	uint8_t *start;
	size_t size;
} writable[16];
static _Thread_local size_t n_writable;

/* In the place of these (--wrap of the linker), which the agent only calls for such buffers. mmap64
 * is what _FILE_OFFSET_BITS=64 makes of mmap. */
void *__wrap_mmap64(void *address, size_t size, int protection, int flags, int fd, off_t offset);
void *__real_mmap64(void *address, size_t size, int protection, int flags, int fd, off_t offset);
int __wrap_mprotect(void *address, size_t size, int protection);
int __real_mprotect(void *address, size_t size, int protection);

/* All buffers of a program, before any can be accessed (agent/program_buffers.c). */
void *__wrap_mmap64(void *address, size_t size, int protection, int flags, int fd, off_t offset)
{
	if (protection == PROT_NONE)
		n_writable = 0;
	return __real_mmap64(address, size, protection, flags, fd, offset);
}

int __wrap_mprotect(void *address, size_t size, int protection)
{
	if (protection == (PROT_READ | PROT_WRITE) && n_writable < ARRAY_SIZE(writable)) {
		writable[n_writable].start = address;
		writable[n_writable++].size = size;
	}
	return __real_mprotect(address, size, protection);
}

static bool is_writable(uint64_t address)
{
	for (size_t i = 0; i < n_writable; i++)
		if (address - (uintptr_t)writable[i].start < writable[i].size)
			return true;
	return false;
}

/* As the kernel does it, for which a buffer that is read-only is not there. */
static int64_t write_to_buffers(const uint64_t args[6])
{
	static uint8_t bytes[64];
	struct iovec local = { bytes, sizeof(bytes) };
	int64_t count = 0;

	for (int i = 0; i < 6; i++) {
		struct iovec remote = { (void *)(uintptr_t)args[i], sizeof(bytes) };

		if (is_writable(args[i]))
			count += process_vm_writev(getpid(), &local, 1, &remote, 1, 0);
	}
	return count;
}

/* As the supervisor does it for a call whose time is up. */
static int64_t interrupt(void)
{
	struct watch_page *page = &shared->watch;
	int32_t tid = (int32_t)syscall(SYS_gettid);

	for (uint32_t i = 0; i < page->slots_used; i++) {
		if (page->slots[i].tid != tid || page->slots[i].pid == 0)
			continue;
		page->slots[i].state |= WATCH_CLAIMED;
		strcpy(page->diagnoses[i].syscall, "running\xff");
	}
	return -EINTR;
}

/*
 * What a program would do to this machine is not done. What it would do to the program is: by its
 * number a call fails, succeeds, writes to where its arguments point, or takes too long.
 */
int64_t arch_call(uint64_t number, const uint64_t args[6])
{
	switch (number % 16) {
	case 2:
	case 10:
		return write_to_buffers(args);
	case 7:
		return interrupt();
	default:
		return number % 2 ? -ENOSYS : (int64_t)args[0];
	}
}

/* Its child has parked at once (agent/program_run.c). */
int64_t arch_fork(uint64_t number, const uint64_t args[6], uintptr_t parking)
{
	(void)args;
	((struct arch_parking *)(parking & ~(uintptr_t)PARK_OWN_FILES))->parked = 1;
	return (int64_t)number;
}

const char arch_call_done[1];

int os_accept(int fd, struct sockaddr *address, socklen_t *length, int flags)
{
	(void)fd;
	(void)address;
	(void)length;
	(void)flags;
	errno = EAGAIN;
	return -1;
}

/* Some names do not exist, so that this way is taken too. */
int os_open(const char *path, int flags, mode_t mode)
{
	int fd;

	(void)mode;
	if (strchr(path, '!') && !(flags & O_CREAT)) {
		errno = ENOENT;
		return -1;
	}
	fd = memfd_create("file", MFD_CLOEXEC);
	if (fd >= 0 && !strchr(path, '0') && write(fd, path, strlen(path)) < 0)
		return close_fd(fd);
	if (fd >= 0)
		lseek(fd, 0, SEEK_SET);
	return fd;
}

ssize_t os_read(int fd, void *data, size_t size)
{
	return read(fd, data, size);
}

/* A file that is given an offset must not fill the memory. */
ssize_t os_write(int fd, const void *data, size_t size)
{
	if (lseek(fd, 0, SEEK_CUR) > (off_t)1 << 20) {
		errno = EFBIG;
		return -1;
	}
	return write(fd, data, size);
}

ssize_t os_receive(int fd, void *data, size_t size)
{
	return recv(fd, data, size, MSG_DONTWAIT);
}

/* The host reads when less than all has had room, so that nobody waits for it in vain. */
ssize_t os_send(int fd, const struct msghdr *message)
{
	ssize_t count = sendmsg(fd, message, MSG_DONTWAIT | MSG_NOSIGNAL);
	int error = errno;
	static char replies[65536];
	size_t offered = 0;

	for (size_t i = 0; i < message->msg_iovlen; i++)
		offered += message->msg_iov[i].iov_len;
	if (count < (ssize_t)offered)
		while (recv(host_fd, replies, sizeof(replies), MSG_DONTWAIT) > 0)
			;
	errno = error;
	return count;
}

int os_fsync(int fd)
{
	(void)fd;
	return 0;
}

ssize_t os_pread(int fd, void *data, size_t size, off_t offset)
{
	return pread(fd, data, size, offset);
}

ssize_t os_pwrite(int fd, const void *data, size_t size, off_t offset)
{
	(void)fd;
	(void)data;
	(void)size;
	(void)offset;
	errno = ENOSPC;
	return -1;
}

/* Files of ours are in memory and take seals; the fds of everything else are not to be had. */
static long stat_file(int fd, const char *name, struct statx *status)
{
	if (!name[0] && fcntl(fd, F_GET_SEALS) < 0) {
		errno = EBADF;
		return -1;
	}
	memset(status, 0, sizeof(*status));
	status->stx_mode = S_IFREG;
	status->stx_ino = name[0] ? strlen(name) : 9;
	return 0;
}

/* A directory holds one entry for each time that it is asked, and the end comes at random. */
static long list_directory(char *entries)
{
	static const char one[24] = "\1\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\30\0\4name";
	static unsigned int count;

	if (++count % 3 == 0)
		return 0;
	memcpy(entries, one, sizeof(one));
	return sizeof(one);
}

/* No name is touched, and nothing is looked at but what is ours. */
long os_call(long number, long a, long b, long c, long d, long e)
{
	static unsigned int count;

	switch (number) {
	case SYS_statx:
		return stat_file((int)a, (const char *)b, (struct statx *)e);
	case SYS_openat2:
		return os_open("directory", 0, 0);
	case SYS_getdents64:
		return list_directory((char *)b);
	case SYS_unlinkat:
		errno = ENOTEMPTY;
		return ++count % 2 ? 0 : -1;
	case SYS_inotify_init1:
		return inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	case SYS_inotify_add_watch:
		return 1;
	case SYS_readlinkat:
		memset((void *)c, '/', (size_t)d);
		return d;
	default:
		errno = ENOSYS;
		return a == AT_FDCWD ? 0 : -1;
	}
}

int os_openat(int dir, const char *name, int flags)
{
	return openat(dir, name, flags);
}

/* No commands in cgroups: their directories would be the machine's. */
int os_detached(const char *fstype)
{
	(void)fstype;
	errno = EPERM;
	return -1;
}

int os_clone(int (*function)(void *), void *stack_end, int flags, void *argument, int *pidfd,
	     int cgroup)
{
	(void)cgroup;
	(void)function;
	(void)stack_end;
	(void)flags;
	(void)argument;
	(void)pidfd;
	errno = EAGAIN;
	return -1;
}

/* A new supervisor's: no slot is taken. */
static struct shared *renew_shared(void)
{
	if (!shared) {
		shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
			      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
		if (shared == MAP_FAILED)
			abort();
	}
	memset(shared->watch.slots, 0, shared->watch.slots_used * sizeof(shared->watch.slots[0]));
	shared->watch.slots_used = 0;
	shared->watch.armed_ns = WATCH_NEVER;
	return shared;
}

static int keep_power(int mode, bool sync, unsigned int sync_timeout_ms)
{
	(void)mode;
	(void)sync;
	(void)sync_timeout_ms;
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct server_config config = {
		.listen_fd = -1,
		.stop_fd = -1,
		.life_fd = -1,
		/* Of a worker, which makes none. */
		.shared = renew_shared(),
		.watch_timer_fd = -1,
		.worker_event_fd = -1,
		.agent_life_fd = -1,
		.role = SERVER_FORK_WORKER,
		.proc_fd = -1,
		.dev_fd = -1,
		.power = keep_power,
	};
	static const uint8_t token[] = "TTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTT";
	int pair[2];

	if (size > MAX_SENT)
		return -1;
	log_set_level(LEVEL_ERROR);
	/* What begins with a frame of the length of an AUTH is asked for one. */
	if (size > 0 && data[0] == AUTH_FRAME)
		config.token = token;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		abort();
	host_fd = pair[1];
	if (send(pair[1], data, size, MSG_DONTWAIT) != (ssize_t)size)
		abort();
	shutdown(pair[1], SHUT_WR);
	config.connection_fd = pair[0];
	if (server_run(&config) != 0)
		abort();
	close(pair[1]);
	return 0;
}
