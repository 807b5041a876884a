/*
 * Walks protobuf-c's descriptors. A message is a struct whose members lie at the offsets that its
 * descriptor names: the value at `offset`, and at `quantifier_offset` what says whether (or how
 * often) it is there: a has_ flag, an array's length, or a oneof's case. Messages and strings that
 * are optional have no flag; they are there where the pointer is not NULL.
 *
 * The functions that follow submessages recurse; no message of the schema holds itself, so they
 * end.
 */
#include "proto_generate.h"

#include <inttypes.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define LARGEST_BYTES    300
#define LARGEST_ELEMENTS 3

static void *allocate(size_t size)
{
	void *place = calloc(1, size ? size : 1);

	if (!place)
		abort();
	return place;
}

static bool in_oneof(const ProtobufCFieldDescriptor *field)
{
	return field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF;
}

static bool is_pointer(const ProtobufCFieldDescriptor *field)
{
	return field->type == PROTOBUF_C_TYPE_STRING || field->type == PROTOBUF_C_TYPE_MESSAGE;
}

static size_t value_size(const ProtobufCFieldDescriptor *field)
{
	switch (field->type) {
	case PROTOBUF_C_TYPE_INT32:
	case PROTOBUF_C_TYPE_SINT32:
	case PROTOBUF_C_TYPE_SFIXED32:
	case PROTOBUF_C_TYPE_UINT32:
	case PROTOBUF_C_TYPE_FIXED32:
	case PROTOBUF_C_TYPE_FLOAT:
	case PROTOBUF_C_TYPE_ENUM:
		return 4;
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_SINT64:
	case PROTOBUF_C_TYPE_SFIXED64:
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_FIXED64:
	case PROTOBUF_C_TYPE_DOUBLE:
		return 8;
	case PROTOBUF_C_TYPE_BOOL:
		return sizeof(protobuf_c_boolean);
	case PROTOBUF_C_TYPE_BYTES:
		return sizeof(ProtobufCBinaryData);
	case PROTOBUF_C_TYPE_STRING:
	case PROTOBUF_C_TYPE_MESSAGE:
		return sizeof(void *);
	}
	abort();
}

static ProtobufCMessage *generate(const ProtobufCMessageDescriptor *descriptor,
				  enum generate_values values, size_t choice);

static void put_integer(void *value, const ProtobufCFieldDescriptor *field, int64_t smallest,
			uint64_t largest, bool is_largest)
{
	uint64_t number = is_largest ? largest : (uint64_t)smallest;
	uint32_t narrow = (uint32_t)number;

	if (value_size(field) == sizeof(narrow))
		memcpy(value, &narrow, sizeof(narrow));
	else
		memcpy(value, &number, sizeof(number));
}

static void put_enum(void *value, const ProtobufCFieldDescriptor *field, bool is_largest)
{
	const ProtobufCEnumDescriptor *descriptor = field->descriptor;
	int32_t number = descriptor->values[is_largest ? descriptor->n_values - 1 : 0].value;

	memcpy(value, &number, sizeof(number));
}

/* Bytes hold every value there is, texts every length of UTF-8 sequence. */
static void put_bytes(ProtobufCBinaryData *bytes)
{
	bytes->len = LARGEST_BYTES;
	bytes->data = allocate(bytes->len);
	for (size_t i = 0; i < bytes->len; i++)
		bytes->data[i] = (uint8_t)i;
}

static char *make_text(bool is_largest)
{
	static const char unit[] = "a\xc3\xa4\xe2\x82\xac\xf0\x9f\x90\xa7\n\x01";
	size_t length = is_largest ? LARGEST_BYTES / strlen(unit) * strlen(unit) : 0;
	char *text = allocate(length + 1);

	for (size_t i = 0; i < length; i += strlen(unit))
		memcpy(text + i, unit, strlen(unit));
	return text;
}

// NOLINTNEXTLINE(misc-no-recursion)
static void put_value(void *value, const ProtobufCFieldDescriptor *field,
		      enum generate_values values, size_t choice)
{
	bool is_largest = values == GENERATE_LARGEST;
	void *pointer;

