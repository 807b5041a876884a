#include "vsock_driver.h"

#include <endian.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/util.h"
#include "unit.h"

/* A ring and its buffers have half of the memory. A buffer is a header and a payload. */
#define SLOT    (DRIVER_PAYLOAD + 64u)
#define SLOTS   (DRIVER_RING_SIZE / 2)
#define HALF    (65536 + (size_t)SLOTS * SLOT)
#define HEADER  sizeof(struct virtio_vsock_hdr)
#define SECTION KIB(16)

void driver_init(struct driver *driver)
{
	driver->fd = memfd_create("guest", MFD_CLOEXEC);
	ck_assert_int_ge(driver->fd, 0);
	ck_assert_int_eq(ftruncate(driver->fd, 2 * HALF), 0);
	driver->memory = mmap(NULL, 2 * HALF, PROT_READ | PROT_WRITE, MAP_SHARED, driver->fd, 0);
	ck_assert_ptr_ne(driver->memory, MAP_FAILED);
	driver_start(driver);
}

void driver_finish(struct driver *driver)
{
	munmap(driver->memory, 2 * HALF);
	close(driver->fd);
}

struct memory_region_info driver_region(const struct driver *driver)
{
	(void)driver;
	return (struct memory_region_info){ .guest_address = DRIVER_GUEST_ADDRESS,
					    .size = 2 * HALF,
					    .user_address = DRIVER_USER_ADDRESS };
}

struct vhost_vring_addr driver_ring_address(const struct driver *driver, enum device_ring index)
{
	const struct driver_ring *ring = &driver->rings[index];
	uint64_t base = DRIVER_USER_ADDRESS;

	return (struct vhost_vring_addr){
		.index = index,
		.desc_user_addr = base + (uint64_t)((uint8_t *)ring->descriptors - driver->memory),
		.avail_user_addr = base + (uint64_t)((uint8_t *)ring->available - driver->memory),
		.used_user_addr = base + (uint64_t)((uint8_t *)ring->used - driver->memory),
	};
}

uint64_t driver_buffer(const struct driver *driver, enum device_ring index, uint16_t number)
{
	return DRIVER_GUEST_ADDRESS + driver->rings[index].buffers + (uint64_t)number * SLOT;
}

static uint8_t *buffer_at(const struct driver *driver, enum device_ring index, uint16_t number)
{
	return driver->memory + driver->rings[index].buffers + (uint64_t)number * SLOT;
}

void driver_describe(struct driver *driver, enum device_ring index, uint16_t descriptor,
		     uint64_t address, uint32_t length, uint16_t flags, uint16_t next)
{
	driver->rings[index].descriptors[descriptor] =
		(struct vring_desc){ .addr = htole64(address),
				     .len = htole32(length),
				     .flags = htole16(flags),
				     .next = htole16(next) };
}

void driver_offer(struct driver *driver, enum device_ring index, uint16_t head)
{
	struct vring_avail *available = driver->rings[index].available;
	uint16_t at = le16toh(available->idx);

	available->ring[at % DRIVER_RING_SIZE] = htole16(head);
	__atomic_store_n(&available->idx, htole16((uint16_t)(at + 1)), __ATOMIC_RELEASE);
}

/* Slot n uses descriptors 2n and 2n + 1, as header and payload. */
static void offer_receive(struct driver *driver, uint16_t slot)
{
	uint64_t buffer = driver_buffer(driver, DEVICE_RECEIVE, slot);

	driver_describe(driver, DEVICE_RECEIVE, 2 * slot, buffer, HEADER,
			VRING_DESC_F_WRITE | VRING_DESC_F_NEXT, 2 * slot + 1);
	driver_describe(driver, DEVICE_RECEIVE, 2 * slot + 1, buffer + HEADER,
			DRIVER_RECEIVE_LENGTH, VRING_DESC_F_WRITE, 0);
	driver_offer(driver, DEVICE_RECEIVE, 2 * slot);
}

void driver_start(struct driver *driver)
{
	for (unsigned int i = 0; i < 2; i++) {
		uint8_t *half = driver->memory + i * HALF;

		memset(half, 0, 65536);
		driver->rings[i] = (struct driver_ring){
			.descriptors = (struct vring_desc *)half,
			.available = (struct vring_avail *)(half + SECTION),
			.used = (struct vring_used *)(half + 2 * SECTION),
			.buffers = i * HALF + 65536,
		};
	}
	for (uint16_t slot = 0; slot < SLOTS; slot++)
		offer_receive(driver, slot);
}

bool driver_receive(struct driver *driver, struct driver_packet *packet)
{
	struct driver_ring *ring = &driver->rings[DEVICE_RECEIVE];
	const struct vring_used_elem *element =
		&ring->used->ring[ring->last_used % DRIVER_RING_SIZE];
	const uint8_t *buffer;

	if (le16toh(__atomic_load_n(&ring->used->idx, __ATOMIC_ACQUIRE)) == ring->last_used)
		return false;
	ring->last_used++;

	packet->head = (uint16_t)le32toh(element->id);
	ck_assert_uint_lt(packet->head, DRIVER_RING_SIZE);
	buffer = buffer_at(driver, DEVICE_RECEIVE, packet->head / 2);
	memcpy(&packet->header, buffer, HEADER);
	packet->payload = buffer + HEADER;
	packet->length = le32toh(packet->header.len);
	ck_assert_uint_eq(le32toh(element->len), HEADER + packet->length);
	return true;
}

void driver_recycle(struct driver *driver, const struct driver_packet *packet)
{
	offer_receive(driver, packet->head / 2);
}

bool driver_send(struct driver *driver, const struct virtio_vsock_hdr *header, const void *payload,
		 uint32_t length)
{
	struct driver_ring *ring = &driver->rings[DEVICE_TRANSMIT];
	uint16_t used = le16toh(__atomic_load_n(&ring->used->idx, __ATOMIC_ACQUIRE));
	uint16_t slot = le16toh(ring->available->idx) % SLOTS;
	uint8_t *buffer = buffer_at(driver, DEVICE_TRANSMIT, slot);

	ck_assert_uint_le(length, DRIVER_PAYLOAD);
	/* The device takes them in order, so slots come free in order. */
	if ((uint16_t)(le16toh(ring->available->idx) - used) >= SLOTS)
		return false;
	memcpy(buffer, header, HEADER);
	if (length > 0)
		memcpy(buffer + HEADER, payload, length);
	driver_describe(driver, DEVICE_TRANSMIT, 2 * slot,
			driver_buffer(driver, DEVICE_TRANSMIT, slot), HEADER,
			length > 0 ? VRING_DESC_F_NEXT : 0, 2 * slot + 1);
	driver_describe(driver, DEVICE_TRANSMIT, 2 * slot + 1,
			driver_buffer(driver, DEVICE_TRANSMIT, slot) + HEADER, length, 0, 0);
	driver_offer(driver, DEVICE_TRANSMIT, 2 * slot);
	return true;
}
