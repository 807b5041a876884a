/* WRITE_FILE: content, modes, owners, places, atomic ones, and every way in which it fails. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent_files.h"
#include "common/cleanup.h"
#include "common/util.h"
#include "proto/limits.h"
#include "unit.h"

static void write_pattern(const Provium__V1__WriteFile *options, uint64_t offset, uint64_t size)
{
	uint32_t id = send_write(file_path, options);

	send_pattern(id, offset, size, PROVIUM_CHUNK);
	expect_written(id, size);
}

START_TEST(write_sizes)
{
	static const uint64_t sizes[] = { 0, 1, 4096, PROVIUM_CHUNK, PROVIUM_CHUNK + 1, 10000000 };
	Provium__V1__WriteFile options = PROVIUM__V1__WRITE_FILE__INIT;

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		options.has_atomic = true;
		options.atomic = _i;
		write_pattern(&options, 0, sizes[i]);
		ck_assert(holds_pattern(file_path, 0, sizes[i]));
		/* Longer before: it is truncated. */
		write_pattern(&options, 0, 3);
		ck_assert(holds_pattern(file_path, 0, 3));
	}
	/* ., .., the socket and the file. */
	ck_assert_uint_eq(count_files(), 4);
}
END_TEST

START_TEST(write_small_pieces)
{
	uint32_t id = send_write(file_path, &plain_write);

	send_pattern(id, 0, 3000000, 1000);
	expect_written(id, 3000000);
	ck_assert(holds_pattern(file_path, 0, 3000000));
}
END_TEST

START_TEST(write_modes)
{
	static const mode_t modes[] = { 0, 0600, 0777, 04755, 01777, 07777 };
	Provium__V1__WriteFile options = PROVIUM__V1__WRITE_FILE__INIT;
	mode_t mask = umask(027);

	options.has_atomic = true;
	options.atomic = _i;
	write_pattern(&options, 0, 1);
	ck_assert_uint_eq(mode_of(file_path), 0644);
	options.has_mode = true;
	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		unlink(file_path);
		options.mode = modes[i];
		write_pattern(&options, 0, 1);
		ck_assert_uint_eq(mode_of(file_path), modes[i]);
	}
	/* One that is there keeps its own, but where another takes its place. */
	ck_assert_int_eq(chmod(file_path, 0640), 0);
	options.mode = 0600;
	write_pattern(&options, 0, 1);
	ck_assert_uint_eq(mode_of(file_path), _i ? 0600 : 0640);
	umask(mask);
	options.mode = 010000;
	client_expect_error(&client, send_write(file_path, &options), CODE(INVALID), "mode: 4096");
}
END_TEST

START_TEST(write_owner)
{
	Provium__V1__WriteFile options = PROVIUM__V1__WRITE_FILE__INIT;
	struct stat status;

	if (!unit_is_root())
		return;
	options.has_uid = true;
	options.uid = 1234;
	options.has_gid = true;
	options.gid = 5678;
	options.has_mode = true;
	options.mode = 06755;
	options.has_atomic = true;
	options.atomic = _i;
	write_pattern(&options, 0, 1);
	ck_assert_int_eq(stat(file_path, &status), 0);
	ck_assert_uint_eq(status.st_uid, 1234);
	ck_assert_uint_eq(status.st_gid, 5678);
	ck_assert_uint_eq(status.st_mode & 07777, 06755);
}
END_TEST

START_TEST(write_places)
{
	Provium__V1__WriteFile options = PROVIUM__V1__WRITE_FILE__INIT;
	struct stat status;

	make_file(file_path, 1000, 0600);
	options.has_append = true;
	options.append = true;
	write_pattern(&options, 1000, 500);
	ck_assert(holds_pattern(file_path, 0, 1500));
	/* Nothing is cut off behind it. */
	options = plain_write;
	options.has_offset = true;
	options.offset = 100;
	write_pattern(&options, 100, 50);
	ck_assert(holds_pattern(file_path, 0, 1500));
	options.offset = 10000;
	write_pattern(&options, 10000, 5);
	ck_assert(holds_pattern(file_path, 10000, 5));
	ck_assert_int_eq(stat(file_path, &status), 0);
	ck_assert_int_eq(status.st_size, 10005);
	options.offset = 0;
	write_pattern(&options, 0, 5);
	ck_assert_int_eq(stat(file_path, &status), 0);
	ck_assert_int_eq(status.st_size, 10005);
}
END_TEST

