/*
 * A whole session with the agent's part of it cut at every byte, with every byte flipped, with
 * sockets that move little at a time, and without memory at every allocation. Whatever comes, each
 * call ends with a result or with an error that says something, and nothing is left behind.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "alloc_seam.h"
#include "common/util.h"
#include "host/lib/connection.h"
#include "lib_fake.h"
#include "unit.h"

static struct fake fake;

/* Milliseconds that a call of the session waits. */
static int patience = 10000;

/* ------------------------------------------------------------------------------------------- */
/* The session */

static void jobs_script(struct fake *agent)
{
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__JobListResult list = PROVIUM__V1__JOB_LIST_RESULT__INIT;
	Provium__V1__JobEntry entry = PROVIUM__V1__JOB_ENTRY__INIT;
	Provium__V1__JobEntry *entries[] = { &entry };
	Provium__V1__ExecResult end;
	Provium__V1__Rusage rusage;

	fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_EXEC_ASYNC);
	fake_job_started(agent, 0, 1, 42);
	fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_JOB_LIST);
	entry.job = 1;
	entry.has_name = true;
	entry.name = (ProtobufCBinaryData){ 3, (uint8_t *)"job" };
	entry.running = true;
	list.n_jobs = 1;
	list.jobs = entries;
	message.has_id = true;
	message.id = agent->id;
	message.body_case = PROVIUM__V1__MESSAGE__BODY_JOB_LIST_RESULT;
	message.job_list_result = &list;
	fake_send(agent, &message);
	fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_JOB_WAIT);
	fake_output(agent, 0, PROVIUM__V1__STREAM__STREAM_STDOUT, 0, "out", 3);
	fake_result_init(&end, &rusage, 0, 3, 0);
	fake_job_result(agent, 0, 1, &end, 0);
}

static void session_script(struct fake *agent)
{
	uint32_t command;

	fake_ready(agent);
	fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_PING);
	fake_pong(agent, 0);

	fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_EXEC);
	command = agent->id;
	fake_output(agent, command, PROVIUM__V1__STREAM__STREAM_STDOUT, 0, "out", 3);
	fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_STDIN_DATA);
	fake_ok(agent, 0, 5);
	fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_STDIN_DATA);
	fake_ok(agent, 0, 0);
	fake_output(agent, command, PROVIUM__V1__STREAM__STREAM_STDERR, 0, "err", 3);
	fake_result(agent, command, 3, 3, 3);

	fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_EXEC);
	fake_output(agent, 0, PROVIUM__V1__STREAM__STREAM_STDOUT, 0, "out", 3);
	fake_output(agent, 0, PROVIUM__V1__STREAM__STREAM_STDERR, 0, "err", 3);
	fake_result(agent, 0, 0, 3, 3);

	fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_READ_FILE);
	fake_data(agent, 0, 0, "data", 4);
	fake_ok(agent, 0, 4);

	fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_READ_FILE);
	fake_error(agent, 0, PROVIUM__V1__ERROR_CODE__ERROR_OS, 2, "ENOENT", "open", "no such");

	fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_WRITE_FILE);
	while (!fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_WRITE_DATA)->write_data->last)
		fake_ack(agent, 0, 5);
	fake_ok(agent, 0, 5);
	jobs_script(agent);
	fake_expect_end(agent);
}

static void check_failure(void)
{
	ck_assert_int_ne(error.code, PROVIUM_OK);
	ck_assert_uint_gt(strlen(error.message), 0);
	ck_assert_uint_lt(strlen(error.message), PROVIUM_MESSAGE_SIZE);
	ck_assert_ptr_nonnull(provium_code_name(error.code));
}

static int run_command(struct provium_connection *connection)
{
	const char *const argv[] = { "cat", NULL };
	const char *const env[] = { "A=1", NULL };
	const struct provium_exec_options options = {
		.argv = argv,
		.env = env,
		.stdin_kind = PROVIUM_STDIN_STREAM,
	};
	struct provium_exec_result result;
	struct provium_exec *exec;
	int rc;

	if (provium_exec_start(connection, &options, &exec, &error) < 0)
		return -1;
	rc = provium_exec_write(exec, "input", 5, patience, &error);
	if (rc == 0)
		rc = provium_exec_close_stdin(exec, &error);
	if (rc == 0)
		rc = provium_exec_wait(exec, patience, &result, &error);
	provium_exec_free(exec);
	return rc;
}

