/* The host's end of the connection, and the steps of all. */
#include "vsock_world.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "common/util.h"
#include "host/vsock/iov.h"

const char *const world_step_names[STEPS] = {
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

struct mux mux;
struct connection connection;
struct model model;

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
	must(port == WORLD_HOST_PORT);
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
/* Steps */

static bool guest_is_open(void)
{
	return model.guest.state == GUEST_OPEN;
}

static bool host_is_open(void)
{
	return model.host.used && !model.host.closed && !model.host.opening && !model.host.hung_up;
}

bool world_possible(enum step step)
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
		mux_connect(&mux, &connection, WORLD_GUEST_PORT);
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

void world_do(enum step step)
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

void world_check(void)
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

void world_init(void)
{
	mux_init(&mux, WORLD_CID, &host_ops, &mux);
	world_start();
}

/* world_finish() has emptied the mux. */
void world_start(void)
{
	mux.refusals_start = 0;
	mux.refusals_count = 0;
	mux.refusals_lost = false;
	mux.next_host_port = WORLD_HIGH_PORT;
	memset(&connection, 0, sizeof(connection));
	memset(&model, 0, sizeof(model));
}

void world_finish(void)
{
	if (model.host.used && !model.released)
		mux_finish(&mux);
}

/* ------------------------------------------------------------------------------------------- */
/* The state */

void world_key(struct world_key *key)
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
