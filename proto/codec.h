/*
 * Messages to bytes and back, over protobuf-c. Pure: no I/O.
 *
 * What a frame costs when decoded is bounded: empty submessages grow 57-fold under protobuf-c, so
 * its allocator is an arena that refuses to hand out more than a small multiple of the frame. All
 * of a message is released at once, with the next decoding.
 */
#ifndef PROTO_CODEC_H
#define PROTO_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "provium.pb-c.h"

/* Decoding a frame of n bytes takes at most 4 n + 64 KiB, and at most 24 MiB. */
#define DECODE_FACTOR 4
#define DECODE_BASE   ((size_t)64 << 10)
#define DECODE_MAX    ((size_t)24 << 20)

enum decode_status {
	DECODE_OK,
	/* Not an encoded Message. */
	DECODE_MALFORMED,
	/* One, but it would take more memory than its length allows for. */
	DECODE_LIMIT,
	DECODE_NO_MEMORY,
};

struct decoder_block;

struct decoder {
	/* The blocks of the message that is held, newest first. */
	struct decoder_block *blocks;
	size_t used;
	size_t limit;
	enum decode_status failure;
};

void decoder_init(struct decoder *decoder);
void decoder_finish(struct decoder *decoder);

/*
 * Decodes one Message. On DECODE_OK *message lives until the next call for this decoder; its text
 * and bytes do not point into data. Otherwise *message is NULL.
 */
enum decode_status decoder_decode(struct decoder *decoder, const uint8_t *data, size_t size,
				  Provium__V1__Message **message);

/*
 * The id of an encoded Message that need not be decodable as a whole, so that a refusal can name
 * the request; 0 where none is found.
 */
uint32_t message_peek_id(const uint8_t *data, size_t size);

/* Bytes of the frame, header included. */
size_t message_frame_size(const Provium__V1__Message *message);

/* Writes message_frame_size(message) bytes. */
void message_frame_pack(const Provium__V1__Message *message, uint8_t *frame);

#endif
