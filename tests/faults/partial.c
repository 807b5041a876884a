/*
 * The process waits in its call, whose arguments cannot be changed: nothing says that the kernel
 * would read them before the process, or one that shares its memory, does. So the call is made
 * here, on a copy of the process's descriptor, which shares all there is of it, and one byte goes
 * between the memories.
 */
#include "partial.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/util.h"

#define MAX_FDS 16

const int partial_calls[] = { SYS_read,     SYS_write,  SYS_pread64, SYS_pwrite64,
			      SYS_readv,    SYS_writev, SYS_recvmsg, SYS_sendmsg,
			      SYS_recvfrom, SYS_sendto, -1 };

struct partial {
	pid_t pid;
	int number;
	bool writes;
	int flags;      /* of a call on sockets */
	off_t offset;   /* of one that has it */
	uint64_t place; /* of the first byte in the process's memory */
	uint64_t length;
	uint64_t message_place; /* of a struct msghdr, or 0 */
	struct msghdr message;
};

static bool copy_in(pid_t pid, void *to, uint64_t from, size_t length)
{
	struct iovec here = { to, length }, there = { (void *)(uintptr_t)from, length };

	return process_vm_readv(pid, &here, 1, &there, 1, 0) == (ssize_t)length;
}

static bool copy_out(pid_t pid, uint64_t to, void *from, size_t length)
{
	struct iovec here = { from, length }, there = { (void *)(uintptr_t)to, length };

	return process_vm_writev(pid, &here, 1, &there, 1, 0) == (ssize_t)length;
}

/* The first byte of so many buffers, and how many they have together. */
static bool take_iov(struct partial *partial, uint64_t place, uint64_t count)
{
	for (uint64_t i = 0; i < count; i++) {
		struct iovec iov;

		if (!copy_in(partial->pid, &iov, place + i * sizeof(iov), sizeof(iov)))
			return false;
		if (partial->length == 0)
			partial->place = (uintptr_t)iov.iov_base;
		partial->length += iov.iov_len;
	}
	return true;
}

static bool take_message(struct partial *partial, uint64_t place)
{
	partial->message_place = place;
	return copy_in(partial->pid, &partial->message, place, sizeof(partial->message)) &&
	       take_iov(partial, (uintptr_t)partial->message.msg_iov, partial->message.msg_iovlen);
}

static bool take(struct partial *partial, const struct seccomp_notif *request)
{
	const __u64 *args = request->data.args;

	*partial = (struct partial){ .pid = (pid_t)request->pid, .number = request->data.nr };
	switch (request->data.nr) {
	case SYS_write:
	case SYS_pwrite64:
	case SYS_writev:
	case SYS_sendmsg:
	case SYS_sendto:
		partial->writes = true;
	}
	switch (request->data.nr) {
	case SYS_readv:
	case SYS_writev:
		return take_iov(partial, args[1], args[2]);
	case SYS_recvmsg:
	case SYS_sendmsg:
		partial->flags = (int)args[2];
		return take_message(partial, args[1]);
	default:
		partial->place = args[1];
		partial->length = args[2];
		/* Each has one of the two there. */
		partial->flags = (int)args[3];
		partial->offset = (off_t)args[3];
		return true;
	}
}

/* Of the process's main thread alone: another's has no pidfd. */
static int copy_fd(const struct seccomp_notif *request)
{
	cleanup_close int pidfd = (int)syscall(SYS_pidfd_open, request->pid, 0);

	return pidfd < 0 ? -1 : (int)syscall(SYS_pidfd_getfd, pidfd, (int)request->data.args[0], 0);
}

/* What the kernel makes of a write to /proc or /sys is one value, of a read of /dev/kmsg one line.
 */
static bool is_stream(int fd, const char *target, bool writes)
{
	int type = 0;
	socklen_t length = sizeof(type);

	if (strncmp(target, "socket:", 7) == 0)
		return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) == 0 &&
		       type == SOCK_STREAM;
	if (writes && (strncmp(target, "/proc/", 6) == 0 || strncmp(target, "/sys/", 5) == 0))
		return false;
	return (strncmp(target, "pipe:", 5) == 0 || *target == '/') &&
	       strcmp(target, "/dev/kmsg") != 0;
}

