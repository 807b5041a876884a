/*
 * The vhost-user protocol, the back end's side.
 *
 * One table says of each request what its payload and fds must be, whether it needs a protocol
 * feature, which ring it names and in which state that has to be. All this is judged here before
 * the handler runs, so none can forget it; what is left to a handler is what only it can know.
 *
 * A request that is refused is answered with a failure where the front end asked for an answer
 * (REPLY_ACK). Where it did not, the session ends: the front end would go on in the belief that it
 * has what it asked for. Fds belong to the message until a handler takes them, and the message is
 * finished on every path.
 *
 * When a device is taken out (device_del), QEMU before 8.2 sends what it sends when the guest is
 * paused, and keeps the socket. What does tell is the channel for the back end's own requests: QEMU
 * makes one for each device and closes it with the device. That is why BACKEND_REQ is offered
 * although this back end has nothing to ask. Later versions send RESET_DEVICE besides, also when
 * the guest resets itself.
 */
#include "host/vsock/vhost_user.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_config.h>
#include <linux/virtio_vsock.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>

#include "common/cleanup.h"
#include "common/util.h"
#include "host/vsock/log.h"

#define BIT(n)           (UINT64_C(1) << (n))

#define OFFERED_FEATURES (BIT(VIRTIO_F_VERSION_1) | BIT(VHOST_USER_F_PROTOCOL_FEATURES))

#define OFFERED_PROTOCOL_FEATURES                                                     \
	(BIT(VHOST_USER_PROTOCOL_F_MQ) | BIT(VHOST_USER_PROTOCOL_F_REPLY_ACK) |       \
	 BIT(VHOST_USER_PROTOCOL_F_BACKEND_REQ) | BIT(VHOST_USER_PROTOCOL_F_CONFIG) | \
	 BIT(VHOST_USER_PROTOCOL_F_RESET_DEVICE))

/* The payload goes over the socket as it lies in memory. */
static_assert(sizeof(struct vhost_user_header) == 12, "header on the wire");
static_assert(sizeof(struct memory_region_info) == 32, "memory region on the wire");
static_assert(offsetof(struct vhost_user_memory, regions) == 8, "memory table on the wire");
static_assert(offsetof(struct vhost_user_config, bytes) == 12, "config space on the wire");
static_assert(sizeof(struct vhost_vring_addr) == 40, "ring address on the wire");

/* Where a request names its ring. */
enum ring_field {
	RING_NONE,
	RING_IN_STATE,
	RING_IN_ADDRESS,
	RING_IN_INTEGER,
};

struct request {
	const char *name;
	uint32_t size;     /* of the payload, in bytes */
	uint32_t size_max; /* where it varies; else 0 */
	uint8_t fds_min;
	uint8_t fds_max;
	bool replies; /* the handler fills in payload and size of the reply */
	bool stopped; /* only for a ring that is not started */
	enum ring_field ring;
	uint64_t needs; /* protocol features */
	int (*handle)(struct vhost_user *vhost_user, struct vhost_user_message *message,
		      struct vhost_user_message *reply, struct reason *reason);
};

static enum device_ring ring_index(const struct vhost_user_message *message, enum ring_field field)
{
	switch (field) {
	case RING_IN_STATE:
		return message->payload.state.index;
	case RING_IN_ADDRESS:
		return message->payload.address.index;
	case RING_IN_INTEGER:
		return message->payload.integer & VHOST_USER_RING_INDEX_MASK;
	case RING_NONE:
		break;
	}
	return DEVICE_RINGS;
}

static struct ring *state_ring(struct vhost_user *vhost_user,
			       const struct vhost_user_message *message)
{
	return &vhost_user->device->rings[message->payload.state.index];
}

static void reply_integer(struct vhost_user_message *reply, uint64_t integer)
{
	reply->payload.integer = integer;
	reply->header.size = sizeof(reply->payload.integer);
}

/* --- handlers: features --- */

