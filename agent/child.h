/* A command's process, its pipes and its time limit. */
#ifndef AGENT_CHILD_H
#define AGENT_CHILD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "agent/spawn.h"
#include "common/list.h"

struct buffer;
struct child;
struct loop;

/*
 * Milliseconds after the leader's end that its pipes may stay open, for what is still on its way,
 * and its cgroup may take to die, until the result is told without them.
 */
#define CHILD_PIPES_HELD_MS 100

enum child_output {
	CHILD_STDOUT,
	CHILD_STDERR,
	CHILD_OUTPUTS,
};

/* Why it was killed by us. */
enum child_end {
	CHILD_NOT_KILLED,
	CHILD_TIMED_OUT,
	CHILD_CANCELLED,
};

struct child_result {
	pid_t pid;
	enum child_end end;
	/* As waitid(2): CLD_EXITED, CLD_KILLED or CLD_DUMPED, and the status or the signal. */
	int code;
	int status;
	uint64_t wall_ns;
	struct rusage usage;
	/* Written by the command; with a limit, some may not have been handed on. */
	uint64_t bytes[CHILD_OUTPUTS];
	bool truncated[CHILD_OUTPUTS];
	/* Something else still holds its pipes. */
	bool pipes_held;
};

/* A piece of standard input. The caller's until child_write, and again from done() on. */
struct child_input {
	struct list link;
	const uint8_t *data;
	size_t size;
	size_t written;
	/* The end of file follows. */
	bool eof;
	/* It has been written, or could not be: an errno. */
	void (*done)(struct child_input *input, int error);
};

/* What a child tells its owner. */
struct child_events {
	/* Whether output may be handed on now; if not, child_resume is to be called. */
	bool (*has_room)(void *owner);
	/* size bytes lie at data + BULK_GAP of the buffer, which is taken over. */
	void (*output)(void *owner, enum child_output which, uint64_t offset, struct buffer *buffer,
		       size_t size);
	/*
	 * All that is wanted of this output has been told, and something else still holds it: takes
	 * fd over, to read on. NULL: what is written later is dropped.
	 */
	void (*held)(void *owner, enum child_output which, int fd);
	/* It has ended and all of its output has been told. The last call; the child is gone. */
	void (*ended)(void *owner, const struct child_result *result);
};

struct child_options {
	/* As in struct spawn_request. */
	const char *search_path;
	char *const *argv;
	char *const *envp;
	const char *cwd;
	struct spawn_attributes attributes;
	/* Standard input is what child_write brings; else /dev/null. */
	bool stdin_pipe;
	bool merge_stderr;
	/*
	 * A pseudo-terminal of this size is its standard input, output and error. All output is
	 * CHILD_STDOUT; without stdin_pipe nothing is ever typed; the end of a piece of input is
	 * the terminal's key for it.
	 */
	bool terminal;
	unsigned int rows;
	unsigned int cols;
	/* In a cgroup of its own, of which nothing is left when it has ended. */
	bool cgroup;
	/* 0: none. */
	uint64_t timeout_ms;
	/* Bytes of each output; UINT64_MAX: no limit. */
	uint64_t output_limit;
};

/*
 * Starts a command. NULL: it could not be; *failure says what failed. Calls nothing of events
 * before it returns.
 */
struct child *child_start(struct loop *loop, const struct child_options *options,
			  const struct child_events *events, void *owner,
			  struct spawn_result *failure);

/*
 * Takes a piece of standard input; done() may come before this returns. False: its standard input
 * is closed, or was never a pipe.
 */
bool child_write(struct child *child, struct child_input *input);

/* It is a job, which is named where it is lost with its server. */
void child_is_job(struct child *child, uint64_t number, const void *name, size_t size);

/* There is room for output again. */
void child_resume(struct child *child);

/* Kills the command with what it has started; ended() comes later. */
void child_kill(struct child *child, enum child_end why);

/* Sends a signal to the leader, or to its group. 0 or an errno. */
int child_signal(struct child *child, int number, bool group);

/* Kills it and tells nothing any more: its owner is gone. The loop reaps it. */
void child_abandon(struct child *child);

/*
 * Takes over fd, an output that something else still holds. What is written there is dropped: to
 * close it would kill the writer.
 */
void child_drain(struct loop *loop, int fd);

/* Sets the size of its terminal. 0 or an errno; ENOTTY: it has none. */
int child_resize(struct child *child, unsigned int rows, unsigned int cols);

#endif
