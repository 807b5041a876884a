/*
 * Connections and their credit, without sockets, rings or a loop: the guest's side is packets made
 * here, the host's ends are memory.
 */
#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "alloc_seam.h"
#include "common/util.h"
#include "host/vsock/iov.h"
#include "host/vsock/mux.h"
#include "unit.h"

#define CID    42u
#define PORT   1024u /* of the guest */
#define WINDOW MUX_WINDOW
#define ROOM   KIB(4) /* payload of a receive buffer */

#define OUTPUT MIB(1) /* that a host's end can take in all */

#define RCV    VIRTIO_VSOCK_SHUTDOWN_RCV
#define SEND   VIRTIO_VSOCK_SHUTDOWN_SEND
#define BOTH   (RCV | SEND)

/* The host's end of a connection. */
struct end {
	struct connection connection;
	/* To be read by the mux. */
	size_t input;   /* bytes, all 'h' */
	bool input_end; /* then the end; else EAGAIN */
	int read_error;
	/* Written by the mux. */
	char *output;
	size_t output_length;
	size_t output_room; /* beyond: EAGAIN */
	int write_error;
	bool shut_read, shut_write;
	/* As it was set last. */
	bool watch_read, watch_write;
	double limit;
	bool told_accepted;
	bool closed;
};

static struct mux mux;
static unsigned int released;
/* For what the guest opens. */
static struct end *opened;
static bool refuse_open, open_later;

static bool all_are(char byte, const void *bytes, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if (((const char *)bytes)[i] != byte)
			return false;
	return true;
}

static struct end *end_of(struct connection *connection)
{
	return container_of(connection, struct end, connection);
}

static struct end *make_end(void)
{
	struct end *end = calloc(1, sizeof(*end));

	ck_assert_ptr_nonnull(end);
	end->output_room = SIZE_MAX;
	return end;
}

static struct connection *fake_open(void *context, uint32_t port, bool *opening)
{
	ck_assert_ptr_eq(context, &mux);
	(void)port;
	if (refuse_open)
		return NULL;
	*opening = open_later;
	opened = make_end();
	return &opened->connection;
}

static int fake_accepted(struct connection *connection)
{
	end_of(connection)->told_accepted = true;
	return end_of(connection)->write_error ? -EPIPE : 0;
}

static ssize_t fake_read(struct connection *connection, const struct iovec *iov, unsigned int count)
{
	struct end *end = end_of(connection);
	size_t done = 0;

	if (end->read_error)
		return -end->read_error;
	if (end->input == 0)
		return end->input_end ? 0 : -EAGAIN;
	for (unsigned int i = 0; i < count && end->input > 0; i++) {
		size_t part = MIN(iov[i].iov_len, end->input);

		memset(iov[i].iov_base, 'h', part);
		end->input -= part;
		done += part;
	}
	return (ssize_t)done;
}

static ssize_t fake_write(struct connection *connection, const struct iovec *iov,
			  unsigned int count)
{
	struct end *end = end_of(connection);
	size_t part = MIN(iov_length(iov, count), end->output_room);

	if (end->write_error)
		return -end->write_error;
	if (part == 0)
		return -EAGAIN;
	if (!end->output)
		end->output = malloc(OUTPUT);
	ck_assert_uint_le(end->output_length + part, OUTPUT);
	iov_read(end->output + end->output_length, part, iov, count);
	end->output_length += part;
	end->output_room -= part;
	return (ssize_t)part;
}

static void fake_shutdown(struct connection *connection, int how)
{
	ck_assert(!end_of(connection)->closed);
	if (how != SHUT_WR)
		end_of(connection)->shut_read = true;
	if (how != SHUT_RD)
		end_of(connection)->shut_write = true;
}

static void fake_watch(struct connection *connection, bool readable, bool writable)
{
	ck_assert(!end_of(connection)->closed);
	end_of(connection)->watch_read = readable;
	end_of(connection)->watch_write = writable;
}

static void fake_limit(struct connection *connection, double seconds)
{
	end_of(connection)->limit = seconds;
}

static void fake_close(struct connection *connection)
{
	ck_assert(!end_of(connection)->closed);
	end_of(connection)->closed = true;
	end_of(connection)->limit = 0;
}

static void fake_release(struct connection *connection)
{
	ck_assert(end_of(connection)->closed);
	released++;
	free(end_of(connection)->output);
	free(end_of(connection));
}

