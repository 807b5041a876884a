#include "codec.h"

#include <assert.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#include "common/util.h"
#include "frame.h"

/* Covers nearly every request but bulk data. */
#define BLOCK_SIZE ((size_t)8 << 10)
/* Bytes that are as many may stay in the frame. */
#define BULK_MIN   ((size_t)1 << 10)
/* Bytes that protobuf-c takes for a length. */
#define LENGTH_MAX 5
/* Of everything that protobuf-c allocates: its structs hold pointers and 64-bit integers. */
#define ALIGNMENT  sizeof(uint64_t)

#define ID_FIELD   16
#define ID_TAG     (ID_FIELD << 3 | PROTOBUF_C_WIRE_TYPE_VARINT)

struct decoder_block {
	struct decoder_block *next;
	size_t size;
	size_t used;
	alignas(ALIGNMENT) uint8_t data[];
};

void decoder_init(struct decoder *decoder)
{
	if (schema_ready)
		schema_ready();
	*decoder = (struct decoder){ 0 };
}

void decoder_release(struct decoder *decoder)
{
	struct decoder_block *block = decoder->blocks;
	struct decoder_block *small = NULL;

	while (block) {
		struct decoder_block *next = block->next;

		block->next = NULL;
		block->used = 0;
		if (!small && block->size == BLOCK_SIZE)
			small = block;
		else
			free(block);
		block = next;
	}
	decoder->blocks = small;
	decoder->allocated = small ? BLOCK_SIZE : 0;
}

void decoder_finish(struct decoder *decoder)
{
	decoder_release(decoder);
	free(decoder->blocks);
	*decoder = (struct decoder){ 0 };
}

/* A new block for size bytes, or NULL with decoder->failure set. */
static struct decoder_block *add_block(struct decoder *decoder, size_t size)
{
	struct decoder_block *first = decoder->blocks;
	size_t left = decoder->limit - decoder->allocated;
	size_t block_size = MAX(size, MIN(left, BLOCK_SIZE));
	struct decoder_block *block;

	if (size > left) {
		decoder->failure = DECODE_LIMIT;
		return NULL;
	}
	block = malloc(sizeof(*block) + block_size);
	if (!block) {
		decoder->failure = DECODE_NO_MEMORY;
		return NULL;
	}
	block->size = block_size;
	block->used = 0;
	decoder->allocated += block_size;
	if (first && size > BLOCK_SIZE / 2) {
		/* It will be full: the first one goes on serving small sizes. */
		block->next = first->next;
		first->next = block;
	} else {
		block->next = first;
		decoder->blocks = block;
	}
	return block;
}

static void *arena_alloc(void *data, size_t size)
{
	struct decoder *decoder = data;
	struct decoder_block *block = decoder->blocks;
	void *place;

	/* Before the rounding, which could overflow. */
	if (size > decoder->limit) {
		decoder->failure = DECODE_LIMIT;
		return NULL;
	}
	size = (size + ALIGNMENT - 1) & ~(ALIGNMENT - 1);
	if (!block || block->size - block->used < size) {
		block = add_block(decoder, size);
		if (!block)
			return NULL;
	}
	place = block->data + block->used;
	block->used += size;
	return place;
}

static void arena_free(void *data, void *pointer)
{
	(void)data;
	(void)pointer;
}

/* Reads a varint of at most 10 bytes (protobuf encoding). False: cut or too long. */
static bool read_varint(const uint8_t **at, const uint8_t *end, uint64_t *value)
{
	*value = 0;
	for (unsigned int shift = 0; shift < 70 && *at < end; shift += 7) {
		uint8_t byte = *(*at)++;

		if (shift < 64)
			*value |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80))
			return true;
	}
	return false;
}

/* Moves past the value of a field of this wire type. */
static bool skip_value(const uint8_t **at, const uint8_t *end, unsigned int wire_type)
{
	uint64_t length;

	switch (wire_type) {
	case PROTOBUF_C_WIRE_TYPE_VARINT:
		return read_varint(at, end, &length);
	case PROTOBUF_C_WIRE_TYPE_64BIT:
		length = 8;
		break;
	case PROTOBUF_C_WIRE_TYPE_32BIT:
		length = 4;
		break;
	case PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED:
		if (!read_varint(at, end, &length))
			return false;
		break;
	default:
		return false;
	}
	if (length > (uint64_t)(end - *at))
		return false;
	*at += length;
	return true;
}

/*
 * protobuf-c visits each of Message's 75 fields when it sizes, packs or unpacks one: 5400 of the
 * 7800 instructions of a PING. Nearly every message is an id and a body, and these are read and
 * written here; others, with fields twice, unknown ones or kernel_events, are left to it.
 */
