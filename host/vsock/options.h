/* The command line. */
#ifndef VSOCK_OPTIONS_H
#define VSOCK_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "host/vsock/log.h"

struct options {
	uint64_t guest_cid;
	const char *socket_path; /* or NULL: socket_fd */
	int socket_fd;           /* or -1: socket_path */
	const char *uds_path;
	int life_fd; /* or -1 */
	bool reconnect;
	enum log_level log_level;
};

/*
 * Reads the command line: -1 to go on, else the exit status, when everything has been said (help,
 * version, or what is wrong, on standard error).
 */
int options_parse(struct options *options, int argc, char **argv);

#endif