static int handle_get_features(struct vhost_user *vhost_user, struct vhost_user_message *message,
			       struct vhost_user_message *reply, struct reason *reason)
{
	(void)vhost_user;
	(void)message;
	(void)reason;
	reply_integer(reply, OFFERED_FEATURES);
	return 0;
}

static int handle_set_features(struct vhost_user *vhost_user, struct vhost_user_message *message,
			       struct vhost_user_message *reply, struct reason *reason)
{
	uint64_t features = message->payload.integer;

	(void)reply;
	if (features & ~OFFERED_FEATURES)
		return refuse(reason, EINVAL, "features %#llx were not offered",
			      (unsigned long long)(features & ~OFFERED_FEATURES));
	vhost_user->features = features;
	return 0;
}

static int handle_get_protocol_features(struct vhost_user *vhost_user,
					struct vhost_user_message *message,
					struct vhost_user_message *reply, struct reason *reason)
{
	(void)vhost_user;
	(void)message;
	(void)reason;
	reply_integer(reply, OFFERED_PROTOCOL_FEATURES);
	return 0;
}

static int handle_set_protocol_features(struct vhost_user *vhost_user,
					struct vhost_user_message *message,
					struct vhost_user_message *reply, struct reason *reason)
{
	uint64_t features = message->payload.integer;

	(void)reply;
	if (features & ~OFFERED_PROTOCOL_FEATURES)
		return refuse(reason, EINVAL, "protocol features %#llx were not offered",
			      (unsigned long long)(features & ~OFFERED_PROTOCOL_FEATURES));
	vhost_user->protocol_features = features;
	return 0;
}

static int handle_get_queue_num(struct vhost_user *vhost_user, struct vhost_user_message *message,
				struct vhost_user_message *reply, struct reason *reason)
{
	(void)vhost_user;
	(void)message;
	(void)reason;
	reply_integer(reply, DEVICE_RINGS);
	return 0;
}

/* --- handlers: the device --- */

static void forget_kicks(struct vhost_user *vhost_user)
{
	for (unsigned int i = 0; i < DEVICE_RINGS; i++)
		vhost_user->ops->watch_kick(vhost_user->context, i, -1);
}

static void reset_device(struct vhost_user *vhost_user)
{
	forget_kicks(vhost_user);
	device_reset(vhost_user->device);
}

static int handle_set_owner(struct vhost_user *vhost_user, struct vhost_user_message *message,
			    struct vhost_user_message *reply, struct reason *reason)
{
	(void)message;
	(void)reply;
	(void)reason;
	/* Sent once for each device, so what was before belongs to another. */
	reset_device(vhost_user);
	return 0;
}

static int handle_reset_owner(struct vhost_user *vhost_user, struct vhost_user_message *message,
			      struct vhost_user_message *reply, struct reason *reason)
{
	(void)message;
	(void)reply;
	(void)reason;
	/* Deprecated; back ends shall do no more than disable the rings. */
	for (unsigned int i = 0; i < DEVICE_RINGS; i++)
		device_enable_ring(vhost_user->device, i, false);
	return 0;
}

static int handle_reset_device(struct vhost_user *vhost_user, struct vhost_user_message *message,
			       struct vhost_user_message *reply, struct reason *reason)
{
	(void)message;
	(void)reply;
	(void)reason;
	reset_device(vhost_user);
	return 0;
}

static int handle_set_mem_table(struct vhost_user *vhost_user, struct vhost_user_message *message,
				struct vhost_user_message *reply, struct reason *reason)
{
	const struct vhost_user_memory *memory = &message->payload.memory;
	uint64_t size = offsetof(struct vhost_user_memory, regions) +
			(uint64_t)memory->count * sizeof(memory->regions[0]);

