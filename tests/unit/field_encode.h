/*
 * Requests as bytes, from the schema's descriptors and a short text, and one field in them that is
 * wrong in a way of its own.
 */
#ifndef TESTS_FIELD_ENCODE_H
#define TESTS_FIELD_ENCODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/codec.h"

struct bytes {
	uint8_t *data;
	size_t size;
	size_t capacity;
};

void bytes_free(struct bytes *bytes);
void put_number(struct bytes *bytes, uint32_t field, uint64_t value);
void put_block(struct bytes *bytes, uint32_t field, const void *data, size_t size);

enum mutation {
	ABSENT,
	EMPTY,
	OVERSIZED,
	WRONG_KIND,
	MUTATIONS,
};

/* Bytes of a string that is oversized. */
#define OVERSIZED_LENGTH ((size_t)2 << 20)

/* The number of a field that no message has. */
#define UNKNOWN_FIELD    1000

struct target {
	/* From the outermost message in. */
	const ProtobufCFieldDescriptor *path[8];
	unsigned int depth;
	enum mutation mutation;
	/* Of a list that is oversized. */
	size_t entries;

	/* Set by request_encode: the field cannot be wrong in this way. */
	bool impossible;
	/* Set by it: the text has the field. */
	bool in_text;
};

/*
 * text is a short form of protobuf's text format: NAME:'TEXT', NAME:NUMBER and NAME:{...}; '$X' is
 * the file X of the directory. depth 0 of target is this message; target NULL: nothing is wrong.
 */
void request_encode(struct bytes *bytes, const ProtobufCMessageDescriptor *schema, const char *text,
		    const char *directory, struct target *target);

#endif
