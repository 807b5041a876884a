/* Programs of system calls through the library, on the real agent (lib_real.h). */
#include "lib_real.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "common/util.h"
#include "proto/limits.h"
#include "unit.h"

#define VALUE(number) provium_value((uint64_t)(number))
#define PAGE          4096u

static struct provium_program *program;

static void start(void)
{
	real_start();
	program = provium_program_new();
	ck_assert_ptr_nonnull(program);
}

static void finish(void)
{
	provium_program_free(program);
	real_finish();
}

static void run(void)
{
	check_ok(provium_program_run(connection, program, SOON, &error));
}

static int64_t result_of(int call)
{
	return provium_program_result(program, call);
}

static int call_open(const char *name, int flags)
{
	return PROVIUM_CALL(program, SYS_openat, VALUE(AT_FDCWD),
			    provium_address(provium_program_string(program, name)), VALUE(flags),
			    VALUE(0600));
}

static int call_close(int call)
{
	return PROVIUM_CALL(program, SYS_close, provium_result_of(call));
}

/* The value of an address, which the agent writes down in a buffer. */
static uint64_t address_of(int holder)
{
	uint64_t value;

	memcpy(&value, provium_program_data(program, holder), sizeof(value));
	return value;
}

static int hold_address(int buffer)
{
	int holder = provium_program_output(program, sizeof(uint64_t));

	provium_program_pointer(program, holder, 0, buffer, 0);
	return holder;
}

/* ------------------------------------------------------------------------------------------- */
/* Arguments */

START_TEST(test_one_round_trip)
{
	int fd = call_open(path, O_RDWR | O_CREAT);
	int text = provium_program_input(program, "some text", 9);
	int back = provium_program_output(program, 9);
	int written = PROVIUM_CALL(program, SYS_write, provium_result_of(fd), provium_address(text),
				   VALUE(9));
	int place =
		PROVIUM_CALL(program, SYS_lseek, provium_result_of(fd), VALUE(5), VALUE(SEEK_SET));
	int got = PROVIUM_CALL(program, SYS_read, provium_result_of(fd), provium_address(back),
			       VALUE(9));
	int closed = call_close(fd);
	struct provium_info before, after;
	struct stat status;

	check_ok(provium_info(connection, SOON, &before, &error));
	run();
	check_ok(provium_info(connection, SOON, &after, &error));
	/* This one frame, and that of INFO. */
	ck_assert_uint_eq(after.frames_received - before.frames_received, 2);
	ck_assert_uint_eq(provium_program_made(program), 5);
	ck_assert_int_ge(result_of(fd), 3);
	ck_assert_int_eq(result_of(written), 9);
	ck_assert_int_eq(result_of(place), 5);
	ck_assert_int_eq(result_of(got), 4);
	ck_assert_int_eq(result_of(closed), 0);
	ck_assert_mem_eq(provium_program_data(program, back), "text", 4);
	ck_assert_ptr_null(provium_program_data(program, text));
	ck_assert_int_eq(stat(path, &status), 0);
	ck_assert_int_eq(status.st_size, 9);
	/* Again, with new buffers and fds. */
	run();
	ck_assert_int_eq(result_of(got), 4);
}
END_TEST

/* A message of two pieces through a socket pair whose fds the kernel has written. */
START_TEST(test_nested_pointers)
{
	struct iovec vector[2] = { { NULL, 3 }, { NULL, 5 } };
	struct msghdr header = { .msg_iovlen = 2 };
	int fds = provium_program_output(program, 2 * sizeof(int));
	int first = provium_program_input(program, "abcdef", 6);
	int second = provium_program_input(program, "12345", 5);
	int vectors = provium_program_input(program, vector, sizeof(vector));
	int message = provium_program_input(program, &header, sizeof(header));
	int back = provium_program_output(program, 100);
	int pair, sent, got;

	provium_program_pointer(program, vectors, offsetof(struct iovec, iov_base), first, 2);
	provium_program_pointer(program, vectors,
				sizeof(*vector) + offsetof(struct iovec, iov_base), second, 0);
	provium_program_pointer(program, message, offsetof(struct msghdr, msg_iov), vectors, 0);
	pair = PROVIUM_CALL(program, SYS_socketpair, VALUE(AF_UNIX), VALUE(SOCK_STREAM), VALUE(0),
			    provium_address(fds));
	sent = PROVIUM_CALL(program, SYS_sendmsg, provium_load(fds, 0, 4), provium_address(message),
			    VALUE(0));
	got = PROVIUM_CALL(program, SYS_read, provium_load(fds, 4, 4), provium_address_at(back, 10),
			   VALUE(90));
	PROVIUM_CALL(program, SYS_close, provium_load(fds, 0, 4));
	PROVIUM_CALL(program, SYS_close, provium_load(fds, 4, 4));
	run();
	ck_assert_int_eq(result_of(pair), 0);
	ck_assert_int_eq(result_of(sent), 8);
	ck_assert_int_eq(result_of(got), 8);
	ck_assert_mem_eq((const char *)provium_program_data(program, back) + 10, "cde12345", 8);
}
END_TEST

/* What an integer in a buffer is read as shows where a file's position is put. */
START_TEST(test_loads)
{
	static const uint8_t bytes[] = { 0xff, 0x80, 0, 0, 0, 1, 0, 0, 0, 0 };
	static const struct {
		uint32_t offset, width;
		bool is_signed;
		int64_t value;
	} cases[] = {
		{ 0, 1, false, 255 },      { 0, 1, true, -1 },
		{ 0, 2, false, 0x80ff },   { 0, 2, true, (int16_t)0x80ff },
		{ 0, 4, false, 0x80ff },   { 1, 8, true, 0x100000080 },
		{ 2, 4, true, 0x1000000 }, { 2, 8, false, 0x1000000 },
	};
	int buffer = provium_program_input(program, bytes, sizeof(bytes));
	int fd = call_open(path, O_RDWR | O_CREAT);

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		PROVIUM_CALL(program, SYS_lseek, provium_result_of(fd), VALUE(100000),
			     VALUE(SEEK_SET));
		PROVIUM_CALL(program, SYS_lseek, provium_result_of(fd),
			     cases[i].is_signed
				     ? provium_load_signed(buffer, cases[i].offset, cases[i].width)
				     : provium_load(buffer, cases[i].offset, cases[i].width),
			     VALUE(SEEK_CUR));
	}
	call_close(fd);
	run();
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		ck_assert_int_eq(result_of(fd + 2 + 2 * (int)i), 100000 + cases[i].value);
}
END_TEST

