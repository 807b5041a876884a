/*
 * <sys/stat.h> with the kernel's struct statx. musl has a struct of that name there since 1.2.5,
 * which ends before stx_mnt_id: here it gets another one. glibc's header has the kernel's.
 */
#ifndef AGENT_STATX_H
#define AGENT_STATX_H

#include <linux/stat.h>

/* Of a function's parameter glibc's header would be the first to speak. */
struct libc_statx;
#define statx           libc_statx
#define statx_timestamp libc_statx_timestamp
#include <sys/stat.h>
#undef statx
#undef statx_timestamp

#endif