static int run_to_end(struct provium_connection *connection)
{
	const struct provium_exec_options options = { .shell = "true" };
	struct provium_exec_result result;
	struct provium_buffer out;
	struct provium_buffer err;

	if (provium_exec_run(connection, &options, 10, patience, &result, &out, &err, &error) < 0)
		return -1;
	free(out.data);
	free(err.data);
	return 0;
}

static int ignore_output(void *user, enum provium_stream stream, uint64_t offset, const void *data,
			 size_t size)
{
	(void)user;
	(void)stream;
	(void)offset;
	(void)data;
	(void)size;
	return 0;
}

static int run_job(struct provium_connection *connection)
{
	static const struct provium_rlimit rlimit = { 7, 1, 1 };
	const struct provium_exec_options options = {
		.shell = "true",
		.rlimits = &rlimit,
		.n_rlimits = 1,
	};
	const struct provium_job_wait_options wait = { .on_output = ignore_output };
	struct provium_job_ref ref = { .name = NULL };
	struct provium_jobs jobs;

	if (provium_job_start(connection, &options, NULL, patience, &ref.number, NULL, &error) <
		    0 ||
	    provium_job_list(connection, patience, &jobs, &error) < 0)
		return -1;
	provium_job_list_free(&jobs);
	return provium_job_wait(connection, &ref, &wait, patience, NULL, &error);
}

/* 0: everything went well. -1: something failed, as error says. */
static int host_session(struct provium_connection *connection)
{
	struct provium_buffer content;

	if (provium_ping(connection, patience, &error) < 0 || run_command(connection) < 0 ||
	    run_to_end(connection) < 0)
		return -1;
	if (provium_read_file_memory(connection, "/x", 10, patience, &content, &error) < 0)
		return -1;
	free(content.data);
	if (provium_read_file_memory(connection, "/none", 10, patience, &content, &error) == 0) {
		free(content.data);
		return -1;
	}
	if (error.code != PROVIUM_GUEST)
		return -1;
	if (provium_write_file_memory(connection, "/x", NULL, "write", 5, patience, &error) < 0)
		return -1;
	return run_job(connection);
}

static int session(void)
{
	int fd = fake_start(&fake, session_script);
	struct provium_connection *connection;
	int rc;

	memset(&error, 0, sizeof(error));
	rc = provium_connect_fd(fd, patience, &connection, &error);
	if (rc == 0)
		rc = host_session(connection);
	if (rc < 0)
		check_failure();
	provium_connection_free(connection);
	fake_finish(&fake);
	return rc;
}

START_TEST(test_whole)
{
	check_ok(session());
}
END_TEST

