/* Reading and writing files, with agents that keep to the protocol or do not. */
#include "host/include/provium.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/util.h"
#include "lib_file_agent.h"
#include "proto/limits.h"
#include "unit.h"

static struct fake fake;
static struct provium_connection *connection;

static void disconnect(void)
{
	provium_connection_free(connection);
	fake_finish(&fake);
}

static bool is(ProtobufCBinaryData data, const char *text)
{
	return data.len == strlen(text) && memcmp(data.data, text, data.len) == 0;
}

/* ------------------------------------------------------------------------------------------- */
/* Reading */

static void read_script(struct fake *agent)
{
	const Provium__V1__ReadFile *body;

	fake_ready(agent);
	body = fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_READ_FILE)->read_file;
	fake_check(agent, is(body->path, "/etc/x") && !body->has_fd);
	fake_check(agent, body->has_offset == (agent->number > 0));
	fake_check(agent, !body->has_offset || body->offset == 100);
	fake_check(agent, !body->has_offset || (body->has_length && body->length == 6));
	fake_data(agent, 0, body->offset, "abc", 3);
	fake_data(agent, 0, body->offset + 3, "", 0);
	fake_data(agent, 0, body->offset + 3, "def", 3);
	fake_ok(agent, 0, 6);
	fake_expect_end(agent);
}

static int append(void *user, const void *data, size_t size)
{
	strncat(user, data, size);
	return 0;
}

START_TEST(test_read)
{
	const struct provium_read_options options = { .offset = 100, .length = 6 };
	char text[16] = "";
	uint64_t bytes = 0;

	fake.number = _i;
	connection = fake_connect(&fake, read_script);
	check_ok(provium_read_file(connection, "/etc/x", _i ? &options : NULL, append, text, 5000,
				   &bytes, &error));
	ck_assert_str_eq(text, "abcdef");
	ck_assert_uint_eq(bytes, 6);
	disconnect();
}
END_TEST

/* From an fd's own position, with holes told. */
static void holes_script(struct fake *agent)
{
	const Provium__V1__ReadFile *body;

	fake_ready(agent);
	body = fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_READ_FILE)->read_file;
	fake_check(agent, !body->has_path && body->has_fd && body->fd == 5 && body->sparse);
	fake_check(agent, !body->has_offset && body->length == 100);
	file_agent_hole(agent, 0, 50, 40);
	fake_data(agent, 0, 90, "abc", 3);
	file_agent_hole(agent, 0, 93, 7);
	fake_ok(agent, 0, 3);
	body = fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_READ_FILE)->read_file;
	fake_check(agent, body->has_offset && body->offset == 0);
	fake_ok(agent, 0, 0);
	fake_expect_end(agent);
}

static int append_hole(void *user, uint64_t size)
{
	char text[32];

	snprintf(text, sizeof(text), "[%d]", (int)size);
	strcat(user, text);
	return 0;
}

START_TEST(test_read_holes)
{
	struct provium_read_options options = {
		.has_fd = true,
		.fd = 5,
		.length = 100,
		.on_hole = append_hole,
	};
	char text[32] = "";
	uint64_t bytes = 0;

	connection = fake_connect(&fake, holes_script);
	check_ok(provium_read_file(connection, NULL, &options, append, text, 5000, &bytes, &error));
	ck_assert_str_eq(text, "[40]abc[7]");
	ck_assert_uint_eq(bytes, 3);
	options.has_offset = true;
	check_ok(provium_read_file(connection, NULL, &options, append, text, 5000, &bytes, &error));
	/* Both, or neither, say nothing. */
	ck_assert_int_eq(
		provium_read_file(connection, "/x", &options, append, text, 5000, NULL, &error),
		-1);
	check_error(PROVIUM_INVALID, "either a path or a descriptor");
	ck_assert_int_eq(
		provium_read_file(connection, NULL, NULL, append, text, 5000, NULL, &error), -1);
	check_error(PROVIUM_INVALID, "either a path or a descriptor");
	disconnect();
}
END_TEST

static void hole_too_long(struct fake *agent)
{
	file_agent_hole(agent, 0, 0, 101);
}

static void hole_elsewhere(struct fake *agent)
{
	file_agent_hole(agent, 0, 1, 5);
}

static void hole_counted(struct fake *agent)
{
	file_agent_hole(agent, 0, 0, 50);
	fake_ok(agent, 0, 50);
}

