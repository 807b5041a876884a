#include <string.h>

#include "host/lib/address.h"
#include "host/lib/connection.h"
#include "host/lib/token.h"

int provium_connect_fd_token(int fd, const unsigned char *token, int timeout_ms,
			     struct provium_connection **connection, struct provium_error *error)
{
	struct wait_limits limits = { .deadline = deadline_after(timeout_ms), .cancel_fd = -1 };

	return connection_open(fd, token, &limits, connection, error);
}

int provium_connect_fd(int fd, int timeout_ms, struct provium_connection **connection,
		       struct provium_error *error)
{
	return provium_connect_fd_token(fd, NULL, timeout_ms, connection, error);
}

static int dial(const struct address *address, const char *text, const uint8_t *token,
		int timeout_ms, struct provium_connection **connection, struct provium_error *error)
{
	struct wait_limits limits = { .deadline = deadline_after(timeout_ms), .cancel_fd = -1 };
	int fd;

	if (address_connect(address, &limits, &fd, error) < 0)
		return -1;
	if (connection_open(fd, token, &limits, connection, error) < 0) {
		error_prefix(error, "%s", text);
		return -1;
	}
	connection_set_address(*connection, address);
	return 0;
}

int provium_connect_token(const char *address, const unsigned char *token, int timeout_ms,
			  struct provium_connection **connection, struct provium_error *error)
{
	uint8_t found[PROVIUM_TOKEN_SIZE];
	struct address parsed;
	int result;

	*connection = NULL;
	if (address_parse(address, &parsed, error) < 0)
		return -1;
	if (token)
		return dial(&parsed, address, token, timeout_ms, connection, error);
	result = token_find(&parsed, found, error);
	if (result >= 0)
		result = dial(&parsed, address, result ? found : NULL, timeout_ms, connection,
			      error);
	explicit_bzero(found, sizeof(found));
	return result;
}

int provium_connect(const char *address, int timeout_ms, struct provium_connection **connection,
		    struct provium_error *error)
{
	return provium_connect_token(address, NULL, timeout_ms, connection, error);
}