	(void)reply;
	/* Some front ends send the whole structure; none sends less than its regions. */
	if (memory->count > MEMORY_MAX_REGIONS || message->header.size < size)
		return refuse(reason, EINVAL, "%u memory regions in %u bytes", memory->count,
			      message->header.size);
	if (message->fd_count != memory->count)
		return refuse(reason, EINVAL, "%u memory regions with %u fds", memory->count,
			      message->fd_count);
	return device_set_memory(vhost_user->device, memory->regions, message->fds, memory->count,
				 reason);
}

static int handle_get_config(struct vhost_user *vhost_user, struct vhost_user_message *message,
			     struct vhost_user_message *reply, struct reason *reason)
{
	const struct vhost_user_config *config = &message->payload.config;
	const struct virtio_vsock_config space = { .guest_cid = htole64(vhost_user->guest_cid) };

	(void)reason;
	reply->payload.config = (struct vhost_user_config){ .offset = config->offset,
							    .size = config->size,
							    .flags = config->flags };
	/* A reply without payload is how the specification has it that this failed. */
	if (config->offset > sizeof(space) || config->size > sizeof(space) - config->offset ||
	    message->header.size != offsetof(struct vhost_user_config, bytes) + config->size) {
		reply->header.size = 0;
		return 0;
	}
	memcpy(reply->payload.config.bytes, (const uint8_t *)&space + config->offset, config->size);
	reply->header.size = message->header.size;
	return 0;
}

static int handle_set_config(struct vhost_user *vhost_user, struct vhost_user_message *message,
			     struct vhost_user_message *reply, struct reason *reason)
{
	(void)vhost_user;
	(void)message;
	(void)reply;
	return refuse(reason, EROFS, "the configuration space is read-only");
}

static int handle_set_backend_req_fd(struct vhost_user *vhost_user,
				     struct vhost_user_message *message,
				     struct vhost_user_message *reply, struct reason *reason)
{
	(void)reply;
	(void)reason;
	vhost_user->ops->watch_channel(vhost_user->context, -1);
	close_fd(vhost_user->channel_fd);
	vhost_user->channel_fd = steal_fd(&message->fds[0]);
	vhost_user->ops->watch_channel(vhost_user->context, vhost_user->channel_fd);
	return 0;
}

/* --- handlers: rings --- */

static int handle_set_vring_num(struct vhost_user *vhost_user, struct vhost_user_message *message,
				struct vhost_user_message *reply, struct reason *reason)
{
	(void)reply;
	(void)reason;
	state_ring(vhost_user, message)->size = message->payload.state.num;
	return 0;
}

static int handle_set_vring_addr(struct vhost_user *vhost_user, struct vhost_user_message *message,
				 struct vhost_user_message *reply, struct reason *reason)
{
	const struct vhost_vring_addr *address = &message->payload.address;
	struct ring *ring = &vhost_user->device->rings[address->index];

	(void)reply;
	if (address->flags != 0)
		return refuse(reason, EINVAL, "ring flags %#x: logging was not offered",
			      address->flags);
	ring->address = *address;
	ring->has_address = true;
	return 0;
}

static int handle_set_vring_base(struct vhost_user *vhost_user, struct vhost_user_message *message,
				 struct vhost_user_message *reply, struct reason *reason)
{
	uint32_t base = message->payload.state.num;

	(void)reply;
	if (base > UINT16_MAX)
		return refuse(reason, EINVAL, "ring base %u", base);
	state_ring(vhost_user, message)->base = (uint16_t)base;
	return 0;
}

static int handle_get_vring_base(struct vhost_user *vhost_user, struct vhost_user_message *message,
				 struct vhost_user_message *reply, struct reason *reason)
{
	enum device_ring index = message->payload.state.index;

