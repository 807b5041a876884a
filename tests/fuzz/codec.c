/*
 * Bytes that may be a Message. They are decoded twice: by the decoder, and by protobuf-c with
 * malloc, so that ASan sees an access beyond any allocation (in the decoder's arena it would hit
 * its neighbour). Both must agree; what was decoded must survive being encoded and decoded again.
 */
#include "proto/codec.h"

#include <stdlib.h>
#include <string.h>

#include "common/util.h"
#include "proto/frame.h"
#include "tests/fuzz/mutate.h"
#include "tests/unit/proto_generate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed);

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed)
{
	return mutate_message(data, size, max_size, seed);
}

static void require(bool holds)
{
	if (!holds)
		abort();
}

static void *heap_alloc(void *data, size_t size)
{
	(void)data;
	return malloc(size);
}

static void heap_free(void *data, void *pointer)
{
	(void)data;
	free(pointer);
}

static void check_again(const Provium__V1__Message *message)
{
	size_t size = message_frame_size(message);
	uint8_t *frame = malloc(size);
	struct decoder decoder;
	Provium__V1__Message *again;
	enum decode_status status;

	require(frame);
	message_frame_pack(message, size, frame);
	decoder_init(&decoder);
	status = decoder_decode(&decoder, frame + FRAME_HEADER, size - FRAME_HEADER, &again);
	/* Encoding is the shortest form: the limit may be lower than it was. */
	if (status != DECODE_LIMIT) {
		require(status == DECODE_OK);
		require(generate_equal(&message->base, &again->base));
		require(message_peek_id(frame + FRAME_HEADER, size - FRAME_HEADER) == message->id);
	}
	decoder_finish(&decoder);
	free(frame);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	ProtobufCAllocator heap = { .alloc = heap_alloc, .free = heap_free };
	size_t limit = MIN(DECODE_FACTOR * size + DECODE_BASE, DECODE_MAX);
	Provium__V1__Message *message;
	Provium__V1__Message *other;
	struct decoder decoder;
	enum decode_status status;

	decoder_init(&decoder);
	status = decoder_decode(&decoder, data, size, &message);
	require((status == DECODE_OK) == (message != NULL));
	require(decoder.allocated <= limit);
	if (status != DECODE_LIMIT) {
		other = provium__v1__message__unpack(&heap, size, data);
		require((status == DECODE_OK) == (other != NULL));
		if (message) {
			require(generate_equal(&message->base, &other->base));
			require(message_peek_id(data, size) == message->id);
			/* protobuf-c takes an unknown field 0 in one spelling and not in another.
			 */
			if (!generate_has_unknown(&message->base))
				check_again(message);
		}
		provium__v1__message__free_unpacked(other, &heap);
	}
	message_peek_id(data, size);
	decoder_finish(&decoder);
	return 0;
}
