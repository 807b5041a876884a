/*
 * One connection: state machine and credit (Virtio 1.2, sections 5.10.6.3 to 5.10.6.6).
 *
 * Bytes from the guest go to the host's end at once; what it does not take is buffered, up to the
 * size that every packet advertises as buf_alloc. The guest may have as much on the way as it was
 * told is free, so the buffer never has to refuse an honest guest, and one that sends more is cut
 * off. Bytes of the host's end are not buffered at all: they stay in its socket until the guest has
 * credit and a receive buffer, and are then read straight into that.
 *
 * Each way ends on its own. host_shutdown and guest_shutdown hold what each end said it will not do
 * any more (RCV, SEND). The way to the host has ended when the guest sends no more and the buffer
 * is empty, or the host's end takes no more; the way to the guest likewise. When both have ended
 * the host's end is closed, and it remains to agree with the guest: one side says SHUTDOWN with
 * both flags, the other answers with RST, after which the pair of ports may be used again.
 *
 * Packets are not queued: what is to be sent is a set of bits, and a packet is made when there is a
 * receive buffer for it. So a connection's memory is its buffer, and nothing can pile up.
 */
#include "host/vsock/connection.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "common/util.h"
#include "host/vsock/iov.h"
#include "host/vsock/log.h"
#include "host/vsock/mux.h"

#define PENDING(op)   (1u << VIRTIO_VSOCK_OP_##op)
#define SHUTDOWN_RCV  VIRTIO_VSOCK_SHUTDOWN_RCV
#define SHUTDOWN_SEND VIRTIO_VSOCK_SHUTDOWN_SEND
#define SHUTDOWN_BOTH (SHUTDOWN_RCV | SHUTDOWN_SEND)

static const char *const connection_state_names[] = {
	[CONNECTION_WAITING] = "waiting",   [CONNECTION_REQUESTED] = "requested",
	[CONNECTION_OPENING] = "opening",   [CONNECTION_ESTABLISHED] = "established",
	[CONNECTION_CLOSING] = "closing",   [CONNECTION_RESETTING] = "resetting",
	[CONNECTION_DRAINING] = "draining", [CONNECTION_FINISHED] = "finished",
};
static_assert(ARRAY_SIZE(connection_state_names) == CONNECTION_FINISHED + 1,
	      "a name for every state");

static void connection_close_host(struct connection *connection)
{
	if (connection->host_open) {
		connection->host_open = false;
		connection->mux->ops->close(connection);
	}
	connection->readable = false;
	buffer_clear(&connection->buffer);
}

void connection_set_state(struct connection *connection, enum connection_state state)
{
	struct mux *mux = connection->mux;

	log_debug("connection host:%u guest:%u: %s -> %s", connection->host_port,
		  connection->guest_port, connection_state_names[connection->state],
		  connection_state_names[state]);
	connection->state = state;

	switch (state) {
	case CONNECTION_ESTABLISHED:
		mux->ops->limit(connection, 0);
		break;
	case CONNECTION_CLOSING:
		connection_close_host(connection);
		mux->ops->limit(connection, CONNECTION_CLOSE_LIMIT);
		break;
	case CONNECTION_RESETTING:
		connection_close_host(connection);
		connection->pending = PENDING(RST);
		break;
	case CONNECTION_DRAINING:
		connection->pending = 0;
		connection->readable = false;
		list_remove(&connection->bucket_link);
		list_remove(&connection->ready_link);
		break;
	case CONNECTION_FINISHED:
		connection_close_host(connection);
		connection->pending = 0;
		list_remove(&connection->bucket_link);
		list_remove(&connection->ready_link);
		list_remove(&connection->all_link);
		list_append(&mux->finished, &connection->all_link);
		break;
	case CONNECTION_WAITING:
	case CONNECTION_REQUESTED:
	case CONNECTION_OPENING:
		break;
	}
}

static uint32_t connection_credit(const struct connection *connection)
{
	uint32_t used = connection->sent - connection->guest_forwarded;

	/* A guest that shrinks its buffer, or lies, has none. */
	return used < connection->guest_buffer ? connection->guest_buffer - used : 0;
}

static bool connection_can_read(const struct connection *connection)
{
	return connection->state == CONNECTION_ESTABLISHED && connection->readable &&
	       connection_credit(connection) > 0;
}

