/*
 * Names of system calls and errnos, as the kernel's own headers have them: those of the machine
 * that the library was built on. What a newer kernel has added has no name here, and its number
 * works all the same. Pure functions; strings are static.
 *
 * Included by provium.h.
 */
#ifndef PROVIUM_NAMES_H
#define PROVIUM_NAMES_H

#include "provium_core.h"

#ifdef __cplusplus
extern "C" {
#endif

#pragma GCC visibility push(default)

/*
 * arch is uname -m of the guest, as provium_agent has it: "x86_64", "aarch64", "riscv64". The names
 * are those of the macros __NR_* in its <asm/unistd.h>, without that beginning.
 */

/* The number of "openat"; -1: not known, or the architecture is not. */
int provium_syscall_number(const char *arch, const char *name);

/* The name of system call 257; NULL: not known, or the architecture is not. */
const char *provium_syscall_name(const char *arch, uint32_t number);

/* As <asm/errno.h> has them; they are the same on all of these architectures. */

/* "ENOENT" of 2; NULL: not known. A result of a system call is the negative. */
const char *provium_errno_name(int number);

/* 2 of "ENOENT", and 11 of "EWOULDBLOCK", which is another name of EAGAIN; 0: not known. */
int provium_errno_number(const char *name);

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif

#endif