static void hole_without_end(struct fake *agent)
{
	fake_data(agent, 0, 0, "abc", 3);
	file_agent_hole(agent, 0, 3, INT64_MAX);
}

static const struct {
	void (*reply)(struct fake *agent);
	const char *why;
	uint64_t length;
} wrong_holes[] = {
	{ hole_too_long, "more data than were asked for", 100 },
	{ hole_elsewhere, "offset 1 where 0", 100 },
	{ hole_counted, "0 bytes came, 50 were sent", 100 },
	{ hole_without_end, "9223372036854775807 bytes at offset 3", 0 },
};

static void wrong_hole_script(struct fake *agent)
{
	fake_ready(agent);
	fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_READ_FILE);
	wrong_holes[agent->number].reply(agent);
	while (fake_receive(agent))
		continue;
}

START_TEST(test_wrong_hole)
{
	const struct provium_read_options options = {
		.length = wrong_holes[_i].length,
		.on_hole = append_hole,
	};
	char text[64] = "";

	fake.number = _i;
	connection = fake_connect(&fake, wrong_hole_script);
	ck_assert_int_eq(
		provium_read_file(connection, "/x", &options, append, text, 5000, NULL, &error),
		-1);
	check_error(PROVIUM_PROTOCOL, wrong_holes[_i].why);
	disconnect();
}
END_TEST

static int stop_at_once(void *user, const void *data, size_t size)
{
	(void)data;
	(void)size;
	(*(int *)user)++;
	return 1;
}

static void stopped_script(struct fake *agent)
{
	uint32_t id;

	fake_ready(agent);
	fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_READ_FILE);
	id = agent->id;
	fake_data(agent, id, 0, "abc", 3);
	fake_data(agent, id, 3, "def", 3);
	fake_check(agent,
		   fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_CANCEL)->cancel->request == id);
	fake_error(agent, id, PROVIUM__V1__ERROR_CODE__ERROR_CANCELLED, 0, NULL, NULL, "ended");
	fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_PING);
	fake_pong(agent, 0);
	fake_expect_end(agent);
}

START_TEST(test_sink_stops)
{
	int calls = 0;

	connection = fake_connect(&fake, stopped_script);
	ck_assert_int_eq(
		provium_read_file(connection, "/x", NULL, stop_at_once, &calls, 5000, NULL, &error),
		-1);
	check_error(PROVIUM_CANCELLED, "/x: read: the receiver");
	ck_assert_int_eq(calls, 1);
	check_ok(provium_ping(connection, 5000, &error));
	disconnect();
}
END_TEST

static void memory_script(struct fake *agent)
{
	fake_ready(agent);
	fake_check(agent,
		   fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_READ_FILE)->read_file->length ==
			   11);
	fake_data(agent, 0, 0, "01234567890123456789", (size_t)agent->number);
	fake_ok(agent, 0, agent->number);
	fake_expect_end(agent);
}

START_TEST(test_read_memory)
{
	struct provium_buffer content;

	fake.number = 10;
	connection = fake_connect(&fake, memory_script);
	check_ok(provium_read_file_memory(connection, "/x", 10, 5000, &content, &error));
	ck_assert_uint_eq(content.size, 10);
	ck_assert_str_eq(content.data, "0123456789");
	free(content.data);
	disconnect();
}
END_TEST

START_TEST(test_read_memory_limit)
{
	struct provium_buffer content;

	fake.number = 11;
	connection = fake_connect(&fake, memory_script);
	ck_assert_int_eq(provium_read_file_memory(connection, "/x", 10, 5000, &content, &error),
			 -1);
	check_error(PROVIUM_LIMIT, "longer than 10 bytes");
	ck_assert_ptr_null(content.data);
	disconnect();
}
END_TEST

static void wrong_offset(struct fake *agent)
{
	fake_data(agent, 0, 1, "abc", 3);
}

static void repeated_offset(struct fake *agent)
{
	fake_data(agent, 0, 0, "abc", 3);
	fake_data(agent, 0, 0, "abc", 3);
}

static void too_much(struct fake *agent)
{
	fake_data(agent, 0, 0, "abcdefghijklmno", 11);
	fake_data(agent, 0, 11, "p", 1);
}

static void wrong_sum(struct fake *agent)
{
	fake_data(agent, 0, 0, "abc", 3);
	fake_ok(agent, 0, 4);
}

static void no_sum(struct fake *agent)
{
	fake_ok(agent, 0, -1);
}

static void hole(struct fake *agent)
{
	file_agent_hole(agent, 0, 0, 5);
}

