/* An EXEC request as what execve(2) takes. Pure: no I/O. */
#ifndef AGENT_EXEC_PLAN_H
#define AGENT_EXEC_PLAN_H

#include <stdbool.h>

#include "agent/check.h"
#include "agent/child.h"
#include "proto/codec.h"

/*
 * Longest PATH that is searched, bytes: a longer entry of the environment cannot be passed on, with
 * pages of 4 KiB (MAX_ARG_STRLEN, execve(2)).
 */
#define MAX_SEARCH_PATH ((size_t)128 << 10)

/* The PATH of a command whose environment has none. */
#define DEFAULT_PATH    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* As many as the kernel knows resources: each may be there once. */
#define MAX_RLIMITS     16

/*
 * The options point into the plan, to the inherited environment, and, for the numbers of groups, to
 * the request.
 */
struct exec_plan {
	/* What the next three are in. */
	void *memory;
	/* NULL-terminated. */
	char **argv;
	char **envp;
	char *cwd;
	struct spawn_rlimit rlimits[MAX_RLIMITS];
	/* Complete, but for whether a pipe brings standard input. */
	struct child_options options;
};

/*
 * Makes the plan of an Exec whose fields have been checked, over the environment `inherited`.
 * False: *failure says why not, and there is nothing to finish.
 */
bool exec_plan_make(struct exec_plan *plan, const Provium__V1__Exec *exec, char *const *inherited,
		    struct check_failure *failure);
void exec_plan_finish(struct exec_plan *plan);

#endif
