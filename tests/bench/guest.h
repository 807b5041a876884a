/* The guest that is measured: a VM of libprovium's, and a raw stream to guest-floor inside it. */
#ifndef TESTS_BENCH_GUEST_H
#define TESTS_BENCH_GUEST_H

#include <jansson.h>

#include "host/include/provium.h"
#include "tests/bench/floor.h"

struct guest_options {
	/* A directory with vmlinuz and modules/. */
	const char *kernel;
	/* On the host. */
	const char *floor_program;
	const char *true_program;
	/* NULL: it is not there. */
	const char *skeleton_program;
	/* The directory that scripts/guest-agent makes. NULL: the guest does without. */
	const char *peer;
	/* The plugin of count_plugin.c, which QEMU loads. NULL: none. */
	const char *plugin;
	enum provium_accel accel;
	/* Bytes; a tmpfs takes half of them. 0: a GiB. */
	uint64_t memory;
	/* More modules, NULL-terminated. NULL: none. */
	const char *const *modules;
};

struct guest {
	char directory[64];
	char socket[96];
	struct provium_vm *vm;
	struct provium_connection *connection;
	/* Milliseconds from the call until the agent answered. */
	double boot_ms;
	/* guest-floor, where it has been started. */
	struct provium_exec *floor;
	int floor_fd;
	/* guest-skeleton, where it has been started. */
	int skeleton_pid;
	int skeleton_fd;
};

/* Where the programs are in the guest. */
#define GUEST_FLOOR    "/bench/floor"
#define GUEST_TRUE     "/bench/true"
#define GUEST_SKELETON "/bench/skeleton"
#define GUEST_PEER     "/bench/peer"

/* Their vsock ports. */
#define FLOOR_PORT     6123
#define SKELETON_PORT  6124

/* All of these end the program with a message where something fails. */
void guest_boot(struct guest *guest, const struct guest_options *options);
void guest_start_floor(struct guest *guest);
void guest_start_skeleton(struct guest *guest);
void guest_end(struct guest *guest);

/* The guest's init mounts nothing. */
void guest_mount(const struct guest *guest, const char *fstype, const char *target);

/* "tcg" or "kvm". Static. */
const char *guest_accel(const struct guest *guest);

/* Writes down what a document's figures were measured in: kernel, accel. */
void guest_describe(const struct guest *guest, json_t *document);

/* Starts a job that is called as its program, and returns its pid once it has written something. */
int guest_start_job(struct provium_connection *connection, const char *const *argv);

/* Connects to a port of the guest by the socket of its provium-vsock. */
int guest_dial(const char *path, unsigned int port);

/* One exchange with guest-floor, `size` bytes of bulk data included; returns its answer's number.
 */
uint64_t guest_exchange(const struct guest *guest, enum floor_kind kind, uint64_t size);

/* One message of 64 bytes to guest-skeleton, which decodes and encodes it, and back. */
void guest_ask_skeleton(const struct guest *guest);

/* 64 bytes there and back, over a connection of guest_dial. */
void guest_echo(int fd);

/* 64 bytes that come unasked. */
void guest_hear(int fd);

void die(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

/* Where a call of the library failed. */
void check(int result, const struct provium_error *error);

#endif
