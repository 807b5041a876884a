#include "host/cli/connect.h"

#define CONNECT_TIMEOUT_MS 10000

int connect_agent(const struct connect_options *options, struct provium_connection **connection,
		  struct interrupts *interrupts, struct provium_error *error)
{
	/* A signal that comes before there is anything to undo may end us right here. */
	if (provium_connect(options->address, CONNECT_TIMEOUT_MS, connection, error) < 0)
		return -1;
	if (interrupts_init(interrupts, options->timeout_ms, error) < 0) {
		provium_connection_free(*connection);
		return -1;
	}
	provium_connection_set_cancel_fd(*connection, interrupts->fd);
	return 0;
}
