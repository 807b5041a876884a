/* What job.c and job_io.c share. */
#ifndef LIB_JOB_H
#define LIB_JOB_H

#include "host/lib/request.h"

/* A job by what it is called: for requests, and for a person. */
struct job_name {
	Provium__V1__JobRef ref;
	Provium__V1__Target target;
	/* "job 7" or "job "name"". */
	char subject[128];
};

/* Fails where ref names nothing. what: for the message. */
int job_name_init(struct job_name *name, const struct provium_job_ref *ref, const char *what,
		  struct provium_error *error);

/* Where a job's output goes, and what has come of it. */
struct job_output {
	/* NULL: none was asked for. */
	provium_job_output_fn on_output;
	void *user;
	/* By stream - 1: the least offset that may come next, and how many bytes have come. */
	uint64_t next[2];
	uint64_t received[2];
};

/* Takes an OUTPUT: for on_message. */
enum request_verdict job_output_take(struct job_output *output, struct request *request,
				     const Provium__V1__Output *message);

#endif
