/* Frames and messages that are wrong, and those that come in pieces. */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent_harness.h"
#include "common/cleanup.h"
#include "proto/limits.h"
#include "unit.h"

START_TEST(lengths)
{
	static const struct {
		uint32_t length;
		const char *text;
	} cases[] = {
		{ 0, "frame of length 0" },
		{ PROVIUM_MAX_FRAME + 1, "frame of 16777217 bytes; at most 16777216" },
		{ UINT32_MAX, "frame of 4294967295 bytes" },
	};
	uint8_t header[FRAME_HEADER];
	struct client other;

	frame_put_header(header, cases[_i].length);
	client_connect(&other);
	client_send_bytes(&other, header, sizeof(header));
	client_expect_error(&other, 0, CODE(INVALID), cases[_i].text);
	client_expect_end(&other);
	client_close(&other);
	client_ping(&client);
}
END_TEST

/* A frame of one byte is no message, and closes; the longest one is taken. */
START_TEST(shortest_and_longest_frame)
{
	cleanup_free uint8_t *longest = calloc(1, FRAME_HEADER + PROVIUM_MAX_FRAME);
	uint8_t shortest[FRAME_HEADER + 1] = { 1, 0, 0, 0, 0xff };
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__Ping ping = PROVIUM__V1__PING__INIT;
	struct client other;

	client_connect(&other);
	client_send_bytes(&other, shortest, sizeof(shortest));
	client_expect_error(&other, 0, CODE(INVALID), "no message");
	client_expect_end(&other);
	client_close(&other);

	message.has_id = true;
	message.id = 77;
	message.body_case = BODY(PING);
	message.ping = &ping;
	ping.has_payload = true;
	ping.payload.len = PROVIUM_MAX_FRAME;
	ping.payload.data = longest;
	ping.payload.len -= message_frame_size(&message) - FRAME_HEADER - PROVIUM_MAX_FRAME;
	ck_assert_uint_eq(message_frame_size(&message), FRAME_HEADER + PROVIUM_MAX_FRAME);
	client_send(&client, &message);
	client_expect_error(&client, 77, CODE(LIMIT), "PING: payload");
	client_ping(&client);
}
END_TEST

/* The connection ends at every byte of a frame: at a frame's border that is nothing special. */
START_TEST(cut_frames)
{
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__Ping ping = PROVIUM__V1__PING__INIT;
	uint8_t frame[64];
	size_t size;

	message.has_id = true;
	message.id = 1;
	message.body_case = BODY(PING);
	message.ping = &ping;
	ping.has_payload = true;
	ping.payload = BYTES("some bytes to be cut");
	size = message_frame_size(&message);
	ck_assert_uint_le(size, sizeof(frame));
	message_frame_pack(&message, size, frame);

	for (size_t cut = 0; cut <= size; cut++) {
		struct client other;

		client_connect(&other);
		client_send_bytes(&other, frame, cut);
		shutdown(other.fd, SHUT_WR);
		if (cut > 0 && cut < size)
			client_expect_error(&other, 0, CODE(INVALID), "inside a frame");
		else if (cut == size)
			ck_assert_uint_eq(client_expect(&other, BODY(PONG))->id, 1);
		client_expect_end(&other);
		client_close(&other);
	}
	eventually(client_info(&client).connections == 1);
}
END_TEST

/* A frame that comes a byte at a time, and many in one write. */
START_TEST(pieces_and_batches)
{
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__Ping ping = PROVIUM__V1__PING__INIT;
	uint8_t frames[100 * 16];
	size_t size, filled = 0;

	message.has_id = true;
	message.body_case = BODY(PING);
	message.ping = &ping;
	for (message.id = 1; message.id <= 100; message.id++) {
		size = message_frame_size(&message);
		ck_assert_uint_le(filled + size, sizeof(frames));
		message_frame_pack(&message, size, frames + filled);
		filled += size;
	}
	client_send_bytes(&client, frames, filled);
	for (uint32_t id = 1; id <= 100; id++)
		ck_assert_uint_eq(client_expect(&client, BODY(PONG))->id, id);

	for (size_t i = 0; i < filled; i++) {
		client_send_bytes(&client, frames + i, 1);
		if (i % 10 == 0)
			usleep(100);
	}
	for (uint32_t id = 1; id <= 100; id++)
		ck_assert_uint_eq(client_expect(&client, BODY(PONG))->id, id);
}
END_TEST

START_TEST(garbage)
{
	unsigned int seed = (unsigned int)_i;
	uint8_t bytes[4096];
	struct client other;

	client_connect(&other);
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)rand_r(&seed);
	/* Frames of a length that will do, so that the decoder has its share. */
	for (size_t i = 0; i + 64 <= sizeof(bytes); i += 64)
		frame_put_header(bytes + i, 60);
	(void)!send(other.fd, bytes, sizeof(bytes), MSG_NOSIGNAL);
	shutdown(other.fd, SHUT_WR);
	while (client_receive(&other))
		;
	client_close(&other);
	client_ping(&client);
}
END_TEST

START_TEST(no_body)
{
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	uint32_t id = client_send(&client, &message);

	client_expect_error(&client, id, CODE(UNKNOWN_MESSAGE), "no body");
	client_ping(&client);
}
END_TEST

START_TEST(unknown_body)
{
	/* id 5, and field 100 with no bytes. */
	static const uint8_t frame[] = { 6, 0, 0, 0, 0x80, 0x01, 5, 0xa2, 0x06, 0 };

	client_send_bytes(&client, frame, sizeof(frame));
	client_expect_error(&client, 5, CODE(UNKNOWN_MESSAGE), "code 100");
	client_ping(&client);
}
END_TEST

