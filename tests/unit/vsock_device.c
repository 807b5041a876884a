/*
 * Packets between rings and connections: data on their way through both, and drivers that break the
 * rules, which must cost them their device and nothing else.
 */
#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/util.h"
#include "host/vsock/device.h"
#include "host/vsock/iov.h"
#include "host/vsock/mux.h"
#include "unit.h"
#include "vsock_driver.h"

#define CID       42u
#define HOST_PORT 5u
#define HEADER    sizeof(struct virtio_vsock_hdr)

static struct mux mux;
static struct device device;
static struct driver driver;
static int error_fd;

/* The host's end of the connection that the guest opens. */
static struct connection connection;
static size_t input, written;
static uint8_t last_byte;
static bool closed;

static struct connection *end_open(void *context, uint32_t port, bool *opening)
{
	(void)context;
	(void)opening;
	return port == HOST_PORT ? &connection : NULL;
}

static ssize_t end_read(struct connection *unused, const struct iovec *iov, unsigned int count)
{
	size_t done = 0;

	(void)unused;
	for (unsigned int i = 0; i < count && input > 0; i++) {
		size_t part = MIN(iov[i].iov_len, input);

		memset(iov[i].iov_base, 'h', part);
		input -= part;
		done += part;
	}
	return done > 0 ? (ssize_t)done : -EAGAIN;
}

static ssize_t end_write(struct connection *unused, const struct iovec *iov, unsigned int count)
{
	(void)unused;
	written += iov_length(iov, count);
	last_byte = ((const uint8_t *)iov[count - 1].iov_base)[iov[count - 1].iov_len - 1];
	return (ssize_t)iov_length(iov, count);
}

static void end_shutdown(struct connection *unused, int how)
{
	(void)unused;
	(void)how;
}

static void end_watch(struct connection *unused, bool readable, bool writable)
{
	(void)unused;
	(void)readable;
	(void)writable;
}

static void end_limit(struct connection *unused, double seconds)
{
	(void)unused;
	(void)seconds;
}

static void end_close(struct connection *unused)
{
	(void)unused;
	closed = true;
}

static void end_release(struct connection *unused)
{
	(void)unused;
}

static const struct connection_ops end_ops = {
	.open = end_open,
	.read = end_read,
	.write = end_write,
	.shutdown = end_shutdown,
	.watch = end_watch,
	.limit = end_limit,
	.close = end_close,
	.release = end_release,
};

static void start_rings(void)
{
	for (unsigned int i = 0; i < 2; i++) {
		struct ring *ring = &device.rings[i];
		struct reason reason;

		ring->size = DRIVER_RING_SIZE;
		ring->base = 0;
		ring->address = driver_ring_address(&driver, i);
		ring->has_address = true;
		ck_assert_int_eq(device_start_ring(&device, i, &reason), 0);
		device_enable_ring(&device, i, true);
	}
}

static void start(void)
{
	struct memory_region_info info;
	struct reason reason;

	input = written = 0;
	closed = false;
	driver_init(&driver);
	mux_init(&mux, CID, &end_ops, NULL);
	device_init(&device, &mux);
	info = driver_region(&driver);
	ck_assert_int_eq(device_set_memory(&device, &info, &driver.fd, 1, &reason), 0);
	error_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	device.rings[0].error_fd = error_fd;
	start_rings();
}

static void finish(void)
{
	mux_finish(&mux);
	device_finish(&device); /* closes error_fd */
	driver_finish(&driver);
}

static struct virtio_vsock_hdr header_of(uint16_t op, uint32_t length)
{
	return (struct virtio_vsock_hdr){ .src_cid = htole64(CID),
					  .dst_cid = htole64(2),
					  .src_port = htole32(1000),
					  .dst_port = htole32(HOST_PORT),
					  .len = htole32(length),
					  .type = htole16(VIRTIO_VSOCK_TYPE_STREAM),
					  .op = htole16(op),
					  .buf_alloc = htole32(1u << 20) };
}

