/* Messages to bytes and back: every message of the schema, and bytes that are none. */
#include "proto/codec.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alloc_seam.h"
#include "common/util.h"
#include "proto/frame.h"
#include "proto/limits.h"
#include "proto_generate.h"
#include "unit.h"

static struct decoder decoder;

static void start(void)
{
	decoder_init(&decoder);
}

static void finish(void)
{
	decoder_finish(&decoder);
}

struct frame {
	uint8_t *data;
	size_t size;
};

static struct frame pack(const Provium__V1__Message *message)
{
	struct frame frame = { .size = message_frame_size(message) };

	frame.data = malloc(frame.size);
	ck_assert_ptr_nonnull(frame.data);
	message_frame_pack(message, frame.size, frame.data);
	return frame;
}

static const uint8_t *body(const struct frame *frame)
{
	return frame->data + FRAME_HEADER;
}

static size_t body_size(const struct frame *frame)
{
	return frame->size - FRAME_HEADER;
}

static enum decode_status decode(const struct frame *frame, Provium__V1__Message **message)
{
	return decoder_decode(&decoder, body(frame), body_size(frame), message);
}

/* Calls check for every body, kind of values and choice in oneofs. */
static void for_all_messages(void (*check)(Provium__V1__Message *message, const char *name))
{
	for (size_t at = 0; at < generate_bodies(); at++)
		for (enum generate_values values = 0; values < GENERATE_VALUES; values++)
			for (size_t choice = 0; choice < generate_choices(at); choice++) {
				Provium__V1__Message *message =
					generate_message(at, values, choice);

				check(message, generate_body_name(at));
				provium__v1__message__free_unpacked(message, NULL);
			}
}

static void check_round_trip(Provium__V1__Message *message, const char *name)
{
	struct frame frame = pack(message);
	struct frame again;
	Provium__V1__Message *decoded;
	uint8_t header[FRAME_HEADER];

	frame_put_header(header, (uint32_t)body_size(&frame));
	ck_assert_mem_eq(frame.data, header, FRAME_HEADER);
	ck_assert_int_eq(decode(&frame, &decoded), DECODE_OK);
	if (!generate_equal(&message->base, &decoded->base))
		ck_abort_msg("%s is another message after encoding and decoding", name);
	again = pack(decoded);
	ck_assert_uint_eq(again.size, frame.size);
	ck_assert_mem_eq(again.data, frame.data, frame.size);
	ck_assert_uint_eq(message_peek_id(body(&frame), body_size(&frame)), message->id);
	free(again.data);
	free(frame.data);
}

START_TEST(round_trip)
{
	for_all_messages(check_round_trip);
}
END_TEST

/* What is written without protobuf-c is what it would have written. */
static void check_encoding(Provium__V1__Message *message, const char *name)
{
	struct frame frame = pack(message);
	uint8_t *theirs = malloc(body_size(&frame));

	ck_assert_ptr_nonnull(theirs);
	if (provium__v1__message__get_packed_size(message) != body_size(&frame))
		ck_abort_msg("%s has another size than protobuf-c's", name);
	provium__v1__message__pack(message, theirs);
	if (memcmp(theirs, body(&frame), body_size(&frame)) != 0)
		ck_abort_msg("%s is encoded otherwise than by protobuf-c", name);
	free(theirs);
	free(frame.data);
}

/* Each with an id of one to five bytes, and with none. */
static void check_encodings(Provium__V1__Message *message, const char *name)
{
	for (unsigned int bits = 0; bits < 32; bits += 7) {
		message->has_id = true;
		message->id = 1u << bits;
		check_encoding(message, name);
	}
	message->has_id = false;
	check_encoding(message, name);
}

START_TEST(encoded_as_by_protobuf_c)
{
	for_all_messages(check_encodings);
}
END_TEST

