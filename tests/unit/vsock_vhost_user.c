/*
 * Messages of the front end, over a socket pair: a session as QEMU has it, and everything that a
 * front end should not send. All tests count fds: whatever came with a message must be closed or
 * used.
 */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_config.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/util.h"
#include "host/vsock/device.h"
#include "host/vsock/message.h"
#include "host/vsock/mux.h"
#include "host/vsock/vhost_user.h"
#include "unit.h"
#include "vsock_driver.h"

#define CID 42u

#define PROTOCOL_FEATURES                                                               \
	(1u << VHOST_USER_PROTOCOL_F_MQ | 1u << VHOST_USER_PROTOCOL_F_REPLY_ACK |       \
	 1u << VHOST_USER_PROTOCOL_F_BACKEND_REQ | 1u << VHOST_USER_PROTOCOL_F_CONFIG | \
	 1u << VHOST_USER_PROTOCOL_F_RESET_DEVICE)

static struct mux mux;
static struct device device;
static struct driver driver;
static struct vhost_user vhost_user;
static struct message_reader reader;
static int ours, theirs; /* ends of the socket; theirs is the front end's */
static int watched_kicks[DEVICE_RINGS], watched_channel;
static struct reason reason;

static void watch_kick(void *context, enum device_ring index, int fd)
{
	ck_assert_ptr_eq(context, &vhost_user);
	watched_kicks[index] = fd;
}

static void watch_channel(void *context, int fd)
{
	ck_assert_ptr_eq(context, &vhost_user);
	watched_channel = fd;
}

static const struct vhost_user_ops ops = { .watch_kick = watch_kick,
					   .watch_channel = watch_channel };

/* --- the host's end of the one connection that shows what became of it --- */

static struct connection connection;
static bool closed;

static void no_shutdown(struct connection *unused, int how)
{
	(void)unused;
	(void)how;
}

static void no_watch(struct connection *unused, bool readable, bool writable)
{
	(void)unused;
	(void)readable;
	(void)writable;
}

static void no_limit(struct connection *unused, double seconds)
{
	(void)unused;
	(void)seconds;
}

static int yes_accepted(struct connection *unused)
{
	(void)unused;
	return 0;
}

static void note_close(struct connection *unused)
{
	(void)unused;
	closed = true;
}

static void no_release(struct connection *unused)
{
	(void)unused;
}

static const struct connection_ops host_end = {
	.accepted = yes_accepted,
	.shutdown = no_shutdown,
	.watch = no_watch,
	.limit = no_limit,
	.close = note_close,
	.release = no_release,
};

/* --- */

static void start(void)
{
	int pair[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	ours = pair[0];
	theirs = pair[1];
	watched_channel = -1;
	for (size_t i = 0; i < DEVICE_RINGS; i++)
		watched_kicks[i] = -1;
	closed = false;
	driver_init(&driver);
	mux_init(&mux, CID, &host_end, NULL);
	device_init(&device, &mux);
	vhost_user_init(&vhost_user, &device, CID, &ops, &vhost_user);
	message_reader_init(&reader);
}

static void finish(void)
{
	message_reader_finish(&reader);
	vhost_user_finish(&vhost_user);
	ck_assert_int_eq(watched_channel, -1);
	for (size_t i = 0; i < DEVICE_RINGS; i++)
		ck_assert_int_eq(watched_kicks[i], -1);
	mux_finish(&mux);
	driver_finish(&driver);
	close(ours);
	close(theirs);
}

/* The front end sends bytes along with fds. */
static void send_bytes(const void *bytes, size_t length, const int *fds, unsigned int fd_count)
{
	struct iovec iov = { (void *)bytes, length };
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(32 * sizeof(int))];
	} control = { 0 };
	struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (fd_count > 0) {
		message.msg_control = &control;
		message.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
		CMSG_FIRSTHDR(&message)->cmsg_level = SOL_SOCKET;
		CMSG_FIRSTHDR(&message)->cmsg_type = SCM_RIGHTS;
		CMSG_FIRSTHDR(&message)->cmsg_len = CMSG_LEN(fd_count * sizeof(int));
		memcpy(CMSG_DATA(CMSG_FIRSTHDR(&message)), fds, fd_count * sizeof(int));
	}
	ck_assert_int_eq(sendmsg(theirs, &message, 0), (ssize_t)length);
}

