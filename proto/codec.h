/*
 * Messages to bytes and back, over protobuf-c. Pure: no I/O.
 *
 * What a frame costs when decoded is bounded: empty submessages grow 57-fold under protobuf-c, so
 * its allocator is an arena that refuses to hand out more than a multiple of the frame. The
 * constant part is for messages of many short elements: a command's argument takes 56 to 88 bytes
 * and its text, so that 4 n + 64 KiB would refuse `kill` with 4000 pids. Memory that is taken from
 * malloc counts, not what is used of it.
 */
#ifndef PROTO_CODEC_H
#define PROTO_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "provium.pb-c.h"

/* Decoding a frame of n bytes takes at most 4 n + 1 MiB, and at most 24 MiB. */
#define DECODE_FACTOR 4
#define DECODE_BASE   ((size_t)1 << 20)
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
	/* The blocks of the message that is held; small sizes come out of the first. */
	struct decoder_block *blocks;
	/* Bytes of all blocks. */
	size_t allocated;
	size_t limit;
	enum decode_status failure;
};

/*
 * Makes the schema ready. A part of decoder_init, and needed by who encodes without a decoder; not
 * before main(), since the supervisor would have 40 KiB of it and no use. Natively it is generated
 * and ready: NULL.
 */
void schema_ready(void) __attribute__((weak));

void decoder_init(struct decoder *decoder);
void decoder_finish(struct decoder *decoder);

/*
 * Decodes one Message. On DECODE_OK *message lives until the next call for this decoder; its text
 * and bytes do not point into data, but for bulk data: those of WRITE_DATA, FILE_DATA and OUTPUT
 * may. Otherwise *message is NULL and nothing is held.
 */
enum decode_status decoder_decode(struct decoder *decoder, const uint8_t *data, size_t size,
				  Provium__V1__Message **message);

/*
 * Ends the message's life and gives its memory back, but for one block of 8 KiB that makes small
 * messages cheap. For a decoder that may be idle for long.
 */
void decoder_release(struct decoder *decoder);

/*
 * The id of an encoded Message that need not be decodable as a whole, so that a refusal can name
 * the request; 0 where none is found.
 */
uint32_t message_peek_id(const uint8_t *data, size_t size);

/* Bytes of the frame, header included. */
size_t message_frame_size(const Provium__V1__Message *message);

/* Writes size bytes, which is what message_frame_size has returned. */
void message_frame_pack(const Provium__V1__Message *message, size_t size, uint8_t *frame);

/* The body, whichever it is; the message has one. */
const ProtobufCMessage *message_body(const Provium__V1__Message *message);

#endif
