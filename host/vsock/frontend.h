/* The front end's socket, and the fds that it hands over, under the event loop. */
#ifndef VSOCK_FRONTEND_H
#define VSOCK_FRONTEND_H

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>

#include "host/vsock/acceptor.h"
#include "host/vsock/device.h"
#include "host/vsock/message.h"
#include "host/vsock/reason.h"
#include "host/vsock/vhost_user.h"

struct frontend {
	struct ev_loop *loop;
	struct device *device;
	struct vhost_user vhost_user;

	struct acceptor acceptor; /* not open where a connected socket was inherited */

	int fd; /* the session's, or -1 */
	ev_io watcher;
	struct message_reader reader;
	bool spoken_to; /* a message has come: whoever is there is a front end */

	ev_io kicks[DEVICE_RINGS];
	ev_io channel;

	/* The session has ended: one in which a message came, or the only one that there can be. */
	void (*gone)(void *context);
	void *context;
};

/* Serves whoever connects to path, which must stay valid. Negative errno with a reason. */
int frontend_listen(struct frontend *frontend, const char *path, struct reason *reason);

/* Serves an inherited socket, listening or connected, which from now on is the front end's. */
int frontend_inherit(struct frontend *frontend, int fd, struct reason *reason);

/* To be called before either of the above. */
void frontend_init(struct frontend *frontend, struct ev_loop *loop, struct device *device,
		   uint64_t guest_cid, void (*gone)(void *context), void *context);

/* True if another front end could come. */
bool frontend_listens(const struct frontend *frontend);

/* Ends the session and listens no more. gone is not called. */
void frontend_close(struct frontend *frontend);

#endif