static struct vhost_user_message make(uint32_t request, uint32_t flags, const void *payload,
				      uint32_t size)
{
	struct vhost_user_message message = {
		.header = { .request = request, .flags = VHOST_USER_VERSION | flags, .size = size }
	};

	ck_assert_uint_le(size, sizeof(message.payload));
	if (size > 0)
		memcpy(&message.payload, payload, size);
	return message;
}

static void send_request(uint32_t request, uint32_t flags, const void *payload, uint32_t size,
			 const int *fds, unsigned int fd_count)
{
	struct vhost_user_message message = make(request, flags, payload, size);

	/* Header and payload are neighbours on the wire, not here. */
	char bytes[sizeof(message)];

	memcpy(bytes, &message.header, sizeof(message.header));
	memcpy(bytes + sizeof(message.header), &message.payload, size);
	send_bytes(bytes, sizeof(message.header) + size, fds, fd_count);
}

/* The back end reads and handles one message: as vhost_user_handle(), or message_read() failing. */
static int take(struct vhost_user_message *reply)
{
	struct vhost_user_message unused;
	int result = message_read(&reader, ours, &reason);

	if (result <= 0)
		return result == 0 ? -EAGAIN : result;
	result = vhost_user_handle(&vhost_user, &reader.message, reply ? reply : &unused, &reason);
	message_reader_next(&reader);
	return result;
}

static int request(uint32_t number, const void *payload, uint32_t size, int fd)
{
	send_request(number, 0, payload, size, &fd, fd >= 0 ? 1 : 0);
	return take(NULL);
}

static int request_integer(uint32_t number, uint64_t integer, int fd)
{
	return request(number, &integer, sizeof(integer), fd);
}

static int request_state(uint32_t number, uint32_t index, uint32_t value)
{
	struct vhost_vring_state state = { .index = index, .num = value };

	return request(number, &state, sizeof(state), -1);
}

static uint64_t get_integer(uint32_t number)
{
	struct vhost_user_message reply;

	send_request(number, 0, NULL, 0, NULL, 0);
	ck_assert_int_eq(take(&reply), 1);
	ck_assert_uint_eq(reply.header.request, number);
	ck_assert_uint_eq(reply.header.flags, VHOST_USER_VERSION | VHOST_USER_REPLY);
	ck_assert_uint_eq(reply.header.size, sizeof(uint64_t));
	return reply.payload.integer;
}

static int request_with_event(uint32_t number, uint32_t index)
{
	cleanup_close int fd = eventfd(0, EFD_CLOEXEC);

	return request_integer(number, index, fd);
}

static int send_memory(void)
{
	struct vhost_user_memory memory = { .count = 1, .regions = { driver_region(&driver) } };

	return request(VHOST_USER_SET_MEM_TABLE, &memory,
		       offsetof(struct vhost_user_memory, regions[1]), driver.fd);
}

static int send_address(enum device_ring index)
{
	struct vhost_vring_addr address = driver_ring_address(&driver, index);

	return request(VHOST_USER_SET_VRING_ADDR, &address, sizeof(address), -1);
}

static int start_ring(enum device_ring index, uint16_t base)
{
	ck_assert_int_eq(request_state(VHOST_USER_SET_VRING_NUM, index, DRIVER_RING_SIZE), 0);
	ck_assert_int_eq(request_state(VHOST_USER_SET_VRING_BASE, index, base), 0);
	ck_assert_int_eq(send_address(index), 0);
	return request_with_event(VHOST_USER_SET_VRING_KICK, index);
}

/* As QEMU does it when it makes the device. */
static void begin(void)
{
	ck_assert_uint_eq(get_integer(VHOST_USER_GET_FEATURES),
			  UINT64_C(1) << VIRTIO_F_VERSION_1 | 1u << VHOST_USER_F_PROTOCOL_FEATURES);
	ck_assert_uint_eq(get_integer(VHOST_USER_GET_PROTOCOL_FEATURES), PROTOCOL_FEATURES);
	ck_assert_int_eq(request_integer(VHOST_USER_SET_PROTOCOL_FEATURES, PROTOCOL_FEATURES, -1),
			 0);
	ck_assert_uint_eq(get_integer(VHOST_USER_GET_QUEUE_NUM), DEVICE_RINGS);
	ck_assert_int_eq(request(VHOST_USER_SET_OWNER, NULL, 0, -1), 0);
}