/* A PING whose payload is as long as it takes for each length of a length. */
START_TEST(lengths_of_bodies)
{
	static uint8_t payload[(1 << 14) + 16];
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__Ping ping = PROVIUM__V1__PING__INIT;

	message.body_case = PROVIUM__V1__MESSAGE__BODY_PING;
	message.ping = &ping;
	ping.has_payload = true;
	ping.payload.data = payload;
	for (ping.payload.len = 0; ping.payload.len < sizeof(payload); ping.payload.len++)
		if (ping.payload.len < 300 || ping.payload.len > (1 << 14) - 16)
			check_encoding(&message, "PING");
}
END_TEST

/* In any order, and as protobuf has it where a field comes again: the last one counts. */
START_TEST(orders_and_repetitions)
{
	static const struct {
		const char *bytes;
		size_t size;
		uint32_t id;
		size_t payload;
	} cases[] = {
		{ "\x80\x01\x07\x6a\x03\x0a\x01x", 8, 7, 1 },
		{ "\x6a\x03\x0a\x01x\x80\x01\x07", 8, 7, 1 },
		{ "\x80\x01\x07\x80\x01\x08\x6a\x03\x0a\x01x", 11, 8, 1 },
		{ "\x80\x01\x07\x6a\x03\x0a\x01x\x6a\x04\x0a\x02yz", 14, 7, 2 },
		{ "\x0a\x00\x6a\x03\x0a\x01x", 7, 0, 1 },
		/* Longer than it need be. */
		{ "\x80\x81\x00\x87\x00\x6a\x83\x00\x0a\x01x", 11, 7, 1 },
	};
	Provium__V1__Message *message;

	ck_assert_int_eq(decoder_decode(&decoder, (const uint8_t *)cases[_i].bytes, cases[_i].size,
					&message),
			 DECODE_OK);
	ck_assert_uint_eq(message->id, cases[_i].id);
	ck_assert_int_eq(message->body_case, PROVIUM__V1__MESSAGE__BODY_PING);
	ck_assert_uint_eq(message->ping->payload.len, cases[_i].payload);
}
END_TEST

/* generate_equal must not call everything equal. */
START_TEST(equality_sees_differences)
{
	for (size_t at = 0; at < generate_bodies(); at++) {
		Provium__V1__Message *low = generate_message(at, GENERATE_SMALLEST, 0);
		Provium__V1__Message *high = generate_message(at, GENERATE_LARGEST, 0);

		ck_assert(generate_equal(&low->base, &low->base));
		ck_assert(!generate_equal(&low->base, &high->base));
		provium__v1__message__free_unpacked(low, NULL);
		provium__v1__message__free_unpacked(high, NULL);
	}
}
END_TEST

/* Every prefix of an encoding is decoded or refused; ASan watches. An id before the cut is found.
 */
static void check_prefixes(Provium__V1__Message *message, const char *name)
{
	struct frame frame = pack(message);

	(void)name;
	for (size_t size = 0; size < body_size(&frame); size++) {
		/* A copy of the exact length, so that reading beyond it is seen. */
		uint8_t *prefix = malloc(size ? size : 1);
		Provium__V1__Message *decoded;
		enum decode_status status;

		ck_assert_ptr_nonnull(prefix);
		memcpy(prefix, body(&frame), size);
		status = decoder_decode(&decoder, prefix, size, &decoded);
		if (status != DECODE_OK && status != DECODE_MALFORMED)
			ck_abort_msg("%s cut at %zu: status %d", name, size, (int)status);
		if ((status == DECODE_OK) != (decoded != NULL))
			ck_abort_msg("%s cut at %zu: status and message differ", name, size);
		message_peek_id(prefix, size);
		free(prefix);
	}
	free(frame.data);
}

START_TEST(cut_at_every_byte)
{
	for_all_messages(check_prefixes);
}
END_TEST