bool connection_has_packet(const struct connection *connection)
{
	return connection->pending != 0 || connection_can_read(connection);
}

void connection_watch(struct connection *connection)
{
	bool read = connection->state == CONNECTION_ESTABLISHED && !connection->readable &&
		    !(connection->host_shutdown & SHUTDOWN_SEND) &&
		    !(connection->guest_shutdown & SHUTDOWN_RCV);

	if (connection->host_open)
		connection->mux->ops->watch(connection, read, connection->buffer.length > 0);
}

/* Notes what the host's end will not do any more, and that the guest must hear of it. */
static void connection_shut_host(struct connection *connection, uint8_t flags)
{
	if ((connection->host_shutdown & flags) != flags) {
		connection->host_shutdown |= flags;
		connection->pending |= PENDING(SHUTDOWN);
	}
}

/* Also where it could not be written to: it may wait for what was lost. */
static void connection_end_writing(struct connection *connection)
{
	if (!connection->write_ended) {
		connection->write_ended = true;
		connection->mux->ops->shutdown(connection, SHUT_WR);
	}
}

/* Draws the consequences of what has ended. */
static void connection_settle(struct connection *connection)
{
	bool guest_done =
		(connection->guest_shutdown & SHUTDOWN_SEND) && connection->buffer.length == 0;
	bool to_host_ended = guest_done || (connection->host_shutdown & SHUTDOWN_RCV);
	bool to_guest_ended = (connection->host_shutdown & SHUTDOWN_SEND) ||
			      (connection->guest_shutdown & SHUTDOWN_RCV);

	if (connection->state == CONNECTION_DRAINING && connection->buffer.length == 0)
		connection_set_state(connection, CONNECTION_FINISHED);
	if (connection->state != CONNECTION_ESTABLISHED)
		return;

	if (to_host_ended && to_guest_ended) {
		/* Whoever hears of both last answers with RST. */
		if (connection->guest_shutdown == SHUTDOWN_BOTH) {
			connection_set_state(connection, CONNECTION_RESETTING);
		} else {
			connection_shut_host(connection, SHUTDOWN_BOTH);
			connection_set_state(connection, CONNECTION_CLOSING);
		}
	} else if (guest_done) {
		connection_end_writing(connection);
	}
}

/* Counts bytes that no longer need room, and tells the guest before it could run out of credit. */
static void connection_forwarded(struct connection *connection, uint32_t length)
{
	connection->forwarded += length;
	if (connection->state == CONNECTION_ESTABLISHED &&
	    connection->forwarded - connection->forwarded_told >= connection->buffer.limit / 2)
		connection->pending |= PENDING(CREDIT_UPDATE);
}

void connection_reset(struct connection *connection)
{
	connection_set_state(connection, CONNECTION_RESETTING);
}

void connection_guest_gone(struct connection *connection)
{
	if (connection->buffer.length == 0) {
		connection_set_state(connection, CONNECTION_FINISHED);
		return;
	}
	/* Else a host that only writes would block when its socket is full, and never know. */
	connection->mux->ops->shutdown(connection, SHUT_RD);
	connection_set_state(connection, CONNECTION_DRAINING);
}

void connection_host_deaf(struct connection *connection)
{
	connection_forwarded(connection, connection->buffer.length);
	buffer_clear(&connection->buffer);
	if (connection->state == CONNECTION_ESTABLISHED) {
		connection_shut_host(connection, SHUTDOWN_RCV);
		connection_end_writing(connection);
	}
	connection_settle(connection);
}

/* What cannot be read or written once is given up: nothing tells when it could be. */
static void connection_host_failed(struct connection *connection, int error)
{
	/* That it is gone happens. */
	if (error != EPIPE && error != ECONNRESET)
		log_warning("connection host:%u guest:%u: the host's end: %s",
			    connection->host_port, connection->guest_port, strerror(error));
	connection_host_deaf(connection);
}

void connection_flush(struct connection *connection)
{
	struct iovec iov[2];
	unsigned int count = buffer_peek(&connection->buffer, iov);
	ssize_t length;

	if (count == 0)
		return;
	length = connection->mux->ops->write(connection, iov, count);
	if (length == -EAGAIN)
		return;
	if (length < 0) {
		connection_host_failed(connection, (int)-length);
		return;
	}
	buffer_consume(&connection->buffer, (uint32_t)length);
	connection_forwarded(connection, (uint32_t)length);
	connection_settle(connection);
}

