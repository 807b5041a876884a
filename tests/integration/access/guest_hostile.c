/*
 * guest-hostile [PORT]: what a host reaches where an agent should be. It listens on vsock port 5123
 * and those behind it, each with a trick of its own, and serves each connection in a process.
 *
 * Messages are put together by hand: no agent's code could be made to send them.
 */
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/vm_sockets.h>

#define FIRST_PORT 5123u

/* Bodies of Message, and fields: numbers of proto/provium.proto. */
enum {
	READY = 128,
	EXEC_RESULT = 129,
	ERROR = 131,
	PONG = 137,
	OUTPUT = 139,
	KERNEL_EVENT = 149,
};

struct bytes {
	uint8_t data[8192];
	size_t size;
};

static void put_varint(struct bytes *to, uint64_t value)
{
	for (; value > 127; value >>= 7)
		to->data[to->size++] = (uint8_t)(value | 0x80);
	to->data[to->size++] = (uint8_t)value;
}

static void put_number(struct bytes *to, unsigned int field, uint64_t value)
{
	put_varint(to, field << 3);
	put_varint(to, value);
}

static void put_data(struct bytes *to, unsigned int field, const void *data, size_t size)
{
	put_varint(to, field << 3 | 2);
	put_varint(to, size);
	memcpy(to->data + to->size, data, size);
	to->size += size;
}

static void put_text(struct bytes *to, unsigned int field, const char *text)
{
	put_data(to, field, text, strlen(text));
}

static bool send_all(int fd, const void *data, size_t size)
{
	const uint8_t *at = data;

	while (size > 0) {
		ssize_t count = send(fd, at, size, MSG_NOSIGNAL);

		if (count <= 0)
			return false;
		at += count;
		size -= (size_t)count;
	}
	return true;
}

/* False: the host has gone. */
static bool send_message(int fd, uint32_t id, unsigned int body, const struct bytes *fields)
{
	struct bytes message = { .size = 4 };
	uint32_t length;

	put_number(&message, 16, id);
	put_data(&message, body, fields->data, fields->size);
	length = (uint32_t)message.size - 4;
	for (int i = 0; i < 4; i++)
		message.data[i] = (uint8_t)(length >> 8 * i);
	return send_all(fd, message.data, message.size);
}

static void send_ready(int fd, uint32_t id, bool auth)
{
	struct bytes ready = { 0 };

	put_number(&ready, 1, 1);
	put_number(&ready, 2, 0);
	put_text(&ready, 3, "0.1.0");
	put_text(&ready, 4, "x86_64");
	put_text(&ready, 5, "hostile");
	put_number(&ready, 7, 1);
	put_number(&ready, 8, 16 << 20);
	if (auth)
		put_number(&ready, 13, 1);
	send_message(fd, id, READY, &ready);
}

/* The library's ids: of AUTH; other requests are counted from 1. */
#define AUTH_ID UINT32_MAX

/* Waits for a request. */
static void await_request(int fd)
{
	uint8_t request[4096];

	(void)!recv(fd, request, sizeof(request), 0);
}

static void garbage(int fd)
{
	uint32_t state = 1;
	uint8_t data[4096];

	do {
		for (size_t i = 0; i < sizeof(data); i++) {
			state = state * 1103515245u + 12345u;
			data[i] = (uint8_t)(state >> 16);
		}
	} while (send_all(fd, data, sizeof(data)));
}

static void oversized(int fd)
{
	static const uint8_t header[] = { 1, 0, 0, 1 };

	send_all(fd, header, sizeof(header));
	await_request(fd);
}

static void no_ready(int fd)
{
	struct bytes pong = { 0 };

	send_message(fd, 1, PONG, &pong);
	await_request(fd);
}

/* In order, and without end. */
static void endless_output(int fd)
{
	static const uint8_t data[4096];
	struct bytes output;
	uint64_t offset = 0;

	send_ready(fd, 0, false);
	await_request(fd);
	do {
		output.size = 0;
		put_number(&output, 1, 1);
		put_number(&output, 3, offset);
		put_data(&output, 2, data, sizeof(data));
		offset += sizeof(data);
	} while (send_message(fd, 1, OUTPUT, &output));
}

