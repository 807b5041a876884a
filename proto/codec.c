#include "codec.h"

#include <assert.h>
#include <stdalign.h>
#include <stdlib.h>

#include "frame.h"

#define BLOCK_SIZE ((size_t)8 << 10)

struct decoder_block {
	struct decoder_block *next;
	size_t size;
	size_t used;
	alignas(max_align_t) uint8_t data[];
};

void decoder_init(struct decoder *decoder)
{
	*decoder = (struct decoder){ 0 };
}

/* One block of the usual size is kept, so that small messages need no malloc at all. */
static void decoder_reset(struct decoder *decoder)
{
	struct decoder_block *block = decoder->blocks;
	struct decoder_block *kept = NULL;

	while (block) {
		struct decoder_block *next = block->next;

		if (!kept && block->size == BLOCK_SIZE) {
			kept = block;
			kept->next = NULL;
			kept->used = 0;
		} else {
			free(block);
		}
		block = next;
	}
	decoder->blocks = kept;
	decoder->used = 0;
	decoder->failure = DECODE_OK;
}

void decoder_finish(struct decoder *decoder)
{
	decoder_reset(decoder);
	free(decoder->blocks);
	*decoder = (struct decoder){ 0 };
}

static void *arena_alloc(void *data, size_t size)
{
	struct decoder *decoder = data;
	struct decoder_block *block = decoder->blocks;
	void *place;

	if (size > decoder->limit) {
		decoder->failure = DECODE_LIMIT;
		return NULL;
	}
	size = (size + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
	if (size > decoder->limit - decoder->used) {
		decoder->failure = DECODE_LIMIT;
		return NULL;
	}
	if (!block || block->size - block->used < size) {
		size_t block_size = size > BLOCK_SIZE ? size : BLOCK_SIZE;

		block = malloc(sizeof(*block) + block_size);
		if (!block) {
			decoder->failure = DECODE_NO_MEMORY;
			return NULL;
		}
		block->size = block_size;
		block->used = 0;
		block->next = decoder->blocks;
		decoder->blocks = block;
	}
	place = block->data + block->used;
	block->used += size;
	decoder->used += size;
	return place;
}

static void arena_free(void *data, void *pointer)
{
	(void)data;
	(void)pointer;
}

enum decode_status decoder_decode(struct decoder *decoder, const uint8_t *data, size_t size,
				  Provium__V1__Message **message)
{
	ProtobufCAllocator allocator = {
		.alloc = arena_alloc,
		.free = arena_free,
		.allocator_data = decoder,
	};

	decoder_reset(decoder);
	decoder->limit = DECODE_MAX;
	if (size < (DECODE_MAX - DECODE_BASE) / DECODE_FACTOR)
		decoder->limit = size * DECODE_FACTOR + DECODE_BASE;
	*message = provium__v1__message__unpack(&allocator, size, data);
	if (*message)
		return DECODE_OK;
	return decoder->failure == DECODE_OK ? DECODE_MALFORMED : decoder->failure;
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

uint32_t message_peek_id(const uint8_t *data, size_t size)
{
	const uint64_t id_tag = 16 << 3 | PROTOBUF_C_WIRE_TYPE_VARINT;
	const uint8_t *end = data + size;
	uint32_t id = 0;
	uint64_t tag;

	while (data < end && read_varint(&data, end, &tag)) {
		uint64_t value;

		if (tag == id_tag) {
			if (!read_varint(&data, end, &value))
				break;
			id = (uint32_t)value;
		} else if (!skip_value(&data, end, tag & 7)) {
			break;
		}
	}
	return id;
}

size_t message_frame_size(const Provium__V1__Message *message)
{
	return FRAME_HEADER + provium__v1__message__get_packed_size(message);
}

void message_frame_pack(const Provium__V1__Message *message, uint8_t *frame)
{
	size_t size = provium__v1__message__pack(message, frame + FRAME_HEADER);

	assert(size <= UINT32_MAX);
	frame_put_header(frame, (uint32_t)size);
}
