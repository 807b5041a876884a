#include "tests/bench/peer.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/util.h"
#include "tests/bench/qemu.h"
#include "tests/bench/runs.h"

#define PIECE        MIB(1)
/* A piece in base64, and what is around it. */
#define ANSWER_SIZE  MIB(2)
/* Seconds. */
#define PEER_TIMEOUT 60

static int peer_fd = -1;

/* What the answer's "return" is; the caller's. */
static json_t *ask(const char *command)
{
	static char answer[ANSWER_SIZE];
	size_t length = strlen(command), filled = 0;
	json_error_t error;
	json_t *document, *value;

	if (write(peer_fd, command, length) != (ssize_t)length)
		die("qemu-guest-agent: %s", strerror(errno));
	do {
		ssize_t count = read(peer_fd, answer + filled, sizeof(answer) - filled);

		if (count <= 0)
			die("qemu-guest-agent: %s", count ? strerror(errno) : "no end of line");
		filled += (size_t)count;
	} while (answer[filled - 1] != '\n');
	document = json_loadb(answer, filled, 0, &error);
	value = json_incref(json_object_get(document, "return"));
	if (!value)
		die("qemu-guest-agent: %.200s", answer);
	json_decref(document);
	return value;
}

/* A field of the answer, or all of it where field is NULL. */
static json_int_t ask_number(const char *command, const char *field)
{
	json_t *answer = ask(command);
	json_t *value = field ? json_object_get(answer, field) : answer;
	json_int_t number = json_is_true(value) ? 1 : json_integer_value(value);

	json_decref(answer);
	return number;
}

struct port {
	char path[64];
};

static int look_at(void *user, const struct provium_dir_entry *entry)
{
	struct port *port = user;

	if (strncmp(entry->name, "vport", strlen("vport")) != 0)
		return 0;
	snprintf(port->path, sizeof(port->path), "/dev/%s", entry->name);
	return 1;
}

/* Its number is that of the device among all of virtio. */
static void find_port(struct port *port)
{
	struct provium_error error;

	if (provium_list_dir(guest.connection, "/dev", look_at, port, RUN_TIMEOUT_MS, &error) == 0)
		die("the guest has no port for qemu-guest-agent");
	if (error.code != PROVIUM_CANCELLED)
		check(-1, &error);
}

void peer_start(const char *directory)
{
	struct port port;
	static const char loader[] = GUEST_PEER "/ld-linux-x86-64.so.2";
	static const char program[] = GUEST_PEER "/qemu-ga";
	const char *const argv[] = { loader, "--library-path", GUEST_PEER, program,
				     "-m",   "virtio-serial",  "-p",       port.path,
				     "-t",   GUEST_PEER,       NULL };
	const struct provium_exec_options command = { .argv = argv };
	const struct timeval timeout = { .tv_sec = PEER_TIMEOUT };
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct provium_error error;

	find_port(&port);
	check(provium_job_start(guest.connection, &command, NULL, RUN_TIMEOUT_MS, NULL, NULL,
				&error),
	      &error);
	peer_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/" QEMU_PEER, directory);
	if (peer_fd < 0 || connect(peer_fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    setsockopt(peer_fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) < 0)
		die("%s: %s", address.sun_path, strerror(errno));
	peer_ping();
}

void peer_end(void)
{
	close(peer_fd);
	peer_fd = -1;
}

void peer_ping(void)
{
	json_decref(ask("{\"execute\":\"guest-ping\"}\n"));
}

void peer_exec(void)
{
	char status[96];
	json_int_t pid = ask_number(
		"{\"execute\":\"guest-exec\",\"arguments\":{\"path\":\"" GUEST_TRUE "\"}}\n",
		"pid");

	snprintf(status, sizeof(status),
		 "{\"execute\":\"guest-exec-status\",\"arguments\":{\"pid\":%" PRId64 "}}\n",
		 (int64_t)pid);
	while (!ask_number(status, "exited"))
		;
}

void peer_read(void)
{
	char command[128];
	uint64_t bytes = 0;
	json_int_t count;
	json_int_t handle = ask_number("{\"execute\":\"guest-file-open\",\"arguments\":{\"path\":"
				       "\"" FLOOR_FILE "\",\"mode\":\"r\"}}\n",
				       NULL);

	snprintf(command, sizeof(command),
		 "{\"execute\":\"guest-file-read\",\"arguments\":{\"handle\":%" PRId64
		 ",\"count\":%zu}}\n",
		 (int64_t)handle, PIECE);
	while ((count = ask_number(command, "count")) > 0)
		bytes += (uint64_t)count;
	if (bytes != bulk_bytes)
		die("qemu-guest-agent: %" PRIu64 " bytes of " FLOOR_FILE, bytes);
	snprintf(command, sizeof(command),
		 "{\"execute\":\"guest-file-close\",\"arguments\":{\"handle\":%" PRId64 "}}\n",
		 (int64_t)handle);
	json_decref(ask(command));
}