	switch (field->type) {
	case PROTOBUF_C_TYPE_INT32:
	case PROTOBUF_C_TYPE_SINT32:
	case PROTOBUF_C_TYPE_SFIXED32:
		put_integer(value, field, INT32_MIN, INT32_MAX, is_largest);
		return;
	case PROTOBUF_C_TYPE_UINT32:
	case PROTOBUF_C_TYPE_FIXED32:
		put_integer(value, field, 0, UINT32_MAX, is_largest);
		return;
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_SINT64:
	case PROTOBUF_C_TYPE_SFIXED64:
		put_integer(value, field, INT64_MIN, INT64_MAX, is_largest);
		return;
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_FIXED64:
		put_integer(value, field, 0, UINT64_MAX, is_largest);
		return;
	case PROTOBUF_C_TYPE_BOOL:
		*(protobuf_c_boolean *)value = is_largest;
		return;
	case PROTOBUF_C_TYPE_ENUM:
		put_enum(value, field, is_largest);
		return;
	case PROTOBUF_C_TYPE_BYTES:
		if (is_largest)
			put_bytes(value);
		return;
	case PROTOBUF_C_TYPE_STRING:
		pointer = make_text(is_largest);
		break;
	case PROTOBUF_C_TYPE_MESSAGE:
		pointer = generate(field->descriptor, values, choice);
		break;
	default:
		/* The schema has no floating point. */
		abort();
	}
	memcpy(value, &pointer, sizeof(pointer));
}

// NOLINTNEXTLINE(misc-no-recursion)
static void put_field(ProtobufCMessage *message, const ProtobufCFieldDescriptor *field,
		      enum generate_values values, size_t choice)
{
	uint8_t *base = (uint8_t *)message;
	void *quantifier = base + field->quantifier_offset;
	size_t elements = values == GENERATE_LARGEST ? LARGEST_ELEMENTS : 1;
	uint8_t *array;

	if (field->label == PROTOBUF_C_LABEL_REPEATED) {
		array = allocate(elements * value_size(field));
		for (size_t i = 0; i < elements; i++)
			put_value(array + i * value_size(field), field, values, choice);
		memcpy(base + field->offset, &array, sizeof(array));
		memcpy(quantifier, &elements, sizeof(elements));
		return;
	}
	put_value(base + field->offset, field, values, choice);
	if (in_oneof(field))
		*(uint32_t *)quantifier = field->id;
	else if (field->label == PROTOBUF_C_LABEL_OPTIONAL && !is_pointer(field))
		*(protobuf_c_boolean *)quantifier = 1;
}

/* The members of one oneof share their quantifier. The schema has no message with two oneofs. */
static unsigned int oneof_members(const ProtobufCMessageDescriptor *descriptor)
{
	unsigned int count = 0;

	for (unsigned int i = 0; i < descriptor->n_fields; i++)
		count += in_oneof(&descriptor->fields[i]);
	return count;
}

// NOLINTNEXTLINE(misc-no-recursion)
static ProtobufCMessage *generate(const ProtobufCMessageDescriptor *descriptor,
				  enum generate_values values, size_t choice)
{
	ProtobufCMessage *message = allocate(descriptor->sizeof_message);
	unsigned int members = oneof_members(descriptor);
	unsigned int member = 0;

	protobuf_c_message_init(descriptor, message);
	for (unsigned int i = 0; i < descriptor->n_fields; i++) {
		const ProtobufCFieldDescriptor *field = &descriptor->fields[i];

		if (in_oneof(field) && members > 0 && member++ != choice % members)
			continue;
		if (values != GENERATE_REQUIRED || field->label == PROTOBUF_C_LABEL_REQUIRED)
			put_field(message, field, values, choice);
	}
	return message;
}

static const ProtobufCFieldDescriptor *body_field(size_t body)
{
	const ProtobufCMessageDescriptor *descriptor = &provium__v1__message__descriptor;

	for (unsigned int i = 0; i < descriptor->n_fields; i++)
		if (in_oneof(&descriptor->fields[i]) && body-- == 0)
			return &descriptor->fields[i];
	abort();
}

size_t generate_bodies(void)
{
	return oneof_members(&provium__v1__message__descriptor);
}

const char *generate_body_name(size_t body)
{
	return body_field(body)->name;
}

// NOLINTNEXTLINE(misc-no-recursion)
static size_t choices_below(const ProtobufCMessageDescriptor *descriptor)
{
	size_t choices = oneof_members(descriptor);

	for (unsigned int i = 0; i < descriptor->n_fields; i++) {
		const ProtobufCFieldDescriptor *field = &descriptor->fields[i];

		if (field->type == PROTOBUF_C_TYPE_MESSAGE) {
			size_t below = choices_below(field->descriptor);

			choices = below > choices ? below : choices;
		}
	}
	return choices ? choices : 1;
}

