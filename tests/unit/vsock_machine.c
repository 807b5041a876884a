#include "vsock_machine.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/util.h"
#include "host/vsock/vhost_user.h"
#include "unit.h"

/* More than anything takes, also under the sanitizers on a busy machine. */
#define PATIENCE_NS (20 * UINT64_C(1000000000))

/* --- the program --- */

static char program[PATH_MAX];

bool machine_set_program(int argc, char **argv)
{
	/* Tests change their directory. */
	if (argc == 2 && realpath(argv[1], program))
		return true;
	fprintf(stderr, "usage: %s PROVIUM-VSOCK\n", argv[0]);
	return false;
}

void machine_spawn(struct machine *machine, const char *const *arguments, int inherited)
{
	const char *argv[32] = { program };
	unsigned int count = 1;

	for (; arguments && *arguments; arguments++)
		argv[count++] = *arguments;
	ck_assert_uint_lt(count, ARRAY_SIZE(argv));

	machine->pid = fork();
	ck_assert_int_ge(machine->pid, 0);
	if (machine->pid == 0) {
		dup2(machine->log, STDOUT_FILENO);
		dup2(machine->log, STDERR_FILENO);
		if (inherited >= 0)
			fcntl(inherited, F_SETFD, 0);
		execv(program, (char *const *)argv);
		_exit(127);
	}
}

void machine_prepare(struct machine *machine)
{
	const char *base = getenv("TMPDIR");
	char path[96];

	memset(machine, 0, sizeof(*machine));
	machine->socket = machine->channel = machine->error = machine->life = -1;
	for (unsigned int i = 0; i < 2; i++)
		machine->kicks[i] = machine->calls[i] = -1;

	snprintf(machine->directory, sizeof(machine->directory), "%s/vsock-XXXXXX",
		 base ? base : "/tmp");
	ck_assert_ptr_nonnull(mkdtemp(machine->directory));
	snprintf(machine->vhost_path, sizeof(machine->vhost_path), "%s/vhost", machine->directory);
	snprintf(machine->uds_path, sizeof(machine->uds_path), "%s/vsock", machine->directory);
	snprintf(path, sizeof(path), "%s/log", machine->directory);
	machine->log = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_APPEND, 0600);
	ck_assert_int_ge(machine->log, 0);
	unlink(path);

	driver_init(&machine->driver);
	guest_init(&machine->guest, &machine->driver);
}

static bool socket_there(const char *path)
{
	struct stat status;

	return lstat(path, &status) == 0;
}

void machine_start(struct machine *machine, const char *const *arguments)
{
	const char *argv[32] = { "--guest-cid=42", "--socket", machine->vhost_path, "--uds-path",
				 machine->uds_path };
	unsigned int count = 5;
	char life_option[32];
	int life[2];
	uint64_t end = monotonic_ns() + PATIENCE_NS;

	machine_prepare(machine);
	ck_assert_int_eq(pipe2(life, O_CLOEXEC), 0);
	machine->life = life[1];
	snprintf(life_option, sizeof(life_option), "--life-fd=%d", life[0]);
	argv[count++] = life_option;
	for (; arguments && *arguments; arguments++)
		argv[count++] = *arguments;
	machine_spawn(machine, argv, life[0]);
	close(life[0]);
	while (!socket_there(machine->vhost_path)) {
		ck_assert_msg(monotonic_ns() < end, "the program does not listen");
		ck_assert_int_eq(waitpid(machine->pid, NULL, WNOHANG), 0);
		poll(NULL, 0, 1);
	}
}

int machine_wait(struct machine *machine)
{
	uint64_t end = monotonic_ns() + PATIENCE_NS;

	while (waitpid(machine->pid, &machine->status, WNOHANG) == 0) {
		ck_assert_msg(monotonic_ns() < end, "the program does not end");
		poll(NULL, 0, 1);
	}
	machine->pid = 0;
	ck_assert_msg(WIFEXITED(machine->status), "wait status %#x", (unsigned)machine->status);
	return WEXITSTATUS(machine->status);
}

bool machine_said(struct machine *machine, const char *text)
{
	char log[8192];
	ssize_t count = pread(machine->log, log, sizeof(log) - 1, 0);

	ck_assert_int_ge(count, 0);
	log[count] = '\0';
	return strstr(log, text) != NULL;
}

