/*
 * The agent's own file descriptors live high, so that a test's first open() in the agent gives 3
 * and closing "all of mine" by number spares us.
 */
#ifndef AGENT_FDS_H
#define AGENT_FDS_H

#define OWN_FD_MIN 512

/*
 * Moves fd to OWN_FD_MIN or above, close-on-exec, and returns it there. Where that cannot be (the
 * limit on open files is lower) fd stays where it is, close-on-exec. A negative fd is returned as
 * it is. errno survives.
 */
int fd_raise(int fd);

#endif
