#include "host/vsock/vhost_user_requests.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_config.h>
#include <linux/virtio_vsock.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>

#include "common/cleanup.h"

#define OFFERED_FEATURES (BIT(VIRTIO_F_VERSION_1) | BIT(VHOST_USER_F_PROTOCOL_FEATURES))

#define OFFERED_PROTOCOL_FEATURES                                                     \
	(BIT(VHOST_USER_PROTOCOL_F_MQ) | BIT(VHOST_USER_PROTOCOL_F_REPLY_ACK) |       \
	 BIT(VHOST_USER_PROTOCOL_F_BACKEND_REQ) | BIT(VHOST_USER_PROTOCOL_F_CONFIG) | \
	 BIT(VHOST_USER_PROTOCOL_F_RESET_DEVICE))

enum device_ring ring_in_state(const struct vhost_user_message *message)
{
	return message->payload.state.index;
}

enum device_ring ring_in_address(const struct vhost_user_message *message)
{
	return message->payload.address.index;
}

enum device_ring ring_in_integer(const struct vhost_user_message *message)
{
	return message->payload.integer & VHOST_USER_RING_INDEX_MASK;
}

static struct ring *state_ring(const struct exchange *exchange)
{
	return &exchange->vhost_user->device->rings[ring_in_state(exchange->message)];
}

static struct ring *integer_ring(const struct exchange *exchange)
{
	return &exchange->vhost_user->device->rings[ring_in_integer(exchange->message)];
}

/* --- features --- */

static int reply_integer(struct exchange *exchange, uint64_t integer)
{
	exchange->reply->payload.integer = integer;
	exchange->reply->header.size = sizeof(integer);
	return 0;
}

static int check_offered(struct exchange *exchange, uint64_t offered)
{
	uint64_t strange = exchange->message->payload.integer & ~offered;

	if (strange)
		return refuse(exchange->reason, EINVAL, "features %#llx were not offered",
			      (unsigned long long)strange);
	return 0;
}

int handle_get_features(struct exchange *exchange)
{
	return reply_integer(exchange, OFFERED_FEATURES);
}

int handle_set_features(struct exchange *exchange)
{
	int result = check_offered(exchange, OFFERED_FEATURES);

	if (result == 0)
		exchange->vhost_user->features = exchange->message->payload.integer;
	return result;
}

int handle_get_protocol_features(struct exchange *exchange)
{
	return reply_integer(exchange, OFFERED_PROTOCOL_FEATURES);
}

int handle_set_protocol_features(struct exchange *exchange)
{
	int result = check_offered(exchange, OFFERED_PROTOCOL_FEATURES);

	if (result == 0)
		exchange->vhost_user->protocol_features = exchange->message->payload.integer;
	return result;
}

int handle_get_queue_num(struct exchange *exchange)
{
	return reply_integer(exchange, DEVICE_RINGS);
}

/* --- the device --- */

void vhost_user_reset_device(struct vhost_user *vhost_user)
{
	for (unsigned int i = 0; i < DEVICE_RINGS; i++)
		vhost_user->ops->watch_kick(vhost_user->context, i, -1);
	device_reset(vhost_user->device);
}

int handle_set_owner(struct exchange *exchange)
{
	/* Sent once for each device, so what was before belongs to another. */
	vhost_user_reset_device(exchange->vhost_user);
	return 0;
}

int handle_reset_owner(struct exchange *exchange)
{
	/* Deprecated; back ends shall do no more than disable the rings. */
	for (unsigned int i = 0; i < DEVICE_RINGS; i++)
		device_enable_ring(exchange->vhost_user->device, i, false);
	return 0;
}

int handle_reset_device(struct exchange *exchange)
{
	vhost_user_reset_device(exchange->vhost_user);
	return 0;
}

int handle_set_mem_table(struct exchange *exchange)
{
	const struct vhost_user_message *message = exchange->message;
	const struct vhost_user_memory *memory = &message->payload.memory;
	uint64_t size = offsetof(struct vhost_user_memory, regions) +
			(uint64_t)memory->count * sizeof(memory->regions[0]);

	/* Some front ends send the whole structure; none sends less than its regions. */
	if (memory->count > MEMORY_MAX_REGIONS || message->header.size < size)
		return refuse(exchange->reason, EINVAL, "%u memory regions in %u bytes",
			      memory->count, message->header.size);
	if (message->fd_count != memory->count)
		return refuse(exchange->reason, EINVAL, "%u memory regions with %u fds",
			      memory->count, message->fd_count);
	return device_set_memory(exchange->vhost_user->device, memory->regions, message->fds,
				 memory->count, exchange->reason);
}

int handle_get_config(struct exchange *exchange)
{
	const struct vhost_user_message *message = exchange->message;
	const struct vhost_user_config *config = &message->payload.config;
	const struct virtio_vsock_config space = { .guest_cid = htole64(
							   exchange->vhost_user->guest_cid) };
	struct vhost_user_config *reply = &exchange->reply->payload.config;

	/* A reply without payload is how the specification has it that this failed. */
	if (config->offset > sizeof(space) || config->size > sizeof(space) - config->offset ||
	    message->header.size != offsetof(struct vhost_user_config, bytes) + config->size)
		return 0;

	reply->offset = config->offset;
	reply->size = config->size;
	reply->flags = config->flags;
	memcpy(reply->bytes, (const uint8_t *)&space + config->offset, config->size);
	exchange->reply->header.size = message->header.size;
	return 0;
}