size_t generate_choices(size_t body)
{
	return choices_below(body_field(body)->descriptor);
}

Provium__V1__Message *generate_message(size_t body, enum generate_values values, size_t choice)
{
	const ProtobufCMessageDescriptor *descriptor = &provium__v1__message__descriptor;
	ProtobufCMessage *message = allocate(descriptor->sizeof_message);

	protobuf_c_message_init(descriptor, message);
	for (unsigned int i = 0; i < descriptor->n_fields; i++) {
		const ProtobufCFieldDescriptor *field = &descriptor->fields[i];

		if (!in_oneof(field) && values != GENERATE_REQUIRED)
			put_field(message, field, values, choice);
	}
	put_field(message, body_field(body), values, choice);
	return (Provium__V1__Message *)message;
}

// NOLINTNEXTLINE(misc-no-recursion)
static bool equal_value(const ProtobufCFieldDescriptor *field, const void *one, const void *other)
{
	const ProtobufCBinaryData *bytes = one;
	const ProtobufCBinaryData *other_bytes = other;
	const void *target;
	const void *other_target;

	if (field->type == PROTOBUF_C_TYPE_BYTES)
		return bytes->len == other_bytes->len &&
		       (bytes->len == 0 || memcmp(bytes->data, other_bytes->data, bytes->len) == 0);
	if (!is_pointer(field))
		return memcmp(one, other, value_size(field)) == 0;
	memcpy(&target, one, sizeof(target));
	memcpy(&other_target, other, sizeof(other_target));
	if (!target || !other_target)
		return target == other_target;
	if (field->type == PROTOBUF_C_TYPE_STRING)
		return strcmp(target, other_target) == 0;
	return generate_equal(target, other_target);
}

/* Whether the field is there; for an array, how many elements it has. */
static size_t presence(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
	const uint8_t *base = (const uint8_t *)message;
	const void *quantifier = base + field->quantifier_offset;
	size_t count;

	if (field->label == PROTOBUF_C_LABEL_REPEATED) {
		memcpy(&count, quantifier, sizeof(count));
		return count;
	}
	if (in_oneof(field))
		return *(const uint32_t *)quantifier == field->id;
	if (field->label == PROTOBUF_C_LABEL_OPTIONAL && !is_pointer(field))
		return *(const protobuf_c_boolean *)quantifier ? 1 : 0;
	return 1;
}

// NOLINTNEXTLINE(misc-no-recursion)
bool generate_equal(const ProtobufCMessage *one, const ProtobufCMessage *other)
{
	const ProtobufCMessageDescriptor *descriptor = one->descriptor;

	if (other->descriptor != descriptor || one->n_unknown_fields != other->n_unknown_fields)
		return false;
	for (unsigned int i = 0; i < descriptor->n_fields; i++) {
		const ProtobufCFieldDescriptor *field = &descriptor->fields[i];
		const uint8_t *value = (const uint8_t *)one + field->offset;
		const uint8_t *other_value = (const uint8_t *)other + field->offset;
		size_t count = presence(one, field);

		if (count != presence(other, field))
			return false;
		if (count > 0 && field->label == PROTOBUF_C_LABEL_REPEATED) {
			value = *(const uint8_t *const *)value;
			other_value = *(const uint8_t *const *)other_value;
		}
		for (size_t at = 0; at < count; at++)
			if (!equal_value(field, value + at * value_size(field),
					 other_value + at * value_size(field)))
				return false;
	}
	return true;
}

// NOLINTNEXTLINE(misc-no-recursion)
bool generate_has_unknown(const ProtobufCMessage *message)
{
	if (message->n_unknown_fields > 0)
		return true;
	for (unsigned int i = 0; i < message->descriptor->n_fields; i++) {
		const ProtobufCFieldDescriptor *field = &message->descriptor->fields[i];
		const void *value = (const uint8_t *)message + field->offset;
		const ProtobufCMessage *const *below = value;
		size_t count = presence(message, field);

		if (field->type != PROTOBUF_C_TYPE_MESSAGE || count == 0)
			continue;
		if (field->label == PROTOBUF_C_LABEL_REPEATED)
			below = *(const ProtobufCMessage *const *const *)value;
		for (size_t at = 0; at < count; at++)
			if (below[at] && generate_has_unknown(below[at]))
				return true;
	}
	return false;
}