	(void)reason;
	vhost_user->ops->watch_kick(vhost_user->context, index, -1);
	reply->payload.state.index = index;
	reply->payload.state.num = device_stop_ring(vhost_user->device, index);
	reply->header.size = sizeof(reply->payload.state);
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
static int replace_fd(int *fd, struct vhost_user_message *message, struct reason *reason)
{
	bool absent = message->payload.integer & VHOST_USER_RING_NO_FD;
	int result;

	if (absent != (message->fd_count == 0))
		return refuse(reason, EINVAL, "%u fds where the message says there is %s",
			      message->fd_count, absent ? "none" : "one");
	if (!absent) {
		result = check_event_fd(message->fds[0], reason);
		if (result < 0)
			return result;
	}
	close_fd(*fd);
	*fd = absent ? -1 : steal_fd(&message->fds[0]);
	return 0;
}

static int handle_set_vring_kick(struct vhost_user *vhost_user, struct vhost_user_message *message,
				 struct vhost_user_message *reply, struct reason *reason)
{
	enum device_ring index = ring_index(message, RING_IN_INTEGER);
	struct ring *ring = &vhost_user->device->rings[index];
	int result;

	(void)reply;
	if (message->fd_count == 0)
		return refuse(reason, EINVAL, "a ring without a kick fd would have to be polled");

	vhost_user->ops->watch_kick(vhost_user->context, index, -1);
	result = replace_fd(&ring->kick_fd, message, reason);
	if (result == 0 && !ring->started) {
		/* The ring starts now and not with the first kick: a guest that was paused sends
		   none. Without the feature there is no message to enable it. */
		result = device_start_ring(vhost_user->device, index, reason);
		if (!(vhost_user->features & BIT(VHOST_USER_F_PROTOCOL_FEATURES)))
			device_enable_ring(vhost_user->device, index, true);
	}
	if (result < 0) {
		ring->kick_fd = close_fd(ring->kick_fd);
		return result;
	}
	vhost_user->ops->watch_kick(vhost_user->context, index, ring->kick_fd);
	return 0;
}

static int handle_set_vring_call(struct vhost_user *vhost_user, struct vhost_user_message *message,
				 struct vhost_user_message *reply, struct reason *reason)
{
	(void)reply;
	return replace_fd(&vhost_user->device->rings[ring_index(message, RING_IN_INTEGER)].call_fd,
			  message, reason);
}

static int handle_set_vring_err(struct vhost_user *vhost_user, struct vhost_user_message *message,
				struct vhost_user_message *reply, struct reason *reason)
{
	(void)reply;
	return replace_fd(&vhost_user->device->rings[ring_index(message, RING_IN_INTEGER)].error_fd,
			  message, reason);
}

static int handle_set_vring_enable(struct vhost_user *vhost_user,
				   struct vhost_user_message *message,
				   struct vhost_user_message *reply, struct reason *reason)
{
	uint32_t enabled = message->payload.state.num;