struct plain {
	bool has_id;
	uint32_t id;
	/* NULL: there is none so far. */
	const ProtobufCFieldDescriptor *body;
	const uint8_t *data;
	uint64_t size;
};

/* The field of a body with this tag; NULL: there is none. */
static const ProtobufCFieldDescriptor *find_body(uint64_t tag)
{
	const ProtobufCFieldDescriptor *field = NULL;

	if (tag <= UINT32_MAX && (tag & 7) == PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED)
		field = protobuf_c_message_descriptor_get_field(&provium__v1__message__descriptor,
								(unsigned int)(tag >> 3));
	return field && (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) ? field : NULL;
}

static bool read_plain(const uint8_t *at, size_t size, struct plain *plain)
{
	const uint8_t *end = at + size;
	uint64_t tag, value;

	*plain = (struct plain){ 0 };
	while (at < end) {
		if (!read_varint(&at, end, &tag) || !read_varint(&at, end, &value))
			return false;
		if (tag == ID_TAG && !plain->has_id) {
			plain->has_id = true;
			plain->id = (uint32_t)value;
			continue;
		}
		if (plain->body || value > (uint64_t)(end - at))
			return false;
		plain->body = find_body(tag);
		plain->data = at;
		plain->size = value;
		if (!plain->body)
			return false;
		at += value;
	}
	return plain->body != NULL;
}

/* Those whose bytes are bulk data, and nearly all of them. */
static bool is_bulk(const struct plain *plain)
{
	unsigned int body = plain->body->id;

	return plain->size > BULK_MIN && (body == PROVIUM__V1__MESSAGE__BODY_WRITE_DATA ||
					  body == PROVIUM__V1__MESSAGE__BODY_FILE_DATA ||
					  body == PROVIUM__V1__MESSAGE__BODY_OUTPUT);
}

/*
 * protobuf-c would copy bulk data, which takes about as long as the kernel takes to copy it. So it
 * gets the body with that field empty, and the data stays where it is. NULL: there is none, or the
 * body has to be seen whole.
 */
static ProtobufCMessage *unpack_bulk(ProtobufCAllocator *allocator, const struct plain *plain)
{
	const ProtobufCMessageDescriptor *descriptor = plain->body->descriptor;
	const uint8_t *at = plain->data, *end = at + plain->size;
	const uint8_t *length_at = NULL, *bulk_end = NULL, *bulk;
	const ProtobufCFieldDescriptor *field;
	ProtobufCMessage *body;
	size_t before, after;
	uint64_t bulk_tag = 0, length;
	uint8_t rest[64];

	while (at < end) {
		const uint8_t *value;
		uint64_t tag;

		if (!read_varint(&at, end, &tag) || tag == bulk_tag)
			return NULL;
		value = at;
		if (!skip_value(&at, end, tag & 7))
			return NULL;
		if ((size_t)(at - value) > BULK_MIN) {
			bulk_tag = tag;
			length_at = value;
			bulk_end = at;
		}
	}
	if (!bulk_end)
		return NULL;
	field = protobuf_c_message_descriptor_get_field(descriptor, (unsigned int)(bulk_tag >> 3));
	bulk = length_at;
	if (!field || field->type != PROTOBUF_C_TYPE_BYTES ||
	    !read_varint(&bulk, bulk_end, &length) || bulk - length_at > LENGTH_MAX)
		return NULL;
	before = (size_t)(length_at - plain->data);
	after = (size_t)(end - bulk_end);
	if (before + 1 + after > sizeof(rest))
		return NULL;
	memcpy(rest, plain->data, before);
	rest[before] = 0;
	memcpy(rest + before + 1, bulk_end, after);
	body = protobuf_c_message_unpack(descriptor, allocator, before + 1 + after, rest);
	if (body)
		*(ProtobufCBinaryData *)(void *)((uint8_t *)body + field->offset) =
			(ProtobufCBinaryData){ length, (uint8_t *)(uintptr_t)bulk };
	return body;
}

static ProtobufCMessage *unpack_body(ProtobufCAllocator *allocator, const struct plain *plain)
{
	ProtobufCMessage *body = is_bulk(plain) ? unpack_bulk(allocator, plain) : NULL;

	return body ? body
		    : protobuf_c_message_unpack(plain->body->descriptor, allocator, plain->size,
						plain->data);
}