static const struct connection_ops fake_ops = {
	.open = fake_open,
	.accepted = fake_accepted,
	.read = fake_read,
	.write = fake_write,
	.shutdown = fake_shutdown,
	.watch = fake_watch,
	.limit = fake_limit,
	.close = fake_close,
	.release = fake_release,
};

static void start(void)
{
	alloc_reset();
	released = 0;
	opened = NULL;
	refuse_open = open_later = false;
	mux_init(&mux, CID, &fake_ops, &mux);
}

static void finish(void)
{
	mux_finish(&mux);
	ck_assert(mux_empty(&mux));
	ck_assert_uint_eq(mux.window_total, 0);
	ck_assert_uint_eq(alloc_counts.bytes, 0);
}

/* --- the guest --- */

static uint32_t guest_buffer = 65536, guest_forwarded;

static void from_guest_with(struct virtio_vsock_hdr header, const void *bytes, size_t length)
{
	struct iovec iov[2] = { { (void *)bytes, length / 2 },
				{ (uint8_t *)bytes + length / 2, length - length / 2 } };

	header.len = htole32((uint32_t)length);
	mux_receive(&mux, &header, iov, length > 0 ? 2 : 0);
}

static struct virtio_vsock_hdr header_of(uint32_t host_port, uint16_t op, uint32_t flags)
{
	return (struct virtio_vsock_hdr){ .src_cid = htole64(CID),
					  .dst_cid = htole64(2),
					  .src_port = htole32(PORT),
					  .dst_port = htole32(host_port),
					  .type = htole16(VIRTIO_VSOCK_TYPE_STREAM),
					  .op = htole16(op),
					  .flags = htole32(flags),
					  .buf_alloc = htole32(guest_buffer),
					  .fwd_cnt = htole32(guest_forwarded) };
}

static void from_guest(uint32_t host_port, uint16_t op, uint32_t flags)
{
	from_guest_with(header_of(host_port, op, flags), "", 0);
}

static void data_from_guest(uint32_t host_port, size_t length)
{
	char *bytes = malloc(length);

	memset(bytes, 'g', length);
	from_guest_with(header_of(host_port, VIRTIO_VSOCK_OP_RW, 0), bytes, length);
	free(bytes);
}

/* Takes what is sent to the guest, at most count packets of at most ROOM. */
static unsigned int produce(struct packet *packets, unsigned int count)
{
	static uint8_t memory[16][ROOM];
	static struct iovec iov[32];

	ck_assert_uint_le(count, 16);
	memset(memory, 0, sizeof(memory));
	for (size_t i = 0; i < count; i++) {
		iov[2 * i] = (struct iovec){ memory[i], 1000 };
		iov[2 * i + 1] = (struct iovec){ memory[i] + 1000, ROOM - 1000 };
		packets[i].room = ROOM;
		packets[i].payload = &iov[2 * i];
	}
	count = mux_produce(&mux, packets, count);
	for (unsigned int i = 0; i < count; i++) {
		ck_assert_uint_eq(le32toh(packets[i].header.len), packets[i].length);
		ck_assert(all_are('h', memory[i], packets[i].length));
		ck_assert(packets[i].length == ROOM || memory[i][packets[i].length] == 0);
	}
	return count;
}

/* The next packet, which must be of that kind; for the guest's PORT. */
static struct virtio_vsock_hdr expect(uint16_t op)
{
	struct packet packet;

	ck_assert_uint_eq(produce(&packet, 1), 1);
	ck_assert_uint_eq(le16toh(packet.header.op), op);
	ck_assert_uint_eq(le64toh(packet.header.dst_cid), CID);
	ck_assert_uint_eq(le32toh(packet.header.dst_port), PORT);
	return packet.header;
}

static void expect_nothing(void)
{
	struct packet packet;

	ck_assert_uint_eq(produce(&packet, 1), 0);
	ck_assert(!mux_has_packet(&mux));
}

static void expect_shutdown(uint32_t flags)
{
	ck_assert_uint_eq(le32toh(expect(VIRTIO_VSOCK_OP_SHUTDOWN).flags), flags);
}

/* --- connections to begin with --- */

static struct end *connect_from_host(void)
{
	struct end *end = make_end();

	mux_connect(&mux, &end->connection, PORT);
	return end;
}

static struct end *establish(void)
{
	struct end *end = connect_from_host();

	guest_forwarded = 0;
	guest_buffer = 65536;
	expect(VIRTIO_VSOCK_OP_REQUEST);
	from_guest(end->connection.host_port, VIRTIO_VSOCK_OP_RESPONSE, 0);
	ck_assert_uint_eq(end->connection.state, CONNECTION_ESTABLISHED);
	return end;
}