static void send_packet(uint16_t op, uint32_t length)
{
	static uint8_t payload[DRIVER_PAYLOAD];
	struct virtio_vsock_hdr header = header_of(op, length);

	if (length > 0)
		payload[length - 1] = 'g';
	ck_assert(driver_send(&driver, &header, payload, length));
}

static struct driver_packet expect(uint16_t op)
{
	struct driver_packet packet;

	ck_assert(driver_receive(&driver, &packet));
	ck_assert_uint_eq(le16toh(packet.header.op), op);
	return packet;
}

static void establish(void)
{
	struct driver_packet packet;

	send_packet(VIRTIO_VSOCK_OP_REQUEST, 0);
	ck_assert(!device_process(&device));
	packet = expect(VIRTIO_VSOCK_OP_RESPONSE);
	driver_recycle(&driver, &packet);
}

START_TEST(both_ways)
{
	struct driver_packet packet;

	establish();
	send_packet(VIRTIO_VSOCK_OP_RW, 50000);
	ck_assert(!device_process(&device));
	ck_assert_uint_eq(written, 50000);
	ck_assert_uint_eq(last_byte, 'g');

	input = 2 * DRIVER_RECEIVE_LENGTH + 5;
	mux_readable(&connection);
	ck_assert(!device_process(&device));
	for (unsigned int i = 0; i < 3; i++) {
		packet = expect(VIRTIO_VSOCK_OP_RW);
		ck_assert_uint_eq(packet.length, i < 2 ? DRIVER_RECEIVE_LENGTH : 5);
		ck_assert_uint_eq(packet.payload[packet.length - 1], 'h');
	}
	ck_assert(!driver_receive(&driver, &packet));
}
END_TEST

START_TEST(full_transmit_ring)
{
	establish();
	device_give_back(&device);
	for (unsigned int i = 0; i < DRIVER_RING_SIZE / 2; i++)
		send_packet(VIRTIO_VSOCK_OP_RW, 100);
	ck_assert(!device_process(&device));
	ck_assert_uint_eq(written, (size_t)DRIVER_RING_SIZE / 2 * 100);
}
END_TEST

static unsigned int transmit_used(void)
{
	return le16toh(driver.rings[DEVICE_TRANSMIT].used->idx);
}

/* How many times the driver was notified since this was asked. */
static uint64_t transmit_calls(void)
{
	uint64_t calls;

	if (read(device.rings[DEVICE_TRANSMIT].call_fd, &calls, sizeof(calls)) < 0)
		return 0;
	return calls;
}

START_TEST(buffers_withheld)
{
	/* Packets, each of two parts, of which the driver hears at once. */
	const unsigned int much = DRIVER_RING_SIZE / 4 / 2;

	device.rings[DEVICE_TRANSMIT].call_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	establish();
	ck_assert(device_withholds(&device));
	ck_assert_uint_eq(transmit_used(), 0);
	ck_assert_uint_eq(transmit_calls(), 0);
	device_give_back(&device);
	ck_assert(!device_withholds(&device));
	ck_assert_uint_eq(transmit_used(), 1);
	ck_assert_uint_eq(transmit_calls(), 1);
	device_give_back(&device);
	ck_assert_uint_eq(transmit_calls(), 0);

	for (unsigned int i = 1; i < much; i++) {
		send_packet(VIRTIO_VSOCK_OP_RW, 100);
		ck_assert(!device_process(&device));
	}
	ck_assert_uint_eq(transmit_used(), 1);
	send_packet(VIRTIO_VSOCK_OP_RW, 100);
	ck_assert(!device_process(&device));
	ck_assert(!device_withholds(&device));
	ck_assert_uint_eq(transmit_used(), 1 + much);
	ck_assert_uint_eq(transmit_calls(), 1);
	ck_assert_uint_eq(written, (size_t)much * 100);

	/* A page of memory is much, too. */
	send_packet(VIRTIO_VSOCK_OP_RW, 4096);
	ck_assert(!device_process(&device));
	ck_assert(!device_withholds(&device));
	ck_assert_uint_eq(transmit_used(), 2 + much);
	ck_assert_uint_eq(transmit_calls(), 1);
}
END_TEST