static void other_kind(struct fake *agent)
{
	fake_result(agent, 0, 0, 0, 0);
}

static const struct {
	void (*reply)(struct fake *agent);
	const char *why;
} wrong_reads[] = {
	{ wrong_offset, "offset 1 where 0" },
	{ repeated_offset, "offset 0 where 3" },
	{ too_much, "more data than were asked for" },
	{ wrong_sum, "3 bytes came, 4 were sent" },
	{ no_sum, "0 bytes came" },
	{ hole, "hole" },
	{ other_kind, "message 129" },
};

static void wrong_read_script(struct fake *agent)
{
	fake_ready(agent);
	fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_READ_FILE);
	wrong_reads[agent->number].reply(agent);
	while (fake_receive(agent))
		continue;
}

START_TEST(test_wrong_read)
{
	struct provium_buffer content;

	fake.number = _i;
	connection = fake_connect(&fake, wrong_read_script);
	ck_assert_int_eq(provium_read_file_memory(connection, "/x", 10, 5000, &content, &error),
			 -1);
	check_error(PROVIUM_PROTOCOL, "reply to \"read\"");
	check_error(PROVIUM_PROTOCOL, wrong_reads[_i].why);
	disconnect();
}
END_TEST

/* ------------------------------------------------------------------------------------------- */
/* Writing */

static void write_script(struct fake *agent)
{
	const Provium__V1__WriteFile *body;
	const Provium__V1__WriteData *data;
	uint32_t id;

	fake_ready(agent);
	body = fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_WRITE_FILE)->write_file;
	id = agent->id;
	fake_check(agent, is(body->path, "/x"));
	fake_check(agent, body->has_mode && body->mode == 0);
	fake_check(agent, body->exclusive && body->append && body->atomic && body->sync);
	data = fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_WRITE_DATA)->write_data;
	fake_check(agent, agent->id == id && is(data->data, "hello") && !data->last);
	data = fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_WRITE_DATA)->write_data;
	fake_check(agent, agent->id == id && data->data.len == 0 && data->last);
	fake_ok(agent, 0, 5);

	/* Without options. */
	body = fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_WRITE_FILE)->write_file;
	fake_check(agent, !body->has_mode && !body->exclusive && !body->append && !body->atomic);
	fake_check(agent,
		   fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_WRITE_DATA)->write_data->last);
	fake_ok(agent, 0, 0);
	fake_expect_end(agent);
}

START_TEST(test_write)
{
	const struct provium_write_options options = {
		.has_mode = true,
		.exclusive = true,
		.append = true,
		.atomic = true,
		.sync = true,
	};

	connection = fake_connect(&fake, write_script);
	check_ok(provium_write_file_memory(connection, "/x", &options, "hello", 5, 5000, &error));
	check_ok(provium_write_file_memory(connection, "/x", NULL, NULL, 0, 5000, &error));
	disconnect();
}
END_TEST

static void write_options_script(struct fake *agent)
{
	const Provium__V1__WriteFile *body;
	const Provium__V1__WriteData *data;

	fake_ready(agent);
	body = fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_WRITE_FILE)->write_file;
	fake_check(agent, !body->has_path && body->has_fd && body->fd == 5);
	fake_check(agent, body->has_offset && body->offset == 0);
	fake_check(agent, body->has_uid && body->uid == 0 && !body->has_gid);
	fake_check(agent, body->has_create && !body->create);
	data = fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_WRITE_DATA)->write_data;
	fake_check(agent, data->hole == 70 && is(data->data, "x") && !data->last);
	data = fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_WRITE_DATA)->write_data;
	fake_check(agent, data->hole == 70 && data->data.len == 0 && data->last);
	fake_ok(agent, 0, 1);
	fake_expect_end(agent);
}

static uint64_t skip_70(void *user)
{
	(void)user;
	return 70;
}

static ptrdiff_t one_x(void *user, void *data, size_t size)
{
	int *left = user;

	(void)size;
	memcpy(data, "x", 1);
	return (*left)-- > 0;
}

START_TEST(test_write_options)
{
	const struct provium_write_options options = {
		.has_fd = true,
		.fd = 5,
		.has_offset = true,
		.has_uid = true,
		.gid = 7,
		.no_create = true,
		.skip = skip_70,
	};
	uint64_t bytes = 0;
	int left = 1;

	connection = fake_connect(&fake, write_options_script);
	check_ok(
		provium_write_file(connection, NULL, &options, one_x, &left, 5000, &bytes, &error));
	ck_assert_uint_eq(bytes, 1);
	disconnect();
}
END_TEST