/* ... and when its driver is there. */
static void run_from(uint16_t receive_base, uint16_t transmit_base)
{
	ck_assert_int_eq(request_integer(VHOST_USER_SET_FEATURES,
					 UINT64_C(1) << VIRTIO_F_VERSION_1 |
						 1u << VHOST_USER_F_PROTOCOL_FEATURES,
					 -1),
			 0);
	ck_assert_int_eq(send_memory(), 0);
	ck_assert_int_eq(start_ring(DEVICE_RECEIVE, receive_base), 0);
	ck_assert_int_eq(start_ring(DEVICE_TRANSMIT, transmit_base), 0);
	for (unsigned int i = 0; i < 2; i++) {
		ck_assert_int_eq(request_with_event(VHOST_USER_SET_VRING_CALL, i), 0);
		ck_assert_int_eq(request_state(VHOST_USER_SET_VRING_ENABLE, i, 1), 0);
	}
}

static uint16_t stop_ring(enum device_ring index)
{
	struct vhost_vring_state state = { .index = index };
	struct vhost_user_message reply;

	send_request(VHOST_USER_GET_VRING_BASE, 0, &state, sizeof(state), NULL, 0);
	ck_assert_int_eq(take(&reply), 1);
	ck_assert_uint_eq(reply.header.size, sizeof(state));
	ck_assert_uint_eq(reply.payload.state.index, index);
	return (uint16_t)reply.payload.state.num;
}

/* A connection that the guest has accepted. */
static void connect_to_guest(void)
{
	struct driver_packet packet;
	struct virtio_vsock_hdr answer;

	mux_connect(&mux, &connection, 7);
	device_process(&device);
	ck_assert(driver_receive(&driver, &packet));
	ck_assert_uint_eq(le16toh(packet.header.op), VIRTIO_VSOCK_OP_REQUEST);
	answer = packet.header;
	driver_recycle(&driver, &packet);
	answer.src_cid = packet.header.dst_cid;
	answer.dst_cid = packet.header.src_cid;
	answer.src_port = packet.header.dst_port;
	answer.dst_port = packet.header.src_port;
	answer.op = htole16(VIRTIO_VSOCK_OP_RESPONSE);
	ck_assert(driver_send(&driver, &answer, NULL, 0));
	device_process(&device);
	ck_assert_uint_eq(connection.state, CONNECTION_ESTABLISHED);
}

/* --- sessions --- */

START_TEST(session)
{
	begin();
	run_from(0, 0);
	for (unsigned int i = 0; i < 2; i++)
		ck_assert_int_eq(watched_kicks[i], device.rings[i].kick_fd);
	connect_to_guest();

	ck_assert_uint_eq(stop_ring(DEVICE_RECEIVE), 1);
	ck_assert_uint_eq(stop_ring(DEVICE_TRANSMIT), 1);
	ck_assert_int_eq(watched_kicks[0], -1);
	ck_assert_int_eq(device.rings[0].kick_fd, -1);
}
END_TEST

START_TEST(paused_guest_keeps_connections)
{
	begin();
	run_from(0, 0);
	connect_to_guest();
	run_from(stop_ring(DEVICE_RECEIVE), stop_ring(DEVICE_TRANSMIT));
	ck_assert(!closed);
	ck_assert_uint_eq(connection.state, CONNECTION_ESTABLISHED);
}
END_TEST

START_TEST(stopping_takes_what_was_sent)
{
	struct virtio_vsock_hdr header = { .src_cid = htole64(CID),
					   .dst_cid = htole64(2),
					   .src_port = htole32(7),
					   .type = htole16(VIRTIO_VSOCK_TYPE_STREAM),
					   .op = htole16(VIRTIO_VSOCK_OP_SHUTDOWN),
					   .flags = htole32(VIRTIO_VSOCK_SHUTDOWN_RCV |
							    VIRTIO_VSOCK_SHUTDOWN_SEND) };

	begin();
	run_from(0, 0);
	connect_to_guest();
	header.dst_port = htole32(connection.host_port);
	ck_assert(driver_send(&driver, &header, NULL, 0));
	/* Also when it is disabled first. */
	ck_assert_int_eq(request_state(VHOST_USER_SET_VRING_ENABLE, 1, 0), 0);
	ck_assert_uint_eq(stop_ring(DEVICE_RECEIVE), 1);
	ck_assert_uint_eq(stop_ring(DEVICE_TRANSMIT), 2);
	ck_assert(closed);
}
END_TEST

