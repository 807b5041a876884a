/* Processes that are born into a cgroup. */
#ifndef AGENT_CLONE3_H
#define AGENT_CLONE3_H

/*
 * As clone(2), with flags that it knows, but into the cgroup whose directory is given. The stack
 * ends at a multiple of 16, and function does not return.
 */
int clone3_into(int cgroup, int (*function)(void *), void *stack_end, int flags, void *argument,
		int *pidfd);

#endif
