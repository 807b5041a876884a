/* READ_FILE and WRITE_FILE by an fd of the agent's: borrowed, and left as it was. */
#include <errno.h>
#include <fcntl.h>
#include <pty.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "agent_files.h"
#include "common/cleanup.h"
#include "common/util.h"
#include "proto/limits.h"
#include "unit.h"

static uint32_t read_fd(int fd)
{
	Provium__V1__ReadFile options = PROVIUM__V1__READ_FILE__INIT;

	SET(options, fd, fd);
	return send_body(&client, BODY(READ_FILE), &options);
}

static uint32_t write_fd(int fd)
{
	Provium__V1__WriteFile options = PROVIUM__V1__WRITE_FILE__INIT;

	SET(options, fd, fd);
	return send_body(&client, BODY(WRITE_FILE), &options);
}

/* Blocking, as the test has opened it. */
static void expect_unchanged(int fd)
{
	ck_assert_int_ge(fcntl(fd, F_GETFD), 0);
	ck_assert_int_eq(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
}

START_TEST(read_places)
{
	Provium__V1__ReadFile options = PROVIUM__V1__READ_FILE__INIT;
	int fd;

	make_file(file_path, 1000000, 0600);
	fd = open(file_path, O_RDONLY | O_CLOEXEC);
	/* From its own place, which moves. */
	ck_assert_int_eq(lseek(fd, 300000, SEEK_SET), 300000);
	ck_assert_uint_eq(expect_pattern(&client, read_fd(fd), 300000), 700000);
	ck_assert_int_eq(lseek(fd, 0, SEEK_CUR), 1000000);
	/* From an offset, and it does not. */
	SET(options, fd, fd);
	SET(options, offset, 10);
	SET(options, length, 600000);
	ck_assert_uint_eq(
		expect_pattern(&client, send_body(&client, BODY(READ_FILE), &options), 10), 600000);
	ck_assert_int_eq(lseek(fd, 0, SEEK_CUR), 1000000);
	expect_unchanged(fd);
	close(fd);
}
END_TEST

START_TEST(write_places)
{
	Provium__V1__WriteFile options = PROVIUM__V1__WRITE_FILE__INIT;
	struct stat status;
	uint32_t id;
	int fd;

	make_file(file_path, 1000, 0600);
	fd = open(file_path, O_RDWR | O_CLOEXEC);
	/* Nothing is cut off, wherever it begins. */
	ck_assert_int_eq(lseek(fd, 500, SEEK_SET), 500);
	id = write_fd(fd);
	send_pattern(id, 500, 100, 7);
	expect_written(id, 100);
	ck_assert_int_eq(lseek(fd, 0, SEEK_CUR), 600);
	ck_assert(holds_pattern(file_path, 0, 1000));
	SET(options, fd, fd);
	SET(options, offset, 990);
	SET(options, sync, true);
	id = send_body(&client, BODY(WRITE_FILE), &options);
	send_pattern(id, 990, 1000000, PROVIUM_CHUNK);
	expect_written(id, 1000000);
	ck_assert_int_eq(lseek(fd, 0, SEEK_CUR), 600);
	ck_assert(holds_pattern(file_path, 0, 1000990));
	options.has_offset = false;
	SET(options, append, true);
	id = send_body(&client, BODY(WRITE_FILE), &options);
	send_pattern(id, 1000990, 10, 10);
	expect_written(id, 10);
	ck_assert(holds_pattern(file_path, 0, 1001000));
	if (geteuid() == 0) {
		SET(options, uid, 1234);
		id = send_body(&client, BODY(WRITE_FILE), &options);
		send_data(id, NULL, 0, true);
		expect_written(id, 0);
		ck_assert_int_eq(fstat(fd, &status), 0);
		ck_assert_uint_eq(status.st_uid, 1234);
	}
	expect_unchanged(fd);
	close(fd);
}
END_TEST

START_TEST(failures)
{
	Provium__V1__WriteFile options = PROVIUM__V1__WRITE_FILE__INIT;
	int ends[2], fd;

	client_expect_os_error(&client, read_fd(400), EBADF, "READ_FILE: \"fd 400\"");
	client_expect_os_error(&client, read_fd(-1), EBADF, "fd -1");
	client_expect_os_error(&client, write_fd(400), EBADF, "WRITE_FILE: \"fd 400\"");
	client_expect_os_error(&client, write_fd(AT_FDCWD), EBADF, "");
	/* Open for the other direction. */
	make_file(file_path, 10, 0600);
	fd = open(file_path, O_RDONLY | O_CLOEXEC);
	client_expect_os_error(&client, write_fd(fd), EBADF, "");
	close(fd);
	fd = open("/etc", O_RDONLY | O_CLOEXEC);
	client_expect_os_error(&client, read_fd(fd), EISDIR, "");
	close(fd);
	ck_assert_int_eq(pipe(ends), 0);
	client_expect_os_error(&client, read_fd(ends[1]), EBADF, "");
	client_expect_os_error(&client, write_fd(ends[0]), EBADF, "");
	SET(options, fd, ends[1]);
	SET(options, offset, 0);
	client_expect_os_error(&client, send_body(&client, BODY(WRITE_FILE), &options), ESPIPE, "");
	options.has_offset = false;
	SET(options, atomic, true);
	client_expect_error(&client, send_body(&client, BODY(WRITE_FILE), &options), CODE(INVALID),
			    "fd excludes exclusive and atomic");
	close(ends[0]);
	close(ends[1]);
	client_ping(&client);
}
END_TEST

/* Nothing comes, and nobody is kept waiting though the pipe is a blocking one. */
START_TEST(read_pipe)
{
	uint32_t id, cancelled;
	int ends[2];

	ck_assert_int_eq(pipe(ends), 0);
	cancelled = read_fd(ends[0]);
	client_ping(&client);
	client_expect_error(&client, (client_cancel(&client, cancelled), cancelled),
			    CODE(CANCELLED), "");
	client_expect(&client, BODY(OK));
	id = read_fd(ends[0]);
	client_ping(&client);
	ck_assert_int_eq(write(ends[1], "abc", 3), 3);
	ck_assert_uint_eq(client_expect(&client, BODY(FILE_DATA))->file_data->data.len, 3);
	client_ping(&client);
	ck_assert_int_eq(write(ends[1], "defg", 4), 4);
	ck_assert_uint_eq(client_expect(&client, BODY(FILE_DATA))->file_data->offset, 3);
	client_ping(&client);
	close(ends[1]);
	ck_assert_uint_eq(client_expect(&client, BODY(OK))->id, id);
	expect_unchanged(ends[0]);
	close(ends[0]);
}
END_TEST

/* A part of what is there is taken, and the rest stays. */
START_TEST(read_part_of_pipe)
{
	Provium__V1__ReadFile options = PROVIUM__V1__READ_FILE__INIT;
	char rest[8];
	uint32_t id;
	int ends[2];

	ck_assert_int_eq(pipe(ends), 0);
	ck_assert_int_eq(write(ends[1], "abcdef", 6), 6);
	SET(options, fd, ends[0]);
	SET(options, length, 4);
	id = send_body(&client, BODY(READ_FILE), &options);
	ck_assert_uint_eq(client_expect(&client, BODY(FILE_DATA))->file_data->data.len, 4);
	client_expect_ok(&client, id);
	ck_assert_int_eq(read(ends[0], rest, sizeof(rest)), 2);
	close(ends[0]);
	close(ends[1]);
}
END_TEST

/* Reads what a request writes into a blocking fd whose reader is slow. */
static void expect_through(uint32_t id, int fd, uint64_t size)
{
	uint8_t got[4096];
	uint64_t received = 0;

	client_ping(&client);
	while (received < size) {
		ssize_t count = read(fd, got, sizeof(got));

		ck_assert_int_gt(count, 0);
		ck_assert(is_pattern(got, received, (size_t)count));
		received += (uint64_t)count;
	}
	expect_written(id, size);
}

START_TEST(write_pipe)
{
	uint32_t id;
	int ends[2];

	ck_assert_int_eq(pipe(ends), 0);
	id = write_fd(ends[1]);
	send_pattern(id, 0, 900000, 100000);
	expect_through(id, ends[0], 900000);
	/* Ends while nobody reads. */
	id = write_fd(ends[1]);
	send_pattern(id, 0, 900000, 100000);
	client_ping(&client);
	close(ends[0]);
	client_expect_os_error(&client, id, EPIPE, "");
	expect_unchanged(ends[1]);
	close(ends[1]);
}
END_TEST

START_TEST(write_socket)
{
	uint32_t id;
	int ends[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	id = write_fd(ends[1]);
	send_pattern(id, 0, 900000, 100000);
	expect_through(id, ends[0], 900000);
	close(ends[0]);
	close(ends[1]);
}
END_TEST

/* A terminal takes some and then no more until it is read. */
START_TEST(write_terminal)
{
	struct termios raw;
	uint32_t id;
	int outer, inner;

	ck_assert_int_eq(openpty(&outer, &inner, NULL, NULL, NULL), 0);
	ck_assert_int_eq(tcgetattr(inner, &raw), 0);
	cfmakeraw(&raw);
	ck_assert_int_eq(tcsetattr(inner, TCSANOW, &raw), 0);
	id = write_fd(inner);
	send_pattern(id, 0, 40000, 10000);
	expect_through(id, outer, 40000);
	expect_unchanged(inner);
	close(outer);
	close(inner);
}
END_TEST

/* The fd is closed while it is waited for: the request goes on with what it was. */
START_TEST(closed_meanwhile)
{
	uint32_t id;
	int ends[2];

	for (int i = 0; i < 50; i++) {
		ck_assert_int_eq(pipe(ends), 0);
		id = read_fd(ends[0]);
		client_ping(&client);
		close(ends[0]);
		ck_assert_int_eq(write(ends[1], "abc", 3), 3);
		ck_assert_uint_eq(client_expect(&client, BODY(FILE_DATA))->file_data->data.len, 3);
		close(ends[1]);
		client_expect_ok(&client, id);
	}
}
END_TEST

/* Record locks of the process on a file that is read and written stay. */
START_TEST(locks_stay)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	uint32_t id;
	int status, fd;
	pid_t child;

	make_file(file_path, 10, 0600);
	fd = open(file_path, O_RDWR | O_CLOEXEC);
	ck_assert_int_eq(fcntl(fd, F_SETLK, &lock), 0);
	ck_assert_uint_eq(expect_pattern(&client, read_fd(fd), 0), 10);
	id = write_fd(fd);
	send_data(id, "x", 1, true);
	expect_written(id, 1);
	child = fork();
	if (child == 0)
		_exit(fcntl(fd, F_SETLK, &lock) == 0);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
	close(fd);
}
END_TEST

static Suite *file_fds_suite(void)
{
	Suite *suite = suite_create("agent: files by fd");
	TCase *tcase = unit_counted_case("connected");

	tcase_add_checked_fixture(tcase, files_start, agent_stop_connected);
	tcase_add_test(tcase, read_places);
	tcase_add_test(tcase, write_places);
	tcase_add_test(tcase, failures);
	tcase_add_test(tcase, read_pipe);
	tcase_add_test(tcase, read_part_of_pipe);
	tcase_add_test(tcase, write_pipe);
	tcase_add_test(tcase, write_socket);
	tcase_add_test(tcase, write_terminal);
	tcase_add_test(tcase, closed_meanwhile);
	tcase_add_test(tcase, locks_stay);
	tcase_set_timeout(tcase, 60);
	suite_add_tcase(suite, tcase);
	return suite;
}

int main(void)
{
	return unit_run(file_fds_suite());
}
