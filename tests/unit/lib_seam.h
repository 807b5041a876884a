/*
 * A seam in the system calls of the library's connection and copies (meson.build gives send, recv
 * and write the names below): short counts, EINTR, a full disk. Faults are the test process's own;
 * a fake agent that was forked before has none.
 */
#ifndef TESTS_LIB_SEAM_H
#define TESTS_LIB_SEAM_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct seam {
	/* The most bytes that one send or recv moves. 0: no limit. */
	size_t most;
	/* Every second call fails with EINTR, or EAGAIN where the call is for a socket. */
	bool interrupt;
	bool again;
	unsigned int calls;
	/* send and recv fail with it. 0: they do not. */
	int send_errno;
	int recv_errno;
	/* write fails with it after so many bytes. 0: it does not. */
	int write_errno;
	size_t write_room;
};

extern struct seam seam;

ssize_t seam_send(int fd, const void *data, size_t size, int flags);
ssize_t seam_recv(int fd, void *data, size_t size, int flags);
ssize_t seam_write(int fd, const void *data, size_t size);

#endif
