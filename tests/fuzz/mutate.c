/*
 * A message on the wire is a sequence of fields, each a tag (number and type), and a value
 * (protobuf.dev, "Encoding"). It is taken apart into those, one is changed, dropped, doubled, moved
 * or added, and it is put together again; a nested one, which looks like any bytes, is taken apart
 * in turn where it can be.
 */
#include "tests/fuzz/mutate.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/util.h"
#include "proto/frame.h"

/* libFuzzer's own mutation of bytes. */
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);

#define MAX_PIECES 256
#define MAX_DEPTH  5

enum {
	WIRE_VARINT = 0,
	WIRE_FIXED64 = 1,
	WIRE_BYTES = 2,
	WIRE_FIXED32 = 5
};

/* Of the schema's fields most have numbers below it. */
#define MAX_NUMBER 48

/* Fields, or frames: where each begins and ends in the bytes. */
struct pieces {
	size_t count;
	size_t starts[MAX_PIECES];
	size_t ends[MAX_PIECES];
};

uint32_t mutate_random(unsigned int *seed)
{
	*seed = *seed * 1664525u + 1013904223u;
	return *seed >> 8;
}

static bool get_varint(const uint8_t *data, size_t size, size_t *at, uint64_t *value)
{
	*value = 0;
	for (unsigned int shift = 0; shift < 64 && *at < size; shift += 7) {
		uint8_t byte = data[(*at)++];

		*value |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80))
			return true;
	}
	return false;
}

static size_t put_varint(uint8_t *data, uint64_t value)
{
	size_t size = 0;

	for (; value >= 0x80; value >>= 7)
		data[size++] = (uint8_t)(value | 0x80);
	data[size++] = (uint8_t)value;
	return size;
}

/* Behind the field at `at`; false: there is none. */
static bool skip_field(const uint8_t *data, size_t size, size_t *at)
{
	uint64_t tag;
	uint64_t value;

	if (!get_varint(data, size, at, &tag) || tag >> 3 == 0)
		return false;
	switch (tag & 7) {
	case WIRE_VARINT:
		return get_varint(data, size, at, &value);
	case WIRE_FIXED64:
		value = 8;
		break;
	case WIRE_FIXED32:
		value = 4;
		break;
	case WIRE_BYTES:
		if (!get_varint(data, size, at, &value))
			return false;
		break;
	default:
		return false;
	}
	if (value > size - *at)
		return false;
	*at += value;
	return true;
}

static bool split_fields(const uint8_t *data, size_t size, struct pieces *pieces)
{
	size_t at = 0;

	pieces->count = 0;
	while (at < size && pieces->count < MAX_PIECES) {
		pieces->starts[pieces->count] = at;
		if (!skip_field(data, size, &at))
			return false;
		pieces->ends[pieces->count++] = at;
	}
	return at == size;
}

static bool split_frames(const uint8_t *data, size_t size, struct pieces *pieces)
{
	size_t at = 0;

	pieces->count = 0;
	while (size - at > FRAME_HEADER && pieces->count < MAX_PIECES) {
		uint32_t length = (uint32_t)data[at] | (uint32_t)data[at + 1] << 8 |
				  (uint32_t)data[at + 2] << 16 | (uint32_t)data[at + 3] << 24;

		if (length > size - at - FRAME_HEADER)
			return false;
		pieces->starts[pieces->count] = at;
		at += FRAME_HEADER + length;
		pieces->ends[pieces->count++] = at;
	}
	return at == size;
}

/* Puts other bytes in the place of data[start, end). Returns the new size; the old: no room. */
static size_t splice(uint8_t *data, size_t size, size_t max_size, size_t start, size_t end,
		     const uint8_t *bytes, size_t n_bytes)
{
	if (size - (end - start) + n_bytes > max_size)
		return size;
	memmove(data + start + n_bytes, data + end, size - end);
	if (n_bytes > 0)
		memcpy(data + start, bytes, n_bytes);
	return size - (end - start) + n_bytes;
}

