/* The kernel modules of the shim: chosen, in order, uncompressed, with a list of their names. */
#ifndef SHIM_LOAD_ORDER_H
#define SHIM_LOAD_ORDER_H

#include "shim/cpio.h"
#include "shim/tree.h"

/*
 * Adds the modules of modules_dir that vsock over virtio takes, and those that `wanted` names
 * (NULL-terminated, or NULL), with what they depend on; none where the kernel has all built in.
 */
int load_order_add(struct cpio *cpio, struct names *names, const char *modules_dir,
		   const char *const *wanted, struct provium_error *error);

#endif
