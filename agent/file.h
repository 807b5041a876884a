/*
 * The file of a request: one that was opened for it, or an fd of the agent's that the request
 * names.
 *
 * Such an fd is borrowed. It is neither closed nor moved, and since others share what it refers to
 * it is not made non-blocking either: it is asked (poll(2)) before each transfer, and written no
 * more at a time than surely finds room. Only where somebody else takes the bytes between the two
 * can a call block.
 *
 * A pipe, a socket or a terminal can be waited for, and its fd may be closed meanwhile, which no
 * event loop bears: what is used of those is a duplicate. Not of a regular file, since closing any
 * fd of one drops the process's record locks (fcntl(2)).
 */
#ifndef AGENT_FILE_H
#define AGENT_FILE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "proto/codec.h"

struct file {
	int fd;
	bool borrowed;
	/* Has a size and a place (a regular file, a block device): known of a borrowed one. */
	bool plain;
	/* Transfers are at offset, and the fd's own position stays as it is. */
	bool placed;
	/* Where the next byte stands; counted from 0 in a pipe. */
	uint64_t offset;
};

/*
 * Opens path, close-on-exec and non-blocking, or where there is none borrows fd. flags: O_RDONLY or
 * O_WRONLY. NULL: done; otherwise the call that failed, with errno, and file->fd is -1.
 */
const char *file_open(struct file *file, const char *path, int fd, int flags);

/* Goes to the offset, or finds out where it is. As file_open. */
const char *file_seek(struct file *file, bool has_offset, uint64_t offset);

/* As read(2) and write(2); EAGAIN where one would block. */
ssize_t file_read(struct file *file, void *data, size_t size);
ssize_t file_write(struct file *file, const void *data, size_t size);

void file_close(struct file *file);

/* The path as a string, or where there is none "fd N": to be freed. NULL: no memory. */
char *file_subject(const ProtobufCBinaryData *path, int fd);

#endif
