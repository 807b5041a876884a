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
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/util.h"
#include "host/vsock/log.h"
#include "host/vsock/vhost_user_requests.h"

/* The payload goes over the socket as it lies in memory. */
static_assert(sizeof(struct vhost_user_header) == 12, "header on the wire");
static_assert(sizeof(struct memory_region_info) == 32, "memory region on the wire");
static_assert(offsetof(struct vhost_user_memory, regions) == 8, "memory table on the wire");
static_assert(offsetof(struct vhost_user_config, bytes) == 12, "config space on the wire");
static_assert(sizeof(struct vhost_vring_addr) == 40, "ring address on the wire");

struct request {
	const char *name;
	uint32_t size;     /* of the payload, in bytes */
	uint32_t size_max; /* where it varies; else 0 */
	uint8_t fds_min;
	uint8_t fds_max;
	bool replies;   /* with a payload of its own */
	bool stopped;   /* only for a ring that is not started */
	uint64_t needs; /* protocol features */
	/* Which ring it names; NULL for none. */
	enum device_ring (*ring)(const struct vhost_user_message *message);
	int (*handle)(struct exchange *exchange);
};

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
		.ring = ring_in_state,
		.stopped = true,
		.handle = handle_set_vring_num,
	},
	[VHOST_USER_SET_VRING_ADDR] = {
		.name = "SET_VRING_ADDR",
		.size = SIZE_OF(address),
		.ring = ring_in_address,
		.stopped = true,
		.handle = handle_set_vring_addr,
	},
	[VHOST_USER_SET_VRING_BASE] = {
		.name = "SET_VRING_BASE",
		.size = SIZE_OF(state),
		.ring = ring_in_state,
		.stopped = true,
		.handle = handle_set_vring_base,
	},
	[VHOST_USER_GET_VRING_BASE] = {
		.name = "GET_VRING_BASE",
		.size = SIZE_OF(state),
		.ring = ring_in_state,
		.replies = true,
		.handle = handle_get_vring_base,
	},
	[VHOST_USER_SET_VRING_KICK] = {
		.name = "SET_VRING_KICK",
		.size = SIZE_OF(integer),
		.fds_max = 1,
		.ring = ring_in_integer,
		.handle = handle_set_vring_kick,
	},
	[VHOST_USER_SET_VRING_CALL] = {
		.name = "SET_VRING_CALL",
		.size = SIZE_OF(integer),
		.fds_max = 1,
		.ring = ring_in_integer,
		.handle = handle_set_vring_call,
	},
	[VHOST_USER_SET_VRING_ERR] = {
		.name = "SET_VRING_ERR",
		.size = SIZE_OF(integer),
		.fds_max = 1,
		.ring = ring_in_integer,
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
		.ring = ring_in_state,
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
	enum device_ring index;

	if (message->fd_count < request->fds_min || message->fd_count > request->fds_max)
		return refuse(reason, EINVAL, "%u fds", message->fd_count);
	if ((vhost_user->protocol_features & request->needs) != request->needs)
		return refuse(reason, EINVAL, "its protocol feature was not negotiated");
	if (!request->ring)
		return 0;
	index = request->ring(message);
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
	struct exchange exchange = { vhost_user, message, reply, reason };
	bool acknowledge = (message->header.flags & VHOST_USER_NEED_REPLY) &&
			   (vhost_user->protocol_features & BIT(VHOST_USER_PROTOCOL_F_REPLY_ACK));
	int result;

	log_debug("%s (%u bytes, %u fds)", request->name, message->header.size, message->fd_count);

	memset(reply, 0, sizeof(*reply));
	reply->header.request = message->header.request;
	reply->header.flags = VHOST_USER_VERSION | VHOST_USER_REPLY;

	result = check_message(vhost_user, request, message, reason);
	if (result == 0)
		result = request->handle(&exchange);

	if (request->replies)
		return result < 0 ? result : 1;
	if (!acknowledge)
		return result;
	if (result < 0)
		log_warning("%s refused: %s", request->name, reason->text);
	reply->payload.integer = result < 0;
	reply->header.size = sizeof(reply->payload.integer);
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
	vhost_user_reset_device(vhost_user);
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
