/* The frame reader, fed every way a stream can cut what it carries. */
#include "proto/frame.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "alloc_seam.h"
#include "common/util.h"
#include "proto/limits.h"
#include "unit.h"

/* glibc gives whole pages where it maps memory. */
#define MALLOC_ROUNDING KIB(4)

static struct frame_reader reader;

static void start(void)
{
	frame_reader_init(&reader, PROVIUM_MAX_FRAME);
}

static void finish(void)
{
	frame_reader_finish(&reader);
}

/* Body bytes that tell one frame, and one place in it, from another. */
static uint8_t body_byte(size_t seed, size_t at)
{
	return (uint8_t)(seed * 31 + at + (at >> 8));
}

static size_t put_frame(uint8_t *out, size_t seed, uint32_t length)
{
	frame_put_header(out, length);
	for (uint32_t i = 0; i < length; i++)
		out[FRAME_HEADER + i] = body_byte(seed, i);
	return FRAME_HEADER + (size_t)length;
}

static void check_body(const uint8_t *body, size_t seed, uint32_t length)
{
	for (uint32_t i = 0; i < length; i++)
		if (body[i] != body_byte(seed, i))
			ck_abort_msg("frame %zu differs at byte %u", seed, i);
}

static void feed(const uint8_t *data, size_t size)
{
	while (size > 0) {
		size_t space;
		uint8_t *place = frame_reader_space(&reader, &space);
		size_t count;

		ck_assert_ptr_nonnull(place);
		ck_assert_uint_gt(space, 0);
		count = MIN(space, size);
		memcpy(place, data, count);
		frame_reader_filled(&reader, count);
		data += count;
		size -= count;
	}
}

static void expect_frame(size_t seed, uint32_t length)
{
	const uint8_t *body;
	uint32_t got;

	ck_assert_int_eq(frame_reader_next(&reader, &body, &got), FRAME_COMPLETE);
	ck_assert_uint_eq(got, length);
	check_body(body, seed, length);
}

static void expect(enum frame_status status)
{
	const uint8_t *body;
	uint32_t length;

	ck_assert_int_eq(frame_reader_next(&reader, &body, &length), status);
}

START_TEST(header_is_little_endian)
{
	uint8_t header[FRAME_HEADER];

	frame_put_header(header, 0x01020304);
	ck_assert_mem_eq(header, "\x04\x03\x02\x01", FRAME_HEADER);
	frame_put_header(header, UINT32_MAX);
	ck_assert_mem_eq(header, "\xff\xff\xff\xff", FRAME_HEADER);
}
END_TEST

START_TEST(nothing_yet)
{
	expect(FRAME_PARTIAL);
	ck_assert_uint_eq(frame_reader_pending(&reader), 0);
}
END_TEST

/* Two frames, cut in two at every byte. */
START_TEST(cut_at_every_byte)
{
	uint8_t stream[256];
	size_t first = put_frame(stream, 1, 100);
	size_t size = first + put_frame(stream + first, 2, 1);

	for (size_t cut = 0; cut <= size; cut++) {
		feed(stream, cut);
		if (cut >= first)
			expect_frame(1, 100);
		if (cut == size)
			expect_frame(2, 1);
		expect(FRAME_PARTIAL);
		ck_assert_uint_eq(frame_reader_pending(&reader),
				  cut == size ? 0 : cut - (cut >= first ? first : 0));
		feed(stream + cut, size - cut);
		if (cut < first)
			expect_frame(1, 100);
		if (cut < size)
			expect_frame(2, 1);
		expect(FRAME_PARTIAL);
		ck_assert_uint_eq(frame_reader_pending(&reader), 0);
	}
}
END_TEST

START_TEST(byte_by_byte)
{
	static const uint32_t lengths[] = { 1, 2, 3, 4, 5, 16380, 16381, 40000 };
	static uint8_t stream[FRAME_HEADER + 40000];

	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
		size_t size = put_frame(stream, i, lengths[i]);

		for (size_t at = 0; at < size; at++) {
			expect(FRAME_PARTIAL);
			feed(stream + at, 1);
		}
		expect_frame(i, lengths[i]);
	}
	ck_assert_uint_eq(frame_reader_pending(&reader), 0);
}
END_TEST

START_TEST(many_in_one_read)
{
	size_t space;
	uint8_t *place = frame_reader_space(&reader, &space);
	size_t used = 0;
	uint32_t count = 0;

	while (space - used >= FRAME_HEADER + 1 + count % 7) {
		used += put_frame(place + used, count, 1 + count % 7);
		count++;
	}
	ck_assert_uint_gt(count, 1000);
	frame_reader_filled(&reader, used);
	for (uint32_t i = 0; i < count; i++)
		expect_frame(i, 1 + i % 7);
	expect(FRAME_PARTIAL);
}
END_TEST

