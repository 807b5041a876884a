#include "host/vsock/iov.h"

#include <stdint.h>
#include <string.h>

#include "common/util.h"

size_t iov_length(const struct iovec *iov, unsigned int count)
{
	size_t length = 0;

	for (unsigned int i = 0; i < count; i++)
		length += iov[i].iov_len;
	return length;
}

size_t iov_read(void *buffer, size_t length, const struct iovec *iov, unsigned int count)
{
	size_t done = 0;

	for (unsigned int i = 0; i < count && done < length; i++) {
		size_t part = MIN(iov[i].iov_len, length - done);

		memcpy((uint8_t *)buffer + done, iov[i].iov_base, part);
		done += part;
	}
	return done;
}

size_t iov_write(const struct iovec *iov, unsigned int count, const void *buffer, size_t length)
{
	size_t done = 0;

	for (unsigned int i = 0; i < count && done < length; i++) {
		size_t part = MIN(iov[i].iov_len, length - done);

		memcpy(iov[i].iov_base, (const uint8_t *)buffer + done, part);
		done += part;
	}
	return done;
}

unsigned int iov_skip(struct iovec *to, const struct iovec *from, unsigned int count, size_t skip)
{
	unsigned int kept = 0;

	for (unsigned int i = 0; i < count; i++) {
		struct iovec part = from[i];
		size_t cut = MIN(part.iov_len, skip);

		skip -= cut;
		if (cut == part.iov_len)
			continue;
		to[kept++] = (struct iovec){ .iov_base = (uint8_t *)part.iov_base + cut,
					     .iov_len = part.iov_len - cut };
	}
	return kept;
}

unsigned int iov_cut(struct iovec *iov, unsigned int count, size_t length)
{
	unsigned int kept = 0;

	while (kept < count && length > 0) {
		iov[kept].iov_len = MIN(iov[kept].iov_len, length);
		length -= iov[kept++].iov_len;
	}
	return kept;
}
