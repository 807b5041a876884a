/*
 * A process group for a process and what it forks.
 *
 * When a group is orphaned in which a process is stopped, the kernel sends SIGHUP to all of it
 * (setpgid(2)). Tests stop processes that they have forked raw: server and workers, in one group,
 * would end each other.
 */
#ifndef AGENT_PROCESS_GROUP_H
#define AGENT_PROCESS_GROUP_H

/*
 * Moves the calling process to a group of its own. It does not lead it: then setsid(2) would fail,
 * which a test may want to call. Where the guest refuses, it stays.
 */
void process_group_leave(void);

#endif
