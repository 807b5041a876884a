/* QEMU's argument vector: a pure function of plain data, so that each option can be tested. */
#ifndef LIB_QEMU_ARGS_H
#define LIB_QEMU_ARGS_H

#include <stdint.h>

#include "host/include/provium.h"

/* The QMP ids of what is made for the vsock device. */
#define QEMU_VSOCK_DEVICE "vsock0"

struct qemu_options {
	/* argv[0]. */
	const char *program;
	/* KVM or TCG; AUTO has been decided by then. */
	enum provium_accel accel;
	/* Bytes; a multiple of 1 MiB. */
	uint64_t memory;
	unsigned int cpus;
	const char *kernel;
	const char *initrd;
	const char *command_line;
	const struct provium_disk *disks;
	size_t n_disks;

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