static struct end *establish_from_guest(uint32_t port)
{
	from_guest(port, VIRTIO_VSOCK_OP_REQUEST, 0);
	expect(VIRTIO_VSOCK_OP_RESPONSE);
	return opened;
}

static void give(struct end *end, size_t length, bool last)
{
	end->input += length;
	end->input_end = last;
	mux_readable(&end->connection);
}

/* --- opening --- */

START_TEST(host_connects)
{
	struct end *end = connect_from_host();
	struct virtio_vsock_hdr header;

	ck_assert_uint_eq(end->connection.state, CONNECTION_WAITING);
	ck_assert(!end->watch_read);
	ck_assert(end->limit > 0);
	header = expect(VIRTIO_VSOCK_OP_REQUEST);
	ck_assert_uint_eq(le64toh(header.src_cid), 2);
	ck_assert_uint_eq(le32toh(header.src_port), end->connection.host_port);
	ck_assert_uint_eq(le16toh(header.type), VIRTIO_VSOCK_TYPE_STREAM);
	ck_assert_uint_eq(le32toh(header.buf_alloc), WINDOW);
	expect_nothing();

	from_guest(end->connection.host_port, VIRTIO_VSOCK_OP_RESPONSE, 0);
	ck_assert(end->told_accepted);
	ck_assert(end->watch_read);
	ck_assert(end->limit == 0);
	expect_nothing();
}
END_TEST

START_TEST(guest_refuses)
{
	struct end *end = connect_from_host();

	expect(VIRTIO_VSOCK_OP_REQUEST);
	from_guest(end->connection.host_port, VIRTIO_VSOCK_OP_RST, 0);
	ck_assert(end->closed);
	ck_assert(!end->told_accepted);
	expect_nothing();
	mux_reap(&mux);
	ck_assert_uint_eq(released, 1);
}
END_TEST

START_TEST(guest_never_answers)
{
	struct end *untold = connect_from_host(), *asked;

	mux_expired(&untold->connection);
	ck_assert(untold->closed);
	expect_nothing();

	asked = connect_from_host();
	expect(VIRTIO_VSOCK_OP_REQUEST);
	mux_expired(&asked->connection);
	ck_assert(asked->closed);
	expect(VIRTIO_VSOCK_OP_RST);
	mux_reap(&mux);
	ck_assert_uint_eq(released, 2);
}
END_TEST

START_TEST(host_leaves_before_the_answer)
{
	struct end *untold = connect_from_host(), *asked;

	mux_hangup(&untold->connection);
	expect_nothing();

	asked = connect_from_host();
	expect(VIRTIO_VSOCK_OP_REQUEST);
	mux_hangup(&asked->connection);
	expect(VIRTIO_VSOCK_OP_RST);
	/* The answer crosses it. */
	from_guest(0x40000001, VIRTIO_VSOCK_OP_RESPONSE, 0);
	expect(VIRTIO_VSOCK_OP_RST);
	mux_reap(&mux);
	ck_assert_uint_eq(released, 2);
}
END_TEST

START_TEST(host_leaves_at_the_answer)
{
	struct end *end = connect_from_host();

	expect(VIRTIO_VSOCK_OP_REQUEST);
	end->write_error = EPIPE;
	from_guest(end->connection.host_port, VIRTIO_VSOCK_OP_RESPONSE, 0);
	expect(VIRTIO_VSOCK_OP_RST);
}
END_TEST

START_TEST(answer_of_another_kind)
{
	struct end *end = connect_from_host();

	/* The guest cannot know of it yet. */
	from_guest(end->connection.host_port, VIRTIO_VSOCK_OP_RESPONSE, 0);
	expect(VIRTIO_VSOCK_OP_RST);
	ck_assert_uint_eq(end->connection.state, CONNECTION_WAITING);
	from_guest(end->connection.host_port, VIRTIO_VSOCK_OP_RST, 0);
	ck_assert_uint_eq(end->connection.state, CONNECTION_WAITING);
	from_guest(end->connection.host_port, VIRTIO_VSOCK_OP_REQUEST, 0);
	expect(VIRTIO_VSOCK_OP_RST);

	expect(VIRTIO_VSOCK_OP_REQUEST);
	data_from_guest(end->connection.host_port, 10);
	ck_assert(end->closed);
	expect(VIRTIO_VSOCK_OP_RST);
}
END_TEST