/* Those that are not given are 0; of six each has its place. */
START_TEST(test_six_arguments)
{
	int mapped = PROVIUM_CALL(program, SYS_mmap, VALUE(0), VALUE(2 * PAGE),
				  VALUE(PROT_READ | PROT_WRITE), VALUE(MAP_PRIVATE | MAP_ANONYMOUS),
				  VALUE(-1), VALUE(0));
	int moved = PROVIUM_CALL(program, SYS_mprotect, provium_result_of(mapped), VALUE(PAGE),
				 VALUE(PROT_NONE));
	int gone = PROVIUM_CALL(program, SYS_munmap, provium_result_of(mapped), VALUE(2 * PAGE));
	int none = provium_program_call(program, SYS_close, NULL, 0);
	int unknown = provium_program_call(program, 99999, NULL, 0);

	run();
	ck_assert_int_gt(result_of(mapped), 0);
	ck_assert_int_eq(result_of(mapped) % PAGE, 0);
	ck_assert_int_eq(result_of(moved), 0);
	ck_assert_int_eq(result_of(gone), 0);
	/* close(0): the agent's standard input, or nothing. */
	ck_assert(result_of(none) == 0 || result_of(none) == -EBADF);
	ck_assert_int_eq(result_of(unknown), -ENOSYS);
}
END_TEST

/* ------------------------------------------------------------------------------------------- */
/* Buffers */

START_TEST(test_placements)
{
	static const uint32_t sizes[] = { 1, 16, 4095, 4096, 4097, 10000 };
	uint32_t size = sizes[_i];
	int holders[5];

	for (int place = PROVIUM_PLACE_END; place <= PROVIUM_PLACE_UNMAPPED; place++) {
		struct provium_buffer_options options = { .size = size,
							  .placement =
								  (enum provium_placement)place };

		holders[place] = hold_address(provium_program_buffer(program, &options));
	}
	provium_program_call(program, SYS_getpid, NULL, 0);
	run();
	ck_assert_uint_eq((address_of(holders[PROVIUM_PLACE_END]) + size) % PAGE, 0);
	ck_assert_uint_eq((address_of(holders[PROVIUM_PLACE_READONLY]) + size) % PAGE, 0);
	ck_assert_uint_eq(address_of(holders[PROVIUM_PLACE_START]) % PAGE, 0);
	ck_assert_uint_eq((address_of(holders[PROVIUM_PLACE_STRADDLE]) + size / 2) % PAGE, 0);
	ck_assert_uint_ne(address_of(holders[PROVIUM_PLACE_UNMAPPED]), 0);
}
END_TEST

/* Zeroes into a buffer of 16 bytes, more than there is room for: the damage ends at its end. */
START_TEST(test_too_small)
{
	static const enum provium_placement places[] = { PROVIUM_PLACE_END, PROVIUM_PLACE_READONLY,
							 PROVIUM_PLACE_UNMAPPED };
	enum provium_placement place = places[_i];
	struct provium_buffer_options options = { .size = 16,
						  .placement = place,
						  .output = place != PROVIUM_PLACE_UNMAPPED };
	int fd = call_open("/dev/zero", O_RDONLY);
	int buffer = provium_program_buffer(program, &options);
	int got = PROVIUM_CALL(program, SYS_read, provium_result_of(fd), provium_address(buffer),
			       VALUE(PAGE));
	const uint8_t *data;

	call_close(fd);
	run();
	data = provium_program_data(program, buffer);
	if (place == PROVIUM_PLACE_END) {
		ck_assert(result_of(got) == -EFAULT || result_of(got) == 16);
		for (int i = 0; i < 16; i++)
			ck_assert_uint_eq(data[i], 0);
	} else {
		ck_assert_int_eq(result_of(got), -EFAULT);
	}
	check_ok(provium_ping(connection, SOON, &error));
}
END_TEST

/* The pattern is the same each time, its complement the opposite, and input stands before it. */
START_TEST(test_pattern)
{
	struct provium_buffer_options options = { .size = 1000, .output = true, .fill_seed = 7 };
	int plain = provium_program_buffer(program, &options), complement, other, partly;
	const uint8_t *data[4];
	unsigned int equal = 0;

	options.fill_complement = true;
	complement = provium_program_buffer(program, &options);
	options.fill_complement = false;
	options.fill_seed = 8;
	other = provium_program_buffer(program, &options);
	options.fill_seed = 7;
	options.input = "input";
	options.input_size = 5;
	partly = provium_program_buffer(program, &options);
	provium_program_call(program, SYS_getpid, NULL, 0);
	run();
	data[0] = provium_program_data(program, plain);
	data[1] = provium_program_data(program, complement);
	data[2] = provium_program_data(program, other);
	data[3] = provium_program_data(program, partly);
	ck_assert_mem_eq(data[3], "input", 5);
	ck_assert_mem_eq(data[3] + 5, data[0] + 5, 995);
	for (int i = 0; i < 1000; i++) {
		ck_assert_uint_eq(data[0][i] ^ data[1][i], 0xff);
		equal += data[0][i] == data[2][i];
	}
	ck_assert_uint_lt(equal, 50);
	/* docs/protocol.md: the first 8 bytes for the seed 7. */
	ck_assert_mem_eq(data[0], "\xd7\x0d\x32\x59\xe4\xe1\xcb\x63", 8);
}
END_TEST

START_TEST(test_changes)
{
	struct provium_buffer_options options = { .input = "0123456789",
						  .input_size = 10,
						  .changes = true };
	int fd = call_open("/dev/zero", O_RDONLY);
	int buffer = provium_program_buffer(program, &options);
	const struct provium_range *ranges;
	size_t count;
	bool cut;

	PROVIUM_CALL(program, SYS_read, provium_result_of(fd), provium_address_at(buffer, 2),
		     VALUE(3));
	PROVIUM_CALL(program, SYS_read, provium_result_of(fd), provium_address_at(buffer, 7),
		     VALUE(3));
	call_close(fd);
	run();
	ranges = provium_program_changes(program, buffer, &count, &cut);
	ck_assert_uint_eq(count, 2);
	ck_assert(!cut);
	ck_assert_uint_eq(ranges[0].offset, 2);
	ck_assert_uint_eq(ranges[0].size, 3);
	ck_assert_uint_eq(ranges[1].offset, 7);
	ck_assert_uint_eq(ranges[1].size, 3);
	ck_assert_ptr_null(provium_program_data(program, buffer));
}
END_TEST