/* Acknowledges nothing until the host says nothing more, then all. */
static void write_window_script(struct fake *agent)
{
	uint64_t got = 0;
	const Provium__V1__Message *message;
	uint8_t byte;

	fake_ready(agent);
	fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_WRITE_FILE);
	do {
		message = fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_WRITE_DATA);
		fake_check(agent, message->write_data->data.len <= PROVIUM_CHUNK);
		got += message->write_data->data.len;
		if (got % PROVIUM_WRITE_WINDOW == 0 && !message->write_data->last) {
			usleep(20000);
			/* What is over the window would lie in the socket now. */
			fake_check(agent, recv(agent->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 &&
						  frame_reader_pending(&agent->reader) == 0);
			fake_ack(agent, agent->id, got);
		}
	} while (!message->write_data->last);
	fake_check(agent, got == (uint64_t)agent->number);
	fake_ok(agent, 0, (int64_t)got);
	fake_expect_end(agent);
}

struct pattern {
	uint64_t at;
	uint64_t size;
};

static ptrdiff_t from_pattern(void *user, void *data, size_t size)
{
	struct pattern *pattern = user;
	uint64_t count = MIN((uint64_t)size, pattern->size - pattern->at);

	memset(data, 'p', count);
	pattern->at += count;
	return (ptrdiff_t)count;
}

START_TEST(test_write_window)
{
	struct pattern pattern = { .size = MIB(5) };
	uint64_t bytes = 0;

	fake.number = MIB(5);
	connection = fake_connect(&fake, write_window_script);
	check_ok(provium_write_file(connection, "/x", NULL, from_pattern, &pattern, 20000, &bytes,
				    &error));
	ck_assert_uint_eq(bytes, MIB(5));
	disconnect();
}
END_TEST

/* The error comes while data are on their way: what was sent after it is nobody's. */
static void full_disk_script(struct fake *agent)
{
	uint64_t got = 0;

	fake_ready(agent);
	fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_WRITE_FILE);
	while (got < MIB(1))
		got += fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_WRITE_DATA)
			       ->write_data->data.len;
	fake_error(agent, 0, PROVIUM__V1__ERROR_CODE__ERROR_OS, 28, "ENOSPC", "write",
		   "No space left on device");
	fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_PING);
	fake_pong(agent, 0);
	fake_expect_end(agent);
}

START_TEST(test_write_fails_in_guest)
{
	struct pattern pattern = { .size = MIB(100) };

	connection = fake_connect(&fake, full_disk_script);
	ck_assert_int_eq(provium_write_file(connection, "/x", NULL, from_pattern, &pattern, 20000,
					    NULL, &error),
			 -1);
	check_error(PROVIUM_GUEST, "/x: No space left on device (write: ENOSPC)");
	ck_assert_int_eq(error.os_errno, 28);
	ck_assert_uint_le(pattern.at, MIB(1));
	check_ok(provium_ping(connection, 5000, &error));
	disconnect();
}
END_TEST

static void source_fails_script(struct fake *agent)
{
	uint32_t id;

	fake_ready(agent);
	fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_WRITE_FILE);
	id = agent->id;
	fake_check(agent,
		   fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_CANCEL)->cancel->request == id);
	fake_expect_end(agent);
}

static ptrdiff_t failing_source(void *user, void *data, size_t size)
{
	(void)data;
	(void)size;
	return *(ptrdiff_t *)user;
}

START_TEST(test_source_fails)
{
	ptrdiff_t result = _i ? (ptrdiff_t)PROVIUM_CHUNK + 1 : -EIO;

	connection = fake_connect(&fake, source_fails_script);
	ck_assert_int_eq(provium_write_file(connection, "/x", NULL, failing_source, &result, 5000,
					    NULL, &error),
			 -1);
	if (_i) {
		check_error(PROVIUM_INVALID, "262145 bytes of at most 262144");
	} else {
		check_error(PROVIUM_HOST, "/x: write: its source: Input/output error");
		ck_assert_int_eq(error.os_errno, EIO);
	}
	disconnect();
}
END_TEST

/* Neither acknowledges nor answers. */
static void stuck_script(struct fake *agent)
{
	const Provium__V1__Message *message;
	uint32_t id;

	fake_ready(agent);
	fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_WRITE_FILE);
	id = agent->id;
	do {
		message = fake_receive(agent);
	} while (message && message->body_case == PROVIUM__V1__MESSAGE__BODY_WRITE_DATA);
	fake_check(agent, message && message->body_case == PROVIUM__V1__MESSAGE__BODY_CANCEL &&
				  message->cancel->request == id);
	fake_expect_end(agent);
}

