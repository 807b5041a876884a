/* The pipes of a command. For files that include <ev.h>. */
#ifndef AGENT_STREAM_H
#define AGENT_STREAM_H

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/child.h"

struct loop;

struct output_stream;

struct output_events {
	/* Asked before each read: whether what it gives may be handed on. */
	bool (*has_room)(struct output_stream *stream);
	/* size bytes lie at data + BULK_GAP of the buffer, which is taken over. */
	void (*data)(struct output_stream *stream, uint64_t offset, struct buffer *buffer,
		     size_t size);
	/* Others still hold the pipe, of which nothing more is wanted: takes fd over. */
	void (*held)(struct output_stream *stream, int fd);
	/* The last call; the stream may be freed in it. */
	void (*ended)(struct output_stream *stream);
};

/* What a command writes: read into buffers of the loop's pool. */
struct output_stream {
	struct loop *loop;
	const struct output_events *events;
	void *owner;
	/* -1: it has ended. */
	int fd;
	ev_io readable;
	/* fd is a terminal's master, non-blocking; set after the start. */
	bool terminal;
	/* Bytes that were read, and how many of them may be handed on. */
	uint64_t bytes;
	uint64_t limit;
	/* Only so many more bytes are wanted, then it ends: see output_stream_cut. */
	bool cut;
	size_t wanted;
	/* It has ended and others still hold it. */
	bool held;
	/* It has ended before its end. */
	bool lost;
};

/* Takes fd over; -1: it has ended already. limit: bytes that are handed on. */
void output_stream_start(struct output_stream *stream, struct loop *loop, int fd, uint64_t limit,
			 const struct output_events *events, void *owner);

/* There is room again. */
void output_stream_resume(struct output_stream *stream);

/*
 * The leader is gone. Where others still hold the pipe, what is in it now is the last that is
 * wanted: the stream ends when that has been read, and held() gets the pipe.
 */
void output_stream_cut(struct output_stream *stream);

/* Reads no more; it stays open. */
void output_stream_pause(struct output_stream *stream);

/* Ends it without a word. */
void output_stream_stop(struct output_stream *stream);

/* What a command reads. */
struct input_stream {
	struct loop *loop;
	/* -1: nobody reads (any more), or the end has been written. */
	int fd;
	ev_io writable;
	/* fd is a terminal's master, which its output owns. */
	bool terminal;
	/* The line that is being typed is not empty. */
	bool in_line;
	/* Links struct child_input. */
	struct list pieces;
};

/*
 * Takes fd, the non-blocking end of a pipe, over; -1: there is none. A terminal's master is
 * borrowed: its output is to end later.
 */
void input_stream_start(struct input_stream *stream, struct loop *loop, int fd, bool terminal);

/* Writes the piece when those before it are written. False: nobody reads; the piece is untouched.
 */
bool input_stream_add(struct input_stream *stream, struct child_input *piece);

/* Writes no more: what is waiting is done with this errno. It stays open. */
void input_stream_pause(struct input_stream *stream, int error);

/* The same, and closes it. */
void input_stream_stop(struct input_stream *stream, int error);

/* Takes fd over, and reads and drops what comes until its writers are gone. */
void stream_drain(struct loop *loop, int fd);

/* Closes all that is being drained. */
void streams_stop_draining(struct loop *loop);

#endif
