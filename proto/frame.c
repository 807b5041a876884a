#include "frame.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/util.h"

/* Room for many small frames per read. */
#define SMALL_CAPACITY ((size_t)16 << 10)
/* The least that is offered to a read while a longer frame is on its way. */
#define MIN_SPACE      ((size_t)4 << 10)
/* Bulk data come as a series of long frames: room up to this is kept from one to the next. */
#define KEPT_CAPACITY  ((size_t)512 << 10)

void frame_put_header(uint8_t header[FRAME_HEADER], uint32_t length)
{
	header[0] = (uint8_t)length;
	header[1] = (uint8_t)(length >> 8);
	header[2] = (uint8_t)(length >> 16);
	header[3] = (uint8_t)(length >> 24);
}

static uint32_t get_header(const uint8_t *header)
{
	return (uint32_t)header[0] | (uint32_t)header[1] << 8 | (uint32_t)header[2] << 16 |
	       (uint32_t)header[3] << 24;
}

void frame_reader_init(struct frame_reader *reader, uint32_t max_frame)
{
	*reader = (struct frame_reader){ .max_frame = max_frame };
}

void frame_reader_finish(struct frame_reader *reader)
{
	free(reader->buffer);
	*reader = (struct frame_reader){ 0 };
}

size_t frame_reader_pending(const struct frame_reader *reader)
{
	return reader->end - reader->start;
}

/*
 * How large the buffer should be for the next read. It doubles with what has arrived of a long
 * frame, so that a peer pays for what it makes us hold and no byte is copied more than twice on
 * average, however small the pieces are that it comes in.
 */
static size_t wanted_capacity(const struct frame_reader *reader)
{
	size_t pending = frame_reader_pending(reader);
	size_t frame = 0;
	bool fits;

	if (pending >= FRAME_HEADER)
		frame = FRAME_HEADER + (size_t)get_header(reader->buffer + reader->start);
	if (frame <= SMALL_CAPACITY) {
		if (reader->was_long && reader->capacity <= KEPT_CAPACITY)
			return MAX(reader->capacity, SMALL_CAPACITY);
		return SMALL_CAPACITY;
	}
	fits = frame <= reader->capacity || reader->capacity - pending >= MIN_SPACE;
	if (fits && (reader->capacity <= KEPT_CAPACITY || reader->capacity / 2 <= frame))
		return reader->capacity;
	return MAX(MIN(frame, 2 * pending) + MIN_SPACE, SMALL_CAPACITY);
}

uint8_t *frame_reader_space(struct frame_reader *reader, size_t *space)
{
	size_t pending = frame_reader_pending(reader);
	size_t capacity = wanted_capacity(reader);

	if (capacity != reader->capacity) {
		uint8_t *buffer = malloc(capacity);

		if (!buffer)
			return NULL;
		if (pending)
			memcpy(buffer, reader->buffer + reader->start, pending);
		free(reader->buffer);
		reader->buffer = buffer;
		reader->capacity = capacity;
	} else if (reader->start > 0) {
		memmove(reader->buffer, reader->buffer + reader->start, pending);
	}
	reader->start = 0;
	reader->end = pending;

	assert(reader->end < reader->capacity);
	*space = reader->capacity - reader->end;
	return reader->buffer + reader->end;
}

void frame_reader_filled(struct frame_reader *reader, size_t count)
{
	reader->end += count;
}

/* Nothing is there: the room of a long frame is given back now, it may be long until the next. */
static void shrink_idle(struct frame_reader *reader)
{
	if (reader->capacity <= wanted_capacity(reader))
		return;
	free(reader->buffer);
	reader->buffer = NULL;
	reader->capacity = 0;
	reader->start = 0;
	reader->end = 0;
}

enum frame_status frame_reader_next(struct frame_reader *reader, const uint8_t **body,
				    uint32_t *length)
{
	size_t pending = frame_reader_pending(reader);

	if (pending == 0)
		shrink_idle(reader);
	if (pending < FRAME_HEADER)
		return FRAME_PARTIAL;
	*length = get_header(reader->buffer + reader->start);
	if (*length == 0)
		return FRAME_EMPTY;
	if (*length > reader->max_frame)
		return FRAME_TOO_LONG;
	if (pending - FRAME_HEADER < *length)
		return FRAME_PARTIAL;
	reader->was_long = FRAME_HEADER + (size_t)*length > SMALL_CAPACITY;
	*body = reader->buffer + reader->start + FRAME_HEADER;
	reader->start += FRAME_HEADER + (size_t)*length;
	return FRAME_COMPLETE;
}