START_TEST(new_driver_ends_connections)
{
	begin();
	run_from(0, 0);
	connect_to_guest();
	stop_ring(DEVICE_RECEIVE);
	stop_ring(DEVICE_TRANSMIT);
	ck_assert(!closed);
	driver_start(&driver);
	run_from(0, 0);
	ck_assert(closed);
}
END_TEST

START_TEST(unplugging_ends_connections)
{
	int pair[2];

	begin();
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	ck_assert_int_eq(request(VHOST_USER_SET_BACKEND_REQ_FD, NULL, 0, pair[1]), 0);
	close(pair[1]);
	ck_assert_int_ge(watched_channel, 0);
	run_from(0, 0);
	connect_to_guest();
	close(pair[0]);
	vhost_user_unplugged(&vhost_user);
	ck_assert(closed);
	ck_assert_int_eq(watched_channel, -1);
	ck_assert(!device_process(&device));
}
END_TEST

START_TEST(resets_end_connections)
{
	static const uint32_t requests[] = { VHOST_USER_SET_OWNER, VHOST_USER_RESET_DEVICE };

	begin();
	run_from(0, 0);
	connect_to_guest();
	ck_assert_int_eq(request(requests[_i], NULL, 0, -1), 0);
	ck_assert(closed);
	ck_assert(!device.rings[0].started);
	/* The old way only stops. */
	driver_start(&driver);
	run_from(0, 0);
	ck_assert_int_eq(request(VHOST_USER_RESET_OWNER, NULL, 0, -1), 0);
	ck_assert(!device.rings[0].enabled);
}
END_TEST

START_TEST(without_protocol_features)
{
	/* Then there is no message to enable a ring. */
	ck_assert_int_eq(
		request_integer(VHOST_USER_SET_FEATURES, UINT64_C(1) << VIRTIO_F_VERSION_1, -1), 0);
	ck_assert_int_eq(send_memory(), 0);
	ck_assert_int_eq(start_ring(DEVICE_RECEIVE, 0), 0);
	ck_assert_int_eq(start_ring(DEVICE_TRANSMIT, 0), 0);
	connect_to_guest();
}
END_TEST

START_TEST(memory_comes_anew)
{
	const struct memory_region_info elsewhere = { .size = 4096, .user_address = 4096 };
	struct vhost_user_memory memory = { .count = 1, .regions = { elsewhere } };
	cleanup_close int error_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	uint64_t signalled;

	begin();
	run_from(0, 0);
	ck_assert_int_eq(request_integer(VHOST_USER_SET_VRING_ERR, 1, error_fd), 0);
	ck_assert_int_eq(send_memory(), 0);
	connect_to_guest();

	/* The rings are no longer in it. */
	ck_assert_int_eq(request(VHOST_USER_SET_MEM_TABLE, &memory,
				 offsetof(struct vhost_user_memory, regions[1]), driver.fd),
			 0);
	ck_assert(device.broken);
	ck_assert(closed);
	ck_assert_int_eq(read(error_fd, &signalled, sizeof(signalled)), sizeof(signalled));
	ck_assert(!device_process(&device));
	/* Starting one of them does not make the other's pointers good. */
	ck_assert_int_lt(start_ring(DEVICE_RECEIVE, 0), 0);
	ck_assert_int_eq(send_memory(), 0);
	ck_assert_int_eq(start_ring(DEVICE_RECEIVE, 0), 0);
	ck_assert(!device_process(&device));
}
END_TEST

