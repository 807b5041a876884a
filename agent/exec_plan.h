/* An EXEC request as what execve(2) takes. Pure: no I/O. */
#ifndef AGENT_EXEC_PLAN_H
#define AGENT_EXEC_PLAN_H

#include "proto/codec.h"

/*
 * Longest PATH that is searched, bytes: a longer entry of the environment cannot be passed on, with
 * pages of 4 KiB (MAX_ARG_STRLEN, execve(2)).
 */
#define MAX_SEARCH_PATH ((size_t)128 << 10)

/* The PATH of a command whose environment has none. */
#define DEFAULT_PATH    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* Everything is owned by the plan. */
struct exec_plan {
	/* NULL-terminated. */
	char **argv;
	char **envp;
	char *cwd;
	/* Where to look for argv[0]: a PATH; NULL: argv[0] is a path itself. Points into envp. */
	const char *search_path;
};

/*
 * Makes the plan of an Exec whose fields have been checked, over the environment `inherited`. NULL:
 * done; otherwise what is wrong, or "no memory" (static), and there is nothing to finish.
 */
const char *exec_plan_make(struct exec_plan *plan, const Provium__V1__Exec *exec,
			   char *const *inherited);
void exec_plan_finish(struct exec_plan *plan);

#endif