/* Frames of all sizes, in reads of all sizes, with a fixed seed. */
START_TEST(random_cuts)
{
	static uint8_t stream[MIB(2)];
	unsigned int random = 1;

	for (int round = 0; round < 20; round++) {
		uint32_t lengths[200];
		size_t count = 0;
		size_t size = 0;
		size_t seen = 0;

		while (count < ARRAY_SIZE(lengths)) {
			uint32_t length = 1 + (uint32_t)rand_r(&random) %
						      (rand_r(&random) % 10 ? 500 : 300000);

			if (size + FRAME_HEADER + length > sizeof(stream))
				break;
			size += put_frame(stream + size, count, length);
			lengths[count++] = length;
		}
		for (size_t at = 0; at < size;) {
			size_t piece =
				1 + (size_t)rand_r(&random) % (rand_r(&random) % 4 ? 50 : 90000);
			size_t space;
			uint8_t *place = frame_reader_space(&reader, &space);

			ck_assert_ptr_nonnull(place);
			piece = MIN(piece, size - at);
			piece = MIN(piece, space);
			memcpy(place, stream + at, piece);
			frame_reader_filled(&reader, piece);
			at += piece;
			while (frame_reader_pending(&reader) > 0) {
				const uint8_t *body;
				uint32_t length;

				if (frame_reader_next(&reader, &body, &length) == FRAME_PARTIAL)
					break;
				ck_assert_uint_lt(seen, count);
				ck_assert_uint_eq(length, lengths[seen]);
				check_body(body, seen, length);
				seen++;
			}
		}
		ck_assert_uint_eq(seen, count);
		ck_assert_uint_eq(frame_reader_pending(&reader), 0);
	}
}
END_TEST

START_TEST(length_0)
{
	feed((const uint8_t *)"\0\0\0\0", FRAME_HEADER);
	expect(FRAME_EMPTY);
	expect(FRAME_EMPTY);
}
END_TEST

START_TEST(length_1)
{
	uint8_t stream[FRAME_HEADER + 1];

	feed(stream, put_frame(stream, 5, 1));
	expect_frame(5, 1);
}
END_TEST

START_TEST(length_max)
{
	uint8_t *stream = malloc(FRAME_HEADER + PROVIUM_MAX_FRAME);

	ck_assert_ptr_nonnull(stream);
	feed(stream, put_frame(stream, 9, PROVIUM_MAX_FRAME));
	expect_frame(9, PROVIUM_MAX_FRAME);
	expect(FRAME_PARTIAL);
	free(stream);
}
END_TEST

static const uint32_t too_long[] = { PROVIUM_MAX_FRAME + 1, INT32_MAX, 0x80000000u, UINT32_MAX };

/* Judged at the header: no byte of the body is asked for. */
START_TEST(length_too_long)
{
	uint8_t header[FRAME_HEADER];
	const uint8_t *body;
	uint32_t length = 0;

	frame_put_header(header, too_long[_i]);
	feed(header, FRAME_HEADER - 1);
	expect(FRAME_PARTIAL);
	feed(header + FRAME_HEADER - 1, 1);
	ck_assert_int_eq(frame_reader_next(&reader, &body, &length), FRAME_TOO_LONG);
	ck_assert_uint_eq(length, too_long[_i]);
	ck_assert_uint_le(reader.capacity, KIB(16));
}
END_TEST

/* What was good before a bad header is not lost. */
START_TEST(bad_after_good)
{
	uint8_t stream[64];
	size_t size = put_frame(stream, 3, 10);

	frame_put_header(stream + size, UINT32_MAX);
	feed(stream, size + FRAME_HEADER);
	expect_frame(3, 10);
	expect(FRAME_TOO_LONG);
}
END_TEST

/* 16 MiB announced: the buffer holds at most twice what has come, and a little. */
START_TEST(announced_is_not_allocated)
{
	static uint8_t zeros[KIB(64)];
	uint8_t header[FRAME_HEADER];

	alloc_reset();
	frame_put_header(header, PROVIUM_MAX_FRAME);
	feed(header, FRAME_HEADER);
	expect(FRAME_PARTIAL);
	for (size_t sent = FRAME_HEADER; sent < MIB(4); sent += 777) {
		size_t space;

		ck_assert_ptr_nonnull(frame_reader_space(&reader, &space));
		ck_assert_uint_le(alloc_counts.bytes,
				  MAX(KIB(16), 2 * sent + KIB(4)) + MALLOC_ROUNDING);
		/* The old and the new one, while bytes move. */
		ck_assert_uint_le(alloc_counts.peak,
				  MAX(KIB(32), 3 * sent + KIB(8)) + 2 * MALLOC_ROUNDING);
		feed(zeros, 777);
		expect(FRAME_PARTIAL);
	}
}
END_TEST