	(void)reply;
	if (enabled > 1)
		return refuse(reason, EINVAL, "a ring is enabled (1) or disabled (0), not %u",
			      enabled);
	device_enable_ring(vhost_user->device, message->payload.state.index, enabled);
	return 0;
}

/* --- the table --- */

#define SIZE_OF(member) sizeof(((union vhost_user_payload *)0)->member)

static const struct request requests[] = {
	[VHOST_USER_GET_FEATURES] = {
		.name = "GET_FEATURES",
		.replies = true,
		.handle = handle_get_features,
	},
	[VHOST_USER_SET_FEATURES] = {
		.name = "SET_FEATURES",
		.size = SIZE_OF(integer),
		.handle = handle_set_features,
	},
	[VHOST_USER_SET_OWNER] = {
		.name = "SET_OWNER",
		.handle = handle_set_owner,
	},
	[VHOST_USER_RESET_OWNER] = {
		.name = "RESET_OWNER",
		.handle = handle_reset_owner,
	},
	[VHOST_USER_SET_MEM_TABLE] = {
		.name = "SET_MEM_TABLE",
		.size = offsetof(struct vhost_user_memory, regions),
		.size_max = SIZE_OF(memory),
		.fds_max = MEMORY_MAX_REGIONS,
		.handle = handle_set_mem_table,
	},
	[VHOST_USER_SET_VRING_NUM] = {
		.name = "SET_VRING_NUM",
		.size = SIZE_OF(state),
		.ring = RING_IN_STATE,
		.stopped = true,
		.handle = handle_set_vring_num,
	},
	[VHOST_USER_SET_VRING_ADDR] = {
		.name = "SET_VRING_ADDR",
		.size = SIZE_OF(address),
		.ring = RING_IN_ADDRESS,
		.stopped = true,
		.handle = handle_set_vring_addr,
	},
	[VHOST_USER_SET_VRING_BASE] = {
		.name = "SET_VRING_BASE",
		.size = SIZE_OF(state),
		.ring = RING_IN_STATE,
		.stopped = true,
		.handle = handle_set_vring_base,
	},
	[VHOST_USER_GET_VRING_BASE] = {
		.name = "GET_VRING_BASE",
		.size = SIZE_OF(state),
		.ring = RING_IN_STATE,
		.replies = true,
		.handle = handle_get_vring_base,
	},
	[VHOST_USER_SET_VRING_KICK] = {
		.name = "SET_VRING_KICK",
		.size = SIZE_OF(integer),
		.fds_max = 1,
		.ring = RING_IN_INTEGER,
		.handle = handle_set_vring_kick,
	},
	[VHOST_USER_SET_VRING_CALL] = {
		.name = "SET_VRING_CALL",
		.size = SIZE_OF(integer),
		.fds_max = 1,
		.ring = RING_IN_INTEGER,
		.handle = handle_set_vring_call,
	},
	[VHOST_USER_SET_VRING_ERR] = {
		.name = "SET_VRING_ERR",
		.size = SIZE_OF(integer),
		.fds_max = 1,
		.ring = RING_IN_INTEGER,
		.handle = handle_set_vring_err,
	},
	[VHOST_USER_GET_PROTOCOL_FEATURES] = {
		.name = "GET_PROTOCOL_FEATURES",
		.replies = true,
		.handle = handle_get_protocol_features,
	},
	[VHOST_USER_SET_PROTOCOL_FEATURES] = {
		.name = "SET_PROTOCOL_FEATURES",
		.size = SIZE_OF(integer),
		.handle = handle_set_protocol_features,
	},
	[VHOST_USER_GET_QUEUE_NUM] = {
		.name = "GET_QUEUE_NUM",
		.replies = true,
		.needs = BIT(VHOST_USER_PROTOCOL_F_MQ),
		.handle = handle_get_queue_num,
	},
	[VHOST_USER_SET_VRING_ENABLE] = {
		.name = "SET_VRING_ENABLE",
		.size = SIZE_OF(state),
		.ring = RING_IN_STATE,
		.handle = handle_set_vring_enable,
	},
	[VHOST_USER_SET_BACKEND_REQ_FD] = {
		.name = "SET_BACKEND_REQ_FD",
		.fds_min = 1,
		.fds_max = 1,
		.needs = BIT(VHOST_USER_PROTOCOL_F_BACKEND_REQ),
		.handle = handle_set_backend_req_fd,
	},
	[VHOST_USER_GET_CONFIG] = {
		.name = "GET_CONFIG",
		.size = offsetof(struct vhost_user_config, bytes),
		.size_max = SIZE_OF(config),
		.replies = true,
		.needs = BIT(VHOST_USER_PROTOCOL_F_CONFIG),
		.handle = handle_get_config,
	},
	[VHOST_USER_SET_CONFIG] = {
		.name = "SET_CONFIG",
		.size = offsetof(struct vhost_user_config, bytes),
		.size_max = SIZE_OF(config),
		.needs = BIT(VHOST_USER_PROTOCOL_F_CONFIG),
		.handle = handle_set_config,
	},
	[VHOST_USER_RESET_DEVICE] = {
		.name = "RESET_DEVICE",
		.needs = BIT(VHOST_USER_PROTOCOL_F_RESET_DEVICE),
		.handle = handle_reset_device,
	},
};

static const struct request *find_request(uint32_t number)
{
	if (number >= ARRAY_SIZE(requests) || !requests[number].handle)
		return NULL;
	return &requests[number];
}

const char *vhost_user_name(uint32_t number)
{
	const struct request *request = find_request(number);

	return request ? request->name : "unknown request";
}

int vhost_user_check_header(const struct vhost_user_header *header, struct reason *reason)
{
	const struct request *request = find_request(header->request);
	uint32_t size_max;

	if ((header->flags & (VHOST_USER_VERSION_MASK | VHOST_USER_REPLY)) != VHOST_USER_VERSION)
		return refuse(reason, EPROTO, "flags %#x", header->flags);
	if (!request)
		return refuse(reason, EPROTO, "request %u", header->request);

	size_max = request->size_max ? request->size_max : request->size;
	if (header->size < request->size || header->size > size_max)
		return refuse(reason, EPROTO, "payload of %u bytes", header->size);
	return 0;
}

static int check_message(const struct vhost_user *vhost_user, const struct request *request,
			 const struct vhost_user_message *message, struct reason *reason)
{
	enum device_ring index = ring_index(message, request->ring);

	if (message->fd_count < request->fds_min || message->fd_count > request->fds_max)
		return refuse(reason, EINVAL, "%u fds", message->fd_count);
	if ((vhost_user->protocol_features & request->needs) != request->needs)
		return refuse(reason, EINVAL, "its protocol feature was not negotiated");
	if (request->ring == RING_NONE)
		return 0;
	if (index >= DEVICE_RINGS)
		return refuse(reason, EINVAL, "ring %u of %u", index, DEVICE_RINGS);
	if (request->stopped && vhost_user->device->rings[index].started)
		return refuse(reason, EBUSY, "ring %u is started", index);
	return 0;
}

int vhost_user_handle(struct vhost_user *vhost_user, struct vhost_user_message *message,
		      struct vhost_user_message *reply, struct reason *reason)
{
	const struct request *request = find_request(message->header.request);
	bool acknowledge = (message->header.flags & VHOST_USER_NEED_REPLY) &&
			   (vhost_user->protocol_features & BIT(VHOST_USER_PROTOCOL_F_REPLY_ACK));
	int result;

