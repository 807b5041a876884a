/* What the commands have in common that talk to an agent that runs already. */
#ifndef CLI_CONNECT_H
#define CLI_CONNECT_H

#include <stdint.h>

#include "host/cli/options/options.h"
#include "host/cli/options/values.h"
#include "host/cli/session/interrupts.h"
#include "host/cli/session/session.h"
#include "host/cli/session/writer.h"

struct connect_options {
	const char *address;
	const char *token;
	uint64_t timeout_ms;
};

/* The rows of their tables; field: a struct connect_options in the command's options struct. */
/* clang-format off */
#define TOKEN_OPTION_ROW(type, field)                                                             \
	{ .name = "token", .value = "FILE",                                                       \
	  .help = "A file with the 32 bytes that the agent asks for, which nobody else may "      \
		  "read. Not needed with the socket of provium run --socket, which has it "       \
		  "beside it.",                                                                   \
	  .completion = COMPLETE_FILE, .parse = parse_string,                                     \
	  .offset = offsetof(type, field.token) }

#define CONNECT_OPTION_ROWS(type, field)                                                          \
	{ .name = "connect", .value = "ADDRESS",                                                  \
	  .help = "The agent: vsock:CID[:PORT], or unix:PATH[:PORT] for the hybrid vsock socket " \
		  "of provium run --socket, Firecracker or Cloud Hypervisor. PORT is 5123 if not " \
		  "given. Required.",                                                             \
	  .completion = COMPLETE_FILE, .parse = parse_string, .required = true,                   \
	  .offset = offsetof(type, field.address) },                                              \
	TOKEN_OPTION_ROW(type, field),                                                            \
	{ .name = "timeout", .value = "SECONDS",                                                  \
	  .help = "Give up after so long, counted from when the agent has answered; the exit "    \
		  "status is then 124.",                                                          \
	  .parse = parse_seconds, .offset = offsetof(type, field.timeout_ms) }
/* clang-format on */

/*
 * Connects, within 10 s, and starts to hold signals back; they and the timeout end the calls on the
 * connection. The caller frees the connection and then calls command_end().
 */
int connect_agent(const struct connect_options *options, struct provium_connection **connection,
		  struct interrupts *interrupts, struct provium_error *error);

/* What a command does once it is connected; returns the exit status, or -1 and the error. */
typedef int (*connect_fn)(struct provium_connection *connection, const void *options,
			  char **operands, struct writer *writer, struct provium_error *error);

/*
 * Connects, has it done, and disconnects. What writer has failed with is the error then. Returns
 * the exit status, or -1 and the error for main() to tell.
 */
int connect_run(const struct connect_options *connect, connect_fn function, const void *options,
		char **operands, struct provium_error *error);

/*
 * Connects, runs the session, and disconnects. Returns the exit status, or -1 and the error for
 * main() to tell.
 */
int connect_session(const struct connect_options *options, const struct session_options *session,
		    struct provium_error *error);

#endif