START_TEST(nothing_is_a_message_without_a_body)
{
	Provium__V1__Message *message;

	ck_assert_int_eq(decoder_decode(&decoder, (const uint8_t *)"", 0, &message), DECODE_OK);
	ck_assert_int_eq(message->body_case, PROVIUM__V1__MESSAGE__BODY__NOT_SET);
	ck_assert_uint_eq(message->id, 0);
}
END_TEST

/* An unknown body decodes; the dispatcher must be able to answer with the id. */
START_TEST(unknown_body)
{
	/* Field 127, two bytes long; id 5. */
	static const uint8_t data[] = { 0xfa, 0x07, 2, 'x', 'y', 0x80, 0x01, 5 };
	Provium__V1__Message *message;

	ck_assert_int_eq(decoder_decode(&decoder, data, sizeof(data), &message), DECODE_OK);
	ck_assert_int_eq(message->body_case, PROVIUM__V1__MESSAGE__BODY__NOT_SET);
	ck_assert_uint_eq(message->id, 5);
	ck_assert_uint_eq(message->base.n_unknown_fields, 1);
}
END_TEST

/* The last body counts, as protobuf has it. */
START_TEST(two_bodies)
{
	/* INFO, then PING. */
	static const uint8_t data[] = { 0x7a, 0, 0x6a, 0 };
	Provium__V1__Message *message;

	ck_assert_int_eq(decoder_decode(&decoder, data, sizeof(data), &message), DECODE_OK);
	ck_assert_int_eq(message->body_case, PROVIUM__V1__MESSAGE__BODY_PING);
}
END_TEST

static const struct {
	const char *what;
	uint8_t data[16];
	size_t size;
} malformed[] = {
	{ "tag cut", { 0x80 }, 1 },
	{ "field number 0", { 0x00, 0x00 }, 2 },
	{ "varint of 11 bytes",
	  { 0x80, 0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01 },
	  13 },
	{ "id without value", { 0x80, 0x01 }, 2 },
	{ "body longer than the frame", { 0x6a, 5, 0x0a, 0 }, 4 },
	{ "length of 2^64 - 1",
	  { 0x6a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01 },
	  11 },
	{ "body as a varint", { 0x68, 1 }, 2 },
	{ "end of a group", { 0x6c }, 1 },
	{ "READY without its required fields", { 0x82, 0x08, 0 }, 3 },
};

START_TEST(malformed_is_refused)
{
	Provium__V1__Message *message;
	uint8_t *data = malloc(malformed[_i].size);

	ck_assert_ptr_nonnull(data);
	memcpy(data, malformed[_i].data, malformed[_i].size);
	ck_assert_msg(decoder_decode(&decoder, data, malformed[_i].size, &message) ==
			      DECODE_MALFORMED,
		      "%s", malformed[_i].what);
	ck_assert_ptr_null(message);
	free(data);
}
END_TEST

static const struct {
	const char *what;
	uint8_t data[24];
	size_t size;
	uint32_t id;
} peeked[] = {
	{ "nothing", { 0 }, 0, 0 },
	{ "id alone", { 0x80, 0x01, 7 }, 3, 7 },
	{ "id behind a body", { 0x6a, 2, 0x0a, 0, 0x80, 0x01, 7 }, 7, 7 },
	{ "id before what is broken", { 0x80, 0x01, 7, 0x6a, 9, 1 }, 6, 7 },
	{ "id behind what is broken", { 0x6a, 9, 1, 0x80, 0x01, 7 }, 6, 0 },
	{ "id that is cut", { 0x80, 0x01, 0x87 }, 3, 0 },
	{ "the last of two", { 0x80, 0x01, 7, 0x80, 0x01, 8 }, 6, 8 },
	{ "largest", { 0x80, 0x01, 0xff, 0xff, 0xff, 0xff, 0x0f }, 7, UINT32_MAX },
	{ "id of another wire type", { 0x82, 0x01, 1, 7 }, 4, 0 },
	{ "behind 32 and 64 bits",
	  { 0x0d, 1, 2, 3, 4, 0x11, 1, 2, 3, 4, 5, 6, 7, 8, 0x80, 0x01, 9 },
	  17,
	  9 },
	{ "behind a varint", { 0xe0, 0x03, 0x96, 0x01, 0x80, 0x01, 9 }, 7, 9 },
	{ "behind a group", { 0x0b, 0x80, 0x01, 9 }, 4, 0 },
	{ "64 bits that are cut", { 0x11, 1, 2, 3, 0x80, 0x01, 9 }, 7, 0 },
	{ "length of 2^63",
	  { 0x6a, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01, 0x80, 0x01, 9 },
	  14,
	  0 },
};