/* --- to the guest --- */

static void connection_fill(struct connection *connection, struct packet *packet, uint16_t op,
			    uint32_t length)
{
	uint32_t flags = op == VIRTIO_VSOCK_OP_SHUTDOWN ? connection->host_shutdown : 0;

	packet->length = length;
	packet->header = (struct virtio_vsock_hdr){
		.src_cid = htole64(MUX_HOST_CID),
		.dst_cid = htole64(connection->mux->guest_cid),
		.src_port = htole32(connection->host_port),
		.dst_port = htole32(connection->guest_port),
		.len = htole32(length),
		.type = htole16(VIRTIO_VSOCK_TYPE_STREAM),
		.op = htole16(op),
		.flags = htole32(flags),
		.buf_alloc = htole32(connection->buffer.limit),
		.fwd_cnt = htole32(connection->forwarded),
	};
	/* Every packet tells of the credit. */
	connection->forwarded_told = connection->forwarded;
	connection->pending &= ~(PENDING(CREDIT_UPDATE) | 1u << op);
}

/* What the host's end had for us: an end, an error, or nothing. */
static void connection_read_ended(struct connection *connection, ssize_t result)
{
	connection->readable = false;
	if (result == -EAGAIN)
		return;
	connection_shut_host(connection, SHUTDOWN_SEND);
	if (result < 0)
		connection_host_failed(connection, (int)-result);
	else
		connection_settle(connection);
}

/* Reads what the host's end has into the guest's buffers: one call, as many packets as it fills. */
static unsigned int connection_read(struct connection *connection, struct packet *packets,
				    unsigned int count)
{
	uint64_t room = 0, wanted;
	struct iovec *iov = packets[0].payload, *last;
	unsigned int elements = 0, used = 0;
	size_t excess, last_length;
	ssize_t length;

	for (unsigned int i = 0; i < count; i++)
		room += packets[i].room;
	wanted = MIN(room, (uint64_t)connection_credit(connection));

	for (room = 0; room < wanted; room += iov[elements++].iov_len)
		;
	last = &iov[elements - 1];
	last_length = last->iov_len;
	excess = (size_t)(room - wanted);
	last->iov_len -= excess;
	length = connection->mux->ops->read(connection, iov, elements);
	last->iov_len = last_length;

	if (length <= 0) {
		connection_read_ended(connection, length);
		return 0;
	}
	/* Then there is no more for now; should there be, being watched it tells so. */
	if ((uint64_t)length < wanted)
		connection->readable = false;

	for (uint32_t left = (uint32_t)length; left > 0; used++) {
		uint32_t part = MIN(left, packets[used].room);

		connection_fill(connection, &packets[used], VIRTIO_VSOCK_OP_RW, part);
		left -= part;
	}
	connection->sent += (uint32_t)length;

	/* Linux tells of new credit by itself; a guest that does not must be asked. */
	if (connection_credit(connection) == 0 && !connection->requested_credit) {
		connection->requested_credit = true;
		connection->pending |= PENDING(CREDIT_REQUEST);
	}
	return used;
}

unsigned int connection_produce(struct connection *connection, struct packet *packets,
				unsigned int count)
{
	/* What must precede data, then data, then what only goes where no data goes. */
	static const uint16_t before[] = { VIRTIO_VSOCK_OP_RST, VIRTIO_VSOCK_OP_REQUEST,
					   VIRTIO_VSOCK_OP_RESPONSE };
	static const uint16_t after[] = { VIRTIO_VSOCK_OP_CREDIT_REQUEST, VIRTIO_VSOCK_OP_SHUTDOWN,
					  VIRTIO_VSOCK_OP_CREDIT_UPDATE };

	for (size_t i = 0; i < ARRAY_SIZE(before); i++) {
		if (!(connection->pending & 1u << before[i]))
			continue;
		connection_fill(connection, packets, before[i], 0);
		if (before[i] == VIRTIO_VSOCK_OP_RST)
			connection_set_state(connection, CONNECTION_FINISHED);
		if (before[i] == VIRTIO_VSOCK_OP_REQUEST)
			connection_set_state(connection, CONNECTION_REQUESTED);
		return 1;
	}

	if (connection_can_read(connection)) {
		unsigned int used = connection_read(connection, packets, count);

		if (used > 0)
			return used;
	}

	for (size_t i = 0; i < ARRAY_SIZE(after); i++) {
		if (connection->pending & 1u << after[i]) {
			connection_fill(connection, packets, after[i], 0);
			return 1;
		}
	}
	return 0;
}