START_TEST(guest_connects)
{
	struct end *end = establish_from_guest(77);

	ck_assert_uint_eq(end->connection.host_port, 77);
	ck_assert(end->watch_read);
	data_from_guest(77, 5);
	ck_assert_uint_eq(end->output_length, 5);

	/* The same pair of ports again. */
	from_guest(77, VIRTIO_VSOCK_OP_REQUEST, 0);
	expect(VIRTIO_VSOCK_OP_RST);
	ck_assert(end->closed);
}
END_TEST

START_TEST(guest_is_refused)
{
	struct virtio_vsock_hdr header;

	refuse_open = true;
	from_guest(77, VIRTIO_VSOCK_OP_REQUEST, 0);
	header = expect(VIRTIO_VSOCK_OP_RST);
	ck_assert_uint_eq(le32toh(header.src_port), 77);
	ck_assert_uint_eq(le64toh(header.src_cid), 2);
}
END_TEST

START_TEST(listener_is_busy)
{
	open_later = true;
	from_guest(77, VIRTIO_VSOCK_OP_REQUEST, 0);
	expect_nothing();
	mux_opened(&opened->connection, true);
	expect(VIRTIO_VSOCK_OP_RESPONSE);
	ck_assert(opened->watch_read);

	from_guest(78, VIRTIO_VSOCK_OP_REQUEST, 0);
	mux_opened(&opened->connection, false);
	expect(VIRTIO_VSOCK_OP_RST);

	from_guest(79, VIRTIO_VSOCK_OP_REQUEST, 0);
	from_guest(79, VIRTIO_VSOCK_OP_RST, 0);
	ck_assert(opened->closed);
	expect_nothing();
}
END_TEST

START_TEST(strangers)
{
	struct virtio_vsock_hdr header = header_of(77, VIRTIO_VSOCK_OP_REQUEST, 0), answer;

	/* No connection. */
	for (uint16_t op = 0; op < 20; op++) {
		if (op == VIRTIO_VSOCK_OP_REQUEST)
			continue;
		from_guest(77, op, 0);
		if (op != VIRTIO_VSOCK_OP_RST)
			expect(VIRTIO_VSOCK_OP_RST);
		expect_nothing();
	}

	header.type = htole16(VIRTIO_VSOCK_TYPE_SEQPACKET);
	from_guest_with(header, "", 0);
	answer = expect(VIRTIO_VSOCK_OP_RST);
	ck_assert_uint_eq(le16toh(answer.type), VIRTIO_VSOCK_TYPE_SEQPACKET);

	header = header_of(77, VIRTIO_VSOCK_OP_REQUEST, 0);
	header.dst_cid = htole64(3);
	from_guest_with(header, "", 0);
	answer = expect(VIRTIO_VSOCK_OP_RST);
	ck_assert_uint_eq(le64toh(answer.src_cid), 3);
	header.op = htole16(VIRTIO_VSOCK_OP_RST);
	from_guest_with(header, "", 0);

	header = header_of(77, VIRTIO_VSOCK_OP_REQUEST, 0);
	header.src_cid = htole64(CID + 1);
	from_guest_with(header, "", 0);
	expect_nothing();
	ck_assert_ptr_null(opened);
}
END_TEST

START_TEST(answers_are_bounded)
{
	for (unsigned int i = 0; i < MUX_REFUSALS + 100; i++)
		from_guest(i, VIRTIO_VSOCK_OP_RW, 0);
	for (unsigned int i = 0; i < MUX_REFUSALS; i++)
		ck_assert_uint_eq(le32toh(expect(VIRTIO_VSOCK_OP_RST).src_port), i);
	expect_nothing();
}
END_TEST

/* --- data and credit --- */

START_TEST(data_to_the_guest)
{
	struct end *end = establish();
	struct packet packets[16];

	give(end, ROOM + 10, false);
	ck_assert(!end->watch_read);
	ck_assert_uint_eq(produce(packets, 16), 2);
	ck_assert_uint_eq(packets[0].length, ROOM);
	ck_assert_uint_eq(packets[1].length, 10);
	/* It may have taken less than there was: whoever is watched says so. */
	ck_assert(end->watch_read);
	expect_nothing();

	/* As much as there is room for: the rest in the next turn. */
	give(end, 3 * ROOM, false);
	ck_assert_uint_eq(produce(packets, 1), 1);
	ck_assert(!end->watch_read);
	ck_assert(mux_has_packet(&mux));
	ck_assert_uint_eq(produce(packets, 16), 2);
}
END_TEST

