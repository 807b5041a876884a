#include "common/cleanup.h"
#include "host/lib/address.h"
#include "host/lib/connection.h"

int provium_connect_fd(int fd, int timeout_ms, struct provium_connection **connection,
		       struct provium_error *error)
{
	struct wait_limits limits = { .deadline = deadline_after(timeout_ms), .cancel_fd = -1 };

	return connection_open(fd, &limits, connection, error);
}

int provium_connect(const char *address, int timeout_ms, struct provium_connection **connection,
		    struct provium_error *error)
{
	struct wait_limits limits = { .deadline = deadline_after(timeout_ms), .cancel_fd = -1 };
	struct address parsed;
	int fd;

	*connection = NULL;
	if (address_parse(address, &parsed, error) < 0 ||
	    address_connect(&parsed, &limits, &fd, error) < 0)
		return -1;
	if (connection_open(fd, &limits, connection, error) < 0) {
		error_prefix(error, "%s", address);
		return -1;
	}
	connection_set_address(*connection, &parsed);
	return 0;
}
