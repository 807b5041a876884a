/* READ_FILE and WRITE_FILE: content, modes, order, memory, and every way in which they fail. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/connection.h"
#include "agent/session.h"
#include "agent_harness.h"
#include "common/cleanup.h"
#include "common/util.h"
#include "proto/limits.h"
#include "unit.h"

static char path[256];

static void start(void)
{
	agent_start_connected();
	snprintf(path, sizeof(path), "%s", test_path("file"));
}

/* ------------------------------------------------------------------------------------------- */

static uint8_t pattern_at(uint64_t offset)
{
	return (uint8_t)(offset ^ offset >> 8 ^ offset >> 16);
}

static void make_file(const char *name, uint64_t size, mode_t mode)
{
	FILE *file = fopen(name, "we");

	ck_assert_ptr_nonnull(file);
	for (uint64_t i = 0; i < size; i++)
		putc_unlocked(pattern_at(i), file);
	ck_assert_int_eq(fclose(file), 0);
	ck_assert_int_eq(chmod(name, mode), 0);
}

static bool is_pattern(const uint8_t *data, uint64_t offset, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (data[i] != pattern_at(offset + i))
			return false;
	return true;
}

static bool holds_pattern(const char *name, uint64_t offset, uint64_t size)
{
	FILE *file = fopen(name, "re");
	bool same = true;

	ck_assert_ptr_nonnull(file);
	ck_assert_int_eq(fseeko(file, (off_t)offset, SEEK_SET), 0);
	for (uint64_t i = 0; i < size; i++)
		same &= getc_unlocked(file) == pattern_at(offset + i);
	same &= getc_unlocked(file) == EOF;
	fclose(file);
	return same;
}

static mode_t mode_of(const char *name)
{
	struct stat status;

	ck_assert_int_eq(stat(name, &status), 0);
	return status.st_mode & 07777;
}

static unsigned int count_files(void)
{
	DIR *dir = opendir(test_path("."));
	unsigned int count = 0;

	ck_assert_ptr_nonnull(dir);
	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}

/* ------------------------------------------------------------------------------------------- */
/* READ_FILE */

static const Provium__V1__ReadFile plain_read = PROVIUM__V1__READ_FILE__INIT;

static uint32_t send_read(struct client *to, const char *name, const Provium__V1__ReadFile *options)
{
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__ReadFile body = *options;

	body.has_path = true;
	body.path = bytes_of(name);
	message.body_case = BODY(READ_FILE);
	message.read_file = &body;
	return client_send(to, &message);
}

/* FILE_DATA that holds the pattern, from this offset on, and then OK. Returns how much it was. */
static uint64_t expect_pattern(struct client *from, uint32_t id, uint64_t offset)
{
	uint64_t received = 0;

	for (;;) {
		const Provium__V1__Message *message = client_receive(from);

		ck_assert_ptr_nonnull(message);
		if (message->id != id)
			ck_abort_msg("message %d of request %u", message->body_case, message->id);
		if (message->body_case == BODY(OK)) {
			ck_assert_uint_eq(message->ok->bytes, received);
			return received;
		}
		ck_assert_int_eq(message->body_case, BODY(FILE_DATA));
		ck_assert_uint_eq(message->file_data->offset, offset + received);
		ck_assert_uint_gt(message->file_data->data.len, 0);
		ck_assert_uint_le(message->file_data->data.len, PROVIUM_CHUNK);
		ck_assert(is_pattern(message->file_data->data.data, offset + received,
				     message->file_data->data.len));
		received += message->file_data->data.len;
	}
}

START_TEST(read_sizes)
{
	static const uint64_t sizes[] = { 0,
					  1,
					  4096,
					  PROVIUM_CHUNK - 1,
					  PROVIUM_CHUNK,
					  PROVIUM_CHUNK + 1,
					  (uint64_t)5 * PROVIUM_CHUNK,
					  10000000 };

	make_file(path, sizes[_i], 0400);
	ck_assert_uint_eq(expect_pattern(&client, send_read(&client, path, &plain_read), 0),
			  sizes[_i]);
}
END_TEST

START_TEST(read_ranges)
{
	static const struct {
		uint64_t offset, length, expected;
	} cases[] = {
		{ 0, 10, 10 },
		{ 5, 10, 10 },
		{ 999990, 100, 10 },
		{ 1000000, 1, 0 },
		{ 2000000, 1, 0 },
		{ 7, 0, 0 },
		{ 7, UINT64_MAX, 999993 },
		{ 1, PROVIUM_CHUNK, PROVIUM_CHUNK },
	};
	Provium__V1__ReadFile options = PROVIUM__V1__READ_FILE__INIT;

	make_file(path, 1000000, 0600);
	options.has_offset = true;
	options.has_length = true;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		options.offset = cases[i].offset;
		options.length = cases[i].length;
		ck_assert_uint_eq(expect_pattern(&client, send_read(&client, path, &options),
						 cases[i].offset),
				  cases[i].expected);
	}
}
END_TEST