/* More than a result tells of: every second byte. */
START_TEST(test_many_changes)
{
	size_t size = 4 * PROVIUM_MAX_CHANGES;
	char *alternating = malloc(size);
	struct provium_buffer_options options = { .input = alternating,
						  .input_size = size,
						  .changes = true };
	const struct provium_range *ranges;
	int fd, buffer;
	size_t count;
	bool cut;

	for (size_t i = 0; i < size; i++)
		alternating[i] = i % 2 ? 'x' : 0;
	buffer = provium_program_buffer(program, &options);
	free(alternating);
	fd = call_open("/dev/zero", O_RDONLY);
	PROVIUM_CALL(program, SYS_read, provium_result_of(fd), provium_address(buffer),
		     VALUE(size));
	call_close(fd);
	run();
	ranges = provium_program_changes(program, buffer, &count, &cut);
	ck_assert(cut);
	ck_assert_uint_eq(count, PROVIUM_MAX_CHANGES);
	for (size_t i = 0; i < count; i++) {
		ck_assert_uint_eq(ranges[i].offset, 2 * i + 1);
		ck_assert_uint_eq(ranges[i].size, 1);
	}
}
END_TEST

/* ------------------------------------------------------------------------------------------- */
/* What was written */

/* The ranges are these: pairs of offset and size, ended by a size of 0. */
static void expect_written(int buffer, const uint32_t (*expected)[2])
{
	const struct provium_range *ranges;
	size_t count, wanted = 0;
	bool cut;

	while (expected[wanted][1] > 0)
		wanted++;
	ranges = provium_program_changes(program, buffer, &count, &cut);
	ck_assert(!cut);
	for (size_t i = 0; i < MIN(count, wanted); i++)
		if (ranges[i].offset != expected[i][0] || ranges[i].size != expected[i][1])
			ck_abort_msg("range %zu: %u bytes at %u, not %u at %u", i, ranges[i].size,
				     ranges[i].offset, expected[i][1], expected[i][0]);
	ck_assert_uint_eq(count, wanted);
}

static int watched(size_t size)
{
	struct provium_buffer_options options = { .size = size, .output = true, .changes = true };

	return provium_program_buffer(program, &options);
}

/* struct stat is written as a whole, its padding too (cp_new_stat), and nothing behind it. */
START_TEST(test_written_by_stat)
{
	static const uint32_t expected[][2] = { { 0, sizeof(struct stat) }, { 0, 0 } };
	int name = provium_program_string(program, "/");
	int buffer = watched(200), other = watched(50), got;

	got = PROVIUM_CALL(program, SYS_newfstatat, VALUE(AT_FDCWD), provium_address(name),
			   provium_address(buffer), VALUE(0));
	check_ok(provium_written(connection, program, SOON, &error));
	ck_assert_int_eq(result_of(got), 0);
	expect_written(buffer, expected);
	expect_written(other, &expected[1]);
}
END_TEST

/* The value, as long as the option is, and its length. */
START_TEST(test_written_by_getsockopt)
{
	static const uint32_t value[][2] = { { 3, 4 }, { 0, 0 } };
	uint32_t room = 10;
	struct provium_buffer_options options = {
		.input = &room, .input_size = 4, .output = true, .changes = true
	};
	int length = provium_program_buffer(program, &options);
	int buffer = watched(16), fd, got;
	const struct provium_range *ranges;
	size_t count;

	fd = PROVIUM_CALL(program, SYS_socket, VALUE(AF_UNIX), VALUE(SOCK_STREAM), VALUE(0));
	got = PROVIUM_CALL(program, SYS_getsockopt, provium_result_of(fd), VALUE(SOL_SOCKET),
			   VALUE(SO_TYPE), provium_address_at(buffer, 3), provium_address(length));
	call_close(fd);
	check_ok(provium_written(connection, program, SOON, &error));
	ck_assert_int_eq(result_of(got), 0);
	expect_written(buffer, value);
	/* Of an input only what is another value: 4 where there was 10. */
	ranges = provium_program_changes(program, length, &count, NULL);
	ck_assert_uint_eq(count, 1);
	ck_assert_uint_eq(ranges[0].offset, 0);
	ck_assert_uint_eq(ranges[0].size, 1);
}
END_TEST

/* Each entry up to the end of its name; what pads it to 8 bytes is left alone. */
START_TEST(test_written_by_getdents)
{
	int name = provium_program_string(program, directory);
	int buffer = watched(1024), fd, got;
	uint32_t expected[16][2] = { 0 }, ranges = 0;
	const uint8_t *data;

	close(creat(path, 0600));
	close(creat(other_path, 0600));
	fd = PROVIUM_CALL(program, SYS_openat, VALUE(AT_FDCWD), provium_address(name),
			  VALUE(O_RDONLY | O_DIRECTORY), VALUE(0));
	got = PROVIUM_CALL(program, SYS_getdents64, provium_result_of(fd), provium_address(buffer),
			   VALUE(1024));
	call_close(fd);
	check_ok(provium_written(connection, program, SOON, &error));
	ck_assert_int_gt(result_of(got), 0);
	data = provium_program_data(program, buffer);
	/* struct linux_dirent64: inode, offset, length, type, name. */
	for (uint32_t at = 0, length; at < (uint32_t)result_of(got); at += length) {
		uint32_t size = 19 + (uint32_t)strlen((const char *)data + at + 19) + 1;

		length = data[at + 16] | (uint32_t)data[at + 17] << 8;
		if (ranges > 0 && expected[ranges - 1][0] + expected[ranges - 1][1] == at) {
			expected[ranges - 1][1] += size;
		} else {
			ck_assert_uint_lt(ranges, 15);
			expected[ranges][0] = at;
			expected[ranges++][1] = size;
		}
	}
	ck_assert_uint_ge(ranges, 1);
	expect_written(buffer, (const uint32_t(*)[2])expected);
}
END_TEST

