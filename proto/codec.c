#include "codec.h"

#include <assert.h>
#include <stdalign.h>
#include <stdlib.h>

#include "common/util.h"
#include "frame.h"

/* Covers nearly every request but bulk data. */
#define BLOCK_SIZE ((size_t)8 << 10)
/* Pages of fresh memory cost more than the bytes that are copied to them: bulk data take a used
 * one. */
#define MAX_SPARE  ((size_t)512 << 10)
/* Of everything that protobuf-c allocates: its structs hold pointers and 64-bit integers. */
#define ALIGNMENT  sizeof(uint64_t)

struct decoder_block {
	struct decoder_block *next;
	size_t size;
	size_t used;
	alignas(ALIGNMENT) uint8_t data[];
};

void decoder_init(struct decoder *decoder)
{
	*decoder = (struct decoder){ 0 };
}

void decoder_release(struct decoder *decoder)
{
	struct decoder_block *block = decoder->blocks;
	struct decoder_block *small = NULL;
	struct decoder_block *bulk = NULL;

	if (!decoder->holds)
		return;
	decoder->holds = false;
	while (block) {
		struct decoder_block *next = block->next;

		block->next = NULL;
		block->used = 0;
		if (!small && block->size == BLOCK_SIZE)
			small = block;
		else if (!bulk && block->size > BLOCK_SIZE && block->size <= MAX_SPARE)
			bulk = block;
		else
			free(block);
		block = next;
	}
	decoder->blocks = small;
	decoder->allocated = small ? BLOCK_SIZE : 0;
	/* The old one was of no use to this message. */
	free(decoder->spare);
	decoder->spare = bulk;
}

void decoder_finish(struct decoder *decoder)
{
	decoder_release(decoder);
	free(decoder->blocks);
	free(decoder->spare);
	*decoder = (struct decoder){ 0 };
}

/* The spare block, if it fits the size. */
static struct decoder_block *take_spare(struct decoder *decoder, size_t size, size_t left)
{
	struct decoder_block *spare = decoder->spare;

	if (!spare || spare->size < size || spare->size / 2 > size || spare->size > left)
		return NULL;
	decoder->spare = NULL;
	return spare;
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
	block = take_spare(decoder, size, left);
	if (!block) {
		block = malloc(sizeof(*block) + block_size);
		if (!block) {
			decoder->failure = DECODE_NO_MEMORY;
			return NULL;
		}
		block->size = block_size;
		block->used = 0;
	}
	decoder->allocated += block->size;
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

enum decode_status decoder_decode(struct decoder *decoder, const uint8_t *data, size_t size,
				  Provium__V1__Message **message)
{
	ProtobufCAllocator allocator = {
		.alloc = arena_alloc,
		.free = arena_free,
		.allocator_data = decoder,
	};

	decoder_release(decoder);
	decoder->holds = true;
	decoder->failure = DECODE_OK;
	decoder->limit = DECODE_MAX;
	if (size < (DECODE_MAX - DECODE_BASE) / DECODE_FACTOR)
		decoder->limit = size * DECODE_FACTOR + DECODE_BASE;
	*message = provium__v1__message__unpack(&allocator, size, data);
	if (*message)
		return DECODE_OK;
	decoder_release(decoder);
	free(decoder->spare);
	decoder->spare = NULL;
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
