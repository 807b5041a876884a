/*
 * connection.c alone, with the loop and the frames below it: bytes, congestion, ends. What frames
 * mean is the test's: it echoes them.
 */
#include "agent/connection.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/loop.h"
#include "agent/server.h"
#include "common/cleanup.h"
#include "common/util.h"
#include "proto/frame.h"
#include "unit.h"

static const struct server_config config = {
	.listen_fd = -1,
	.connection_fd = -1,
	.stop_fd = -1,
	.life_fd = -1,
	.proc_fd = -1,
	.dev_fd = -1,
};

static struct loop loop;
static struct connection *connection;
static int peer;

/* What the connection has told. */
static unsigned int frames, drains, ends, closes;
static uint32_t wrong_length;
static size_t cut;
/* What its owner does with the next frame. */
static enum {
	ECHO,
	KEEP,
	FINISH,
	ABORT
} behaviour;

static void send_frame(const uint8_t *body, uint32_t length)
{
	uint8_t *place = connection_reserve(connection, FRAME_HEADER + (size_t)length);

	if (!place)
		return;
	frame_put_header(place, length);
	memcpy(place + FRAME_HEADER, body, length);
	connection_commit(connection, FRAME_HEADER + (size_t)length);
}

static void on_frame(void *owner, const uint8_t *body, uint32_t length)
{
	ck_assert_ptr_eq(owner, &loop);
	ck_assert_uint_eq(closes, 0);
	frames++;
	switch (behaviour) {
	case ECHO:
		send_frame(body, length);
		break;
	case KEEP:
		break;
	case FINISH:
		send_frame(body, length);
		connection_finish(connection, 50);
		/* Too late for this one. */
		send_frame(body, length);
		break;
	case ABORT:
		connection_abort(connection);
		/* Still there, until the pass is over. */
		send_frame(body, length);
		break;
	}
}

static void on_bad_length(void *owner, uint32_t length)
{
	(void)owner;
	wrong_length = length;
	connection_finish(connection, 50);
}

static void on_drained(void *owner)
{
	(void)owner;
	ck_assert(!connection_congested(connection));
	drains++;
}

static void on_ended(void *owner, size_t cut_bytes)
{
	(void)owner;
	ends++;
	cut = cut_bytes;
}

static void on_closed(void *owner)
{
	(void)owner;
	closes++;
}

static const struct connection_events events = {
	.frame = on_frame,
	.bad_length = on_bad_length,
	.drained = on_drained,
	.ended = on_ended,
	.closed = on_closed,
};

static void start(void)
{
	int pair[2];

	ck_assert_int_eq(loop_init(&loop, &config), 0);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	connection = connection_create(&loop, pair[0], &events, &loop);
	ck_assert_ptr_nonnull(connection);
	peer = pair[1];
}

static void finish(void)
{
	connections_abort(&loop);
	connections_settle(&loop);
	ck_assert_uint_eq(closes, 1);
	ck_assert_uint_eq(loop.connection_count, 0);
	close_fd(peer);
	loop_finish(&loop);
}

static void put(const void *data, size_t size)
{
	ck_assert_int_eq(send(peer, data, size, MSG_NOSIGNAL), (ssize_t)size);
}

static void do_nothing(struct task *task)
{
	(void)task;
}

/* A pass that does not wait for events. */
static void pass(void)
{
	static struct task nothing;

	task_init(&nothing, do_nothing);
	task_schedule(&nothing, &loop);
	loop_pass(&loop);
}

/* What the peer can read now, at most size bytes. */
static size_t get(void *data, size_t size)
{
	ssize_t count = recv(peer, data, size, MSG_DONTWAIT);

	return count > 0 ? (size_t)count : 0;
}

START_TEST(echoes)
{
	uint8_t reply[16];

	put("\3\0\0\0abc\1\0", 9);
	loop_pass(&loop);
	ck_assert_uint_eq(frames, 1);
	ck_assert_uint_eq(get(reply, sizeof(reply)), 7);
	ck_assert_mem_eq(reply, "\3\0\0\0abc", 7);
	put("\0\0d", 3);
	loop_pass(&loop);
	ck_assert_uint_eq(frames, 2);
	/* Written at once: nothing was in its way. */
	ck_assert_uint_eq(get(reply, sizeof(reply)), 5);
	ck_assert_uint_eq(loop.counters.frames_received, 2);
	ck_assert_uint_eq(loop.counters.bytes_received, 12);
	ck_assert_uint_eq(loop.counters.bytes_sent, 12);
}
END_TEST

START_TEST(wrong_lengths)
{
	wrong_length = 7;
	put("\0\0\0\0\1\0\0\0x", 9);
	loop_pass(&loop);
	ck_assert_uint_eq(wrong_length, 0);
	ck_assert_uint_eq(frames, 0);
	/* Its owner has ended it, and needs not be told. */
	ck_assert_uint_eq(ends, 0);
	while (closes == 0)
		loop_pass(&loop);
}
END_TEST

START_TEST(ends_within_a_frame)
{
	put("\3\0\0\0ab", 6);
	peer = close_fd(peer);
	while (closes == 0)
		loop_pass(&loop);
	ck_assert_uint_eq(ends, 1);
	ck_assert_uint_eq(cut, 6);
}
END_TEST

