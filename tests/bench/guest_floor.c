/*
 * What the guest can do without an agent: the floors that Provium is measured against.
 *
 * guest-floor PORT PROGRAM: listens on the vsock port, says so on standard output, and serves one
 * connection: a request is 64 bytes, whose first says what is wanted.
 *
 *   'e'  echo: the 64 bytes come back
 *   's'  PROGRAM is started by posix_spawn and waited for, then the 64 bytes come back; bytes 8 to
 *        15 are the nanoseconds that it took, in the guest's byte order
 *   'w'  so many bytes as bytes 8 to 15 say follow and are written to a file, then the 64 bytes
 *        come back
 *   'r'  so many bytes of that file come, then the 64 bytes
 *   'c'  getpid(2) is called as many times, then the 64 bytes come back
 *   'd'  a SYSCALL of as many calls is decoded, as the agent does it, then the 64 bytes come back;
 *        bytes 8 to 15 are the nanoseconds that it took
 *   'p'  the same with the encoding of such a program's result
 *   'm'  so many of PROGRAM as bytes 8 to 15 say are started, and then waited for, as 's'
 *   'o'  guest-floor BYTES is started, and what it writes to a pipe comes, then the 64 bytes
 *   'f'  a child is forked that listens on a port of its own, which bytes 8 to 15 of the 64 bytes
 *        that come back tell: it takes one connection and echoes 64 bytes
 *   'C'  so many of PROGRAM as bytes 8 to 15 say are started, and then waited for, with all that
 *        the agent promises of a command (guest_promises.h)
 *   'W'  as 'f', with all that it promises of a worker
 *   'i'  so many bytes follow, then the 64 bytes come back
 *   'q'  so many bytes come, then the 64 bytes
 *   'l'  so many bytes go from a child to its parent through the guest's vsock loopback, then the
 *        64 bytes come back
 *
 * guest-floor BYTES: writes so many to standard output.
 *
 * As PID 1 it is an init that does nothing but reap.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/vm_sockets.h>

#include "common/cleanup.h"
#include "common/util.h"
#include "proto/codec.h"
#include "proto/frame.h"
#include "tests/bench/floor.h"
#include "tests/bench/guest_promises.h"

static uint8_t bulk[KIB(256)];

/* argv[0], a path. */
static char *self;

static void be_init(void)
{
	for (;;)
		if (waitpid(-1, NULL, 0) < 0)
			pause();
}

/* False: the connection has ended. */
static bool move_all(int fd, void *data, size_t size, bool out)
{
	uint8_t *at = data;

	while (size > 0) {
		ssize_t count = out ? write(fd, at, size) : read(fd, at, size);

		if (count <= 0)
			return false;
		at += count;
		size -= (size_t)count;
	}
	return true;
}

/* Between the connection and the file, in as few calls as possible. */
static bool move_bulk(int fd, uint64_t size, bool to_file)
{
	int flags = to_file ? O_WRONLY | O_CREAT | O_TRUNC : O_RDONLY;
	cleanup_close int file = open(FLOOR_FILE, flags | O_CLOEXEC, 0600);

	if (file < 0)
		return false;
	while (size > 0) {
		ssize_t count =
			read(to_file ? fd : file, bulk, (size_t)MIN(size, (uint64_t)sizeof(bulk)));

		if (count <= 0 || !move_all(to_file ? file : fd, bulk, (size_t)count, true))
			return false;
		size -= (uint64_t)count;
	}
	return true;
}

/* Memory alone at this end. */
static bool move_stream(int fd, uint64_t size, bool out)
{
	while (size > 0) {
		size_t count = (size_t)MIN(size, (uint64_t)sizeof(bulk));

		if (!move_all(fd, bulk, count, out))
			return false;
		size -= count;
	}
	return true;
}

static bool spawn_and_wait(char *program, uint64_t *elapsed_ns)
{
	char *const argv[] = { program, NULL };
	uint64_t start = monotonic_ns();
	int status;
	pid_t pid;

	if (posix_spawn(&pid, program, NULL, NULL, argv, environ) != 0)
		return false;
	if (waitpid(pid, &status, 0) != pid || status != 0)
		return false;
	*elapsed_ns = monotonic_ns() - start;
	return true;
}