/* What the program said, for whoever reads the test's output. */
static void machine_show_log(struct machine *machine)
{
	char log[4096];
	ssize_t count;

	for (off_t offset = 0; (count = pread(machine->log, log, sizeof(log), offset)) > 0;
	     offset += count)
		fwrite(log, 1, (size_t)count, stderr);
}

void machine_finish(struct machine *machine)
{
	machine_disconnect(machine);
	machine->life = close_fd(machine->life);
	if (machine->pid > 0)
		ck_assert_int_eq(machine_wait(machine), 0);
	machine_show_log(machine);
	machine->log = close_fd(machine->log);
	driver_finish(&machine->driver);
	ck_assert(!socket_there(machine->vhost_path));
	ck_assert(!socket_there(machine->uds_path));
	ck_assert_int_eq(rmdir(machine->directory), 0);
}

/* --- the front end --- */

static int dial(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	uint64_t end = monotonic_ns() + PATIENCE_NS;

	strcpy(address.sun_path, path);
	ck_assert_int_ge(fd, 0);
	/* A path is there a moment before somebody listens. */
	while (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		ck_assert_int_eq(errno, ECONNREFUSED);
		ck_assert(monotonic_ns() < end);
		poll(NULL, 0, 1);
	}
	return fd;
}

void machine_adopt(struct machine *machine, int fd)
{
	machine->socket = fd;
}

void machine_connect(struct machine *machine)
{
	machine_adopt(machine, dial(machine->vhost_path));
}

/* Sends a request; reads the answer where there has to be one. */
static void request(struct machine *machine, uint32_t number, bool replies,
		    union vhost_user_payload *payload, uint32_t size, int fd)
{
	struct vhost_user_header header = { .request = number,
					    .flags = VHOST_USER_VERSION |
						     (replies ? 0 : VHOST_USER_NEED_REPLY),
					    .size = size };
	struct iovec iov[] = { { &header, sizeof(header) }, { payload, size } };
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct msghdr message = { .msg_iov = iov, .msg_iovlen = 2 };

	if (fd >= 0) {
		message.msg_control = &control;
		message.msg_controllen = sizeof(control);
		CMSG_FIRSTHDR(&message)->cmsg_level = SOL_SOCKET;
		CMSG_FIRSTHDR(&message)->cmsg_type = SCM_RIGHTS;
		CMSG_FIRSTHDR(&message)->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(CMSG_FIRSTHDR(&message)), &fd, sizeof(fd));
	}
	ck_assert_int_eq(sendmsg(machine->socket, &message, 0), (ssize_t)(sizeof(header) + size));
	ck_assert_int_eq(recv(machine->socket, &header, sizeof(header), MSG_WAITALL),
			 sizeof(header));
	ck_assert_uint_eq(header.request, number);
	ck_assert_uint_le(header.size, sizeof(*payload));
	ck_assert_int_eq(recv(machine->socket, payload, header.size, MSG_WAITALL), header.size);
	if (!replies)
		ck_assert_uint_eq(payload->integer, 0);
}

static uint64_t request_integer(struct machine *machine, uint32_t number, bool replies,
				uint64_t integer, int fd)
{
	union vhost_user_payload payload = { .integer = integer };

	request(machine, number, replies, &payload, replies ? 0 : sizeof(payload.integer), fd);
	return payload.integer;
}

static uint32_t request_state(struct machine *machine, uint32_t number, bool replies,
			      uint32_t index, uint32_t value)
{
	union vhost_user_payload payload = { .state = { .index = index, .num = value } };

	request(machine, number, replies, &payload, sizeof(payload.state), -1);
	return payload.state.num;
}

/* As QEMU does it when the driver has set DRIVER_OK. */
static void start_rings(struct machine *machine)
{
	union vhost_user_payload payload = {
		.memory = { .count = 1, .regions = { driver_region(&machine->driver) } }
	};
	unsigned int i;

	request_integer(machine, VHOST_USER_SET_FEATURES, false,
			UINT64_C(1) << 32 | 1u << VHOST_USER_F_PROTOCOL_FEATURES, -1);
	request(machine, VHOST_USER_SET_MEM_TABLE, false, &payload,
		offsetof(struct vhost_user_memory, regions[1]), machine->driver.fd);
	for (i = 0; i < 2; i++) {
		request_state(machine, VHOST_USER_SET_VRING_NUM, false, i, DRIVER_RING_SIZE);
		request_state(machine, VHOST_USER_SET_VRING_BASE, false, i, machine->bases[i]);
		payload.address = driver_ring_address(&machine->driver, i);
		request(machine, VHOST_USER_SET_VRING_ADDR, false, &payload,
			sizeof(payload.address), -1);
		request_integer(machine, VHOST_USER_SET_VRING_KICK, false, i, machine->kicks[i]);
		request_integer(machine, VHOST_USER_SET_VRING_CALL, false, i, machine->calls[i]);
		request_integer(machine, VHOST_USER_SET_VRING_ERR, false, i, machine->error);
	}
	for (i = 0; i < 2; i++)
		request_state(machine, VHOST_USER_SET_VRING_ENABLE, false, i, 1);
}

void machine_plug(struct machine *machine)
{
	union vhost_user_payload payload = { .config = { .size = 8 } };
	uint64_t features;
	int channel[2];

	for (unsigned int i = 0; i < 2; i++) {
		machine->kicks[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		machine->calls[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		machine->bases[i] = 0;
	}
	machine->error = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	request_integer(machine, VHOST_USER_GET_FEATURES, true, 0, -1);
	features = request_integer(machine, VHOST_USER_GET_PROTOCOL_FEATURES, true, 0, -1);
	/* Before this no answer can be asked for; the next request's shows that it was taken. */
	{
		struct {
			struct vhost_user_header header;
			uint8_t integer[8];
		} set = { .header = { VHOST_USER_SET_PROTOCOL_FEATURES, VHOST_USER_VERSION, 8 } };

		memcpy(set.integer, &features, sizeof(features));
		ck_assert_int_eq(send(machine->socket, &set, sizeof(set), 0), sizeof(set));
	}
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, channel), 0);
	machine->channel = channel[0];
	request(machine, VHOST_USER_SET_BACKEND_REQ_FD, false, &payload, 0, channel[1]);
	close(channel[1]);
	request(machine, VHOST_USER_SET_OWNER, false, &payload, 0, -1);
	payload.config = (struct vhost_user_config){ .size = 8 };
	request(machine, VHOST_USER_GET_CONFIG, true, &payload,
		offsetof(struct vhost_user_config, bytes[8]), -1);
	ck_assert_uint_eq(payload.config.bytes[0], GUEST_CID);
	start_rings(machine);
}

void machine_pause(struct machine *machine)
{
	for (unsigned int i = 0; i < 2; i++)
		request_state(machine, VHOST_USER_SET_VRING_ENABLE, false, i, 0);
	for (unsigned int i = 0; i < 2; i++)
		machine->bases[i] =
			(uint16_t)request_state(machine, VHOST_USER_GET_VRING_BASE, true, i, 0);
}

void machine_resume(struct machine *machine)
{
	start_rings(machine);
}

void machine_restart_driver(struct machine *machine)
{
	driver_start(&machine->driver);
	guest_init(&machine->guest, &machine->driver);
	machine->bases[0] = machine->bases[1] = 0;
	start_rings(machine);
}

static void close_fds(struct machine *machine)
{
	machine->channel = close_fd(machine->channel);
	machine->error = close_fd(machine->error);
	for (unsigned int i = 0; i < 2; i++) {
		machine->kicks[i] = close_fd(machine->kicks[i]);
		machine->calls[i] = close_fd(machine->calls[i]);
	}
}

void machine_unplug(struct machine *machine)
{
	machine_pause(machine);
	close_fds(machine);
	driver_start(&machine->driver);
	guest_init(&machine->guest, &machine->driver);
}

void machine_disconnect(struct machine *machine)
{
	machine->socket = close_fd(machine->socket);
	close_fds(machine);
}

static void machine_turn(struct machine *machine)
{
	struct pollfd calls[2];
	const uint64_t one = 1;
	uint64_t count;

	if (machine->kicks[0] >= 0 && guest_turn(&machine->guest)) {
		for (unsigned int i = 0; i < 2; i++)
			ck_assert_int_eq(write(machine->kicks[i], &one, sizeof(one)), sizeof(one));
		return;
	}
	for (unsigned int i = 0; i < 2; i++)
		calls[i] = (struct pollfd){ .fd = machine->calls[i], .events = POLLIN };
	/* Clients have no wake-up of their own here. */
	poll(calls, 2, 1);
	for (unsigned int i = 0; i < 2; i++)
		if (calls[i].revents & POLLIN)
			ck_assert_int_eq(read(calls[i].fd, &count, sizeof(count)), sizeof(count));
}

void machine_run(struct machine *machine, bool (*condition)(struct machine *machine, void *context),
		 void *context)
{
	uint64_t end = monotonic_ns() + PATIENCE_NS;

	while (!condition(machine, context)) {
		if (monotonic_ns() > end) {
			machine_show_log(machine);
			ck_abort_msg("what the test waits for does not come");
		}
		machine_turn(machine);
	}
}

static bool time_over(struct machine *machine, void *context)
{
	(void)machine;
	return monotonic_ns() >= *(uint64_t *)context;
}

void machine_idle(struct machine *machine, unsigned int milliseconds)
{
	uint64_t end = monotonic_ns() + milliseconds * UINT64_C(1000000);

	machine_run(machine, time_over, &end);
}

/* --- clients --- */

void client_dial(struct client *client, struct machine *machine)
{
	*client = (struct client){ .fd = dial(machine->uds_path) };
	ck_assert_int_eq(fcntl(client->fd, F_SETFL, O_NONBLOCK), 0);
}

/* Reads the program's answer byte by byte: what follows is the guest's. */
struct answer {
	struct client *client;
	char line[32];
	size_t length;
};

static bool answer_there(struct machine *machine, void *context)
{
	struct answer *answer = context;
	ssize_t count;

	(void)machine;
	do {
		count = read(answer->client->fd, answer->line + answer->length, 1);
		if (count == 0 || (count < 0 && errno != EAGAIN)) {
			answer->client->ended = true;
			return true;
		}
		if (count < 0)
			return false;
		ck_assert_uint_lt(answer->length, sizeof(answer->line) - 1);
	} while (answer->line[answer->length++] != '\n');
	return true;
}

bool client_open(struct client *client, struct machine *machine, uint32_t port)
{
	struct answer answer = { .client = client };
	unsigned int host_port;
	char line[32];
	int length = snprintf(line, sizeof(line), "CONNECT %u\n", port);

	client_dial(client, machine);
	if (send(client->fd, line, (size_t)length, MSG_NOSIGNAL) != length)
		return false;
	machine_run(machine, answer_there, &answer);
	if (client->ended)
		return false;
	ck_assert_int_eq(sscanf(answer.line, "OK %u\n", &host_port), 1);
	return true;
}

void client_send(struct client *client, uint64_t end)
{
	uint8_t bytes[DRIVER_PAYLOAD];

	while (client->sent < end && !client->failed) {
		size_t length = (size_t)MIN(end - client->sent, (uint64_t)sizeof(bytes));
		ssize_t count;

		guest_pattern_fill(bytes, client->sent, length);
		count = send(client->fd, bytes, length, MSG_NOSIGNAL);
		if (count < 0 && errno == EAGAIN)
			return;
		if (count < 0)
			client->failed = true;
		else
			client->sent += (uint64_t)count;
	}
}

void client_receive(struct client *client, uint64_t end)
{
	uint8_t bytes[DRIVER_PAYLOAD];

	while (client->received < end && !client->ended) {
		size_t length = (size_t)MIN(end - client->received, (uint64_t)sizeof(bytes));
		ssize_t count = read(client->fd, bytes, length);

		if (count < 0 && errno == EAGAIN)
			return;
		if (count <= 0) {
			client->ended = true;
			client->failed = count < 0;
			return;
		}
		ck_assert(guest_pattern_check(bytes, client->received, (size_t)count));
		client->received += (uint64_t)count;
	}
}

void client_close(struct client *client)
{
	client->fd = close_fd(client->fd);
}
