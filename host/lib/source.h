/* A regular file of the host in pieces, as WRITE_DATA takes them. */
#ifndef LIB_SOURCE_H
#define LIB_SOURCE_H

#include "host/lib/file.h"

struct source {
	int fd;
	bool sparse;
	uint64_t at;
	/* With sparse: where the data at hand end. */
	uint64_t data_end;
};

/*
 * The next piece, in chunk, of PROVIUM_CHUNK bytes; after the last there is none. -1: errno says
 * why.
 */
int source_next(struct source *source, uint8_t *chunk, struct file_piece *piece);

#endif
