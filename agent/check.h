/*
 * What must hold of a message's fields, written down as data, so that no handler can forget a
 * check: it sees only what has passed.
 */
#ifndef AGENT_CHECK_H
#define AGENT_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/reply.h"
#include "common/util.h"

enum field_type {
	FIELD_BYTES,
	FIELD_REPEATED_BYTES,
	FIELD_MESSAGE,
	FIELD_REPEATED_MESSAGE,
	/* Of numbers. */
	FIELD_REPEATED,
	/* A oneof, by its case: present where one of its members is. */
	FIELD_CASE,
	FIELD_BOOL,
	FIELD_U32,
	FIELD_I32,
	FIELD_U64,
	/* Its values count up from 0, or with FIELD_NOT_EMPTY from 1. */
	FIELD_ENUM,
};

enum {
	/* Must be there. */
	FIELD_REQUIRED = 1 << 0,
	/* Exactly one of the fields with this flag must be there. */
	FIELD_ONE_OF = 1 << 1,
	/* Becomes a C string: holds no NUL. */
	FIELD_NO_NUL = 1 << 2,
	/* Must not be empty; of a number that has a greatest: not 0. */
	FIELD_NOT_EMPTY = 1 << 3,
};

/* Names within, not pointed to: most are shorter than a pointer and its text. */
struct field_rule {
	char name[18];
	uint8_t type;
	uint8_t flags;
	/* Of has_NAME or n_NAME; unused with FIELD_MESSAGE. */
	uint16_t presence;
	uint16_t value;
	union {
		/* Greatest number, or number of bytes or entries; 0: no limit. */
		uint64_t max;
		/* Of a message within. */
		const struct field_set *set;
	};
};

struct field_set {
	const struct field_rule *rules;
	unsigned int count;
};

#define FIELD_SET(array)                                     \
	{                                                    \
		.rules = (array), .count = ARRAY_SIZE(array) \
	}

/* For the tables: type is the message's C type. */
#define FIELD(message_type, field, field_type, field_flags, limit)            \
	{                                                                     \
		.name = #field, .type = (field_type), .flags = (field_flags), \
		.presence = offsetof(message_type, has_##field),              \
		.value = offsetof(message_type, field), .max = (limit)        \
	}
#define FIELD_LIST(message_type, field, field_type, field_flags, limit)       \
	{                                                                     \
		.name = #field, .type = (field_type), .flags = (field_flags), \
		.presence = offsetof(message_type, n_##field),                \
		.value = offsetof(message_type, field), .max = (limit)        \
	}
#define FIELD_OBJECT(message_type, field, field_flags, field_set)              \
	{                                                                      \
		.name = #field, .type = FIELD_MESSAGE, .flags = (field_flags), \
		.value = offsetof(message_type, field), .set = (field_set)     \
	}
#define FIELD_OBJECTS(message_type, field, field_flags, field_set)                      \
	{                                                                               \
		.name = #field, .type = FIELD_REPEATED_MESSAGE, .flags = (field_flags), \
		.presence = offsetof(message_type, n_##field),                          \
		.value = offsetof(message_type, field), .set = (field_set)              \
	}
#define FIELD_UNION(message_type, field, field_flags)                       \
	{                                                                   \
		.name = #field, .type = FIELD_CASE, .flags = (field_flags), \
		.value = offsetof(message_type, field##_case)               \
	}

struct check_failure {
	enum error_code code;
	char text[160];
};

/*
 * Checks a decoded message against its rules. False: *failure says which field is wrong and how. A
 * field that the schema of this agent does not have is refused too: ignoring it would do something
 * else than was asked for.
 */
bool check_fields(const ProtobufCMessage *message, const struct field_set *set,
		  struct check_failure *failure);

/* Fills *failure. Always false. */
bool check_fail(struct check_failure *failure, enum error_code code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif
