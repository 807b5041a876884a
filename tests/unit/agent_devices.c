/* Terminals and FIFOs by path: opened and awaited by an agent that goes on meanwhile. */
#include <errno.h>
#include <fcntl.h>
#include <pty.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "agent_files.h"
#include "common/util.h"
#include "proto/limits.h"
#include "unit.h"

/* A terminal that changes nothing of what goes through it: both ends, and the path of the inner. */
static int outer, inner;
static char terminal[64];

static void start(void)
{
	struct termios raw;

	ck_assert_int_eq(openpty(&outer, &inner, terminal, NULL, NULL), 0);
	ck_assert_int_eq(tcgetattr(inner, &raw), 0);
	cfmakeraw(&raw);
	ck_assert_int_eq(tcsetattr(inner, TCSANOW, &raw), 0);
}

static void finish(void)
{
	close(outer);
	close(inner);
}

static void put(int fd, const char *text)
{
	ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
}

/* What gives nothing now holds up nobody, gives what comes, and is left by CANCEL. */
static void expect_awaited(uint32_t id, int fd)
{
	client_ping(&client);
	put(fd, "abc");
	expect_text(&client, id, 0, "abc");
	client_ping(&client);
	put(fd, "defg");
	expect_text(&client, id, 3, "defg");
	client_ping(&client);
}

START_TEST(read_terminal)
{
	uint32_t id = send_read(&client, terminal, &plain_read), cancel;

	expect_awaited(id, outer);
	cancel = client_cancel(&client, id);
	client_expect_error(&client, id, CODE(CANCELLED), "after 7 bytes");
	client_expect_ok(&client, cancel);
	client_ping(&client);
}
END_TEST

static void expect_tail_end(uint32_t id, uint64_t bytes)
{
	const Provium__V1__Message *message = client_expect(&client, BODY(OK));

	ck_assert_uint_eq(message->id, id);
	ck_assert_uint_eq(message->ok->bytes, bytes);
}

START_TEST(tail_terminal)
{
	uint32_t id = tail_from_end(&client, terminal), cancel;

	expect_awaited(id, outer);
	cancel = client_cancel(&client, id);
	expect_tail_end(id, 7);
	client_expect_ok(&client, cancel);
	client_ping(&client);
}
END_TEST

/* It ends with the FIFO, too: when nobody has it open for writing any more. */
START_TEST(tail_fifo)
{
	uint32_t id, cancel;
	int fd;

	ck_assert_int_eq(mkfifo(file_path, 0600), 0);
	/* Nobody has. */
	expect_tail_end(tail_from_end(&client, file_path), 0);
	fd = open(file_path, O_RDWR | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	id = tail_from_end(&client, file_path);
	expect_awaited(id, fd);
	cancel = client_cancel(&client, id);
	expect_tail_end(id, 7);
	client_expect_ok(&client, cancel);
	id = tail_from_end(&client, file_path);
	expect_awaited(id, fd);
	close(fd);
	expect_tail_end(id, 7);
}
END_TEST

/* Fills the terminal; returns with how many bytes. */
static size_t fill(void)
{
	char zeros[256] = "";
	size_t size = 0;
	ssize_t count;
	int fd = open(terminal, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	while ((count = write(fd, zeros, sizeof(zeros))) > 0)
		size += (size_t)count;
	ck_assert_int_eq(errno, EAGAIN);
	close(fd);
	return size;
}

/* Takes so many bytes out of it: zeros first, then the pattern. */
static void drain(size_t zeros, uint64_t size)
{
	uint8_t got[4096];
	uint64_t received = 0;

	while (received < size) {
		ssize_t count = read(outer, got, zeros > 0 ? MIN(zeros, sizeof(got)) : sizeof(got));

		ck_assert_int_gt(count, 0);
		if (zeros > 0) {
			zeros -= (size_t)count;
			continue;
		}
		ck_assert(is_pattern(got, received, (size_t)count));
		received += (uint64_t)count;
	}
	ck_assert_uint_eq(received, size);
}

/* What is full takes the data when it has room, and holds up nobody until then. */
START_TEST(write_terminal)
{
	size_t zeros = fill();
	uint32_t id, cancel;

	id = send_write(terminal, &plain_write);
	send_pattern(id, 0, 40000, 10000);
	client_ping(&client);
	ck_assert(!client_is_readable(&client, 100));
	drain(zeros, 40000);
	expect_written(id, 40000);
	fill();
	id = send_write(terminal, &plain_write);
	send_pattern(id, 0, 40000, 10000);
	client_ping(&client);
	cancel = client_cancel(&client, id);
	/* The terminal may have moved some on by itself. */
	client_expect_error(&client, id, CODE(CANCELLED), "cancelled after");
	client_expect_ok(&client, cancel);
	client_ping(&client);
}
END_TEST

static Suite *devices_suite(void)
{
	Suite *suite = suite_create("agent: devices by path");
	TCase *tcase = unit_counted_case("connected");

	tcase_add_checked_fixture(tcase, files_start, agent_stop_connected);
	tcase_add_checked_fixture(tcase, start, finish);
	tcase_add_test(tcase, read_terminal);
	tcase_add_test(tcase, tail_terminal);
	tcase_add_test(tcase, tail_fifo);
	tcase_add_test(tcase, write_terminal);
	tcase_set_timeout(tcase, 60);
	suite_add_tcase(suite, tcase);
	return suite;
}

int main(void)
{
	return unit_run(devices_suite());
}
