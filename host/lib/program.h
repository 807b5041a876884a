/* What building (program.c) and running (program_run.c) a program share. */
#ifndef LIB_PROGRAM_H
#define LIB_PROGRAM_H

#include "host/lib/request.h"

/* What the last run told of a buffer. */
struct program_content {
	/* NULL: nothing. */
	void *data;
	struct provium_range *changes;
	size_t n_changes;
	bool cut;
};

struct program_detail {
	uint32_t call;
	bool interrupted;
	struct provium_interruption where;
	uint64_t kernel_events[KERNEL_MAX_NUMBERS];
	size_t n_kernel_events;
};

struct provium_program {
	/* Its columns and arrays are ours, and so is what buffers and options point to. */
	Provium__V1__Syscall body;
	/* In flight while it runs. */
	struct request request;
	/* Why it failed; of one that was started and is not waited for. */
	struct provium_error failure;
	/* The first mistake in building it. */
	struct provium_error mistake;

	/* Of the last run; the guest's uname -m, whose numbers the calls have. */
	char arch[sizeof(((struct agent_text *)0)->arch)];
	unsigned int made;
	int64_t *results;
	uint64_t *durations;
	/* One per call that was interrupted or made the kernel speak, in their order. */
	struct program_detail *details;
	size_t n_details;
	/* One per buffer that there was. */
	struct program_content *contents;
	size_t n_contents;
};

/* Releases what the last run told. */
void program_forget_run(struct provium_program *program);

#endif
