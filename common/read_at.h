/* Reading a part of a file. */
#ifndef COMMON_READ_AT_H
#define COMMON_READ_AT_H

#include <errno.h>
#include <sys/types.h>
#include <unistd.h>

/* As pread(2), of all size bytes: fewer are the file's end. -1: errno. */
static inline ssize_t read_at(int fd, void *data, size_t size, off_t offset)
{
	size_t got = 0;

	while (got < size) {
		ssize_t n = pread(fd, (char *)data + got, size - got, offset + (off_t)got);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		if (n == 0)
			break;
		got += (size_t)n;
	}
	return (ssize_t)got;
}

#endif