/* A call that fails in the middle has written what comes before. */
START_TEST(test_written_before_a_failure)
{
	struct provium_buffer_options options = { .size = PAGE + 16,
						  .output = true,
						  .changes = true };
	int fd = call_open("/dev/zero", O_RDONLY);
	int buffer = provium_program_buffer(program, &options);
	struct provium_arg all[] = { provium_result_of(fd), provium_address(buffer),
				     VALUE(4 * PAGE) };
	int got = provium_program_call(program, SYS_read, all, 3);
	const struct provium_range *ranges;
	size_t count;

	call_close(fd);
	check_ok(provium_written(connection, program, SOON, &error));
	ck_assert(result_of(got) == -EFAULT || result_of(got) > 0);
	ranges = provium_program_changes(program, buffer, &count, NULL);
	ck_assert_uint_eq(count, 1);
	ck_assert_uint_eq(ranges[0].offset, 0);
	ck_assert_uint_eq(ranges[0].size, PAGE + 16);
}
END_TEST

/* What a call has taken away does not come back, and the agent goes on. */
START_TEST(test_unmapped_by_a_call)
{
	struct provium_buffer_options options = { .size = 100,
						  .output = true,
						  .placement = PROVIUM_PLACE_START };
	int buffer = provium_program_buffer(program, &options);
	int other = provium_program_output(program, 10);
	int gone = PROVIUM_CALL(program, SYS_munmap, provium_address(buffer), VALUE(PAGE));

	run();
	ck_assert_int_eq(result_of(gone), 0);
	ck_assert_ptr_null(provium_program_data(program, buffer));
	ck_assert_ptr_nonnull(provium_program_data(program, other));
	check_ok(provium_ping(connection, SOON, &error));
}
END_TEST

/* All that is allowed, and all of it comes back. */
START_TEST(test_largest)
{
	size_t size = PROVIUM_MAX_BUFFER_BYTES / PROVIUM_MAX_BUFFERS;

	for (unsigned int i = 0; i < PROVIUM_MAX_BUFFERS; i++)
		provium_program_output(program, size);
	for (unsigned int i = 0; i < PROVIUM_MAX_CALLS; i++)
		PROVIUM_CALL(program, SYS_getrandom,
			     provium_address((int)(i % PROVIUM_MAX_BUFFERS)), VALUE(16), VALUE(0));
	run();
	ck_assert_uint_eq(provium_program_made(program), PROVIUM_MAX_CALLS);
	for (unsigned int i = 0; i < PROVIUM_MAX_CALLS; i++)
		ck_assert_int_eq(result_of((int)i), 16);
	for (unsigned int i = 0; i < PROVIUM_MAX_BUFFERS; i++)
		ck_assert_ptr_nonnull(provium_program_data(program, (int)i));
}
END_TEST

/* ------------------------------------------------------------------------------------------- */
/* The course of a program */

START_TEST(test_repeat)
{
	int many = provium_program_call(program, SYS_getppid, NULL, 0);
	int one = provium_program_call(program, SYS_getppid, NULL, 0);

	provium_program_repeat(program, one, 1);
	provium_program_repeat(program, many, 10000);
	run();
	ck_assert_int_eq(result_of(many), result_of(one));
	ck_assert_uint_gt(provium_program_duration_ns(program, many),
			  provium_program_duration_ns(program, one));
	ck_assert_uint_gt(provium_program_duration_ns(program, one), 0);
}
END_TEST

/* Each repetition counts: a position that moves on. */
START_TEST(test_repeat_is_exact)
{
	int fd = call_open(path, O_RDWR | O_CREAT);
	int moved =
		PROVIUM_CALL(program, SYS_lseek, provium_result_of(fd), VALUE(3), VALUE(SEEK_CUR));

	provium_program_repeat(program, moved, 77);
	call_close(fd);
	run();
	ck_assert_int_eq(result_of(moved), 3 * 77);
}
END_TEST

START_TEST(test_stop_on_error)
{
	int fine = provium_program_call(program, SYS_getpid, NULL, 0);
	int bad = PROVIUM_CALL(program, SYS_close, VALUE(-1));
	int last = provium_program_call(program, SYS_getpid, NULL, 0);

	run();
	ck_assert_uint_eq(provium_program_made(program), 3);
	ck_assert_int_eq(result_of(bad), -EBADF);
	provium_program_stop_on_error_of(program, last);
	run();
	ck_assert_uint_eq(provium_program_made(program), 3);
	provium_program_stop_on_error_of(program, bad);
	run();
	ck_assert_uint_eq(provium_program_made(program), 2);
	ck_assert_int_gt(result_of(fine), 0);
	ck_assert_int_eq(result_of(bad), -EBADF);
	ck_assert_int_eq(result_of(last), 0);
}
END_TEST

START_TEST(test_stop_on_any_error)
{
	int output = provium_program_output(program, 16);
	int bad;

	provium_program_call(program, SYS_getpid, NULL, 0);
	bad = PROVIUM_CALL(program, SYS_close, VALUE(-1));
	provium_program_call(program, SYS_getpid, NULL, 0);
	provium_program_repeat(program, bad, 1000);
	provium_program_stop_on_error(program);
	run();
	ck_assert_uint_eq(provium_program_made(program), 2);
	/* Buffers come back all the same. */
	ck_assert_ptr_nonnull(provium_program_data(program, output));
}
END_TEST

/* ------------------------------------------------------------------------------------------- */
/* Processes */

static void expect_refused(const char *text)
{
	struct stat status;

	ck_assert_int_eq(provium_program_run(connection, program, SOON, &error), -1);
	check_error(PROVIUM_UNSUPPORTED, text);
	ck_assert_int_eq(stat(path, &status), -1);
	check_ok(provium_ping(connection, SOON, &error));
}

/* Nothing is done, although what comes first could be. */
START_TEST(test_refused)
{
	struct clone_args clone = { .flags = CLONE_VM };
	int buffer = provium_program_input(program, &clone, sizeof(clone));

	call_open(path, O_RDWR | O_CREAT);
	switch (_i) {
	case 0:
		provium_program_call(program, SYS_vfork, NULL, 0);
		expect_refused("call 1: vfork");
		break;
	case 1:
		PROVIUM_CALL(program, SYS_clone, VALUE(CLONE_VM | SIGCHLD), VALUE(0));
		expect_refused("call 1: CLONE_VM without a stack");
		break;
	case 2:
		PROVIUM_CALL(program, SYS_clone, VALUE(CLONE_VFORK | SIGCHLD), VALUE(0));
		expect_refused("call 1: CLONE_VFORK");
		break;
	default:
		PROVIUM_CALL(program, SYS_clone3, provium_address(buffer), VALUE(sizeof(clone)));
		expect_refused("call 1: CLONE_VM without a stack");
		break;
	}
}
END_TEST

