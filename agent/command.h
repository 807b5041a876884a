/*
 * A command: a child and its standard input. It belongs to an EXEC in flight or to a job.
 */
#ifndef AGENT_COMMAND_H
#define AGENT_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "agent/child.h"
#include "proto/codec.h"

struct session;

struct command {
	/* NULL: not started, or it has ended. */
	struct child *child;
	pid_t pid;
	/* Counts the bytes of input that are held for it and for those that it shares them with. */
	size_t *input_bytes;
	/* Its owner sees to output_limit: all output is told. */
	bool unlimited_output;
	bool takes_stdin;
	/* The end of its standard input has been sent. */
	bool stdin_ended;
	/* Bytes of input that have not been taken. */
	size_t stdin_unanswered;
};

/*
 * Starts it; input_bytes and unlimited_output have been set. False: the request has been answered
 * with an ERROR, whose text begins with name. The owner sets child to NULL when ended() comes; by
 * then all of its input is gone.
 */
bool command_start(struct command *command, struct session *session, uint32_t id, const char *name,
		   const Provium__V1__Exec *exec, const struct child_events *events, void *owner);

/* What a STDIN of this session brings, which is answered: when it has been taken, or at once. */
void command_stdin(struct command *command, struct session *session, uint32_t id,
		   const Provium__V1__Stdin *data);

#endif
