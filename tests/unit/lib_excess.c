/*
 * Agents that never stop: whatever it is that they send, the call that waits ends by its deadline
 * or with an error, and what the library holds meanwhile has a bound. More of it, with output and
 * files, is in lib_hostile.c.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "alloc_seam.h"
#include "common/util.h"
#include "host/lib/connection.h"
#include "lib_fake.h"
#include "unit.h"

/* What a call of these tests waits. */
#define PATIENCE_MS 300

static struct fake fake;

/* A message with this id, or none, that is sent for ever; body and its member are set. */
static void send_for_ever(struct fake *agent, Provium__V1__Message *message, uint32_t id)
{
	message->has_id = id != 0;
	message->id = id;
	for (;;)
		fake_send(agent, message);
}

static void kernel_event(Provium__V1__KernelEvent *event, char *text, size_t size)
{
	provium__v1__kernel_event__init(event);
	event->kind = PROVIUM__V1__KERNEL_EVENT_KIND__KERNEL_WARNING;
	memset(text, 'x', size);
	event->text = (ProtobufCBinaryData){ size, (uint8_t *)text };
}

static void endless_events_script(struct fake *agent)
{
	static char text[KIB(64)];
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__KernelEvent event;

	fake_ready(agent);
	fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_PING);
	kernel_event(&event, text, sizeof(text));
	message.body_case = PROVIUM__V1__MESSAGE__BODY_KERNEL_EVENT;
	message.kernel_event = &event;
	for (;;) {
		event.number++;
		fake_send(agent, &message);
	}
}

/* As many of the longest kind as are kept would fill a gigabyte. */
static void giant_event_script(struct fake *agent)
{
	static char text[MIB(15)];
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__KernelEvent event;

	fake_ready(agent);
	fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_PING);
	kernel_event(&event, text, sizeof(text));
	event.number = 1;
	message.body_case = PROVIUM__V1__MESSAGE__BODY_KERNEL_EVENT;
	message.kernel_event = &event;
	fake_send(agent, &message);
	fake_expect_end(agent);
}

static void endless_worker_ends_script(struct fake *agent)
{
	static char reason[KIB(32)];
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__WorkerExited exited = PROVIUM__V1__WORKER_EXITED__INIT;

	fake_ready(agent);
	fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_PING);
	memset(reason, 'x', sizeof(reason) - 1);
	exited.worker = 1;
	exited.reason = reason;
	message.body_case = PROVIUM__V1__MESSAGE__BODY_WORKER_EXITED;
	message.worker_exited = &exited;
	send_for_ever(agent, &message, 0);
}

/* Final and other replies to requests that are not there. */
static void endless_strays_script(struct fake *agent)
{
	uint32_t id;

	fake_ready(agent);
	fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_PING);
	for (id = agent->id + 1;; id++) {
		fake_pong(agent, id);
		fake_error(agent, id, PROVIUM__V1__ERROR_CODE__ERROR_OS, 5, "EIO", "read", "no");
		fake_output(agent, id, PROVIUM__V1__STREAM__STREAM_STDOUT, 77, "x", 1);
		fake_result(agent, id, 1, 2, 3);
	}
}

static void endless_readies_script(struct fake *agent)
{
	Provium__V1__Message message;
	Provium__V1__Ready ready;

	fake_ready(agent);
	fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_PING);
	fake_ready_message(&message, &ready);
	send_for_ever(agent, &message, 0);
}

/* Messages of no body at all, with the request's own id. */
static void endless_nothing_script(struct fake *agent)
{
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;

	fake_ready(agent);
	fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_PING);
	send_for_ever(agent, &message, agent->id);
}

/* A frame that is never whole: a byte now and then is no progress of the call. */
static void trickle_script(struct fake *agent)
{
	uint8_t header[FRAME_HEADER];

	fake_ready(agent);
	fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_PING);
	frame_put_header(header, 16u << 20);
	fake_send_bytes(agent, header, sizeof(header));
	for (;;) {
		fake_send_bytes(agent, "x", 1);
		usleep(1000);
	}
}

/* The last one before the library is done with it: an ERROR without end to its name. */
static void giant_error_script(struct fake *agent)
{
	static char text[MIB(4)];

	fake_ready(agent);
	fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_PING);
	memset(text, 'x', sizeof(text) - 1);
	fake_error(agent, 0, PROVIUM__V1__ERROR_CODE__ERROR_OS, 5, text, text, text);
	fake_expect_end(agent);
}

static const struct {
	fake_script script;
	enum provium_code code;
	/* Bytes that the library may hold at most. */
	size_t peak;
	const char *text;
} pings[] = {
	/* 64 of them are kept. */
	{ endless_events_script, PROVIUM_TIMED_OUT, MIB(6), "timed out" },
	{ giant_event_script, PROVIUM_PROTOCOL, MIB(50), "kernel event of 15728640 bytes" },
	/* 256 of them, of which the reason is cut. */
	{ endless_worker_ends_script, PROVIUM_TIMED_OUT, MIB(1), "timed out" },
	{ endless_strays_script, PROVIUM_TIMED_OUT, MIB(1), "timed out" },
	{ endless_readies_script, PROVIUM_TIMED_OUT, MIB(1), "timed out" },
	{ endless_nothing_script, PROVIUM_TIMED_OUT, MIB(1), "timed out" },
	{ trickle_script, PROVIUM_TIMED_OUT, MIB(1), "timed out" },
	{ giant_error_script, PROVIUM_GUEST, MIB(50), "xxx" },
};