START_TEST(credit_of_the_guest)
{
	struct end *end = establish();
	struct packet packets[16];

	guest_buffer = 5000;
	from_guest(end->connection.host_port, VIRTIO_VSOCK_OP_CREDIT_UPDATE, 0);
	give(end, 20000, false);
	ck_assert_uint_eq(produce(packets, 2), 2);
	ck_assert_uint_eq(packets[0].length + packets[1].length, 5000);
	/* Asked once, not again and again; the host's end is not watched while it cannot be read.
	 */
	expect(VIRTIO_VSOCK_OP_CREDIT_REQUEST);
	expect_nothing();
	ck_assert(!end->watch_read);

	from_guest(end->connection.host_port, VIRTIO_VSOCK_OP_CREDIT_UPDATE, 0);
	expect_nothing();
	guest_forwarded = 100;
	from_guest(end->connection.host_port, VIRTIO_VSOCK_OP_CREDIT_UPDATE, 0);
	ck_assert_uint_eq(produce(packets, 1), 1);
	ck_assert_uint_eq(packets[0].length, 100);
	expect(VIRTIO_VSOCK_OP_CREDIT_REQUEST);

	/* A guest that lies has no credit. */
	guest_forwarded = 10000;
	from_guest(end->connection.host_port, VIRTIO_VSOCK_OP_CREDIT_UPDATE, 0);
	expect_nothing();
	guest_forwarded = 5100;
	guest_buffer = 0;
	from_guest(end->connection.host_port, VIRTIO_VSOCK_OP_CREDIT_UPDATE, 0);
	expect_nothing();
}
END_TEST

START_TEST(counts_wrap_around)
{
	struct end *end = establish();
	struct packet packets[16];

	end->connection.sent = UINT32_MAX - 999;
	guest_forwarded = UINT32_MAX - 999;
	guest_buffer = 4000;
	from_guest(end->connection.host_port, VIRTIO_VSOCK_OP_CREDIT_UPDATE, 0);
	give(end, 6000, false);
	ck_assert_uint_eq(produce(packets, 1), 1);
	ck_assert_uint_eq(packets[0].length, 4000);
	expect(VIRTIO_VSOCK_OP_CREDIT_REQUEST);
	guest_forwarded += 1500;
	from_guest(end->connection.host_port, VIRTIO_VSOCK_OP_CREDIT_UPDATE, 0);
	ck_assert_uint_eq(produce(packets, 1), 1);
	ck_assert_uint_eq(packets[0].length, 1500);
}
END_TEST

START_TEST(data_to_the_host)
{
	struct end *end = establish();
	uint32_t port = end->connection.host_port;

	data_from_guest(port, 1000);
	ck_assert_uint_eq(end->output_length, 1000);
	expect_nothing();
	ck_assert_ptr_null(end->connection.buffer.bytes);

	/* Told before the guest could run out. */
	data_from_guest(port, WINDOW / 2 - 1000);
	ck_assert_uint_eq(le32toh(expect(VIRTIO_VSOCK_OP_CREDIT_UPDATE).fwd_cnt), WINDOW / 2);
	expect_nothing();

	from_guest(port, VIRTIO_VSOCK_OP_CREDIT_REQUEST, 0);
	expect(VIRTIO_VSOCK_OP_CREDIT_UPDATE);
	data_from_guest(port, 0);
	expect_nothing();
}
END_TEST

START_TEST(slow_host)
{
	struct end *end = establish();
	uint32_t port = end->connection.host_port;

	end->output_room = 100;
	data_from_guest(port, 60000);
	ck_assert_uint_eq(end->output_length, 100);
	ck_assert(end->watch_write);
	for (unsigned int i = 0; i < 3; i++)
		data_from_guest(port, 65000);
	data_from_guest(port, WINDOW - (60000 - 100) - 195000);
	ck_assert_uint_eq(end->connection.buffer.length, WINDOW);
	/* All that was allowed has come; what was forwarded is too little to be worth a word. */
	expect_nothing();

	end->output_room = 5;
	mux_writable(&end->connection);
	ck_assert(end->watch_write);
	end->output_room = SIZE_MAX;
	mux_writable(&end->connection);
	ck_assert(!end->watch_write);
	ck_assert_uint_eq(end->output_length, WINDOW + 100);
	ck_assert(all_are('g', end->output, end->output_length));
	ck_assert_uint_eq(le32toh(expect(VIRTIO_VSOCK_OP_CREDIT_UPDATE).fwd_cnt), WINDOW + 100);
	/* An idle connection holds no memory. */
	ck_assert_ptr_null(end->connection.buffer.bytes);
}
END_TEST

