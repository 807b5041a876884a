/*
 * One stream of what a job has written, as far as it is kept: its last bytes, in a file in memory.
 *
 * A byte stands in the file where it stands in the stream, and the pages of what is dropped are
 * given back: the file has a hole before what is kept, and nothing ever moves.
 */
#ifndef AGENT_JOB_OUTPUT_H
#define AGENT_JOB_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct job_output {
	/* -1: nothing has been kept yet. */
	int fd;
	/* Bytes that are kept at most; and of the stream, of which the rest is none of it. */
	uint64_t keep;
	uint64_t limit;
	/* The bytes from start to end are kept. */
	uint64_t start;
	uint64_t end;
	/* Written in all. */
	uint64_t bytes;
	/* Counts the bytes that are kept, with those of others. */
	uint64_t *total;
};

void job_output_init(struct job_output *output, uint64_t keep, uint64_t limit, uint64_t *total);
void job_output_finish(struct job_output *output);

/* Keeps what comes next in the stream, in the place of the oldest bytes. */
void job_output_add(struct job_output *output, const uint8_t *data, size_t size);

/* Drops so many of the oldest bytes, or all. */
void job_output_drop(struct job_output *output, uint64_t bytes);

/* Written and not kept. */
uint64_t job_output_dropped(const struct job_output *output);

/* Whether there is anything to read from offset on and before until. */
bool job_output_has(const struct job_output *output, uint64_t offset, uint64_t until);

/*
 * Reads from *offset on, or from the oldest byte where that is no longer kept: *offset is then
 * moved. Returns how many bytes; 0: nothing is there before until.
 */
size_t job_output_read(const struct job_output *output, uint64_t *offset, uint64_t until,
		       uint8_t *data, size_t size);

#endif
