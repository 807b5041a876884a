/*
 * Jobs: commands that outlive the connection that started them.
 *
 * There is no handle: a job is the agent's, and any connection of the guest's can name it, also one
 * that is made after the host that started the job has died. Jobs end with the agent's process
 * (provium_agent, restarts). One that has finished is kept until provium_job_wait or
 * provium_job_kill has fetched its result, or until 256 others have finished after it.
 *
 * Included by provium.h.
 */
#ifndef PROVIUM_JOB_H
#define PROVIUM_JOB_H

#include "provium_exec.h"

#ifdef __cplusplus
extern "C" {
#endif

#pragma GCC visibility push(default)

/* Which job. */
struct provium_job_ref {
	/* As provium_job_start gave it; never used again for another. */
	uint64_t number;
	/* Not NULL: the job of this name, whatever number says. */
	const char *name;
};

struct provium_job_options {
	/* To find it by; unique among the jobs that are kept (PROVIUM_BUSY). NULL: none. */
	const char *name;
	/* Bytes of output kept per stream: the newest. 0: 1 MiB. */
	uint64_t keep;
};

/*
 * Starts a job; that the program cannot be executed is told here. on_output and user of the command
 * are not used. options may be NULL. *number, and *pid of its first process in the guest, may be
 * NULL. Whether a call that timed out has started it provium_job_list tells.
 */
int provium_job_start(struct provium_connection *connection,
		      const struct provium_exec_options *command,
		      const struct provium_job_options *options, int timeout_ms, uint64_t *number,
		      int *pid, struct provium_error *error);

/*
 * Called with a piece of a job's output; offset is that of its first byte, counted from the
 * stream's start. One beyond the end of the piece before it shows that the bytes between are no
 * longer kept. Not 0 ends the call with PROVIUM_CANCELLED. Must not call functions on the same
 * connection.
 */
typedef int (*provium_job_output_fn)(void *user, enum provium_stream stream, uint64_t offset,
				     const void *data, size_t size);

struct provium_job_result {
	uint64_t number;
	/* It has not ended; result says nothing. */
	bool running;
	struct provium_exec_result result;
	/* Bytes of output that were not kept. */
	uint64_t stdout_dropped;
	uint64_t stderr_dropped;
};

struct provium_job_wait_options {
	/* Milliseconds that it may take to end; PROVIUM_FOREVER: as long as it takes. 0: ask only.
	 */
	int wait_ms;
	/* Takes what is kept of its output, if it has ended, before the call returns. NULL: none.
	 */
	provium_job_output_fn on_output;
	void *user;
};

/*
 * Waits for a job's end. One that still runs after wait_ms is no failure: result->running. One that
 * has ended is forgotten by this call. timeout_ms, the cancel fd and on_output end the call alone;
 * the job goes on and stays. options may be NULL.
 */
int provium_job_wait(struct provium_connection *connection, const struct provium_job_ref *ref,
		     const struct provium_job_wait_options *options, int timeout_ms,
		     struct provium_job_result *result, struct provium_error *error);

struct provium_job_kill_options {
	/* Sent first, a number of the guest's architecture. 0: SIGKILL at once. */
	int signal;
	/* Milliseconds from that signal to SIGKILL. Only with signal. */
	uint64_t grace_ms;
	/* As in provium_job_wait_options. */
	provium_job_output_fn on_output;
	void *user;
};

/* Kills a job with all it has started, and waits for its end as provium_job_wait does. */
int provium_job_kill(struct provium_connection *connection, const struct provium_job_ref *ref,
		     const struct provium_job_kill_options *options, int timeout_ms,
		     struct provium_job_result *result, struct provium_error *error);

struct provium_job_entry {
	uint64_t number;
	/* NULL: it has none. */
	const char *name;
	int pid;
	bool running;
	/* How it ended, where it does not run. */
	struct provium_exec_result result;
	/* Written so far. */
	uint64_t stdout_bytes;
	uint64_t stderr_bytes;
};

struct provium_jobs {
	struct provium_job_entry *entries;
	size_t count;
};

/* All jobs of the agent. Release with provium_job_list_free. */
int provium_job_list(struct provium_connection *connection, int timeout_ms,
		     struct provium_jobs *jobs, struct provium_error *error);
void provium_job_list_free(struct provium_jobs *jobs);

struct provium_job_output_options {
	/* PROVIUM_STDOUT or PROVIUM_STDERR. 0: both. */
	enum provium_stream stream;
	/* From the stream's start; what is no longer kept is left out. 0: all that is kept. */
	uint64_t offset;
	/* Go on with what it writes until it ends. */
	bool follow;
};

/*
 * Reads what is kept of a job's output; nothing is forgotten by it. options may be NULL. *bytes:
 * how many; may be NULL.
 */
int provium_job_output(struct provium_connection *connection, const struct provium_job_ref *ref,
		       const struct provium_job_output_options *options,
		       provium_job_output_fn on_output, void *user, int timeout_ms, uint64_t *bytes,
		       struct provium_error *error);

/*
 * Appends to the standard input of a job that was started with PROVIUM_STDIN_STREAM, and waits
 * until the job has taken it. Fails with PROVIUM_GUEST and EPIPE where it has closed it, and with
 * PROVIUM_LIMIT where others have more than 256 KiB under way to it.
 */
int provium_job_write(struct provium_connection *connection, const struct provium_job_ref *ref,
		      const void *data, size_t size, int timeout_ms, struct provium_error *error);

/* End of file, after what was written. */
int provium_job_close_stdin(struct provium_connection *connection,
			    const struct provium_job_ref *ref, int timeout_ms,
			    struct provium_error *error);

/* As provium_exec_signal and provium_exec_resize. */
int provium_job_signal(struct provium_connection *connection, const struct provium_job_ref *ref,
		       int signal, bool group, int timeout_ms, struct provium_error *error);
int provium_job_resize(struct provium_connection *connection, const struct provium_job_ref *ref,
		       unsigned int rows, unsigned int cols, int timeout_ms,
		       struct provium_error *error);

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif

#endif