START_TEST(not_a_request)
{
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__Ok ok = PROVIUM__V1__OK__INIT;
	uint32_t id;

	message.body_case = BODY(OK);
	message.ok = &ok;
	id = client_send(&client, &message);
	client_expect_error(&client, id, CODE(UNSUPPORTED), "message 136 is not a request");
	client_ping(&client);
}
END_TEST

START_TEST(id_0)
{
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__Ping ping = PROVIUM__V1__PING__INIT;

	message.has_id = true;
	message.body_case = BODY(PING);
	message.ping = &ping;
	client_send(&client, &message);
	client_expect_error(&client, 0, CODE(INVALID), "id 0");
	client_expect_end(&client);
}
END_TEST

/* A field that only a newer agent knows must not be passed over. */
START_TEST(unknown_field)
{
	/* id 6, PING with field 9 set to 1. */
	static const uint8_t frame[] = { 7, 0, 0, 0, 0x80, 0x01, 6, 0x6a, 2, 0x48, 1 };

	client_send_bytes(&client, frame, sizeof(frame));
	client_expect_error(&client, 6, CODE(UNSUPPORTED), "PING: field 9");
	client_ping(&client);
}
END_TEST

/* Small on the wire and large decoded: refused by its id, and nothing else ends. */
START_TEST(decoder_limit)
{
	enum {
		COUNT = 100000
	};
	cleanup_free uint8_t *frame = malloc(FRAME_HEADER + 16 + (size_t)2 * COUNT);
	size_t size = FRAME_HEADER;
	size_t inner = (size_t)2 * COUNT;

	ck_assert_ptr_nonnull(frame);
	/* id 3, SYSCALL (5) of so many empty buffers (field 1). */
	memcpy(frame + size, "\x80\x01\x03\x2a", 4);
	size += 4;
	for (; inner > 0x7f; inner >>= 7)
		frame[size++] = (uint8_t)(inner & 0x7f) | 0x80;
	frame[size++] = (uint8_t)inner;
	for (int i = 0; i < COUNT; i++) {
		frame[size++] = 0x0a;
		frame[size++] = 0;
	}
	frame_put_header(frame, (uint32_t)(size - FRAME_HEADER));
	client_send_bytes(&client, frame, size);
	client_expect_error(&client, 3, CODE(LIMIT), "too large decoded");
	client_ping(&client);
}
END_TEST

START_TEST(id_in_flight)
{
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__Ping ping = PROVIUM__V1__PING__INIT;
	uint32_t id = client_shell(&client, "sleep 100");
	struct outcome outcome;

	message.has_id = true;
	message.id = id;
	message.body_case = BODY(PING);
	message.ping = &ping;
	client_send(&client, &message);
	client_expect_error(&client, id, CODE(BUSY), "in flight");
	client_expect_ok(&client, client_cancel(&client, id));
	client_collect(&client, id, &outcome);
	/* It is free again. */
	client_send(&client, &message);
	ck_assert_uint_eq(client_expect(&client, BODY(PONG))->id, id);
}
END_TEST

/* The same beside the body, where a later version may put something. */
START_TEST(unknown_field_beside_the_body)
{
	/* id 6, field 49 set to 1, PING. */
	static const uint8_t frame[] = { 8, 0, 0, 0, 0x80, 0x01, 6, 0x88, 0x03, 1, 0x6a, 0 };

	client_send_bytes(&client, frame, sizeof(frame));
	client_expect_error(&client, 6, CODE(UNSUPPORTED), "PING: field 49");
	client_ping(&client);
}
END_TEST

/* Too large decoded, and nobody knows for which request. */
START_TEST(decoder_limit_without_id)
{
	enum {
		COUNT = 1000000
	};
	cleanup_free uint8_t *frame = malloc(FRAME_HEADER + 16 + (size_t)2 * COUNT);
	size_t inner = (size_t)2 * COUNT;
	size_t size = FRAME_HEADER;

	ck_assert_ptr_nonnull(frame);
	frame[size++] = 0x2a;
	for (; inner > 0x7f; inner >>= 7)
		frame[size++] = (uint8_t)(inner & 0x7f) | 0x80;
	frame[size++] = (uint8_t)inner;
	for (int i = 0; i < COUNT; i++) {
		frame[size++] = 0x0a;
		frame[size++] = 0;
	}
	frame_put_header(frame, (uint32_t)(size - FRAME_HEADER));
	client_send_bytes(&client, frame, size);
	client_expect_error(&client, 0, CODE(LIMIT), "too large decoded");
	client_expect_end(&client);
}
END_TEST

static Suite *frames_suite(void)
{
	Suite *suite = suite_create("agent: frames");
	TCase *tcase = unit_counted_case("connected");

	tcase_add_checked_fixture(tcase, agent_start_connected, agent_stop_connected);
	tcase_add_loop_test(tcase, lengths, 0, 3);
	tcase_add_test(tcase, shortest_and_longest_frame);
	tcase_add_test(tcase, cut_frames);
	tcase_add_test(tcase, pieces_and_batches);
	tcase_add_loop_test(tcase, garbage, 0, 20);
	tcase_add_test(tcase, no_body);
	tcase_add_test(tcase, unknown_body);
	tcase_add_test(tcase, not_a_request);
	tcase_add_test(tcase, id_0);
	tcase_add_test(tcase, unknown_field);
	tcase_add_test(tcase, decoder_limit);
	tcase_add_test(tcase, id_in_flight);
	tcase_add_test(tcase, unknown_field_beside_the_body);
	tcase_add_test(tcase, decoder_limit_without_id);
	tcase_set_timeout(tcase, 60);
	suite_add_tcase(suite, tcase);
	return suite;
}

int main(void)
{
	return unit_run(frames_suite());
}