START_TEST(configuration_space)
{
	const struct {
		uint32_t offset, size, payload;
		bool good;
	} cases[] = {
		{ 0, 8, 8, true },      { 4, 4, 4, true },           { 8, 0, 0, true },
		{ 0, 9, 9, false },     { 9, 0, 0, false },          { 4, 8, 8, false },
		{ 0, 8, 4, false },     { 0, 4, 8, false },          { UINT32_MAX, 2, 2, false },
		{ 0, 256, 256, false }, { 2, UINT32_MAX, 8, false },
	};

	begin();
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct vhost_user_config config = { .offset = cases[i].offset,
						    .size = cases[i].size };
		uint64_t cid = htole64(CID);
		struct vhost_user_message reply;

		send_request(VHOST_USER_GET_CONFIG, 0, &config,
			     offsetof(struct vhost_user_config, bytes) + cases[i].payload, NULL, 0);
		ck_assert_int_eq(take(&reply), 1);
		ck_assert_uint_eq(reply.header.size,
				  cases[i].good ? offsetof(struct vhost_user_config, bytes) +
							  cases[i].payload
						: 0);
		if (cases[i].good)
			ck_assert_int_eq(memcmp(reply.payload.config.bytes,
						(uint8_t *)&cid + cases[i].offset, cases[i].size),
					 0);
	}
	{
		struct vhost_user_config config = { .size = 8 };

		ck_assert_int_lt(request(VHOST_USER_SET_CONFIG, &config,
					 offsetof(struct vhost_user_config, bytes[8]), -1),
				 0);
	}
}
END_TEST

START_TEST(acknowledges)
{
	struct vhost_vring_state state = { .index = 0, .num = 1 };
	struct vhost_user_message reply;

	begin();
	send_request(VHOST_USER_SET_VRING_ENABLE, VHOST_USER_NEED_REPLY, &state, sizeof(state),
		     NULL, 0);
	ck_assert_int_eq(take(&reply), 1);
	ck_assert_uint_eq(reply.header.size, sizeof(uint64_t));
	ck_assert_uint_eq(reply.payload.integer, 0);

	/* Refused, and the session goes on; without the flag it would end. */
	state.num = 2;
	send_request(VHOST_USER_SET_VRING_ENABLE, VHOST_USER_NEED_REPLY, &state, sizeof(state),
		     NULL, 0);
	ck_assert_int_eq(take(&reply), 1);
	ck_assert_uint_ne(reply.payload.integer, 0);
	send_request(VHOST_USER_SET_VRING_ENABLE, 0, &state, sizeof(state), NULL, 0);
	ck_assert_int_lt(take(NULL), 0);

	/* A flag that was not negotiated means nothing. */
	ck_assert_int_eq(request_integer(VHOST_USER_SET_PROTOCOL_FEATURES, 0, -1), 0);
	state.num = 1;
	send_request(VHOST_USER_SET_VRING_ENABLE, VHOST_USER_NEED_REPLY, &state, sizeof(state),
		     NULL, 0);
	ck_assert_int_eq(take(NULL), 0);
}
END_TEST

/* --- what is refused --- */

START_TEST(headers)
{
	const struct vhost_user_header bad[] = {
		{ 0, VHOST_USER_VERSION, 0 },
		{ 6, VHOST_USER_VERSION, 8 }, /* SET_LOG_BASE: not offered */
		{ 1000, VHOST_USER_VERSION, 0 },
		{ UINT32_MAX, VHOST_USER_VERSION, 0 },
		{ VHOST_USER_GET_FEATURES, 0, 0 },
		{ VHOST_USER_GET_FEATURES, 2, 0 },
		{ VHOST_USER_GET_FEATURES, VHOST_USER_VERSION | VHOST_USER_REPLY, 0 },
		{ VHOST_USER_GET_FEATURES, VHOST_USER_VERSION, 1 },
		{ VHOST_USER_SET_FEATURES, VHOST_USER_VERSION, 7 },
		{ VHOST_USER_SET_FEATURES, VHOST_USER_VERSION, 9 },
		{ VHOST_USER_SET_FEATURES, VHOST_USER_VERSION, UINT32_MAX },
		{ VHOST_USER_SET_MEM_TABLE, VHOST_USER_VERSION, 7 },
		{ VHOST_USER_SET_MEM_TABLE, VHOST_USER_VERSION, 8 + 9 * 32 },
		{ VHOST_USER_GET_CONFIG, VHOST_USER_VERSION, 11 },
		{ VHOST_USER_GET_CONFIG, VHOST_USER_VERSION, 12 + 257 },
	};
	cleanup_close int fd = eventfd(0, EFD_CLOEXEC);

	/* Judged before any payload is there; the fds that came along are closed by finish(). */
	send_bytes(&bad[_i], sizeof(bad[_i]), &fd, 1);
	ck_assert_int_eq(take(NULL), -EPROTO);
	ck_assert_uint_gt(strlen(reason.text), 0);
}
END_TEST