/* One piece is dropped, doubled, or put where another is. */
static size_t move_piece(uint8_t *data, size_t size, size_t max_size, const struct pieces *pieces,
			 unsigned int *seed)
{
	size_t from = mutate_random(seed) % pieces->count;
	size_t to = pieces->starts[mutate_random(seed) % pieces->count];
	size_t start = pieces->starts[from];
	size_t length = pieces->ends[from] - start;
	uint8_t *copy;
	size_t grown;

	if (mutate_random(seed) % 3 == 0)
		return splice(data, size, max_size, start, start + length, NULL, 0);
	copy = malloc(length);
	if (!copy)
		abort();
	memcpy(copy, data + start, length);
	grown = splice(data, size, max_size, to, to, copy, length);
	free(copy);
	if (grown == size || mutate_random(seed) % 2)
		return grown;
	if (to <= start)
		start += length;
	return splice(data, grown, max_size, start, start + length, NULL, 0);
}

uint64_t mutate_number(uint64_t value, unsigned int *seed)
{
	static const uint64_t borders[] = {
		0,     1,     2,        127,       128,        255,       4095,      4096,
		65535, 65536, 1u << 20, INT32_MAX, UINT32_MAX, INT64_MAX, UINT64_MAX
	};

	switch (mutate_random(seed) % 4) {
	case 0:
		return borders[mutate_random(seed) % ARRAY_SIZE(borders)];
	case 1:
		return value + mutate_random(seed) % 5 - 2;
	case 2:
		return value ^ UINT64_C(1) << mutate_random(seed) % 64;
	default:
		return mutate_random(seed) % 300;
	}
}

/* NOLINTBEGIN(misc-no-recursion): to MAX_DEPTH */

static size_t mutate_fields(uint8_t *data, size_t size, size_t max_size, unsigned int *seed,
			    unsigned int depth);

/* The value of a field with a length: as a message where it is one, else as bytes. */
static size_t change_bytes(uint8_t *data, size_t size, size_t max_size, size_t start, size_t end,
			   uint64_t tag, unsigned int *seed, unsigned int depth)
{
	size_t at = start;
	size_t room = MIN(max_size - size + (end - start), (size_t)4096);
	uint8_t *value = malloc(room + 32);
	uint8_t *field = malloc(room + 64);
	uint64_t number;
	size_t length;
	size_t grown;

	if (!value || !field)
		abort();
	get_varint(data, end, &at, &number);
	get_varint(data, end, &at, &number);
	length = MIN(end - at, room);
	memcpy(value, data + at, length);
	length = mutate_fields(value, length, room, seed, depth + 1);
	at = put_varint(field, tag);
	at += put_varint(field + at, length);
	memcpy(field + at, value, length);
	grown = splice(data, size, max_size, start, end, field, at + length);
	free(value);
	free(field);
	return grown;
}

static size_t change_field(uint8_t *data, size_t size, size_t max_size, size_t start, size_t end,
			   unsigned int *seed, unsigned int depth)
{
	uint8_t field[24];
	size_t at = start;
	size_t length;
	uint64_t tag;
	uint64_t value;

	get_varint(data, end, &at, &tag);
	if (mutate_random(seed) % 16 == 0)
		tag = (uint64_t)(mutate_random(seed) % MAX_NUMBER + 1) << 3 | (tag & 7);
	if ((tag & 7) == WIRE_BYTES)
		return change_bytes(data, size, max_size, start, end, tag, seed, depth);
	length = put_varint(field, tag);
	if ((tag & 7) == WIRE_VARINT) {
		get_varint(data, end, &at, &value);
		length += put_varint(field + length, mutate_number(value, seed));
	} else {
		size_t width = (tag & 7) == WIRE_FIXED64 ? 8 : 4;

		value = 0;
		memcpy(&value, data + at, width);
		value = mutate_number(value, seed);
		memcpy(field + length, &value, width);
		length += width;
	}
	return splice(data, size, max_size, start, end, field, length);
}