/* The flags are read by a call, so only then it is known; what was done before is said to be. */
START_TEST(test_refused_late)
{
	uint64_t flags = CLONE_VM | SIGCHLD;
	int from = provium_program_input(program, &flags, sizeof(flags));
	int to = provium_program_output(program, sizeof(flags));
	struct iovec vector[2] = { { NULL, sizeof(flags) }, { NULL, sizeof(flags) } };
	int source = provium_program_input(program, &vector[0], sizeof(*vector));
	int target = provium_program_input(program, &vector[1], sizeof(*vector));
	int pid = provium_program_call(program, SYS_getpid, NULL, 0);

	provium_program_pointer(program, source, 0, from, 0);
	provium_program_pointer(program, target, 0, to, 0);
	PROVIUM_CALL(program, SYS_process_vm_readv, provium_result_of(pid), provium_address(target),
		     VALUE(1), provium_address(source), VALUE(1), VALUE(0));
	PROVIUM_CALL(program, SYS_clone, provium_load(to, 0, 8), VALUE(0));
	ck_assert_int_eq(provium_program_run(connection, program, SOON, &error), -1);
	check_error(PROVIUM_UNSUPPORTED, "call 2: CLONE_VM without a stack");
	check_error(PROVIUM_UNSUPPORTED, "those before it have been made");
}
END_TEST

static unsigned int count_high_fds(int pid)
{
	char name[64];
	unsigned int count = 0;

	for (int fd = 512; fd < 600; fd++) {
		snprintf(name, sizeof(name), "/proc/%d/fd/%d", pid, fd);
		count += access(name, F_OK) == 0;
	}
	return count;
}

static bool is_asleep(int pid)
{
	char name[64], text[256] = "";
	FILE *file;

	snprintf(name, sizeof(name), "/proc/%d/stat", pid);
	file = fopen(name, "re");
	if (!file)
		return false;
	if (!fgets(text, sizeof(text), file))
		text[0] = '\0';
	fclose(file);
	return strstr(text, ") S ") != NULL;
}

/* It parks, without the agent's fds, and with those of the test. */
START_TEST(test_fork)
{
	struct clone_args clone = { .exit_signal = SIGCHLD };
	int buffer = provium_program_input(program, &clone, sizeof(clone));
	int calls[3];
	char name[64];

	call_open("/dev/null", O_RDONLY);
	calls[0] = provium_program_call(program, SYS_fork, NULL, 0);
	calls[1] = PROVIUM_CALL(program, SYS_clone, VALUE(SIGCHLD));
	calls[2] = PROVIUM_CALL(program, SYS_clone3, provium_address(buffer), VALUE(sizeof(clone)));
	run();
	for (int i = 0; i < 3; i++) {
		int pid = (int)result_of(calls[i]);

		ck_assert_int_gt(pid, 0);
		for (int n = 0; n < 1000 && (!is_asleep(pid) || count_high_fds(pid) > 0); n++)
			usleep(1000);
		ck_assert(is_asleep(pid));
		ck_assert_uint_eq(count_high_fds(pid), 0);
		snprintf(name, sizeof(name), "/proc/%d/fd/%d", pid, (int)result_of(0));
		ck_assert_int_eq(access(name, F_OK), 0);
	}
	check_ok(provium_ping(connection, SOON, &error));
	for (int i = 0; i < 3; i++) {
		struct provium_program *reaper = provium_program_new();
		int dead;

		PROVIUM_CALL(reaper, SYS_kill, VALUE(result_of(calls[i])), VALUE(SIGKILL));
		dead = PROVIUM_CALL(reaper, SYS_wait4, VALUE(result_of(calls[i])), VALUE(0),
				    VALUE(__WALL), VALUE(0));
		check_ok(provium_program_run(connection, reaper, SOON, &error));
		ck_assert_int_eq(provium_program_result(reaper, dead), result_of(calls[i]));
		provium_program_free(reaper);
	}
}
END_TEST

/* A thread on a stack of its own, with the agent's fds: none of them may be closed. */
START_TEST(test_clone_thread)
{
	int mapped = PROVIUM_CALL(program, SYS_mmap, VALUE(0), VALUE(65536),
				  VALUE(PROT_READ | PROT_WRITE), VALUE(MAP_PRIVATE | MAP_ANONYMOUS),
				  VALUE(-1), VALUE(0));
	struct provium_arg top = provium_result_plus(mapped, 65536);
	int thread;

	thread = PROVIUM_CALL(program, SYS_clone,
			      VALUE(CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND |
				    CLONE_THREAD | CLONE_SYSVSEM),
			      top);
	run();
	ck_assert_int_gt(result_of(thread), 0);
	for (int i = 0; i < 3; i++)
		check_ok(provium_ping(connection, SOON, &error));
}
END_TEST

/* ------------------------------------------------------------------------------------------- */
/* Deadlines, which only an agent with a supervisor has */

#define DEADLINE_MS 100

enum blocker {
	READ_PIPE,
	FUTEX_WAITS,
	FUTEX_LOCKS_PI,
	PAUSES,
	FLOCKS,
	PPOLLS,
	WAITS,
	OPENS_FIFO,
	SLEEPS,
	BLOCKERS,
};

static int call_pipe(int fds)
{
	return PROVIUM_CALL(program, SYS_pipe2, provium_address(fds), VALUE(0));
}