static void stop_transmit(void)
{
	device_stop_ring(&device, DEVICE_TRANSMIT);
}

static void disable_receive(void)
{
	device_enable_ring(&device, DEVICE_RECEIVE, false);
}

static void start_transmit(void)
{
	struct reason reason;

	device.rings[DEVICE_TRANSMIT].base = device.rings[DEVICE_TRANSMIT].queue.next_available;
	ck_assert_int_eq(device_start_ring(&device, DEVICE_TRANSMIT, &reason), 0);
}

static void (*const ends_of_work[])(void) = { stop_transmit, disable_receive, start_transmit };

/* The driver goes on with the used index that lies in its memory. */
START_TEST(nothing_withheld_afterwards)
{
	establish();
	send_packet(VIRTIO_VSOCK_OP_RW, 100);
	ends_of_work[_i]();
	ck_assert(!device_withholds(&device));
	ck_assert_uint_eq(transmit_used(), written > 0 ? 2 : 1);
	ck_assert_uint_eq(device.rings[DEVICE_TRANSMIT].queue.next_used, transmit_used());
}
END_TEST

START_TEST(no_receive_buffers)
{
	const unsigned int buffers = DRIVER_RING_SIZE / 2;
	struct driver_packet packets[DRIVER_RING_SIZE / 2], packet;

	establish();
	input = (size_t)(buffers + 10) * DRIVER_RECEIVE_LENGTH;
	mux_readable(&connection);
	ck_assert(!device_process(&device));
	for (unsigned int i = 0; i < buffers; i++)
		packets[i] = expect(VIRTIO_VSOCK_OP_RW);
	ck_assert(!driver_receive(&driver, &packet));
	/* Now the driver is to notify of new buffers; before, it was not. */
	ck_assert_uint_eq(driver.rings[DEVICE_RECEIVE].used->flags, 0);
	driver_recycle(&driver, &packets[0]);
	ck_assert(!device_process(&device));
	expect(VIRTIO_VSOCK_OP_RW);
	ck_assert(!driver_receive(&driver, &packet));
	for (unsigned int i = 1; i < 20; i++)
		driver_recycle(&driver, &packets[i]);
	ck_assert(!device_process(&device));
	for (unsigned int i = 0; i < 9; i++)
		expect(VIRTIO_VSOCK_OP_RW);
	ck_assert(!driver_receive(&driver, &packet));
	ck_assert_uint_eq(le16toh(driver.rings[DEVICE_RECEIVE].used->flags),
			  VRING_USED_F_NO_NOTIFY);
}
END_TEST

START_TEST(scattered_headers)
{
	/* No device may assume how a buffer is divided (Virtio 1.2, section 2.7.4.2). */
	struct virtio_vsock_hdr header = header_of(VIRTIO_VSOCK_OP_RW, 10);
	uint64_t buffer = driver_buffer(&driver, DEVICE_TRANSMIT, 0);
	uint8_t *bytes;

	establish();
	bytes = driver.memory + (buffer - DRIVER_GUEST_ADDRESS);
	memcpy(bytes, &header, HEADER);
	memset(bytes + HEADER, 'g', 10);
	for (uint16_t i = 0; i < 54; i++)
		driver_describe(&driver, DEVICE_TRANSMIT, i, buffer + i, 1,
				i < 53 ? VRING_DESC_F_NEXT : 0, i + 1);
	driver_offer(&driver, DEVICE_TRANSMIT, 0);
	ck_assert(!device_process(&device));
	ck_assert(!device.broken);
	ck_assert_uint_eq(written, 10);

	/* And the whole packet in one, with bytes behind it that are not the packet's. */
	driver_describe(&driver, DEVICE_TRANSMIT, 100, buffer, HEADER + 20, 0, 0);
	driver_offer(&driver, DEVICE_TRANSMIT, 100);
	ck_assert(!device_process(&device));
	ck_assert_uint_eq(written, 20);
}
END_TEST