START_TEST(peek_id)
{
	uint8_t *data = malloc(peeked[_i].size ? peeked[_i].size : 1);

	ck_assert_ptr_nonnull(data);
	memcpy(data, peeked[_i].data, peeked[_i].size);
	ck_assert_msg(message_peek_id(data, peeked[_i].size) == peeked[_i].id, "%s",
		      peeked[_i].what);
	free(data);
}
END_TEST

/* EXEC whose rlimits, of so many bytes in all, are empty: 2 bytes each. */
static struct frame bomb(size_t size)
{
	struct frame frame = { .data = malloc(size + 32) };
	uint8_t *at = frame.data + FRAME_HEADER;

	ck_assert_ptr_nonnull(frame.data);
	*at++ = 1 << 3 | 2;
	for (size_t left = size; left > 0; left >>= 7)
		*at++ = (uint8_t)((left & 0x7f) | (left > 0x7f ? 0x80 : 0));
	for (size_t i = 0; i + 2 < size; i += 3) {
		*at++ = 0x82;
		*at++ = 0x01;
		*at++ = 0;
	}
	frame.size = (size_t)(at - frame.data);
	return frame;
}

static const size_t bomb_sizes[] = { 90000, 210000, 3000000, 15000000 };

START_TEST(empty_submessages)
{
	struct frame frame = bomb(bomb_sizes[_i]);
	size_t limit = MIN(DECODE_FACTOR * frame.size + DECODE_BASE, DECODE_MAX);
	Provium__V1__Message *message;

	alloc_reset();
	ck_assert_int_eq(decode(&frame, &message), DECODE_LIMIT);
	ck_assert_ptr_null(message);
	/* The blocks' own heads, and what malloc rounds large ones up to. */
	ck_assert_uint_le(alloc_counts.peak, limit + limit / 64);
	ck_assert_uint_gt(alloc_counts.peak, limit / 2);
	/* Nothing but the block that is kept stays. */
	ck_assert_uint_le(alloc_counts.bytes, KIB(9));
	free(frame.data);
}
END_TEST

/* One array that alone passes the limit: packed, a byte becomes eight. */
START_TEST(packed_array)
{
	const size_t count = MIB(4);
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__Message *decoded;
	struct frame frame;

	message.n_kernel_events = count;
	message.kernel_events = calloc(count, sizeof(*message.kernel_events));
	ck_assert_ptr_nonnull(message.kernel_events);
	frame = pack(&message);
	free(message.kernel_events);
	alloc_reset();
	ck_assert_int_eq(decode(&frame, &decoded), DECODE_LIMIT);
	ck_assert_uint_le(alloc_counts.peak, KIB(9));
	free(frame.data);
}
END_TEST

/* A command with many short arguments is no bomb. */
START_TEST(many_short_arguments)
{
	static ProtobufCBinaryData argv[8000];
	Provium__V1__Exec exec = PROVIUM__V1__EXEC__INIT;
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__Message *decoded;
	struct frame frame;

	for (size_t i = 0; i < ARRAY_SIZE(argv); i++)
		argv[i] = (ProtobufCBinaryData){ .data = (uint8_t *)"1234567", .len = i % 8 };
	exec.n_argv = ARRAY_SIZE(argv);
	exec.argv = argv;
	message.body_case = PROVIUM__V1__MESSAGE__BODY_EXEC;
	message.exec = &exec;
	frame = pack(&message);
	ck_assert_int_eq(decode(&frame, &decoded), DECODE_OK);
	ck_assert(generate_equal(&message.base, &decoded->base));
	free(frame.data);
}
END_TEST