START_TEST(wrong_fds)
{
	cleanup_close int fd = eventfd(0, EFD_CLOEXEC);
	int fds[20];

	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		fds[i] = fd;
	begin();
	/* Where there is none to be. */
	send_request(VHOST_USER_GET_FEATURES, 0, NULL, 0, fds, 1);
	ck_assert_int_eq(take(NULL), -EINVAL);
	ck_assert_int_eq(request_state(VHOST_USER_SET_VRING_ENABLE, 0, 1), 0);
	/* None where there is one to be, and the message that contradicts itself. */
	ck_assert_int_eq(request(VHOST_USER_SET_BACKEND_REQ_FD, NULL, 0, -1), -EINVAL);
	ck_assert_int_eq(request_integer(VHOST_USER_SET_VRING_CALL, 0, -1), -EINVAL);
	ck_assert_int_eq(request_integer(VHOST_USER_SET_VRING_CALL, VHOST_USER_RING_NO_FD, fd),
			 -EINVAL);
	ck_assert_int_eq(request_integer(VHOST_USER_SET_VRING_CALL, VHOST_USER_RING_NO_FD, -1), 0);
	/* Memory wants as many as regions. */
	{
		struct vhost_user_memory memory = { .count = 1,
						    .regions = { driver_region(&driver) } };

		send_request(VHOST_USER_SET_MEM_TABLE, 0, &memory, sizeof(memory), fds, 2);
		ck_assert_int_eq(take(NULL), -EINVAL);
		memory.count = 9;
		send_request(VHOST_USER_SET_MEM_TABLE, 0, &memory, sizeof(memory), fds, 8);
		ck_assert_int_eq(take(NULL), -EINVAL);
		memory.count = UINT32_MAX;
		send_request(VHOST_USER_SET_MEM_TABLE, 0, &memory, sizeof(memory), fds, 8);
		ck_assert_int_eq(take(NULL), -EINVAL);
	}
	/* More than any message has. */
	send_request(VHOST_USER_GET_FEATURES, 0, NULL, 0, fds, 20);
	ck_assert_int_eq(take(NULL), -EPROTO);
}
END_TEST

START_TEST(fds_of_a_strange_kind)
{
	cleanup_close int zero = open("/dev/zero", O_RDWR | O_CLOEXEC);
	int pipes[2];

	begin();
	ck_assert_int_eq(request_integer(VHOST_USER_SET_VRING_CALL, 0, zero), -EINVAL);
	ck_assert_int_eq(request_integer(VHOST_USER_SET_VRING_CALL, 0, driver.fd), -EINVAL);
	ck_assert_int_eq(pipe2(pipes, O_CLOEXEC), 0);
	ck_assert_int_eq(request_integer(VHOST_USER_SET_VRING_CALL, 0, pipes[1]), 0);
	close(pipes[0]);
	close(pipes[1]);
}
END_TEST

