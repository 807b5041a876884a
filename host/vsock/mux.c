/*
 * The multiplexer: finds the connection that a packet belongs to, and gives every connection its
 * turn at the guest's receive buffers.
 *
 * Connections with something to send stand in one list and go to its end after each turn, so a
 * stream that is always ready delays the others by one turn each and no more. A connection without
 * credit is not in the list: it costs the others nothing.
 *
 * Packets that belong to no connection are answered with RST (section 5.10.6.4.2). These answers
 * are the only queue here. It is bounded by dropping: to stop reading the guest's packets instead
 * could end in both sides waiting for each other, because the guest too stops taking packets while
 * its answers wait. A guest whose answer was dropped runs into its own time limit.
 */
#include "host/vsock/mux.h"

#include <endian.h>
#include <string.h>

#include "common/util.h"
#include "host/vsock/log.h"

/* Ports for the host's ends: above what services use, as other hybrid-vsock programs do it. */
#define FIRST_HOST_PORT (1u << 30)

void mux_init(struct mux *mux, uint64_t guest_cid, const struct connection_ops *ops, void *context)
{
	memset(mux, 0, sizeof(*mux));
	mux->ops = ops;
	mux->context = context;
	mux->guest_cid = guest_cid;
	mux->next_host_port = FIRST_HOST_PORT;
	list_init(&mux->connections);
	list_init(&mux->finished);
	list_init(&mux->ready);
	for (size_t i = 0; i < ARRAY_SIZE(mux->buckets); i++)
		list_init(&mux->buckets[i]);
}

void mux_finish(struct mux *mux)
{
	struct connection *connection, *next;

	list_for_each_safe(connection, next, &mux->connections, all_link)
		connection_set_state(connection, CONNECTION_FINISHED);
	mux_reap(mux);
}

bool mux_empty(const struct mux *mux)
{
	return list_empty(&mux->connections);
}

void mux_reap(struct mux *mux)
{
	struct connection *connection, *next;

	list_for_each_safe(connection, next, &mux->finished, all_link) {
		list_remove(&connection->all_link);
		mux->window_total -= connection->buffer.limit;
		mux->ops->release(connection);
	}
}

/* --- which connection --- */

static struct list *mux_bucket(struct mux *mux, uint32_t host_port, uint32_t guest_port)
{
	/* Multiplicative hashing; one of the two ports often has the same low bits. */
	uint64_t key = ((uint64_t)host_port << 32 | guest_port) * 0x9e3779b97f4a7c15u;

	return &mux->buckets[key >> 54 & (MUX_BUCKETS - 1)];
}

static struct connection *mux_find(struct mux *mux, uint32_t host_port, uint32_t guest_port)
{
	struct list *bucket = mux_bucket(mux, host_port, guest_port);
	struct connection *connection;

	list_for_each(connection, bucket, bucket_link)
		if (connection->host_port == host_port && connection->guest_port == guest_port)
			return connection;
	return NULL;
}

static void mux_add(struct mux *mux, struct connection *connection, enum connection_state state,
		    uint32_t host_port, uint32_t guest_port)
{
	bool ample = mux->window_total + MUX_WINDOW <= MUX_MEMORY;
	uint32_t window = ample ? MUX_WINDOW : MUX_SMALL_WINDOW;

	connection->mux = mux;
	connection->state = state;
	connection->host_port = host_port;
	connection->guest_port = guest_port;
	connection->forwarded = 0;
	connection->forwarded_told = 0;
	connection->sent = 0;
	connection->guest_buffer = 0;
	connection->guest_forwarded = 0;
	connection->host_shutdown = 0;
	connection->guest_shutdown = 0;
	connection->pending = 0;
	connection->readable = false;
	connection->write_ended = false;
	connection->host_open = true;
	connection->requested_credit = false;
	buffer_init(&connection->buffer, window);
	mux->window_total += window;

	list_append(&mux->connections, &connection->all_link);
	list_init(&connection->ready_link);
	list_append(mux_bucket(mux, host_port, guest_port), &connection->bucket_link);
}

/* What has to follow every change to a connection. */
static void mux_update(struct connection *connection)
{
	if (connection_has_packet(connection)) {
		if (list_empty(&connection->ready_link))
			list_append(&connection->mux->ready, &connection->ready_link);
	} else {
		list_remove(&connection->ready_link);
	}
	connection_watch(connection);
}

/* --- the host's ends --- */

static uint32_t mux_new_port(struct mux *mux, uint32_t guest_port)
{
	uint32_t port;

	/* There are far fewer connections than ports. */
	do {
		port = mux->next_host_port;
		mux->next_host_port = port == UINT32_MAX - 1 ? FIRST_HOST_PORT : port + 1;
	} while (mux_find(mux, port, guest_port));
	return port;
}

void mux_connect(struct mux *mux, struct connection *connection, uint32_t guest_port)
{
	mux_add(mux, connection, CONNECTION_WAITING, mux_new_port(mux, guest_port), guest_port);
	connection->pending = 1u << VIRTIO_VSOCK_OP_REQUEST;
	mux->ops->limit(connection, CONNECTION_CONNECT_LIMIT);
	mux_update(connection);
}

void mux_opened(struct connection *connection, bool success)
{
	if (success) {
		connection->pending |= 1u << VIRTIO_VSOCK_OP_RESPONSE;
		connection_set_state(connection, CONNECTION_ESTABLISHED);
	} else {
		connection_reset(connection);
	}
	mux_update(connection);
}

void mux_readable(struct connection *connection)
{
	connection->readable = true;
	mux_update(connection);
}

void mux_writable(struct connection *connection)
{
	connection_flush(connection);
	mux_update(connection);
}

