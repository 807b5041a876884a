/*
 * A front end that sends what it likes: messages with fds, in pieces, while the device runs on what
 * they have configured. Nothing may crash, and no fd may stay behind.
 *
 * Input: records of header (request, flags, size: a byte each), kinds of fds (a count and a byte
 * each), and so many bytes of payload as the size says.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/util.h"
#include "host/vsock/device.h"
#include "host/vsock/log.h"
#include "host/vsock/message.h"
#include "host/vsock/mux.h"
#include "host/vsock/vhost_user.h"

#define MEMORY           65536u
#define MAX_FDS          10u /* more than a message may have */
#define FD_SCAN          64

/* In place of a request: the device works, or the channel ends. */
#define RECORD_PROCESS   0xff
#define RECORD_UNPLUGGED 0xfe

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

void log_write(enum log_level level, const char *format, ...)
{
	(void)level;
	(void)format;
}

static int kinds[5] = { -1 }; /* fds to send copies of */
static struct mux mux;
static struct device device;
static struct vhost_user vhost_user;

static void require(bool holds)
{
	if (!holds)
		abort();
}

static void watch_kick(void *context, enum device_ring index, int fd)
{
	(void)context;
	require(index < DEVICE_RINGS);
	require(fd < 0 || fcntl(fd, F_GETFD) >= 0);
}

static void watch_channel(void *context, int fd)
{
	(void)context;
	require(fd < 0 || fcntl(fd, F_GETFD) >= 0);
}

static const struct vhost_user_ops ops = { .watch_kick = watch_kick,
					   .watch_channel = watch_channel };

/* The guest finds nobody on the host. */
static struct connection *nobody(void *context, uint32_t port, bool *opening)
{
	(void)context;
	(void)port;
	(void)opening;
	return NULL;
}

static const struct connection_ops no_host = { .open = nobody };

static unsigned int count_fds(void)
{
	unsigned int count = 0;

	for (int fd = 0; fd < FD_SCAN; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

static void make_kinds(void)
{
	int pipes[2];

	kinds[0] = memfd_create("guest", MFD_CLOEXEC);
	require(kinds[0] >= 0 && ftruncate(kinds[0], MEMORY) == 0);
	kinds[1] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	require(pipe2(pipes, O_CLOEXEC) == 0);
	kinds[2] = pipes[0];
	kinds[3] = pipes[1];
	kinds[4] = open("/dev/null", O_RDWR | O_CLOEXEC);
}

struct input {
	const uint8_t *data;
	size_t size;
};

static uint8_t next_byte(struct input *input)
{
	if (input->size == 0)
		return 0;
	input->size--;
	return *input->data++;
}

/* Sends a record's message. False when it is not one. */
static bool send_record(struct input *input, int socket)
{
	struct vhost_user_header header = { .request = next_byte(input) };
	uint8_t bytes[sizeof(header) + 256] = { 0 };
	struct iovec iov = { .iov_base = bytes };
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(MAX_FDS * sizeof(int))];
	} control = { 0 };
	struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *fds = &control.align;
	unsigned int count;

	if (header.request == RECORD_PROCESS)
		device_process(&device);
	if (header.request == RECORD_UNPLUGGED)
		vhost_user_unplugged(&vhost_user);
	if (header.request >= RECORD_UNPLUGGED)
		return false;

	header.flags = next_byte(input);
	header.size = next_byte(input);
	count = MIN(next_byte(input), MAX_FDS);
	if (count > 0) {
		message.msg_control = &control;
		message.msg_controllen = CMSG_SPACE(count * sizeof(int));
		fds->cmsg_level = SOL_SOCKET;
		fds->cmsg_type = SCM_RIGHTS;
		fds->cmsg_len = CMSG_LEN(count * sizeof(int));
	}
	for (unsigned int i = 0; i < count; i++)
		memcpy(CMSG_DATA(fds) + i * sizeof(int),
		       &kinds[next_byte(input) % ARRAY_SIZE(kinds)], sizeof(int));

	iov.iov_len = MIN(header.size, input->size);
	memcpy(bytes, &header, sizeof(header));
	memcpy(bytes + sizeof(header), input->data, iov.iov_len);
	input->data += iov.iov_len;
	input->size -= iov.iov_len;
	iov.iov_len += sizeof(header);
	require(sendmsg(socket, &message, MSG_DONTWAIT) == (ssize_t)iov.iov_len);
	return true;
}

/* Reads and handles what there is, as the program does. False when the session has to end. */
static bool handle(struct message_reader *reader, int socket)
{
	struct vhost_user_message reply;
	struct reason reason;
	int result;

	while ((result = message_read(reader, socket, &reason)) > 0) {
		result = vhost_user_handle(&vhost_user, &reader->message, &reply, &reason);
		if (result > 0) {
			require(reply.header.size <= sizeof(reply.payload));
			result = message_send(socket, &reply, &reason);
		}
		if (result < 0)
			return false;
		message_reader_next(reader);
	}
	return result == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = { data, size };
	struct message_reader reader;
	unsigned int before;
	int pair[2];

	if (kinds[0] < 0)
		make_kinds();
	before = count_fds();
	require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
	mux_init(&mux, 3, &no_host, NULL);
	device_init(&device, &mux);
	vhost_user_init(&vhost_user, &device, 3, &ops, NULL);
	message_reader_init(&reader);

	while (input.size > 0) {
		char answer[1024];

		if (!send_record(&input, pair[1]))
			continue;
		if (!handle(&reader, pair[0]))
			break;
		while (recv(pair[1], answer, sizeof(answer), MSG_DONTWAIT) > 0)
			;
	}

	message_reader_finish(&reader);
	vhost_user_finish(&vhost_user);
	mux_finish(&mux);
	close(pair[0]);
	close(pair[1]);
	require(count_fds() == before);
	return 0;
}
