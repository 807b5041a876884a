#include "guest.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/util.h"
#include "tests/bench/qemu.h"

#define TIMEOUT_MS 60000
#define GIB        (UINT64_C(1) << 30)

/* Removed by exit too, so that nothing is left where something fails. */
static struct guest *running;

static void clean_up(void)
{
	if (running)
		guest_end(running);
}

void die(const char *format, ...)
{
	va_list arguments;

	fputs("bench: ", stderr);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
	exit(EXIT_FAILURE);
}

void check(int result, const struct provium_error *error)
{
	if (result < 0)
		die("%s", error->message);
}

static void on_notice(void *user, const char *text)
{
	(void)user;
	fprintf(stderr, "bench: %s\n", text);
}

/* Returns how many. */
static size_t list_files(const struct guest_options *options, struct provium_file *files)
{
	const struct provium_file all[] = {
		{ .guest_path = GUEST_FLOOR, .host_path = options->floor_program },
		{ .guest_path = GUEST_TRUE, .host_path = options->true_program },
		{ .guest_path = GUEST_SKELETON, .host_path = options->skeleton_program },
		{ .guest_path = GUEST_PEER, .host_path = options->peer },
	};
	size_t count = 0;

	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		if (all[i].host_path)
			files[count++] = all[i];
	return count;
}

void guest_boot(struct guest *guest, const struct guest_options *options)
{
	struct provium_file files[4];
	const char *base = getenv("TMPDIR");
	char kernel[4096], modules[4096], qemu[96];
	struct provium_vm_options vm_options = {
		.kernel = kernel,
		.modules_dir = modules,
		.modules = options->modules,
		.files = files,
		.n_files = list_files(options, files),
		.no_userland = true,
		.memory = options->memory ? options->memory : GIB,
		.init = GUEST_FLOOR,
		.accel = options->accel,
		/* Raw streams go through the same device, whose socket is at a known place. */
		.vsock = PROVIUM_VSOCK_USER,
		.socket = guest->socket,
		.on_notice = on_notice,
	};
	struct provium_error error;
	uint64_t start;

	*guest = (struct guest){ .floor_fd = -1, .skeleton_fd = -1 };
	snprintf(guest->directory, sizeof(guest->directory), "%s/provium-bench-XXXXXX",
		 base ? base : "/tmp");
	if (!mkdtemp(guest->directory))
		die("cannot make a directory in %s: %s", base ? base : "/tmp", strerror(errno));
	snprintf(guest->socket, sizeof(guest->socket), "%s/vsock", guest->directory);
	snprintf(kernel, sizeof(kernel), "%s/vmlinuz", options->kernel);
	snprintf(modules, sizeof(modules), "%s/modules", options->kernel);
	if (!running)
		atexit(clean_up);
	running = guest;
	if (options->peer || options->plugin) {
		qemu_prepare(guest->directory, options, qemu, sizeof(qemu));
		vm_options.qemu = qemu;
	}

	start = monotonic_ns();
	check(provium_vm_boot(&vm_options, &guest->vm, &error), &error);
	guest->boot_ms = (double)(monotonic_ns() - start) / 1e6;
	guest->connection = provium_vm_connection(guest->vm);
}

void guest_end(struct guest *guest)
{
	running = NULL;
	close_fd(guest->floor_fd);
	close_fd(guest->skeleton_fd);
	provium_exec_free(guest->floor);
	provium_vm_free(guest->vm);
	qemu_remove(guest->directory);
	rmdir(guest->directory);
}

void guest_mount(const struct guest *guest, const char *fstype, const char *target)
{
	struct provium_error error;

	check(provium_mkdir(guest->connection, target, 0, true, TIMEOUT_MS, &error), &error);
	check(provium_mount(guest->connection, fstype, target, fstype, 0, NULL, TIMEOUT_MS, &error),
	      &error);
}

const char *guest_accel(const struct guest *guest)
{
	return provium_vm_accel(guest->vm) == PROVIUM_ACCEL_TCG ? "tcg" : "kvm";
}

void guest_describe(const struct guest *guest, json_t *document)
{
	const char *release = provium_connection_agent(guest->connection)->kernel_release;

	json_object_set_new(document, "kernel", json_string(release));
	json_object_set_new(document, "accel", json_string(guest_accel(guest)));
}

static void on_output(void *user, enum provium_stream stream, const void *data, size_t size)
{
	bool *listening = user;

	(void)stream;
	(void)data;
	*listening = size > 0;
}

static int on_job_output(void *user, enum provium_stream stream, uint64_t offset, const void *data,
			 size_t size)
{
	(void)user;
	(void)stream;
	(void)offset;
	(void)data;
	return size > 0;
}

