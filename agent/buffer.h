/*
 * What a connection has to send. Pure: no I/O.
 *
 * A queue is a list of buffers. Small messages are packed one behind the other into small buffers;
 * bulk data is read from its file straight into a bulk buffer, whose header is then encoded before
 * it, and the buffer itself is queued: it is copied by nobody but the kernel.
 */
#ifndef AGENT_BUFFER_H
#define AGENT_BUFFER_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "common/list.h"
#include "proto/limits.h"

struct buffer {
	struct list link;
	size_t capacity;
	/* The bytes from start to end are waiting. */
	size_t start;
	size_t end;
	uint8_t data[];
};

/*
 * Data that fills less of a bulk buffer than this is copied into the queue instead, so that what a
 * queue costs is at most a small multiple of its bytes.
 */
#define BULK_MIN ((size_t)PROVIUM_CHUNK / 4)

/* Room before the data of a bulk buffer for a frame's header and the fields before the data. */
#define BULK_GAP 64

/* Bulk buffers that are ready to be used again. */
struct buffer_pool {
	/* Links struct buffer. */
	struct list spare;
	unsigned int count;
};

void buffer_pool_init(struct buffer_pool *pool);
void buffer_pool_finish(struct buffer_pool *pool);

/* An empty bulk buffer with room for PROVIUM_CHUNK bytes behind the gap; NULL: no memory. */
struct buffer *buffer_pool_take(struct buffer_pool *pool);

/* Takes the buffer over; NULL is nothing. */
void buffer_pool_give(struct buffer_pool *pool, struct buffer *buffer);

/* Gives spare buffers back to the system, but one: an idle agent is small. */
void buffer_pool_trim(struct buffer_pool *pool);

struct queue {
	/* Links struct buffer. */
	struct list buffers;
	/* Waiting bytes. */
	size_t bytes;
};

void queue_init(struct queue *queue);
void queue_finish(struct queue *queue, struct buffer_pool *pool);

/* Room for size bytes in one piece behind what is waiting; NULL: no memory. */
uint8_t *queue_reserve(struct queue *queue, size_t size);

/* So many of the bytes reserved last are to be sent. */
void queue_commit(struct queue *queue, size_t size);

/* Queues the buffer, which is the queue's from then on. */
void queue_append(struct queue *queue, struct buffer *buffer);

/* Describes what is waiting, first bytes first; returns how many entries were filled. */
int queue_peek(const struct queue *queue, struct iovec *vector, int max);

/* So many bytes have been sent. */
void queue_consume(struct queue *queue, size_t size, struct buffer_pool *pool);

#endif
