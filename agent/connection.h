/*
 * A connection's bytes: frames in, a queue of frames out. Knows nothing of what they mean.
 */
#ifndef AGENT_CONNECTION_H
#define AGENT_CONNECTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/buffer.h"

struct connection;
struct loop;

/*
 * Bytes in a send queue over which its connection is congested (nothing is produced for it, and its
 * requests are not read), and under which it no longer is.
 */
#define QUEUE_HIGH     ((size_t)1 << 20)
#define QUEUE_LOW      ((size_t)256 << 10)

/* Milliseconds without progress after which a connection that is being closed is cut off. */
#define CLOSING_LINGER 2000

/* What a connection tells its owner. None is called before connection_create has returned. */
struct connection_events {
	/* One frame. The body lives until this returns. */
	void (*frame)(void *owner, const uint8_t *body, uint32_t length);
	/* A frame's length is 0 or over the limit: nothing can be read any more. */
	void (*bad_length)(void *owner, uint32_t length);
	/* It was congested and no longer is. */
	void (*drained)(void *owner);
	/*
	 * The peer sends nothing any more, or an error has ended the connection; so many bytes of a
	 * frame were there that never became whole. Not after connection_finish.
	 */
	void (*ended)(void *owner, size_t cut_bytes);
	/* The connection is gone. The last call, and always made. */
	void (*closed)(void *owner);
};

/*
 * Takes fd, a connected stream socket, over, also on failure. NULL: no memory. Destroyed by the
 * loop's tail, never by its owner.
 */
struct connection *connection_create(struct loop *loop, int fd,
				     const struct connection_events *events, void *owner);

/*
 * Room for size bytes at the queue's end, to be filled and committed. NULL where nothing can be
 * sent any more; without memory the connection is ended.
 */
uint8_t *connection_reserve(struct connection *connection, size_t size);
void connection_commit(struct connection *connection, size_t size);

/* Queues a whole frame in a buffer that came from the loop's pool, which it takes over. */
void connection_send_buffer(struct connection *connection, struct buffer *buffer);

/* The longest frame that is taken from now on, bytes; PROVIUM_MAX_FRAME at first. */
void connection_set_max_frame(struct connection *connection, uint32_t max_frame);

/* Whether more has been queued than the peer reads: produce nothing until drained() comes. */
bool connection_congested(const struct connection *connection);

/*
 * Sends what is queued at once, and not at the end of the pass; waits at most so many milliseconds
 * for a peer that does not read. Returns what is left of them.
 */
int connection_push(struct connection *connection, int wait_ms);

/*
 * Closes in an orderly way: what is queued is sent, then our sending side is shut, then the peer's
 * end is waited for, so that it surely gets what was sent. linger_ms: how long each may take
 * without progress. Nothing is received or queued any more.
 */
void connection_finish(struct connection *connection, unsigned int linger_ms);

/* Tries to send at the end of the pass, which finds out whether the peer is still there. */
void connection_retry(struct connection *connection);

/* Closes at the end of the pass, whatever is queued. */
void connection_abort(struct connection *connection);

/* The loop's tail: sends, and destroys what is to be destroyed. */
void connections_settle(struct loop *loop);

/* Aborts all. */
void connections_abort(struct loop *loop);

/* Bytes in all queues. */
size_t connections_queued(const struct loop *loop);

#endif
