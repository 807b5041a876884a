/*
 * vhost-user messages on their socket.
 *
 * Header and payload are read by calls of their own and never a byte beyond them: fds come with the
 * bytes that they were sent with, and a larger read could mix up whose they are. The header is
 * judged before its payload is read, so no length from outside decides how much memory is used.
 */
#include "host/vsock/message.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/util.h"
#include "host/vsock/iov.h"

#define HEADER_SIZE sizeof(struct vhost_user_header)

void message_reader_init(struct message_reader *reader)
{
	memset(reader, 0, sizeof(*reader));
}

void message_reader_finish(struct message_reader *reader)
{
	vhost_user_message_finish(&reader->message);
	message_reader_init(reader);
}

void message_reader_next(struct message_reader *reader)
{
	message_reader_finish(reader);
}

/* Takes the fds that came along; all are closed when they are more than a message may have. */
static int take_fds(struct vhost_user_message *message, struct msghdr *received,
		    struct reason *reason)
{
	bool too_many = received->msg_flags & MSG_CTRUNC;

	for (struct cmsghdr *control = CMSG_FIRSTHDR(received); control;
	     control = CMSG_NXTHDR(received, control)) {
		size_t count;

		if (control->cmsg_level != SOL_SOCKET || control->cmsg_type != SCM_RIGHTS)
			continue;
		count = (control->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < count; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(control) + i * sizeof(fd), sizeof(fd));
			if (message->fd_count < VHOST_USER_MAX_FDS) {
				message->fds[message->fd_count++] = fd;
			} else {
				close(fd);
				too_many = true;
			}
		}
	}
	if (too_many)
		return refuse(reason, EPROTO,
			      "more fds than any message has, or than there are left");
	return 0;
}

/* Reads at most length bytes: how many (0 at the end), or a negative errno. */
static ssize_t read_part(struct vhost_user_message *message, int fd, void *buffer, size_t length,
			 struct reason *reason)
{
	struct iovec iov = { .iov_base = buffer, .iov_len = length };
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(VHOST_USER_MAX_FDS * sizeof(int))];
	} control;
	struct msghdr received = { .msg_iov = &iov,
				   .msg_iovlen = 1,
				   .msg_control = control.bytes,
				   .msg_controllen = sizeof(control.bytes) };
	ssize_t count;
	int result;

	do
		count = recvmsg(fd, &received, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	while (count < 0 && errno == EINTR);
	if (count < 0)
		return refuse(reason, errno, "recvmsg: %s", strerror(errno));

	result = take_fds(message, &received, reason);
	return result < 0 ? result : count;
}

int message_read(struct message_reader *reader, int fd, struct reason *reason)
{
	struct vhost_user_message *message = &reader->message;

	for (;;) {
		bool in_header = reader->received < HEADER_SIZE;
		uint8_t *part =
			in_header ? (uint8_t *)&message->header : (uint8_t *)&message->payload;
		size_t length = in_header ? HEADER_SIZE : message->header.size;
		size_t done = reader->received - (in_header ? 0 : HEADER_SIZE);
		ssize_t count;
		int result;

		if (!in_header && done == length)
			return 1;

		count = read_part(message, fd, part + done, length - done, reason);
		if (count == -EAGAIN)
			return 0;
		if (count == 0 && reader->received == 0)
			return -ENOTCONN;
		if (count == 0)
			return refuse(reason, EPROTO, "closed in the middle of a message");
		if (count < 0)
			return (int)count;

		reader->received += (size_t)count;
		if (in_header && reader->received == HEADER_SIZE) {
			result = vhost_user_check_header(&message->header, reason);
			if (result < 0)
				return result;
		}
	}
}

int message_send(int fd, const struct vhost_user_message *message, struct reason *reason)
{
	struct iovec iov[2] = {
		{ .iov_base = (void *)&message->header, .iov_len = HEADER_SIZE },
		{ .iov_base = (void *)&message->payload, .iov_len = message->header.size },
	};
	unsigned int left = iov_skip(iov, iov, ARRAY_SIZE(iov), 0);

	while (left > 0) {
		struct msghdr sent = { .msg_iov = iov, .msg_iovlen = left };
		ssize_t count = sendmsg(fd, &sent, MSG_DONTWAIT | MSG_NOSIGNAL);

		/* Replies are few and small: whoever lets the socket fill up reads them no more. */
		if (count < 0 && errno == EAGAIN)
			return refuse(reason, EAGAIN, "replies are not read");
		if (count < 0 && errno != EINTR)
			return refuse(reason, errno, "sendmsg: %s", strerror(errno));
		if (count > 0)
			left = iov_skip(iov, iov, left, (size_t)count);
	}
	return 0;
}