static bool spawn_many(char *program, uint64_t count)
{
	char *const argv[] = { program, NULL };
	bool good = true;
	int status;
	pid_t pid;

	for (uint64_t i = 0; i < count; i++)
		if (posix_spawn(&pid, program, NULL, NULL, argv, environ) != 0)
			return false;
	for (uint64_t i = 0; i < count; i++)
		good &= wait(&status) > 0 && status == 0;
	return good;
}

static bool send_output(int fd, uint64_t size)
{
	char bytes[24];
	char *const argv[] = { self, bytes, NULL };
	cleanup_close int in = -1, out = -1;
	posix_spawn_file_actions_t actions;
	int pipes[2], status, failure;
	pid_t pid;

	if (pipe2(pipes, O_CLOEXEC) < 0)
		return false;
	in = pipes[0];
	out = pipes[1];
	snprintf(bytes, sizeof(bytes), "%llu", (unsigned long long)size);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
	failure = posix_spawn(&pid, self, &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	if (failure)
		return false;
	close(steal_fd(&out));
	while (size > 0) {
		ssize_t count = read(in, bulk, (size_t)MIN(size, (uint64_t)sizeof(bulk)));

		if (count <= 0 || !move_all(fd, bulk, (size_t)count, true))
			return false;
		size -= (uint64_t)count;
	}
	return waitpid(pid, &status, 0) == pid && status == 0;
}

/* What the agent's codec takes for a program of so many calls without arguments, nanoseconds. */
static bool decode_program(uint32_t calls, uint64_t *elapsed_ns)
{
	cleanup_free uint32_t *numbers = calloc(calls, sizeof(*numbers));
	Provium__V1__Syscall body = PROVIUM__V1__SYSCALL__INIT;
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT, *decoded;
	cleanup_free uint8_t *frame = NULL;
	struct decoder decoder;
	uint64_t start;
	size_t size;
	bool good;

	if (!numbers)
		return false;
	for (uint32_t i = 0; i < calls; i++)
		numbers[i] = SYS_getpid;
	body.numbers = numbers;
	body.n_numbers = calls;
	message.body_case = PROVIUM__V1__MESSAGE__BODY_SYSCALL;
	message.syscall = &body;
	size = message_frame_size(&message);
	frame = malloc(size);
	if (!frame)
		return false;
	message_frame_pack(&message, size, frame);
	decoder_init(&decoder);
	start = monotonic_ns();
	good = decoder_decode(&decoder, frame + FRAME_HEADER, size - FRAME_HEADER, &decoded) ==
	       DECODE_OK;
	*elapsed_ns = monotonic_ns() - start;
	decoder_finish(&decoder);
	return good;
}

static bool encode_result(uint32_t calls, uint64_t *elapsed_ns)
{
	cleanup_free int64_t *results = calloc(calls, sizeof(*results));
	cleanup_free uint64_t *durations = calloc(calls, sizeof(*durations));
	Provium__V1__SyscallResult body = PROVIUM__V1__SYSCALL_RESULT__INIT;
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	cleanup_free uint8_t *frame = NULL;
	uint64_t start;
	size_t size;

	if (!results || !durations)
		return false;
	for (uint32_t i = 0; i < calls; i++) {
		results[i] = 100;
		durations[i] = 400;
	}
	body.results = results;
	body.durations_ns = durations;
	body.n_results = body.n_durations_ns = calls;
	message.body_case = PROVIUM__V1__MESSAGE__BODY_SYSCALL_RESULT;
	message.syscall_result = &body;
	schema_ready();
	start = monotonic_ns();
	size = message_frame_size(&message);
	frame = malloc(size);
	if (!frame)
		return false;
	message_frame_pack(&message, size, frame);
	*elapsed_ns = monotonic_ns() - start;
	return true;
}

static bool call_often(uint64_t times)
{
	while (times-- > 0)
		if (syscall(SYS_getpid) < 0)
			return false;
	return true;
}

static int listen_at(struct sockaddr_vm *address)
{
	cleanup_close int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t size = sizeof(*address);

	if (fd < 0 || bind(fd, (struct sockaddr *)address, size) < 0 || listen(fd, 1) < 0 ||
	    getsockname(fd, (struct sockaddr *)address, &size) < 0)
		return -1;
	return steal_fd(&fd);
}

/* On a port that is free. */
static int listen_anywhere(uint64_t *port)
{
	struct sockaddr_vm address = {
		.svm_family = AF_VSOCK,
		.svm_port = VMADDR_PORT_ANY,
		.svm_cid = VMADDR_CID_ANY,
	};
	int fd = listen_at(&address);

	*port = address.svm_port;
	return fd;
}

static bool echo_once(int listener)
{
	struct floor_request request;
	int fd = accept(listener, NULL, NULL);

	return fd >= 0 && move_all(fd, &request, sizeof(request), false) &&
	       move_all(fd, &request, sizeof(request), true);
}

static bool fork_listener(uint64_t *port, bool (*live)(int listener))
{
	cleanup_close int listener = listen_anywhere(port);
	pid_t pid;

	/* Those of earlier times. */
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
	if (listener < 0)
		return false;
	pid = fork();
	if (pid == 0)
		_exit(live(listener) ? 0 : 1);
	return pid > 0;
}

static void send_loopback(uint32_t port, uint64_t size)
{
	struct sockaddr_vm address = {
		.svm_family = AF_VSOCK,
		.svm_port = port,
		.svm_cid = VMADDR_CID_LOCAL,
	};
	int fd = socket(AF_VSOCK, SOCK_STREAM, 0);

	_exit(fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0 &&
			      move_stream(fd, size, true)
		      ? 0
		      : 1);
}

static bool loop_back(uint64_t size)
{
	uint64_t port;
	cleanup_close int listener = listen_anywhere(&port);
	cleanup_close int fd = -1;
	int status;
	pid_t pid;

	if (listener < 0)
		return false;
	pid = fork();
	if (pid == 0)
		send_loopback((uint32_t)port, size);
	fd = accept(listener, NULL, NULL);
	return pid > 0 && fd >= 0 && move_stream(fd, size, false) &&
	       waitpid(pid, &status, 0) == pid && status == 0;
}

static bool serve(int fd, struct floor_request *request, char *program)
{
	switch (request->kind) {
	case FLOOR_ECHO:
		return true;
	case FLOOR_SPAWN:
		return spawn_and_wait(program, &request->number);
	case FLOOR_READ:
		return move_bulk(fd, request->number, false);
	case FLOOR_WRITE:
		return move_bulk(fd, request->number, true);
	case FLOOR_CALLS:
		return call_often(request->number);
	case FLOOR_DECODE:
		return decode_program((uint32_t)request->number, &request->number);
	case FLOOR_ENCODE:
		return encode_result((uint32_t)request->number, &request->number);
	case FLOOR_SPAWN_MANY:
		return spawn_many(program, request->number);
	case FLOOR_OUTPUT:
		return send_output(fd, request->number);
	case FLOOR_FORK:
		return fork_listener(&request->number, echo_once);
	case FLOOR_COMMANDS:
		return promise_commands(program, request->number);
	case FLOOR_WORKER:
		return fork_listener(&request->number, promise_worker);
	case FLOOR_SINK:
		return move_stream(fd, request->number, false);
	case FLOOR_SOURCE:
		return move_stream(fd, request->number, true);
	case FLOOR_LOOPBACK:
		return loop_back(request->number);
	default:
		return false;
	}
}

int main(int argc, char **argv)
{
	static const char listening[] = "listening\n";
	struct sockaddr_vm address = { .svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_ANY };
	struct floor_request request;
	int listener, fd;

	if (getpid() == 1)
		be_init();
	if (argc == 2)
		return move_stream(STDOUT_FILENO, strtoull(argv[1], NULL, 10), true) ? 0 : 1;
	if (argc != 3)
		return 2;
	self = argv[0];
	address.svm_port = (uint32_t)strtoul(argv[1], NULL, 10);
	listener = listen_at(&address);
	if (listener < 0)
		return errno;
	if (write(STDOUT_FILENO, listening, strlen(listening)) < 0)
		return errno;
	fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	if (fd < 0)
		return errno;
	while (move_all(fd, &request, sizeof(request), false))
		if (!serve(fd, &request, argv[2]) || !move_all(fd, &request, sizeof(request), true))
			return 1;
	return 0;
}
