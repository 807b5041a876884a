/* One stream between the guest and the host: its states, its credit, what it has to send. */
#ifndef VSOCK_CONNECTION_H
#define VSOCK_CONNECTION_H

#include <linux/virtio_vsock.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "common/list.h"
#include "host/vsock/buffer.h"

struct mux;
struct connection;
struct packet;

/* Seconds. */
#define CONNECTION_CONNECT_LIMIT 20.0 /* from the host's request to the guest's answer */
#define CONNECTION_CLOSE_LIMIT   8.0  /* from SHUTDOWN to the guest's RST; Linux waits as long */

enum connection_state {
	CONNECTION_WAITING,     /* the host asked, the guest was not told: -> REQUESTED, FINISHED */
	CONNECTION_REQUESTED,   /* REQUEST was sent: -> ESTABLISHED, RESETTING, FINISHED */
	CONNECTION_OPENING,     /* the guest asked, the host's listener is busy: as REQUESTED */
	CONNECTION_ESTABLISHED, /* -> CLOSING, RESETTING, DRAINING, FINISHED */
	CONNECTION_CLOSING,     /* both ways have ended, the guest's RST is missing: -> RESETTING,
				   FINISHED */
	CONNECTION_RESETTING,   /* an RST is to be sent: -> FINISHED */
	CONNECTION_DRAINING,    /* the guest's end is gone, the host's gets the rest: -> FINISHED */
	CONNECTION_FINISHED,    /* the mux frees it when nothing up the stack can hold it */
};

/*
 * The host's end of connections, injected by whoever owns it. All are called with a connection of
 * theirs, none calls back into the mux.
 */
struct connection_ops {
	/*
	 * Makes the host's end of a connection that the guest asks for, to whoever serves the port.
	 * NULL if nobody does. *opening is set where that cannot be said yet; mux_opened() follows.
	 */
	struct connection *(*open)(void *context, uint32_t port, bool *opening);
	/* The guest has accepted: tells the host. Negative errno when the host's end is gone. */
	int (*accepted)(struct connection *connection);
	/* As readv and writev, without waiting: bytes, 0 at the end of what is read, or -errno. */
	ssize_t (*read)(struct connection *connection, const struct iovec *iov, unsigned int count);
	ssize_t (*write)(struct connection *connection, const struct iovec *iov,
			 unsigned int count);
	/* As shutdown(2); what is still to be read is dropped by SHUT_RD. */
	void (*shutdown)(struct connection *connection, int how);
	/* From now on these shall lead to mux_readable() and mux_writable(). */
	void (*watch)(struct connection *connection, bool readable, bool writable);
	/* mux_expired() shall be called so many seconds from now; never for 0. */
	void (*limit)(struct connection *connection, double seconds);
	/* Closes the host's end; of what was set above nothing remains. */
	void (*close)(struct connection *connection);
	/* Frees the connection. */
	void (*release)(struct connection *connection);
};

/* Members are the mux's and connection.c's own; the ports and the state may be read. */
struct connection {
	struct mux *mux;
	struct list all_link;    /* in mux.connections or mux.finished */
	struct list bucket_link; /* in one of mux.buckets while the guest may name it */
	struct list ready_link;  /* in mux.ready while it has something to send */

	enum connection_state state;
	uint32_t host_port;
	uint32_t guest_port;

	/* Guest to host. Counts are in bytes, from the beginning, and wrap around. */
	struct buffer buffer;
	uint32_t forwarded;      /* the host's end took so many, or they were discarded */
	uint32_t forwarded_told; /* forwarded as the guest last heard of it */

	/* Host to guest. */
	uint32_t sent;
	uint32_t guest_buffer;    /* size of the guest's buffer */
	uint32_t guest_forwarded; /* how many bytes the guest has taken out of it */

	uint8_t host_shutdown;  /* VIRTIO_VSOCK_SHUTDOWN_*: what the host's end will not do any more
				 */
	uint8_t guest_shutdown; /* and the guest's */

	uint32_t pending;      /* 1 << VIRTIO_VSOCK_OP_*: packets to be sent */
	bool readable;         /* the host's end has something to read, or its end */
	bool write_ended;      /* the host's end was told that no more comes */
	bool host_open;        /* ops->close was not called yet */
	bool requested_credit; /* and the guest has not shown any since */
};

/* Moves to another state; the one place that does. */
void connection_set_state(struct connection *connection, enum connection_state state);

/* True while it has a packet for the guest. */
bool connection_has_packet(const struct connection *connection);

/*
 * Makes packets for the guest, out of the host's end where there is data and credit. Returns how
 * many, at most count, which is at least 1; 0 means there was nothing after all.
 */
unsigned int connection_produce(struct connection *connection, struct packet *packets,
				unsigned int count);

/* Takes a packet that the guest sent on this connection; iov is its payload, and is changed. */
void connection_receive(struct connection *connection, const struct virtio_vsock_hdr *header,
			struct iovec *iov, unsigned int count);

/* Ends it from our side: the host's end at once, the guest by RST. */
void connection_reset(struct connection *connection);

/* The guest's end is gone: delivers what is buffered, then ends. */
void connection_guest_gone(struct connection *connection);

/* The host's end takes no more. */
void connection_host_deaf(struct connection *connection);

/* Writes to the host's end what is buffered. */
void connection_flush(struct connection *connection);

/* Sets what the host's end is watched for. */
void connection_watch(struct connection *connection);

#endif