START_TEST(write_create_and_exclusive)
{
	Provium__V1__WriteFile options = PROVIUM__V1__WRITE_FILE__INIT;

	options.has_atomic = true;
	options.atomic = _i;
	options.has_create = true;
	client_expect_os_error(&client, send_write(file_path, &options), ENOENT, file_path);
	make_file(file_path, 10, 0600);
	write_pattern(&options, 0, 20);
	ck_assert(holds_pattern(file_path, 0, 20));
	options.create = true;
	options.has_exclusive = true;
	options.exclusive = true;
	client_expect_os_error(&client, send_write(file_path, &options), EEXIST, file_path);
	ck_assert(holds_pattern(file_path, 0, 20));
	unlink(file_path);
	write_pattern(&options, 0, 30);
	ck_assert(holds_pattern(file_path, 0, 30));
	ck_assert_uint_eq(count_files(), 4);
}
END_TEST

/* The name appears while the data is on its way: it is not replaced. */
START_TEST(write_atomic_exclusive_late)
{
	Provium__V1__WriteFile options = PROVIUM__V1__WRITE_FILE__INIT;
	uint32_t id;

	options.has_atomic = options.atomic = true;
	options.has_exclusive = options.exclusive = true;
	options.has_sync = options.sync = true;
	id = send_write(file_path, &options);
	client_ping(&client);
	make_file(file_path, 7, 0600);
	send_data(id, "other", 5, true);
	client_expect_os_error(&client, id, EEXIST, file_path);
	ck_assert(holds_pattern(file_path, 0, 7));
	ck_assert_uint_eq(count_files(), 4);
}
END_TEST

/* Until all is there the old content is. */
START_TEST(write_atomic)
{
	Provium__V1__WriteFile options = PROVIUM__V1__WRITE_FILE__INIT;
	uint32_t id;

	make_file(file_path, 1000, 0600);
	options.has_atomic = options.atomic = true;
	options.has_sync = options.sync = true;
	id = send_write(file_path, &options);
	send_data(id, "x", 1, false);
	client_ping(&client);
	ck_assert(holds_pattern(file_path, 0, 1000));
	ck_assert_uint_eq(count_files(), 5);
	client_expect_error(&client, (client_cancel(&client, id), id), CODE(CANCELLED), "1 bytes");
	client_expect(&client, BODY(OK));
	ck_assert(holds_pattern(file_path, 0, 1000));
	ck_assert_uint_eq(count_files(), 4);
	write_pattern(&options, 0, 500);
	ck_assert(holds_pattern(file_path, 0, 500));
	ck_assert_uint_eq(count_files(), 4);
}
END_TEST

/* A host that goes away leaves no temporary file. */
START_TEST(write_atomic_and_vanish)
{
	Provium__V1__WriteFile options = PROVIUM__V1__WRITE_FILE__INIT;
	struct client kept = client;

	options.has_atomic = options.atomic = true;
	client_connect(&client);
	send_data(send_write(file_path, &options), "x", 1, false);
	client_ping(&client);
	ck_assert_uint_eq(count_files(), 4);
	client_close(&client);
	client = kept;
	eventually(count_files() == 3);
}
END_TEST

