/* The course of a program, and what it tells of its buffers. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/util.h"
#include "tests/integration/programs/programs.h"

#define PAGE 4096u

START_TEST(one_round_trip)
{
	int fd = call_open("/tmp/file", O_RDWR | O_CREAT | O_TRUNC);
	int text = provium_program_input(program, "some text", 9);
	int back = provium_program_output(program, 9);
	int written = PROVIUM_CALL(program, SYS_write, provium_result_of(fd), provium_address(text),
				   VALUE(9));
	int place =
		PROVIUM_CALL(program, SYS_lseek, provium_result_of(fd), VALUE(5), VALUE(SEEK_SET));
	int got = PROVIUM_CALL(program, SYS_read, provium_result_of(fd), provium_address(back),
			       VALUE(9));
	int closed = call_close(fd);
	struct provium_info before = get_info();

	for (int i = 1; i <= 2; i++) {
		struct provium_info after;

		run_program();
		/* One frame for all five calls, and that of INFO. */
		after = get_info();
		ck_assert_uint_eq(after.frames_received - before.frames_received, (uint64_t)2 * i);
		ck_assert_uint_eq(after.frames_sent - before.frames_sent, (uint64_t)2 * i);
		ck_assert_uint_eq(provium_program_made(program), 5);
		ck_assert_int_eq(result_of(fd), 3);
		ck_assert_int_eq(result_of(written), 9);
		ck_assert_int_eq(result_of(place), 5);
		ck_assert_int_eq(result_of(got), 4);
		ck_assert_int_eq(result_of(closed), 0);
		ck_assert_mem_eq(provium_program_data(program, back), "text", 4);
	}
	expect_output("cat /tmp/file && rm /tmp/file", "some text");
}
END_TEST

/* A page into 16 bytes, from files of several kinds: what is behind them is out of reach. */
START_TEST(too_small_a_buffer)
{
	static const char *const paths[] = { "/dev/zero", "/proc/self/maps", "/holder" };
	struct provium_buffer_options options = { .size = 16, .output = true };
	static const uint8_t zeros[16];
	int buffers[4], calls[4], pair, page, full;

	for (int i = 0; i < 3; i++) {
		int fd = call_open(paths[i], O_RDONLY);

		buffers[i] = provium_program_buffer(program, &options);
		calls[i] = PROVIUM_CALL(program, SYS_read, provium_result_of(fd),
					provium_address(buffers[i]), VALUE(PAGE));
		call_close(fd);
	}
	/* A pipe that holds as much as is asked for. */
	pair = provium_program_output(program, 8);
	page = provium_program_output(program, PAGE);
	PROVIUM_CALL(program, SYS_pipe2, provium_address(pair), VALUE(0));
	full = PROVIUM_CALL(program, SYS_write, provium_load(pair, 4, 4), provium_address(page),
			    VALUE(PAGE));
	buffers[3] = provium_program_buffer(program, &options);
	calls[3] = PROVIUM_CALL(program, SYS_read, provium_load(pair, 0, 4),
				provium_address(buffers[3]), VALUE(PAGE));
	call_close_at(pair, 0);
	call_close_at(pair, 4);
	run_program();
	ck_assert_int_eq(result_of(full), PAGE);
	for (int i = 0; i < 4; i++)
		ck_assert_msg(result_of(calls[i]) == 16 || result_of(calls[i]) == -EFAULT,
			      "%d: %lld", i, (long long)result_of(calls[i]));
	/* These give what there is room for. */
	ck_assert_int_eq(result_of(calls[0]), 16);
	ck_assert_mem_eq(provium_program_data(program, buffers[0]), zeros, sizeof(zeros));
	ck_assert_int_eq(result_of(calls[2]), 16);
	ck_assert_mem_eq(provium_program_data(program, buffers[2]), "\177ELF", 4);
	expect_output("echo fine", "fine\n");
	OK(provium_ping(connection, TIMEOUT, &error));
}
END_TEST

static int watched(size_t size)
{
	const struct provium_buffer_options options = { .size = size,
							.output = true,
							.changes = true };

	return provium_program_buffer(program, &options);
}

/* So many ranges were written, these. */
static void expect_written(int buffer, const struct provium_range *wanted, size_t wanted_count)
{
	const struct provium_range *ranges;
	size_t count;
	bool cut;

	ranges = provium_program_changes(program, buffer, &count, &cut);
	ck_assert(!cut);
	for (size_t i = 0; i < MIN(count, wanted_count); i++)
		ck_assert_msg(ranges[i].offset == wanted[i].offset &&
				      ranges[i].size == wanted[i].size,
			      "range %zu: %u bytes at %u, not %u at %u", i, ranges[i].size,
			      ranges[i].offset, wanted[i].size, wanted[i].offset);
	ck_assert_uint_eq(count, wanted_count);
}