int handle_set_config(struct exchange *exchange)
{
	return refuse(exchange->reason, EROFS, "the configuration space is read-only");
}

int handle_set_backend_req_fd(struct exchange *exchange)
{
	struct vhost_user *vhost_user = exchange->vhost_user;

	vhost_user->ops->watch_channel(vhost_user->context, -1);
	close_fd(vhost_user->channel_fd);
	vhost_user->channel_fd = steal_fd(&exchange->message->fds[0]);
	vhost_user->ops->watch_channel(vhost_user->context, vhost_user->channel_fd);
	return 0;
}

/* --- rings --- */

int handle_set_vring_num(struct exchange *exchange)
{
	state_ring(exchange)->size = exchange->message->payload.state.num;
	return 0;
}

int handle_set_vring_addr(struct exchange *exchange)
{
	const struct vhost_vring_addr *address = &exchange->message->payload.address;
	struct ring *ring = &exchange->vhost_user->device->rings[address->index];

	if (address->flags != 0)
		return refuse(exchange->reason, EINVAL, "ring flags %#x: logging was not offered",
			      address->flags);
	ring->address = *address;
	ring->has_address = true;
	return 0;
}

int handle_set_vring_base(struct exchange *exchange)
{
	uint32_t base = exchange->message->payload.state.num;

	if (base > UINT16_MAX)
		return refuse(exchange->reason, EINVAL, "ring base %u", base);
	state_ring(exchange)->base = (uint16_t)base;
	return 0;
}

int handle_get_vring_base(struct exchange *exchange)
{
	struct vhost_user *vhost_user = exchange->vhost_user;
	enum device_ring index = ring_in_state(exchange->message);

	vhost_user->ops->watch_kick(vhost_user->context, index, -1);
	exchange->reply->payload.state.index = index;
	exchange->reply->payload.state.num = device_stop_ring(vhost_user->device, index);
	exchange->reply->header.size = sizeof(exchange->reply->payload.state);
	return 0;
}

/*
 * An eventfd, which has no file type, or a pipe: all else could be readable for ever. The front
 * end's do not block anyway; a write to one that did could stop this process.
 */
static int check_event_fd(int fd, struct reason *reason)
{
	struct stat status;

	if (fstat(fd, &status) < 0)
		return refuse(reason, errno, "fstat: %s", strerror(errno));
	if ((status.st_mode & S_IFMT) != 0 && !S_ISFIFO(status.st_mode))
		return refuse(reason, EINVAL, "the fd is neither an eventfd nor a pipe");
	if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
		return refuse(reason, errno, "fcntl: %s", strerror(errno));
	return 0;
}

/* Puts the message's fd, or none, in the place of *fd. */
static int replace_fd(int *fd, struct exchange *exchange)
{
	struct vhost_user_message *message = exchange->message;
	bool absent = message->payload.integer & VHOST_USER_RING_NO_FD;
	int result;

	if (absent != (message->fd_count == 0))
		return refuse(exchange->reason, EINVAL, "%u fds where the message says there is %s",
			      message->fd_count, absent ? "none" : "one");
	if (!absent) {
		result = check_event_fd(message->fds[0], exchange->reason);
		if (result < 0)
			return result;
	}
	close_fd(*fd);
	*fd = absent ? -1 : steal_fd(&message->fds[0]);
	return 0;
}

/* The ring starts now and not with the first kick: a guest that was paused sends none. */
static int start_ring(struct exchange *exchange, enum device_ring index)
{
	struct vhost_user *vhost_user = exchange->vhost_user;
	int result = device_start_ring(vhost_user->device, index, exchange->reason);

	/* Without the feature there is no message to enable it. */
	if (result == 0 && !(vhost_user->features & BIT(VHOST_USER_F_PROTOCOL_FEATURES)))
		device_enable_ring(vhost_user->device, index, true);
	return result;
}

int handle_set_vring_kick(struct exchange *exchange)
{
	struct vhost_user *vhost_user = exchange->vhost_user;
	enum device_ring index = ring_in_integer(exchange->message);
	struct ring *ring = integer_ring(exchange);
	int result;

	if (exchange->message->fd_count == 0)
		return refuse(exchange->reason, EINVAL,
			      "a ring without a kick fd would have to be polled");

	vhost_user->ops->watch_kick(vhost_user->context, index, -1);
	result = replace_fd(&ring->kick_fd, exchange);
	if (result == 0 && !ring->started)
		result = start_ring(exchange, index);
	if (result == 0)
		vhost_user->ops->watch_kick(vhost_user->context, index, ring->kick_fd);
	else
		ring->kick_fd = close_fd(ring->kick_fd);
	return result;
}

int handle_set_vring_call(struct exchange *exchange)
{
	return replace_fd(&integer_ring(exchange)->call_fd, exchange);
}

int handle_set_vring_err(struct exchange *exchange)
{
	return replace_fd(&integer_ring(exchange)->error_fd, exchange);
}

int handle_set_vring_enable(struct exchange *exchange)
{
	uint32_t enabled = exchange->message->payload.state.num;

	if (enabled > 1)
		return refuse(exchange->reason, EINVAL,
			      "a ring is enabled (1) or disabled (0), not %u", enabled);
	device_enable_ring(exchange->vhost_user->device, ring_in_state(exchange->message), enabled);
	return 0;
}