START_TEST(write_failures)
{
	Provium__V1__WriteFile options = PROVIUM__V1__WRITE_FILE__INIT;
	uint32_t id;

	id = send_write("/no/such/directory/file", &plain_write);
	/* What follows an ERROR is passed over. */
	send_data(id, "data", 4, false);
	send_data(id, "data", 4, true);
	client_expect_os_error(&client, id, ENOENT, "\"/no/such/directory/file\"");
	client_ping(&client);
	client_expect_os_error(&client, send_write(test_path("."), &plain_write), EISDIR, "");
	client_expect_error(&client, send_write("", &plain_write), CODE(INVALID), "path: is empty");
	options.has_append = options.append = true;
	options.has_offset = true;
	client_expect_error(&client, send_write(file_path, &options), CODE(INVALID),
			    "append and offset");
	options.append = false;
	options.has_atomic = options.atomic = true;
	client_expect_error(&client, send_write(file_path, &options), CODE(INVALID),
			    "atomic excludes");
	options.has_offset = false;
	client_expect_os_error(&client, send_write(test_path("."), &options), EISDIR, "");
	client_expect_os_error(&client, send_write("/no/such/directory/file", &options), ENOENT,
			       "");
	options = plain_write;
	options.has_exclusive = options.exclusive = true;
	options.has_create = true;
	client_expect_error(&client, send_write(file_path, &options), CODE(INVALID),
			    "needs create");
	options = plain_write;
	options.has_fd = true;
	client_expect_error(&client, send_write(file_path, &options), CODE(INVALID),
			    "exactly one of path and fd");
}
END_TEST

START_TEST(write_without_room)
{
	uint32_t id;

	if (access("/dev/full", W_OK) < 0) {
		unit_skip("no /dev/full: %s", strerror(errno));
		return;
	}
	id = send_write("/dev/full", &plain_write);
	send_data(id, "data", 4, true);
	client_expect_os_error(&client, id, ENOSPC, "after 0 bytes");
	client_ping(&client);
}
END_TEST

START_TEST(write_past_the_window)
{
	cleanup_free uint8_t *data = calloc(1, PROVIUM_WRITE_WINDOW + 1);
	uint32_t id = send_write(file_path, &plain_write);

	send_data(id, data, PROVIUM_WRITE_WINDOW + 1, false);
	client_expect_error(&client, id, CODE(LIMIT), "WRITE_DATA: data");
	send_data(id, data, 10, true);
	client_ping(&client);
}
END_TEST

/* Data for something else than a WRITE_FILE is nothing. */
START_TEST(stray_data)
{
	uint32_t id = client_shell(&client, "sleep 100");
	struct outcome outcome;

	send_data(id, "x", 1, true);
	send_data(4000, "x", 1, true);
	client_ping(&client);
	client_expect_ok(&client, client_cancel(&client, id));
	client_collect(&client, id, &outcome);
	ck_assert_int_eq(outcome.result.outcome, PROVIUM__V1__OUTCOME__OUTCOME_CANCELLED);
}
END_TEST

