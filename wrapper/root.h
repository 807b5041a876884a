/*
 * A root on a disk, mounted as the kernel does it where there is no initramfs (init/do_mounts.c):
 * with one, which the shim is, it leaves that to it.
 */
#ifndef WRAPPER_ROOT_H
#define WRAPPER_ROOT_H

#include "common/boot.h"
#include "common/cmdline.h"

/* What the command line asks for, or NULL: nothing, or an initramfs's init is to see to it. */
const char *root_wanted(const struct cmdline *cmdline);

/*
 * Waits for the device, for a limited time, mounts it and makes it the root. 0, or an errno, and in
 * *step what failed; the root is the old one then.
 */
int root_enter(const struct cmdline *cmdline, const char *root, enum boot_step *step);

#endif