/* How many bytes the agent sends in a whole session. */
static size_t session_size(void)
{
	size_t *total = mmap(NULL, sizeof(*total), PROT_READ | PROT_WRITE,
			     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	size_t size;

	ck_assert_ptr_ne(total, MAP_FAILED);
	fake = (struct fake){ .total = total };
	check_ok(session());
	size = *total;
	munmap(total, sizeof(*total));
	ck_assert_uint_gt(size, 200);
	return size;
}

START_TEST(test_cut_at_every_byte)
{
	size_t size = session_size();

	for (size_t at = 1; at < size; at++) {
		fake = (struct fake){ .cut_after = at, .lenient = true };
		ck_assert_int_eq(session(), -1);
		/* The agent's end is told as such, not as a timeout. */
		ck_assert_int_eq(error.code, PROVIUM_DISCONNECTED);
	}
	fake = (struct fake){ .cut_after = size, .lenient = true };
	check_ok(session());
}
END_TEST

/* A length that has become greater is waited for in vain. */
START_TEST(test_flip_every_byte)
{
	size_t size = session_size();

	patience = 60;
	for (size_t at = 1; at <= size; at++) {
		fake = (struct fake){ .flip_at = at, .lenient = true };
		session();
	}
}
END_TEST

/*
 * After the connection is made, since the fake agent is forked before: allocation number N fails,
 * for each N there is.
 */
START_TEST(test_no_memory)
{
	for (size_t at = 0;; at++) {
		int fd;
		struct provium_connection *connection;
		int rc;

		fake = (struct fake){ .lenient = true };
		fd = fake_start(&fake, session_script);
		alloc_reset();
		alloc_fail_after(at);
		rc = provium_connect_fd(fd, patience, &connection, &error);
		if (rc == 0)
			rc = host_session(connection);
		if (rc < 0)
			check_failure();
		provium_connection_free(connection);
		alloc_fail_never();
		fake_finish(&fake);
		ck_assert_uint_eq(alloc_counts.bytes, 0);
		if (rc == 0) {
			ck_assert_uint_gt(at, 5);
			break;
		}
	}
}
END_TEST

static void reading_script(struct fake *agent)
{
	fake_ready(agent);
	fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_EXEC);
	fake_expect_end(agent);
}

/* A command that the agent cannot be told to end, for want of memory, ends with the connection. */
START_TEST(test_no_memory_to_cancel)
{
	static char input[KIB(200)];
	const struct provium_exec_options options = {
		.shell = "true",
		.input = input,
		.input_size = sizeof(input),
	};
	struct provium_connection *connection;
	struct provium_exec *exec;

	connection = fake_connect(&fake, reading_script);
	check_ok(provium_exec_start(connection, &options, &exec, &error));
	while (provium_connection_wants_write(connection))
		check_ok(provium_connection_dispatch(connection, 10, &error));
	alloc_fail_after(0);
	provium_exec_free(exec);
	alloc_fail_never();
	ck_assert_int_eq(provium_ping(connection, 5000, &error), -1);
	check_error(PROVIUM_HOST, "could not be cancelled: Cannot allocate memory");
	ck_assert_int_eq(provium_connection_fd(connection), -1);
	provium_connection_free(connection);
	fake_finish(&fake);
}
END_TEST

/* ------------------------------------------------------------------------------------------- */
/* Excess */

static size_t drained;

static void count_output(void *user, enum provium_stream stream, const void *data, size_t size)
{
	(void)user;
	(void)stream;
	(void)data;
	drained += size;
}

static void endless_output_script(struct fake *agent)
{
	static uint8_t data[KIB(256)];
	uint64_t offset = 0;
	uint32_t id;

	fake_ready(agent);
	fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_EXEC);
	id = agent->id;
	for (;; offset += sizeof(data))
		fake_output(agent, id, PROVIUM__V1__STREAM__STREAM_STDOUT, offset, data,
			    sizeof(data));
}

/* Output without end: the deadline holds, and memory does not grow. */
START_TEST(test_endless_output)
{
	const char *const argv[] = { "yes", NULL };
	struct provium_exec_options options = { .argv = argv, .on_output = count_output };
	struct provium_connection *connection;
	struct provium_buffer out;
	struct provium_exec *exec;
	uint64_t start = monotonic_ns();

	connection = fake_connect(&fake, endless_output_script);
	alloc_reset();
	check_ok(provium_exec_start(connection, &options, &exec, &error));
	ck_assert_int_eq(provium_exec_wait(exec, 300, NULL, &error), -1);
	check_error(PROVIUM_TIMED_OUT, "timed out");
	ck_assert_uint_gt(drained, MIB(1));
	ck_assert_uint_lt(alloc_counts.peak, MIB(2));
	provium_exec_free(exec);
	provium_connection_free(connection);
	fake_finish(&fake);

	connection = fake_connect(&fake, endless_output_script);
	alloc_reset();
	ck_assert_int_eq(
		provium_exec_run(connection, &options, MIB(1), 300, NULL, &out, NULL, &error), -1);
	check_error(PROVIUM_TIMED_OUT, "timed out");
	ck_assert_uint_lt(alloc_counts.peak, MIB(4));
	provium_connection_free(connection);
	fake_finish(&fake);
	ck_assert_uint_lt(monotonic_ns() - start, 5000000000);
}
END_TEST