START_TEST(finished_by_its_owner)
{
	uint8_t reply[16];

	behaviour = FINISH;
	put("\1\0\0\0x\1\0\0\0y", 10);
	loop_pass(&loop);
	ck_assert_uint_eq(frames, 1);
	ck_assert_uint_eq(get(reply, sizeof(reply)), 5);
	/* Our side is shut; the peer's end is waited for. */
	ck_assert_int_eq(recv(peer, reply, 1, 0), 0);
	ck_assert_uint_eq(closes, 0);
	peer = close_fd(peer);
	loop_pass(&loop);
	ck_assert_uint_eq(closes, 1);
	ck_assert_uint_eq(ends, 0);
}
END_TEST

/* A peer that does not end its side is cut off. */
START_TEST(finished_and_lingering)
{
	uint64_t before = monotonic_ns();

	behaviour = FINISH;
	put("\1\0\0\0x", 5);
	while (closes == 0)
		loop_pass(&loop);
	ck_assert_uint_ge(monotonic_ns() - before, 49000000);
}
END_TEST

START_TEST(aborted_within_a_handler)
{
	behaviour = ABORT;
	put("\1\0\0\0x\1\0\0\0y", 10);
	loop_pass(&loop);
	ck_assert_uint_eq(frames, 1);
	ck_assert_uint_eq(ends, 1);
	ck_assert_uint_eq(closes, 1);
}
END_TEST

/* What the owner may do at any time, and what it is told then. */
START_TEST(congestion)
{
	cleanup_free uint8_t *piece = calloc(1, PROVIUM_CHUNK);
	uint64_t queued = 0, received = 0;

	while (!connection_congested(connection)) {
		send_frame(piece, PROVIUM_CHUNK);
		queued += FRAME_HEADER + PROVIUM_CHUNK;
		ck_assert_uint_le(queued, QUEUE_HIGH + 2 * (uint64_t)PROVIUM_CHUNK);
	}
	ck_assert_uint_gt(queued, QUEUE_HIGH);
	connections_settle(&loop);
	ck_assert(connection_congested(connection));
	/* What comes meanwhile is not looked at. */
	put("\1\0\0\0x", 5);
	for (int i = 0; i < 3; i++) {
		behaviour = KEEP;
		received += get(piece, 10000);
		pass();
	}
	ck_assert_uint_eq(frames, 0);
	ck_assert_uint_eq(drains, 0);
	while (drains == 0) {
		received += get(piece, PROVIUM_CHUNK);
		pass();
	}
	ck_assert_uint_lt(connections_queued(&loop), QUEUE_LOW);
	pass();
	ck_assert_uint_eq(frames, 1);
	while (received < queued) {
		received += get(piece, PROVIUM_CHUNK);
		pass();
	}
	ck_assert_uint_eq(received, queued);
	ck_assert_uint_eq(drains, 1);
}
END_TEST

/* The loop wakes though it neither reads nor can write; who has ended its sending may read on. */
START_TEST(peer_ends_during_congestion)
{
	cleanup_free uint8_t *piece = calloc(1, PROVIUM_CHUNK);
	uint64_t queued = 0, received = 0;

	for (; !connection_congested(connection); queued += FRAME_HEADER + PROVIUM_CHUNK)
		send_frame(piece, PROVIUM_CHUNK);
	connections_settle(&loop);
	put("\1\0\0\0x", 5);
	ck_assert_int_eq(shutdown(peer, SHUT_WR), 0);
	loop_pass(&loop);
	ck_assert(connection_congested(connection));
	ck_assert_uint_eq(ends, 0);
	behaviour = KEEP;
	while (received < queued) {
		received += get(piece, PROVIUM_CHUNK);
		pass();
	}
	ck_assert_uint_eq(received, queued);
	while (closes == 0)
		loop_pass(&loop);
	ck_assert_uint_eq(frames, 1);
	ck_assert_uint_eq(ends, 1);
}
END_TEST

START_TEST(sends_buffers)
{
	struct buffer *buffer = buffer_pool_take(&loop.pool);
	uint8_t reply[16];

	ck_assert_ptr_nonnull(buffer);
	memcpy(buffer->data + BULK_GAP, "\3\0\0\0abc", 7);
	buffer->end = BULK_GAP + 7;
	connection_send_buffer(connection, buffer);
	connections_settle(&loop);
	ck_assert_uint_eq(get(reply, sizeof(reply)), 7);
	ck_assert_mem_eq(reply, "\3\0\0\0abc", 7);
	/* After the end it is taken all the same. */
	connection_abort(connection);
	connection_send_buffer(connection, buffer_pool_take(&loop.pool));
	connections_settle(&loop);
	ck_assert_uint_eq(loop.pool.count, 1);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("agent: a connection's bytes");
	TCase *tcase = unit_counted_case("connection");

	tcase_add_checked_fixture(tcase, start, finish);
	tcase_add_test(tcase, echoes);
	tcase_add_test(tcase, wrong_lengths);
	tcase_add_test(tcase, ends_within_a_frame);
	tcase_add_test(tcase, finished_by_its_owner);
	tcase_add_test(tcase, finished_and_lingering);
	tcase_add_test(tcase, aborted_within_a_handler);
	tcase_add_test(tcase, congestion);
	tcase_add_test(tcase, peer_ends_during_congestion);
	tcase_add_test(tcase, sends_buffers);
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