START_TEST(scattered_receive_buffers)
{
	struct driver_packet packet;
	uint64_t buffer = driver_buffer(&driver, DEVICE_RECEIVE, 0);

	/* A driver that offers one buffer of single bytes. */
	device_stop_ring(&device, DEVICE_RECEIVE);
	device_stop_ring(&device, DEVICE_TRANSMIT);
	driver_start(&driver);
	driver.rings[DEVICE_RECEIVE].available->idx = 0;
	for (uint16_t i = 0; i < 100; i++)
		driver_describe(&driver, DEVICE_RECEIVE, i, buffer + i, 1,
				VRING_DESC_F_WRITE | (i < 99 ? VRING_DESC_F_NEXT : 0), i + 1);
	driver_offer(&driver, DEVICE_RECEIVE, 0);
	start_rings();
	establish();
	/* driver_recycle() has put an ordinary one in its place; offer the other again. */
	driver_describe(&driver, DEVICE_RECEIVE, 0, buffer, 1,
			VRING_DESC_F_WRITE | VRING_DESC_F_NEXT, 1);
	driver_describe(&driver, DEVICE_RECEIVE, 1, buffer + 1, 1,
			VRING_DESC_F_WRITE | VRING_DESC_F_NEXT, 2);
	input = 100 - HEADER;
	mux_readable(&connection);
	ck_assert(!device_process(&device));
	packet = expect(VIRTIO_VSOCK_OP_RW);
	ck_assert_uint_eq(packet.length, 100 - HEADER);
	for (uint32_t i = 0; i < packet.length; i++)
		ck_assert_uint_eq(packet.payload[i], 'h');
}
END_TEST

/* --- hostile --- */

static void short_header(void)
{
	driver_describe(&driver, DEVICE_TRANSMIT, 0, driver_buffer(&driver, DEVICE_TRANSMIT, 0),
			HEADER - 1, 0, 0);
	driver_offer(&driver, DEVICE_TRANSMIT, 0);
}

static void length_beyond_the_buffer(void)
{
	struct virtio_vsock_hdr header = header_of(VIRTIO_VSOCK_OP_RW, 101);
	uint8_t payload[100] = { 0 };

	ck_assert(driver_send(&driver, &header, payload, 100));
}

static void huge_length(void)
{
	struct virtio_vsock_hdr header = header_of(VIRTIO_VSOCK_OP_RW, UINT32_MAX);

	ck_assert(driver_send(&driver, &header, NULL, 0));
}

static void writable_transmit_buffer(void)
{
	driver_describe(&driver, DEVICE_TRANSMIT, 0, driver_buffer(&driver, DEVICE_TRANSMIT, 0),
			1000, VRING_DESC_F_WRITE, 0);
	driver_offer(&driver, DEVICE_TRANSMIT, 0);
}

static void transmit_buffer_nowhere(void)
{
	driver_describe(&driver, DEVICE_TRANSMIT, 0, 0, 1000, 0, 0);
	driver_offer(&driver, DEVICE_TRANSMIT, 0);
}

static void transmit_index_jumps(void)
{
	driver.rings[DEVICE_TRANSMIT].available->idx = htole16(1000);
}

static void need_a_receive_buffer(void)
{
	input = 10;
	mux_readable(&connection);
}

