/*
 * Frames: a u32 little-endian length and so many bytes. Pure: no I/O, no knowledge of messages.
 *
 * A length is judged as soon as its four bytes are there, before memory is committed to it; and a
 * peer that announces much and sends little costs little, since the buffer grows with what has
 * arrived and not with what was announced.
 */
#ifndef PROTO_FRAME_H
#define PROTO_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FRAME_HEADER 4

void frame_put_header(uint8_t header[FRAME_HEADER], uint32_t length);

enum frame_status {
	/* More bytes are needed. */
	FRAME_PARTIAL,
	FRAME_COMPLETE,
	/* A length of 0, or over the limit. Final: the stream cannot be read any further. */
	FRAME_EMPTY,
	FRAME_TOO_LONG,
};

struct frame_reader {
	uint8_t *buffer;
	size_t capacity;
	/* Bytes from start to end have arrived and are not consumed. */
	size_t start;
	size_t end;
	uint32_t max_frame;
	/* The frame that was returned last did not fit the small buffer: more such are likely. */
	bool was_long;
};

/* max_frame: the longest length that is taken, bytes. */
void frame_reader_init(struct frame_reader *reader, uint32_t max_frame);
void frame_reader_finish(struct frame_reader *reader);

/*
 * Where the next bytes go; called when frame_reader_next has said FRAME_PARTIAL, or before
 * anything has come. Sets *space to how many fit (at least one) and returns the place, or NULL with
 * errno ENOMEM.
 */
uint8_t *frame_reader_space(struct frame_reader *reader, size_t *space);

/* So many bytes have been put where frame_reader_space said. */
void frame_reader_filled(struct frame_reader *reader, size_t count);

/*
 * FRAME_COMPLETE: *body and *length are the next frame, which is consumed; it lives until the next
 * call for this reader. FRAME_TOO_LONG: *length is what it claimed.
 */
enum frame_status frame_reader_next(struct frame_reader *reader, const uint8_t **body,
				    uint32_t *length);

/* Bytes that have arrived and were not returned yet: not 0 at end of file means a cut frame. */
size_t frame_reader_pending(const struct frame_reader *reader);

#endif
