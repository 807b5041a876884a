/* What each vhost-user request does: for the table in vhost_user.c and nobody else. */
#ifndef VSOCK_VHOST_USER_REQUESTS_H
#define VSOCK_VHOST_USER_REQUESTS_H

#include "host/vsock/vhost_user.h"

#define BIT(n) (UINT64_C(1) << (n))

/* A request that has passed the table's checks, and what is to become of it. */
struct exchange {
	struct vhost_user *vhost_user;
	struct vhost_user_message *message;
	struct vhost_user_message *reply; /* payload and header.size, where the request has one */
	struct reason *reason;
};

/* The ring that the request names; only for requests that name one. */
enum device_ring ring_in_state(const struct vhost_user_message *message);
enum device_ring ring_in_address(const struct vhost_user_message *message);
enum device_ring ring_in_integer(const struct vhost_user_message *message);

/* 0, or a negative errno with a reason. */
int handle_get_features(struct exchange *exchange);
int handle_set_features(struct exchange *exchange);
int handle_get_protocol_features(struct exchange *exchange);
int handle_set_protocol_features(struct exchange *exchange);
int handle_get_queue_num(struct exchange *exchange);
int handle_set_owner(struct exchange *exchange);
int handle_reset_owner(struct exchange *exchange);
int handle_reset_device(struct exchange *exchange);
int handle_set_mem_table(struct exchange *exchange);
int handle_get_config(struct exchange *exchange);
int handle_set_config(struct exchange *exchange);
int handle_set_backend_req_fd(struct exchange *exchange);
int handle_set_vring_num(struct exchange *exchange);
int handle_set_vring_addr(struct exchange *exchange);
int handle_set_vring_base(struct exchange *exchange);
int handle_get_vring_base(struct exchange *exchange);
int handle_set_vring_kick(struct exchange *exchange);
int handle_set_vring_call(struct exchange *exchange);
int handle_set_vring_err(struct exchange *exchange);
int handle_set_vring_enable(struct exchange *exchange);

/* Stops and resets the device, and nobody watches its kicks. */
void vhost_user_reset_device(struct vhost_user *vhost_user);

#endif
