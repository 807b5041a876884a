/* What commands and jobs have in common on the wire: options as an Exec, an ExecResult as a result.
 */
#ifndef LIB_EXEC_MESSAGE_H
#define LIB_EXEC_MESSAGE_H

#include "host/lib/request.h"

/* message points into the rest, and into the options it was made of. */
struct exec_body {
	Provium__V1__Exec message;
	Provium__V1__Groups groups;
	Provium__V1__Pty pty;
	/* Owned. */
	ProtobufCBinaryData *argv;
	ProtobufCBinaryData *env;
	Provium__V1__Rlimit *rlimits;
	Provium__V1__Rlimit **rlimit_list;
};

/* Fails where the options contradict each other. To be finished in any case. */
int exec_body_init(struct exec_body *body, const struct provium_exec_options *options,
		   struct provium_error *error);
void exec_body_finish(struct exec_body *body);

/* The program's name or the shell's line, for messages. */
const char *exec_subject(const struct provium_exec_options *options);

/* -1: the agent broke the protocol with it (request_broken). */
int exec_result_take(struct request *request, const Provium__V1__ExecResult *message,
		     struct provium_exec_result *result);

/* Indexes what is kept for each of two streams; -1: there is no such stream (request_broken). */
int output_index(struct request *request, const Provium__V1__Output *output);

#endif
