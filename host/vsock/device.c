/*
 * Packets between the rings and the connections.
 *
 * Nothing is copied on the way if that can be: the guest's transmit buffers are handed to the
 * connection as they lie in its memory, and the host's data are read straight into its receive
 * buffers, several of them by one call. For that, receive buffers are looked at first, filled, and
 * only those that were filled are taken from the ring.
 *
 * Notifications are wanted for new transmit buffers when there are none left, and for new receive
 * buffers only when there is something to put into them: as long as no packet waits, the driver
 * refills its ring without leaving the guest.
 *
 * The driver hears of used transmit buffers late: it only frees them, but an interrupt for it comes
 * into the midst of the guest's answer to what it has just received, of which it tells by a packet
 * of credit. So the used index is written when much is withheld, or some time after
 * (device_give_back). Virtio sets no time for it (section 2.7.8).
 *
 * A driver that breaks the rules breaks the device: it stands still, the connections end, the front
 * end hears of it through the error fds, and the log once. It lasts until the driver starts anew.
 */
#include "host/vsock/device.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/util.h"
#include "host/vsock/iov.h"
#include "host/vsock/log.h"

#define HEADER_LENGTH           sizeof(struct virtio_vsock_hdr)

/* How many packets of the guest are taken before others have their turn. */
#define TRANSMIT_TURN           128u
/* ... and after how many the driver gets its buffers back, */
#define TRANSMIT_PUBLISH        16u
/* where they are this part of its ring (with less it has room for the largest packet), */
#define TRANSMIT_WITHHELD(size) ((size) / 4u)
/* or so much of its memory: a stream's are of use again while they are in the caches. */
#define TRANSMIT_WITHHELD_BYTES KIB(4)
/* How many batches of packets are sent to the guest before others have their turn. */
#define RECEIVE_TURN            8u

static const char *const ring_names[DEVICE_RINGS] = {
	[DEVICE_RECEIVE] = "receive",
	[DEVICE_TRANSMIT] = "transmit",
	[DEVICE_EVENT] = "event",
};

static void ring_init(struct ring *ring)
{
	memset(ring, 0, sizeof(*ring));
	ring->kick_fd = -1;
	ring->call_fd = -1;
	ring->error_fd = -1;
}

static void ring_finish(struct ring *ring)
{
	close_fd(ring->kick_fd);
	close_fd(ring->call_fd);
	close_fd(ring->error_fd);
	ring_init(ring);
}

void device_init(struct device *device, struct mux *mux)
{
	memset(device, 0, sizeof(*device));
	device->mux = mux;
	memory_init(&device->memory);
	for (size_t i = 0; i < ARRAY_SIZE(device->rings); i++)
		ring_init(&device->rings[i]);
}

void device_finish(struct device *device)
{
	for (size_t i = 0; i < ARRAY_SIZE(device->rings); i++)
		ring_finish(&device->rings[i]);
	memory_finish(&device->memory);
}

/* Both fds are eventfds or pipes (vhost-user specification) and do not block. */
static void event_signal(int fd)
{
	const uint64_t one = 1;

	/* A full counter has been signalled; a front end that is gone is noticed elsewhere. */
	if (fd >= 0 && write(fd, &one, sizeof(one)) < 0 && errno != EAGAIN)
		log_debug("notification: %s", strerror(errno));
}

static void device_break(struct device *device, enum device_ring index, const struct reason *reason)
{
	log_error("the device is broken until its driver starts anew: %s ring: %s",
		  ring_names[index], reason->text);
	device->broken = true;
	for (size_t i = 0; i < ARRAY_SIZE(device->rings); i++)
		event_signal(device->rings[i].error_fd);
	mux_restart(device->mux, true);
}

/*
 * Takes the packets that the guest has sent, and none to it: for before a ring stops or the front
 * end is gone. The driver may be running still: what it adds from now on comes too late.
 */
static void device_take_last(struct device *device);

/* --- configuration --- */

/* Finds a ring's parts in the guest's memory. */
static int ring_place(struct device *device, struct ring *ring, struct reason *reason)
{
	const struct vhost_vring_addr *address = &ring->address;
	void *descriptors, *available, *used;

	descriptors = memory_from_user(&device->memory, address->desc_user_addr,
				       virtqueue_descriptors_length(ring->size));
	available = memory_from_user(&device->memory, address->avail_user_addr,
				     virtqueue_available_length(ring->size));
	used = memory_from_user(&device->memory, address->used_user_addr,
				virtqueue_used_length(ring->size));
	if (!descriptors || !available || !used)
		return refuse(reason, EFAULT, "ring outside of the guest's memory");
	return virtqueue_place(&ring->queue, descriptors, available, used, reason);
}