/* The call that blocks, after what it needs. */
static int call_blocker(enum blocker blocker)
{
	struct timespec hour = { .tv_sec = 3600 };
	struct provium_buffer_options word = { .input = "\1\0\0\0", .input_size = 4 };
	int pair = provium_program_output(program, 8);
	int first, second;

	switch (blocker) {
	case READ_PIPE:
		call_pipe(pair);
		return PROVIUM_CALL(program, SYS_read, provium_load(pair, 0, 4),
				    provium_address(pair), VALUE(1));
	case FUTEX_WAITS:
		return PROVIUM_CALL(program, SYS_futex,
				    provium_address(provium_program_buffer(program, &word)),
				    VALUE(FUTEX_WAIT), VALUE(1));
	case FUTEX_LOCKS_PI:
		/* Held by the first process, which holds none really: it is not asked. */
		return PROVIUM_CALL(program, SYS_futex,
				    provium_address(provium_program_buffer(program, &word)),
				    VALUE(FUTEX_LOCK_PI));
	case PAUSES:
		return provium_program_call(program, SYS_pause, NULL, 0);
	case FLOCKS:
		first = call_open(path, O_RDWR | O_CREAT);
		second = call_open(path, O_RDWR);
		PROVIUM_CALL(program, SYS_flock, provium_result_of(first), VALUE(LOCK_EX));
		return PROVIUM_CALL(program, SYS_flock, provium_result_of(second), VALUE(LOCK_EX));
	case PPOLLS:
		return PROVIUM_CALL(program, SYS_ppoll, VALUE(0), VALUE(0), VALUE(0), VALUE(0));
	case WAITS:
		first = provium_program_call(program, SYS_fork, NULL, 0);
		return PROVIUM_CALL(program, SYS_wait4, provium_result_of(first), VALUE(0),
				    VALUE(0), VALUE(0));
	case OPENS_FIFO:
		PROVIUM_CALL(program, SYS_mknodat, VALUE(AT_FDCWD),
			     provium_address(provium_program_string(program, path)),
			     VALUE(S_IFIFO | 0600), VALUE(0));
		return call_open(path, O_RDONLY);
	default:
		first = provium_program_input(program, &hour, sizeof(hour));
		return PROVIUM_CALL(program, SYS_clock_nanosleep, VALUE(CLOCK_MONOTONIC), VALUE(0),
				    provium_address(first), VALUE(0));
	}
}

START_TEST(test_deadline)
{
	const struct provium_interruption *where;
	int before, blocked, after;
	struct provium_info info;

	before = provium_program_call(program, SYS_getpid, NULL, 0);
	blocked = call_blocker((enum blocker)_i);
	after = provium_program_call(program, SYS_getpid, NULL, 0);
	provium_program_deadline_of(program, blocked, DEADLINE_MS);
	run();
	ck_assert_int_eq(result_of(blocked), -EINTR);
	ck_assert_uint_ge(provium_program_duration_ns(program, blocked), DEADLINE_MS * 1000000u);
	where = provium_program_interrupted(program, blocked);
	ck_assert_ptr_nonnull(where);
	ck_assert_ptr_nonnull(strstr(where->status, "State:\tS"));
	/* These need rights that a test may not have. */
	if (geteuid() == 0) {
		ck_assert_ptr_nonnull(strstr(where->syscall, "0x"));
		ck_assert_str_ne(where->stack, "");
	}
	ck_assert_ptr_null(provium_program_interrupted(program, before));
	ck_assert_ptr_null(provium_program_interrupted(program, after));
	/* The program goes on, in the same server. */
	ck_assert_int_gt(result_of(after), 0);
	ck_assert_int_eq(result_of(after), result_of(before));
	check_ok(provium_info(connection, SOON, &info, &error));
	ck_assert_uint_eq(info.restarts, 0);
}
END_TEST

/* One after the other, of a few of which it is told where they were. */
START_TEST(test_many_deadlines)
{
	int pair, first = 2;

	pair = provium_program_output(program, 8);
	call_pipe(pair);
	provium_program_call(program, SYS_getpid, NULL, 0);
	for (int i = 0; i < 20; i++)
		PROVIUM_CALL(program, SYS_read, provium_load(pair, 0, 4), provium_address(pair),
			     VALUE(1));
	provium_program_deadline(program, 5);
	run();
	ck_assert_uint_eq(provium_program_made(program), 22);
	for (int i = 0; i < 20; i++) {
		const struct provium_interruption *where =
			provium_program_interrupted(program, first + i);

		ck_assert_int_eq(result_of(first + i), -EINTR);
		ck_assert_ptr_nonnull(where);
		ck_assert_int_eq(where->status[0] != '\0', i < 16);
	}
}
END_TEST

/* What is repeated has its time in all, and one that is long done is not interrupted. */
START_TEST(test_deadline_of_repetitions)
{
	int many, after;

	many = provium_program_call(program, SYS_sched_yield, NULL, 0);
	after = provium_program_call(program, SYS_getpid, NULL, 0);
	provium_program_repeat(program, many, 1000000);
	provium_program_deadline_of(program, many, 20);
	provium_program_deadline_of(program, after, 1);
	run();
	ck_assert_ptr_nonnull(provium_program_interrupted(program, many));
	ck_assert_ptr_null(provium_program_interrupted(program, after));
	ck_assert_int_gt(result_of(after), 0);
	usleep(100000);
	check_ok(provium_ping(connection, SOON, &error));
}
END_TEST

/* Connects anew where the server was lost; the reason is the next READY's. */
static void expect_restart(const char *reason)
{
	char address[200];

	ck_assert_int_eq(provium_program_run(connection, program, SOON, &error), -1);
	ck_assert_int_eq(error.code, PROVIUM_DISCONNECTED);
	provium_connection_free(connection);
	snprintf(address, sizeof(address), "agent-unix:%s/agent", directory);
	check_ok(provium_connect(address, SOON, &connection, &error));
	ck_assert_uint_eq(provium_connection_agent(connection)->restarts, 1);
	if (!strstr(provium_connection_agent(connection)->restart_reason, reason))
		ck_abort_msg("\"%s\" is not in \"%s\"", reason,
			     provium_connection_agent(connection)->restart_reason);
}

/* A test that has blocked all signals: the call ends with its server. */
START_TEST(test_deadline_with_signals_blocked)
{
	int mask, pair, blocked;

	mask = provium_program_input(program, "\xff\xff\xff\xff\xff\xff\xff\xff", 8);
	pair = provium_program_output(program, 8);
	PROVIUM_CALL(program, SYS_rt_sigprocmask, VALUE(SIG_SETMASK), provium_address(mask),
		     VALUE(0), VALUE(8));
	call_pipe(pair);
	blocked = PROVIUM_CALL(program, SYS_read, provium_load(pair, 0, 4), provium_address(pair),
			       VALUE(1));
	provium_program_deadline_of(program, blocked, DEADLINE_MS);
	expect_restart("call 2 of request 1 did not end at its deadline");
}
END_TEST

