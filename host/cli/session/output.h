/* Standard output for data that come in callbacks of the library. */
#ifndef CLI_OUTPUT_H
#define CLI_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>

#include "host/cli/session/interrupts.h"

struct output {
	const struct interrupts *interrupts;
	/* Writes of any size do not block. */
	bool is_file;
	/* An interrupt was seen: what still comes is dropped. */
	bool interrupted;
	/* Of a write that has failed; 0: none. */
	int failure;
};

void output_init(struct output *output, const struct interrupts *interrupts);

/* Writes all of it, waiting for the reader if need be. -1: it was interrupted or has failed. */
int output_write(struct output *output, const void *data, size_t size);

/*
 * Where a call of the library has failed because a write had, puts that into *error. Returns
 * whether nobody reads the output any more: for command_end().
 */
bool output_failure(const struct output *output, struct provium_error *error);

#endif