START_TEST(test_write_times_out)
{
	struct pattern pattern = { .size = _i ? MIB(100) : 10 };
	/* Time for a whole window: where it ends within a frame no CANCEL can follow. */
	int timeout_ms = _i ? 2000 : 60;

	connection = fake_connect(&fake, stuck_script);
	ck_assert_int_eq(provium_write_file(connection, "/x", NULL, from_pattern, &pattern,
					    timeout_ms, NULL, &error),
			 -1);
	check_error(PROVIUM_TIMED_OUT,
		    _i ? "/x: write: timed out after 2000 ms" : "/x: write: timed out after 60 ms");
	ck_assert_uint_le(pattern.at, PROVIUM_WRITE_WINDOW);
	disconnect();
}
END_TEST

static void ack_too_much(struct fake *agent)
{
	fake_ack(agent, 0, UINT64_MAX);
}

static void ack_backwards(struct fake *agent)
{
	while (!fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_WRITE_DATA)->write_data->last)
		continue;
	fake_ack(agent, 0, 5);
	fake_ack(agent, 0, 4);
}

static void early_ok(struct fake *agent)
{
	fake_ok(agent, 0, 0);
}

static void short_ok(struct fake *agent)
{
	while (!fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_WRITE_DATA)->write_data->last)
		continue;
	fake_ok(agent, 0, 4);
}

static void data_for_write(struct fake *agent)
{
	fake_data(agent, 0, 0, "abc", 3);
}

static const struct {
	void (*reply)(struct fake *agent);
	const char *why;
	/* Whether the source waits for the reply instead of ending. */
	bool endless;
} wrong_writes[] = {
	{ ack_too_much, "18446744073709551615 bytes written of", true },
	{ ack_backwards, "4 bytes written of 5", false },
	{ early_ok, "done with 0 bytes of", true },
	{ short_ok, "done with 4 bytes of 5", false },
	{ data_for_write, "message 130", true },
};

static void wrong_write_script(struct fake *agent)
{
	fake_ready(agent);
	fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_WRITE_FILE);
	wrong_writes[agent->number].reply(agent);
	while (fake_receive(agent))
		continue;
}

START_TEST(test_wrong_write)
{
	struct pattern pattern = { .size = wrong_writes[_i].endless ? MIB(100) : 5 };

	fake.number = _i;
	fake.lenient = true;
	connection = fake_connect(&fake, wrong_write_script);
	ck_assert_int_eq(provium_write_file(connection, "/x", NULL, from_pattern, &pattern, 5000,
					    NULL, &error),
			 -1);
	check_error(PROVIUM_PROTOCOL, "reply to \"write\"");
	check_error(PROVIUM_PROTOCOL, wrong_writes[_i].why);
	disconnect();
}
END_TEST

static TCase *read_cases(void)
{
	TCase *tcase = unit_counted_case("read");

	tcase_add_loop_test(tcase, test_read, 0, 2);
	tcase_add_test(tcase, test_sink_stops);
	tcase_add_test(tcase, test_read_holes);
	tcase_add_loop_test(tcase, test_wrong_hole, 0, ARRAY_SIZE(wrong_holes));
	tcase_add_test(tcase, test_read_memory);
	tcase_add_test(tcase, test_read_memory_limit);
	tcase_add_loop_test(tcase, test_wrong_read, 0, ARRAY_SIZE(wrong_reads));
	return tcase;
}

static TCase *write_cases(void)
{
	TCase *tcase = unit_counted_case("write");

	tcase_set_timeout(tcase, 30);
	tcase_add_test(tcase, test_write);
	tcase_add_test(tcase, test_write_options);
	tcase_add_test(tcase, test_write_window);
	tcase_add_test(tcase, test_write_fails_in_guest);
	tcase_add_loop_test(tcase, test_source_fails, 0, 2);
	tcase_add_loop_test(tcase, test_write_times_out, 0, 2);
	tcase_add_loop_test(tcase, test_wrong_write, 0, ARRAY_SIZE(wrong_writes));
	return tcase;
}

int main(void)
{
	Suite *suite = suite_create("lib-file");

	suite_add_tcase(suite, read_cases());
	suite_add_tcase(suite, write_cases());
	return unit_run(suite);
}
