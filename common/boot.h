/* What the wrapper and the agent, and the shim that carries both, agree on. */
#ifndef COMMON_BOOT_H
#define COMMON_BOOT_H

#include <stdint.h>

/* Where things are in the guest's first root. */
#define BOOT_WRAPPER         "/provium-wrapper"
#define BOOT_AGENT           "/provium-agent"
#define BOOT_MODULES_DIR     "/provium-modules"

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
 * The agent's ends of two pipes when it is started by the wrapper (--wrapper).
 *
 * BOOT_STATUS_FD, to be read: an agent that was given --init reads the first field of struct
 * boot_status; then end of file where the real init was executed (the wrapper's end is
 * close-on-exec), or the second. Without --init: end of file when the wrapper has set up what there
 * is to set up.
 *
 * BOOT_OPENED_FD, to be written, a byte each: when the agent has opened all files that it needs of
 * the first root, which the real init may then delete; and where it was given --hold, when the real
 * init may be executed. The end of file in their place says that there is no agent any more.
 */
#define BOOT_STATUS_FD       510
#define BOOT_OPENED_FD       511

struct boot_status {
	/* CLOCK_BOOTTIME, nanoseconds, just before execve(2). */
	uint64_t started_ns;
	/* errno of execve(2). */
	int32_t error;
} __attribute__((packed));

/* How a line begins on the console that says why no agent will ever answer. Launchers look for it.
 */
#define BOOT_FATAL_PREFIX "provium-agent: fatal: "

#endif
