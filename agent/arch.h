/*
 * What depends on the architecture: the instruction that makes a system call, with nothing of a C
 * library around it.
 *
 * Both functions are written as a whole, so that a signal's handler can tell by the program counter
 * whether the instruction of arch_call is still to be made: from arch_call up to arch_call_done it
 * is.
 *
 * Conventions: syscall(2), "Architecture calling conventions".
 */
#ifndef AGENT_ARCH_H
#define AGENT_ARCH_H

#include <stdint.h>

/* Returns what the kernel returned. */
int64_t arch_call(uint64_t number, const uint64_t args[6]);
extern const char arch_call_done[];

/*
 * The same for a call that may return twice. The new process or thread never comes back: it parks,
 * until it is killed with the thread that made it, or is told that this has ended. It may share our
 * memory, and its stack may be anything, so it uses none.
 */
struct arch_parking {
	/*
	 * Becomes 1, and who waits for it is woken (futex(2)), as soon as whatever stops the new
	 * process can do no harm any more. Until then nothing else may happen to it: it holds the
	 * connections, and does not die with its parent.
	 */
	uint32_t parked;
	/*
	 * Whose value at the fork is no longer here, when it is woken, ends. The kernel would kill
	 * it, too (PR_SET_PDEATHSIG), but with the rights of the thread that ends, which may have
	 * given them up since.
	 */
	uint32_t life;
};

/*
 * parking is the address of one in memory that both have.
 *
 * PARK_OWN_FILES is added to it where the new process's fd table is its own. The agent's fds in it
 * (512 and above) are closed, or the peers of the connections would wait for their end in vain.
 */
#define PARK_OWN_FILES 1
int64_t arch_fork(uint64_t number, const uint64_t args[6], uintptr_t parking);

#endif