/* --- from the guest --- */

static void connection_receive_data(struct connection *connection, struct iovec *iov,
				    unsigned int count)
{
	size_t length = iov_length(iov, count);
	ssize_t written = 0;

	if (connection->guest_shutdown & SHUTDOWN_SEND ||
	    length > connection->buffer.limit - connection->buffer.length) {
		log_warning("connection host:%u guest:%u: the guest sent %s", connection->host_port,
			    connection->guest_port,
			    connection->guest_shutdown & SHUTDOWN_SEND ? "after its SHUTDOWN"
								       : "more than its credit");
		connection_reset(connection);
		return;
	}

	if (connection->host_shutdown & SHUTDOWN_RCV) {
		connection_forwarded(connection, (uint32_t)length);
		return;
	}

	if (connection->buffer.length == 0 && length > 0) {
		written = connection->mux->ops->write(connection, iov, count);
		if (written == -EAGAIN)
			written = 0;
		if (written < 0) {
			connection_forwarded(connection, (uint32_t)length);
			connection_host_failed(connection, (int)-written);
			return;
		}
		connection_forwarded(connection, (uint32_t)written);
	}

	if ((size_t)written < length) {
		count = iov_skip(iov, iov, count, (size_t)written);
		if (buffer_append(&connection->buffer, iov, count) < 0) {
			log_warning("connection host:%u guest:%u: no memory", connection->host_port,
				    connection->guest_port);
			connection_reset(connection);
		}
	}
}

static void connection_receive_shutdown(struct connection *connection, uint32_t flags)
{
	uint8_t fresh = (uint8_t)(flags & SHUTDOWN_BOTH & ~connection->guest_shutdown);

	connection->guest_shutdown |= fresh;
	if (fresh & SHUTDOWN_RCV) {
		connection->readable = false;
		connection->mux->ops->shutdown(connection, SHUT_RD);
	}
	connection_settle(connection);
}

static void connection_receive_established(struct connection *connection, uint16_t op,
					   uint32_t flags, struct iovec *iov, unsigned int count)
{
	switch (op) {
	case VIRTIO_VSOCK_OP_RW:
		connection_receive_data(connection, iov, count);
		break;
	case VIRTIO_VSOCK_OP_CREDIT_UPDATE:
		break;
	case VIRTIO_VSOCK_OP_CREDIT_REQUEST:
		connection->pending |= PENDING(CREDIT_UPDATE);
		break;
	case VIRTIO_VSOCK_OP_SHUTDOWN:
		connection_receive_shutdown(connection, flags);
		break;
	default:
		connection_reset(connection);
		break;
	}
}

void connection_receive(struct connection *connection, const struct virtio_vsock_hdr *header,
			struct iovec *iov, unsigned int count)
{
	uint16_t op = le16toh(header->op);

	connection->guest_buffer = le32toh(header->buf_alloc);
	connection->guest_forwarded = le32toh(header->fwd_cnt);
	if (connection_credit(connection) > 0)
		connection->requested_credit = false;

	if (op == VIRTIO_VSOCK_OP_RST) {
		connection_guest_gone(connection);
		return;
	}

	switch (connection->state) {
	case CONNECTION_REQUESTED:
		if (op != VIRTIO_VSOCK_OP_RESPONSE ||
		    connection->mux->ops->accepted(connection) < 0)
			connection_reset(connection);
		else
			connection_set_state(connection, CONNECTION_ESTABLISHED);
		break;
	case CONNECTION_ESTABLISHED:
		connection_receive_established(connection, op, le32toh(header->flags), iov, count);
		break;
	case CONNECTION_OPENING:
		connection_reset(connection);
		break;
	case CONNECTION_CLOSING:
		/* Data and credit were on the way when the guest heard of the end. */
		if (op == VIRTIO_VSOCK_OP_REQUEST)
			connection_reset(connection);
		break;
	case CONNECTION_RESETTING:
	case CONNECTION_WAITING:
	case CONNECTION_DRAINING:
	case CONNECTION_FINISHED:
		break;
	}
}
