/*
 * A stream of frames in reads of chosen sizes, beside a reading of the same bytes in one piece:
 * both must find the same frames, and the buffer must stay in proportion to what has come.
 *
 * Input: the longest frame that is taken (3 bytes), the sizes of the reads in turn (a count and so
 * many 16-bit numbers), then the stream.
 */
#include "proto/frame.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/util.h"

#define READS 16

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
	if (!holds)
		abort();
}

static uint32_t little_endian(const uint8_t *data, size_t size)
{
	uint32_t number = 0;

	while (size-- > 0)
		number = number << 8 | data[size];
	return number;
}

struct stream {
	const uint8_t *data;
	size_t size;
	/* Where the next frame begins that the reader has not returned. */
	size_t at;
	uint32_t max_frame;
};

/* What the reader must say of the next frame when so many bytes of the stream have arrived. */
static enum frame_status expected(const struct stream *stream, size_t arrived, uint32_t *length)
{
	if (arrived - stream->at < FRAME_HEADER)
		return FRAME_PARTIAL;
	*length = little_endian(stream->data + stream->at, FRAME_HEADER);
	if (*length == 0)
		return FRAME_EMPTY;
	if (*length > stream->max_frame)
		return FRAME_TOO_LONG;
	return arrived - stream->at - FRAME_HEADER < *length ? FRAME_PARTIAL : FRAME_COMPLETE;
}

/* Takes all frames that are there. False: the stream cannot be read any further. */
static bool take_frames(struct frame_reader *reader, struct stream *stream, size_t arrived)
{
	for (;;) {
		const uint8_t *body;
		uint32_t length = 0;
		uint32_t expected_length = 0;
		enum frame_status status = frame_reader_next(reader, &body, &length);

		require(status == expected(stream, arrived, &expected_length));
		if (status == FRAME_TOO_LONG)
			require(length == expected_length);
		if (status != FRAME_COMPLETE)
			return status == FRAME_PARTIAL;
		require(length == expected_length);
		require(memcmp(body, stream->data + stream->at + FRAME_HEADER, length) == 0);
		stream->at += FRAME_HEADER + (size_t)length;
		require(frame_reader_pending(reader) == arrived - stream->at);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct frame_reader reader;
	struct stream stream = { 0 };
	size_t reads[READS];
	size_t n_reads;
	size_t arrived = 0;

	if (size < 4 || size < 4 + 2 * (size_t)(data[3] % READS))
		return 0;
	stream.max_frame = little_endian(data, 3);
	n_reads = data[3] % READS;
	for (size_t i = 0; i < n_reads; i++)
		reads[i] = little_endian(data + 4 + 2 * i, 2) + 1;
	stream.data = data + 4 + 2 * n_reads;
	stream.size = size - 4 - 2 * n_reads;

	frame_reader_init(&reader, stream.max_frame);
	for (size_t turn = 0; arrived < stream.size; turn++) {
		size_t space;
		uint8_t *place = frame_reader_space(&reader, &space);
		size_t count;

		require(place && space > 0);
		require(reader.capacity <= MAX(KIB(512), 2 * arrived + KIB(4)));
		count = n_reads > 0 ? MIN(space, reads[turn % n_reads]) : space;
		count = MIN(count, stream.size - arrived);
		memcpy(place, stream.data + arrived, count);
		frame_reader_filled(&reader, count);
		arrived += count;
		if (!take_frames(&reader, &stream, arrived))
			break;
	}
	frame_reader_finish(&reader);
	return 0;
}
