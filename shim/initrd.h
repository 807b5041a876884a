/* The user's initramfs: whether the kernel can read it, and what it will make of the root. */
#ifndef SHIM_INITRD_H
#define SHIM_INITRD_H

#include <stdint.h>

#include "host/include/provium.h"
#include "shim/names.h"

/*
 * fd: a regular file of size bytes, whose position is changed. name is for the error.
 *
 * Without names (NULL) it is judged by what can be seen without unpacking it: all headers of what
 * is not compressed, and the beginning of what is. With names all of it is read, and its
 * directories and links are entered there.
 */
int initrd_check(int fd, const char *name, uint64_t size, struct names *names,
		 struct provium_error *error);

#endif