int device_set_memory(struct device *device, const struct memory_region_info *infos, const int *fds,
		      unsigned int count, struct reason *reason)
{
	int result = memory_replace(&device->memory, infos, fds, count, reason);

	if (result < 0)
		return result;
	for (unsigned int i = 0; i < DEVICE_RINGS; i++) {
		struct ring *ring = &device->rings[i];
		struct reason why;

		if (!ring->started || ring_place(device, ring, &why) == 0)
			continue;
		/* What the queue points to is no longer mapped. */
		ring->base = ring->queue.next_available;
		ring->started = false;
		device_break(device, i, &why);
	}
	return 0;
}

/* True where the driver goes on with a ring as it left it, as after a pause of the guest. */
static bool ring_continues(const struct ring *ring)
{
	return ring->stopped && ring->base == ring->stopped_base &&
	       ring->address.desc_user_addr == ring->stopped_address.desc_user_addr &&
	       ring->address.avail_user_addr == ring->stopped_address.avail_user_addr &&
	       ring->address.used_user_addr == ring->stopped_address.used_user_addr;
}

int device_start_ring(struct device *device, enum device_ring index, struct reason *reason)
{
	struct ring *ring = &device->rings[index];
	int result;

	if (!ring->has_address)
		return refuse(reason, EINVAL, "ring started without addresses");
	/* It may be started a second time. */
	device_give_back(device);
	result = ring_place(device, ring, reason);
	if (result == 0)
		result = virtqueue_start(&ring->queue, ring->size, ring->base, reason);
	if (result < 0)
		return result;

	if (device->broken || !ring_continues(ring))
		mux_restart(device->mux, true);
	device->broken = false;
	ring->started = true;
	log_debug("%s ring started at %u", ring_names[index], ring->base);
	return 0;
}

uint16_t device_stop_ring(struct device *device, enum device_ring index)
{
	struct ring *ring = &device->rings[index];

	if (ring->started) {
		device_take_last(device);
		ring->started = false;
		ring->stopped = true;
		ring->base = ring->queue.next_available;
		ring->stopped_base = ring->base;
		ring->stopped_address = ring->address;
		log_debug("%s ring stopped at %u", ring_names[index], ring->base);
	}
	ring->kick_fd = close_fd(ring->kick_fd);
	return ring->base;
}

void device_enable_ring(struct device *device, enum device_ring index, bool enabled)
{
	if (!enabled)
		device_take_last(device);
	device->rings[index].enabled = enabled;
}

void device_reset(struct device *device)
{
	for (unsigned int i = 0; i < DEVICE_RINGS; i++) {
		struct ring *ring = &device->rings[i];

		device_stop_ring(device, i);
		ring->has_address = false;
		ring->stopped = false;
		ring->enabled = false;
	}
	device->broken = false;
	mux_restart(device->mux, true);
}

/* Both directions or none: a request without a way for its answer would only be lost. */
static bool device_running(const struct device *device)
{
	const struct ring *receive = &device->rings[DEVICE_RECEIVE];
	const struct ring *transmit = &device->rings[DEVICE_TRANSMIT];

	return receive->started && receive->enabled && transmit->started && transmit->enabled &&
	       !device->broken;
}

static void device_publish(struct device *device, enum device_ring index)
{
	if (virtqueue_publish(&device->rings[index].queue))
		event_signal(device->rings[index].call_fd);
}

bool device_withholds(const struct device *device)
{
	return device->withheld > 0;
}

void device_give_back(struct device *device)
{
	if (device->rings[DEVICE_TRANSMIT].started && !device->broken)
		device_publish(device, DEVICE_TRANSMIT);
	device->withheld = 0;
	device->withheld_bytes = 0;
}

static bool device_withholds_much(const struct device *device)
{
	return device->withheld >= TRANSMIT_WITHHELD(device->rings[DEVICE_TRANSMIT].queue.size) ||
	       device->withheld_bytes >= TRANSMIT_WITHHELD_BYTES;
}

/* --- from the guest --- */

static int transmit_one(struct device *device, const struct virtqueue_chain *chain,
			struct reason *reason)
{
	struct virtio_vsock_hdr header;
	unsigned int count;
	size_t length;

	if (chain->writable > 0)
		return refuse(reason, EINVAL, "writable transmit buffer");
	if (iov_read(&header, HEADER_LENGTH, chain->iov, chain->readable) < HEADER_LENGTH)
		return refuse(reason, EINVAL, "transmit buffer shorter than a packet's header");

	count = iov_skip(device->payloads, chain->iov, chain->readable, HEADER_LENGTH);
	length = iov_length(device->payloads, count);
	if (le32toh(header.len) > length)
		return refuse(reason, EINVAL, "packet of %u bytes in a buffer for %zu",
			      le32toh(header.len), length);

