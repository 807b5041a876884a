/* A userland for a guest that is given none: the host's static busybox, and names for its applets.
 */
#ifndef SHIM_BUSYBOX_H
#define SHIM_BUSYBOX_H

#include "shim/cpio.h"
#include "shim/tree.h"

int busybox_add(struct cpio *cpio, struct names *names, struct provium_error *error);

/* 1: fd is a program of this architecture that asks for no interpreter; 0: it is not; -1: errno. */
int busybox_is_static(int fd);

#endif