/* Their size says 0, and they give little at a time. */
START_TEST(read_proc)
{
	uint32_t id = send_read(&client, "/proc/self/smaps", &plain_read);
	const Provium__V1__Message *message = client_expect(&client, BODY(FILE_DATA));
	uint64_t size = message->file_data->data.len;

	ck_assert_uint_gt(size, 5000);
	message = client_expect(&client, BODY(OK));
	ck_assert_uint_eq(message->id, id);
	ck_assert_uint_eq(message->ok->bytes, size);
}
END_TEST

START_TEST(read_relative)
{
	uint32_t id = send_read(&client, "proc/self/comm", &plain_read);

	ck_assert_uint_eq(client_expect(&client, BODY(FILE_DATA))->id, id);
	client_expect_ok(&client, id);
}
END_TEST

START_TEST(read_failures)
{
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__ReadFile body = PROVIUM__V1__READ_FILE__INIT;
	Provium__V1__ReadFile options = PROVIUM__V1__READ_FILE__INIT;

	client_expect_os_error(&client, send_read(&client, "/no/such/file", &plain_read), ENOENT,
			       "READ_FILE: \"/no/such/file\"");
	client_expect_os_error(&client, send_read(&client, "/etc", &plain_read), EISDIR, "");
	client_expect_os_error(&client, send_read(&client, "/etc/passwd/x", &plain_read), ENOTDIR,
			       "");
	client_expect_error(&client, send_read(&client, "", &plain_read), CODE(INVALID),
			    "path: is empty");
	options.has_offset = true;
	options.offset = (uint64_t)INT64_MAX + 1;
	client_expect_error(&client, send_read(&client, path, &options), CODE(INVALID),
			    "offset: 9223372036854775808 is out of range");
	options = plain_read;
	options.has_sparse = true;
	options.sparse = true;
	client_expect_error(&client, send_read(&client, path, &options), CODE(UNSUPPORTED),
			    "sparse: is not served");
	options = plain_read;
	options.has_fd = true;
	client_expect_error(&client, send_read(&client, path, &options), CODE(UNSUPPORTED),
			    "fd: is not served");

	message.body_case = BODY(READ_FILE);
	message.read_file = &body;
	client_expect_error(&client, client_send(&client, &message), CODE(INVALID),
			    "path: is absent");
	message.has_id = false;
	body.has_path = true;
	body.path = BYTES("/tmp/a\0b");
	client_expect_error(&client, client_send(&client, &message), CODE(INVALID),
			    "path: holds a NUL");
	client_ping(&client);
}
END_TEST