START_TEST(more_than_the_credit)
{
	struct end *end = establish(), *other = establish();

	end->output_room = 0;
	data_from_guest(end->connection.host_port, WINDOW);
	ck_assert_uint_eq(end->connection.state, CONNECTION_ESTABLISHED);
	data_from_guest(end->connection.host_port, 1);
	ck_assert(end->closed);
	expect(VIRTIO_VSOCK_OP_RST);

	/* Even where the host would take it. */
	data_from_guest(other->connection.host_port, WINDOW + 1);
	ck_assert(other->closed);
}
END_TEST

START_TEST(no_memory_for_the_buffer)
{
	struct end *end = establish();
	struct virtio_vsock_hdr header =
		header_of(end->connection.host_port, VIRTIO_VSOCK_OP_RW, 0);

	end->output_room = 0;
	alloc_fail_after(0);
	from_guest_with(header, "abc", 3);
	alloc_fail_never();
	ck_assert(end->closed);
	expect(VIRTIO_VSOCK_OP_RST);
}
END_TEST

START_TEST(windows_are_bounded)
{
	uint64_t total = 0;

	for (unsigned int i = 0; i < 4096; i++)
		total += connect_from_host()->connection.buffer.limit;
	ck_assert_uint_le(total, MUX_MEMORY + 4096 * MUX_SMALL_WINDOW);
}
END_TEST

START_TEST(turns)
{
	struct end *ends[4];
	struct packet packets[16];
	unsigned int counts[4] = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(ends); i++)
		ends[i] = establish();
	for (size_t i = 0; i < ARRAY_SIZE(ends); i++)
		give(ends[i], 10 * ROOM, false);
	for (unsigned int i = 0; i < 40; i++) {
		ck_assert_uint_eq(produce(packets, 1), 1);
		for (size_t j = 0; j < ARRAY_SIZE(ends); j++)
			if (ends[j]->connection.host_port == le32toh(packets[0].header.src_port))
				counts[j]++;
		if (i % 4 == 3)
			for (size_t j = 0; j < ARRAY_SIZE(ends); j++)
				ck_assert_uint_eq(counts[j], i / 4 + 1);
	}
}
END_TEST

/* --- ends --- */

START_TEST(host_closes)
{
	struct end *end = establish();
	uint32_t port = end->connection.host_port;
	struct packet packet;

	/* What it sent before comes before. */
	give(end, 10, true);
	mux_hangup(&end->connection);
	ck_assert_uint_eq(produce(&packet, 1), 1);
	ck_assert_uint_eq(packet.length, 10);
	expect_shutdown(RCV);
	ck_assert(end->watch_read);
	mux_readable(&end->connection);
	expect_shutdown(BOTH);
	ck_assert(end->closed);
	expect_nothing();
	ck_assert(end->limit > 0);

	/* What was on the way is nobody's. */
	data_from_guest(port, 10);
	from_guest(port, VIRTIO_VSOCK_OP_CREDIT_UPDATE, 0);
	expect_nothing();
	from_guest(port, VIRTIO_VSOCK_OP_RST, 0);
	mux_reap(&mux);
	ck_assert_uint_eq(released, 1);
}
END_TEST

START_TEST(guest_does_not_confirm)
{
	struct end *end = establish();

	give(end, 0, true);
	mux_hangup(&end->connection);
	expect_shutdown(BOTH);
	mux_expired(&end->connection);
	expect(VIRTIO_VSOCK_OP_RST);
	mux_reap(&mux);
	ck_assert_uint_eq(released, 1);
}
END_TEST

START_TEST(host_half_closes)
{
	struct end *end = establish();
	uint32_t port = end->connection.host_port;

	give(end, 0, true);
	expect_shutdown(SEND);
	ck_assert(!end->closed);
	ck_assert(!end->watch_read);
	data_from_guest(port, 100);
	ck_assert_uint_eq(end->output_length, 100);

	from_guest(port, VIRTIO_VSOCK_OP_SHUTDOWN, SEND);
	ck_assert(end->closed);
	expect_shutdown(BOTH);
	from_guest(port, VIRTIO_VSOCK_OP_RST, 0);
	expect_nothing();
}
END_TEST

START_TEST(guest_closes)
{
	struct end *end = establish();
	uint32_t port = end->connection.host_port;

	end->output_room = 10;
	data_from_guest(port, 100);
	from_guest(port, VIRTIO_VSOCK_OP_SHUTDOWN, BOTH);
	ck_assert(end->shut_read);
	ck_assert(!end->closed);
	expect_nothing();
	/* The answer means that all was delivered. */
	end->output_room = 100;
	mux_writable(&end->connection);
	ck_assert_uint_eq(end->output_length, 100);
	ck_assert(end->closed);
	expect(VIRTIO_VSOCK_OP_RST);
	mux_reap(&mux);
	ck_assert_uint_eq(released, 1);
}
END_TEST

