#include "host/vsock/buffer.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/util.h"
#include "host/vsock/iov.h"

void buffer_init(struct buffer *buffer, uint32_t limit)
{
	*buffer = (struct buffer){ .limit = limit };
}

void buffer_clear(struct buffer *buffer)
{
	free(buffer->bytes);
	buffer_init(buffer, buffer->limit);
}

int buffer_append(struct buffer *buffer, const struct iovec *iov, unsigned int count)
{
	if (iov_length(iov, count) > buffer->limit - buffer->length)
		return -ENOBUFS;

	if (!buffer->bytes) {
		buffer->bytes = malloc(buffer->limit);
		if (!buffer->bytes)
			return -ENOMEM;
	}

	for (unsigned int i = 0; i < count; i++) {
		uint32_t length = (uint32_t)iov[i].iov_len;
		uint32_t end =
			(uint32_t)(((uint64_t)buffer->start + buffer->length) % buffer->limit);
		uint32_t first = MIN(length, buffer->limit - end);

		memcpy(buffer->bytes + end, iov[i].iov_base, first);
		memcpy(buffer->bytes, (const uint8_t *)iov[i].iov_base + first, length - first);
		buffer->length += length;
	}
	return 0;
}

unsigned int buffer_peek(const struct buffer *buffer, struct iovec iov[2])
{
	uint32_t first = MIN(buffer->length, buffer->limit - buffer->start);

	if (buffer->length == 0)
		return 0;
	iov[0] = (struct iovec){ .iov_base = buffer->bytes + buffer->start, .iov_len = first };
	iov[1] = (struct iovec){ .iov_base = buffer->bytes, .iov_len = buffer->length - first };
	return iov[1].iov_len > 0 ? 2 : 1;
}

void buffer_consume(struct buffer *buffer, uint32_t length)
{
	assert(length <= buffer->length);

	buffer->length -= length;
	buffer->start = (uint32_t)(((uint64_t)buffer->start + length) % buffer->limit);
	if (buffer->length == 0)
		buffer_clear(buffer);
}
