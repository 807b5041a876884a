/* What the commands of `provium job` have in common. */
#ifndef CLI_JOB_H
#define CLI_JOB_H

#include "host/cli/session/connect.h"
#include "host/cli/session/writer.h"

#define JOB_DESCRIPTION "JOB is its number, or the name that it was started with."

/* A job as it is called on a command line: its number, or its name where it is no number. */
struct provium_job_ref job_ref(const char *operand);

/* Writes a job's output as it comes, and counts what is missing of it. */
struct job_printer {
	struct writer *writer;
	/* By stream - 1: the offset that comes next. */
	uint64_t next[2];
	uint64_t missing[2];
};

/* A provium_job_output_fn; user is a struct job_printer. */
int job_print(void *user, enum provium_stream stream, uint64_t offset, const void *data,
	      size_t size);

/* Tells on standard error how much was missing. */
void job_print_end(const struct job_printer *printer);

#endif