START_TEST(test_ping)
{
	struct provium_connection *connection = fake_connect(&fake, pings[_i].script);
	uint64_t start = monotonic_ns();
	int timeout_ms = pings[_i].code == PROVIUM_TIMED_OUT ? PATIENCE_MS : 10000;

	alloc_reset();
	ck_assert_int_eq(provium_ping(connection, timeout_ms, &error), -1);
	check_error(pings[_i].code, pings[_i].text);
	ck_assert_uint_lt(alloc_counts.peak, pings[_i].peak);
	ck_assert_uint_lt(monotonic_ns() - start, UINT64_C(5000000000));
	/* It has come to that, and not to nothing. */
	ck_assert_uint_gt(alloc_counts.calls, 0);
	provium_connection_free(connection);
	fake_finish(&fake);
}
END_TEST

/* ------------------------------------------------------------------------------------------- */
/* Streams of a request's own */

static void endless_entries_script(struct fake *agent)
{
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__DirEntries body = PROVIUM__V1__DIR_ENTRIES__INIT;
	Provium__V1__DirEntry entry = PROVIUM__V1__DIR_ENTRY__INIT;
	Provium__V1__DirEntry *entries[256];

	fake_ready(agent);
	fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_LIST_DIR);
	entry.name = (ProtobufCBinaryData){ 4, (uint8_t *)"name" };
	for (size_t i = 0; i < ARRAY_SIZE(entries); i++)
		entries[i] = &entry;
	body.entries = entries;
	body.n_entries = ARRAY_SIZE(entries);
	message.body_case = PROVIUM__V1__MESSAGE__BODY_DIR_ENTRIES;
	message.dir_entries = &body;
	send_for_ever(agent, &message, agent->id);
}

static int count_entry(void *user, const struct provium_dir_entry *entry)
{
	(void)entry;
	++*(size_t *)user;
	return 0;
}

static int list(struct provium_connection *connection)
{
	size_t count = 0;
	int result = provium_list_dir(connection, "/", count_entry, &count, PATIENCE_MS, &error);

	ck_assert_uint_gt(count, 256);
	return result;
}

/* More is acknowledged than was sent. */
static void endless_acks_script(struct fake *agent)
{
	uint32_t id;

	fake_ready(agent);
	fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_WRITE_FILE);
	id = agent->id;
	for (uint64_t bytes = 0;; bytes += 1000000)
		fake_ack(agent, id, bytes);
}

static int write_file(struct provium_connection *connection)
{
	static char content[MIB(4)];

	return provium_write_file_memory(connection, "/x", NULL, content, sizeof(content), 5000,
					 &error);
}

static void endless_calls_script(struct fake *agent)
{
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__CallStarted started = PROVIUM__V1__CALL_STARTED__INIT;

	fake_ready(agent);
	fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_SYSCALL);
	message.body_case = PROVIUM__V1__MESSAGE__BODY_CALL_STARTED;
	message.call_started = &started;
	send_for_ever(agent, &message, agent->id);
}

static int make_call(struct provium_connection *connection)
{
	int64_t result;

	return provium_syscall(connection, 39, NULL, 0, 5000, &result, &error);
}

/* Each of them would be a job. */
static void many_jobs_script(struct fake *agent)
{
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__JobListResult body = PROVIUM__V1__JOB_LIST_RESULT__INIT;
	Provium__V1__JobEntry entry = PROVIUM__V1__JOB_ENTRY__INIT;
	static Provium__V1__JobEntry *entries[1000000];

	fake_ready(agent);
	fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_JOB_LIST);
	entry.running = true;
	for (size_t i = 0; i < ARRAY_SIZE(entries); i++)
		entries[i] = &entry;
	body.jobs = entries;
	body.n_jobs = ARRAY_SIZE(entries);
	message.has_id = true;
	message.id = agent->id;
	message.body_case = PROVIUM__V1__MESSAGE__BODY_JOB_LIST_RESULT;
	message.job_list_result = &body;
	fake_send(agent, &message);
	fake_expect_end(agent);
}

static int list_jobs(struct provium_connection *connection)
{
	struct provium_jobs jobs;

	return provium_job_list(connection, 10000, &jobs, &error);
}

static const struct {
	fake_script script;
	int (*call)(struct provium_connection *connection);
	enum provium_code code;
	size_t peak;
	const char *text;
} streams[] = {
	{ endless_entries_script, list, PROVIUM_TIMED_OUT, MIB(1), "timed out" },
	{ endless_acks_script, write_file, PROVIUM_PROTOCOL, MIB(8), "protocol" },
	{ endless_calls_script, make_call, PROVIUM_PROTOCOL, MIB(1), "protocol" },
	{ many_jobs_script, list_jobs, PROVIUM_PROTOCOL, MIB(64), "too much memory" },
};

START_TEST(test_stream)
{
	struct provium_connection *connection = fake_connect(&fake, streams[_i].script);
	uint64_t start = monotonic_ns();

	alloc_reset();
	ck_assert_int_eq(streams[_i].call(connection), -1);
	check_error(streams[_i].code, streams[_i].text);
	ck_assert_uint_lt(alloc_counts.peak, streams[_i].peak);
	ck_assert_uint_lt(monotonic_ns() - start, UINT64_C(5000000000));
	provium_connection_free(connection);
	fake_finish(&fake);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("lib-excess");
	TCase *tcase = unit_counted_case("excess");

	tcase_set_timeout(tcase, 60);
	tcase_add_loop_test(tcase, test_ping, 0, ARRAY_SIZE(pings));
	tcase_add_loop_test(tcase, test_stream, 0, ARRAY_SIZE(streams));
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
