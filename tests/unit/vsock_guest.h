/*
 * The guest's end of vsock streams over a driver's rings, for tests: a few ports that serve what
 * comes. All data is one pattern, so that any byte lost, doubled or out of place is seen, and
 * nothing has to be stored: what is at an offset is known.
 */
#ifndef TESTS_VSOCK_GUEST_H
#define TESTS_VSOCK_GUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "vsock_driver.h"

#define GUEST_CID   42u
#define GUEST_PEERS 512u

enum guest_port {
	GUEST_ECHO = 7,    /* sends back what comes; ends its sending after the host's end */
	GUEST_SINK = 9,    /* takes what comes */
	GUEST_STALL = 11,  /* takes nothing before guest.resumed */
	GUEST_SILENT = 13, /* does not answer the request */
	GUEST_SOURCE =
		19, /* sends guest.source_length bytes, then SHUTDOWN guest.source_shutdown */
};

/* The guest's end of a stream. */
struct guest_peer {
	bool used;
	bool established;
	uint32_t guest_port;
	uint32_t host_port;
	uint64_t received;
	uint64_t sent;
	uint64_t to_send;
	uint32_t taken;       /* of received, as told to the host */
	uint32_t host_buffer; /* the host's credit */
	uint32_t host_taken;
	uint8_t shutdown_sent;
	uint8_t shutdown_received;
	uint8_t shutdown_at_end; /* to be sent after to_send bytes */
	bool reset_received;
	bool reset_sent;
};

struct guest {
	struct driver *driver;
	struct guest_peer peers[GUEST_PEERS];
	uint64_t source_length;
	uint8_t source_shutdown;
	bool resumed;
	bool unhelpful; /* does not confirm the end of a stream */
	bool unseen;    /* a packet was sent since the last turn */
	/* Counted over all peers. */
	unsigned int requests;
	unsigned int ended; /* by RST, either way */
};

/* The byte of the pattern at an offset. */
uint8_t guest_pattern(uint64_t offset);

/* Fills or checks length bytes that begin at an offset. */
void guest_pattern_fill(uint8_t *bytes, uint64_t offset, size_t length);
bool guest_pattern_check(const uint8_t *bytes, uint64_t offset, size_t length);

void guest_init(struct guest *guest, struct driver *driver);

/* Takes the packets that have come and sends what can be sent; true if it did any of it. */
bool guest_turn(struct guest *guest);

/* Connects to a port of the host: the peer, whose established or reset_received will tell. */
struct guest_peer *guest_connect(struct guest *guest, uint32_t port);

/* Sends a packet of that kind. */
void guest_send(struct guest *guest, struct guest_peer *peer, uint16_t op, uint32_t flags);

/* The peer of the host's port, or NULL. */
struct guest_peer *guest_find(struct guest *guest, uint32_t host_port, uint32_t guest_port);

#endif
