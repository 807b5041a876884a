/*
 * The vsock device (Virtio 1.2, section 5.10): what the front end has configured, and the way of
 * packets between the rings and the connections. It knows nothing of the event loop.
 */
#ifndef VSOCK_DEVICE_H
#define VSOCK_DEVICE_H

#include <linux/vhost_types.h>
#include <stdbool.h>
#include <stdint.h>

#include "host/vsock/memory.h"
#include "host/vsock/mux.h"
#include "host/vsock/reason.h"
#include "host/vsock/virtqueue.h"

/* Receive and transmit are the guest's words. */
enum device_ring {
	DEVICE_RECEIVE,
	DEVICE_TRANSMIT,
	DEVICE_EVENT, /* may be configured; the only event is for migrated guests */
	DEVICE_RINGS,
};

/* How many packets one connection may send in its turn. */
#define DEVICE_BATCH       32u

/* Many round trips. With a time of 1 this process took half as long again for a stream. */
#define DEVICE_WITHHOLD_MS 10

struct ring {
	struct virtqueue queue;

	/* As the front end said; judged when the ring starts. */
	uint32_t size;
	uint16_t base;
	struct vhost_vring_addr address;
	bool has_address;

	/* Owned; -1 where there is none. */
	int kick_fd;  /* readable: the driver has made buffers available */
	int call_fd;  /* to be written to: the driver's buffers are used */
	int error_fd; /* to be written to: the device is broken */

	bool started; /* between SET_VRING_KICK and GET_VRING_BASE */
	bool enabled; /* VHOST_USER_SET_VRING_ENABLE */

	/* How it was when it was stopped, to tell a paused guest from a new driver. */
	bool stopped;
	struct vhost_vring_addr stopped_address;
	uint16_t stopped_base;
};

struct device {
	struct mux *mux;
	struct memory memory;
	struct ring rings[DEVICE_RINGS];
	bool broken; /* until a ring starts or the device is reset */
	/* Used transmit buffers that the driver does not know of: parts, and bytes. */
	unsigned int withheld;
	size_t withheld_bytes;

	/* Scratch, within one call: one receive buffer more than fits is never begun. */
	struct iovec buffers[VIRTQUEUE_MAX_IOV];
	struct iovec payloads[VIRTQUEUE_MAX_IOV];
	struct virtqueue_chain chains[DEVICE_BATCH];
	struct packet packets[DEVICE_BATCH];
};

void device_init(struct device *device, struct mux *mux);

/* Closes the fds, unmaps the memory; leaves the connections alone. */
void device_finish(struct device *device);

/*
 * Replaces the guest's memory, as memory_replace() does. Rings that are started move along; where
 * one cannot, the device is broken.
 */
int device_set_memory(struct device *device, const struct memory_region_info *infos, const int *fds,
		      unsigned int count, struct reason *reason);

/*
 * Starts a ring from what was configured. Where it is not what was stopped before, the driver is a
 * new one, and the connections of the old one are over.
 */
int device_start_ring(struct device *device, enum device_ring index, struct reason *reason);

/* Handles what the driver has sent so far, then stops the ring. Returns its base. */
uint16_t device_stop_ring(struct device *device, enum device_ring index);

/* Enables or disables a ring; before it is disabled what the driver has sent is handled. */
void device_enable_ring(struct device *device, enum device_ring index, bool enabled);

/*
 * Stops all rings and forgets their places, ends the connections that the guest knew of. Call and
 * error fds stay: the front end does not send them again.
 */
void device_reset(struct device *device);

/*
 * Moves packets in both directions. True when it stopped for the sake of others with work left:
 * then it is to be called again after them.
 */
bool device_process(struct device *device);

/*
 * True while the driver has not been told of all transmit buffers that are used: before
 * DEVICE_WITHHOLD_MS have passed device_give_back(), which tells it, is to be called.
 */
bool device_withholds(const struct device *device);
void device_give_back(struct device *device);

#endif
