/* Readers that are slow, and work that never ends: memory is bounded and others have their turn. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/connection.h"
#include "agent_harness.h"
#include "common/util.h"
#include "proto/limits.h"
#include "unit.h"

/* What a queue holds at most: the limit, and one chunk that was begun below it. */
#define QUEUE_MOST (QUEUE_HIGH + PROVIUM_CHUNK + 1024)

/* The second client, which is slow. */
static struct client slow;

static void start(void)
{
	agent_start_connected();
	client_connect(&slow);
}

static void stop(void)
{
	client_close(&slow);
	agent_stop_connected();
}

static uint32_t send_read(struct client *to, const char *name)
{
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__ReadFile body = PROVIUM__V1__READ_FILE__INIT;

	body.has_path = true;
	body.path = bytes_of(name);
	message.body_case = BODY(READ_FILE);
	message.read_file = &body;
	return client_send(to, &message);
}

static uint64_t queued(void)
{
	return client_info(&client).queued_bytes;
}

/* Waits until the queue no longer changes, and returns what it holds. */
static uint64_t queued_at_rest(void)
{
	uint64_t before, now = queued();

	do {
		before = now;
		usleep(100000);
		now = queued();
	} while (now != before);
	return now;
}

START_TEST(unread_output)
{
	uint32_t id = client_shell(&slow, "yes");
	uint64_t held;
	struct outcome outcome;

	eventually(queued() > QUEUE_LOW);
	held = queued_at_rest();
	ck_assert_uint_gt(held, QUEUE_LOW);
	ck_assert_uint_le(held, QUEUE_MOST);
	/* The other connection has no part in it. */
	client_run(&client, "echo beside", &outcome);
	outcome_expect(&outcome, "beside\n", "");
	outcome_free(&outcome);
	/* It goes on when it is read. */
	for (uint64_t received = 0; received < MIB(20);) {
		const Provium__V1__Output *output = client_expect(&slow, BODY(OUTPUT))->output;

		ck_assert_uint_eq(output->offset, received);
		received += output->data.len;
	}
	client_cancel(&slow, id);
}
END_TEST

START_TEST(unread_output_of_many)
{
	for (int i = 0; i < 20; i++)
		client_shell(&slow, "yes; yes >&2");
	eventually(queued() > QUEUE_LOW);
	ck_assert_uint_le(queued_at_rest(), QUEUE_MOST);
}
END_TEST

START_TEST(unread_file)
{
	send_read(&slow, "/dev/zero");
	eventually(queued() > QUEUE_LOW);
	ck_assert_uint_le(queued_at_rest(), QUEUE_MOST);
	for (uint64_t received = 0; received < MIB(20);) {
		const Provium__V1__FileData *data =
			client_expect(&slow, BODY(FILE_DATA))->file_data;

		ck_assert_uint_eq(data->offset, received);
		received += data->data.len;
	}
}
END_TEST

/* The result of a command that ended long ago comes after all of its output. */
START_TEST(end_behind_unread_output)
{
	uint32_t id = client_shell(&slow, "seq 1 1000000; echo end >&2; exit 3");
	struct outcome outcome;

	eventually(queued() > QUEUE_LOW);
	usleep(300000);
	client_collect(&slow, id, &outcome);
	outcome_expect_exit(&outcome, 3);
	ck_assert(!outcome.result.pipes_held);
	ck_assert_uint_eq(outcome.size[0], 6888896);
	ck_assert_uint_eq(outcome.size[1], 4);
	outcome_free(&outcome);
}
END_TEST

