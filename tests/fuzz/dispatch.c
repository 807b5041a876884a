/*
 * Bytes that a host sends, to the real server: framing, decoding, the table's checks, the handlers
 * and what they queue.
 *
 * System calls that would reach the machine are replaced (agent/os.h): every file is an empty one
 * of its own in memory, no process is ever made, and the power stays on. What is wanted: no crash,
 * no finding of the sanitizers, and a server that ends when the host's side has ended.
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
#include <unistd.h>

#include <linux/stat.h>

#include "agent/arch.h"
#include "agent/log.h"
#include "agent/os.h"
#include "agent/server.h"
#include "common/cleanup.h"
#include "tests/fuzz/mutate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed);

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed)
{
	return mutate_frames(data, size, max_size, seed);
}

/* So little that the socket takes it, and all replies to it, at once: nobody else is needed. */
#define MAX_INPUT  8192
#define ROOM       (1 << 20)

/* Bytes of an AUTH with a small id and a token. */
#define AUTH_FRAME 39

/* What a program would do to this machine is not done. */
int64_t arch_call(uint64_t number, const uint64_t args[6])
{
	return number % 2 ? -ENOSYS : (int64_t)args[0];
}

int64_t arch_fork(uint64_t number, const uint64_t args[6], uint64_t flags)
{
	(void)args;
	return (int64_t)(number + flags);
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

ssize_t os_send(int fd, const struct msghdr *message)
{
	return sendmsg(fd, message, MSG_DONTWAIT | MSG_NOSIGNAL);
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
		.proc_fd = -1,
		.dev_fd = -1,
		.power = keep_power,
	};
	static const uint8_t token[] = "TTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTT";
	int room = ROOM;
	int pair[2];

	if (size > MAX_INPUT)
		return -1;
	log_set_level(LEVEL_ERROR);
	/* What begins with a frame of the length of an AUTH is asked for one. */
	if (size > 0 && data[0] == AUTH_FRAME)
		config.token = token;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		abort();
	(void)setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
	if (send(pair[1], data, size, MSG_DONTWAIT) != (ssize_t)size)
		abort();
	shutdown(pair[1], SHUT_WR);
	config.connection_fd = pair[0];
	if (server_run(&config) != 0)
		abort();
	close(pair[1]);
	return 0;
}
