/* File operations of a connection run in the order sent, and what waits for its turn is bounded. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/session.h"
#include "agent_files.h"
#include "common/cleanup.h"
#include "common/util.h"
#include "proto/limits.h"
#include "unit.h"

/* A read that comes behind a write sees what was written, though its data came later. */
START_TEST(read_after_write)
{
	uint32_t write = send_write(file_path, &plain_write);
	uint32_t read = send_read(&client, file_path, &plain_read);

	client_ping(&client);
	send_pattern(write, 0, 700000, PROVIUM_CHUNK);
	expect_written(write, 700000);
	ck_assert_uint_eq(expect_pattern(&client, read, 0), 700000);
}
END_TEST

/* Reads come one after the other, each whole. */
START_TEST(read_after_read)
{
	uint32_t ids[20];

	make_file(file_path, 1000000, 0600);
	for (size_t i = 0; i < ARRAY_SIZE(ids); i++)
		ids[i] = send_read(&client, file_path, &plain_read);
	for (size_t i = 0; i < ARRAY_SIZE(ids); i++)
		ck_assert_uint_eq(expect_pattern(&client, ids[i], 0), 1000000);
}
END_TEST

/* Two writes whose data is mixed: the second's waits behind the first's. */
START_TEST(writes_side_by_side)
{
	char other[256];
	uint32_t first, second;

	snprintf(other, sizeof(other), "%s", test_path("other"));
	first = send_write(file_path, &plain_write);
	second = send_write(other, &plain_write);
	send_data(second, "second ", 7, false);
	send_data(first, "first ", 6, false);
	send_data(second, "too", 3, true);
	ck_assert_int_eq(access(other, F_OK), -1);
	send_data(first, "one", 3, true);
	expect_written(first, 9);
	expect_written(second, 10);
	ck_assert_int_eq(access(other, F_OK), 0);
}
END_TEST

/* One that waits can be cancelled with its data, and what is behind it goes on. */
START_TEST(cancel_while_waiting)
{
	uint32_t first = send_write(file_path, &plain_write);
	uint32_t second = send_write(file_path, &plain_write);
	uint32_t third = send_read(&client, file_path, &plain_read);
	uint32_t cancel;

	send_data(second, "data", 4, true);
	client_expect_error(&client, (cancel = client_cancel(&client, second), second),
			    CODE(CANCELLED), "before it began");
	client_expect_ok(&client, cancel);
	send_pattern(first, 0, 100, 100);
	expect_written(first, 100);
	ck_assert_uint_eq(expect_pattern(&client, third, 0), 100);
}
END_TEST

/* An id that waits is in flight. */
START_TEST(busy_while_waiting)
{
	uint32_t first = send_write(file_path, &plain_write);
	uint32_t second = send_read(&client, file_path, &plain_read);

	client.last_id = second - 1;
	ck_assert_uint_eq(send_read(&client, file_path, &plain_read), second);
	client_expect_error(&client, second, CODE(BUSY), "in flight");
	send_data(first, NULL, 0, true);
	expect_written(first, 0);
	ck_assert_uint_eq(expect_pattern(&client, second, 0), 0);
}
END_TEST

/* A write that fails when its turn comes takes its waiting data with it. */
START_TEST(failure_while_waiting)
{
	uint32_t first = send_write(file_path, &plain_write);
	uint32_t second = send_write("/no/such/directory/file", &plain_write);
	uint32_t third = send_read(&client, file_path, &plain_read);

	send_data(second, "data", 4, false);
	send_data(second, "data", 4, true);
	send_pattern(first, 0, 50, 50);
	expect_written(first, 50);
	client_expect_os_error(&client, second, ENOENT, "");
	ck_assert_uint_eq(expect_pattern(&client, third, 0), 50);
}
END_TEST

