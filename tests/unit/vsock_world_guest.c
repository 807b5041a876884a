/* The guest: a driver that keeps to the rules, as Linux' does. */
#include "vsock_world.h"

#include <endian.h>
#include <string.h>

static uint32_t host_port(void)
{
	return model.guest.host_port_is_high ? WORLD_HIGH_PORT : WORLD_HOST_PORT;
}

void guest_packet(uint16_t op, uint32_t flags, uint8_t *byte)
{
	struct iovec iov = { .iov_base = byte, .iov_len = byte ? 1 : 0 };
	struct virtio_vsock_hdr header = {
		.src_cid = htole64(WORLD_CID),
		.dst_cid = htole64(MUX_HOST_CID),
		.src_port = htole32(WORLD_GUEST_PORT),
		.dst_port = htole32(host_port()),
		.len = htole32(byte ? 1 : 0),
		.type = htole16(VIRTIO_VSOCK_TYPE_STREAM),
		.op = htole16(op),
		.flags = htole32(flags),
		.buf_alloc = htole32(GUEST_BUFFER),
		.fwd_cnt = htole32(model.guest.read),
	};

	mux_receive(&mux, &header, &iov, byte ? 1 : 0);
}

void guest_gone(void)
{
	model.guest.state = GUEST_GONE;
}

void guest_reset(void)
{
	guest_gone();
	guest_packet(VIRTIO_VSOCK_OP_RST, 0, NULL);
}

void guest_shut(uint8_t flags)
{
	model.guest.shut |= flags;
	guest_packet(VIRTIO_VSOCK_OP_SHUTDOWN, model.guest.shut, NULL);
}

static void take_open(const struct queued *packet)
{
	struct guest *guest = &model.guest;

	switch (packet->op) {
	case VIRTIO_VSOCK_OP_RW:
		must(!(guest->peer_shut & SEND));
		must(packet->byte == guest->arrived);
		must(guest->arrived - guest->read < (int)GUEST_BUFFER);
		guest->arrived++;
		break;
	case VIRTIO_VSOCK_OP_CREDIT_REQUEST:
		guest_packet(VIRTIO_VSOCK_OP_CREDIT_UPDATE, 0, NULL);
		break;
	case VIRTIO_VSOCK_OP_CREDIT_UPDATE:
		break;
	case VIRTIO_VSOCK_OP_SHUTDOWN:
		/* What was said is not unsaid. */
		must((packet->flags & guest->peer_shut) == guest->peer_shut);
		guest->peer_shut = packet->flags;
		/* As Linux: who hears of both answers with RST. */
		if (packet->flags == BOTH)
			guest_reset();
		break;
	case VIRTIO_VSOCK_OP_RST:
		guest_gone();
		break;
	default:
		must(!"a packet of an open connection");
	}
}

void guest_takes(bool refuses)
{
	struct guest *guest = &model.guest;
	struct queued packet = model.queue[0];

	memmove(model.queue, model.queue + 1, sizeof(model.queue[0]) * --model.queued);
	memset(&model.queue[model.queued], 0, sizeof(model.queue[0]));
	if (packet.op != VIRTIO_VSOCK_OP_RST) {
		/* What it counts goes forward only, and is what the guest has sent. */
		must(packet.forwarded >= guest->peer_forwarded && packet.forwarded <= guest->sent);
		guest->peer_forwarded = packet.forwarded;
		guest->peer_alloc = packet.alloc;
	}
	switch (guest->state) {
	case GUEST_NONE:
		must(packet.op == VIRTIO_VSOCK_OP_REQUEST);
		guest->host_port_is_high = 1;
		if (refuses) {
			guest_reset();
		} else {
			guest->state = GUEST_OPEN;
			guest_packet(VIRTIO_VSOCK_OP_RESPONSE, 0, NULL);
		}
		break;
	case GUEST_ASKED:
		must(packet.op == VIRTIO_VSOCK_OP_RESPONSE || packet.op == VIRTIO_VSOCK_OP_RST);
		if (packet.op == VIRTIO_VSOCK_OP_RESPONSE)
			guest->state = GUEST_OPEN;
		else
			guest_gone();
		break;
	case GUEST_OPEN:
		take_open(&packet);
		break;
	case GUEST_GONE:
		/* On the way when it went; Linux answers what it knows nothing of. */
		if (packet.op != VIRTIO_VSOCK_OP_RST)
			guest_packet(VIRTIO_VSOCK_OP_RST, 0, NULL);
		break;
	}
}

void device_sends(void)
{
	uint8_t byte = 0;
	struct iovec payload = { .iov_base = &byte, .iov_len = 1 };
	struct packet packet = { .room = 1, .payload = &payload };
	struct queued *to = &model.queue[model.queued];

	if (mux_produce(&mux, &packet, 1) == 0)
		return;
	*to = (struct queued){
		.op = (uint8_t)le16toh(packet.header.op),
		.flags = (uint8_t)le32toh(packet.header.flags),
		.length = (uint8_t)packet.length,
		.byte = byte,
		.alloc = (uint8_t)le32toh(packet.header.buf_alloc),
		.forwarded = (uint8_t)le32toh(packet.header.fwd_cnt),
	};
	model.queued++;
	must((to->op == VIRTIO_VSOCK_OP_RW) == (to->length > 0));
	if (!model.finished)
		must(le32toh(packet.header.dst_port) == WORLD_GUEST_PORT);
}
