/*
 * The shim: the initramfs that a guest boots with (theory of operation in shim.c).
 *
 * Paths of options, errors and codes are as in provium.h. PROVIUM_INVALID: what an option names is
 * not what it should be; PROVIUM_HOST: a system call failed.
 */
#ifndef SHIM_SHIM_H
#define SHIM_SHIM_H

#include "host/include/provium.h"

/*
 * Writes the shim to fd, from its position on, which stays the caller's; what was written is
 * unspecified where it fails. provium_shim_write does so by way of a temporary file.
 */
int shim_write_fd(const struct provium_shim_options *options, int fd, struct provium_error *error);

#endif
