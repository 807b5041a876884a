/*
 * From a frame's bytes to the handler of its message: one table says for every message what it is
 * called, who handles it, what its fields must be like, and how it goes with others in flight.
 */
#ifndef AGENT_DISPATCH_H
#define AGENT_DISPATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/check.h"
#include "proto/codec.h"

struct loop;
struct session;

/* The message lives until the handler returns. */
typedef void (*message_handler)(struct session *session, uint32_t id,
				const Provium__V1__Message *message);

struct message_rule {
	/* As in docs/protocol.md, without MSG_. */
	const char *name;
	/* NULL: known and not served. */
	message_handler handler;
	/* What holds of its fields. */
	const struct field_rule *fields;
	unsigned int field_count;
	/* May have to wait: file operations and system calls run in the order sent. */
	bool in_turn;
	/* Belongs to a request in flight of this code, with the same id; has no reply of its own.
	 */
	uint32_t continues;
	/* Can stay in flight, so that how many there are is limited. */
	bool lasts;
	/* CANCEL can end it. */
	bool cancellable;
};

/* Request codes are under 128 (docs/protocol.md). */
#define DISPATCH_MAX_REQUESTS 128

/* NULL for a code that is no request. */
const struct message_rule *dispatch_rule(uint32_t code);

/* As in docs/protocol.md, without MSG_; NULL for a code that is no message. */
const char *dispatch_name(uint32_t code);

/* The codes that are served, in order, at most DISPATCH_MAX_REQUESTS; returns how many. */
size_t dispatch_served(const struct loop *loop, uint32_t *codes);

/* A frame has come. */
void dispatch_frame(struct session *session, const uint8_t *body, uint32_t length);

/* The turn of a frame has come that had to wait. */
void dispatch_turn(struct session *session, const uint8_t *body, uint32_t length);

#endif