/* What gives nothing now is waited for, and others are not kept waiting. */
START_TEST(read_fifo)
{
	uint32_t id;
	int fd;

	ck_assert_int_eq(mkfifo(path, 0600), 0);
	fd = open(path, O_RDWR | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	id = send_read(&client, path, &plain_read);
	client_ping(&client);
	ck_assert_int_eq(write(fd, "abc", 3), 3);
	ck_assert_uint_eq(client_expect(&client, BODY(FILE_DATA))->file_data->data.len, 3);
	client_ping(&client);
	ck_assert_int_eq(write(fd, "defg", 4), 4);
	ck_assert_uint_eq(client_expect(&client, BODY(FILE_DATA))->file_data->offset, 3);
	close(fd);
	ck_assert_uint_eq(client_expect(&client, BODY(OK))->id, id);
}
END_TEST

START_TEST(read_without_end)
{
	uint32_t id = send_read(&client, "/dev/zero", &plain_read);
	uint32_t cancel = 0;
	int chunks = 0;

	for (;;) {
		const Provium__V1__Message *message = client_receive(&client);

		ck_assert_ptr_nonnull(message);
		if (message->body_case == BODY(FILE_DATA)) {
			if (++chunks == 20)
				cancel = client_cancel(&client, id);
			continue;
		}
		ck_assert_int_eq(message->body_case, BODY(ERROR));
		ck_assert_int_eq(message->error->code, CODE(CANCELLED));
		ck_assert_uint_eq(message->id, id);
		break;
	}
	client_expect_ok(&client, cancel);
	client_ping(&client);
}
END_TEST

/* ------------------------------------------------------------------------------------------- */
/* WRITE_FILE */

static const Provium__V1__WriteFile plain_write = PROVIUM__V1__WRITE_FILE__INIT;

static uint32_t send_write(const char *name, const Provium__V1__WriteFile *options)
{
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__WriteFile body = *options;

	body.has_path = true;
	body.path = bytes_of(name);
	message.body_case = BODY(WRITE_FILE);
	message.write_file = &body;
	return client_send(&client, &message);
}

static void send_data(uint32_t id, const void *data, size_t size, bool last)
{
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__WriteData body = PROVIUM__V1__WRITE_DATA__INIT;

	message.has_id = true;
	message.id = id;
	message.body_case = BODY(WRITE_DATA);
	message.write_data = &body;
	body.has_data = size > 0;
	body.data = (ProtobufCBinaryData){ size, (uint8_t *)(uintptr_t)data };
	body.has_last = last;
	body.last = last;
	client_send(&client, &message);
}

/* Sends the pattern as a host does: no more than the window beyond what has been acknowledged. */
static void send_pattern(uint32_t id, uint64_t offset, uint64_t size, size_t piece)
{
	cleanup_free uint8_t *data = malloc(piece);
	uint64_t sent = 0, acked = 0;

	ck_assert_ptr_nonnull(data);
	do {
		size_t count = (size_t)MIN(size - sent, (uint64_t)piece);

		while (sent + count - acked > PROVIUM_WRITE_WINDOW) {
			const Provium__V1__Message *message =
				client_expect(&client, BODY(WRITE_ACK));

			ck_assert_uint_eq(message->id, id);
			ck_assert_uint_gt(message->write_ack->bytes, acked);
			acked = message->write_ack->bytes;
			ck_assert_uint_le(acked, sent);
		}
		for (size_t i = 0; i < count; i++)
			data[i] = pattern_at(offset + sent + i);
		sent += count;
		send_data(id, data, count, sent == size);
	} while (sent < size);
}

/* WRITE_ACKs, then OK with so many bytes. */
static void expect_written(uint32_t id, uint64_t size)
{
	const Provium__V1__Message *message = client_receive(&client);

	while (message && message->body_case == BODY(WRITE_ACK))
		message = client_receive(&client);
	ck_assert_ptr_nonnull(message);
	ck_assert_msg(message->body_case == BODY(OK), "%s",
		      message->body_case == BODY(ERROR) ? message->error->text : "no OK");
	ck_assert_uint_eq(message->id, id);
	ck_assert_uint_eq(message->ok->bytes, size);
}

static void write_pattern(const Provium__V1__WriteFile *options, uint64_t offset, uint64_t size)
{
	uint32_t id = send_write(path, options);

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
		ck_assert(holds_pattern(path, 0, sizes[i]));
		/* Longer before: it is truncated. */
		write_pattern(&options, 0, 3);
		ck_assert(holds_pattern(path, 0, 3));
	}
	/* ., .., the socket and the file. */
	ck_assert_uint_eq(count_files(), 4);
}
END_TEST

START_TEST(write_small_pieces)
{
	uint32_t id = send_write(path, &plain_write);

	send_pattern(id, 0, 3000000, 1000);
	expect_written(id, 3000000);
	ck_assert(holds_pattern(path, 0, 3000000));
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
	ck_assert_uint_eq(mode_of(path), 0644);
	options.has_mode = true;
	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		unlink(path);
		options.mode = modes[i];
		write_pattern(&options, 0, 1);
		ck_assert_uint_eq(mode_of(path), modes[i]);
	}
	/* One that is there keeps its own, but where another takes its place. */
	ck_assert_int_eq(chmod(path, 0640), 0);
	options.mode = 0600;
	write_pattern(&options, 0, 1);
	ck_assert_uint_eq(mode_of(path), _i ? 0600 : 0640);
	umask(mask);
	options.mode = 010000;
	client_expect_error(&client, send_write(path, &options), CODE(INVALID), "mode: 4096");
}
END_TEST

START_TEST(write_owner)
{
	Provium__V1__WriteFile options = PROVIUM__V1__WRITE_FILE__INIT;
	struct stat status;

	if (geteuid() != 0)
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
	ck_assert_int_eq(stat(path, &status), 0);
	ck_assert_uint_eq(status.st_uid, 1234);
	ck_assert_uint_eq(status.st_gid, 5678);
	ck_assert_uint_eq(status.st_mode & 07777, 06755);
}
END_TEST

