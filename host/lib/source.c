#include "source.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/limits.h"

/* Shorter holes are sent as zeros, and a piece between two holes has at least so many bytes. */
#define HOLE_MIN  KIB(64)
#define PIECE_MIN KIB(4)

/* Finds the next data: what is skipped goes to the piece, which is the last where none follow. */
static int source_skip(struct source *source, struct file_piece *piece)
{
	off_t data = lseek(source->fd, (off_t)source->at, SEEK_DATA);
	off_t end;

	if (data < 0 && errno == ENXIO) {
		struct stat status;

		if (fstat(source->fd, &status) < 0)
			return -1;
		/* It may have become shorter. */
		if ((uint64_t)status.st_size > source->at)
			piece->hole = (uint64_t)status.st_size - source->at;
		piece->last = true;
		return 0;
	}
	/* It knows nothing of holes. */
	if (data < 0 && errno == EINVAL) {
		source->data_end = UINT64_MAX;
		return 0;
	}
	if (data < 0)
		return -1;
	if ((uint64_t)data - source->at >= HOLE_MIN) {
		piece->hole = (uint64_t)data - source->at;
		source->at = (uint64_t)data;
	}
	end = lseek(source->fd, data, SEEK_HOLE);
	if (end < 0)
		return -1;
	source->data_end = MAX((uint64_t)end, source->at + PIECE_MIN);
	return 0;
}

int source_next(struct source *source, uint8_t *chunk, struct file_piece *piece)
{
	size_t wanted = PROVIUM_CHUNK;

	*piece = (struct file_piece){ .data = chunk };
	if (source->sparse) {
		if (source->at >= source->data_end && source_skip(source, piece) < 0)
			return -1;
		wanted = (size_t)MIN((uint64_t)wanted, source->data_end - source->at);
	}
	while (!piece->last && piece->size < wanted) {
		ssize_t count = pread(source->fd, chunk + piece->size, wanted - piece->size,
				      (off_t)source->at);

		if (count < 0 && errno == EINTR)
			continue;
		if (count < 0)
			return -1;
		piece->last = count == 0;
		piece->size += (size_t)count;
		source->at += (size_t)count;
	}
	return 0;
}
