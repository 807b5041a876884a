/* Holes: told by READ_FILE, kept by WRITE_FILE. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent_files.h"
#include "agent_os.h"
#include "common/cleanup.h"
#include "common/util.h"
#include "proto/limits.h"
#include "unit.h"

#define PART MIB(1)

/* A piece of a file as FILE_DATA told it. */
struct piece {
	uint64_t offset;
	uint64_t length;
	bool hole;
};

/* Takes FILE_DATA up to OK; neighbours of one kind become one piece. Returns how many there are. */
static size_t collect(uint32_t id, struct piece *pieces, size_t max)
{
	uint64_t bytes = 0;
	size_t count = 0;

	for (;;) {
		const Provium__V1__Message *message = client_receive(&client);
		const Provium__V1__FileData *data = message->file_data;
		uint64_t length;

		ck_assert_uint_eq(message->id, id);
		if (message->body_case == BODY(OK)) {
			ck_assert_uint_eq(message->ok->bytes, bytes);
			return count;
		}
		ck_assert_int_eq(message->body_case, BODY(FILE_DATA));
		ck_assert(data->has_hole != data->has_data);
		length = data->has_hole ? data->hole : data->data.len;
		ck_assert_uint_gt(length, 0);
		if (data->has_data)
			ck_assert(is_pattern(data->data.data, data->offset, data->data.len));
		bytes += data->data.len;
		if (count > 0 && pieces[count - 1].hole == (bool)data->has_hole) {
			ck_assert_uint_eq(pieces[count - 1].offset + pieces[count - 1].length,
					  data->offset);
			pieces[count - 1].length += length;
			continue;
		}
		ck_assert_uint_lt(count, max);
		pieces[count++] = (struct piece){ data->offset, length, data->has_hole };
	}
}

static void expect_pieces(uint32_t id, const struct piece *expected, size_t count)
{
	struct piece pieces[8];

	ck_assert_uint_eq(collect(id, pieces, ARRAY_SIZE(pieces)), count);
	for (size_t i = 0; i < count; i++) {
		ck_assert_uint_eq(pieces[i].offset, expected[i].offset);
		ck_assert_uint_eq(pieces[i].length, expected[i].length);
		ck_assert(pieces[i].hole == expected[i].hole);
	}
}

/* Puts the pattern there. */
static void put_pattern(int fd, uint64_t offset, uint64_t size)
{
	cleanup_free uint8_t *data = malloc(size);

	ck_assert_ptr_nonnull(data);
	for (uint64_t i = 0; i < size; i++)
		data[i] = (uint8_t)((offset + i) ^ (offset + i) >> 8 ^ (offset + i) >> 16);
	ck_assert_int_eq(pwrite(fd, data, size, (off_t)offset), (ssize_t)size);
}

