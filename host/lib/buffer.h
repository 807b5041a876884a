/* Bytes that are collected in memory, up to a limit. */
#ifndef LIB_BUFFER_H
#define LIB_BUFFER_H

#include <stdbool.h>
#include <stddef.h>

#include "host/include/provium.h"

/* Zeroed but for the limit: empty. */
struct buffer {
	char *data;
	size_t size;
	size_t capacity;
	/* Bytes at most. */
	size_t limit;
	/* There was more than that. */
	bool overflown;
	/* There was no memory for it. */
	bool failed;
};

/* What goes beyond the limit, or beyond memory, is dropped, and the flag tells. */
void buffer_append(struct buffer *buffer, const void *data, size_t size);

/* Hands the memory to *out, with a NUL behind it. */
int buffer_take(struct buffer *buffer, struct provium_buffer *out, struct provium_error *error);

void buffer_finish(struct buffer *buffer);

#endif
