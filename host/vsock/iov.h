/* Scattered buffers. */
#ifndef VSOCK_IOV_H
#define VSOCK_IOV_H

#include <stddef.h>
#include <sys/uio.h>

/* All of iov's bytes. */
size_t iov_length(const struct iovec *iov, unsigned int count);

/* Copies up to length bytes between a buffer and the beginning of iov; returns how many. */
size_t iov_read(void *buffer, size_t length, const struct iovec *iov, unsigned int count);
size_t iov_write(const struct iovec *iov, unsigned int count, const void *buffer, size_t length);

/*
 * Writes to to[] what of from[] follows its first skip bytes, and returns how many elements that
 * are: at most count, so to[] may be from[].
 */
unsigned int iov_skip(struct iovec *to, const struct iovec *from, unsigned int count, size_t skip);

/* Cuts iov to its first length bytes, which it must have; returns how many elements that are. */
unsigned int iov_cut(struct iovec *iov, unsigned int count, size_t length);

#endif
