#include "buffer.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/util.h"
#include "host/lib/error.h"

/* Room for size more bytes and a NUL. */
static int reserve(struct buffer *buffer, size_t size)
{
	size_t needed = buffer->size + size + 1;
	size_t capacity;
	char *data;

	if (needed <= buffer->capacity)
		return 0;
	capacity = MAX(needed, MIN(buffer->capacity * 2, buffer->limit));
	data = realloc(buffer->data, capacity);
	if (!data)
		return -1;
	buffer->data = data;
	buffer->capacity = capacity;
	return 0;
}

void buffer_append(struct buffer *buffer, const void *data, size_t size)
{
	size_t left = buffer->limit - buffer->size;

	if (size > left) {
		buffer->overflown = true;
		size = left;
	}
	if (size == 0 || buffer->failed)
		return;
	if (reserve(buffer, size) < 0) {
		buffer->failed = true;
		return;
	}
	memcpy(buffer->data + buffer->size, data, size);
	buffer->size += size;
}

int buffer_take(struct buffer *buffer, struct provium_buffer *out, struct provium_error *error)
{
	if (buffer->failed || reserve(buffer, 0) < 0)
		return error_set(error, PROVIUM_HOST, ENOMEM, "%zu bytes", buffer->size);
	buffer->data[buffer->size] = '\0';
	out->size = buffer->size;
	out->data = steal_ptr(&buffer->data);
	buffer->size = 0;
	buffer->capacity = 0;
	return 0;
}

void buffer_finish(struct buffer *buffer)
{
	free(buffer->data);
	buffer->data = NULL;
}