/* The largest program that DESIGN allows, as full of references as it can be. */
START_TEST(largest_program)
{
	static uint32_t zeros[4096 * 6];
	static uint64_t args[4096 * 6];
	static Provium__V1__ReferenceKind kinds[4096 * 6];
	Provium__V1__Syscall program = PROVIUM__V1__SYSCALL__INIT;
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__Buffer buffer = PROVIUM__V1__BUFFER__INIT;
	Provium__V1__Buffer *buffers[256];
	Provium__V1__Message *decoded;
	struct frame frame;

	for (size_t i = 0; i < ARRAY_SIZE(buffers); i++)
		buffers[i] = &buffer;
	program.n_buffers = ARRAY_SIZE(buffers);
	program.buffers = buffers;
	program.n_numbers = program.n_arg_counts = 4096;
	program.numbers = program.arg_counts = zeros;
	program.n_args = ARRAY_SIZE(args);
	program.args = args;
	program.n_reference_args = program.n_reference_indexes = ARRAY_SIZE(zeros);
	program.n_reference_offsets = program.n_reference_widths = ARRAY_SIZE(zeros);
	program.reference_args = program.reference_indexes = zeros;
	program.reference_offsets = program.reference_widths = zeros;
	program.n_reference_kinds = ARRAY_SIZE(kinds);
	program.reference_kinds = kinds;
	message.body_case = PROVIUM__V1__MESSAGE__BODY_SYSCALL;
	message.syscall = &program;
	frame = pack(&message);
	ck_assert_int_eq(decode(&frame, &decoded), DECODE_OK);
	ck_assert_uint_eq(decoded->syscall->n_reference_widths, ARRAY_SIZE(zeros));
	free(frame.data);
}
END_TEST

/* A chunk of bulk data is not copied, and what is small takes no malloc. */
START_TEST(usual_costs)
{
	static uint8_t chunk[PROVIUM_CHUNK];
	Provium__V1__WriteData data = PROVIUM__V1__WRITE_DATA__INIT;
	Provium__V1__Ping ping = PROVIUM__V1__PING__INIT;
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__Message *decoded;
	struct frame frame;

	data.has_data = true;
	data.data = (ProtobufCBinaryData){ .data = chunk, .len = sizeof(chunk) };
	message.body_case = PROVIUM__V1__MESSAGE__BODY_WRITE_DATA;
	message.write_data = &data;
	frame = pack(&message);
	alloc_reset();
	ck_assert_int_eq(decode(&frame, &decoded), DECODE_OK);
	ck_assert_uint_le(alloc_counts.peak, KIB(13));
	ck_assert_ptr_eq(decoded->write_data->data.data, frame.data + frame.size - sizeof(chunk));
	alloc_reset();
	for (int i = 0; i < 100; i++) {
		ck_assert_int_eq(decode(&frame, &decoded), DECODE_OK);
		ck_assert_mem_eq(decoded->write_data->data.data, chunk, sizeof(chunk));
		if (i % 2)
			decoder_release(&decoder);
	}
	ck_assert_uint_eq(alloc_counts.calls, 0);
	free(frame.data);

	message.body_case = PROVIUM__V1__MESSAGE__BODY_PING;
	message.ping = &ping;
	frame = pack(&message);
	alloc_reset();
	for (int i = 0; i < 100; i++)
		ck_assert_int_eq(decode(&frame, &decoded), DECODE_OK);
	ck_assert_uint_eq(alloc_counts.calls, 0);
	decoder_release(&decoder);
	ck_assert_uint_le(decoder.allocated, KIB(8));
	free(frame.data);
}
END_TEST

