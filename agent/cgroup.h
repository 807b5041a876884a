/* Groups of processes that the kernel kills as a whole: cgroups v2, one for each command. */
#ifndef AGENT_CGROUP_H
#define AGENT_CGROUP_H

#include <stdbool.h>

#include "agent/spawn.h"

struct cgroup;
struct loop;

/*
 * Makes an empty one, which the guest can see from then on. NULL: *failure says what failed. The
 * owner is told by emptied() when it is gone, after cgroup_end.
 */
struct cgroup *cgroup_create(struct loop *loop, void (*emptied)(void *owner), void *owner,
			     struct spawn_result *failure);

/* Its directory: where clone3(2) puts a child. */
int cgroup_fd(const struct cgroup *cgroup);

/* Kills all that is in it. */
void cgroup_kill(struct cgroup *cgroup);

/*
 * The same, and removes it when it is empty. True: it has been already, and emptied() is not
 * called.
 */
bool cgroup_end(struct cgroup *cgroup);

/* The same for one whose owner goes, and is told nothing. */
void cgroup_abandon(struct cgroup *cgroup);

/* At the end of the loop: waits a moment for all, which must have ended. */
void cgroups_finish(struct loop *loop);

#endif
