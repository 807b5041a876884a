/* Listening sockets. */
#ifndef AGENT_LISTEN_H
#define AGENT_LISTEN_H

#include <stdint.h>

/*
 * Both return a non-blocking listening socket among our own fds, or -1 and errno.
 *
 * listen_vsock takes connections to every CID that the guest has or will have. EAFNOSUPPORT: the
 * kernel has no AF_VSOCK.
 */
int listen_vsock(uint32_t port);

/* Makes the socket, which must not be there; mode 0600. */
int listen_unix(const char *path);

#endif
