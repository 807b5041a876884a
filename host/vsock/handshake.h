/*
 * The first line on a client's socket, as hybrid-vsock programs have it: "CONNECT PORT\n", answered
 * by "OK HOST_PORT\n" or by closing.
 */
#ifndef VSOCK_HANDSHAKE_H
#define VSOCK_HANDSHAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The longest request, "CONNECT 4294967295\n", has 19 bytes. */
#define HANDSHAKE_LINE_LIMIT 32u

/* Reads the port out of a line, which ends with its newline; false where it is none. */
bool handshake_parse(const char *line, size_t length, uint32_t *port);

#endif