START_TEST(guest_closes_in_two_steps)
{
	struct end *end = establish();
	uint32_t port = end->connection.host_port;

	from_guest(port, VIRTIO_VSOCK_OP_SHUTDOWN, RCV);
	ck_assert(end->shut_read && !end->shut_write);
	ck_assert(!end->watch_read);
	data_from_guest(port, 10);
	ck_assert_uint_eq(end->output_length, 10);
	from_guest(port, VIRTIO_VSOCK_OP_SHUTDOWN, SEND);
	ck_assert(end->closed);
	expect(VIRTIO_VSOCK_OP_RST);
}
END_TEST

START_TEST(guest_half_closes)
{
	struct end *end = establish();
	uint32_t port = end->connection.host_port;
	struct packet packets[16];

	end->output_room = 10;
	data_from_guest(port, 100);
	from_guest(port, VIRTIO_VSOCK_OP_SHUTDOWN, SEND);
	ck_assert(!end->shut_write);
	end->output_room = 100;
	mux_writable(&end->connection);
	ck_assert(end->shut_write && !end->closed);

	give(end, 20, true);
	ck_assert_uint_eq(produce(packets, 16), 1);
	ck_assert(!end->closed);
	mux_readable(&end->connection);
	expect_shutdown(BOTH);
	ck_assert(end->closed);

	end = establish();
	from_guest(end->connection.host_port, VIRTIO_VSOCK_OP_SHUTDOWN, SEND);
	data_from_guest(end->connection.host_port, 1);
	expect(VIRTIO_VSOCK_OP_RST);
}
END_TEST

START_TEST(host_stops_reading)
{
	struct end *end = establish();
	uint32_t port = end->connection.host_port;
	struct packet packets[16];

	end->output_room = 0;
	data_from_guest(port, 1000);
	end->write_error = EPIPE;
	mux_writable(&end->connection);
	ck_assert(!end->watch_write);
	expect_shutdown(RCV);
	/* What is on the way is thrown away, and its room given back. */
	data_from_guest(port, WINDOW / 2);
	ck_assert_uint_eq(le32toh(expect(VIRTIO_VSOCK_OP_CREDIT_UPDATE).fwd_cnt),
			  WINDOW / 2 + 1000);
	/* The other way goes on. */
	give(end, 10, false);
	ck_assert_uint_eq(produce(packets, 16), 1);
	give(end, 0, true);
	expect_shutdown(BOTH);
	ck_assert(end->closed);
}
END_TEST

START_TEST(host_fails)
{
	struct end *end = establish();

	end->read_error = ECONNRESET;
	mux_readable(&end->connection);
	expect_shutdown(BOTH);
	ck_assert(end->closed);

	end = establish();
	end->write_error = ECONNRESET;
	data_from_guest(end->connection.host_port, 10);
	expect_shutdown(RCV);
	mux_hangup(&end->connection);
	expect_nothing();
	from_guest(end->connection.host_port, VIRTIO_VSOCK_OP_SHUTDOWN, SEND);
	expect_nothing();
	give(end, 0, true);
	expect_shutdown(BOTH);
}
END_TEST

START_TEST(hangup_while_the_guest_has_no_credit)
{
	struct end *end = establish();
	struct packet packet;

	guest_buffer = 100;
	from_guest(end->connection.host_port, VIRTIO_VSOCK_OP_CREDIT_UPDATE, 0);
	give(end, 150, true);
	ck_assert_uint_eq(produce(&packet, 1), 1);
	expect(VIRTIO_VSOCK_OP_CREDIT_REQUEST);
	mux_hangup(&end->connection);
	expect_shutdown(RCV);
	expect_nothing();
	guest_forwarded = 100;
	from_guest(end->connection.host_port, VIRTIO_VSOCK_OP_CREDIT_UPDATE, 0);
	ck_assert_uint_eq(produce(&packet, 1), 1);
	ck_assert_uint_eq(packet.length, 50);
	mux_readable(&end->connection);
	expect_shutdown(BOTH);
}
END_TEST

