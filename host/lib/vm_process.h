/*
 * The processes of a VM: started without a trace of ours in them, ended with us, watched by pidfd.
 */
#ifndef LIB_VM_PROCESS_H
#define LIB_VM_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "host/include/provium.h"
#include "host/lib/deadline.h"

struct vm_process {
	/* -1: not running, or reaped. */
	pid_t pid;
	/* Readable when it has ended. -1 as pid. */
	int pidfd;
	/* Set by vm_process_reap; as waitid's si_code and si_status. 0 where somebody else reaped.
	 */
	int code;
	int status;
};

#define VM_PROCESS_NONE ((struct vm_process){ .pid = -1, .pidfd = -1 })

/*
 * Starts argv[0], a path, in a session of its own (the terminal's signals are ours alone), with all
 * signals at their defaults, standard input from /dev/null, output and errors to output_fd, and of
 * our fds only those in keep, under their numbers. It gets SIGKILL when the calling thread ends.
 */
int vm_process_start(struct vm_process *process, char *const *argv, int output_fd, const int *keep,
		     size_t n_keep, struct provium_error *error);

static inline bool vm_process_running(const struct vm_process *process)
{
	return process->pid >= 0;
}

/* Whether it was reaped and ended otherwise than with status 0. */
bool vm_process_failed(const struct vm_process *process);

/* Waits for its end and reaps it. False: the deadline passed, and it runs on. */
bool vm_process_reap(struct vm_process *process, const struct deadline *deadline);

/* SIGKILL, and waits for its end (10 s at most). A process that is not running is left alone. */
void vm_process_kill(struct vm_process *process);

/* "exited with status 1", "was killed by signal 9 (Killed)": of a reaped process. */
void vm_process_describe_end(const struct vm_process *process, char *text, size_t size);

/*
 * Where the program is: itself if it holds a slash, else beside the running program (if asked) or
 * beside this library, then in PATH. path is PATH_MAX bytes. False: nowhere.
 */
bool vm_process_find(const char *program, bool beside, char *path);

#endif
