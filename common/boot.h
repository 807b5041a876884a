/* What the wrapper and the agent, and the shim that carries both, agree on. */
#ifndef COMMON_BOOT_H
#define COMMON_BOOT_H

#include <stdint.h>

/* Where things are in the guest's first root. */
#define BOOT_WRAPPER         "/provium-wrapper"
#define BOOT_AGENT           "/provium-agent"
#define BOOT_MODULES_DIR     "/provium-modules"

/*
 * The shim brings the agent packed: its size in bytes, 32 bits, little-endian, and behind it a
 * block of LZ4 (doc/lz4_Block_format.md of its sources) up to the file's end. Which compressions a
 * kernel unpacks by itself its configuration says, and of an image with another it loads nothing.
 * Where BOOT_AGENT is there as well, a user's own, this file has no use.
 */
#define BOOT_AGENT_PACKED    "/provium-agent.packed"
#define BOOT_PACKED_HEADER   4

/* The largest agent, bytes: while it is unpacked it is in memory twice. */
#define BOOT_AGENT_MAX       (1 << 20)

#define BOOT_TOKEN           "/provium-token"

/* In BOOT_MODULES_DIR: file names, one a line, in the order of loading. */
#define BOOT_MODULES_LIST    "list"
#define BOOT_MODULES_MAX     256
#define BOOT_MODULE_NAME_MAX 128

/*
 * The agent's argv[0]: systemd's killing spree when it switches root spares processes of root's
 * whose name begins with '@' (systemd.io, "Root Storage Daemons").
 */
#define BOOT_AGENT_ARGV0     "@provium-agent"

/*
 * What the wrapper passes to the agent (--wrapper): the agent's ends of two pipes, and a procfs.
 *
 * BOOT_STATUS_FD, to be read: an agent that was given --init reads the first field of struct
 * boot_status, and where it was given --hold one more before it that is 0, when init would be
 * executed; then end of file where the real init was executed (the wrapper's end is
 * close-on-exec), or the second. Without --init: end of file when the wrapper has set up what there
 * is to set up.
 *
 * BOOT_OPENED_FD, to be written, a byte each: when the agent has opened all files that it needs of
 * the first root, which the real init may then delete; where it was given --root, when it has
 * loaded its modules; and where it was given --hold BOOT_RELEASE, when the real init may be
 * executed. The end of file in their place says that there is no agent any more.
 */
#define BOOT_STATUS_FD       510
#define BOOT_OPENED_FD       511
#define BOOT_RELEASE         "r"

/* The directory of a procfs that is mounted nowhere; closed where the kernel has none. */
#define BOOT_PROC_FD         509

/* What keeps the real init from being executed. */
enum boot_step {
	BOOT_EXECVE,
	/* The device of provium.root= or root= does not come. */
	BOOT_ROOT_DEVICE,
	BOOT_ROOT_MOUNT,
};

struct boot_status {
	/* CLOCK_BOOTTIME, nanoseconds, just before execve(2). */
	uint64_t started_ns;
	/* An errno, and of what. */
	int32_t error;
	int32_t step;
} __attribute__((packed));

/* How a line begins on the console that says why no agent will ever answer. Launchers look for it.
 */
#define BOOT_FATAL_PREFIX "provium-agent: fatal: "

#endif
