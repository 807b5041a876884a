/*
 * The life of the real provium-vsock: how it is started and how it ends, front ends and devices
 * that come and go, clients that do not behave, and that it rests when there is nothing to do.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/util.h"
#include "unit.h"
#include "vsock_machine.h"

static struct machine machine;

static void start(const char *const *arguments)
{
	machine_start(&machine, arguments);
	machine_connect(&machine);
	machine_plug(&machine);
}

static struct client open_client(uint32_t port)
{
	struct client client;

	ck_assert(client_open(&client, &machine, port));
	return client;
}

/* A client that has sent and read up to an offset. */
struct exchange {
	struct client *client;
	uint64_t end;
};

static bool exchanged(struct machine *unused, void *context)
{
	struct exchange *exchange = context;

	(void)unused;
	client_send(exchange->client, exchange->end);
	client_receive(exchange->client, exchange->end);
	return exchange->client->received == exchange->end || exchange->client->failed ||
	       exchange->client->ended;
}

static void talk(struct client *client, uint64_t end)
{
	struct exchange exchange = { .client = client, .end = end };

	machine_run(&machine, exchanged, &exchange);
	ck_assert_uint_eq(client->received, end);
}

static bool client_ended(struct machine *unused, void *context)
{
	struct client *client = context;

	(void)unused;
	client_receive(client, UINT64_MAX);
	return client->ended;
}

static void await_end(struct client *client)
{
	machine_run(&machine, client_ended, client);
	client_close(client);
}

/* --- the command line --- */

static const struct usage {
	const char *arguments[8];
	int status;
	const char *text;
} usages[] = {
	{ { "--help" }, 0, "--uds-path PATH" },
	{ { "-h" }, 0, "Usage: provium-vsock" },
	{ { "--version" }, 0, "provium-vsock " },
	{ { NULL }, 2, "one of --socket and --socket-fd" },
	{ { "--socket", "s" }, 2, "--uds-path is needed" },
	{ { "--uds-path", "u" }, 2, "one of --socket and --socket-fd" },
	{ { "--socket", "s", "--socket-fd", "2", "--uds-path", "u" }, 2, "one of --socket" },
	{ { "--guest-cid", "2", "--socket", "s", "--uds-path", "u" }, 2, "\"2\" is not a number" },
	{ { "--guest-cid", "4294967295", "--socket", "s", "--uds-path", "u" }, 2, "--guest-cid" },
	{ { "--guest-cid", "18446744073709551616", "--socket", "s", "--uds-path", "u" },
	  2,
	  "--guest-cid" },
	{ { "--guest-cid", "3x", "--socket", "s", "--uds-path", "u" }, 2, "\"3x\"" },
	{ { "--guest-cid", "", "--socket", "s", "--uds-path", "u" }, 2, "--guest-cid" },
	{ { "--guest-cid", "-3", "--socket", "s", "--uds-path", "u" }, 2, "--guest-cid" },
	{ { "--life-fd", "999", "--socket", "s", "--uds-path", "u" }, 2, "fd 999 is not open" },
	{ { "--life-fd", "x", "--socket", "s", "--uds-path", "u" }, 2, "not the number of an fd" },
	{ { "--log-level", "loud", "--socket", "s", "--uds-path", "u" }, 2, "\"loud\"" },
	{ { "--socket", "s", "--uds-path", "u", "more" }, 2, "\"more\"" },
	{ { "--nonsense" }, 2, "provium-vsock: \"--nonsense\"" },
	{ { "--socket" }, 2, "provium-vsock: \"--socket\"" },
	{ { "-x" }, 2, "provium-vsock: \"-x\"" },
	{ { "--socket", "", "--uds-path", "/nowhere/u" }, 1, "/nowhere/u" },
	{ { "--socket-fd", "2", "--uds-path", "u" }, 1, "fd 2" },
};

START_TEST(command_line)
{
	const struct usage *usage = &usages[_i];

	machine_prepare(&machine);
	ck_assert_int_eq(chdir(machine.directory), 0);
	machine_spawn(&machine, usage->arguments, -1);
	ck_assert_int_eq(machine_wait(&machine), usage->status);
	ck_assert(machine_said(&machine, usage->text));
	machine_finish(&machine);
}
END_TEST

