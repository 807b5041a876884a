/* Split virtqueues (Virtio 1.2, section 2.7), the device's side. */
#ifndef VSOCK_VIRTQUEUE_H
#define VSOCK_VIRTQUEUE_H

#include <linux/virtio_ring.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "host/vsock/memory.h"
#include "host/vsock/reason.h"

/* QEMU makes no larger ones; this one's own vsock queues have 128. */
#define VIRTQUEUE_MAX_SIZE 1024u

/* Enough for every chain whose buffers do not overlap: at each region's border one is divided. */
#define VIRTQUEUE_MAX_IOV  (VIRTQUEUE_MAX_SIZE + MEMORY_MAX_REGIONS)

struct virtqueue {
	/* The driver's memory: nothing read from it twice, nothing believed. */
	const struct vring_desc *descriptors;
	const struct vring_avail *available;
	struct vring_used *used;

	uint16_t size;            /* a power of 2 */
	uint16_t next_available;  /* the next entry of the available ring to be used */
	uint16_t known_available; /* the driver's index when it was last looked at */
	uint16_t next_used;       /* where the next entry of the used ring goes */
	uint16_t published_used;  /* the index that the driver was told */
};

/* One buffer of the driver: its readable part, then its writable part. */
struct virtqueue_chain {
	uint16_t head;
	struct iovec *iov;
	unsigned int readable; /* elements of iov */
	unsigned int writable; /* elements of iov, after the readable ones */
	unsigned int count;    /* both */
};

/* How many bytes the parts of a ring of that size take. */
static inline uint64_t virtqueue_descriptors_length(uint64_t size)
{
	return size * sizeof(struct vring_desc);
}

static inline uint64_t virtqueue_available_length(uint64_t size)
{
	return sizeof(struct vring_avail) + size * sizeof(uint16_t);
}

static inline uint64_t virtqueue_used_length(uint64_t size)
{
	return sizeof(struct vring_used) + size * sizeof(struct vring_used_elem);
}

/*
 * Points the queue at its rings, which must be as long as the functions above say. Also for a
 * queue in use whose memory has been mapped anew. Refuses what is not aligned as section 2.7 wants.
 */
int virtqueue_place(struct virtqueue *queue, void *descriptors, void *available, void *used,
		    struct reason *reason);

/* Begins at the given index of the available ring. size is checked. */
int virtqueue_start(struct virtqueue *queue, uint32_t size, uint16_t base, struct reason *reason);

/*
 * Looks at the buffer that comes offset places after the next one, and takes nothing: 1 with the
 * chain described in iov[0..capacity), 0 when the driver has made no such buffer available,
 * -ENOBUFS when iov is too small, another negative errno when the ring is corrupt, with a reason.
 */
int virtqueue_peek(struct virtqueue *queue, const struct memory *memory, uint16_t offset,
		   struct virtqueue_chain *chain, struct iovec *iov, unsigned int capacity,
		   struct reason *reason);

/* Gives the next buffer, which was peeked at as chain, back with written bytes in it. */
void virtqueue_push(struct virtqueue *queue, const struct virtqueue_chain *chain, uint32_t written);

/* Lets the driver see what was pushed; true if it wants to be notified. */
bool virtqueue_publish(struct virtqueue *queue);

/* Asks the driver not to notify of new buffers. It is a hint: notifications may come all the same.
 */
void virtqueue_disable_notification(struct virtqueue *queue);

/* Asks to be notified; true if a buffer is there already, which then is not notified of. */
bool virtqueue_enable_notification(struct virtqueue *queue);

#endif