/* Data that waits is data that is not acknowledged. */
START_TEST(waiting_past_the_window)
{
	cleanup_free uint8_t *data = calloc(1, PROVIUM_CHUNK);
	uint32_t first = send_write(file_path, &plain_write);
	uint32_t second = send_write(file_path, &plain_write);

	for (int i = 0; i < 4; i++)
		send_data(second, data, PROVIUM_CHUNK, false);
	client_ping(&client);
	send_data(second, data, PROVIUM_CHUNK, false);
	client_expect_error(&client, second, CODE(LIMIT), "not acknowledged");
	send_data(first, NULL, 0, true);
	expect_written(first, 0);
}
END_TEST

/* Of many requests together, too. */
START_TEST(too_much_is_waiting)
{
	enum {
		WRITES = SESSION_MAX_WAITING / PROVIUM_WRITE_WINDOW
	};
	cleanup_free uint8_t *data = calloc(1, PROVIUM_CHUNK);
	uint32_t first = send_write(file_path, &plain_write), last = 0;

	for (int i = 0; i < WRITES; i++) {
		last = send_write(file_path, &plain_write);
		for (int n = 0; n < 4; n++)
			send_data(last, data, PROVIUM_CHUNK, n == 3);
	}
	client_expect_error(&client, last, CODE(LIMIT), "too much is waiting");
	send_data(first, NULL, 0, true);
	expect_written(first, 0);
	for (uint32_t id = first + 1; id < last; id++)
		expect_written(id, PROVIUM_WRITE_WINDOW);
}
END_TEST

START_TEST(too_much_is_waiting_of_others)
{
	enum {
		SIZE = PROVIUM_MAX_FRAME - 100
	};
	cleanup_free char *name = malloc(SIZE + 1);
	uint32_t first = send_write(file_path, &plain_write), second, third;

	ck_assert_ptr_nonnull(name);
	memset(name, 'a', SIZE);
	name[SIZE] = '\0';
	second = send_read(&client, name, &plain_read);
	third = send_read(&client, name, &plain_read);
	client_expect_error(&client, third, CODE(LIMIT), "READ_FILE: too much is waiting");
	send_data(first, NULL, 0, true);
	expect_written(first, 0);
	client_expect_os_error(&client, second, ENAMETOOLONG, "");
}
END_TEST

START_TEST(too_many_requests)
{
	uint32_t first = send_write(file_path, &plain_write);

	for (int i = 1; i < SESSION_MAX_REQUESTS; i++)
		send_read(&client, file_path, &plain_read);
	client_expect_error(&client, send_read(&client, file_path, &plain_read), CODE(LIMIT),
			    "requests are in flight");
	client_ping(&client);
	send_data(first, NULL, 0, true);
	expect_written(first, 0);
	for (uint32_t i = 1; i < SESSION_MAX_REQUESTS; i++)
		ck_assert_uint_eq(expect_pattern(&client, first + i, 0), 0);
}
END_TEST

/* Connections have each an order of their own. */
START_TEST(order_is_per_connection)
{
	struct client other;

	make_file(file_path, 1000, 0600);
	send_write(test_path("held"), &plain_write);
	client_connect(&other);
	ck_assert_uint_eq(expect_pattern(&other, send_read(&other, file_path, &plain_read), 0),
			  1000);
	client_close(&other);
}
END_TEST

static Suite *order_suite(void)
{
	Suite *suite = suite_create("agent: order of files");
	TCase *tcase = unit_counted_case("connected");

	tcase_add_checked_fixture(tcase, files_start, agent_stop_connected);
	tcase_add_test(tcase, read_after_write);
	tcase_add_test(tcase, read_after_read);
	tcase_add_test(tcase, writes_side_by_side);
	tcase_add_test(tcase, cancel_while_waiting);
	tcase_add_test(tcase, busy_while_waiting);
	tcase_add_test(tcase, failure_while_waiting);
	tcase_add_test(tcase, waiting_past_the_window);
	tcase_add_test(tcase, too_much_is_waiting);
	tcase_add_test(tcase, too_many_requests);
	tcase_add_test(tcase, order_is_per_connection);
	tcase_add_test(tcase, too_much_is_waiting_of_others);
	tcase_set_timeout(tcase, 60);
	suite_add_tcase(suite, tcase);
	return suite;
}

int main(void)
{
	return unit_run(order_suite());
}
