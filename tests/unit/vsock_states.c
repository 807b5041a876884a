/*
 * Every state of one connection of provium-vsock that its two ends can bring about.
 *
 * The world is the real mux with one connection, a guest that obeys Virtio 1.2 (section 5.10.6), a
 * host's end in memory, and the packets that are on their way to the guest. A step is one thing
 * that one of them does. Starting from nothing all steps are tried in every state that was not seen
 * before, breadth first, until there are no new states; so what is found is found by the shortest
 * way to it, which is printed.
 *
 * Buffers and streams have a few bytes: all sums of credit occur with them that occur with many.
 *
 * In each state the rules hold that check() has (credit, order of the bytes, nothing after the
 * end); and from each the world comes to rest: when both ends let go, everything that was sent
 * arrives, unless an end was torn, and nothing is left of the connection.
 */
#include <endian.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/util.h"
#include "host/vsock/iov.h"
#include "host/vsock/mux.h"
#include "unit.h"

#define CID          42u
#define GUEST_PORT   1024u
#define HOST_PORT    99u
/* The first that the mux gives to a host that connects. */
#define HIGH_PORT    (1u << 30)

/* Bytes that each end sends at most, and that each end's buffer holds. */
#define STREAM       2u
#define GUEST_BUFFER 1u
#define HOST_WINDOW  1u

/* Packets on their way to the guest. */
#define QUEUE        2u

#define RCV          VIRTIO_VSOCK_SHUTDOWN_RCV
#define SEND         VIRTIO_VSOCK_SHUTDOWN_SEND
#define BOTH         (RCV | SEND)

/* More than there are; a sign that the world does not close. */
#define MAX_STATES   4000000u
#define MAX_DEPTH    200u

enum step {
	GUEST_CONNECTS,
	GUEST_CONNECTS_TO_NOBODY,
	GUEST_CONNECTS_TO_BUSY,
	LISTENER_OPENS,
	LISTENER_FAILS,
	HOST_CONNECTS,
	GUEST_TAKES,
	GUEST_TAKES_AND_REFUSES,
	DEVICE_SENDS,
	GUEST_SENDS,
	GUEST_READS,
	GUEST_READS_QUIETLY,
	GUEST_TELLS_CREDIT,
	GUEST_ASKS_CREDIT,
	GUEST_SHUTS_SEND,
	GUEST_SHUTS_RCV,
	GUEST_RESETS,
	HOST_SENDS,
	HOST_ENDS,
	HOST_FAILS_TO_READ,
	HOST_TAKES,
	HOST_FAILS_TO_WRITE,
	HOST_HANGS_UP,
	READABLE,
	WRITABLE,
	EXPIRES,
	GUEST_RESTARTS,
	STEPS,
};

static const char *const step_names[] = {
	[GUEST_CONNECTS] = "the guest connects",
	[GUEST_CONNECTS_TO_NOBODY] = "the guest connects, nobody listens",
	[GUEST_CONNECTS_TO_BUSY] = "the guest connects, the listener is busy",
	[LISTENER_OPENS] = "the listener accepts",
	[LISTENER_FAILS] = "the listener does not accept",
	[HOST_CONNECTS] = "the host connects",
	[GUEST_TAKES] = "the guest takes a packet",
	[GUEST_TAKES_AND_REFUSES] = "the guest takes a packet, refusing",
	[DEVICE_SENDS] = "the device sends a packet",
	[GUEST_SENDS] = "the guest sends a byte",
	[GUEST_READS] = "the guest reads a byte and tells of it",
	[GUEST_READS_QUIETLY] = "the guest reads a byte",
	[GUEST_TELLS_CREDIT] = "the guest tells its credit",
	[GUEST_ASKS_CREDIT] = "the guest asks for credit",
	[GUEST_SHUTS_SEND] = "the guest will not send",
	[GUEST_SHUTS_RCV] = "the guest will not receive",
	[GUEST_RESETS] = "the guest resets",
	[HOST_SENDS] = "the host sends a byte",
	[HOST_ENDS] = "the host's stream ends",
	[HOST_FAILS_TO_READ] = "the host's end cannot be read",
	[HOST_TAKES] = "the host takes a byte",
	[HOST_FAILS_TO_WRITE] = "the host's end cannot be written",
	[HOST_HANGS_UP] = "the host hangs up",
	[READABLE] = "readable",
	[WRITABLE] = "writable",
	[EXPIRES] = "the time is up",
	[GUEST_RESTARTS] = "the guest's driver starts anew",
};
_Static_assert(ARRAY_SIZE(step_names) == STEPS, "a name for each step");