/* Makes the next receive buffers, whichever they are, of that form. */
static void receive_buffers(uint32_t length, uint16_t flags)
{
	for (uint16_t i = 0; i < DRIVER_RING_SIZE; i++)
		driver_describe(&driver, DEVICE_RECEIVE, i,
				driver_buffer(&driver, DEVICE_RECEIVE, 0), length, flags, 0);
	need_a_receive_buffer();
}

static void readable_receive_buffer(void)
{
	receive_buffers(1000, 0);
}

static void receive_buffer_without_room(void)
{
	receive_buffers(HEADER, VRING_DESC_F_WRITE);
}

static void receive_buffer_too_short(void)
{
	receive_buffers(1, VRING_DESC_F_WRITE);
}

static void receive_buffer_loop(void)
{
	receive_buffers(1000, VRING_DESC_F_WRITE | VRING_DESC_F_NEXT);
}

static void receive_index_jumps(void)
{
	driver.rings[DEVICE_RECEIVE].available->idx = htole16(5000);
	/* Looked at when those that were known are used up. */
	input = (size_t)DRIVER_RING_SIZE * DRIVER_RECEIVE_LENGTH;
	mux_readable(&connection);
}

static void (*const hostile[])(void) = {
	short_header,
	length_beyond_the_buffer,
	huge_length,
	writable_transmit_buffer,
	transmit_buffer_nowhere,
	transmit_index_jumps,
	readable_receive_buffer,
	receive_buffer_without_room,
	receive_buffer_too_short,
	receive_buffer_loop,
	receive_index_jumps,
};

START_TEST(breaks_the_device)
{
	uint64_t signalled;

	establish();
	hostile[_i]();
	ck_assert(!device_process(&device));
	ck_assert(device.broken);
	ck_assert(closed);
	ck_assert_int_eq(read(error_fd, &signalled, sizeof(signalled)), sizeof(signalled));

	/* It stands still and says no more. */
	ck_assert(!device_process(&device));
	ck_assert_int_lt(read(error_fd, &signalled, sizeof(signalled)), 0);

	/* A new driver makes it whole. */
	device_stop_ring(&device, DEVICE_RECEIVE);
	device_stop_ring(&device, DEVICE_TRANSMIT);
	driver_start(&driver);
	mux_reap(&mux);
	start_rings();
	establish();
	send_packet(VIRTIO_VSOCK_OP_RW, 10);
	ck_assert(!device_process(&device));
	ck_assert_uint_eq(written, 10);
}
END_TEST

START_TEST(flood)
{
	/* Packets of no connection: answered as long as there is room for answers, and no hang. */
	struct driver_packet packet;
	unsigned int answers = 0;

	for (unsigned int i = 0; i < 3000; i++) {
		struct virtio_vsock_hdr header = header_of(VIRTIO_VSOCK_OP_RW, 0);

		header.src_port = htole32(i);
		ck_assert(driver_send(&driver, &header, NULL, 0));
		device_process(&device);
	}
	for (;;) {
		if (driver_receive(&driver, &packet)) {
			answers++;
			driver_recycle(&driver, &packet);
		} else if (!mux_has_packet(&mux)) {
			break;
		} else {
			device_process(&device);
		}
	}
	ck_assert_uint_eq(answers, MUX_REFUSALS + DRIVER_RING_SIZE / 2);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("vsock-device");
	TCase *tcase = unit_counted_case("device");

	tcase_add_checked_fixture(tcase, start, finish);
	tcase_add_test(tcase, both_ways);
	tcase_add_test(tcase, full_transmit_ring);
	tcase_add_test(tcase, buffers_withheld);
	tcase_add_loop_test(tcase, nothing_withheld_afterwards, 0, ARRAY_SIZE(ends_of_work));
	tcase_add_test(tcase, no_receive_buffers);
	tcase_add_test(tcase, scattered_headers);
	tcase_add_test(tcase, scattered_receive_buffers);
	tcase_add_loop_test(tcase, breaks_the_device, 0, ARRAY_SIZE(hostile));
	tcase_add_test(tcase, flood);
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
