/*
 * What must hold of a message's fields, written down as data, so that no handler can forget a
 * check: it sees only what has passed.
 */
#ifndef AGENT_CHECK_H
#define AGENT_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/field_names.h"
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

/* There are so many that each bit counts. */
struct field_rule {
	/* In struct field_names. */
	uint32_t name : 11;
	uint32_t type : 4;
	uint32_t flags : 6;
	/* Where its value lies in the message, and how far before it has_NAME or n_NAME; in ints.
	 */
	uint32_t value : 8;
	uint32_t presence : 2;
	/*
	 * Of a message within: an index into field_sets. Otherwise the greatest number, or number
	 * of bytes or entries; 0: there is none. FIELD_INT64_MAX stands for INT64_MAX.
	 */
	uint32_t limit;
};

#define FIELD_INT64_MAX UINT32_MAX

struct field_set {
	const struct field_rule *rules;
	unsigned int count;
};

/* Rules of the messages within messages. */
extern const struct field_set field_sets[];

#define FIELD_SET(array)                                     \
	{                                                    \
		.rules = (array), .count = ARRAY_SIZE(array) \
	}

/* For the tables; what does not fit does not compile. */
#define FIELD_IN_INTS(bytes) ((bytes) / sizeof(int))
/* Without a branch, at whose other side compilers would look, too. */
#define FIELD_LIMIT(limit)   \
	((uint64_t)(limit) - \
	 ((uint64_t)(limit) == INT64_MAX) * ((uint64_t)INT64_MAX - FIELD_INT64_MAX))
#define FIELD_RULE(message_type, field, before, field_type, field_flags, field_limit)          \
	{                                                                                      \
		.name = offsetof(struct field_names, field), .type = (field_type),             \
		.flags = (field_flags), .value = FIELD_IN_INTS(offsetof(message_type, field)), \
		.presence = FIELD_IN_INTS(offsetof(message_type, field) -                      \
					  offsetof(message_type, before)),                     \
		.limit = FIELD_LIMIT(field_limit)                                              \
	}

/* type is the message's C type. */
#define FIELD(type, field, field_type, flags, limit) \
	FIELD_RULE(type, field, has_##field, field_type, flags, limit)
#define FIELD_LIST(type, field, field_type, flags, limit) \
	FIELD_RULE(type, field, n_##field, field_type, flags, limit)
#define FIELD_OBJECT(type, field, flags, set) \
	FIELD_RULE(type, field, field, FIELD_MESSAGE, flags, set)
#define FIELD_OBJECTS(type, field, flags, set) \
	FIELD_RULE(type, field, n_##field, FIELD_REPEATED_MESSAGE, flags, set)
#define FIELD_UNION(message_type, field, field_flags)                            \
	{                                                                        \
		.name = offsetof(struct field_names, field), .type = FIELD_CASE, \
		.flags = (field_flags),                                          \
		.value = FIELD_IN_INTS(offsetof(message_type, field##_case))     \
	}

const char *field_name(const struct field_rule *rule);

/* Not of a message within. UINT64_MAX: there is none. */
uint64_t field_limit(const struct field_rule *rule);

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
