/* Where an agent is: the text form, and the way to a connected socket. */
#ifndef LIB_ADDRESS_H
#define LIB_ADDRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/un.h>

#include "host/include/provium.h"
#include "host/lib/wait.h"

enum address_kind {
	/* "vsock:CID[:PORT]": AF_VSOCK, vsock(7). */
	ADDRESS_VSOCK,
	/* "unix:PATH[:PORT]": a hybrid vsock socket, "CONNECT PORT\n" answered by "OK N\n". */
	ADDRESS_HYBRID,
	/* "agent-unix:PATH": the agent's own Unix socket. */
	ADDRESS_AGENT,
};

struct address {
	enum address_kind kind;
	uint32_t cid;
	uint32_t port;
	/* NUL-terminated; at most 107 bytes (unix(7)). */
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
};

/*
 * Pure. What stands after a PATH's last colon is the port only if it is a number: "unix:/a:b" has
 * the path "/a:b". PROVIUM_INVALID with a message that says what is wrong.
 */
int address_parse(const char *text, struct address *address, struct provium_error *error);

/*
 * Pure. Writes the text form, with the port where it has one, as address_parse takes it. False
 * where it has been cut; it never is at a size of PROVIUM_ADDRESS_SIZE.
 */
bool address_format(const struct address *address, char *text, size_t size);

/* Fills in the path of a Unix socket; PROVIUM_INVALID where it is empty or too long. */
int address_set_path(struct address *address, const char *path, struct provium_error *error);

/*
 * Connects, hybrid handshake included, within the limits. *fd is non-blocking and close-on-exec.
 * Where nobody listens at the port (yet), error->os_errno is ECONNREFUSED.
 */
int address_connect(const struct address *address, const struct wait_limits *limits, int *fd,
		    struct provium_error *error);

#endif