START_TEST(guest_resets)
{
	struct end *end = establish();
	uint32_t port = end->connection.host_port;

	end->output_room = 10;
	data_from_guest(port, 100);
	give(end, 100, false);
	from_guest(port, VIRTIO_VSOCK_OP_RST, 0);
	ck_assert(!end->closed);
	/* A host that only writes has to notice. */
	ck_assert(end->shut_read);
	ck_assert(!end->watch_read && end->watch_write);
	expect_nothing();
	/* The guest may use the ports again. */
	data_from_guest(port, 1);
	expect(VIRTIO_VSOCK_OP_RST);

	end->output_room = 50;
	mux_writable(&end->connection);
	expect_nothing();
	end->output_room = 50;
	mux_writable(&end->connection);
	ck_assert_uint_eq(end->output_length, 100);
	ck_assert(end->closed);
	expect_nothing();

	/* Or the host goes first. */
	end = establish();
	end->output_room = 0;
	data_from_guest(end->connection.host_port, WINDOW);
	from_guest(end->connection.host_port, VIRTIO_VSOCK_OP_RST, 0);
	mux_hangup(&end->connection);
	ck_assert(end->closed);
	expect_nothing();
	mux_reap(&mux);
	ck_assert_uint_eq(released, 2);
}
END_TEST

START_TEST(unknown_operations)
{
	static const uint16_t ops[] = { VIRTIO_VSOCK_OP_INVALID, VIRTIO_VSOCK_OP_RESPONSE, 8,
					65535 };

	for (size_t i = 0; i < ARRAY_SIZE(ops); i++) {
		struct end *end = establish();

		from_guest(end->connection.host_port, ops[i], 0);
		ck_assert(end->closed);
		expect(VIRTIO_VSOCK_OP_RST);
	}
}
END_TEST

START_TEST(restart)
{
	struct end *established = establish(), *draining = establish(), *asked, *untold;

	draining->output_room = 0;
	data_from_guest(draining->connection.host_port, 10);
	asked = connect_from_host();
	expect(VIRTIO_VSOCK_OP_REQUEST);
	untold = connect_from_host();
	from_guest(5, VIRTIO_VSOCK_OP_RW, 0);

	mux_restart(&mux, true);
	ck_assert(established->closed);
	ck_assert(asked->closed);
	ck_assert(!draining->closed && !untold->closed);
	/* The answer to the old driver is not for the new one. */
	expect(VIRTIO_VSOCK_OP_REQUEST);
	expect_nothing();

	mux_restart(&mux, false);
	ck_assert(untold->closed);
	mux_reap(&mux);
	ck_assert(!mux_empty(&mux));
	draining->output_room = 10;
	mux_writable(&draining->connection);
	mux_reap(&mux);
	ck_assert(mux_empty(&mux));
	ck_assert_uint_eq(released, 4);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("vsock-mux");
	TCase *tcase = unit_counted_case("mux");

	tcase_add_checked_fixture(tcase, start, finish);
	tcase_add_test(tcase, host_connects);
	tcase_add_test(tcase, guest_refuses);
	tcase_add_test(tcase, guest_never_answers);
	tcase_add_test(tcase, host_leaves_before_the_answer);
	tcase_add_test(tcase, host_leaves_at_the_answer);
	tcase_add_test(tcase, answer_of_another_kind);
	tcase_add_test(tcase, guest_connects);
	tcase_add_test(tcase, guest_is_refused);
	tcase_add_test(tcase, listener_is_busy);
	tcase_add_test(tcase, strangers);
	tcase_add_test(tcase, answers_are_bounded);
	tcase_add_test(tcase, data_to_the_guest);
	tcase_add_test(tcase, credit_of_the_guest);
	tcase_add_test(tcase, counts_wrap_around);
	tcase_add_test(tcase, data_to_the_host);
	tcase_add_test(tcase, slow_host);
	tcase_add_test(tcase, more_than_the_credit);
	tcase_add_test(tcase, no_memory_for_the_buffer);
	tcase_add_test(tcase, windows_are_bounded);
	tcase_add_test(tcase, turns);
	tcase_add_test(tcase, host_closes);
	tcase_add_test(tcase, guest_does_not_confirm);
	tcase_add_test(tcase, host_half_closes);
	tcase_add_test(tcase, guest_closes);
	tcase_add_test(tcase, guest_closes_in_two_steps);
	tcase_add_test(tcase, guest_half_closes);
	tcase_add_test(tcase, host_stops_reading);
	tcase_add_test(tcase, host_fails);
	tcase_add_test(tcase, hangup_while_the_guest_has_no_credit);
	tcase_add_test(tcase, guest_resets);
	tcase_add_test(tcase, unknown_operations);
	tcase_add_test(tcase, restart);
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