/* A hole, data, a hole, data, a hole; open for reading and writing. */
static int make_sparse(void)
{
	int fd = open(file_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	ck_assert_int_ge(fd, 0);
	put_pattern(fd, PART, PART);
	put_pattern(fd, 3 * PART, PART / 2);
	ck_assert_int_eq(ftruncate(fd, 5 * PART), 0);
	return fd;
}

/* A file system may know no holes: then the test is told as skipped. */
static bool knows_holes(int fd)
{
	if (lseek(fd, 0, SEEK_DATA) > 0)
		return true;
	unit_skip("the file system knows no holes");
	return false;
}

static const struct piece whole[] = {
	{ 0, PART, true },
	{ PART, PART, false },
	{ 2 * PART, PART, true },
	{ 3 * PART, PART / 2, false },
	{ 3 * PART + PART / 2, 3 * PART / 2, true },
};

START_TEST(read_sparse)
{
	Provium__V1__ReadFile options = PROVIUM__V1__READ_FILE__INIT;
	int fd = make_sparse();

	SET(options, sparse, true);
	if (knows_holes(fd)) {
		expect_pieces(send_read(&client, file_path, &options), whole, 5);
		/* In the middle of each, to the middle of the next. */
		SET(options, offset, PART / 2);
		SET(options, length, PART);
		expect_pieces(send_read(&client, file_path, &options),
			      (const struct piece[]){ { PART / 2, PART / 2, true },
						      { PART, PART / 2, false } },
			      2);
		options.offset = PART + PART / 2;
		expect_pieces(send_read(&client, file_path, &options),
			      (const struct piece[]){ { PART + PART / 2, PART / 2, false },
						      { 2 * PART, PART / 2, true } },
			      2);
		options.offset = 4 * PART;
		options.length = UINT64_MAX;
		expect_pieces(send_read(&client, file_path, &options),
			      (const struct piece[]){ { 4 * PART, PART, true } }, 1);
		options.offset = 5 * PART;
		expect_pieces(send_read(&client, file_path, &options), NULL, 0);
		options.offset = 50 * PART;
		expect_pieces(send_read(&client, file_path, &options), NULL, 0);
		options.offset = 0;
		options.length = 0;
		expect_pieces(send_read(&client, file_path, &options), NULL, 0);
	}
	close(fd);
}
END_TEST

/* Of an fd: from its place, which moves, or from an offset, and then it does not. */
START_TEST(read_sparse_fd)
{
	Provium__V1__ReadFile options = PROVIUM__V1__READ_FILE__INIT;
	int fd = make_sparse();

	SET(options, sparse, true);
	SET(options, fd, fd);
	if (knows_holes(fd)) {
		ck_assert_int_eq(lseek(fd, 2 * PART, SEEK_SET), 2 * PART);
		expect_pieces(send_body(&client, BODY(READ_FILE), &options), whole + 2, 3);
		ck_assert_int_eq(lseek(fd, 0, SEEK_CUR), 5 * PART);
		ck_assert_int_eq(lseek(fd, 7, SEEK_SET), 7);
		SET(options, offset, 0);
		expect_pieces(send_body(&client, BODY(READ_FILE), &options), whole, 5);
		ck_assert_int_eq(lseek(fd, 0, SEEK_CUR), 7);
	}
	close(fd);
}
END_TEST

/* The file's end is put there, and data behind a new hole. */
static off_t new_end;
static bool with_data;

static void move_end(void)
{
	int fd = open(file_path, O_WRONLY | O_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, new_end), 0);
	if (with_data)
		put_pattern(fd, (uint64_t)new_end, PART);
	close(fd);
}

/* Holes that were told stay told; of the rest comes what is there by then. */
START_TEST(read_sparse_while_size_changes)
{
	const uint64_t chunk = PROVIUM_CHUNK;
	const struct {
		unsigned int reads;
		uint64_t end;
		bool with_data;
		size_t count;
		struct piece pieces[6];
	} cases[] = {
		/* Below the hole that has been told, in the data, below the next hole and its end.
		 */
		{ 0, PART / 2, false, 1, { whole[0] } },
		{ 0, 0, false, 1, { whole[0] } },
		{ 2, PART + 2 * chunk + 9, false, 2, { whole[0], { PART, 2 * chunk + 9, false } } },
		{ 3, PART + chunk, false, 2, { whole[0], { PART, 3 * chunk, false } } },
		{ 3, 5 * PART / 2, false, 3, { whole[0], whole[1], { 2 * PART, PART / 2, true } } },
		{ 4, 5 * PART / 2, false, 3, { whole[0], whole[1], whole[2] } },
		/* The last hole grows, and ends. */
		{ 5,
		  7 * PART,
		  false,
		  5,
		  { whole[0],
		    whole[1],
		    whole[2],
		    whole[3],
		    { 7 * PART / 2, 7 * PART / 2, true } } },
		{ 5,
		  7 * PART,
		  true,
		  6,
		  { whole[0],
		    whole[1],
		    whole[2],
		    whole[3],
		    { 7 * PART / 2, 7 * PART / 2, true },
		    { 7 * PART, PART, false } } },
	};
	Provium__V1__ReadFile options = PROVIUM__V1__READ_FILE__INIT;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int fd = make_sparse();

		options = plain_read;
		SET(options, sparse, true);
		if (_i > 0)
			SET(options, fd, fd);
		if (_i > 1)
			SET(options, offset, 0);
		new_end = (off_t)cases[i].end;
		with_data = cases[i].with_data;
		ck_assert_int_eq(lseek(fd, 0, SEEK_SET), 0);
		if (knows_holes(fd)) {
			ck_assert_int_eq(lseek(fd, 0, SEEK_SET), 0);
			os_before(OS_READ, cases[i].reads, move_end);
			expect_pieces(_i > 0 ? send_body(&client, BODY(READ_FILE), &options)
					     : send_read(&client, file_path, &options),
				      cases[i].pieces, cases[i].count);
			client_ping(&client);
		}
		close(fd);
		unlink(file_path);
	}
}
END_TEST

