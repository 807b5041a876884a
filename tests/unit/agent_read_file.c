/* READ_FILE: sizes, ranges, files that are no plain ones, and every way in which it fails. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent_files.h"
#include "agent_os.h"
#include "common/util.h"
#include "proto/limits.h"
#include "unit.h"

#define CHUNK ((uint64_t)PROVIUM_CHUNK)

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

	make_file(file_path, sizes[_i], 0400);
	ck_assert_uint_eq(expect_pattern(&client, send_read(&client, file_path, &plain_read), 0),
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

	make_file(file_path, 1000000, 0600);
	options.has_offset = true;
	options.has_length = true;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		options.offset = cases[i].offset;
		options.length = cases[i].length;
		ck_assert_uint_eq(expect_pattern(&client, send_read(&client, file_path, &options),
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
	client_expect_error(&client, send_read(&client, file_path, &options), CODE(INVALID),
			    "offset: 9223372036854775808 is out of range");
	options = plain_read;
	options.has_fd = true;
	client_expect_error(&client, send_read(&client, file_path, &options), CODE(INVALID),
			    "exactly one of path and fd must be there, not several");

	message.body_case = BODY(READ_FILE);
	message.read_file = &body;
	client_expect_error(&client, client_send(&client, &message), CODE(INVALID),
			    "exactly one of path and fd must be there, not none");
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
	Provium__V1__ReadFile options = PROVIUM__V1__READ_FILE__INIT;
	uint32_t id;
	int fd;

	ck_assert_int_eq(mkfifo(file_path, 0600), 0);
	fd = open(file_path, O_RDWR | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	id = send_read(&client, file_path, &plain_read);
	client_ping(&client);
	ck_assert_int_eq(write(fd, "abc", 3), 3);
	ck_assert_uint_eq(client_expect(&client, BODY(FILE_DATA))->file_data->data.len, 3);
	client_ping(&client);
	ck_assert_int_eq(write(fd, "defg", 4), 4);
	ck_assert_uint_eq(client_expect(&client, BODY(FILE_DATA))->file_data->offset, 3);
	close(fd);
	ck_assert_uint_eq(client_expect(&client, BODY(OK))->id, id);
	options.has_offset = true;
	options.offset = 5;
	client_expect_os_error(&client, send_read(&client, file_path, &options), ESPIPE, file_path);
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

/* Makes the file so long, with the pattern up to its end. */
static uint64_t new_size;

static void resize(void)
{
	struct stat status;

	ck_assert_int_eq(stat(file_path, &status), 0);
	if ((uint64_t)status.st_size > new_size)
		ck_assert_int_eq(truncate(file_path, (off_t)new_size), 0);
	else
		make_file(file_path, new_size, 0600);
}

/* It becomes longer or shorter before one of the reads of a chunk each. */
START_TEST(read_while_size_changes)
{
	static const struct {
		uint64_t size;
		unsigned int reads;
		uint64_t changed;
		uint64_t length;
		uint64_t expected;
	} cases[] = {
		/* What has been sent is beyond the new end, at it, or before it. */
		{ 5 * CHUNK, 2, CHUNK, UINT64_MAX, 2 * CHUNK },
		{ 5 * CHUNK, 2, 0, UINT64_MAX, 2 * CHUNK },
		{ 5 * CHUNK, 2, 2 * CHUNK, UINT64_MAX, 2 * CHUNK },
		{ 5 * CHUNK, 2, 2 * CHUNK + 777, UINT64_MAX, 2 * CHUNK + 777 },
		{ 5 * CHUNK, 2, 4 * CHUNK, 3 * CHUNK, 3 * CHUNK },
		{ 5 * CHUNK, 0, 0, UINT64_MAX, 0 },
		/* In its midst, and when only the end was still to be found. */
		{ 2 * CHUNK, 1, 6 * CHUNK + 5, UINT64_MAX, 6 * CHUNK + 5 },
		{ 2 * CHUNK, 2, 3 * CHUNK + 5, UINT64_MAX, 3 * CHUNK + 5 },
		{ 100, 1, 300, UINT64_MAX, 300 },
		{ 0, 0, CHUNK + 1, UINT64_MAX, CHUNK + 1 },
		{ CHUNK + 1, 1, 8 * CHUNK, 2 * CHUNK, 2 * CHUNK },
	};
	Provium__V1__ReadFile options = PROVIUM__V1__READ_FILE__INIT;
	int fd;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint32_t id;

		make_file(file_path, cases[i].size, 0600);
		fd = open(file_path, O_RDONLY | O_CLOEXEC);
		ck_assert_int_ge(fd, 0);
		options = plain_read;
		SET(options, length, cases[i].length);
		new_size = cases[i].changed;
		os_before(OS_READ, cases[i].reads, resize);
		/* By path, by fd, and by fd from an offset. */
		if (_i > 0)
			SET(options, fd, fd);
		if (_i > 1)
			SET(options, offset, 0);
		id = _i > 0 ? send_body(&client, BODY(READ_FILE), &options)
			    : send_read(&client, file_path, &options);
		ck_assert_uint_eq(expect_pattern(&client, id, 0), cases[i].expected);
		ck_assert_int_eq(lseek(fd, 0, SEEK_CUR), _i == 1 ? (off_t)cases[i].expected : 0);
		client_ping(&client);
		close(fd);
	}
}
END_TEST

static Suite *read_file_suite(void)
{
	Suite *suite = suite_create("agent: reading files");
	TCase *tcase = unit_counted_case("connected");

	tcase_add_checked_fixture(tcase, files_start, agent_stop_connected);
	tcase_add_loop_test(tcase, read_sizes, 0, 8);
	tcase_add_test(tcase, read_ranges);
	tcase_add_test(tcase, read_proc);
	tcase_add_test(tcase, read_relative);
	tcase_add_test(tcase, read_failures);
	tcase_add_test(tcase, read_fifo);
	tcase_add_test(tcase, read_without_end);
	tcase_add_loop_test(tcase, read_while_size_changes, 0, 3);
	tcase_set_timeout(tcase, 60);
	suite_add_tcase(suite, tcase);
	return suite;
}

int main(void)
{
	return unit_run(read_file_suite());
}
