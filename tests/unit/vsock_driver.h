/*
 * A virtio-vsock driver's rings in memory of its own, for tests of the device: one region of guest
 * memory with a receive and a transmit ring, and their buffers. Packets are what it knows of vsock.
 */
#ifndef TESTS_VSOCK_DRIVER_H
#define TESTS_VSOCK_DRIVER_H

#include <linux/vhost_types.h>
#include <linux/virtio_ring.h>
#include <linux/virtio_vsock.h>
#include <stdbool.h>
#include <stdint.h>

#include "host/vsock/device.h"
#include "host/vsock/memory.h"

#define DRIVER_RING_SIZE      128u
#define DRIVER_GUEST_ADDRESS  0x40000000u
#define DRIVER_USER_ADDRESS   0x7f0000000000u
#define DRIVER_RECEIVE_LENGTH 4096u  /* payload of a receive buffer, as in Linux */
#define DRIVER_PAYLOAD        65536u /* of a packet that is sent */

struct driver_ring {
	struct vring_desc *descriptors;
	struct vring_avail *available;
	struct vring_used *used;
	uint64_t buffers; /* where its buffers begin in the memory */
	uint16_t last_used;
};

struct driver {
	int fd;
	uint8_t *memory;
	struct driver_ring rings[2]; /* by enum device_ring */
};

/* A packet that the device sent; the payload is valid until driver_recycle(). */
struct driver_packet {
	struct virtio_vsock_hdr header;
	const uint8_t *payload;
	uint32_t length;
	uint16_t head;
};

void driver_init(struct driver *driver);
void driver_finish(struct driver *driver);

/* The memory's description; its fd is driver->fd. */
struct memory_region_info driver_region(const struct driver *driver);

/* Where a ring is, as the front end says it. */
struct vhost_vring_addr driver_ring_address(const struct driver *driver, enum device_ring index);

/* Empties both rings, as a driver that starts does, and offers all receive buffers. */
void driver_start(struct driver *driver);

/* The next packet of the device; false when there is none. */
bool driver_receive(struct driver *driver, struct driver_packet *packet);

/* Offers the packet's buffer anew. */
void driver_recycle(struct driver *driver, const struct driver_packet *packet);

/* Sends a packet; false when the ring is full. */
bool driver_send(struct driver *driver, const struct virtio_vsock_hdr *header, const void *payload,
		 uint32_t length);

/* For hostile drivers: writes a descriptor, or offers a chain that begins there. */
void driver_describe(struct driver *driver, enum device_ring index, uint16_t descriptor,
		     uint64_t address, uint32_t length, uint16_t flags, uint16_t next);
void driver_offer(struct driver *driver, enum device_ring index, uint16_t head);

/* The guest's address of a buffer. */
uint64_t driver_buffer(const struct driver *driver, enum device_ring index, uint16_t number);

#endif
