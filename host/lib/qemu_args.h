/* QEMU's argument vector: a pure function of plain data, so that each option can be tested. */
#ifndef LIB_QEMU_ARGS_H
#define LIB_QEMU_ARGS_H

#include <stdbool.h>
#include <stdint.h>

#include "host/include/provium.h"

/* The ids of what is made for the vsock device: it, its socket, and the port that it is plugged
 * into. */
#define QEMU_VSOCK_DEVICE  "vsock0"
#define QEMU_VSOCK_CHARDEV "vsock"
#define QEMU_VSOCK_PORT    "port0"

/* What lies beneath an image, as its own name for that may be relative to where it was. */
struct qemu_backing {
	/* NULL: what the image names, if it names any. */
	const char *path;
	const char *format;
};

struct qemu_options {
	/* argv[0]. */
	const char *program;
	/* KVM or TCG; AUTO has been decided by then. */
	enum provium_accel accel;
	enum provium_machine machine;
	/* Bytes; a multiple of 1 MiB. */
	uint64_t memory;
	/* A file of that size, which QEMU inherits. */
	int memory_fd;
	unsigned int cpus;
	/*
	 * A state is to be loaded by QMP, into a machine without a kernel; the vsock device is
	 * plugged afterwards.
	 */
	bool incoming;
	const char *kernel;
	const char *initrd;
	const char *command_line;
	const struct provium_disk *disks;
	size_t n_disks;
	/* One for each disk. NULL: none for all. */
	const struct qemu_backing *backings;

	/* Connected stream sockets that QEMU inherits. */
	int console_fd;
	int qmp_fd;

	/*
	 * USER: vsock_fd is a socket whose other end speaks vhost-user (back end). KERNEL: vsock_fd
	 * is an open /dev/vhost-vsock, and guest_cid the CID that it holds.
	 */
	enum provium_vsock vsock;
	int vsock_fd;
	uint32_t guest_cid;
};

/* NULL-terminated; released with qemu_args_free. NULL: no memory. */
char **qemu_args(const struct qemu_options *options);

/* NULL is allowed. */
void qemu_args_free(char **args);

#endif
