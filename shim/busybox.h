/* A userland for a guest that is given none: the host's static busybox, and names for its applets.
 */
#ifndef SHIM_BUSYBOX_H
#define SHIM_BUSYBOX_H

#include <stdbool.h>

#include "shim/cpio.h"
#include "shim/tree.h"

int busybox_add(struct cpio *cpio, struct names *names, struct provium_error *error);

/* Whether fd is a program of this architecture that asks for no interpreter. */
bool busybox_is_static(int fd);

#endif