/* A part of a body: these bytes, then so many of another. */
struct piece {
	const char *bytes;
	size_t size;
	size_t filling;
};

static const struct {
	const char *what;
	struct piece pieces[2];
} bulk_cases[] = {
	{ "alone", { { "\x0a\x88\x27", 3, 5000 } } },
	{ "with another field", { { "\x0a\x88\x27", 3, 5000 }, { "\x18\x01", 2, 0 } } },
	{ "behind it", { { "\x10\x07", 2, 0 }, { "\x0a\x88\x27", 3, 5000 } } },
	{ "then little", { { "\x0a\x88\x27", 3, 5000 }, { "\x0a\x01", 2, 1 } } },
	{ "then none", { { "\x0a\x88\x27", 3, 5000 }, { "\x0a\x00", 2, 0 } } },
	{ "after little", { { "\x0a\x01", 2, 1 }, { "\x0a\x88\x27", 3, 5000 } } },
	{ "twice", { { "\x0a\x88\x27", 3, 5000 }, { "\x0a\x89\x27", 3, 5001 } } },
	{ "twice as many", { { "\x0a\x88\x27", 3, 5000 }, { "\x0a\x90\x4e", 3, 10000 } } },
	{ "length of 5 bytes", { { "\x0a\x88\xa7\x80\x80\x00", 6, 5000 } } },
	{ "length of 6 bytes", { { "\x0a\x88\xa7\x80\x80\x80\x00", 7, 5000 } } },
	{ "tag of 3 bytes", { { "\x8a\x80\x00\x88\x27", 5, 5000 } } },
	{ "tag of 6 bytes", { { "\x8a\x80\x80\x80\x80\x00\x88\x27", 8, 5000 } } },
	{ "a field that takes no bytes", { { "\x12\x88\x27", 3, 5000 } } },
	{ "an unknown field", { { "\x7a\x88\x27", 3, 5000 } } },
	{ "with an unknown field", { { "\x0a\x88\x27", 3, 5000 }, { "\x7a\x03", 2, 3 } } },
	{ "with much of one", { { "\x0a\x88\x27", 3, 5000 }, { "\x7a\x50", 2, 80 } } },
	{ "with one that is cut", { { "\x0a\x88\x27", 3, 5000 }, { "\x7a\x50", 2, 8 } } },
	{ "cut", { { "\x0a\x88\x27", 3, 4999 } } },
	{ "with a group", { { "\x0a\x88\x27", 3, 5000 }, { "\x0b", 1, 0 } } },
	{ "field 0 first", { { "\x02\x00", 2, 0 }, { "\x0a\x88\x27", 3, 5000 } } },
};

/* What bulk data may have around it, or how it may be spelled: all is as protobuf-c has it. */
START_TEST(bulk_data_as_by_protobuf_c)
{
	Provium__V1__Message *message, *expected;
	uint8_t *frame = malloc(KIB(20)), *at = frame;
	size_t length = 0;

	ck_assert_ptr_nonnull(frame);
	for (size_t i = 0; i < ARRAY_SIZE(bulk_cases[_i].pieces); i++)
		length += bulk_cases[_i].pieces[i].size + bulk_cases[_i].pieces[i].filling;
	/* WRITE_DATA, and its length in three bytes. */
	*at++ = 0xba;
	*at++ = 0x01;
	*at++ = (uint8_t)(length | 0x80);
	*at++ = (uint8_t)(length >> 7 | 0x80);
	*at++ = (uint8_t)(length >> 14);
	for (size_t i = 0; i < ARRAY_SIZE(bulk_cases[_i].pieces); i++) {
		const struct piece *piece = &bulk_cases[_i].pieces[i];

		if (piece->size > 0)
			memcpy(at, piece->bytes, piece->size);
		memset(at + piece->size, 'a' + (int)i, piece->filling);
		at += piece->size + piece->filling;
	}
	expected = provium__v1__message__unpack(NULL, (size_t)(at - frame), frame);
	ck_assert_int_eq(decoder_decode(&decoder, frame, (size_t)(at - frame), &message),
			 expected ? DECODE_OK : DECODE_MALFORMED);
	if (expected && !generate_equal(&expected->base, &message->base))
		ck_abort_msg("%s: another message", bulk_cases[_i].what);
	provium__v1__message__free_unpacked(expected, NULL);
	free(frame);
}
END_TEST