/* Each ends the server in a way of its own; another is there at once. */
START_TEST(test_server_is_lost)
{
	int name = provium_program_string(program, "/bin/true");
	int empty = provium_program_output(program, 8);

	switch (_i) {
	case 0:
		PROVIUM_CALL(program, SYS_exit_group, VALUE(3));
		expect_restart("it exited with status 3");
		break;
	case 1:
		PROVIUM_CALL(program, SYS_kill,
			     provium_result_of(provium_program_call(program, SYS_getpid, NULL, 0)),
			     VALUE(SIGKILL));
		expect_restart("it was killed by signal 9");
		break;
	case 2:
		PROVIUM_CALL(program, SYS_kill,
			     provium_result_of(provium_program_call(program, SYS_getpid, NULL, 0)),
			     VALUE(SIGSTOP));
		expect_restart("it was stopped by signal 19");
		break;
	case 3:
		PROVIUM_CALL(program, SYS_execve, provium_address(name), VALUE(0), VALUE(0));
		expect_restart("");
		break;
	case 4:
		PROVIUM_CALL(program, SYS_close_range, VALUE(3), VALUE(~0U), VALUE(0));
		expect_restart("");
		break;
	case 5:
		/* The agent's text (its segments are there), and what lies behind it. */
		PROVIUM_CALL(program, SYS_munmap, VALUE(0x70000000), VALUE(0x100000));
		expect_restart("it was killed by signal 11");
		break;
	case 6:
		PROVIUM_CALL(program, SYS_prctl, VALUE(22), VALUE(1));
		expect_restart("it was killed by signal");
		break;
	default:
		PROVIUM_CALL(program, SYS_arch_prctl, VALUE(0x1002), provium_address(empty));
		PROVIUM_CALL(program, SYS_exit, VALUE(0));
		expect_restart("it exited with status 0");
		break;
	}
	check_ok(provium_ping(connection, SOON, &error));
}
END_TEST

/* ------------------------------------------------------------------------------------------- */
/* Mistakes */

START_TEST(test_mistakes)
{
	struct provium_arg args[7] = { provium_value(0) };
	struct provium_arg nothing = { .kind = 99 };
	const char *text = "";
	enum provium_code code = PROVIUM_INVALID;

	switch (_i) {
	case 0:
		provium_program_call(program, 0, args, 7);
		text = "more than 6 arguments";
		break;
	case 1:
		PROVIUM_CALL(program, SYS_close, provium_result_of(-1));
		text = "an argument that does not exist";
		break;
	case 2:
		PROVIUM_CALL(program, SYS_close, nothing);
		text = "an argument that does not exist";
		break;
	case 3:
		provium_program_pointer(program, 0, 0, 1, 0);
		text = "a pointer in buffer 0 to buffer 1";
		break;
	case 4:
		provium_program_repeat(program, 0, 2);
		text = "there is no call 0";
		break;
	case 5:
		provium_program_output(program, PROVIUM_MAX_BUFFER_BYTES + 1);
		code = PROVIUM_LIMIT;
		text = "more than 8388608 bytes";
		break;
	/* What the agent finds. */
	case 6:
		text = "numbers: is absent";
		break;
	case 7:
		PROVIUM_CALL(program, SYS_close, provium_result_of(0));
		text = "references: 0: out of range";
		break;
	case 8:
		for (unsigned int i = 0; i <= PROVIUM_MAX_CALLS; i++)
			provium_program_call(program, SYS_getpid, NULL, 0);
		code = PROVIUM_LIMIT;
		text = "numbers: 4097 entries; at most 4096 are allowed";
		break;
	default:
		for (unsigned int i = 0; i <= PROVIUM_MAX_BUFFERS; i++)
			provium_program_output(program, 1);
		provium_program_call(program, SYS_getpid, NULL, 0);
		code = PROVIUM_LIMIT;
		text = "buffers: at most 256 are allowed";
		break;
	}
	if (_i < 6)
		provium_program_call(program, SYS_getpid, NULL, 0);
	ck_assert_int_eq(provium_program_run(connection, program, SOON, &error), -1);
	check_error(code, text);
	ck_assert_uint_eq(provium_program_made(program), 0);
	check_ok(provium_ping(connection, SOON, &error));
}
END_TEST

/* Before the first run, and of what does not exist, there is nothing. */
START_TEST(test_nothing)
{
	size_t count = 1;

	ck_assert_uint_eq(provium_program_made(program), 0);
	ck_assert_int_eq(result_of(0), 0);
	ck_assert_int_eq(result_of(-1), 0);
	ck_assert_uint_eq(provium_program_duration_ns(program, 0), 0);
	ck_assert_ptr_null(provium_program_data(program, 0));
	ck_assert_ptr_null(provium_program_data(program, -1));
	ck_assert_ptr_null(provium_program_changes(program, 0, &count, NULL));
	ck_assert_uint_eq(count, 0);
	provium_program_free(NULL);
}
END_TEST

/* ------------------------------------------------------------------------------------------- */
/* One call */