enum guest_state {
	GUEST_NONE,
	/* REQUEST was sent. */
	GUEST_ASKED,
	GUEST_OPEN,
	/* It sent or got RST; what comes for it is answered with RST. */
	GUEST_GONE,
};

struct queued {
	uint8_t op;
	uint8_t flags;
	uint8_t length;
	uint8_t byte;
	uint8_t alloc;
	uint8_t forwarded;
};

struct guest {
	uint8_t state;
	uint8_t host_port_is_high;
	/* Sent by its application; taken by the device, which it hears of later. */
	uint8_t sent;
	uint8_t peer_alloc;
	uint8_t peer_forwarded;
	/* Arrived, and read by its application. */
	uint8_t arrived;
	uint8_t read;
	uint8_t shut;
	uint8_t peer_shut;
};

struct host_end {
	bool used;
	bool opening;
	/* Sent by its application, and read by the device. */
	uint8_t sent;
	uint8_t read;
	bool ended;
	bool read_fails;
	bool write_fails;
	bool hung_up;
	/* Written by the device, and how many it has room for. */
	uint8_t written;
	uint8_t room;
	bool shut_read;
	bool shut_write;
	bool watch_read;
	bool watch_write;
	bool limited;
	bool closed;
};

/* All but the mux, which is compared by its connection's fields. */
struct model {
	struct guest guest;
	struct host_end host;
	struct queued queue[QUEUE];
	uint8_t queued;
	/* An end was torn: bytes may be lost, and resets come at any time. */
	bool torn;
	bool released;
	bool finished;
};

static struct mux mux;
static struct connection connection;
static struct model model;

/* The way to the state that is being looked at, for a message. */
static uint8_t path[MAX_DEPTH];
static size_t path_length;

static void print_path(void)
{
	for (size_t i = 0; i < path_length; i++)
		printf("# %s\n", step_names[path[i]]);
	fflush(stdout);
}

