/* Starting a process, without a copy of the agent's memory. */
#ifndef AGENT_SPAWN_H
#define AGENT_SPAWN_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct loop;

#define SPAWN_STACK_SIZE ((size_t)16 << 10)

/* What is done until a program runs, in this order; all after the clone in the new process. */
enum spawn_step {
	SPAWN_PIPE,
	SPAWN_CLONE,
	SPAWN_SETSID,
	SPAWN_PDEATHSIG,
	SPAWN_FDS,
	SPAWN_OOM_SCORE,
	SPAWN_CLOSE_RANGE,
	SPAWN_NOFILE,
	SPAWN_CHDIR,
	SPAWN_EXECVE,
};

/* The name of the step's system call. */
const char *spawn_step_name(enum spawn_step step);

struct spawn_request {
	/* Where argv[0] is looked for: a PATH; NULL: it is a path itself. */
	const char *search_path;
	char *const *argv;
	char *const *envp;
	const char *cwd;
	/* What become 0, 1 and 2; -1 for 0: the guest's /dev/null. Borrowed. */
	int fds[3];
};

struct spawn_result {
	pid_t pid;
	/* Owned by the caller; close-on-exec. */
	int pidfd;
	/* Where it failed, and why: an errno. */
	enum spawn_step step;
	int error;
};

/*
 * Starts a program as leader of a new session and group, with default signal dispositions, an empty
 * signal mask and three fds. Returns when it runs; false where it could not be started, and there
 * is nothing to reap. The new process is killed when the calling thread ends.
 */
bool spawn(const struct loop *loop, const struct spawn_request *request,
	   struct spawn_result *result);

#endif