bool partial_applies(const struct seccomp_notif *request, const char *target)
{
	cleanup_close int fd = copy_fd(request);
	struct partial partial;
	struct pollfd ready = { .fd = fd };

	if (fd < 0 || !take(&partial, request) || partial.length < 2)
		return false;
	/* Descriptors that go along would have to be the same ones here. */
	if (partial.writes && partial.message.msg_controllen > 0)
		return false;
	ready.events = partial.writes ? POLLOUT : POLLIN;
	return is_stream(fd, target, partial.writes) && poll(&ready, 1, 0) == 1 &&
	       ready.revents == ready.events;
}

/* Gives the process the descriptors that came along, at the numbers that they get there. */
static void pass_fds(int listener, uint64_t id, struct msghdr *received)
{
	for (struct cmsghdr *control = CMSG_FIRSTHDR(received); control;
	     control = CMSG_NXTHDR(received, control)) {
		size_t count = (control->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (control->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < count; i++) {
			unsigned char *at = CMSG_DATA(control) + i * sizeof(int);
			struct seccomp_notif_addfd add = { .id = id, .newfd_flags = O_CLOEXEC };
			int fd;

			memcpy(&fd, at, sizeof(fd));
			add.srcfd = (unsigned int)fd;
			fd = ioctl(listener, SECCOMP_IOCTL_NOTIF_ADDFD, &add);
			close((int)add.srcfd);
			memcpy(at, &fd, sizeof(fd));
		}
	}
}

static ssize_t receive_message(int listener, uint64_t id, struct partial *partial, int fd,
			       struct iovec *iov)
{
	union {
		struct cmsghdr align;
		unsigned char bytes[CMSG_SPACE(MAX_FDS * sizeof(int))];
	} control;
	struct msghdr received = { .msg_iov = iov,
				   .msg_iovlen = 1,
				   .msg_control = control.bytes,
				   .msg_controllen =
					   MIN(sizeof(control), partial->message.msg_controllen) };
	ssize_t count = recvmsg(fd, &received, partial->flags);

	if (count < 0)
		return count;
	pass_fds(listener, id, &received);
	partial->message.msg_namelen = 0;
	partial->message.msg_controllen = received.msg_controllen;
	partial->message.msg_flags = received.msg_flags;
	if (!copy_out(partial->pid, (uintptr_t)partial->message.msg_control, control.bytes,
		      received.msg_controllen) ||
	    !copy_out(partial->pid, partial->message_place, &partial->message,
		      sizeof(partial->message))) {
		errno = EFAULT;
		return -1;
	}
	return count;
}

static ssize_t make(int listener, uint64_t id, struct partial *partial, int fd, char *byte)
{
	struct iovec iov = { .iov_base = byte, .iov_len = 1 };

	switch (partial->number) {
	case SYS_pread64:
		return pread(fd, byte, 1, partial->offset);
	case SYS_pwrite64:
		return pwrite(fd, byte, 1, partial->offset);
	case SYS_recvfrom:
		return recv(fd, byte, 1, partial->flags);
	case SYS_recvmsg:
		return receive_message(listener, id, partial, fd, &iov);
	case SYS_sendmsg:
	case SYS_sendto:
		return send(fd, byte, 1, partial->flags);
	case SYS_write:
	case SYS_writev:
		return write(fd, byte, 1);
	default:
		return read(fd, byte, 1);
	}
}

void partial_make(int listener, const struct seccomp_notif *request,
		  struct seccomp_notif_resp *response)
{
	cleanup_close int fd = copy_fd(request);
	struct partial partial;
	char byte;
	ssize_t count = -1;

	errno = EFAULT;
	if (take(&partial, request) &&
	    (!partial.writes || copy_in(partial.pid, &byte, partial.place, 1)))
		count = make(listener, request->id, &partial, fd, &byte);
	if (count > 0 && !partial.writes && !copy_out(partial.pid, partial.place, &byte, 1))
		count = -1;
	response->val = count;
	if (count < 0) {
		response->val = 0;
		response->error = -errno;
	}
}