/* What has no holes, no size or no place gives its data. */
START_TEST(read_sparse_of_others)
{
	Provium__V1__ReadFile options = PROVIUM__V1__READ_FILE__INIT;
	const Provium__V1__Message *message;
	uint32_t id;
	int ends[2];

	SET(options, sparse, true);
	make_file(file_path, 1000000, 0600);
	ck_assert_uint_eq(expect_pattern(&client, send_read(&client, file_path, &options), 0),
			  1000000);
	make_file(file_path, 0, 0600);
	ck_assert_uint_eq(expect_pattern(&client, send_read(&client, file_path, &options), 0), 0);
	for (size_t i = 0; i < 3; i++) {
		static const char *const paths[] = { "/proc/self/maps", "/proc/version",
						     "/sys/devices/system/cpu/possible" };

		id = send_read(&client, paths[i], &options);
		message = client_expect(&client, BODY(FILE_DATA));
		ck_assert(!message->file_data->has_hole && message->file_data->data.len > 1);
		client_expect_ok(&client, id);
	}
	ck_assert_int_eq(pipe(ends), 0);
	ck_assert_int_eq(write(ends[1], "abc", 3), 3);
	close(ends[1]);
	SET(options, fd, ends[0]);
	id = send_body(&client, BODY(READ_FILE), &options);
	ck_assert_uint_eq(client_expect(&client, BODY(FILE_DATA))->file_data->data.len, 3);
	client_expect_ok(&client, id);
	close(ends[0]);
	options.has_fd = false;
	client_expect_os_error(&client, send_read(&client, "/etc", &options), EISDIR, "");
}
END_TEST

/* ------------------------------------------------------------------------------------------- */

static uint64_t size_of(const char *name)
{
	struct stat status;

	ck_assert_int_eq(stat(name, &status), 0);
	return (uint64_t)status.st_size;
}

static uint64_t disk_bytes_of(const char *name)
{
	struct stat status;

	ck_assert_int_eq(stat(name, &status), 0);
	return (uint64_t)status.st_blocks * 512;
}

/* Sends what READ_FILE has told, and reads it again. */
START_TEST(round_trip)
{
	Provium__V1__WriteFile write_options = PROVIUM__V1__WRITE_FILE__INIT;
	Provium__V1__ReadFile options = PROVIUM__V1__READ_FILE__INIT;
	cleanup_free uint8_t *data = calloc(1, PART);
	uint32_t id;
	int fd;

	SET(write_options, atomic, _i);
	id = send_write(file_path, &write_options);
	for (uint64_t i = 0; i < PART; i++)
		data[i] = (uint8_t)(i ^ i >> 8 ^ (i + PART) >> 16);
	send_hole(id, PART, data, PROVIUM_CHUNK, false);
	send_hole(id, 0, data + PROVIUM_CHUNK, PROVIUM_CHUNK, false);
	/* In pieces, with and without data, and the end with the last. */
	send_hole(id, 10, NULL, 0, false);
	send_hole(id, PART - 10, NULL, 0, !_i);
	if (_i)
		send_hole(id, 0, NULL, 0, true);
	expect_written(id, (uint64_t)2 * PROVIUM_CHUNK);
	ck_assert_uint_eq(size_of(file_path), 2 * PART + PART / 2);
	fd = open(file_path, O_RDONLY | O_CLOEXEC);
	if (knows_holes(fd)) {
		ck_assert_uint_le(disk_bytes_of(file_path), PART);
		SET(options, sparse, true);
		expect_pieces(send_read(&client, file_path, &options),
			      (const struct piece[]){ { 0, PART, true },
						      { PART, PART / 2, false },
						      { PART + PART / 2, PART, true } },
			      3);
	}
	close(fd);
}
END_TEST

/* Over what is there a hole is a step: it stays. */
START_TEST(step_over)
{
	Provium__V1__WriteFile options = PROVIUM__V1__WRITE_FILE__INIT;
	uint32_t id;

	make_file(file_path, 1000, 0600);
	SET(options, offset, 0);
	id = send_write(file_path, &options);
	send_hole(id, 100, NULL, 0, true);
	expect_written(id, 0);
	ck_assert(holds_pattern(file_path, 0, 1000));
	id = send_write(file_path, &options);
	send_hole(id, 2000, NULL, 0, true);
	expect_written(id, 0);
	ck_assert_uint_eq(size_of(file_path), 2000);
}
END_TEST

