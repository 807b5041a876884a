/* The vhost-user protocol (QEMU, docs/interop/vhost-user), the back end's side, without I/O. */
#ifndef VSOCK_VHOST_USER_H
#define VSOCK_VHOST_USER_H

#include <linux/vhost_types.h>
#include <stdbool.h>
#include <stdint.h>

#include "host/vsock/device.h"
#include "host/vsock/memory.h"
#include "host/vsock/reason.h"

enum vhost_user_request {
	VHOST_USER_GET_FEATURES = 1,
	VHOST_USER_SET_FEATURES = 2,
	VHOST_USER_SET_OWNER = 3,
	VHOST_USER_RESET_OWNER = 4,
	VHOST_USER_SET_MEM_TABLE = 5,
	VHOST_USER_SET_VRING_NUM = 8,
	VHOST_USER_SET_VRING_ADDR = 9,
	VHOST_USER_SET_VRING_BASE = 10,
	VHOST_USER_GET_VRING_BASE = 11,
	VHOST_USER_SET_VRING_KICK = 12,
	VHOST_USER_SET_VRING_CALL = 13,
	VHOST_USER_SET_VRING_ERR = 14,
	VHOST_USER_GET_PROTOCOL_FEATURES = 15,
	VHOST_USER_SET_PROTOCOL_FEATURES = 16,
	VHOST_USER_GET_QUEUE_NUM = 17,
	VHOST_USER_SET_VRING_ENABLE = 18,
	VHOST_USER_SET_BACKEND_REQ_FD = 21,
	VHOST_USER_GET_CONFIG = 24,
	VHOST_USER_SET_CONFIG = 25,
	VHOST_USER_RESET_DEVICE = 34,
};

/* Bits of vhost_user_header.flags. */
#define VHOST_USER_VERSION                 0x1u
#define VHOST_USER_VERSION_MASK            0x3u
#define VHOST_USER_REPLY                   0x4u
#define VHOST_USER_NEED_REPLY              0x8u

/* Feature bit beside the device's own. */
#define VHOST_USER_F_PROTOCOL_FEATURES     30

#define VHOST_USER_PROTOCOL_F_MQ           0
#define VHOST_USER_PROTOCOL_F_REPLY_ACK    3
#define VHOST_USER_PROTOCOL_F_BACKEND_REQ  5
#define VHOST_USER_PROTOCOL_F_CONFIG       9
#define VHOST_USER_PROTOCOL_F_RESET_DEVICE 13

/* Of the integer of SET_VRING_KICK, _CALL and _ERR. */
#define VHOST_USER_RING_INDEX_MASK         0xffu
#define VHOST_USER_RING_NO_FD              0x100u

#define VHOST_USER_CONFIG_LIMIT            256u
#define VHOST_USER_MAX_FDS                 MEMORY_MAX_REGIONS

struct vhost_user_header {
	uint32_t request;
	uint32_t flags;
	uint32_t size; /* of the payload */
};

struct vhost_user_memory {
	uint32_t count;
	uint32_t padding;
	struct memory_region_info regions[MEMORY_MAX_REGIONS];
};

struct vhost_user_config {
	uint32_t offset;
	uint32_t size;
	uint32_t flags;
	uint8_t bytes[VHOST_USER_CONFIG_LIMIT];
};

union vhost_user_payload {
	uint64_t integer;
	struct vhost_vring_state state;
	struct vhost_vring_addr address;
	struct vhost_user_memory memory;
	struct vhost_user_config config;
};

struct vhost_user_message {
	struct vhost_user_header header;
	union vhost_user_payload payload;
	/* Owned by the message; a handler that keeps one puts -1 in its place. */
	int fds[VHOST_USER_MAX_FDS];
	unsigned int fd_count;
};

/* What the owner of the event loop does; fds stay with the device, or vhost_user. */
struct vhost_user_ops {
	/* This fd of a ring is to be watched for reading, in place of the one before; -1 for none.
	 */
	void (*watch_kick)(void *context, enum device_ring index, int fd);
	/* Likewise the channel for the back end's requests, for its end: see
	 * vhost_user_unplugged(). */
	void (*watch_channel)(void *context, int fd);
};

struct vhost_user {
	struct device *device;
	const struct vhost_user_ops *ops;
	void *context;
	uint64_t guest_cid;

	uint64_t features;
	uint64_t protocol_features;
	int channel_fd; /* owned, or -1 */
};

void vhost_user_init(struct vhost_user *vhost_user, struct device *device, uint64_t guest_cid,
		     const struct vhost_user_ops *ops, void *context);

/* Ends the session: the device is reset and nothing of the front end's is kept. */
void vhost_user_finish(struct vhost_user *vhost_user);

/* A request's name, for the log. */
const char *vhost_user_name(uint32_t number);

/*
 * Judges a header before its payload is read: 0, or a negative errno with a reason, after which the
 * session has to end.
 */
int vhost_user_check_header(const struct vhost_user_header *header, struct reason *reason);

/*
 * Handles a message whose header has passed. 1: reply is to be sent; 0: there is none; negative
 * errno with a reason: the session has to end. reply->fds are not used.
 */
int vhost_user_handle(struct vhost_user *vhost_user, struct vhost_user_message *message,
		      struct vhost_user_message *reply, struct reason *reason);

/* Closes what fds the message still has. */
void vhost_user_message_finish(struct vhost_user_message *message);

/* The channel has ended: the front end has taken the device out. */
void vhost_user_unplugged(struct vhost_user *vhost_user);

#endif
