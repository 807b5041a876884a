#include "host/cli/session/connect.h"

#include <string.h>

#include "host/cli/session/exit_status.h"

#define CONNECT_TIMEOUT_MS 10000

static int connect_token(const struct connect_options *options,
			 struct provium_connection **connection, struct provium_error *error)
{
	unsigned char token[PROVIUM_TOKEN_SIZE];
	int result;

	if (options->token && provium_token_read(options->token, token, error) < 0)
		return -1;
	result = provium_connect_token(options->address, options->token ? token : NULL,
				       CONNECT_TIMEOUT_MS, connection, error);
	explicit_bzero(token, sizeof(token));
	return result;
}

int connect_agent(const struct connect_options *options, struct provium_connection **connection,
		  struct interrupts *interrupts, struct provium_error *error)
{
	/* A signal that comes before there is anything to undo may end us right here. */
	if (connect_token(options, connection, error) < 0)
		return -1;
	if (interrupts_init(interrupts, options->timeout_ms, error) < 0) {
		provium_connection_free(*connection);
		return -1;
	}
	provium_connection_set_cancel_fd(*connection, interrupts->fd);
	return 0;
}

int connect_run(const struct connect_options *connect, connect_fn function, const void *options,
		char **operands, struct provium_error *error)
{
	struct provium_connection *connection;
	struct interrupts interrupts;
	struct writer writer;
	bool broken_pipe = false;
	int status;

	if (connect_agent(connect, &connection, &interrupts, error) < 0)
		return -1;
	writer_init(&writer, &interrupts);
	status = function(connection, options, operands, &writer, error);
	if (writer_stopped(&writer))
		status = writer_error(&writer, &broken_pipe, error);
	provium_connection_free(connection);
	return command_end(status, error, broken_pipe, &interrupts);
}

int connect_session(const struct connect_options *options, const struct session_options *session,
		    struct provium_error *error)
{
	struct provium_connection *connection;
	struct provium_exec_result result;
	struct interrupts interrupts;
	bool broken_pipe;
	int status;

	if (connect_agent(options, &connection, &interrupts, error) < 0)
		return -1;
	status = session_run(connection, session, &interrupts, &result, &broken_pipe, error);
	if (status == 0)
		status = exit_status(&result);
	provium_connection_free(connection);
	return command_end(status, error, broken_pipe, &interrupts);
}