#define must(condition)                                 \
	do {                                            \
		if (!(condition)) {                     \
			print_path();                   \
			ck_abort_msg("%s", #condition); \
		}                                       \
	} while (0)

/* ------------------------------------------------------------------------------------------- */
/* The host's end */

static bool open_nobody, open_busy;

static void small_window(void)
{
	mux.window_total -= connection.buffer.limit - HOST_WINDOW;
	connection.buffer.limit = HOST_WINDOW;
}

static struct connection *host_open(void *context, uint32_t port, bool *opening)
{
	(void)context;
	must(port == HOST_PORT);
	if (open_nobody)
		return NULL;
	must(!model.host.used);
	model.host.used = true;
	model.host.opening = open_busy;
	*opening = open_busy;
	return &connection;
}

static int host_accepted(struct connection *of)
{
	must(of == &connection && !model.host.closed);
	return model.host.write_fails || model.host.hung_up ? -EPIPE : 0;
}

static ssize_t host_read(struct connection *of, const struct iovec *iov, unsigned int count)
{
	struct host_end *host = &model.host;

	must(of == &connection && !host->closed && !host->shut_read);
	must(count > 0 && iov[0].iov_len > 0);
	if (host->read_fails)
		return -ECONNRESET;
	if (host->read == host->sent)
		return host->ended || host->hung_up ? 0 : -EAGAIN;
	*(uint8_t *)iov[0].iov_base = host->read++;
	return 1;
}

static ssize_t host_write(struct connection *of, const struct iovec *iov, unsigned int count)
{
	struct host_end *host = &model.host;
	uint8_t byte;

	must(of == &connection && !host->closed && !host->shut_write);
	must(iov_length(iov, count) > 0);
	if (host->write_fails || host->hung_up)
		return -EPIPE;
	if (host->room == 0)
		return -EAGAIN;
	iov_read(&byte, 1, iov, count);
	must(byte == host->written);
	host->written++;
	host->room--;
	return 1;
}

static void host_shutdown(struct connection *of, int how)
{
	must(of == &connection && !model.host.closed);
	model.host.shut_read |= how != SHUT_WR;
	model.host.shut_write |= how != SHUT_RD;
}

static void host_watch(struct connection *of, bool readable, bool writable)
{
	must(of == &connection && !model.host.closed);
	model.host.watch_read = readable;
	model.host.watch_write = writable;
}

static void host_limit(struct connection *of, double seconds)
{
	must(of == &connection);
	model.host.limited = seconds > 0;
}

static void host_close(struct connection *of)
{
	must(of == &connection && !model.host.closed);
	model.host.closed = true;
	model.host.watch_read = false;
	model.host.watch_write = false;
	model.host.limited = false;
}

static void host_release(struct connection *of)
{
	must(of == &connection && model.host.closed && !model.released);
	model.released = true;
}

static const struct connection_ops host_ops = {
	.open = host_open,
	.accepted = host_accepted,
	.read = host_read,
	.write = host_write,
	.shutdown = host_shutdown,
	.watch = host_watch,
	.limit = host_limit,
	.close = host_close,
	.release = host_release,
};

/* ------------------------------------------------------------------------------------------- */
/* The guest */

static uint32_t host_port(void)
{
	return model.guest.host_port_is_high ? HIGH_PORT : HOST_PORT;
}

static void guest_packet(uint16_t op, uint32_t flags, uint8_t *byte)
{
	struct iovec iov = { .iov_base = byte, .iov_len = byte ? 1 : 0 };
	struct virtio_vsock_hdr header = {
		.src_cid = htole64(CID),
		.dst_cid = htole64(MUX_HOST_CID),
		.src_port = htole32(GUEST_PORT),
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

static void guest_gone(void)
{
	model.guest.state = GUEST_GONE;
}

static void guest_reset(void)
{
	guest_gone();
	guest_packet(VIRTIO_VSOCK_OP_RST, 0, NULL);
}

static void guest_shut(uint8_t flags)
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

static void guest_takes(bool refuses)
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

static void device_sends(void)
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
		must(le32toh(packet.header.dst_port) == GUEST_PORT);
}

/* ------------------------------------------------------------------------------------------- */
/* Steps */

static bool guest_is_open(void)
{
	return model.guest.state == GUEST_OPEN;
}

static bool host_is_open(void)
{
	return model.host.used && !model.host.closed && !model.host.opening && !model.host.hung_up;
}

static bool possible(enum step step)
{
	const struct guest *guest = &model.guest;
	const struct host_end *host = &model.host;

	switch (step) {
	case GUEST_CONNECTS:
	case GUEST_CONNECTS_TO_NOBODY:
	case GUEST_CONNECTS_TO_BUSY:
	case HOST_CONNECTS:
		return guest->state == GUEST_NONE && !host->used;
	case LISTENER_OPENS:
	case LISTENER_FAILS:
		return host->opening && !host->closed;
	case GUEST_TAKES:
		return model.queued > 0;
	case GUEST_TAKES_AND_REFUSES:
		return model.queued > 0 && guest->state == GUEST_NONE;
	case DEVICE_SENDS:
		return model.queued < QUEUE && mux_has_packet(&mux);
	case GUEST_SENDS:
		return guest_is_open() && !(guest->shut & SEND) && !(guest->peer_shut & RCV) &&
		       guest->sent < STREAM &&
		       guest->sent - guest->peer_forwarded < guest->peer_alloc;
	case GUEST_READS:
	case GUEST_READS_QUIETLY:
		return guest_is_open() && !(guest->shut & RCV) && guest->arrived > guest->read;
	case GUEST_TELLS_CREDIT:
	case GUEST_ASKS_CREDIT:
		/* Of a connection that is gone each is one more answer. */
		return guest_is_open() && mux.refusals_count < 2;
	case GUEST_SHUTS_SEND:
		return guest_is_open() && !(guest->shut & SEND);
	case GUEST_SHUTS_RCV:
		return guest_is_open() && !(guest->shut & RCV);
	case GUEST_RESETS:
		return guest->state == GUEST_ASKED || guest_is_open();
	case HOST_SENDS:
		return host_is_open() && !host->ended && host->sent < STREAM;
	case HOST_ENDS:
		return host_is_open() && !host->ended;
	case HOST_FAILS_TO_READ:
		return host_is_open() && !host->read_fails;
	case HOST_TAKES:
		return host_is_open() && host->room < 1 && host->written < STREAM;
	case HOST_FAILS_TO_WRITE:
		return host_is_open() && !host->write_fails;
	case HOST_HANGS_UP:
		return host_is_open();
	case READABLE:
		return host->watch_read && (host->sent > host->read || host->ended ||
					    host->read_fails || host->hung_up);
	case WRITABLE:
		return host->watch_write && (host->room > 0 || host->write_fails || host->hung_up);
	case EXPIRES:
		return host->limited;
	case GUEST_RESTARTS:
		return guest->state != GUEST_NONE || host->used;
	case STEPS:
		break;
	}
	return false;
}

static void guest_connects(bool nobody, bool busy)
{
	open_nobody = nobody;
	open_busy = busy;
	model.guest.state = GUEST_ASKED;
	guest_packet(VIRTIO_VSOCK_OP_REQUEST, 0, NULL);
	if (!nobody)
		small_window();
}

static void do_host_step(enum step step)
{
	struct host_end *host = &model.host;

	switch (step) {
	case HOST_CONNECTS:
		host->used = true;
		mux_connect(&mux, &connection, GUEST_PORT);
		small_window();
		break;
	case LISTENER_OPENS:
	case LISTENER_FAILS:
		host->opening = false;
		model.torn |= step == LISTENER_FAILS;
		mux_opened(&connection, step == LISTENER_OPENS);
		break;
	case HOST_SENDS:
		host->sent++;
		break;
	case HOST_ENDS:
		host->ended = true;
		break;
	case HOST_FAILS_TO_READ:
		host->read_fails = true;
		model.torn = true;
		break;
	case HOST_TAKES:
		host->room++;
		break;
	case HOST_FAILS_TO_WRITE:
		host->write_fails = true;
		model.torn = true;
		break;
	case HOST_HANGS_UP:
		host->hung_up = true;
		model.torn = true;
		mux_hangup(&connection);
		break;
	case READABLE:
		mux_readable(&connection);
		break;
	case WRITABLE:
		mux_writable(&connection);
		break;
	case EXPIRES:
		host->limited = false;
		model.torn = true;
		mux_expired(&connection);
		break;
	default:
		must(!"a step of the host's");
	}
}

static void do_step(enum step step)
{
	struct guest *guest = &model.guest;
	uint8_t byte;

	switch (step) {
	case GUEST_CONNECTS:
		guest_connects(false, false);
		break;
	case GUEST_CONNECTS_TO_NOBODY:
		guest_connects(true, false);
		break;
	case GUEST_CONNECTS_TO_BUSY:
		guest_connects(false, true);
		break;
	case GUEST_TAKES:
		guest_takes(false);
		break;
	case GUEST_TAKES_AND_REFUSES:
		model.torn = true;
		guest_takes(true);
		break;
	case DEVICE_SENDS:
		device_sends();
		break;
	case GUEST_SENDS:
		byte = guest->sent++;
		guest_packet(VIRTIO_VSOCK_OP_RW, 0, &byte);
		break;
	case GUEST_READS:
	case GUEST_READS_QUIETLY:
		guest->read++;
		if (step == GUEST_READS)
			guest_packet(VIRTIO_VSOCK_OP_CREDIT_UPDATE, 0, NULL);
		break;
	case GUEST_TELLS_CREDIT:
		guest_packet(VIRTIO_VSOCK_OP_CREDIT_UPDATE, 0, NULL);
		break;
	case GUEST_ASKS_CREDIT:
		guest_packet(VIRTIO_VSOCK_OP_CREDIT_REQUEST, 0, NULL);
		break;
	case GUEST_SHUTS_SEND:
		guest_shut(SEND);
		break;
	case GUEST_SHUTS_RCV:
		/* What it has not read by then is lost, as on any socket. */
		model.torn = true;
		guest_shut(RCV);
		break;
	case GUEST_RESETS:
		model.torn = true;
		guest_reset();
		break;
	case GUEST_RESTARTS:
		model.torn = true;
		model.queued = 0;
		memset(model.queue, 0, sizeof(model.queue));
		guest_gone();
		mux_restart(&mux, false);
		break;
	default:
		do_host_step(step);
		break;
	}
	mux_reap(&mux);
	model.finished = model.host.used && mux_empty(&mux);
}

static void check(void)
{
	const struct guest *guest = &model.guest;
	const struct host_end *host = &model.host;
	unsigned int on_the_way = 0;

	for (unsigned int i = 0; i < model.queued; i++)
		on_the_way += model.queue[i].length;
	/* No more than the guest has room for. */
	must(guest->state == GUEST_GONE ||
	     guest->arrived - guest->read + on_the_way <= GUEST_BUFFER);
	must(host->written <= guest->sent);
	must(guest->arrived <= host->read && host->read <= host->sent);
	must(model.released == (host->used && mux_empty(&mux)));
	if (!host->used || model.released)
		return;
	must(connection.buffer.length <= HOST_WINDOW);
	must(connection.host_open == !host->closed);
	/* Whoever has something to send is in the list of those. */
	must(connection_has_packet(&connection) == !list_empty(&connection.ready_link));
	/* Nobody is torn, so nobody has reason to tear. */
	if (!model.torn && guest->shut != BOTH && connection.host_shutdown != BOTH)
		must(connection.state != CONNECTION_RESETTING);
}

/* The world before anything; finish() has emptied the mux. */
static void start(void)
{
	mux.refusals_start = 0;
	mux.refusals_count = 0;
	mux.refusals_lost = false;
	mux.next_host_port = HIGH_PORT;
	memset(&connection, 0, sizeof(connection));
	memset(&model, 0, sizeof(model));
}

static void finish(void)
{
	if (model.host.used && !model.released)
		mux_finish(&mux);
}

/* ------------------------------------------------------------------------------------------- */
/* States */

struct key {
	struct model model;
	uint32_t pending;
	uint32_t refusals;
	uint8_t state, sent, guest_buffer, guest_forwarded, forwarded, told;
	uint8_t host_shutdown, guest_shutdown, buffered;
	bool readable, write_ended, requested_credit;
};

static void make_key(struct key *key)
{
	memset(key, 0, sizeof(*key));
	key->model = model;
	key->refusals = mux.refusals_count;
	/* What an end was before it went makes no difference any more. */
	if (model.host.closed)
		key->model.host = (struct host_end){ .used = true, .closed = true };
	if (model.guest.state == GUEST_GONE && model.queued == 0)
		key->model.guest = (struct guest){
			.state = GUEST_GONE,
			.host_port_is_high = model.guest.host_port_is_high,
			.shut = model.guest.shut,
		};
	if (!model.host.used || model.released)
		return;
	key->pending = connection.pending;
	key->state = (uint8_t)connection.state;
	key->sent = (uint8_t)connection.sent;
	key->guest_buffer = (uint8_t)connection.guest_buffer;
	key->guest_forwarded = (uint8_t)connection.guest_forwarded;
	key->forwarded = (uint8_t)connection.forwarded;
	key->told = (uint8_t)connection.forwarded_told;
	key->host_shutdown = connection.host_shutdown;
	key->guest_shutdown = connection.guest_shutdown;
	key->buffered = (uint8_t)connection.buffer.length;
	key->readable = connection.readable;
	key->write_ended = connection.write_ended;
	key->requested_credit = connection.requested_credit;
}

struct node {
	/* The state that it was first reached from, and by which step. */
	uint32_t from;
	uint8_t step;
	uint64_t hash;
};

static struct node *nodes;
static size_t n_nodes;
/* Indices of nodes by hash, open addressing; 0: free. */
static uint32_t *table;
#define TABLE_SIZE (1u << 23)

static uint64_t hash_key(const struct key *key)
{
	const uint8_t *bytes = (const uint8_t *)key;
	uint64_t hash = 0xcbf29ce484222325u;

	for (size_t i = 0; i < sizeof(*key); i++)
		hash = (hash ^ bytes[i]) * 0x100000001b3u;
	return hash ? hash : 1;
}

/* True: it is new. Two states of one hash of 64 bits are taken for one: once in a million runs. */
static bool remember(uint32_t from, enum step step)
{
	struct key key;
	uint64_t hash;
	size_t slot;

	make_key(&key);
	hash = hash_key(&key);
	for (slot = hash % TABLE_SIZE; table[slot]; slot = (slot + 1) % TABLE_SIZE) {
		if (nodes[table[slot] - 1].hash == hash)
			return false;
	}
	ck_assert_uint_lt(n_nodes, MAX_STATES);
	nodes[n_nodes] = (struct node){ .from = from, .step = (uint8_t)step, .hash = hash };
	table[slot] = (uint32_t)++n_nodes;
	return true;
}

/* Walks the shortest way to a state. */
static void go_to(uint32_t node)
{
	size_t length = 0;

	for (uint32_t at = node; at != 0; at = nodes[at].from)
		length++;
	ck_assert_uint_lt(length, MAX_DEPTH);
	path_length = length;
	for (uint32_t at = node; at != 0; at = nodes[at].from)
		path[--length] = nodes[at].step;
	start();
	for (size_t i = 0; i < path_length; i++)
		do_step((enum step)path[i]);
}

/* ------------------------------------------------------------------------------------------- */
/* Coming to rest */

static bool do_if(enum step step)
{
	if (!possible(step))
		return false;
	must(path_length < MAX_DEPTH);
	path[path_length++] = (uint8_t)step;
	do_step(step);
	check();
	return true;
}

/*
 * Everything that is under way arrives, and nobody begins anything new. A guest that has read tells
 * of it at the latest when the other side may have no credit left, as Linux does.
 */
static void settle(void)
{
	static const enum step steps[] = { DEVICE_SENDS,       GUEST_TAKES,    GUEST_READS,
					   GUEST_TELLS_CREDIT, LISTENER_OPENS, READABLE,
					   WRITABLE,           HOST_TAKES };
	bool moved;

	do {
		moved = false;
		for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
			/* These two make no progress by themselves. */
			if (steps[i] == HOST_TAKES && !model.host.watch_write)
				continue;
			if (steps[i] == GUEST_TELLS_CREDIT &&
			    (model.released ||
			     (uint8_t)connection.guest_forwarded == model.guest.read))
				continue;
			moved |= do_if(steps[i]);
		}
	} while (moved);
}

/* Both ends let go. */
static void let_go(void)
{
	bool torn_before = model.torn;

	settle();
	if (!torn_before) {
		must(model.guest.state != GUEST_OPEN || model.guest.arrived == model.host.sent ||
		     model.guest.read == model.host.sent);
		must(!model.host.used || model.host.written == model.guest.sent);
		/* And more could be sent. */
		must(model.guest.state != GUEST_OPEN || (model.guest.peer_shut & RCV) ||
		     model.guest.sent - model.guest.peer_forwarded < model.guest.peer_alloc);
	}
	do_if(HOST_ENDS);
	settle();
	do_if(GUEST_SHUTS_SEND);
	settle();
	/* Each has said that it sends no more; a guest that still receives closes. */
	if (!model.finished)
		do_if(GUEST_SHUTS_RCV);
	settle();
	/* Nobody needs a time limit who speaks with one that keeps to the rules. */
	must(model.finished || torn_before || !model.host.used);
	if (!model.finished)
		do_if(EXPIRES);
	settle();
	if (!model.finished && model.host.used)
		do_if(HOST_HANGS_UP);
	settle();
	must(!model.host.used || model.finished);
	must(model.guest.state != GUEST_OPEN && model.guest.state != GUEST_ASKED);
	must(mux.refusals_count == 0 && mux.window_total == 0);
}

START_TEST(every_state)
{
	size_t steps = 0;
	size_t deepest = 0;

	nodes = calloc(MAX_STATES, sizeof(*nodes));
	table = calloc(TABLE_SIZE, sizeof(*table));
	ck_assert_ptr_nonnull(nodes);
	ck_assert_ptr_nonnull(table);
	mux_init(&mux, CID, &host_ops, &mux);
	start();
	remember(0, STEPS);
	for (uint32_t node = 0; node < n_nodes; node++) {
		bool can[STEPS];

		go_to(node);
		deepest = MAX(deepest, path_length);
		for (int step = 0; step < STEPS; step++)
			can[step] = possible((enum step)step);
		finish();
		for (int step = 0; step < STEPS; step++) {
			if (!can[step])
				continue;
			go_to(node);
			path[path_length++] = (uint8_t)step;
			do_step((enum step)step);
			check();
			steps++;
			if (remember(node, (enum step)step))
				let_go();
			finish();
		}
	}
	/* It is known to have many; that few are found would be a fault of this file. */
	ck_assert_uint_gt(n_nodes, 10000);
	printf("# %zu states, %zu steps, at most %zu steps deep\n", n_nodes, steps, deepest);
	free(nodes);
	free(table);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("vsock-states");
	TCase *tcase = tcase_create("states");

	tcase_set_timeout(tcase, 300);
	tcase_add_test(tcase, every_state);
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
