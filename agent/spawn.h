/* Starting a process, without a copy of the agent's memory. */
#ifndef AGENT_SPAWN_H
#define AGENT_SPAWN_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/resource.h>
#include <sys/types.h>

struct loop;
struct server_config;

/* With malloc's own bytes whole pages. */
#define SPAWN_STACK_SIZE (((size_t)16 << 10) - 16)

/*
 * What is done until a program runs, in this order; all after the clone in the new process. What
 * needs privileges comes before the credentials change, what that change undoes or decides after.
 */
enum spawn_step {
	SPAWN_PIPE,
	SPAWN_PTMX,
	SPAWN_PEER,
	SPAWN_TTY_OWNER,
	SPAWN_CGROUP,
	SPAWN_MKDIR,
	SPAWN_CGROUP_OPEN,
	SPAWN_CLONE,
	SPAWN_CLONE3,
	SPAWN_SETSID,
	SPAWN_FDS,
	SPAWN_TERMINAL,
	SPAWN_OOM_SCORE,
	SPAWN_CLOSE_RANGE,
	SPAWN_RLIMIT,
	SPAWN_NICE,
	SPAWN_GROUPS,
	SPAWN_GID,
	SPAWN_UID,
	SPAWN_PDEATHSIG,
	SPAWN_CHDIR,
	SPAWN_EXECVE,
};

/* The name of the step's system call. */
const char *spawn_step_name(enum spawn_step step);

struct spawn_rlimit {
	int resource;
	struct rlimit limit;
};

/* What a process is like, besides its program; all zeros: as the agent is. All is borrowed. */
struct spawn_attributes {
	bool has_uid;
	bool has_gid;
	/* Supplementary groups. */
	bool has_groups;
	uid_t uid;
	gid_t gid;
	const gid_t *groups;
	size_t group_count;
	/* Added to the niceness. */
	int nice;
	const struct spawn_rlimit *rlimits;
	size_t rlimit_count;
};

struct spawn_request {
	/* Where argv[0] is looked for: a PATH; NULL: it is a path itself. */
	const char *search_path;
	char *const *argv;
	char *const *envp;
	const char *cwd;
	const struct spawn_attributes *attributes;
	/* What become 0, 1 and 2; none of them is that already. Borrowed. */
	int fds[3];
	/* The directory of the cgroup that it is born into; -1: ours. */
	int cgroup;
	/* fds[0] is a terminal, to be the controlling one. */
	bool terminal;
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
 * The calling thread takes them on, and no other (POSIX would have all of them). False and errno;
 * *step says where.
 */
bool spawn_set_credentials(const struct spawn_attributes *attributes, enum spawn_step *step);

/*
 * For a new process of ours, while it is still root's: the OOM killer may take it as it may take
 * what init starts. value: config->oom_score_adj as text;
 * proc_fd: a procfs, -1: there is /proc. False and errno.
 */
bool spawn_restore_oom_score(const struct server_config *config, int proc_fd, const char *value);

/* A test has changed what this process does upon a signal. */
void spawn_signals_changed(void);

/*
 * Starts a program as leader of a new session and group, with default signal dispositions, an empty
 * signal mask and three fds. Returns when it runs; false where it could not be started, and there
 * is nothing to reap. The new process is killed when the calling thread ends.
 */
bool spawn(const struct loop *loop, const struct spawn_request *request,
	   struct spawn_result *result);

#endif