START_TEST(write_places)
{
	Provium__V1__WriteFile options = PROVIUM__V1__WRITE_FILE__INIT;
	struct stat status;

	make_file(path, 1000, 0600);
	options.has_append = true;
	options.append = true;
	write_pattern(&options, 1000, 500);
	ck_assert(holds_pattern(path, 0, 1500));
	/* Nothing is cut off behind it. */
	options = plain_write;
	options.has_offset = true;
	options.offset = 100;
	write_pattern(&options, 100, 50);
	ck_assert(holds_pattern(path, 0, 1500));
	options.offset = 10000;
	write_pattern(&options, 10000, 5);
	ck_assert(holds_pattern(path, 10000, 5));
	ck_assert_int_eq(stat(path, &status), 0);
	ck_assert_int_eq(status.st_size, 10005);
	options.offset = 0;
	write_pattern(&options, 0, 5);
	ck_assert_int_eq(stat(path, &status), 0);
	ck_assert_int_eq(status.st_size, 10005);
}
END_TEST

START_TEST(write_create_and_exclusive)
{
	Provium__V1__WriteFile options = PROVIUM__V1__WRITE_FILE__INIT;

	options.has_atomic = true;
	options.atomic = _i;
	options.has_create = true;
	client_expect_os_error(&client, send_write(path, &options), ENOENT, path);
	make_file(path, 10, 0600);
	write_pattern(&options, 0, 20);
	ck_assert(holds_pattern(path, 0, 20));
	options.create = true;
	options.has_exclusive = true;
	options.exclusive = true;
	client_expect_os_error(&client, send_write(path, &options), EEXIST, path);
	ck_assert(holds_pattern(path, 0, 20));
	unlink(path);
	write_pattern(&options, 0, 30);
	ck_assert(holds_pattern(path, 0, 30));
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
	id = send_write(path, &options);
	client_ping(&client);
	make_file(path, 7, 0600);
	send_data(id, "other", 5, true);
	client_expect_os_error(&client, id, EEXIST, path);
	ck_assert(holds_pattern(path, 0, 7));
	ck_assert_uint_eq(count_files(), 4);
}
END_TEST

/* Until all is there the old content is. */
START_TEST(write_atomic)
{
	Provium__V1__WriteFile options = PROVIUM__V1__WRITE_FILE__INIT;
	uint32_t id;

	make_file(path, 1000, 0600);
	options.has_atomic = options.atomic = true;
	options.has_sync = options.sync = true;
	id = send_write(path, &options);
	send_data(id, "x", 1, false);
	client_ping(&client);
	ck_assert(holds_pattern(path, 0, 1000));
	ck_assert_uint_eq(count_files(), 5);
	client_expect_error(&client, (client_cancel(&client, id), id), CODE(CANCELLED), "1 bytes");
	client_expect(&client, BODY(OK));
	ck_assert(holds_pattern(path, 0, 1000));
	ck_assert_uint_eq(count_files(), 4);
	write_pattern(&options, 0, 500);
	ck_assert(holds_pattern(path, 0, 500));
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
	send_data(send_write(path, &options), "x", 1, false);
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
	client_expect_error(&client, send_write(path, &options), CODE(INVALID),
			    "append and offset");
	options.append = false;
	options.has_atomic = options.atomic = true;
	client_expect_error(&client, send_write(path, &options), CODE(INVALID), "atomic excludes");
	options.has_offset = false;
	client_expect_os_error(&client, send_write(test_path("."), &options), EISDIR, "");
	client_expect_os_error(&client, send_write("/no/such/directory/file", &options), ENOENT,
			       "");
	options = plain_write;
	options.has_exclusive = options.exclusive = true;
	options.has_create = true;
	client_expect_error(&client, send_write(path, &options), CODE(INVALID), "needs create");
	options = plain_write;
	options.has_fd = true;
	client_expect_error(&client, send_write(path, &options), CODE(UNSUPPORTED), "fd");
}
END_TEST

START_TEST(write_without_room)
{
	uint32_t id;

	if (access("/dev/full", W_OK) < 0)
		return;
	id = send_write("/dev/full", &plain_write);
	send_data(id, "data", 4, true);
	client_expect_os_error(&client, id, ENOSPC, "after 0 bytes");
	client_ping(&client);
}
END_TEST

START_TEST(write_past_the_window)
{
	cleanup_free uint8_t *data = calloc(1, PROVIUM_WRITE_WINDOW + 1);
	uint32_t id = send_write(path, &plain_write);

	send_data(id, data, PROVIUM_WRITE_WINDOW + 1, false);
	client_expect_error(&client, id, CODE(LIMIT), "WRITE_DATA: data");
	send_data(id, data, 10, true);
	client_ping(&client);
}
END_TEST

