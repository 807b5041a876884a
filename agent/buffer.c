#include "buffer.h"

#include <assert.h>
#include <stdlib.h>

#include "common/util.h"

/* A page with malloc's own bytes. */
#define SMALL_CAPACITY (KIB(4) - sizeof(struct buffer) - 16)
#define BULK_CAPACITY  ((size_t)BULK_GAP + PROVIUM_CHUNK)

/* Enough for a full queue: a stream to a slow reader needs no new memory. */
#define POOL_MAX       5

static struct buffer *buffer_create(size_t capacity)
{
	struct buffer *buffer = malloc(sizeof(*buffer) + capacity);

	if (!buffer)
		return NULL;
	list_init(&buffer->link);
	buffer->capacity = capacity;
	buffer->start = 0;
	buffer->end = 0;
	return buffer;
}

static void buffer_destroy(struct buffer *buffer)
{
	list_remove(&buffer->link);
	free(buffer);
}

static struct buffer *first_buffer(const struct list *list)
{
	return list_empty(list) ? NULL : container_of(list->next, struct buffer, link);
}

void buffer_pool_init(struct buffer_pool *pool)
{
	list_init(&pool->spare);
	pool->count = 0;
}

static void pool_shrink(struct buffer_pool *pool, unsigned int keep)
{
	while (pool->count > keep) {
		buffer_destroy(first_buffer(&pool->spare));
		pool->count--;
	}
}

void buffer_pool_finish(struct buffer_pool *pool)
{
	pool_shrink(pool, 0);
}

void buffer_pool_trim(struct buffer_pool *pool)
{
	pool_shrink(pool, 1);
}

struct buffer *buffer_pool_take(struct buffer_pool *pool)
{
	struct buffer *buffer = first_buffer(&pool->spare);

	if (buffer) {
		list_remove(&buffer->link);
		pool->count--;
	} else {
		buffer = buffer_create(BULK_CAPACITY);
		if (!buffer)
			return NULL;
	}
	buffer->start = BULK_GAP;
	buffer->end = BULK_GAP;
	return buffer;
}

void buffer_pool_give(struct buffer_pool *pool, struct buffer *buffer)
{
	if (!buffer)
		return;
	if (buffer->capacity != BULK_CAPACITY || pool->count == POOL_MAX) {
		buffer_destroy(buffer);
		return;
	}
	list_remove(&buffer->link);
	list_append(&pool->spare, &buffer->link);
	pool->count++;
}

void queue_init(struct queue *queue)
{
	list_init(&queue->buffers);
	queue->bytes = 0;
}

void queue_finish(struct queue *queue, struct buffer_pool *pool)
{
	struct buffer *buffer;

	while ((buffer = first_buffer(&queue->buffers)))
		buffer_pool_give(pool, buffer);
	queue->bytes = 0;
}

uint8_t *queue_reserve(struct queue *queue, size_t size)
{
	struct buffer *last = container_of(queue->buffers.prev, struct buffer, link);

	if (list_empty(&queue->buffers) || last->capacity - last->end < size) {
		last = buffer_create(MAX(size, SMALL_CAPACITY));
		if (!last)
			return NULL;
		queue_append(queue, last);
	}
	return last->data + last->end;
}

void queue_commit(struct queue *queue, size_t size)
{
	struct buffer *last = container_of(queue->buffers.prev, struct buffer, link);

	assert(size <= last->capacity - last->end);
	last->end += size;
	queue->bytes += size;
}

void queue_append(struct queue *queue, struct buffer *buffer)
{
	list_append(&queue->buffers, &buffer->link);
	queue->bytes += buffer->end - buffer->start;
}

int queue_peek(const struct queue *queue, struct iovec *vector, int max)
{
	struct buffer *buffer;
	int count = 0;

	list_for_each(buffer, &queue->buffers, link) {
		if (count == max)
			break;
		if (buffer->end == buffer->start)
			continue;
		vector[count].iov_base = buffer->data + buffer->start;
		vector[count].iov_len = buffer->end - buffer->start;
		count++;
	}
	return count;
}

void queue_consume(struct queue *queue, size_t size, struct buffer_pool *pool)
{
	struct buffer *buffer;

	assert(size <= queue->bytes);
	queue->bytes -= size;
	while ((buffer = first_buffer(&queue->buffers))) {
		size_t taken = MIN(size, buffer->end - buffer->start);

		buffer->start += taken;
		size -= taken;
		if (buffer->start < buffer->end)
			return;
		/* A single small one stays: the next reply needs no malloc. */
		if (buffer->link.next == &queue->buffers && buffer->capacity == SMALL_CAPACITY) {
			buffer->start = 0;
			buffer->end = 0;
			return;
		}
		buffer_pool_give(pool, buffer);
	}
}
