/* The buffers of programs: where they lie, and what calls have written. */
#include "lib_programs.h"

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
	program_run();
	ck_assert_uint_eq((address_of(holders[PROVIUM_PLACE_END]) + size) % PAGE, 0);
	ck_assert_uint_eq((address_of(holders[PROVIUM_PLACE_READONLY]) + size) % PAGE, 0);
	ck_assert_uint_eq(address_of(holders[PROVIUM_PLACE_START]) % PAGE, 0);
	ck_assert_uint_eq((address_of(holders[PROVIUM_PLACE_STRADDLE]) + size / 2) % PAGE, 0);
	ck_assert_uint_ne(address_of(holders[PROVIUM_PLACE_UNMAPPED]), 0);
}
END_TEST

/* Zeroes into a buffer, more than there is room for: the damage ends at its end. */
START_TEST(test_too_small)
{
	static const struct {
		enum provium_placement place;
		uint32_t size;
	} places[] = {
		{ PROVIUM_PLACE_END, 16 },
		{ PROVIUM_PLACE_READONLY, 16 },
		{ PROVIUM_PLACE_UNMAPPED, 16 },
		{ PROVIUM_PLACE_START, PAGE },
	};
	enum provium_placement place = places[_i].place;
	int64_t size = places[_i].size;
	struct provium_buffer_options options = { .size = places[_i].size,
						  .placement = place,
						  .output = place != PROVIUM_PLACE_UNMAPPED };
	int fd = call_open("/dev/zero", O_RDONLY);
	int buffer = provium_program_buffer(program, &options);
	int got = PROVIUM_CALL(program, SYS_read, provium_result_of(fd), provium_address(buffer),
			       VALUE(2 * PAGE));
	const uint8_t *data;

	call_close(fd);
	program_run();
	data = provium_program_data(program, buffer);
	if (place == PROVIUM_PLACE_END || place == PROVIUM_PLACE_START) {
		ck_assert(result_of(got) == -EFAULT || result_of(got) == size);
		for (int64_t i = 0; i < size; i++)
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
	program_run();
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
	program_run();
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
	size_t size = (size_t)4 * PROVIUM_MAX_CHANGES;
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
	program_run();
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

	program_run();
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
	program_run();
	ck_assert_uint_eq(provium_program_made(program), PROVIUM_MAX_CALLS);
	for (unsigned int i = 0; i < PROVIUM_MAX_CALLS; i++)
		ck_assert_int_eq(result_of((int)i), 16);
	for (unsigned int i = 0; i < PROVIUM_MAX_BUFFERS; i++)
		ck_assert_ptr_nonnull(provium_program_data(program, (int)i));
}
END_TEST

static TCase *cases(void)
{
	TCase *tcase = unit_counted_case("buffers");

	tcase_set_timeout(tcase, 60);
	tcase_add_checked_fixture(tcase, program_start, program_finish);
	tcase_add_loop_test(tcase, test_placements, 0, 6);
	tcase_add_loop_test(tcase, test_too_small, 0, 4);
	tcase_add_test(tcase, test_pattern);
	tcase_add_test(tcase, test_changes);
	tcase_add_test(tcase, test_many_changes);
	tcase_add_test(tcase, test_written_by_stat);
	tcase_add_test(tcase, test_written_by_getsockopt);
	tcase_add_test(tcase, test_written_by_getdents);
	tcase_add_test(tcase, test_written_before_a_failure);
	tcase_add_test(tcase, test_unmapped_by_a_call);
	tcase_add_test(tcase, test_largest);
	return tcase;
}

int main(int argc, char **argv)
{
	Suite *suite = suite_create("lib-program-buffers");

	if (!real_arguments(argc, argv))
		return EXIT_FAILURE;
	suite_add_tcase(suite, cases());
	return unit_run(suite);
}
