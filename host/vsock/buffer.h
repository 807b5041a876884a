/* Bytes from the guest that the host's end did not take at once: a ring with a fixed limit. */
#ifndef VSOCK_BUFFER_H
#define VSOCK_BUFFER_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

struct buffer {
	uint8_t *bytes;  /* only while it holds something */
	uint32_t limit;  /* size of bytes */
	uint32_t start;  /* the oldest byte */
	uint32_t length; /* how many it holds */
};

void buffer_init(struct buffer *buffer, uint32_t limit);

/* Forgets what it holds. */
void buffer_clear(struct buffer *buffer);

/* Appends all of iov: 0, -ENOMEM, or -ENOBUFS (and nothing appended) when that is past the limit.
 */
int buffer_append(struct buffer *buffer, const struct iovec *iov, unsigned int count);

/* Describes what it holds, in order; returns the number of elements: 0 to 2. */
unsigned int buffer_peek(const struct buffer *buffer, struct iovec iov[2]);

/* Drops the oldest length bytes. */
void buffer_consume(struct buffer *buffer, uint32_t length);

#endif
