/*
 * Whose root directory is ours.
 *
 * The real init moves to another root as a rule: by switch_root(8), which covers the root of all
 * others with its own and enters that, or by pivot_root(2), which takes all others along. What the
 * host asks for is to be done where init is. So before a request that names files or runs a program
 * the root of PID 1 is looked at, by one system call, and entered where it is another than before.
 *
 * A process of ours that a test has moved to a root or a mount namespace of its own stays there,
 * and so does one that may not look, having given its rights away.
 */
#ifndef AGENT_ROOT_H
#define AGENT_ROOT_H

#include <stdbool.h>
#include <stdint.h>

struct loop;

/* Two mounts of one directory are two roots, and so is one mount in two mount namespaces. */
struct root_id {
	uint64_t mount;
	uint64_t inode;
	uint32_t major;
	uint32_t minor;
};

/* What is the root now is that from which init is followed; of a worker, what its server had. */
void root_start(struct loop *loop);

/* Enters the root of PID 1, unless we have our own, or do not follow. */
void root_follow(struct loop *loop);

/* Whether we have our own, or do not follow. */
bool root_is_own(const struct loop *loop);

#endif