START_TEST(test_one_call)
{
	struct provium_call_buffer pieces[3] = { { 1, NULL, 0 } };
	struct iovec vector[2] = { { NULL, 5 }, { NULL, 6 } };
	struct provium_call_pointer pointers[] = { { 0, 0, 1 }, { 0, sizeof(*vector), 2 } };
	char first[] = "hello", second[] = " world", back[12] = "";
	uint64_t args[3] = { 0 };
	struct utsname system, here;
	struct provium_call_buffer name = { 0, &system, sizeof(system) };
	int pair[2];
	int64_t result;

	check_ok(provium_syscall(connection, SYS_getpid, NULL, 0, SOON, &result, &error));
	ck_assert_int_gt(result, 0);
	check_ok(provium_syscall_buf(connection, SYS_uname, args, 1, &name, SOON, &result, &error));
	ck_assert_int_eq(result, 0);
	uname(&here);
	ck_assert_str_eq(system.release, here.release);

	/* Through a pipe of the agent's. */
	name = (struct provium_call_buffer){ 0, pair, sizeof(pair) };
	check_ok(provium_syscall_bufs(connection, SYS_pipe2, args, 2, &name, 1, SOON, &result,
				      &error));
	ck_assert_int_eq(result, 0);
	pieces[0] = (struct provium_call_buffer){ 1, vector, sizeof(vector) };
	pieces[1] = (struct provium_call_buffer){ -1, first, 5 };
	pieces[2] = (struct provium_call_buffer){ -1, second, 6 };
	args[0] = (uint64_t)pair[1];
	args[2] = 2;
	check_ok(provium_syscall_ptr(connection, SYS_writev, args, 3, pieces, 3, pointers, 2, SOON,
				     &result, &error));
	ck_assert_int_eq(result, 11);
	check_ok(provium_ioctl_buf(connection, pair[0], FIONREAD, back, 4, SOON, &result, &error));
	ck_assert_int_eq(result, 0);
	ck_assert_int_eq(back[0], 11);
	check_ok(provium_ioctl(connection, pair[0], TCGETS, 0, SOON, &result, &error));
	ck_assert_int_eq(result, -ENOTTY);
	args[0] = (uint64_t)pair[0];
	args[2] = 11;
	pieces[0] = (struct provium_call_buffer){ 1, back, 11 };
	check_ok(provium_syscall_buf(connection, SYS_read, args, 3, pieces, SOON, &result, &error));
	ck_assert_int_eq(result, 11);
	ck_assert_str_eq(back, "hello world");
	pieces[0].arg = 3;
	ck_assert_int_eq(
		provium_syscall_buf(connection, SYS_read, args, 3, pieces, SOON, &result, &error),
		-1);
	check_error(PROVIUM_INVALID, "buffer 0 is argument 3 of 3");
}
END_TEST

START_TEST(test_read_memory)
{
	size_t size = 3 * PROVIUM_CHUNK, more = 4 * PROVIUM_CHUNK;
	uint8_t *data = calloc(1, more), *expected = malloc(size);
	FILE *file = fopen(path, "we");
	int fd, mapped, got, closed;
	uint64_t address;

	for (size_t i = 0; i < size; i++)
		expected[i] = (uint8_t)(i % 65537 * 251 >> 3);
	ck_assert_uint_eq(fwrite(expected, 1, size, file), size);
	fclose(file);
	fd = call_open(path, O_RDONLY);
	mapped = PROVIUM_CALL(program, SYS_mmap, VALUE(0), VALUE(more),
			      VALUE(PROT_READ | PROT_WRITE), VALUE(MAP_PRIVATE | MAP_ANONYMOUS),
			      VALUE(-1), VALUE(0));
	got = PROVIUM_CALL(program, SYS_read, provium_result_of(fd), provium_result_of(mapped),
			   VALUE(size));
	closed = PROVIUM_CALL(program, SYS_mprotect, provium_result_plus(mapped, (uint32_t)size),
			      VALUE(more - size), VALUE(PROT_NONE));
	call_close(fd);
	run();
	ck_assert_int_eq(result_of(got), (int64_t)size);
	ck_assert_int_eq(result_of(closed), 0);
	address = (uint64_t)result_of(mapped);
	check_ok(provium_read_memory(connection, address + 1, data, size - 1, SOON, &error));
	ck_assert_mem_eq(data, expected + 1, size - 1);

	/* Partly there, and not at all; nothing else is harmed. */
	ck_assert_int_eq(provium_read_memory(connection, address, data, more, SOON, &error), -1);
	check_error(PROVIUM_GUEST, "after 786432 bytes");
	ck_assert_int_eq(error.os_errno, EFAULT);
	ck_assert_int_eq(provium_read_memory(connection, 16, data, 1, SOON, &error), -1);
	ck_assert_int_eq(error.os_errno, EFAULT);
	check_error(PROVIUM_GUEST, "0x10");
	check_ok(provium_ping(connection, SOON, &error));
	free(expected);
	free(data);
}
END_TEST

static TCase *cases(void)
{
	TCase *tcase = unit_counted_case("programs");

	tcase_set_timeout(tcase, 60);
	tcase_add_checked_fixture(tcase, start, finish);
	tcase_add_test(tcase, test_one_round_trip);
	tcase_add_test(tcase, test_nested_pointers);
	tcase_add_test(tcase, test_loads);
	tcase_add_test(tcase, test_six_arguments);
	tcase_add_loop_test(tcase, test_placements, 0, 6);
	tcase_add_loop_test(tcase, test_too_small, 0, 3);
	tcase_add_test(tcase, test_pattern);
	tcase_add_test(tcase, test_changes);
	tcase_add_test(tcase, test_many_changes);
	tcase_add_test(tcase, test_written_by_stat);
	tcase_add_test(tcase, test_written_by_getsockopt);
	tcase_add_test(tcase, test_written_by_getdents);
	tcase_add_test(tcase, test_written_before_a_failure);
	tcase_add_test(tcase, test_unmapped_by_a_call);
	tcase_add_test(tcase, test_largest);
	tcase_add_test(tcase, test_repeat);
	tcase_add_test(tcase, test_repeat_is_exact);
	tcase_add_test(tcase, test_stop_on_error);
	tcase_add_test(tcase, test_stop_on_any_error);
	tcase_add_loop_test(tcase, test_refused, 0, 4);
	tcase_add_test(tcase, test_refused_late);
	tcase_add_test(tcase, test_fork);
	tcase_add_test(tcase, test_clone_thread);
	tcase_add_loop_test(tcase, test_mistakes, 0, 10);
	tcase_add_test(tcase, test_nothing);
	tcase_add_test(tcase, test_one_call);
	tcase_add_test(tcase, test_read_memory);
	return tcase;
}

static TCase *supervised_cases(void)
{
	TCase *tcase = unit_counted_case("supervised programs");

	tcase_set_timeout(tcase, 60);
	tcase_add_checked_fixture(tcase, start, finish);
	tcase_add_loop_test(tcase, test_deadline, 0, BLOCKERS);
	tcase_add_test(tcase, test_many_deadlines);
	tcase_add_test(tcase, test_deadline_of_repetitions);
	tcase_add_test(tcase, test_deadline_with_signals_blocked);
	tcase_add_loop_test(tcase, test_server_is_lost, 0, 8);
	return tcase;
}

int main(int argc, char **argv)
{
	Suite *suite = suite_create("lib-program");

	if (!real_arguments(argc, argv))
		return EXIT_FAILURE;
	suite_add_tcase(suite, cases());
	if (real_is_program())
		suite_add_tcase(suite, supervised_cases());
	return unit_run(suite);
}
