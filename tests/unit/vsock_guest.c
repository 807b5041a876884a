#include "vsock_guest.h"

#include <endian.h>
#include <string.h>
#include <unistd.h>

#include "common/util.h"
#include "unit.h"

/* A prime: no buffer's size divides it. */
#define PERIOD 65521u

#define BUFFER 65536u /* what each peer takes without telling */
#define RCV    VIRTIO_VSOCK_SHUTDOWN_RCV
#define SEND   VIRTIO_VSOCK_SHUTDOWN_SEND

static uint8_t pattern[2 * PERIOD + DRIVER_PAYLOAD];

static void make_pattern(void)
{
	uint32_t state = 1;

	for (size_t i = 0; i < sizeof(pattern); i++) {
		state = state * 1103515245u + 12345u;
		pattern[i] = i < PERIOD ? (uint8_t)(state >> 16) : pattern[i - PERIOD];
	}
}

uint8_t guest_pattern(uint64_t offset)
{
	return pattern[offset % PERIOD];
}

void guest_pattern_fill(uint8_t *bytes, uint64_t offset, size_t length)
{
	for (size_t done = 0, part; done < length; done += part) {
		part = MIN(length - done, (size_t)DRIVER_PAYLOAD);
		memcpy(bytes + done, pattern + (offset + done) % PERIOD, part);
	}
}

bool guest_pattern_check(const uint8_t *bytes, uint64_t offset, size_t length)
{
	for (size_t done = 0, part; done < length; done += part) {
		part = MIN(length - done, (size_t)DRIVER_PAYLOAD);
		if (memcmp(bytes + done, pattern + (offset + done) % PERIOD, part) != 0)
			return false;
	}
	return true;
}

void guest_init(struct guest *guest, struct driver *driver)
{
	if (pattern[0] == 0 && pattern[1] == 0)
		make_pattern();
	memset(guest, 0, sizeof(*guest));
	guest->driver = driver;
}

struct guest_peer *guest_find(struct guest *guest, uint32_t host_port, uint32_t guest_port)
{
	for (size_t i = 0; i < ARRAY_SIZE(guest->peers); i++) {
		struct guest_peer *peer = &guest->peers[i];

		if (peer->used && !peer->reset_received && !peer->reset_sent &&
		    peer->host_port == host_port && peer->guest_port == guest_port)
			return peer;
	}
	return NULL;
}

static struct guest_peer *new_peer(struct guest *guest, uint32_t host_port, uint32_t guest_port)
{
	for (size_t i = 0; i < ARRAY_SIZE(guest->peers); i++) {
		struct guest_peer *peer = &guest->peers[i];

		if (!peer->used || peer->reset_received || peer->reset_sent) {
			*peer = (struct guest_peer){ .used = true,
						     .host_port = host_port,
						     .guest_port = guest_port };
			return peer;
		}
	}
	ck_abort_msg("more than %u peers", GUEST_PEERS);
	return NULL;
}

static bool try_send(struct guest *guest, struct guest_peer *peer, uint16_t op, uint32_t flags,
		     const void *payload, uint32_t length)
{
	struct virtio_vsock_hdr header = {
		.src_cid = htole64(GUEST_CID),
		.dst_cid = htole64(2),
		.src_port = htole32(peer->guest_port),
		.dst_port = htole32(peer->host_port),
		.len = htole32(length),
		.type = htole16(VIRTIO_VSOCK_TYPE_STREAM),
		.op = htole16(op),
		.flags = htole32(flags),
		.buf_alloc = htole32(BUFFER),
		.fwd_cnt = htole32(peer->taken),
	};

	return driver_send(guest->driver, &header, payload, length);
}

void guest_send(struct guest *guest, struct guest_peer *peer, uint16_t op, uint32_t flags)
{
	/* The device takes packets as long as it runs, in a process of its own. */
	for (unsigned int tries = 0; !try_send(guest, peer, op, flags, NULL, 0); tries++) {
		ck_assert_msg(tries < 10000, "the device takes no packets");
		usleep(1000);
	}
	guest->unseen = true;
	if (op == VIRTIO_VSOCK_OP_SHUTDOWN)
		peer->shutdown_sent |= flags;
	if (op == VIRTIO_VSOCK_OP_RST) {
		peer->reset_sent = true;
		guest->ended++;
	}
}

struct guest_peer *guest_connect(struct guest *guest, uint32_t port)
{
	static uint32_t next_port = 50000;
	struct guest_peer *peer = new_peer(guest, port, next_port++);

	guest_send(guest, peer, VIRTIO_VSOCK_OP_REQUEST, 0);
	return peer;
}

static void on_request(struct guest *guest, const struct driver_packet *packet)
{
	uint32_t port = le32toh(packet->header.dst_port);
	struct guest_peer *peer = new_peer(guest, le32toh(packet->header.src_port), port);

	guest->requests++;
	switch (port) {
	case GUEST_SILENT:
		return;
	case GUEST_SOURCE:
		peer->to_send = guest->source_length;
		peer->shutdown_at_end = guest->source_shutdown;
		break;
	case GUEST_ECHO:
	case GUEST_SINK:
	case GUEST_STALL:
		break;
	default:
		guest_send(guest, peer, VIRTIO_VSOCK_OP_RST, 0);
		return;
	}
	peer->established = true;
	guest_send(guest, peer, VIRTIO_VSOCK_OP_RESPONSE, 0);
}