/* However small the pieces: the buffer doubles, and does not creep. */
START_TEST(few_allocations)
{
	static uint8_t piece[KIB(4)];
	uint8_t header[FRAME_HEADER];

	alloc_reset();
	frame_put_header(header, PROVIUM_MAX_FRAME);
	feed(header, FRAME_HEADER);
	for (size_t sent = 0; sent < PROVIUM_MAX_FRAME; sent += sizeof(piece)) {
		expect(FRAME_PARTIAL);
		feed(piece, sizeof(piece));
	}
	ck_assert_uint_le(alloc_counts.calls, 14);
}
END_TEST

/* Bulk data: one buffer for all frames of a series. */
START_TEST(series_keeps_its_buffer)
{
	static uint8_t stream[FRAME_HEADER + PROVIUM_CHUNK];
	size_t size = put_frame(stream, 4, PROVIUM_CHUNK);

	feed(stream, size);
	expect_frame(4, PROVIUM_CHUNK);
	alloc_reset();
	for (int i = 0; i < 100; i++) {
		feed(stream, size);
		expect_frame(4, PROVIUM_CHUNK);
	}
	ck_assert_uint_eq(alloc_counts.calls, 0);
}
END_TEST

/* After long frames a short one gives the room back; a very long one gives it back at once. */
START_TEST(room_is_given_back)
{
	uint8_t *stream = malloc(FRAME_HEADER + MIB(1));
	size_t space;

	ck_assert_ptr_nonnull(stream);
	feed(stream, put_frame(stream, 6, PROVIUM_CHUNK));
	expect_frame(6, PROVIUM_CHUNK);
	feed(stream, put_frame(stream, 7, 10));
	expect_frame(7, 10);
	expect(FRAME_PARTIAL);
	ck_assert_uint_le(reader.capacity, KIB(16));

	feed(stream, put_frame(stream, 8, MIB(1)));
	expect_frame(8, MIB(1));
	expect(FRAME_PARTIAL);
	ck_assert_uint_le(reader.capacity, KIB(16));
	ck_assert_ptr_nonnull(frame_reader_space(&reader, &space));
	ck_assert_uint_le(reader.capacity, KIB(16));
	free(stream);
}
END_TEST

/* A very long frame followed by the begin of a shorter one, in one read. */
START_TEST(room_shrinks_with_the_next_frame)
{
	uint8_t *stream = malloc(MIB(4));
	size_t first;

	ck_assert_ptr_nonnull(stream);
	first = put_frame(stream, 1, MIB(2));
	put_frame(stream + first, 2, KIB(100));
	feed(stream, first + 3000);
	expect_frame(1, MIB(2));
	expect(FRAME_PARTIAL);
	feed(stream + first + 3000, FRAME_HEADER + KIB(100) - 3000);
	ck_assert_uint_le(reader.capacity, KIB(256));
	expect_frame(2, KIB(100));
	free(stream);
}
END_TEST

START_TEST(no_memory)
{
	uint8_t stream[FRAME_HEADER + 20000];
	size_t size = put_frame(stream, 2, 20000);
	size_t space;

	alloc_fail_after(0);
	errno = 0;
	ck_assert_ptr_null(frame_reader_space(&reader, &space));
	ck_assert_int_eq(errno, ENOMEM);

	/* In the midst of a frame: what has come stays, and it goes on. */
	feed(stream, 15000);
	expect(FRAME_PARTIAL);
	alloc_fail_after(0);
	ck_assert_ptr_null(frame_reader_space(&reader, &space));
	ck_assert_uint_eq(frame_reader_pending(&reader), 15000);
	feed(stream + 15000, size - 15000);
	expect_frame(2, 20000);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("proto-frame");
	TCase *tcase = unit_counted_case("frame");

	tcase_add_checked_fixture(tcase, start, finish);
	tcase_add_test(tcase, header_is_little_endian);
	tcase_add_test(tcase, nothing_yet);
	tcase_add_test(tcase, cut_at_every_byte);
	tcase_add_test(tcase, byte_by_byte);
	tcase_add_test(tcase, many_in_one_read);
	tcase_add_test(tcase, random_cuts);
	tcase_add_test(tcase, length_0);
	tcase_add_test(tcase, length_1);
	tcase_add_test(tcase, length_max);
	tcase_add_loop_test(tcase, length_too_long, 0, ARRAY_SIZE(too_long));
	tcase_add_test(tcase, bad_after_good);
	tcase_add_test(tcase, announced_is_not_allocated);
	tcase_add_test(tcase, few_allocations);
	tcase_add_test(tcase, series_keeps_its_buffer);
	tcase_add_test(tcase, room_is_given_back);
	tcase_add_test(tcase, room_shrinks_with_the_next_frame);
	tcase_add_test(tcase, no_memory);
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
