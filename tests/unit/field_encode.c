#include "field_encode.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/util.h"

void bytes_free(struct bytes *bytes)
{
	free(bytes->data);
}

static void put(struct bytes *bytes, const void *data, size_t size)
{
	if (bytes->size + size > bytes->capacity) {
		bytes->capacity = 2 * (bytes->size + size);
		bytes->data = realloc(bytes->data, bytes->capacity);
		ck_assert_ptr_nonnull(bytes->data);
	}
	if (size > 0)
		memcpy(bytes->data + bytes->size, data, size);
	bytes->size += size;
}

static void put_fill(struct bytes *bytes, uint8_t byte, size_t size)
{
	for (size_t i = 0; i < size; i++)
		put(bytes, &byte, 1);
}

static void put_varint(struct bytes *bytes, uint64_t value)
{
	do {
		uint8_t byte = (uint8_t)(value & 0x7f) | (value > 0x7f ? 0x80 : 0);

		put(bytes, &byte, 1);
		value >>= 7;
	} while (value > 0);
}

enum wire {
	WIRE_VARINT = 0,
	WIRE_FIXED64 = 1,
	WIRE_LENGTH = 2,
	/* No field of the schema is of this kind. */
	WIRE_FIXED32 = 5,
};

static void put_tag(struct bytes *bytes, uint32_t number, enum wire wire)
{
	put_varint(bytes, (uint64_t)number << 3 | wire);
}

void put_number(struct bytes *bytes, uint32_t field, uint64_t value)
{
	put_tag(bytes, field, WIRE_VARINT);
	put_varint(bytes, value);
}

/* A number in the way of its field. */
static void put_value(struct bytes *bytes, const ProtobufCFieldDescriptor *field, uint64_t value)
{
	if (field->type != PROTOBUF_C_TYPE_FIXED64) {
		put_number(bytes, field->id, value);
		return;
	}
	put_tag(bytes, field->id, WIRE_FIXED64);
	for (int i = 0; i < 8; i++) {
		uint8_t byte = (uint8_t)(value >> 8 * i);

		put(bytes, &byte, 1);
	}
}

void put_block(struct bytes *bytes, uint32_t field, const void *data, size_t size)
{
	put_tag(bytes, field, WIRE_LENGTH);
	put_varint(bytes, size);
	put(bytes, data, size);
}

static bool is_block(const ProtobufCFieldDescriptor *field)
{
	return field->type == PROTOBUF_C_TYPE_BYTES || field->type == PROTOBUF_C_TYPE_STRING ||
	       field->type == PROTOBUF_C_TYPE_MESSAGE;
}

static void put_greatest(struct bytes *bytes, const ProtobufCFieldDescriptor *field)
{
	if (field->type == PROTOBUF_C_TYPE_FIXED64 || field->type == PROTOBUF_C_TYPE_SFIXED64)
		put_fill(bytes, 0xff, 8);
	else
		put_varint(bytes, UINT64_MAX);
}

static void put_oversized(struct bytes *bytes, const ProtobufCFieldDescriptor *field,
			  size_t entries)
{
	bool repeated = field->label == PROTOBUF_C_LABEL_REPEATED;
	cleanup(bytes_free) struct bytes content = { 0 };

	if (field->type == PROTOBUF_C_TYPE_MESSAGE && !repeated) {
		/* A field that nobody knows. */
		put_fill(&content, 'x', MIB(1));
		cleanup(bytes_free) struct bytes within = { 0 };

		put_block(&within, UNKNOWN_FIELD, content.data, content.size);
		put_block(bytes, field->id, within.data, within.size);
	} else if (is_block(field) && repeated) {
		for (size_t i = 0; i < entries; i++)
			put_block(bytes, field->id, "x", field->type == PROTOBUF_C_TYPE_BYTES);
	} else if (is_block(field)) {
		put_fill(&content, 'x', OVERSIZED_LENGTH);
		put_block(bytes, field->id, content.data, content.size);
	} else if (repeated) {
		for (size_t i = 0; i < entries; i++)
			put_greatest(&content, field);
		put_block(bytes, field->id, content.data, content.size);
	} else {
		put_tag(bytes, field->id,
			field->type == PROTOBUF_C_TYPE_FIXED64 ? WIRE_FIXED64 : WIRE_VARINT);
		put_greatest(bytes, field);
	}
}

