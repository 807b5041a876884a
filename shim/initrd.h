/*
 * The user's initramfs: whether the kernel can read it. It is judged by what can be seen without
 * unpacking it: all headers of what is not compressed, and the beginning of what is.
 */
#ifndef SHIM_INITRD_H
#define SHIM_INITRD_H

#include <stdint.h>

#include "host/include/provium.h"

/* fd: a regular file of size bytes, whose position is changed. name is for the error. */
int initrd_check(int fd, const char *name, uint64_t size, struct provium_error *error);

#endif