/* The leader has ended with output unread, and something else holds the pipe. */
START_TEST(tail_behind_unread_output)
{
	uint32_t filler = send_read(&slow, "/dev/zero");
	uint32_t id = client_shell(&slow, "sleep 5 & seq 1 10000"), cancel;
	uint64_t size = 0;

	eventually(queued() > QUEUE_LOW);
	usleep(400000);
	cancel = client_cancel(&slow, filler);
	for (;;) {
		const Provium__V1__Message *message = client_receive(&slow);

		ck_assert_ptr_nonnull(message);
		if (message->id == filler || message->id == cancel)
			continue;
		ck_assert_uint_eq(message->id, id);
		if (message->body_case == BODY(OUTPUT)) {
			size += message->output->data.len;
			continue;
		}
		ck_assert_int_eq(message->body_case, BODY(EXEC_RESULT));
		ck_assert(message->exec_result->pipes_held);
		break;
	}
	ck_assert_uint_eq(size, 48894);
}
END_TEST

/* Requests whose replies nobody reads are not taken either. */
START_TEST(unread_replies)
{
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__Ping ping = PROVIUM__V1__PING__INIT;
	static uint8_t payload[KIB(32)], frame[KIB(33)];
	unsigned int sent = 0, received = 0;
	size_t size, at = 0;

	message.has_id = true;
	message.id = 1;
	message.body_case = BODY(PING);
	message.ping = &ping;
	ping.has_payload = true;
	ping.payload = (ProtobufCBinaryData){ sizeof(payload), payload };
	size = message_frame_size(&message);
	message_frame_pack(&message, size, frame);
	/* Until our own side is full for good. */
	for (;;) {
		struct pollfd poll_fd = { .fd = slow.fd, .events = POLLOUT };
		ssize_t count;

		if (poll(&poll_fd, 1, 500) == 0)
			break;
		count = send(slow.fd, frame + at, size - at, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (count < 0 && errno == EAGAIN)
			continue;
		ck_assert_int_gt(count, 0);
		at += (size_t)count;
		if (at == size) {
			sent++;
			at = 0;
			ck_assert_uint_lt(sent, 1000);
		}
	}
	ck_assert_uint_le(queued(), QUEUE_HIGH + 2 * size);
	for (; received < sent - 1; received++)
		client_expect(&slow, BODY(PONG));
	client_send_bytes(&slow, frame + at, size - at);
	client_expect(&slow, BODY(PONG));
	client_expect(&slow, BODY(PONG));
	eventually(queued() == 0);
}
END_TEST

/* Commands are killed and everything is freed where a connection ends with its queue full. */
START_TEST(vanish_behind_unread_output)
{
	client_shell(&slow, "yes");
	send_read(&slow, "/dev/zero");
	eventually(queued() > QUEUE_LOW);
	client_close(&slow);
	eventually(client_info(&client).connections == 1);
	eventually(client_info(&client).commands_running == 0);
	ck_assert_uint_eq(queued(), 0);
	client_connect(&slow);
}
END_TEST

/* A host that has shut its sending side and reads nothing is cut off. */
START_TEST(half_closed_behind_unread_output)
{
	client_shell(&slow, "yes");
	eventually(queued() > QUEUE_LOW);
	queued_at_rest();
	shutdown(slow.fd, SHUT_WR);
	/* Nothing is read of it, so its end is noticed when the queue has room again. */
	while (client_receive(&slow))
		;
	eventually(client_info(&client).commands_running == 0);
}
END_TEST

/* One that has ended its side and reads nothing does not stay for ever. */
START_TEST(half_closed_and_never_read)
{
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__Ping ping = PROVIUM__V1__PING__INIT;
	static uint8_t payload[PROVIUM_MAX_PING];
	uint64_t start = monotonic_ns();

	message.body_case = BODY(PING);
	message.ping = &ping;
	ping.has_payload = true;
	ping.payload = (ProtobufCBinaryData){ sizeof(payload), payload };
	/* More than the socket takes, and less than makes it congested. */
	for (int i = 0; i < 10; i++) {
		message.has_id = false;
		client_send(&slow, &message);
	}
	eventually(queued() > KIB(64));
	shutdown(slow.fd, SHUT_WR);
	eventually(client_info(&client).connections == 1);
	ck_assert_uint_ge((monotonic_ns() - start) / 1000000, CLOSING_LINGER - 100);
}
END_TEST

START_TEST(many_pings)
{
	enum {
		COUNT = 100000,
		BATCH = 500
	};
	Provium__V1__InfoResult before, after;
	size_t resident;

	/* Warm: what is kept for good is there. */
	for (int i = 0; i < BATCH; i++)
		client_ping(&client);
	before = client_info(&client);
	resident = resident_bytes();
	for (int i = 0; i < COUNT / BATCH; i++) {
		Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
		Provium__V1__Ping ping = PROVIUM__V1__PING__INIT;
		uint32_t first = client.last_id + 1;

		message.body_case = BODY(PING);
		message.ping = &ping;
		for (int n = 0; n < BATCH; n++) {
			message.has_id = false;
			client_send(&client, &message);
		}
		for (uint32_t n = 0; n < BATCH; n++) {
			const Provium__V1__Message *reply = client_receive(&client);

			if (!reply || reply->body_case != BODY(PONG) || reply->id != first + n)
				ck_abort_msg("PING %u is lost", first + n);
		}
	}
	after = client_info(&client);
	ck_assert_uint_eq(after.frames_received, before.frames_received + COUNT + 1);
	ck_assert_uint_eq(after.open_fds, before.open_fds);
	if (!WITH_ADDRESS_SANITIZER)
		ck_assert_uint_le(resident_bytes(), resident + KIB(256));
}
END_TEST

/* 1 GiB, an eighth under the sanitizers, out and in, with no more memory than little. */
START_TEST(much_data)
{
	const uint64_t size = WITH_ADDRESS_SANITIZER ? MIB(128) : MIB(1024);
	uint32_t id = client_shell(&client, "exec head -c 1G /dev/zero");
	uint64_t received = 0;
	size_t resident;

	/* By then both ends have made their buffers. */
	while (received < size / 8)
		received += client_expect(&client, BODY(OUTPUT))->output->data.len;
	resident = resident_bytes();
	while (received < size)
		received += client_expect(&client, BODY(OUTPUT))->output->data.len;
	client_cancel(&client, id);
	if (!WITH_ADDRESS_SANITIZER)
		ck_assert_uint_le(resident_bytes(), resident + MIB(2));
}
END_TEST

/* A long file keeps nobody waiting: others get their answers between its chunks. */
START_TEST(turns)
{
	uint32_t id = send_read(&client, "/dev/zero");
	struct outcome outcome;

	for (int i = 0; i < 5; i++) {
		client_run(&slow, "echo quick", &outcome);
		outcome_expect(&outcome, "quick\n", "");
		outcome_free(&outcome);
		for (int n = 0; n < 20; n++)
			ck_assert_uint_eq(client_expect(&client, BODY(FILE_DATA))->id, id);
	}
}
END_TEST

static Suite *pressure_suite(void)
{
	Suite *suite = suite_create("agent: pressure");
	TCase *tcase = unit_counted_case("two clients");

	tcase_add_checked_fixture(tcase, start, stop);
	tcase_add_test(tcase, unread_output);
	tcase_add_test(tcase, unread_output_of_many);
	tcase_add_test(tcase, unread_file);
	tcase_add_test(tcase, end_behind_unread_output);
	tcase_add_test(tcase, tail_behind_unread_output);
	tcase_add_test(tcase, unread_replies);
	tcase_add_test(tcase, vanish_behind_unread_output);
	tcase_add_test(tcase, half_closed_behind_unread_output);
	tcase_add_test(tcase, many_pings);
	tcase_add_test(tcase, much_data);
	tcase_add_test(tcase, turns);
	tcase_add_test(tcase, half_closed_and_never_read);
	tcase_set_timeout(tcase, 120);
	suite_add_tcase(suite, tcase);
	return suite;
}

int main(void)
{
	return unit_run(pressure_suite());
}