static void on_data(struct guest *guest, struct guest_peer *peer,
		    const struct driver_packet *packet)
{
	ck_assert(!(peer->shutdown_received & SEND));
	ck_assert(guest_pattern_check(packet->payload, peer->received, packet->length));
	peer->received += packet->length;
	/* The host must respect the credit. */
	ck_assert_uint_le((uint32_t)peer->received - peer->taken, BUFFER);
	if (peer->guest_port == GUEST_ECHO)
		peer->to_send = peer->received;
	(void)guest;
}

static void on_packet(struct guest *guest, const struct driver_packet *packet)
{
	uint16_t op = le16toh(packet->header.op);
	struct guest_peer *peer = guest_find(guest, le32toh(packet->header.src_port),
					     le32toh(packet->header.dst_port));

	ck_assert_uint_eq(le64toh(packet->header.src_cid), 2);
	ck_assert_uint_eq(le64toh(packet->header.dst_cid), GUEST_CID);
	if (op == VIRTIO_VSOCK_OP_REQUEST) {
		ck_assert_ptr_null(peer);
		on_request(guest, packet);
		peer = guest_find(guest, le32toh(packet->header.src_port),
				  le32toh(packet->header.dst_port));
	}
	if (!peer)
		return;
	peer->host_buffer = le32toh(packet->header.buf_alloc);
	peer->host_taken = le32toh(packet->header.fwd_cnt);

	switch (op) {
	case VIRTIO_VSOCK_OP_RESPONSE:
		peer->established = true;
		break;
	case VIRTIO_VSOCK_OP_RST:
		peer->reset_received = true;
		guest->ended++;
		break;
	case VIRTIO_VSOCK_OP_SHUTDOWN:
		peer->shutdown_received |= le32toh(packet->header.flags);
		/* As Linux: when both ways have ended and everything is read. */
		if (peer->shutdown_received == (RCV | SEND) && !guest->unhelpful)
			guest_send(guest, peer, VIRTIO_VSOCK_OP_RST, 0);
		else if (peer->guest_port == GUEST_ECHO)
			peer->shutdown_at_end = SEND;
		break;
	case VIRTIO_VSOCK_OP_RW:
		on_data(guest, peer, packet);
		break;
	case VIRTIO_VSOCK_OP_CREDIT_REQUEST:
		guest_send(guest, peer, VIRTIO_VSOCK_OP_CREDIT_UPDATE, 0);
		break;
	}
}

/* Sends what the peer has, as far as credit and ring allow. */
static bool peer_send(struct guest *guest, struct guest_peer *peer)
{
	uint8_t payload[DRIVER_PAYLOAD];
	bool sent = false;

	while (peer->sent < peer->to_send && !(peer->shutdown_received & RCV)) {
		uint32_t used = (uint32_t)peer->sent - peer->host_taken;
		uint32_t length = MIN(peer->host_buffer - used, (uint32_t)sizeof(payload));

		if (used >= peer->host_buffer)
			return sent;
		length = (uint32_t)MIN((uint64_t)length, peer->to_send - peer->sent);
		guest_pattern_fill(payload, peer->sent, length);
		if (!try_send(guest, peer, VIRTIO_VSOCK_OP_RW, 0, payload, length))
			return sent;
		peer->sent += length;
		sent = true;
	}
	if (peer->shutdown_at_end && peer->sent == peer->to_send &&
	    peer->shutdown_sent != peer->shutdown_at_end) {
		if (!try_send(guest, peer, VIRTIO_VSOCK_OP_SHUTDOWN, peer->shutdown_at_end, NULL,
			      0))
			return sent;
		peer->shutdown_sent = peer->shutdown_at_end;
		sent = true;
	}
	return sent;
}

static bool peer_turn(struct guest *guest, struct guest_peer *peer)
{
	bool took = false;

	if (!peer->used || !peer->established || peer->reset_received || peer->reset_sent)
		return false;
	if ((uint32_t)peer->received - peer->taken >= BUFFER / 2 &&
	    (peer->guest_port != GUEST_STALL || guest->resumed)) {
		peer->taken = (uint32_t)peer->received;
		took = try_send(guest, peer, VIRTIO_VSOCK_OP_CREDIT_UPDATE, 0, NULL, 0);
	}
	return peer_send(guest, peer) || took;
}

bool guest_turn(struct guest *guest)
{
	struct driver_packet packet;
	bool busy = guest->unseen;

	guest->unseen = false;
	while (driver_receive(guest->driver, &packet)) {
		on_packet(guest, &packet);
		driver_recycle(guest->driver, &packet);
		busy = true;
	}
	for (size_t i = 0; i < ARRAY_SIZE(guest->peers); i++)
		busy |= peer_turn(guest, &guest->peers[i]);
	return busy;
}