START_TEST(append_hole)
{
	Provium__V1__WriteFile options = PROVIUM__V1__WRITE_FILE__INIT;
	char content[64] = "";
	uint32_t id;
	int fd;

	make_file(file_path, 10, 0600);
	SET(options, append, true);
	id = send_write(file_path, &options);
	send_hole(id, 5, "x", 1, false);
	send_hole(id, 4, NULL, 0, true);
	expect_written(id, 1);
	ck_assert_uint_eq(size_of(file_path), 20);
	fd = open(file_path, O_RDONLY | O_CLOEXEC);
	ck_assert_int_eq(pread(fd, content, 10, 10), 10);
	ck_assert_mem_eq(content, "\0\0\0\0\0x\0\0\0\0", 10);
	close(fd);
}
END_TEST

/* Through an fd at an offset, which leaves its place alone. */
START_TEST(holes_of_fd)
{
	Provium__V1__WriteFile options = PROVIUM__V1__WRITE_FILE__INIT;
	int fd = memfd_create("holes", MFD_CLOEXEC);
	char content[16] = "";
	uint32_t id;

	SET(options, fd, fd);
	id = send_body(&client, BODY(WRITE_FILE), &options);
	send_hole(id, 3, "ab", 2, true);
	expect_written(id, 2);
	ck_assert_int_eq(lseek(fd, 0, SEEK_CUR), 5);
	SET(options, offset, 7);
	id = send_body(&client, BODY(WRITE_FILE), &options);
	send_hole(id, 1, "cd", 2, false);
	send_hole(id, 2, NULL, 0, true);
	expect_written(id, 2);
	ck_assert_int_eq(lseek(fd, 0, SEEK_CUR), 5);
	ck_assert_int_eq(lseek(fd, 0, SEEK_END), 12);
	ck_assert_int_eq(pread(fd, content, 12, 0), 12);
	ck_assert_mem_eq(content, "\0\0\0ab\0\0\0cd\0\0", 12);
	close(fd);
}
END_TEST

START_TEST(holes_that_cannot_be)
{
	Provium__V1__WriteFile options = PROVIUM__V1__WRITE_FILE__INIT;
	uint32_t id;
	int ends[2];

	/* Beyond what a file can be, at once or in two steps. */
	id = send_write(file_path, &plain_write);
	send_hole(id, (uint64_t)INT64_MAX + 1, NULL, 0, true);
	client_expect_error(&client, id, CODE(INVALID), "WRITE_DATA: hole");
	SET(options, offset, 100);
	id = send_write(file_path, &options);
	send_hole(id, INT64_MAX - 50, NULL, 0, true);
	client_expect_os_error(&client, id, EFBIG, "");
	/* A pipe has no place. */
	ck_assert_int_eq(pipe(ends), 0);
	options = plain_write;
	SET(options, fd, ends[1]);
	id = send_body(&client, BODY(WRITE_FILE), &options);
	send_hole(id, 5, "x", 1, true);
	client_expect_os_error(&client, id, ESPIPE, "");
	close(ends[0]);
	close(ends[1]);
	client_ping(&client);
}
END_TEST

/* Holes take no part in the window: there may be any number, of any size. */
START_TEST(many_holes)
{
	uint32_t id = send_write(file_path, &plain_write);

	for (int i = 0; i < 1000; i++)
		send_hole(id, MIB(2), "x", 1, i == 999);
	expect_written(id, 1000);
	ck_assert_uint_eq(size_of(file_path), 1000 * (uint64_t)(MIB(2) + 1));
}
END_TEST

static Suite *holes_suite(void)
{
	Suite *suite = suite_create("agent: holes of files");
	TCase *tcase = unit_counted_case("connected");

	tcase_add_checked_fixture(tcase, files_start, agent_stop_connected);
	tcase_add_test(tcase, read_sparse);
	tcase_add_test(tcase, read_sparse_fd);
	tcase_add_loop_test(tcase, read_sparse_while_size_changes, 0, 3);
	tcase_add_test(tcase, read_sparse_of_others);
	tcase_add_loop_test(tcase, round_trip, 0, 2);
	tcase_add_test(tcase, step_over);
	tcase_add_test(tcase, append_hole);
	tcase_add_test(tcase, holes_of_fd);
	tcase_add_test(tcase, holes_that_cannot_be);
	tcase_add_test(tcase, many_holes);
	tcase_set_timeout(tcase, 60);
	suite_add_tcase(suite, tcase);
	return suite;
}

int main(void)
{
	return unit_run(holes_suite());
}