	count = iov_cut(device->payloads, count, le32toh(header.len));
	mux_receive(device->mux, &header, device->payloads, count);
	return 0;
}

/* Takes one packet of the guest: 1, 0 when there is none, or a negative errno. */
static int transmit_next(struct device *device, struct virtqueue *queue, struct reason *reason)
{
	struct virtqueue_chain chain;
	int result = virtqueue_peek(queue, &device->memory, 0, &chain, device->buffers,
				    ARRAY_SIZE(device->buffers), reason);

	if (result <= 0)
		return result;
	result = transmit_one(device, &chain, reason);
	if (result < 0)
		return result;
	virtqueue_push(queue, &chain, 0);
	device->withheld += chain.count;
	device->withheld_bytes += iov_length(chain.iov, chain.readable);
	return 1;
}

/*
 * Asks to be notified of more buffers, unless there are some by now. Each loop that asks is
 * bounded: a driver that changes its mind again and again shall not keep this process busy.
 */
static bool ring_has_more(struct virtqueue *queue)
{
	if (!virtqueue_enable_notification(queue))
		return false;
	virtqueue_disable_notification(queue);
	return true;
}

static bool device_transmit(struct device *device)
{
	struct virtqueue *queue = &device->rings[DEVICE_TRANSMIT].queue;
	bool more = device_running(device);

	if (more)
		virtqueue_disable_notification(queue);
	for (unsigned int turn = 0; more && turn < TRANSMIT_TURN; turn++) {
		struct reason reason;
		int result = transmit_next(device, queue, &reason);

		if (result < 0) {
			device_break(device, DEVICE_TRANSMIT, &reason);
			return false;
		}
		if (result == 0)
			more = ring_has_more(queue);
		if ((!more || turn % TRANSMIT_PUBLISH == TRANSMIT_PUBLISH - 1) &&
		    device_withholds_much(device))
			device_give_back(device);
	}
	return more;
}

static void device_take_last(struct device *device)
{
	for (unsigned int turn = 0; turn < VIRTQUEUE_MAX_SIZE / TRANSMIT_TURN; turn++)
		if (!device_transmit(device))
			break;
	device_give_back(device);
}

/* --- to the guest --- */

/* Describes the next receive buffers as packets: how many, or a negative errno. */
static int receive_collect(struct device *device, struct virtqueue *queue, struct reason *reason)
{
	unsigned int count = 0, elements = 0, payloads = 0;

	while (count < DEVICE_BATCH) {
		struct virtqueue_chain *chain = &device->chains[count];
		struct packet *packet = &device->packets[count];
		size_t room;
		int result = virtqueue_peek(queue, &device->memory, (uint16_t)count, chain,
					    device->buffers + elements,
					    ARRAY_SIZE(device->buffers) - elements, reason);

		if (result == 0 || (result == -ENOBUFS && count > 0))
			break;
		if (result < 0)
			return result;
		if (chain->readable > 0)
			return refuse(reason, EINVAL, "readable receive buffer");
		room = iov_length(chain->iov, chain->writable);
		if (room <= HEADER_LENGTH)
			return refuse(reason, EINVAL, "receive buffer of %zu bytes", room);

		packet->room = (uint32_t)MIN(room - HEADER_LENGTH, (size_t)UINT32_MAX / 2);
		packet->payload = device->payloads + payloads;
		payloads += iov_skip(packet->payload, chain->iov, chain->writable, HEADER_LENGTH);
		elements += chain->count;
		count++;
	}
	return (int)count;
}

static void receive_finish(struct device *device, struct virtqueue *queue, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++) {
		const struct virtqueue_chain *chain = &device->chains[i];
		const struct packet *packet = &device->packets[i];

		iov_write(chain->iov, chain->writable, &packet->header, HEADER_LENGTH);
		virtqueue_push(queue, chain, (uint32_t)HEADER_LENGTH + packet->length);
	}
}

static bool device_receive(struct device *device)
{
	struct virtqueue *queue = &device->rings[DEVICE_RECEIVE].queue;
	bool more = device_running(device);

	if (more)
		virtqueue_disable_notification(queue);
	more = more && mux_has_packet(device->mux);
	for (unsigned int turn = 0; more && turn < RECEIVE_TURN; turn++) {
		struct reason reason;
		int count = receive_collect(device, queue, &reason);

		if (count < 0) {
			device_break(device, DEVICE_RECEIVE, &reason);
			return false;
		}
		if (count == 0) {
			more = ring_has_more(queue);
			continue;
		}
		receive_finish(device, queue,
			       mux_produce(device->mux, device->packets, (unsigned int)count));
		device_publish(device, DEVICE_RECEIVE);
		more = mux_has_packet(device->mux);
	}
	return more;
}

bool device_process(struct device *device)
{
	bool more = device_transmit(device);

	return device_receive(device) || more;
}