	log_debug("%s (%u bytes, %u fds)", request->name, message->header.size, message->fd_count);

	memset(reply, 0, sizeof(*reply));
	reply->header.request = message->header.request;
	reply->header.flags = VHOST_USER_VERSION | VHOST_USER_REPLY;

	result = check_message(vhost_user, request, message, reason);
	if (result == 0)
		result = request->handle(vhost_user, message, reply, reason);

	if (request->replies)
		return result < 0 ? result : 1;
	if (!acknowledge)
		return result;
	if (result < 0)
		log_warning("%s refused: %s", request->name, reason->text);
	reply_integer(reply, result < 0);
	return 1;
}

/* --- */

void vhost_user_message_finish(struct vhost_user_message *message)
{
	for (unsigned int i = 0; i < message->fd_count; i++)
		message->fds[i] = close_fd(message->fds[i]);
	message->fd_count = 0;
}

void vhost_user_unplugged(struct vhost_user *vhost_user)
{
	vhost_user->ops->watch_channel(vhost_user->context, -1);
	vhost_user->channel_fd = close_fd(vhost_user->channel_fd);
	reset_device(vhost_user);
}

void vhost_user_init(struct vhost_user *vhost_user, struct device *device, uint64_t guest_cid,
		     const struct vhost_user_ops *ops, void *context)
{
	*vhost_user = (struct vhost_user){
		.device = device,
		.ops = ops,
		.context = context,
		.guest_cid = guest_cid,
		.channel_fd = -1,
	};
}

void vhost_user_finish(struct vhost_user *vhost_user)
{
	vhost_user_unplugged(vhost_user);
	device_finish(vhost_user->device);
	vhost_user->features = 0;
	vhost_user->protocol_features = 0;
}
