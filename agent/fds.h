/*
 * The agent's own file descriptors live high, so that a test's first open() in the agent gives 3
 * and closing "all of mine" by number spares us.
 */
#ifndef AGENT_FDS_H
#define AGENT_FDS_H

#include <stdbool.h>
#include <stddef.h>

#define OWN_FD_MIN 512

/*
 * Moves fd to OWN_FD_MIN or above, close-on-exec, and returns it there. Where that cannot be (the
 * limit on open files is lower) fd stays where it is, close-on-exec. A negative fd is returned as
 * it is. errno survives.
 */
int fd_raise(int fd);

/*
 * For a process that shares its table of descriptors with the one that made it (CLONE_FILES): gets
 * a table of its own, with all that are a test's, and these alone of the agent's own. A negative
 * one is none. False and errno: the table is shared as before.
 */
bool fds_leave(const int *keep, size_t count);

#endif