/* What is too large to be kept is given back at once. */
START_TEST(large_is_given_back)
{
	static uint8_t large[MIB(1)];
	Provium__V1__Ping ping = PROVIUM__V1__PING__INIT;
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__Message *decoded;
	struct frame frame;

	ping.has_payload = true;
	ping.payload = (ProtobufCBinaryData){ .data = large, .len = sizeof(large) };
	message.body_case = PROVIUM__V1__MESSAGE__BODY_PING;
	message.ping = &ping;
	frame = pack(&message);
	alloc_reset();
	ck_assert_int_eq(decode(&frame, &decoded), DECODE_OK);
	ck_assert_uint_gt(alloc_counts.bytes, sizeof(large));
	decoder_release(&decoder);
	ck_assert_uint_le(alloc_counts.bytes, KIB(9));
	free(frame.data);
}
END_TEST

/* Each allocation of each message fails in turn. */
static void check_no_memory(Provium__V1__Message *message, const char *name)
{
	struct frame frame = pack(message);
	enum decode_status status = DECODE_NO_MEMORY;
	Provium__V1__Message *decoded;
	size_t calls;

	for (calls = 0; status == DECODE_NO_MEMORY; calls++) {
		decoder_finish(&decoder);
		alloc_fail_after(calls);
		status = decode(&frame, &decoded);
		alloc_fail_never();
		if ((status == DECODE_NO_MEMORY) != (decoded == NULL))
			ck_abort_msg("%s, allocation %zu: status %d", name, calls, (int)status);
	}
	ck_assert_int_eq(status, DECODE_OK);
	ck_assert_uint_ge(calls, 2);
	ck_assert(generate_equal(&message->base, &decoded->base));
	free(frame.data);
}

START_TEST(no_memory)
{
	for_all_messages(check_no_memory);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("proto-codec");
	TCase *tcase = unit_counted_case("codec");

	tcase_add_checked_fixture(tcase, start, finish);
	tcase_set_timeout(tcase, 60);
	tcase_add_test(tcase, round_trip);
	tcase_add_test(tcase, encoded_as_by_protobuf_c);
	tcase_add_test(tcase, lengths_of_bodies);
	tcase_add_loop_test(tcase, orders_and_repetitions, 0, 6);
	tcase_add_test(tcase, equality_sees_differences);
	tcase_add_test(tcase, cut_at_every_byte);
	tcase_add_test(tcase, nothing_is_a_message_without_a_body);
	tcase_add_test(tcase, unknown_body);
	tcase_add_test(tcase, two_bodies);
	tcase_add_loop_test(tcase, malformed_is_refused, 0, ARRAY_SIZE(malformed));
	tcase_add_loop_test(tcase, peek_id, 0, ARRAY_SIZE(peeked));
	tcase_add_loop_test(tcase, empty_submessages, 0, ARRAY_SIZE(bomb_sizes));
	tcase_add_test(tcase, packed_array);
	tcase_add_test(tcase, many_short_arguments);
	tcase_add_test(tcase, largest_program);
	tcase_add_test(tcase, usual_costs);
	tcase_add_loop_test(tcase, bulk_data_as_by_protobuf_c, 0, ARRAY_SIZE(bulk_cases));
	tcase_add_test(tcase, large_is_given_back);
	tcase_add_test(tcase, no_memory);
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