/* The whole structure with its padding (fs/stat.c, cp_new_stat), and nothing behind it. */
START_TEST(written_by_stat)
{
	static const struct provium_range wanted = { 0, sizeof(struct stat) };
	int name = provium_program_string(program, "/holder");
	int buffer = watched(200), other = watched(50), got;
	const struct stat *status;

	got = PROVIUM_CALL(program, SYS_stat, provium_address(name), provium_address(buffer));
	OK(provium_written(connection, program, TIMEOUT, &error));
	ck_assert_int_eq(result_of(got), 0);
	status = provium_program_data(program, buffer);
	ck_assert(S_ISREG(status->st_mode));
	expect_written(buffer, &wanted, 1);
	expect_written(other, NULL, 0);
}
END_TEST

/* The value, and how long it is: of that, an input, the one byte that becomes another. */
START_TEST(written_by_getsockopt)
{
	static const struct provium_range value = { 3, 4 }, length = { 0, 1 };
	uint32_t room = 10;
	struct provium_buffer_options options = {
		.input = &room, .input_size = sizeof(room), .output = true, .changes = true
	};
	int size = provium_program_buffer(program, &options), buffer = watched(16), fd, got;

	fd = PROVIUM_CALL(program, SYS_socket, VALUE(AF_UNIX), VALUE(SOCK_STREAM), VALUE(0));
	got = PROVIUM_CALL(program, SYS_getsockopt, provium_result_of(fd), VALUE(SOL_SOCKET),
			   VALUE(SO_TYPE), provium_address_at(buffer, 3), provium_address(size));
	call_close(fd);
	OK(provium_written(connection, program, TIMEOUT, &error));
	ck_assert_int_eq(result_of(got), 0);
	expect_written(buffer, &value, 1);
	expect_written(size, &length, 1);
	ck_assert_mem_eq(provium_program_data(program, size), "\4\0\0\0", 4);
}
END_TEST

/* struct linux_dirent64: inode, offset, length, type, name. */
enum {
	DIRENT_LENGTH = 16,
	DIRENT_NAME = 19,
};

/* Where the entries in a buffer lie, up to the end of each name; ranges that touch are one. */
static size_t entry_ranges(const uint8_t *data, uint32_t size, struct provium_range *ranges,
			   size_t room)
{
	size_t count = 0;

	for (uint32_t at = 0, length; at < size; at += length) {
		uint32_t used =
			DIRENT_NAME + (uint32_t)strlen((const char *)data + at + DIRENT_NAME) + 1;

		length = data[at + DIRENT_LENGTH] | (uint32_t)data[at + DIRENT_LENGTH + 1] << 8;
		ck_assert_uint_le(used, length);
		if (count > 0 && ranges[count - 1].offset + ranges[count - 1].size == at) {
			ranges[count - 1].size += used;
			continue;
		}
		ck_assert_uint_lt(count, room);
		ranges[count++] = (struct provium_range){ at, used };
	}
	return count;
}

/* What pads a name to 8 bytes the kernel leaves alone. */
START_TEST(written_by_getdents)
{
	struct provium_range wanted[16];
	int buffer = watched(1024), fd, got;
	size_t count;

	/* Names of all lengths modulo 8. */
	expect_output("mkdir /tmp/names && cd /tmp/names && touch a ab abc abcd abcde abcdef "
		      "abcdefg abcdefgh",
		      "");
	fd = call_open("/tmp/names", O_RDONLY | O_DIRECTORY);
	got = PROVIUM_CALL(program, SYS_getdents64, provium_result_of(fd), provium_address(buffer),
			   VALUE(1024));
	call_close(fd);
	OK(provium_written(connection, program, TIMEOUT, &error));
	ck_assert_int_gt(result_of(got), (int64_t)10 * (DIRENT_NAME + 2));
	count = entry_ranges(provium_program_data(program, buffer), (uint32_t)result_of(got),
			     wanted, ARRAY_SIZE(wanted));
	ck_assert_uint_ge(count, 8);
	expect_written(buffer, wanted, count);
	expect_output("rm -r /tmp/names", "");
}
END_TEST

/* A socket gives EFAULT, and has filled all the same what there was. */
START_TEST(written_before_a_failure)
{
	static const struct provium_range wanted = { 0, 16 };
	static const uint8_t zeros[PAGE];
	int pair = provium_program_output(program, 8);
	int page = provium_program_input(program, zeros, sizeof(zeros));
	int buffer = watched(16), got;

	PROVIUM_CALL(program, SYS_socketpair, VALUE(AF_UNIX), VALUE(SOCK_STREAM), VALUE(0),
		     provium_address(pair));
	PROVIUM_CALL(program, SYS_write, provium_load(pair, 4, 4), provium_address(page),
		     VALUE(PAGE));
	got = PROVIUM_CALL(program, SYS_read, provium_load(pair, 0, 4), provium_address(buffer),
			   VALUE(PAGE));
	call_close_at(pair, 0);
	call_close_at(pair, 4);
	OK(provium_written(connection, program, TIMEOUT, &error));
	ck_assert_int_eq(result_of(got), -EFAULT);
	expect_written(buffer, &wanted, 1);
}
END_TEST

void add_courses(TCase *tcase)
{
	tcase_add_test(tcase, one_round_trip);
	tcase_add_test(tcase, too_small_a_buffer);
	tcase_add_test(tcase, written_by_stat);
	tcase_add_test(tcase, written_by_getsockopt);
	tcase_add_test(tcase, written_by_getdents);
	tcase_add_test(tcase, written_before_a_failure);
}