/* False: the field cannot be wrong in this way. */
static bool put_mutated(struct bytes *bytes, const ProtobufCFieldDescriptor *field,
			const struct target *target)
{
	switch (target->mutation) {
	case ABSENT:
		return true;
	case EMPTY:
		if (!is_block(field) && field->label != PROTOBUF_C_LABEL_REPEATED)
			return false;
		put_block(bytes, field->id, "", 0);
		return true;
	case OVERSIZED:
		put_oversized(bytes, field, target->entries);
		return true;
	default:
		put_tag(bytes, field->id, WIRE_FIXED32);
		put_fill(bytes, 1, 4);
		return true;
	}
}

/* ------------------------------------------------------------------------------------------- */
/* A good request, and the one field in it that is not */

/* NAME:'TEXT', NAME:NUMBER or NAME:{...}; *text is put behind it and what follows it. */
struct token {
	const char *name;
	size_t name_length;
	const char *value;
	size_t value_length;
};

static bool next_token(const char **text, const char *end, struct token *token)
{
	const char *at = *text;
	int nesting = 0;

	while (at < end && *at == ' ')
		at++;
	if (at == end)
		return false;
	token->name = at;
	token->name_length = strcspn(at, ":");
	at += token->name_length + 1;
	token->value = at;
	do {
		nesting += (*at == '{') - (*at == '}');
		at++;
	} while (at < end && (nesting > 0 || *at != ' '));
	token->value_length = (size_t)(at - token->value);
	*text = at;
	return true;
}

/* False: there is none; *token is an empty message then. */
static bool find_token(const char *text, size_t length, const char *name, struct token *token)
{
	const char *end = text + length;

	while (next_token(&text, end, token))
		if (token->name_length == strlen(name) &&
		    memcmp(token->name, name, token->name_length) == 0)
			return true;
	*token = (struct token){ .value = "{}", .value_length = 2 };
	return false;
}

/* Of the files that a text names, during request_encode. */
static const char *directory;

static void put_text(struct bytes *bytes, uint32_t number, const struct token *token)
{
	/* Without the quotation marks. */
	const char *value = token->value + 1;
	size_t length = token->value_length - 2;
	char path[256];

	if (*value == '$') {
		length = (size_t)snprintf(path, sizeof(path), "%s/%c", directory, value[1]);
		value = path;
	}
	put_block(bytes, number, value, length);
}

static void encode(struct bytes *bytes, const ProtobufCMessageDescriptor *schema, const char *text,
		   size_t length, struct target *target, unsigned int depth);

// NOLINTNEXTLINE(misc-no-recursion)
static void put_message(struct bytes *bytes, const ProtobufCFieldDescriptor *field,
			const char *text, size_t length, struct target *target, unsigned int depth)
{
	cleanup(bytes_free) struct bytes within = { 0 };

	encode(&within, field->descriptor, text, length, target, depth);
	put_block(bytes, field->id, within.data, within.size);
}

static void mutate(struct bytes *bytes, const ProtobufCFieldDescriptor *field, bool in_text,
		   struct target *target)
{
	target->in_text = in_text;
	target->impossible = !put_mutated(bytes, field, target);
}

/* Of the members of a oneof the last would count: the one that is wrong is there alone. */
static bool is_replaced(const ProtobufCFieldDescriptor *field, const struct target *target,
			unsigned int depth)
{
	return depth + 1 == target->depth && target->mutation != ABSENT &&
	       (field->flags & target->path[depth]->flags & PROTOBUF_C_FIELD_FLAG_ONEOF);
}

/* depth: how far the target's path leads to this message; beyond its end it leads elsewhere. */
// NOLINTNEXTLINE(misc-no-recursion): no message of the schema holds itself
static void encode(struct bytes *bytes, const ProtobufCMessageDescriptor *schema, const char *text,
		   size_t length, struct target *target, unsigned int depth)
{
	for (unsigned int i = 0; i < schema->n_fields; i++) {
		const ProtobufCFieldDescriptor *field = &schema->fields[i];
		bool on_path = depth < target->depth && target->path[depth] == field;
		struct token token;
		bool found = find_token(text, length, field->name, &token);

		if (!on_path && is_replaced(field, target, depth))
			continue;
		if (on_path && depth + 1 == target->depth)
			mutate(bytes, field, found, target);
		else if (field->type == PROTOBUF_C_TYPE_MESSAGE && (found || on_path))
			put_message(bytes, field, token.value + 1, token.value_length - 2, target,
				    on_path ? depth + 1 : target->depth);
		else if (found && is_block(field))
			put_text(bytes, field->id, &token);
		else if (found)
			put_value(bytes, field, strtoull(token.value, NULL, 10));
	}
}

void request_encode(struct bytes *bytes, const ProtobufCMessageDescriptor *schema, const char *text,
		    const char *files, struct target *target)
{
	struct target nothing = { 0 };

	directory = files;
	encode(bytes, schema, text, strlen(text), target ? target : &nothing, 0);
}
