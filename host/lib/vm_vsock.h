/* The vsock device of a VM: the kernel's or ours. */
#ifndef LIB_VM_VSOCK_H
#define LIB_VM_VSOCK_H

#include <stdint.h>

#include "host/include/provium.h"

/* Linux' interface to /dev/vhost-vsock, so that it can be tested where there is none. */
struct vm_vhost_ops {
	/* An fd, or -1 and errno. */
	int (*open)(void);
	/* 0, or -1 and errno. */
	int (*set_cid)(int fd, uint64_t cid);
	/* A random number; 0, or -1 and errno. */
	int (*random)(uint32_t *number);
};

extern const struct vm_vhost_ops vm_vhost_linux;

/*
 * Opens the kernel's device and takes a CID that no other VM of this machine has: QEMU may then set
 * the same one. Returns the fd, or -1 and *error.
 */
int vm_vhost_open(const struct vm_vhost_ops *ops, uint32_t *cid, struct provium_error *error);

#endif
