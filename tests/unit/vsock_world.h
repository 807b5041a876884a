/*
 * A world of one vsock connection, small enough that all its states can be tried: the real mux of
 * provium-vsock, a guest that obeys Virtio 1.2 (section 5.10.6), a host's end in memory, and the
 * packets that are on their way to the guest. A step is one thing that one of them does.
 *
 * Buffers and streams have a few bytes: all sums of credit occur with them that occur with many.
 */
#ifndef TESTS_VSOCK_WORLD_H
#define TESTS_VSOCK_WORLD_H

#include <stdbool.h>
#include <stdint.h>

#include "host/vsock/mux.h"

#define WORLD_CID        42u
#define WORLD_GUEST_PORT 1024u
#define WORLD_HOST_PORT  99u
/* The first that the mux gives to a host that connects. */
#define WORLD_HIGH_PORT  (1u << 30)

/* Bytes that each end sends at most, and that each end's buffer holds. */
#define STREAM           2u
#define GUEST_BUFFER     1u
#define HOST_WINDOW      1u

/* Packets on their way to the guest. */
#define QUEUE            2u

#define RCV              VIRTIO_VSOCK_SHUTDOWN_RCV
#define SEND             VIRTIO_VSOCK_SHUTDOWN_SEND
#define BOTH             (RCV | SEND)

enum step {
	GUEST_CONNECTS,
	GUEST_CONNECTS_TO_NOBODY,
	GUEST_CONNECTS_TO_BUSY,
	LISTENER_OPENS,
	LISTENER_FAILS,
	HOST_CONNECTS,
	GUEST_TAKES,
	GUEST_TAKES_AND_REFUSES,
	DEVICE_SENDS,
	GUEST_SENDS,
	GUEST_READS,
	GUEST_READS_QUIETLY,
	GUEST_TELLS_CREDIT,
	GUEST_ASKS_CREDIT,
	GUEST_SHUTS_SEND,
	GUEST_SHUTS_RCV,
	GUEST_RESETS,
	HOST_SENDS,
	HOST_ENDS,
	HOST_FAILS_TO_READ,
	HOST_TAKES,
	HOST_FAILS_TO_WRITE,
	HOST_HANGS_UP,
	READABLE,
	WRITABLE,
	EXPIRES,
	GUEST_RESTARTS,
	STEPS,
};

extern const char *const world_step_names[STEPS];

enum guest_state {
	GUEST_NONE,
	/* REQUEST was sent. */
	GUEST_ASKED,
	GUEST_OPEN,
	/* It sent or got RST; what comes for it is answered with RST. */
	GUEST_GONE,
};

struct queued {
	uint8_t op;
	uint8_t flags;
	uint8_t length;
	uint8_t byte;
	uint8_t alloc;
	uint8_t forwarded;
};

struct guest {
	uint8_t state;
	uint8_t host_port_is_high;
	/* Sent by its application; taken by the device, which it hears of later. */
	uint8_t sent;
	uint8_t peer_alloc;
	uint8_t peer_forwarded;
	/* Arrived, and read by its application. */
	uint8_t arrived;
	uint8_t read;
	uint8_t shut;
	uint8_t peer_shut;
};

struct host_end {
	bool used;
	bool opening;
	/* Sent by its application, and read by the device. */
	uint8_t sent;
	uint8_t read;
	bool ended;
	bool read_fails;
	bool write_fails;
	bool hung_up;
	/* Written by the device, and how many it has room for. */
	uint8_t written;
	uint8_t room;
	bool shut_read;
	bool shut_write;
	bool watch_read;
	bool watch_write;
	bool limited;
	bool closed;
};

/* All but the mux, which is compared by its connection's fields. */
struct model {
	struct guest guest;
	struct host_end host;
	struct queued queue[QUEUE];
	uint8_t queued;
	/* An end was torn: bytes may be lost, and resets come at any time. */
	bool torn;
	bool released;
	bool finished;
};

extern struct mux mux;
extern struct connection connection;
extern struct model model;

/* Ends the test with what did not hold, and the way there. */
_Noreturn void world_failed(const char *condition);

#define must(condition)                           \
	do {                                      \
		if (!(condition))                 \
			world_failed(#condition); \
	} while (0)

/* Once. */
void world_init(void);

/* To the state before anything; world_finish has released what the one before held. */
void world_start(void);
void world_finish(void);

/* Whether the step can be taken now, and taking it. */
bool world_possible(enum step step);
void world_do(enum step step);

/* What holds in every state. */
void world_check(void);

/* All that makes a state another, and nothing else. */
struct world_key {
	struct model model;
	uint32_t pending;
	uint32_t refusals;
	uint8_t state, sent, guest_buffer, guest_forwarded, forwarded, told;
	uint8_t host_shutdown, guest_shutdown, buffered;
	bool readable, write_ended, requested_credit;
};

void world_key(struct world_key *key);

/* The guest, for vsock_world.c. byte: NULL, or one that is the packet's data. */
void guest_packet(uint16_t op, uint32_t flags, uint8_t *byte);
void guest_gone(void);
void guest_reset(void);
void guest_shut(uint8_t flags);
/* The next packet that is on its way to it. */
void guest_takes(bool refuses);
/* The first that the device has for it goes on its way. */
void device_sends(void);

#endif
