/*
 * All connections of one device, and the packets between them and the guest (Virtio 1.2, section
 * 5.10.6). It knows nothing of sockets, rings or the event loop.
 */
#ifndef VSOCK_MUX_H
#define VSOCK_MUX_H

#include <linux/virtio_vsock.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "common/list.h"
#include "common/util.h"
#include "host/vsock/connection.h"

#define MUX_HOST_CID     2u
#define MUX_BUCKETS      1024u
#define MUX_REFUSALS     1024u    /* answers to packets of no connection that wait to be sent */
#define MUX_WINDOW       KIB(256) /* how much of the guest's data a connection may buffer */
#define MUX_SMALL_WINDOW KIB(16)  /* ... once all together might buffer MUX_MEMORY */
#define MUX_MEMORY       MIB(64)

/* A receive buffer of the guest, and the packet that was put into it. */
struct packet {
	struct virtio_vsock_hdr header; /* filled in, in the guest's byte order */
	uint32_t length;                /* filled in: bytes of payload */
	uint32_t room;                  /* bytes of payload that fit */
	/* Where payload goes: the elements of packets[i + 1] follow in the same array. */
	struct iovec *payload;
};

/* An answer to a packet of no connection. */
struct mux_refusal {
	uint64_t host_cid; /* the guest's idea of it */
	uint32_t host_port;
	uint32_t guest_port;
	uint16_t type;
};

struct mux {
	const struct connection_ops *ops;
	void *context; /* for ops->open */
	uint64_t guest_cid;

	struct list connections; /* every connection by all_link, but those in finished */
	struct list finished;    /* those in state FINISHED, by all_link */
	struct list ready;       /* those that have a packet for the guest, by ready_link */
	struct list buckets[MUX_BUCKETS]; /* by bucket_link */

	struct mux_refusal refusals[MUX_REFUSALS];
	unsigned int refusals_start;
	unsigned int refusals_count;
	bool refusals_lost; /* and the log was told */

	uint32_t next_host_port;
	uint64_t window_total; /* what the connections may buffer, all together */
};

void mux_init(struct mux *mux, uint64_t guest_cid, const struct connection_ops *ops, void *context);

/* Closes and frees all connections, whatever they hold. */
void mux_finish(struct mux *mux);

/* Makes *connection one to the guest's port, on the wish of the host's end. */
void mux_connect(struct mux *mux, struct connection *connection, uint32_t guest_port);

/* The host's end of an OPENING connection is there, or cannot be had. */
void mux_opened(struct connection *connection, bool success);

/* What the host's end was watched for has come. */
void mux_readable(struct connection *connection);
void mux_writable(struct connection *connection);

/* The host's end can neither be written to nor will more come than can be read now. */
void mux_hangup(struct connection *connection);

/* The time of ops->limit is up. */
void mux_expired(struct connection *connection);

/* Takes a packet of the guest; iov holds exactly header->len bytes, and is changed. */
void mux_receive(struct mux *mux, const struct virtio_vsock_hdr *header, struct iovec *iov,
		 unsigned int count);

/* True when there are packets for the guest. */
bool mux_has_packet(const struct mux *mux);

/* Fills in up to count packets for the guest; returns how many. */
unsigned int mux_produce(struct mux *mux, struct packet *packets, unsigned int count);

/*
 * The guest's device starts anew: every connection that the guest knew of is over for it.
 * Connections that it was not told of stay if keep_waiting.
 */
void mux_restart(struct mux *mux, bool keep_waiting);

/* Frees what is finished. To be called where no connection is held. */
void mux_reap(struct mux *mux);

/* True when there is no connection, finished ones aside. */
bool mux_empty(const struct mux *mux);

#endif
