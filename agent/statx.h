/*
 * <sys/stat.h> with the kernel's struct statx. musl has a struct of that name there since 1.2.5,
 * which ends before stx_mnt_id: here it gets another one. glibc's header has the kernel's.
 */
#ifndef AGENT_STATX_H
#define AGENT_STATX_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include <linux/stat.h>

/* Of a function's parameter glibc's header would be the first to speak. */
struct libc_statx;
#define statx           libc_statx
#define statx_timestamp libc_statx_timestamp
#include <sys/stat.h>
#undef statx
#undef statx_timestamp

/*
 * What follows stx_mnt_id in the kernel's struct, up to Linux 6.16, and the bits of stx_mask that
 * say so: of headers of any age.
 */
struct statx_recent {
	uint32_t dio_mem_align;
	uint32_t dio_offset_align;
	uint64_t subvol;
	uint32_t atomic_write_unit_min;
	uint32_t atomic_write_unit_max;
	uint32_t atomic_write_segments_max;
	uint32_t dio_read_offset_align;
	uint32_t atomic_write_unit_max_opt;
	uint32_t spare;
};

#define STATX_RECENT          (offsetof(struct statx, stx_mnt_id) + sizeof(uint64_t))
#define RECENT_DIO_ALIGN      0x2000u
#define RECENT_SUBVOL         0x8000u
#define RECENT_WRITE_ATOMIC   0x10000u
#define RECENT_DIO_READ_ALIGN 0x20000u

static_assert(STATX_RECENT + sizeof(struct statx_recent) <= sizeof(struct statx),
	      "the kernel's struct has had room from the first on");

#endif
