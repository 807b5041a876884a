/*
 * Split virtqueues, the device's side.
 *
 * The rings lie in memory that the driver may change at any time, also between two reads by one
 * statement. So each field is loaded once, into a variable, and judged there; indices are reduced
 * or checked before they index; a chain is followed for at most as many steps as the ring has
 * descriptors, which ends loops. What the driver does afterwards cannot make a pointer wrong that
 * was made from the loaded values.
 *
 * Order (section 2.7.13): the available index is loaded before the entries it covers (acquire),
 * used entries are written before the used index (release). Whether to notify is asked after the
 * index was written, and for new buffers after notifications were asked for; both pairs need a full
 * barrier, since the other side does the same in the opposite order (Dekker's algorithm).
 *
 * VIRTIO_F_EVENT_IDX and VIRTIO_F_INDIRECT_DESC are not offered: of the former Linux guests showed
 * no gain beyond noise, in streams or in round trips; the latter only lets more packets into a
 * ring.
 */
#include "host/vsock/virtqueue.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

#include "common/util.h"

#define LOAD16(field) le16toh(__atomic_load_n(&(field), __ATOMIC_RELAXED))

int virtqueue_place(struct virtqueue *queue, void *descriptors, void *available, void *used,
		    struct reason *reason)
{
	if ((uintptr_t)descriptors % VRING_DESC_ALIGN_SIZE != 0 ||
	    (uintptr_t)available % VRING_AVAIL_ALIGN_SIZE != 0 ||
	    (uintptr_t)used % VRING_USED_ALIGN_SIZE != 0)
		return refuse(reason, EINVAL, "ring is not aligned");

	queue->descriptors = descriptors;
	queue->available = available;
	queue->used = used;
	return 0;
}

int virtqueue_start(struct virtqueue *queue, uint32_t size, uint16_t base, struct reason *reason)
{
	if (size == 0 || size > VIRTQUEUE_MAX_SIZE || (size & (size - 1)) != 0)
		return refuse(reason, EINVAL, "ring of %u entries", size);

	queue->size = (uint16_t)size;
	queue->next_available = base;
	queue->known_available = base;
	/* The driver goes on where it is; a new ring says 0. */
	queue->next_used = LOAD16(queue->used->idx);
	queue->published_used = queue->next_used;
	return 0;
}

/* How many buffers there are from the next one on, or a negative errno. */
static int virtqueue_available(struct virtqueue *queue, struct reason *reason)
{
	uint16_t index = le16toh(__atomic_load_n(&queue->available->idx, __ATOMIC_ACQUIRE));
	uint16_t count = (uint16_t)(index - queue->next_available);

	if (count > queue->size)
		return refuse(reason, EINVAL, "available index %u is %u past the used buffers",
			      index, count);
	queue->known_available = index;
	return count;
}

/* Adds the memory of one descriptor to iov. */
static int chain_add(struct virtqueue_chain *chain, const struct memory *memory, uint64_t address,
		     uint64_t length, unsigned int capacity, struct reason *reason)
{
	if (length == 0)
		return refuse(reason, EINVAL, "descriptor of length 0");

	while (length > 0) {
		uint64_t part = length;
		void *start = memory_from_guest(memory, address, &part);

		if (!start)
			return refuse(reason, EFAULT, "descriptor outside of the guest's memory");
		if (chain->count == capacity)
			return refuse(reason, ENOBUFS, "descriptor chain of more than %u parts",
				      capacity);
		chain->iov[chain->count++] = (struct iovec){ .iov_base = start, .iov_len = part };
		address += part;
		length -= part;
	}
	return 0;
}

static int chain_follow(const struct virtqueue *queue, const struct memory *memory,
			struct virtqueue_chain *chain, unsigned int capacity, struct reason *reason)
{
	uint16_t index = chain->head;

	for (unsigned int steps = 0; steps < queue->size; steps++) {
		const struct vring_desc *descriptor = &queue->descriptors[index];
		uint16_t flags = LOAD16(descriptor->flags);
		uint32_t length = le32toh(__atomic_load_n(&descriptor->len, __ATOMIC_RELAXED));
		uint64_t address = le64toh(__atomic_load_n(&descriptor->addr, __ATOMIC_RELAXED));
		unsigned int before = chain->count;
		int result;

		if (flags & VRING_DESC_F_INDIRECT)
			return refuse(reason, EINVAL, "indirect descriptor, which is not offered");
		if (chain->writable > 0 && !(flags & VRING_DESC_F_WRITE))
			return refuse(reason, EINVAL, "readable descriptor after a writable one");

		result = chain_add(chain, memory, address, length, capacity, reason);
		if (result < 0)
			return result;
		if (flags & VRING_DESC_F_WRITE)
			chain->writable += chain->count - before;
		else
			chain->readable += chain->count - before;

		if (!(flags & VRING_DESC_F_NEXT))
			return 0;
		index = LOAD16(descriptor->next);
		if (index >= queue->size)
			return refuse(reason, EINVAL, "descriptor %u of %u", index, queue->size);
	}
	return refuse(reason, EINVAL, "descriptors form a loop");
}

int virtqueue_peek(struct virtqueue *queue, const struct memory *memory, uint16_t offset,
		   struct virtqueue_chain *chain, struct iovec *iov, unsigned int capacity,
		   struct reason *reason)
{
	uint16_t slot = (uint16_t)(queue->next_available + offset);
	int result;

	if (offset >= (uint16_t)(queue->known_available - queue->next_available)) {
		result = virtqueue_available(queue, reason);
		if (result < 0)
			return result;
		if (offset >= result)
			return 0;
	}

	*chain = (struct virtqueue_chain){ .iov = iov };
	chain->head = LOAD16(queue->available->ring[slot & (queue->size - 1)]);
	if (chain->head >= queue->size)
		return refuse(reason, EINVAL, "descriptor %u of %u", chain->head, queue->size);

	result = chain_follow(queue, memory, chain, capacity, reason);
	return result < 0 ? result : 1;
}

void virtqueue_push(struct virtqueue *queue, const struct virtqueue_chain *chain, uint32_t written)
{
	struct vring_used_elem *element = &queue->used->ring[queue->next_used & (queue->size - 1)];

	element->id = htole32(chain->head);
	element->len = htole32(written);
	queue->next_used++;
	queue->next_available++;
}

bool virtqueue_publish(struct virtqueue *queue)
{
	if (queue->next_used == queue->published_used)
		return false;

	__atomic_store_n(&queue->used->idx, htole16(queue->next_used), __ATOMIC_RELEASE);
	queue->published_used = queue->next_used;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return !(LOAD16(queue->available->flags) & VRING_AVAIL_F_NO_INTERRUPT);
}

void virtqueue_disable_notification(struct virtqueue *queue)
{
	__atomic_store_n(&queue->used->flags, htole16(VRING_USED_F_NO_NOTIFY), __ATOMIC_RELAXED);
}

bool virtqueue_enable_notification(struct virtqueue *queue)
{
	__atomic_store_n(&queue->used->flags, 0, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return LOAD16(queue->available->idx) != queue->next_available;
}