void mux_hangup(struct connection *connection)
{
	switch (connection->state) {
	case CONNECTION_WAITING:
		connection_set_state(connection, CONNECTION_FINISHED);
		break;
	case CONNECTION_REQUESTED:
	case CONNECTION_OPENING:
		connection_reset(connection);
		break;
	case CONNECTION_ESTABLISHED:
	case CONNECTION_DRAINING:
		connection_host_deaf(connection);
		break;
	case CONNECTION_CLOSING:
	case CONNECTION_RESETTING:
	case CONNECTION_FINISHED:
		break;
	}
	mux_update(connection);
}

void mux_expired(struct connection *connection)
{
	if (connection->state == CONNECTION_WAITING)
		connection_set_state(connection, CONNECTION_FINISHED);
	else if (connection->state == CONNECTION_REQUESTED ||
		 connection->state == CONNECTION_CLOSING)
		connection_reset(connection);
	mux_update(connection);
}

/* --- the guest --- */

static void mux_refuse(struct mux *mux, const struct virtio_vsock_hdr *header)
{
	struct mux_refusal *refusal;

	if (mux->refusals_count == MUX_REFUSALS) {
		if (!mux->refusals_lost)
			log_warning("the guest does not take its packets: RST not sent");
		mux->refusals_lost = true;
		return;
	}
	refusal = &mux->refusals[(mux->refusals_start + mux->refusals_count++) % MUX_REFUSALS];
	refusal->host_cid = le64toh(header->dst_cid);
	refusal->host_port = le32toh(header->dst_port);
	refusal->guest_port = le32toh(header->src_port);
	refusal->type = le16toh(header->type);
}

static void mux_accept(struct mux *mux, const struct virtio_vsock_hdr *header)
{
	uint32_t port = le32toh(header->dst_port);
	bool opening = false;
	struct connection *connection = mux->ops->open(mux->context, port, &opening);

	if (!connection) {
		mux_refuse(mux, header);
		return;
	}
	mux_add(mux, connection, CONNECTION_OPENING, port, le32toh(header->src_port));
	connection->guest_buffer = le32toh(header->buf_alloc);
	connection->guest_forwarded = le32toh(header->fwd_cnt);
	if (!opening)
		mux_opened(connection, true);
}

void mux_receive(struct mux *mux, const struct virtio_vsock_hdr *header, struct iovec *iov,
		 unsigned int count)
{
	uint16_t op = le16toh(header->op);
	struct connection *connection;

	if (le64toh(header->src_cid) != mux->guest_cid) {
		/* To whom should an answer go? */
		log_debug("packet from CID %llu", (unsigned long long)le64toh(header->src_cid));
		return;
	}
	if (le64toh(header->dst_cid) != MUX_HOST_CID ||
	    le16toh(header->type) != VIRTIO_VSOCK_TYPE_STREAM) {
		if (op != VIRTIO_VSOCK_OP_RST)
			mux_refuse(mux, header);
		return;
	}

	connection = mux_find(mux, le32toh(header->dst_port), le32toh(header->src_port));
	/* Of one that waits the guest cannot know. */
	if (connection && connection->state != CONNECTION_WAITING) {
		connection_receive(connection, header, iov, count);
		mux_update(connection);
	} else if (op == VIRTIO_VSOCK_OP_REQUEST && !connection) {
		mux_accept(mux, header);
	} else if (op != VIRTIO_VSOCK_OP_RST) {
		mux_refuse(mux, header);
	}
}

bool mux_has_packet(const struct mux *mux)
{
	return mux->refusals_count > 0 || !list_empty(&mux->ready);
}

static void mux_send_refusal(struct mux *mux, struct packet *packet)
{
	const struct mux_refusal *refusal = &mux->refusals[mux->refusals_start];

	packet->length = 0;
	packet->header = (struct virtio_vsock_hdr){
		.src_cid = htole64(refusal->host_cid),
		.dst_cid = htole64(mux->guest_cid),
		.src_port = htole32(refusal->host_port),
		.dst_port = htole32(refusal->guest_port),
		.type = htole16(refusal->type),
		.op = htole16(VIRTIO_VSOCK_OP_RST),
	};
	mux->refusals_start = (mux->refusals_start + 1) % MUX_REFUSALS;
	mux->refusals_count--;
	mux->refusals_lost = false;
}

unsigned int mux_produce(struct mux *mux, struct packet *packets, unsigned int count)
{
	unsigned int made = 0;

	while (made < count && mux_has_packet(mux)) {
		struct connection *connection;

		if (mux->refusals_count > 0) {
			mux_send_refusal(mux, &packets[made++]);
			continue;
		}
		connection = container_of(mux->ready.next, struct connection, ready_link);
		list_remove(&connection->ready_link);
		made += connection_produce(connection, packets + made, count - made);
		mux_update(connection);
	}
	return made;
}

void mux_restart(struct mux *mux, bool keep_waiting)
{
	struct connection *connection, *next;

	mux->refusals_count = 0;
	list_for_each_safe(connection, next, &mux->connections, all_link) {
		switch (connection->state) {
		case CONNECTION_WAITING:
			if (!keep_waiting)
				connection_set_state(connection, CONNECTION_FINISHED);
			break;
		case CONNECTION_ESTABLISHED:
			connection_guest_gone(connection);
			break;
		case CONNECTION_REQUESTED:
		case CONNECTION_OPENING:
		case CONNECTION_CLOSING:
		case CONNECTION_RESETTING:
			connection_set_state(connection, CONNECTION_FINISHED);
			break;
		case CONNECTION_DRAINING:
		case CONNECTION_FINISHED:
			break;
		}
		mux_update(connection);
	}
}