START_TEST(paths_that_are_too_long)
{
	char longest[200], path[128];
	const char *arguments[] = { "--socket", "s", "--uds-path", path, NULL };

	memset(longest, 'x', sizeof(longest));
	machine_prepare(&machine);
	ck_assert_int_eq(chdir(machine.directory), 0);

	/* What fits alone does not fit with _PORT behind it. */
	snprintf(path, sizeof(path), "%.97s", longest);
	machine_spawn(&machine, arguments, -1);
	ck_assert_int_eq(machine_wait(&machine), 1);
	ck_assert(machine_said(&machine, "\"_PORT\" is appended"));

	snprintf(path, sizeof(path), "%.108s", longest);
	arguments[1] = path;
	arguments[3] = "u";
	machine_spawn(&machine, arguments, -1);
	ck_assert_int_eq(machine_wait(&machine), 1);
	ck_assert(machine_said(&machine, "a socket's path has 1 to 107 bytes"));
	/* It cleans up the one that was there before. */
	ck_assert_int_ne(access("u", F_OK), 0);
	machine_finish(&machine);
}
END_TEST

static int bind_at(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(address.sun_path, path);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

START_TEST(paths_that_are_taken)
{
	const char *arguments[] = { "--socket", "s", "--uds-path", "u", NULL };
	struct stat status;
	int fd;

	machine_prepare(&machine);
	ck_assert_int_eq(chdir(machine.directory), 0);

	/* Somebody listens there. */
	fd = bind_at("u");
	ck_assert_int_eq(listen(fd, 1), 0);
	machine_spawn(&machine, arguments, -1);
	ck_assert_int_eq(machine_wait(&machine), 1);
	ck_assert(machine_said(&machine, "u is in use by another process"));
	ck_assert_int_eq(stat("u", &status), 0);
	close(fd);

	/* Nobody does any more: it takes the place, and another's file it leaves alone. */
	close(open("s", O_CREAT | O_CLOEXEC, 0600));
	machine_spawn(&machine, arguments, -1);
	ck_assert_int_eq(machine_wait(&machine), 1);
	ck_assert(machine_said(&machine, "s exists and is not a socket"));
	ck_assert_int_ne(access("u", F_OK), 0);
	ck_assert_int_eq(unlink("s"), 0);
	machine_finish(&machine);
}
END_TEST

/* --- its end --- */

START_TEST(sockets_are_private)
{
	struct stat status;

	machine_start(&machine, NULL);
	ck_assert_int_eq(stat(machine.vhost_path, &status), 0);
	ck_assert_uint_eq(status.st_mode & 0777, 0600);
	ck_assert_int_eq(stat(machine.uds_path, &status), 0);
	ck_assert_uint_eq(status.st_mode & 0777, 0600);
	machine_finish(&machine);
}
END_TEST

START_TEST(ends_with_a_signal)
{
	static const int signals[] = { SIGTERM, SIGINT, SIGHUP };

	start(NULL);
	{
		struct client client = open_client(GUEST_ECHO);

		ck_assert_int_eq(kill(machine.pid, signals[_i]), 0);
		ck_assert_int_eq(machine_wait(&machine), 0);
		await_end(&client);
	}
	machine_finish(&machine);
}
END_TEST

START_TEST(ends_with_whoever_started_it)
{
	machine_start(&machine, NULL);
	machine.life = close_fd(machine.life);
	ck_assert_int_eq(machine_wait(&machine), 0);
	machine_finish(&machine);
}
END_TEST

START_TEST(ends_with_the_front_end)
{
	struct client client, waiting;

	start(NULL);
	client = open_client(GUEST_ECHO);
	talk(&client, 1000);
	client_dial(&waiting, &machine);
	machine_disconnect(&machine);
	await_end(&client);
	await_end(&waiting);
	ck_assert_int_eq(machine_wait(&machine), 0);
	machine_finish(&machine);
}
END_TEST

START_TEST(inherited_socket_that_nobody_uses)
{
	const char *arguments[] = { "--uds-path", NULL, "--socket-fd", NULL, NULL };
	char number[16];
	int pair[2];

	/* QEMU did not start: nobody else can come. */
	machine_prepare(&machine);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	arguments[1] = machine.uds_path;
	snprintf(number, sizeof(number), "%d", pair[1]);
	arguments[3] = number;
	machine_spawn(&machine, arguments, pair[1]);
	close(pair[1]);
	close(pair[0]);
	ck_assert_int_eq(machine_wait(&machine), 0);
	machine_finish(&machine);
}
END_TEST

START_TEST(a_probe_is_no_front_end)
{
	machine_start(&machine, NULL);
	for (unsigned int i = 0; i < 3; i++) {
		machine_connect(&machine);
		/* Garbage is none either. */
		if (i > 0)
			ck_assert_int_eq(send(machine.socket, "GET / HTTP/1.1\r\n", 16, 0), 16);
		machine_disconnect(&machine);
	}
	machine_connect(&machine);
	machine_plug(&machine);
	{
		struct client client = open_client(GUEST_ECHO);

		talk(&client, 1000);
		client_close(&client);
	}
	machine_finish(&machine);
}
END_TEST

START_TEST(stays_for_the_next_front_end)
{
	static const char *const arguments[] = { "--reconnect", NULL };
	struct client client;

	machine_start(&machine, arguments);
	for (unsigned int i = 0; i < 3; i++) {
		machine_connect(&machine);
		machine_plug(&machine);
		client = open_client(GUEST_ECHO);
		talk(&client, 1000);
		machine_disconnect(&machine);
		await_end(&client);
		driver_start(&machine.driver);
		guest_init(&machine.guest, &machine.driver);
	}
	ck_assert_int_eq(kill(machine.pid, SIGTERM), 0);
	machine_finish(&machine);
}
END_TEST

START_TEST(inherits_its_socket)
{
	const char *arguments[] = {
		"--guest-cid=42", "--uds-path", NULL, "--socket-fd", NULL, NULL
	};
	struct client client;
	char number[16];
	int pair[2];

	machine_prepare(&machine);
	arguments[2] = machine.uds_path;
	arguments[4] = number;
	if (_i == 0) {
		ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	} else {
		pair[1] = bind_at(machine.vhost_path);
		ck_assert_int_eq(listen(pair[1], 1), 0);
	}
	snprintf(number, sizeof(number), "%d", pair[1]);
	machine_spawn(&machine, arguments, pair[1]);
	close(pair[1]);
	if (_i == 0)
		machine_adopt(&machine, pair[0]);
	else
		machine_connect(&machine);
	machine_plug(&machine);
	client = open_client(GUEST_ECHO);
	talk(&client, 1000);
	client_close(&client);
	/* Whose it was removes it. */
	unlink(machine.vhost_path);
	machine_finish(&machine);
}
END_TEST

/* --- devices that come and go --- */

START_TEST(device_is_taken_out_and_put_in_again)
{
	start(NULL);
	for (unsigned int i = 0; i < 3; i++) {
		struct client client = open_client(GUEST_ECHO);

		talk(&client, 1000);
		machine_unplug(&machine);
		await_end(&client);
		machine_plug(&machine);
	}
	machine_finish(&machine);
}
END_TEST

static bool answer_there(struct machine *unused, void *context)
{
	struct client *client = context;
	struct pollfd events = { .fd = client->fd, .events = POLLIN };

	(void)unused;
	return poll(&events, 1, 0) == 1;
}

START_TEST(client_waits_for_the_guest)
{
	struct client client;
	char answer[32];

	machine_start(&machine, NULL);
	client_dial(&client, &machine);
	ck_assert_int_gt(dprintf(client.fd, "CONNECT %u\n", GUEST_ECHO), 0);
	machine_connect(&machine);
	machine_idle(&machine, 20);
	machine_plug(&machine);
	machine_run(&machine, answer_there, &client);
	ck_assert_int_gt(read(client.fd, answer, sizeof(answer)), 3);
	ck_assert_int_eq(memcmp(answer, "OK ", 3), 0);
	talk(&client, 1000);
	client_close(&client);
	machine_finish(&machine);
}
END_TEST

/* No other front end can come: it is told so, and not at CONNECTION_CONNECT_LIMIT. */
START_TEST(client_waits_in_vain)
{
	struct client client;
	uint64_t start_ns;

	start(NULL);
	machine_unplug(&machine);
	client_dial(&client, &machine);
	ck_assert_int_gt(dprintf(client.fd, "CONNECT %u\n", GUEST_ECHO), 0);
	machine_idle(&machine, 20);
	start_ns = monotonic_ns();
	machine_disconnect(&machine);
	await_end(&client);
	ck_assert_uint_lt(monotonic_ns() - start_ns, UINT64_C(10000000000));
	ck_assert_int_eq(machine_wait(&machine), 0);
	machine_finish(&machine);
}
END_TEST

START_TEST(guest_is_paused)
{
	struct client client;

	start(NULL);
	client = open_client(GUEST_ECHO);
	talk(&client, 100000);
	machine_pause(&machine);
	client_send(&client, 150000);
	machine_idle(&machine, 20);
	machine_resume(&machine);
	talk(&client, 200000);
	client_close(&client);
	machine_finish(&machine);
}
END_TEST

START_TEST(guest_starts_anew)
{
	struct client client;

	start(NULL);
	client = open_client(GUEST_ECHO);
	talk(&client, 1000);
	machine_pause(&machine);
	machine_restart_driver(&machine);
	await_end(&client);
	client = open_client(GUEST_ECHO);
	talk(&client, 1000);
	client_close(&client);
	machine_finish(&machine);
}
END_TEST

START_TEST(hostile_guest)
{
	struct client client;
	const uint64_t one = 1;
	uint64_t signalled;

	start(NULL);
	client = open_client(GUEST_ECHO);
	driver_describe(&machine.driver, DEVICE_TRANSMIT, 0, UINT64_MAX, 1000, 0, 0);
	driver_offer(&machine.driver, DEVICE_TRANSMIT, 0);
	ck_assert_int_eq(write(machine.kicks[1], &one, sizeof(one)), sizeof(one));
	await_end(&client);
	ck_assert_int_eq(read(machine.error, &signalled, sizeof(signalled)), sizeof(signalled));
	ck_assert(machine_said(&machine, "the device is broken"));

	machine_pause(&machine);
	machine_restart_driver(&machine);
	client = open_client(GUEST_ECHO);
	talk(&client, 1000);
	client_close(&client);
	machine_finish(&machine);
}
END_TEST

/* --- clients --- */

static const struct line {
	const char *text;
	size_t length;
} bad_lines[] = {
	{ "\n", 1 },
	{ "CONNECT\n", 8 },
	{ "CONNECT \n", 9 },
	{ "CONNECT x\n", 10 },
	{ "CONNECT 7 \n", 11 },
	{ "CONNECT  7\n", 11 },
	{ "CONNECT +7\n", 11 },
	{ "CONNECT -7\n", 11 },
	{ "CONNECT 7\r\n", 11 },
	{ "CONNECT 4294967296\n", 19 },
	{ "CONNECT 99999999999999999999999\n", 32 },
	{ "CONNECT 00000000000000000000000000000007\n", 41 },
	{ "LISTEN 7\n", 9 },
	{ "CONNECT 7\0\n", 11 },
	{ "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 36 },
};

START_TEST(lines_that_are_refused)
{
	const struct line *line = &bad_lines[_i];
	struct client client;

	start(NULL);
	client_dial(&client, &machine);
	ck_assert_int_eq(send(client.fd, line->text, line->length, MSG_NOSIGNAL),
			 (ssize_t)line->length);
	await_end(&client);
	ck_assert_uint_eq(machine.guest.requests, 0);
	ck_assert(machine_said(&machine, "not \"CONNECT PORT\""));
	machine_finish(&machine);
}
END_TEST

START_TEST(port_that_nobody_serves)
{
	struct client client;

	start(NULL);
	ck_assert(!client_open(&client, &machine, 1));
	client_close(&client);
	ck_assert(!client_open(&client, &machine, UINT32_MAX));
	client_close(&client);
	ck_assert_uint_eq(machine.guest.requests, 2);
	machine_finish(&machine);
}
END_TEST

START_TEST(data_right_after_the_line)
{
	uint8_t bytes[1000];
	struct client client;
	char answer[32];
	ssize_t count;

	start(NULL);
	client_dial(&client, &machine);
	/* The line byte by byte, in small letters; the guest's data at once behind it. */
	for (const char *byte = "connect 7"; *byte; byte++) {
		ck_assert_int_eq(send(client.fd, byte, 1, MSG_NOSIGNAL), 1);
		machine_idle(&machine, 1);
	}
	bytes[0] = '\n';
	guest_pattern_fill(bytes + 1, 0, sizeof(bytes) - 1);
	ck_assert_int_eq(send(client.fd, bytes, sizeof(bytes), MSG_NOSIGNAL), sizeof(bytes));
	client.sent = sizeof(bytes) - 1;
	machine_run(&machine, answer_there, &client);
	count = recv(client.fd, answer, sizeof(answer), MSG_PEEK);
	ck_assert_int_gt(count, 0);
	ck_assert_ptr_nonnull(memchr(answer, '\n', (size_t)count));
	count = (char *)memchr(answer, '\n', (size_t)count) + 1 - answer;
	ck_assert_int_eq(recv(client.fd, answer, (size_t)count, 0), count);
	talk(&client, sizeof(bytes) - 1);
	client_close(&client);
	machine_finish(&machine);
}
END_TEST

START_TEST(clients_that_leave_early)
{
	struct client client;

	start(NULL);
	for (unsigned int i = 0; i < 20; i++) {
		client_dial(&client, &machine);
		if (i % 2)
			ck_assert_int_gt(dprintf(client.fd, "CONNECT 1"), 0);
		if (i % 4 == 3)
			ck_assert_int_gt(dprintf(client.fd, "3\n"), 0);
		client_close(&client);
	}
	client = open_client(GUEST_ECHO);
	talk(&client, 1000);
	client_close(&client);
	machine_finish(&machine);
}
END_TEST

static unsigned int program_fds(void)
{
	unsigned int count = 0;
	char path[64];
	DIR *directory;

	snprintf(path, sizeof(path), "/proc/%d/fd", machine.pid);
	directory = opendir(path);
	ck_assert_ptr_nonnull(directory);
	while (readdir(directory))
		count++;
	closedir(directory);
	return count;
}

static bool fds_are(struct machine *unused, void *context)
{
	(void)unused;
	return program_fds() == *(unsigned int *)context;
}

START_TEST(too_many_clients)
{
	/* The limit follows the fds that there may be. */
	struct rlimit limit = { 100, 100 };
	struct client clients[40];
	unsigned int fds, opened = 0;

	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	start(NULL);
	fds = program_fds();
	for (size_t i = 0; i < ARRAY_SIZE(clients); i++)
		opened += client_open(&clients[i], &machine, GUEST_ECHO);
	ck_assert_uint_eq(opened, 36);
	for (size_t i = 0; i < ARRAY_SIZE(clients); i++)
		client_close(&clients[i]);
	machine_run(&machine, fds_are, &fds);
	/* Each counts until the guest has confirmed its end. */
	while (!client_open(&clients[0], &machine, GUEST_ECHO))
		client_close(&clients[0]);
	talk(&clients[0], 1000);
	client_close(&clients[0]);
	machine_finish(&machine);
}
END_TEST

START_TEST(nothing_leaks)
{
	unsigned int fds;

	start(NULL);
	fds = program_fds();
	for (unsigned int i = 0; i < 100; i++) {
		struct client client;

		if (client_open(&client, &machine, i % 3 ? GUEST_ECHO : 1))
			talk(&client, 100);
		client_close(&client);
	}
	machine_run(&machine, fds_are, &fds);
	machine_finish(&machine);
}
END_TEST

static bool streams_ended(struct machine *unused, void *context)
{
	(void)unused;
	return machine.guest.ended == *(unsigned int *)context;
}

START_TEST(guest_that_never_answers)
{
	/* A request, and the end of a stream: both have limits, and the guest is told of each. */
	uint64_t start_ns = monotonic_ns();
	struct client client, silent;
	unsigned int ends = 1;

	start(NULL);
	machine.guest.unhelpful = true;
	client_dial(&silent, &machine);
	ck_assert_int_gt(dprintf(silent.fd, "CONNECT %u\n", GUEST_SILENT), 0);
	client = open_client(GUEST_SINK);
	client_close(&client);
	machine_run(&machine, streams_ended, &ends);
	ck_assert_uint_ge(monotonic_ns() - start_ns, 7 * UINT64_C(1000000000));
	ck_assert(!answer_there(&machine, &silent));

	await_end(&silent);
	ends = 2;
	machine_run(&machine, streams_ended, &ends);
	ck_assert_uint_ge(monotonic_ns() - start_ns, 19 * UINT64_C(1000000000));
	machine_finish(&machine);
}
END_TEST

/* --- rest --- */

/* Processor time of the program, in ticks. */
static unsigned long program_ticks(void)
{
	unsigned long user, system;
	char path[64];
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/stat", machine.pid);
	file = fopen(path, "re");
	ck_assert_ptr_nonnull(file);
	ck_assert_int_eq(fscanf(file, "%*d %*s %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu",
				&user, &system),
			 2);
	fclose(file);
	return user + system;
}

static void must_rest(void)
{
	unsigned long before;

	machine_idle(&machine, 100);
	before = program_ticks();
	machine_idle(&machine, 500);
	/* Of 50: somebody may have had to be told something. */
	ck_assert_uint_le(program_ticks() - before, 2);
}

START_TEST(no_fds_left)
{
	struct rlimit none = { 0, 0 }, before;
	struct client client;

	start(NULL);
	ck_assert_int_eq(prlimit(machine.pid, RLIMIT_NOFILE, NULL, &before), 0);
	none.rlim_max = before.rlim_max;
	ck_assert_int_eq(prlimit(machine.pid, RLIMIT_NOFILE, &none, NULL), 0);
	client_dial(&client, &machine);
	ck_assert_int_gt(dprintf(client.fd, "CONNECT %u\n", GUEST_ECHO), 0);
	/* The client waits in the queue, and the program does not run in circles for it. */
	must_rest();
	ck_assert(!answer_there(&machine, &client));
	ck_assert_int_eq(prlimit(machine.pid, RLIMIT_NOFILE, &before, NULL), 0);
	machine_run(&machine, answer_there, &client);
	client_close(&client);
	machine_finish(&machine);
}
END_TEST

START_TEST(rests)
{
	struct client stalled, half, unread, silent, untold;

	start(NULL);
	must_rest();

	/* Data that the guest has no room for. */
	stalled = open_client(GUEST_STALL);
	client_send(&stalled, MIB(4));
	/* A client that has said its last. */
	half = open_client(GUEST_SINK);
	ck_assert_int_eq(shutdown(half.fd, SHUT_WR), 0);
	/* A client that does not read. */
	machine.guest.source_length = MIB(4);
	unread = open_client(GUEST_SOURCE);
	/* A client without an answer, whose data wait for it, and one without a line. */
	client_dial(&silent, &machine);
	ck_assert_int_gt(dprintf(silent.fd, "CONNECT %u\ndata", GUEST_SILENT), 0);
	client_dial(&untold, &machine);
	must_rest();

	/* And the same without a guest. */
	machine_pause(&machine);
	must_rest();
	client_close(&stalled);
	client_close(&half);
	client_close(&unread);
	client_close(&silent);
	client_close(&untold);
	must_rest();
	machine_finish(&machine);
}
END_TEST

int main(int argc, char **argv)
{
	Suite *suite = suite_create("vsock-life");
	TCase *tcase = unit_counted_case("life");

	if (!machine_set_program(argc, argv))
		return EXIT_FAILURE;
	tcase_set_timeout(tcase, 60);
	tcase_add_loop_test(tcase, command_line, 0, ARRAY_SIZE(usages));
	tcase_add_test(tcase, paths_that_are_too_long);
	tcase_add_test(tcase, paths_that_are_taken);
	tcase_add_test(tcase, sockets_are_private);
	tcase_add_loop_test(tcase, ends_with_a_signal, 0, 3);
	tcase_add_test(tcase, ends_with_whoever_started_it);
	tcase_add_test(tcase, ends_with_the_front_end);
	tcase_add_test(tcase, inherited_socket_that_nobody_uses);
	tcase_add_test(tcase, a_probe_is_no_front_end);
	tcase_add_test(tcase, stays_for_the_next_front_end);
	tcase_add_loop_test(tcase, inherits_its_socket, 0, 2);
	tcase_add_test(tcase, device_is_taken_out_and_put_in_again);
	tcase_add_test(tcase, client_waits_for_the_guest);
	tcase_add_test(tcase, client_waits_in_vain);
	tcase_add_test(tcase, guest_is_paused);
	tcase_add_test(tcase, guest_starts_anew);
	tcase_add_test(tcase, hostile_guest);
	tcase_add_loop_test(tcase, lines_that_are_refused, 0, ARRAY_SIZE(bad_lines));
	tcase_add_test(tcase, port_that_nobody_serves);
	tcase_add_test(tcase, data_right_after_the_line);
	tcase_add_test(tcase, clients_that_leave_early);
	tcase_add_test(tcase, too_many_clients);
	tcase_add_test(tcase, nothing_leaks);
	tcase_add_test(tcase, guest_that_never_answers);
	tcase_add_test(tcase, no_fds_left);
	tcase_add_test(tcase, rests);
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