int guest_start_job(struct provium_connection *connection, const char *const *argv)
{
	const struct provium_exec_options command = { .argv = argv };
	const struct provium_job_ref ref = { .name = argv[0] };
	const struct provium_job_options options = { .name = argv[0] };
	const struct provium_job_output_options follow = { .follow = true };
	struct provium_error error;
	int pid;

	check(provium_job_start(connection, &command, &options, TIMEOUT_MS, NULL, &pid, &error),
	      &error);
	if (provium_job_output(connection, &ref, &follow, on_job_output, NULL, TIMEOUT_MS, NULL,
			       &error) == 0 ||
	    error.code != PROVIUM_CANCELLED)
		die("%s has ended before it was ready", argv[0]);
	return pid;
}

static void write_all(int fd, const void *data, size_t size)
{
	const char *at = data;

	while (size > 0) {
		ssize_t count = write(fd, at, size);

		if (count <= 0)
			die("guest-floor: write: %s", strerror(errno));
		at += count;
		size -= (size_t)count;
	}
}

static void read_all(int fd, void *data, size_t size)
{
	char *at = data;

	while (size > 0) {
		ssize_t count = read(fd, at, size);

		if (count <= 0)
			die("guest-floor: read: %s", count ? strerror(errno) : "it has ended");
		at += count;
		size -= (size_t)count;
	}
}

void guest_hear(int fd)
{
	struct floor_request request;

	read_all(fd, &request, sizeof(request));
}

void guest_echo(int fd)
{
	struct floor_request request = { .kind = FLOOR_ECHO };

	write_all(fd, &request, sizeof(request));
	guest_hear(fd);
}

/* The hybrid vsock handshake: docs/protocol.md, "Transport". */
int guest_dial(const char *path, unsigned int port)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	cleanup_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char line[32];
	size_t length = 0;

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		die("%s: %s", path, strerror(errno));
	length = (size_t)snprintf(line, sizeof(line), "CONNECT %u\n", port);
	write_all(fd, line, length);
	for (length = 0; length < sizeof(line) - 1; length++) {
		read_all(fd, &line[length], 1);
		if (line[length] == '\n')
			break;
	}
	if (strncmp(line, "OK ", 3) != 0)
		die("%s: port %u was not connected", path, port);
	return steal_fd(&fd);
}

void guest_start_floor(struct guest *guest)
{
	char port[16];
	const char *const argv[] = { GUEST_FLOOR, port, GUEST_TRUE, NULL };
	bool listening = false;
	struct provium_exec_options options = {
		.argv = argv,
		.on_output = on_output,
		.user = &listening,
	};
	struct provium_error error;

	snprintf(port, sizeof(port), "%u", FLOOR_PORT);
	check(provium_exec_start(guest->connection, &options, &guest->floor, &error), &error);
	while (!listening) {
		if (provium_exec_done(guest->floor))
			die("guest-floor has ended before it listened");
		check(provium_connection_dispatch(guest->connection, TIMEOUT_MS, &error), &error);
	}
	guest->floor_fd = guest_dial(guest->socket, FLOOR_PORT);
}

void guest_start_skeleton(struct guest *guest)
{
	char port[16];
	const char *const argv[] = { GUEST_SKELETON, port, NULL };

	snprintf(port, sizeof(port), "%u", SKELETON_PORT);
	guest->skeleton_pid = guest_start_job(guest->connection, argv);
	guest->skeleton_fd = guest_dial(guest->socket, SKELETON_PORT);
}

void guest_ask_skeleton(const struct guest *guest)
{
	/* The length of what follows it; id: 7; data, of 56 bytes. */
	static const unsigned char message[64] = { 60, 0, 0, 0, 0x08, 7, 0x12, 56 };
	unsigned char reply[sizeof(message)];

	write_all(guest->skeleton_fd, message, sizeof(message));
	read_all(guest->skeleton_fd, reply, sizeof(reply));
	if (memcmp(reply, message, sizeof(message)) != 0)
		die("guest-skeleton answered something else");
}

uint64_t guest_exchange(const struct guest *guest, enum floor_kind kind, uint64_t size)
{
	static uint8_t bulk[KIB(256)];
	struct floor_request request = { .kind = kind, .number = size };
	bool out = kind == FLOOR_WRITE || kind == FLOOR_SINK;
	bool in = kind == FLOOR_READ || kind == FLOOR_OUTPUT || kind == FLOOR_SOURCE;

	write_all(guest->floor_fd, &request, sizeof(request));
	for (uint64_t done = 0; out && done < size; done += sizeof(bulk))
		write_all(guest->floor_fd, bulk, (size_t)MIN(size - done, (uint64_t)sizeof(bulk)));
	for (uint64_t done = 0; in && done < size; done += sizeof(bulk))
		read_all(guest->floor_fd, bulk, (size_t)MIN(size - done, (uint64_t)sizeof(bulk)));
	read_all(guest->floor_fd, &request, sizeof(request));
	return request.number;
}