START_TEST(wrong_rings)
{
	struct vhost_vring_addr address = { .index = DEVICE_RINGS };

	begin();
	ck_assert_int_eq(request_state(VHOST_USER_SET_VRING_NUM, DEVICE_RINGS, 128), -EINVAL);
	ck_assert_int_eq(request_state(VHOST_USER_GET_VRING_BASE, UINT32_MAX, 0), -EINVAL);
	ck_assert_int_eq(request_state(VHOST_USER_SET_VRING_ENABLE, 3, 1), -EINVAL);
	ck_assert_int_eq(request_state(VHOST_USER_SET_VRING_BASE, 0, 65536), -EINVAL);
	ck_assert_int_eq(request(VHOST_USER_SET_VRING_ADDR, &address, sizeof(address), -1),
			 -EINVAL);
	ck_assert_int_eq(request_with_event(VHOST_USER_SET_VRING_CALL, 255), -EINVAL);
	ck_assert_int_eq(request_with_event(VHOST_USER_SET_VRING_KICK, 3), -EINVAL);
	address = (struct vhost_vring_addr){ .flags = 1u << VHOST_VRING_F_LOG };
	ck_assert_int_eq(request(VHOST_USER_SET_VRING_ADDR, &address, sizeof(address), -1),
			 -EINVAL);
	/* It would have to be polled. */
	ck_assert_int_eq(request_integer(VHOST_USER_SET_VRING_KICK, VHOST_USER_RING_NO_FD, -1),
			 -EINVAL);

	run_from(0, 0);
	ck_assert_int_eq(request_state(VHOST_USER_SET_VRING_NUM, 0, 64), -EBUSY);
	ck_assert_int_eq(request_state(VHOST_USER_SET_VRING_BASE, 0, 1), -EBUSY);
	ck_assert_int_eq(send_address(0), -EBUSY);
	/* A kick fd may be changed at any time. */
	ck_assert_int_eq(request_with_event(VHOST_USER_SET_VRING_KICK, 0), 0);
	ck_assert_int_eq(watched_kicks[0], device.rings[0].kick_fd);
}
END_TEST

START_TEST(rings_that_cannot_start)
{
	struct vhost_vring_addr address = driver_ring_address(&driver, 0), bad;
	uint64_t end = DRIVER_USER_ADDRESS + driver_region(&driver).size;
	struct {
		uint64_t descriptors, available, used;
		uint32_t size;
	} cases[] = {
		{ 0, address.avail_user_addr, address.used_user_addr, 128 },
		{ end - 16, address.avail_user_addr, address.used_user_addr, 128 },
		{ address.desc_user_addr, end - 2, address.used_user_addr, 128 },
		{ address.desc_user_addr, address.avail_user_addr, end - 4, 128 },
		{ address.desc_user_addr + 8, address.avail_user_addr, address.used_user_addr,
		  128 },
		{ address.desc_user_addr, address.avail_user_addr, address.used_user_addr, 0 },
		{ address.desc_user_addr, address.avail_user_addr, address.used_user_addr, 100 },
		{ address.desc_user_addr, address.avail_user_addr, address.used_user_addr, 65536 },
		{ address.desc_user_addr, address.avail_user_addr, address.used_user_addr,
		  UINT32_MAX },
	};

	begin();
	/* Without memory, and without addresses. */
	ck_assert_int_lt(start_ring(DEVICE_RECEIVE, 0), 0);
	ck_assert_int_lt(request_with_event(VHOST_USER_SET_VRING_KICK, 1), 0);
	ck_assert_int_eq(send_memory(), 0);

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		bad = (struct vhost_vring_addr){ .desc_user_addr = cases[i].descriptors,
						 .avail_user_addr = cases[i].available,
						 .used_user_addr = cases[i].used };
		ck_assert_int_eq(request(VHOST_USER_SET_VRING_ADDR, &bad, sizeof(bad), -1), 0);
		ck_assert_int_eq(request_state(VHOST_USER_SET_VRING_NUM, 0, cases[i].size), 0);
		ck_assert_int_lt(request_with_event(VHOST_USER_SET_VRING_KICK, 0), 0);
		ck_assert(!device.rings[0].started);
		ck_assert_int_eq(device.rings[0].kick_fd, -1);
	}
}
END_TEST

START_TEST(features_that_were_not_offered)
{
	ck_assert_int_eq(
		request_integer(VHOST_USER_SET_FEATURES, 1u << VIRTIO_RING_F_EVENT_IDX, -1),
		-EINVAL);
	ck_assert_int_eq(request_integer(VHOST_USER_SET_FEATURES, UINT64_C(1) << 40, -1), -EINVAL);
	ck_assert_int_eq(request_integer(VHOST_USER_SET_PROTOCOL_FEATURES, UINT64_MAX, -1),
			 -EINVAL);
	/* Requests that need one. */
	send_request(VHOST_USER_GET_QUEUE_NUM, 0, NULL, 0, NULL, 0);
	ck_assert_int_eq(take(NULL), -EINVAL);
	ck_assert_int_eq(request(VHOST_USER_RESET_DEVICE, NULL, 0, -1), -EINVAL);
	ck_assert_int_eq(request(VHOST_USER_SET_BACKEND_REQ_FD, NULL, 0, ours), -EINVAL);
}
END_TEST

