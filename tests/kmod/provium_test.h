/* SPDX-License-Identifier: (GPL-2.0 WITH Linux-syscall-note) OR MIT */
/*
 * What /dev/provium-test does on request. All calls return 0, or -1 and errno; EINVAL for what is
 * not described here. Pointers are in 64-bit fields, as in any ioctl that 32-bit programs share.
 */
#ifndef PROVIUM_TEST_H
#define PROVIUM_TEST_H

#include <linux/ioctl.h>
#include <linux/types.h>

/* What the kernel is made to report. */
enum provium_test_kind {
	/* WARN(): the call returns. */
	PROVIUM_TEST_WARN,
	/* These three end the process that calls, and leave the kernel tainted. */
	PROVIUM_TEST_BUG,
	PROVIUM_TEST_NULL,
	/* An address that is not canonical: a general protection fault on x86. */
	PROVIUM_TEST_GPF,
	/* A reference count that falls below zero. */
	PROVIUM_TEST_REFCOUNT,
	/* The whole machine. */
	PROVIUM_TEST_PANIC,
	PROVIUM_TEST_KINDS,
};

struct provium_test_splat {
	/* enum provium_test_kind */
	__u32 kind;
	/*
	 * Not 0: by a kernel thread, after so many milliseconds; the call has returned by then.
	 * EBUSY where one is to come already.
	 */
	__u32 later_ms;
};

/* One piece of what is gathered. */
struct provium_test_piece {
	/* Address of its bytes. */
	__u64 data;
	/* How many: at most 4096. */
	__u32 size;
	/* Out: the sum of its bytes. */
	__u32 sum;
};

/* A list of pieces, each of which is somewhere else, is put together at one place. */
struct provium_test_gather {
	/* Address of an array of struct provium_test_piece. */
	__u64 pieces;
	/* How many: at most 64. */
	__u32 count;
	/* 0 */
	__u32 flags;
	/* Where to, and how much fits there (ENOSPC where it does not). */
	__u64 target;
	__u64 target_size;
	/* Out: bytes written. */
	__u64 written;
};

#define PROVIUM_TEST_SPLAT  _IOW('p', 0x70, struct provium_test_splat)
#define PROVIUM_TEST_GATHER _IOWR('p', 0x71, struct provium_test_gather)
/*
 * An uninterruptible sleep (state D) of so many milliseconds; 0: until PROVIUM_TEST_WAKE. No signal
 * ends it.
 */
#define PROVIUM_TEST_SLEEP  _IOW('p', 0x72, __u32)
/* As SLEEP with 0, in a kernel thread "provium-hang". EBUSY where there is one. */
#define PROVIUM_TEST_HANG   _IO('p', 0x73)
/* Ends what SLEEP and HANG have begun. */
#define PROVIUM_TEST_WAKE   _IO('p', 0x74)
/* Keeps a processor for so many milliseconds, at most 60000, and lets nobody else have it. */
#define PROVIUM_TEST_SPIN   _IOW('p', 0x75, __u32)

#endif
