/* A process above the test runner, so that nothing is left should one of the two be killed. */
#ifndef RUNNER_GUARD_H
#define RUNNER_GUARD_H

#include "host/runner/directory.h"

struct guard_end {
	/* 0: it ended by itself, with status. */
	int signal;
	int status;
};

/*
 * Forks; in the child run's return value becomes the exit status. The caller, the guard, passes
 * SIGINT, SIGTERM and SIGHUP on that were sent to it alone (those of the terminal both have), waits
 * for the end of the child, and ends whatever that has left behind (and no child that was there
 * before). Also where it fails it removes the directory, as far as run_directory_finish does. Where
 * the guard is killed the child gets SIGTERM. Both have to be single-threaded. Blocks those
 * signals, and SIGQUIT, for good in the guard.
 */
int guard_run(struct run_directory *directory, int (*run)(void *user), void *user,
	      struct guard_end *end, struct provium_error *error);

#endif