/* --- bytes --- */

START_TEST(message_in_pieces)
{
	uint64_t features = UINT64_C(1) << VIRTIO_F_VERSION_1;
	struct vhost_user_message message =
		make(VHOST_USER_SET_FEATURES, 0, &features, sizeof(features));
	char bytes[20];

	memcpy(bytes, &message.header, 12);
	memcpy(bytes + 12, &features, 8);
	for (size_t i = 0; i < sizeof(bytes); i++) {
		ck_assert_int_eq(take(NULL), -EAGAIN);
		send_bytes(bytes + i, 1, NULL, 0);
	}
	ck_assert_int_eq(take(NULL), 0);
	ck_assert_uint_eq(vhost_user.features, features);
}
END_TEST

START_TEST(messages_at_once)
{
	cleanup_close int fd = eventfd(0, EFD_CLOEXEC);
	uint64_t index = 1;

	/* Each has its own fds. */
	send_request(VHOST_USER_SET_OWNER, 0, NULL, 0, NULL, 0);
	send_request(VHOST_USER_SET_VRING_CALL, 0, &index, sizeof(index), &fd, 1);
	send_request(VHOST_USER_SET_OWNER, 0, NULL, 0, NULL, 0);
	for (unsigned int i = 0; i < 3; i++)
		ck_assert_int_eq(take(NULL), 0);
	ck_assert_int_ge(device.rings[1].call_fd, 0);
}
END_TEST

START_TEST(cut_at_every_byte)
{
	struct vhost_user_message message = make(VHOST_USER_SET_OWNER, 0, NULL, 0);
	char bytes[20] = { 0 };
	cleanup_close int fd = eventfd(0, EFD_CLOEXEC);

	message.header.request = VHOST_USER_SET_VRING_CALL;
	message.header.size = 8;
	memcpy(bytes, &message.header, 12);
	if (_i > 0)
		send_bytes(bytes, (size_t)_i, &fd, 1);
	ck_assert_int_eq(shutdown(theirs, SHUT_WR), 0);
	ck_assert_int_eq(take(NULL), _i == 0 ? -ENOTCONN : -EPROTO);
}
END_TEST

START_TEST(replies_that_nobody_reads)
{
	struct vhost_user_message reply = make(VHOST_USER_GET_FEATURES, VHOST_USER_REPLY, NULL, 0);
	int result = 0;

	reply.header.size = 8;
	for (unsigned int i = 0; i < 1000000 && result == 0; i++)
		result = message_send(ours, &reply, &reason);
	ck_assert_int_lt(result, 0);
	close(theirs);
	ck_assert_int_eq(message_send(ours, &reply, &reason), -EPIPE);
	theirs = dup(ours);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("vsock-vhost-user");
	TCase *tcase = unit_counted_case("vhost-user");

	tcase_add_checked_fixture(tcase, start, finish);
	tcase_add_test(tcase, session);
	tcase_add_test(tcase, paused_guest_keeps_connections);
	tcase_add_test(tcase, stopping_takes_what_was_sent);
	tcase_add_test(tcase, new_driver_ends_connections);
	tcase_add_test(tcase, unplugging_ends_connections);
	tcase_add_loop_test(tcase, resets_end_connections, 0, 2);
	tcase_add_test(tcase, without_protocol_features);
	tcase_add_test(tcase, memory_comes_anew);
	tcase_add_test(tcase, configuration_space);
	tcase_add_test(tcase, acknowledges);
	tcase_add_loop_test(tcase, headers, 0, 15);
	tcase_add_test(tcase, wrong_fds);
	tcase_add_test(tcase, fds_of_a_strange_kind);
	tcase_add_test(tcase, wrong_rings);
	tcase_add_test(tcase, rings_that_cannot_start);
	tcase_add_test(tcase, features_that_were_not_offered);
	tcase_add_test(tcase, message_in_pieces);
	tcase_add_test(tcase, messages_at_once);
	tcase_add_loop_test(tcase, cut_at_every_byte, 0, 20);
	tcase_add_test(tcase, replies_that_nobody_reads);
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
