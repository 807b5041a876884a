/*
 * The guest's output to this process's standard output and error. They may be any kind of file that
 * others use too, so they are not made non-blocking: a pipe or terminal that poll(2) calls writable
 * takes PIPE_BUF bytes without blocking (pipe(7)), and no more is written at a time. Waiting for
 * one that is not writable ends by an interrupt.
 */
#ifndef CLI_WRITER_H
#define CLI_WRITER_H

#include <stdbool.h>
#include <stddef.h>

#include "host/cli/session/interrupts.h"
#include "host/include/provium.h"

struct writer {
	const struct interrupts *interrupts;
	/* By stream - 1: whether write(2) takes any size without blocking. */
	bool is_file[2];
	/* An interrupt was seen: what still comes is dropped. */
	bool interrupted;
	/* The errno value of a write that failed, and its stream; what still comes is dropped. */
	int failure;
	enum provium_stream stream;
};

void writer_init(struct writer *writer, const struct interrupts *interrupts);

/* Writes all of it, unless writer_stopped() then. */
void writer_put(struct writer *writer, enum provium_stream stream, const void *data, size_t size);

bool writer_stopped(const struct writer *writer);

/*
 * What has stopped it, as the error of the command: PROVIUM_CANCELLED for an interrupt.
 * *broken_pipe: nobody reads the stream any more. Always -1.
 */
int writer_error(const struct writer *writer, bool *broken_pipe, struct provium_error *error);

#endif
