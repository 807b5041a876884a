/* A test process, as the runner sees it: what it is connected by, how it ends, what it prints. */
#ifndef RUNNER_PROCESS_H
#define RUNNER_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "host/runner/child.h"

/* What of its output is kept. */
#define PROCESS_MAX_OUTPUT (16u << 20)

struct process {
	pid_t pid;
	/* Readable when it has ended. */
	int pidfd;
	/* Our end of the channel; -1: it is closed. */
	int channel;
	/* Its standard output and error come here; -1: closed. */
	int output;
	/* And go there. */
	int log;
	uint64_t output_size;
	/* Some of it was left out, and the log says so. */
	bool output_cut;
};

#define PROCESS_NONE \
	((struct process){ .pid = -1, .pidfd = -1, .channel = -1, .output = -1, .log = -1 })

/*
 * Forks the test process: a session of its own, the signals' defaults, no standard input, its
 * output in the file "output" of the log directory, TMPDIR in its environment. It gets SIGKILL when
 * this process ends, and gathers its own orphans while it lives. options->channel is ignored. The
 * caller is single-threaded and has nothing in the buffers of stdio.
 */
int process_start(struct process *process, const struct child_options *options,
		  const char *temporary, struct provium_error *error);

static inline bool process_running(const struct process *process)
{
	return process->pid >= 0;
}

/* SIGTERM: it says where it is, and ends, if it can. */
void process_ask_to_end(const struct process *process);

/* SIGKILL; its end comes later. */
void process_kill(const struct process *process);

/* Writes what has come of its output to its log, up to a limit; no more than some of it at a time.
 */
void process_take_output(struct process *process);

/*
 * When pidfd is readable: kills its process group, takes what is left of its output, and reaps.
 * end, at least 64 bytes: "exited with status 1", "was killed by signal 9 (Killed)". status: the
 * exit status, -1 where a signal ended it.
 */
void process_end(struct process *process, char *end, size_t size, int *status);

/* Closes the channel, when everything has been read. */
void process_close(struct process *process);

/* The first of this process's children that visit says no of; 0: none. */
pid_t process_each_child(bool (*visit)(void *user, pid_t pid), void *user);

/*
 * Kills and reaps the children of this process that known says no of: what test processes that have
 * ended left behind, which are ours to gather (PR_SET_CHILD_SUBREAPER). Waits for them, but not for
 * ever.
 */
void process_sweep(bool (*known)(void *user, pid_t pid), void *user);

#endif