/* A pipe whose reader is slow: data is kept up to the window, and others go on. */
START_TEST(write_fifo)
{
	uint8_t got[4096];
	uint64_t received = 0;
	uint32_t id;
	int fd;

	ck_assert_int_eq(mkfifo(file_path, 0600), 0);
	client_expect_os_error(&client, send_write(file_path, &plain_write), ENXIO, file_path);
	fd = open(file_path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	id = send_write(file_path, &plain_write);
	send_pattern(id, 0, 1000000, 100000);
	client_ping(&client);
	while (received < 1000000) {
		ssize_t count = read(fd, got, sizeof(got));

		if (count < 0 && errno == EAGAIN) {
			usleep(1000);
			continue;
		}
		ck_assert_int_gt(count, 0);
		ck_assert(is_pattern(got, received, (size_t)count));
		received += (uint64_t)count;
	}
	expect_written(id, 1000000);
	close(fd);
}
END_TEST

/* What a pipe has taken late is acknowledged then; the end may come by itself. */
START_TEST(write_fifo_in_parts)
{
	Provium__V1__WriteFile options = PROVIUM__V1__WRITE_FILE__INIT;
	cleanup_free uint8_t *data = calloc(1, PROVIUM_CHUNK);
	uint32_t id;
	int fd;

	ck_assert_int_eq(mkfifo(file_path, 0600), 0);
	fd = open(file_path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	options.has_offset = true;
	options.offset = 5;
	client_expect_os_error(&client, send_write(file_path, &options), ESPIPE, file_path);
	id = send_write(file_path, &plain_write);
	send_data(id, data, PROVIUM_CHUNK, false);
	client_ping(&client);
	for (size_t received = 0; received < PROVIUM_CHUNK;) {
		ssize_t count = read(fd, data, PROVIUM_CHUNK);

		received += count > 0 ? (size_t)count : 0;
		usleep(count > 0 ? 0 : 1000);
	}
	ck_assert_uint_eq(client_expect(&client, BODY(WRITE_ACK))->write_ack->bytes, PROVIUM_CHUNK);
	/* The end behind what the pipe has no room for. */
	send_data(id, data, PROVIUM_CHUNK, false);
	send_data(id, NULL, 0, true);
	client_ping(&client);
	for (size_t received = 0; received < PROVIUM_CHUNK;) {
		ssize_t count = read(fd, data, PROVIUM_CHUNK);

		received += count > 0 ? (size_t)count : 0;
		usleep(count > 0 ? 0 : 1000);
	}
	expect_written(id, (uint64_t)2 * PROVIUM_CHUNK);
	close(fd);
}
END_TEST

/* As open(2) does: a dangling symbolic link is followed, an atomic write replaces it. */
START_TEST(write_symbolic_links)
{
	Provium__V1__WriteFile options = PROVIUM__V1__WRITE_FILE__INIT;
	char target[256];
	struct stat status;

	snprintf(target, sizeof(target), "%s", test_path("target"));
	ck_assert_int_eq(symlink(target, file_path), 0);
	write_pattern(&plain_write, 0, 100);
	ck_assert(holds_pattern(target, 0, 100));
	ck_assert_uint_eq(mode_of(target), 0644);
	options.has_atomic = true;
	options.atomic = true;
	write_pattern(&options, 0, 50);
	ck_assert(holds_pattern(target, 0, 100));
	ck_assert(holds_pattern(file_path, 0, 50));
	ck_assert_int_eq(lstat(file_path, &status), 0);
	ck_assert(S_ISREG(status.st_mode));
}
END_TEST

START_TEST(write_fifo_past_the_window)
{
	cleanup_free uint8_t *data = calloc(1, PROVIUM_CHUNK);
	uint32_t id;
	int fd;

	ck_assert_int_eq(mkfifo(file_path, 0600), 0);
	fd = open(file_path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	id = send_write(file_path, &plain_write);
	for (int i = 0; i < 5; i++)
		send_data(id, data, PROVIUM_CHUNK, false);
	client_expect_error(&client, id, CODE(LIMIT), "not acknowledged");
	client_ping(&client);
	close(fd);
}
END_TEST

START_TEST(write_fifo_without_reader)
{
	cleanup_free uint8_t *data = calloc(1, PROVIUM_CHUNK);
	uint32_t id;
	int fd;

	ck_assert_int_eq(mkfifo(file_path, 0600), 0);
	fd = open(file_path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	id = send_write(file_path, &plain_write);
	send_data(id, data, PROVIUM_CHUNK, false);
	client_ping(&client);
	close(fd);
	client_expect_os_error(&client, id, EPIPE, "");
}
END_TEST

static Suite *write_file_suite(void)
{
	Suite *suite = suite_create("agent: writing files");
	TCase *tcase = unit_counted_case("connected");

	tcase_add_checked_fixture(tcase, files_start, agent_stop_connected);
	tcase_add_loop_test(tcase, write_sizes, 0, 2);
	tcase_add_test(tcase, write_small_pieces);
	tcase_add_loop_test(tcase, write_modes, 0, 2);
	tcase_add_loop_test(tcase, write_owner, 0, 2);
	tcase_add_test(tcase, write_places);
	tcase_add_loop_test(tcase, write_create_and_exclusive, 0, 2);
	tcase_add_test(tcase, write_atomic_exclusive_late);
	tcase_add_test(tcase, write_atomic);
	tcase_add_test(tcase, write_atomic_and_vanish);
	tcase_add_test(tcase, write_failures);
	tcase_add_test(tcase, write_without_room);
	tcase_add_test(tcase, write_past_the_window);
	tcase_add_test(tcase, stray_data);
	tcase_add_test(tcase, write_fifo);
	tcase_add_test(tcase, write_fifo_past_the_window);
	tcase_add_test(tcase, write_fifo_without_reader);
	tcase_add_test(tcase, write_fifo_in_parts);
	tcase_add_test(tcase, write_symbolic_links);
	tcase_set_timeout(tcase, 60);
	suite_add_tcase(suite, tcase);
	return suite;
}

int main(void)
{
	return unit_run(write_file_suite());
}
