/*
 * Connecting to Unix sockets, hybrid ones and plain ones, and all that can answer there. AF_VSOCK
 * is left to the tests in VMs: on a machine that is a guest itself it leads to somebody else's
 * host.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/util.h"
#include "host/lib/address.h"
#include "unit.h"

static char directory[64];
static struct address address;
static int listener;

static void start(void)
{
	const char *base = getenv("TMPDIR");

	snprintf(directory, sizeof(directory), "%s/lib-dial-XXXXXX", base ? base : "/tmp");
	ck_assert_ptr_nonnull(mkdtemp(directory));
	address = (struct address){ .kind = ADDRESS_HYBRID, .port = 77 };
	snprintf(address.path, sizeof(address.path), "%s/socket", directory);
	listener = -1;
}

static void finish(void)
{
	listener = close_fd(listener);
	unlink(address.path);
	ck_assert_int_eq(rmdir(directory), 0);
}

static void listen_here(int backlog)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };

	strcpy(at.sun_path, address.path);
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_ge(listener, 0);
	ck_assert_int_eq(bind(listener, (struct sockaddr *)&at, sizeof(at)), 0);
	ck_assert_int_eq(listen(listener, backlog), 0);
}

static int dial(int timeout_ms, int cancel_fd, int *fd, struct provium_error *error)
{
	struct wait_limits limits = {
		.deadline = deadline_after(timeout_ms),
		.cancel_fd = cancel_fd,
	};

	*fd = -1;
	return address_connect(&address, &limits, fd, error);
}

/* A peer that takes the line and answers: whole, byte by byte, or not at all. */
struct answer {
	const char *text;
	bool slowly;
	bool stay;
};

static pid_t answer(const struct answer *how)
{
	char line[32] = "";
	size_t length = 0;
	pid_t pid = fork();
	int fd;

	if (pid)
		return pid;
	alarm(20);
	fd = accept(listener, NULL, NULL);
	while (length < sizeof(line) - 1 && !strchr(line, '\n')) {
		if (read(fd, line + length, 1) != 1)
			_exit(2);
		length++;
	}
	if (strcmp(line, "CONNECT 77\n") != 0)
		_exit(3);
	for (size_t i = 0; how->text[i]; i++) {
		if (send(fd, how->text + i, 1, MSG_NOSIGNAL) != 1)
			break;
		if (how->slowly)
			usleep(2000);
	}
	if (how->stay)
		while (read(fd, line, 1) > 0)
			continue;
	_exit(0);
}

static void await_answerer(pid_t pid)
{
	int status;

	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
}

START_TEST(test_hybrid)
{
	const struct answer how = { "OK 1073741824\nrest", true, true };
	struct provium_error error;
	char rest[8] = "";
	pid_t pid;
	int fd;

	listen_here(5);
	pid = answer(&how);
	if (dial(5000, -1, &fd, &error) < 0)
		ck_abort_msg("%s", error.message);
	/* What follows the line is the agent's, not the handshake's. */
	for (size_t i = 0; i < 4;) {
		ssize_t count = recv(fd, rest + i, 4 - i, MSG_DONTWAIT);

		ck_assert(count > 0 || (count < 0 && errno == EAGAIN));
		i += count > 0 ? (size_t)count : 0;
	}
	ck_assert_str_eq(rest, "rest");
	close(fd);
	await_answerer(pid);
}
END_TEST

static const struct {
	struct answer how;
	enum provium_code code;
	int os_errno;
	const char *why;
} refusals[] = {
	{ { "", false, false }, PROVIUM_HOST, ECONNREFUSED, "listens on port 77" },
	{ { "OK 10", false, false }, PROVIUM_HOST, ECONNREFUSED, "closed instead of answered" },
	{ { "NO\n", false, true }, PROVIUM_PROTOCOL, 0, "answered \"NO\"" },
	{ { "\x1b[1mOK\n", false, true }, PROVIUM_PROTOCOL, 0, "answered \"?[1mOK\"" },
	{ { "\n", false, true }, PROVIUM_PROTOCOL, 0, "answered \"\"" },
	{ { "SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n", false, true },
	  PROVIUM_PROTOCOL,
	  0,
	  "no hybrid vsock socket" },
};