/* Output of a command of which the host knows nothing. */
static void wrong_ids(int fd)
{
	static const uint8_t data[4096];
	struct bytes output = { 0 };
	uint32_t id = 1000;

	send_ready(fd, 0, false);
	await_request(fd);
	put_number(&output, 1, 1);
	put_number(&output, 3, 0);
	put_data(&output, 2, data, sizeof(data));
	while (send_message(fd, id++, OUTPUT, &output))
		;
}

static void endless_events(int fd)
{
	static char text[4096];
	struct bytes event;
	uint64_t number = 1;

	memset(text, 'x', sizeof(text));
	send_ready(fd, 0, false);
	await_request(fd);
	do {
		event.size = 0;
		put_number(&event, 1, number++);
		put_number(&event, 2, 1);
		put_data(&event, 3, text, sizeof(text));
		for (unsigned int field = 4; field <= 6; field++)
			put_number(&event, field, 0);
	} while (send_message(fd, 0, KERNEL_EVENT, &event));
}

/* A result that tells of output that never came. */
static void false_result(int fd)
{
	struct bytes result = { 0 }, usage = { 0 };

	send_ready(fd, 0, false);
	await_request(fd);
	for (unsigned int field = 1; field <= 7; field++)
		put_number(&usage, field, 0);
	put_number(&result, 1, 1);
	put_number(&result, 2, 0);
	put_number(&result, 5, 7);
	put_number(&result, 6, 1);
	put_data(&result, 7, usage.data, usage.size);
	put_number(&result, 8, 1000000);
	put_number(&result, 9, 0);
	send_message(fd, 1, EXEC_RESULT, &result);
	await_request(fd);
}

static void auth_again(int fd)
{
	send_ready(fd, 0, true);
	await_request(fd);
	send_ready(fd, AUTH_ID, true);
	await_request(fd);
}

static void auth_refused(int fd)
{
	struct bytes error = { 0 };

	send_ready(fd, 0, true);
	await_request(fd);
	put_number(&error, 1, 8);
	/* What a terminal might obey. */
	put_text(&error, 5, "\x1b[2Jnot for you");
	send_message(fd, AUTH_ID, ERROR, &error);
	await_request(fd);
}

static void (*const tricks[])(int fd) = {
	garbage,        oversized,    no_ready,   endless_output, wrong_ids,
	endless_events, false_result, auth_again, auth_refused,
};
#define TRICKS (sizeof(tricks) / sizeof(tricks[0]))

static int listen_at(uint32_t port)
{
	struct sockaddr_vm address = {
		.svm_family = AF_VSOCK,
		.svm_cid = VMADDR_CID_ANY,
		.svm_port = port,
	};
	int fd = socket(AF_VSOCK, SOCK_STREAM, 0);

	/* The agent that was killed for us may still have it. */
	while (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		usleep(10000);
	listen(fd, 8);
	return fd;
}

/* Also as PID 1, which must not end. */
int main(int argc, char **argv)
{
	uint32_t first = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : FIRST_PORT;
	struct pollfd listeners[TRICKS];

	signal(SIGCHLD, SIG_IGN);
	for (size_t i = 0; i < TRICKS; i++)
		listeners[i] = (struct pollfd){
			.fd = listen_at(first + (uint32_t)i),
			.events = POLLIN,
		};
	for (;;) {
		poll(listeners, TRICKS, -1);
		for (size_t i = 0; i < TRICKS; i++) {
			int fd = listeners[i].revents ? accept(listeners[i].fd, NULL, NULL) : -1;

			if (fd < 0)
				continue;
			/* One that sends without end keeps the others from nothing. */
			if (fork() == 0) {
				tricks[i](fd);
				_exit(0);
			}
			close(fd);
		}
	}
}
