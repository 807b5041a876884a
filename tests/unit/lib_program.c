/* Programs of system calls: arguments, course, processes, mistakes, and single calls. */
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
	program_run();
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
	program_run();
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
	program_run();
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
	program_run();
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

	program_run();
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
/* The course of a program */

START_TEST(test_repeat)
{
	int many = provium_program_call(program, SYS_getppid, NULL, 0);
	int one = provium_program_call(program, SYS_getppid, NULL, 0);

	provium_program_repeat(program, one, 1);
	provium_program_repeat(program, many, 10000);
	program_run();
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
	program_run();
	ck_assert_int_eq(result_of(moved), 231);
}
END_TEST

START_TEST(test_stop_on_error)
{
	int fine = provium_program_call(program, SYS_getpid, NULL, 0);
	int bad = PROVIUM_CALL(program, SYS_close, VALUE(-1));
	int last = provium_program_call(program, SYS_getpid, NULL, 0);

	program_run();
	ck_assert_uint_eq(provium_program_made(program), 3);
	ck_assert_int_eq(result_of(bad), -EBADF);
	provium_program_stop_on_error_of(program, last);
	program_run();
	ck_assert_uint_eq(provium_program_made(program), 3);
	provium_program_stop_on_error_of(program, bad);
	program_run();
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
	program_run();
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

/* Which of them have failed, and how, in words. */
START_TEST(test_check)
{
	int fine, missing, unknown, later;

	fine = provium_program_call(program, SYS_getpid, NULL, 0);
	program_run();
	check_ok(provium_program_check(program, &error));
	missing = call_open("/nonexistent/file", O_RDONLY);
	unknown = provium_program_call(program, 9999, NULL, 0);
	provium_program_stop_on_error_of(program, unknown);
	later = provium_program_call(program, SYS_getpid, NULL, 0);
	program_run();
	ck_assert_int_eq(provium_program_check(program, &error), -1);
	check_error(PROVIUM_GUEST, "call 1: openat: ENOENT");
	ck_assert_int_eq(error.os_errno, ENOENT);
	ck_assert_str_eq(error.operation, "openat");
	check_ok(provium_program_check_call(program, fine, &error));
	ck_assert_int_eq(provium_program_check_call(program, missing, NULL), -1);
	ck_assert_int_eq(provium_program_check_call(program, unknown, &error), -1);
	check_error(PROVIUM_GUEST, "call 2: system call 9999: ENOSYS");
	ck_assert_str_eq(error.operation, "system call 9999");
	for (int call = later; call < 10; call++) {
		ck_assert_int_eq(provium_program_check_call(program, call, &error), -1);
		check_error(PROVIUM_INVALID, "was not made");
	}
	ck_assert_int_eq(provium_program_check_call(program, -1, &error), -1);
	check_error(PROVIUM_INVALID, "call -1 was not made");
}
END_TEST

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
	program_run();
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
	program_run();
	ck_assert_int_gt(result_of(thread), 0);
	for (int i = 0; i < 3; i++)
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
	size_t size = KIB(768), more = MIB(1);
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
	program_run();
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
	tcase_add_checked_fixture(tcase, program_start, program_finish);
	tcase_add_test(tcase, test_one_round_trip);
	tcase_add_test(tcase, test_nested_pointers);
	tcase_add_test(tcase, test_loads);
	tcase_add_test(tcase, test_six_arguments);
	tcase_add_test(tcase, test_repeat);
	tcase_add_test(tcase, test_repeat_is_exact);
	tcase_add_test(tcase, test_stop_on_error);
	tcase_add_test(tcase, test_stop_on_any_error);
	tcase_add_test(tcase, test_check);
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

int main(int argc, char **argv)
{
	Suite *suite = suite_create("lib-program");

	if (!real_arguments(argc, argv))
		return EXIT_FAILURE;
	suite_add_tcase(suite, cases());
	return unit_run(suite);
}
