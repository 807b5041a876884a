/*
 * One table says of every message what it is called, who handles it, what its fields must be like,
 * and how it goes with others in flight.
 */
#ifndef AGENT_RULES_H
#define AGENT_RULES_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/check.h"
#include "proto/codec.h"

struct session;

/* The message lives until the handler returns. */
typedef void (*message_handler)(struct session *session, uint32_t id,
				const Provium__V1__Message *message);

/* The messages within messages. */
enum field_set_index {
	/* Without a rule: one that is not served. */
	NO_SET,
	GROUPS_SET,
	PTY_SET,
	RLIMIT_SET,
	EXEC_SET,
	JOB_REF_SET,
	TARGET_SET,
	BUFFER_SET,
	CALL_OPTION_SET,
};

struct message_rule {
	/* As in docs/protocol.md, without MSG_. */
	char name[13];
	/* Belongs to a request in flight of this code, with the same id; has no reply of its own.
	 */
	uint8_t continues;
	/* May have to wait: file operations and system calls run in the order sent. */
	bool in_turn : 1;
	/* Names files or runs a program, in the root of PID 1 where that can be followed. */
	bool in_root : 1;
	/* Can stay in flight, so that how many there are is limited. */
	bool lasts : 1;
	/* CANCEL can end it. */
	bool cancellable : 1;
	/* NULL: known and not served. */
	message_handler handler;
	/* What holds of its fields. */
	struct field_set fields;
};

/* Request codes are under 128 (docs/protocol.md). */
#define MAX_REQUEST_CODES 128

/* NULL for a code that is no request. */
const struct message_rule *rule_of(uint32_t code);

#endif