static void endless_file_script(struct fake *agent)
{
	static uint8_t data[KIB(256)];
	uint64_t offset = 0;
	uint32_t id;

	fake_ready(agent);
	fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_READ_FILE);
	id = agent->id;
	for (;; offset += sizeof(data))
		fake_data(agent, id, offset, data, sizeof(data));
}

START_TEST(test_endless_file)
{
	struct provium_connection *connection;
	struct provium_buffer content;

	connection = fake_connect(&fake, endless_file_script);
	alloc_reset();
	ck_assert_int_eq(provium_read_file_memory(connection, "/x", MIB(1), 5000, &content, &error),
			 -1);
	check_error(PROVIUM_PROTOCOL, "more data than were asked for");
	ck_assert_uint_lt(alloc_counts.peak, MIB(4));
	provium_connection_free(connection);
	fake_finish(&fake);
}
END_TEST

/* A frame of the greatest length, byte by byte at first: it costs what has come, not more. */
static void slow_giant_script(struct fake *agent)
{
	uint8_t header[FRAME_HEADER];
	static uint8_t data[KIB(64)];

	frame_put_header(header, 16u << 20);
	fake_send_bytes(agent, header, sizeof(header));
	fake_send_bytes(agent, data, sizeof(data));
	fake_expect_end(agent);
}

START_TEST(test_slow_giant)
{
	struct provium_connection *connection;
	int fd = fake_start(&fake, slow_giant_script);

	alloc_reset();
	ck_assert_int_eq(provium_connect_fd(fd, 200, &connection, &error), -1);
	check_error(PROVIUM_TIMED_OUT, "READY");
	ck_assert_uint_lt(alloc_counts.peak, KIB(400));
	fake_finish(&fake);
}
END_TEST

/* xorshift (Marsaglia 2003): the same noise each time. */
static uint32_t next_random(uint32_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return *state;
}

/* Frames in order with noise in them, after a READY in order. */
static void noise_script(struct fake *agent)
{
	uint32_t state = (uint32_t)agent->number;
	uint8_t frame[FRAME_HEADER + 64];

	fake_ready(agent);
	fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_PING);
	for (;;) {
		uint32_t length = next_random(&state) % 64 + 1;

		frame_put_header(frame, length);
		for (uint32_t i = 0; i < length; i++)
			frame[FRAME_HEADER + i] = (uint8_t)next_random(&state);
		/* Half of them begin with an id that is in flight. */
		if (length > 3 && state % 2)
			memcpy(frame + FRAME_HEADER, "\x80\x01\x01", 3);
		fake_send_bytes(agent, frame, FRAME_HEADER + length);
	}
}

START_TEST(test_noise)
{
	for (int seed = 1; seed <= 200; seed++) {
		struct provium_connection *connection;

		fake = (struct fake){ .number = seed };
		connection = fake_connect(&fake, noise_script);
		ck_assert_int_eq(provium_ping(connection, 2000, &error), -1);
		check_failure();
		provium_connection_free(connection);
		fake_finish(&fake);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("lib-hostile");
	TCase *tcase = unit_counted_case("session");

	tcase_set_timeout(tcase, 120);
	tcase_add_test(tcase, test_whole);
	tcase_add_test(tcase, test_cut_at_every_byte);
	tcase_add_test(tcase, test_flip_every_byte);
	tcase_add_test(tcase, test_no_memory);
	tcase_add_test(tcase, test_no_memory_to_cancel);
	suite_add_tcase(suite, tcase);

	tcase = unit_counted_case("excess");
	tcase_set_timeout(tcase, 60);
	tcase_add_test(tcase, test_endless_output);
	tcase_add_test(tcase, test_endless_file);
	tcase_add_test(tcase, test_slow_giant);
	tcase_add_test(tcase, test_noise);
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