START_TEST(write_holes)
{
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__WriteData body = PROVIUM__V1__WRITE_DATA__INIT;

	message.has_id = true;
	message.id = send_write(path, &plain_write);
	message.body_case = BODY(WRITE_DATA);
	message.write_data = &body;
	body.has_hole = true;
	body.hole = 5;
	client_send(&client, &message);
	client_expect_error(&client, message.id, CODE(UNSUPPORTED), "WRITE_DATA: hole");
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

	ck_assert_int_eq(mkfifo(path, 0600), 0);
	client_expect_os_error(&client, send_write(path, &plain_write), ENXIO, path);
	fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	id = send_write(path, &plain_write);
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

START_TEST(write_fifo_past_the_window)
{
	cleanup_free uint8_t *data = calloc(1, PROVIUM_CHUNK);
	uint32_t id;
	int fd;

	ck_assert_int_eq(mkfifo(path, 0600), 0);
	fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	id = send_write(path, &plain_write);
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

	ck_assert_int_eq(mkfifo(path, 0600), 0);
	fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	id = send_write(path, &plain_write);
	send_data(id, data, PROVIUM_CHUNK, false);
	client_ping(&client);
	close(fd);
	client_expect_os_error(&client, id, EPIPE, "");
}
END_TEST

/* ------------------------------------------------------------------------------------------- */
/* Order */

/* A read that comes behind a write sees what was written, though its data came later. */
START_TEST(read_after_write)
{
	uint32_t write = send_write(path, &plain_write);
	uint32_t read = send_read(&client, path, &plain_read);

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

	make_file(path, 1000000, 0600);
	for (size_t i = 0; i < ARRAY_SIZE(ids); i++)
		ids[i] = send_read(&client, path, &plain_read);
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
	first = send_write(path, &plain_write);
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
	uint32_t first = send_write(path, &plain_write);
	uint32_t second = send_write(path, &plain_write);
	uint32_t third = send_read(&client, path, &plain_read);
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
	uint32_t first = send_write(path, &plain_write);
	uint32_t second = send_read(&client, path, &plain_read);

	client.last_id = second - 1;
	ck_assert_uint_eq(send_read(&client, path, &plain_read), second);
	client_expect_error(&client, second, CODE(BUSY), "in flight");
	send_data(first, NULL, 0, true);
	expect_written(first, 0);
	ck_assert_uint_eq(expect_pattern(&client, second, 0), 0);
}
END_TEST

/* A write that fails when its turn comes takes its waiting data with it. */
START_TEST(failure_while_waiting)
{
	uint32_t first = send_write(path, &plain_write);
	uint32_t second = send_write("/no/such/directory/file", &plain_write);
	uint32_t third = send_read(&client, path, &plain_read);

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
	uint32_t first = send_write(path, &plain_write);
	uint32_t second = send_write(path, &plain_write);

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
	uint32_t first = send_write(path, &plain_write), last = 0;

	for (int i = 0; i < WRITES; i++) {
		last = send_write(path, &plain_write);
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

START_TEST(too_many_requests)
{
	uint32_t first = send_write(path, &plain_write);

	for (int i = 1; i < SESSION_MAX_REQUESTS; i++)
		send_read(&client, path, &plain_read);
	client_expect_error(&client, send_read(&client, path, &plain_read), CODE(LIMIT),
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

	make_file(path, 1000, 0600);
	send_write(test_path("held"), &plain_write);
	client_connect(&other);
	ck_assert_uint_eq(expect_pattern(&other, send_read(&other, path, &plain_read), 0), 1000);
	client_close(&other);
}
END_TEST

static Suite *file_suite(void)
{
	Suite *suite = suite_create("agent: files");
	TCase *tcase = unit_counted_case("connected");

	tcase_add_checked_fixture(tcase, start, agent_stop_connected);
	tcase_add_loop_test(tcase, read_sizes, 0, 8);
	tcase_add_test(tcase, read_ranges);
	tcase_add_test(tcase, read_proc);
	tcase_add_test(tcase, read_relative);
	tcase_add_test(tcase, read_failures);
	tcase_add_test(tcase, read_fifo);
	tcase_add_test(tcase, read_without_end);
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
	tcase_add_test(tcase, write_holes);
	tcase_add_test(tcase, stray_data);
	tcase_add_test(tcase, write_fifo);
	tcase_add_test(tcase, write_fifo_past_the_window);
	tcase_add_test(tcase, write_fifo_without_reader);
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
	tcase_set_timeout(tcase, 60);
	suite_add_tcase(suite, tcase);
	return suite;
}

int main(void)
{
	return unit_run(file_suite());
}