/* NULL: malformed, or decoder->failure. */
static Provium__V1__Message *unpack_plain(struct decoder *decoder, ProtobufCAllocator *allocator,
					  const struct plain *plain)
{
	Provium__V1__Message *message = arena_alloc(decoder, sizeof(*message));
	ProtobufCMessage *body = unpack_body(allocator, plain);

	if (!message || !body)
		return NULL;
	*message = (Provium__V1__Message)PROVIUM__V1__MESSAGE__INIT;
	message->has_id = plain->has_id;
	message->id = plain->id;
	message->body_case = (Provium__V1__Message__BodyCase)plain->body->id;
	/* Any of the union: they are pointers to messages alike. */
	message->exec = (Provium__V1__Exec *)body;
	return message;
}

enum decode_status decoder_decode(struct decoder *decoder, const uint8_t *data, size_t size,
				  Provium__V1__Message **message)
{
	ProtobufCAllocator allocator = {
		.alloc = arena_alloc,
		.free = arena_free,
		.allocator_data = decoder,
	};
	struct plain plain;

	decoder_release(decoder);
	decoder->failure = DECODE_OK;
	decoder->limit = DECODE_MAX;
	if (size < (DECODE_MAX - DECODE_BASE) / DECODE_FACTOR)
		decoder->limit = size * DECODE_FACTOR + DECODE_BASE;
	*message = read_plain(data, size, &plain)
			   ? unpack_plain(decoder, &allocator, &plain)
			   : provium__v1__message__unpack(&allocator, size, data);
	if (*message)
		return DECODE_OK;
	decoder_release(decoder);
	return decoder->failure == DECODE_OK ? DECODE_MALFORMED : decoder->failure;
}

uint32_t message_peek_id(const uint8_t *data, size_t size)
{
	const uint8_t *end = data + size;
	uint32_t id = 0;
	uint64_t tag;

	while (data < end && read_varint(&data, end, &tag)) {
		uint64_t value;

		if (tag == ID_TAG) {
			if (!read_varint(&data, end, &value))
				break;
			id = (uint32_t)value;
		} else if (!skip_value(&data, end, tag & 7)) {
			break;
		}
	}
	return id;
}

const ProtobufCMessage *message_body(const Provium__V1__Message *message)
{
	return &message->exec->base;
}

static bool is_plain(const Provium__V1__Message *message)
{
	return message->body_case && message->n_kernel_events == 0 &&
	       message->base.n_unknown_fields == 0;
}

static size_t varint_size(uint64_t value)
{
	size_t size = 1;

	while (value >>= 7)
		size++;
	return size;
}

static uint8_t *put_varint(uint8_t *at, uint64_t value)
{
	for (; value > 0x7f; value >>= 7)
		*at++ = (uint8_t)(value | 0x80);
	*at++ = (uint8_t)value;
	return at;
}

static uint64_t body_tag(const Provium__V1__Message *message)
{
	return (uint64_t)message->body_case << 3 | PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED;
}

/* What is around the body and its length. */
static size_t envelope_size(const Provium__V1__Message *message)
{
	size_t id_size = message->has_id ? varint_size(ID_TAG) + varint_size(message->id) : 0;

	return id_size + varint_size(body_tag(message));
}

static uint8_t *put_id(uint8_t *at, const Provium__V1__Message *message)
{
	return message->has_id ? put_varint(put_varint(at, ID_TAG), message->id) : at;
}

/* Of the body, of which it is known how long it is together with its length. */
static size_t body_size(size_t both)
{
	size_t prefix = 1;

	while (varint_size(both - prefix) != prefix)
		prefix++;
	return both - prefix;
}

/* In the order of the fields, as protobuf-c does it. */
static void pack_plain(const Provium__V1__Message *message, size_t size, uint8_t *at)
{
	bool id_first = message->body_case > ID_FIELD;

	if (id_first)
		at = put_id(at, message);
	at = put_varint(at, body_tag(message));
	at = put_varint(at, body_size(size - envelope_size(message)));
	at += protobuf_c_message_pack(message_body(message), at);
	if (!id_first)
		put_id(at, message);
}

size_t message_frame_size(const Provium__V1__Message *message)
{
	size_t size;

	if (!is_plain(message))
		return FRAME_HEADER + provium__v1__message__get_packed_size(message);
	size = protobuf_c_message_get_packed_size(message_body(message));
	return FRAME_HEADER + envelope_size(message) + varint_size(size) + size;
}

void message_frame_pack(const Provium__V1__Message *message, size_t size, uint8_t *frame)
{
	size -= FRAME_HEADER;
	assert(size <= UINT32_MAX);
	frame_put_header(frame, (uint32_t)size);
	if (is_plain(message))
		pack_plain(message, size, frame + FRAME_HEADER);
	else
		provium__v1__message__pack(message, frame + FRAME_HEADER);
}