START_TEST(test_refusal)
{
	struct provium_error error;
	pid_t pid;
	int fd;

	listen_here(5);
	pid = answer(&refusals[_i].how);
	ck_assert_int_eq(dial(5000, -1, &fd, &error), -1);
	ck_assert_int_eq(fd, -1);
	ck_assert_int_eq(error.code, refusals[_i].code);
	ck_assert_int_eq(error.os_errno, refusals[_i].os_errno);
	if (!strstr(error.message, refusals[_i].why))
		ck_abort_msg("\"%s\" lacks \"%s\"", error.message, refusals[_i].why);
	ck_assert_ptr_nonnull(strstr(error.message, address.path));
	await_answerer(pid);
}
END_TEST

START_TEST(test_silence)
{
	const struct answer how = { "OK", false, true };
	uint64_t begin = monotonic_ns();
	struct provium_error error;
	pid_t pid;
	int fd;

	listen_here(5);
	pid = answer(&how);
	ck_assert_int_eq(dial(100, -1, &fd, &error), -1);
	ck_assert_int_eq(error.code, PROVIUM_TIMED_OUT);
	ck_assert_uint_ge(monotonic_ns() - begin, 100000000);
	await_answerer(pid);
}
END_TEST

START_TEST(test_cancelled)
{
	struct provium_error error;
	int pipe_fds[2];
	int fd;

	listen_here(5);
	ck_assert_int_eq(pipe(pipe_fds), 0);
	ck_assert_int_eq(write(pipe_fds[1], "x", 1), 1);
	ck_assert_int_eq(dial(PROVIUM_FOREVER, pipe_fds[0], &fd, &error), -1);
	ck_assert_int_eq(error.code, PROVIUM_CANCELLED);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
}
END_TEST

START_TEST(test_agent_socket)
{
	struct provium_error error;
	int fd;

	address.kind = ADDRESS_AGENT;
	listen_here(5);
	ck_assert_int_eq(dial(5000, -1, &fd, &error), 0);
	ck_assert_int_ge(fd, 0);
	close(fd);
}
END_TEST

START_TEST(test_no_socket)
{
	struct provium_error error;
	int fd;

	ck_assert_int_eq(dial(5000, -1, &fd, &error), -1);
	ck_assert_int_eq(error.code, PROVIUM_HOST);
	ck_assert_int_eq(error.os_errno, ENOENT);
	ck_assert_ptr_nonnull(strstr(error.message, address.path));
	ck_assert_int_eq(dial(5000, -1, &fd, NULL), -1);
}
END_TEST

START_TEST(test_nobody_listens)
{
	struct provium_error error;
	int fd;

	listen_here(5);
	listener = close_fd(listener);
	ck_assert_int_eq(dial(5000, -1, &fd, &error), -1);
	ck_assert_int_eq(error.code, PROVIUM_HOST);
	ck_assert_int_eq(error.os_errno, ECONNREFUSED);
}
END_TEST

/* A listener that accepts nobody, its queue full: the deadline and the cancel fd still count. */
START_TEST(test_full_backlog)
{
	uint64_t begin = monotonic_ns();
	struct provium_error error;
	int pipe_fds[2];
	int held[2];
	int fd;

	address.kind = ADDRESS_AGENT;
	listen_here(0);
	ck_assert_int_eq(dial(5000, -1, &held[0], &error), 0);
	ck_assert_int_eq(dial(150, -1, &held[1], &error), -1);
	ck_assert_int_eq(error.code, PROVIUM_TIMED_OUT);
	ck_assert_ptr_nonnull(strstr(error.message, "queue"));
	ck_assert_uint_ge(monotonic_ns() - begin, 150000000);

	ck_assert_int_eq(pipe(pipe_fds), 0);
	ck_assert_int_eq(write(pipe_fds[1], "x", 1), 1);
	ck_assert_int_eq(dial(PROVIUM_FOREVER, pipe_fds[0], &fd, &error), -1);
	ck_assert_int_eq(error.code, PROVIUM_CANCELLED);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
	close(held[0]);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("lib-dial");
	TCase *tcase = unit_counted_case("unix");

	tcase_add_checked_fixture(tcase, start, finish);
	tcase_add_test(tcase, test_hybrid);
	tcase_add_loop_test(tcase, test_refusal, 0, ARRAY_SIZE(refusals));
	tcase_add_test(tcase, test_silence);
	tcase_add_test(tcase, test_cancelled);
	tcase_add_test(tcase, test_agent_socket);
	tcase_add_test(tcase, test_no_socket);
	tcase_add_test(tcase, test_nobody_listens);
	tcase_add_test(tcase, test_full_backlog);
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