static size_t add_field(uint8_t *data, size_t size, size_t max_size, unsigned int *seed)
{
	static const uint8_t types[] = { WIRE_VARINT, WIRE_VARINT, WIRE_BYTES, WIRE_FIXED64,
					 WIRE_FIXED32 };
	uint8_t type = types[mutate_random(seed) % ARRAY_SIZE(types)];
	uint8_t field[32] = { 0 };
	size_t length =
		put_varint(field, (uint64_t)(mutate_random(seed) % MAX_NUMBER + 1) << 3 | type);

	if (type == WIRE_VARINT)
		length += put_varint(field + length, mutate_number(0, seed));
	else if (type == WIRE_BYTES)
		length += 1;
	else
		length += type == WIRE_FIXED64 ? 8 : 4;
	return splice(data, size, max_size, size, size, field, length);
}

static size_t mutate_fields(uint8_t *data, size_t size, size_t max_size, unsigned int *seed,
			    unsigned int depth)
{
	struct pieces fields;
	size_t chosen;

	if (depth > MAX_DEPTH || !split_fields(data, size, &fields) || fields.count == 0)
		return size == 0 && mutate_random(seed) % 2
			       ? add_field(data, size, max_size, seed)
			       : LLVMFuzzerMutate(data, size, max_size);
	switch (mutate_random(seed) % 8) {
	case 0:
		return move_piece(data, size, max_size, &fields, seed);
	case 1:
		return add_field(data, size, max_size, seed);
	default:
		chosen = mutate_random(seed) % fields.count;
		return change_field(data, size, max_size, fields.starts[chosen],
				    fields.ends[chosen], seed, depth);
	}
}

/* NOLINTEND(misc-no-recursion) */

size_t mutate_message(uint8_t *data, size_t size, size_t max_size, unsigned int seed)
{
	/* What is no message is tried too. */
	if (mutate_random(&seed) % 5 == 0)
		return LLVMFuzzerMutate(data, size, max_size);
	return mutate_fields(data, size, max_size, &seed, 0);
}

/* The message in a frame, and the frame's length with it. */
static size_t change_frame(uint8_t *data, size_t size, size_t max_size, size_t start, size_t end,
			   unsigned int *seed)
{
	size_t length = end - start - FRAME_HEADER;
	size_t room = MIN(max_size - size + length, (size_t)65536);
	uint8_t *frame;
	size_t grown;

	if (room < length)
		return size;
	frame = malloc(FRAME_HEADER + room + 1);
	if (!frame)
		abort();
	memcpy(frame + FRAME_HEADER, data + start + FRAME_HEADER, length);
	grown = 0;
	/* One that does not fit together is worth trying too, but mostly refused. */
	if (mutate_random(seed) % 4)
		grown = mutate_program(frame + FRAME_HEADER, length, room, seed);
	length = grown ? grown : mutate_fields(frame + FRAME_HEADER, length, room, seed, 0);
	for (size_t i = 0; i < FRAME_HEADER; i++)
		frame[i] = (uint8_t)(length >> 8 * i);
	grown = splice(data, size, max_size, start, end, frame, FRAME_HEADER + length);
	free(frame);
	return grown;
}

size_t mutate_frames(uint8_t *data, size_t size, size_t max_size, unsigned int seed)
{
	struct pieces frames;
	size_t chosen;

	if (mutate_random(&seed) % 8 == 0 || !split_frames(data, size, &frames) ||
	    frames.count == 0)
		return LLVMFuzzerMutate(data, size, max_size);
	if (mutate_random(&seed) % 4 == 0)
		return move_piece(data, size, max_size, &frames, &seed);
	chosen = mutate_random(&seed) % frames.count;
	return change_frame(data, size, max_size, frames.starts[chosen], frames.ends[chosen],
			    &seed);
}
