/* Files without a name, and copies of large ones with holes. */
#ifndef LIB_FILE_COPY_H
#define LIB_FILE_COPY_H

#include <stdint.h>

#include "host/include/provium.h"
#include "host/lib/wait.h"

/*
 * A new file in the directory, for reading and writing, that no directory lists: it is gone with
 * the last process that has it open, however that ends. Returns the fd, or -1 and *error.
 */
int file_make_nameless(const char *directory, struct provium_error *error);

/*
 * Makes to, which is empty, a copy of the first size bytes of from: by sharing them where the file
 * system can (FICLONE), else of what is no hole. No file offset counts, and none of to's changes,
 * so several threads may copy from one fd. what: for messages. The limits are looked at now and
 * then.
 */
int file_copy(int from, int to, uint64_t size, const struct wait_limits *limits, const char *what,
	      struct provium_error *error);

#endif
