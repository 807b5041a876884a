/* A run of test files as a whole: which, with how much, what is told of it, and what it came to. */
#ifndef RUNNER_SUITE_H
#define RUNNER_SUITE_H

#include <stdbool.h>
#include <stdint.h>

#include "host/runner/child.h"
#include "host/runner/directory.h"
#include "host/runner/plan.h"

/* Cleared: all of it, and what is told in lines. */
struct suite_options {
	/* NULL-terminated. */
	const char *const *paths;
	/* NULL-terminated; NULL: all. */
	const char *const *patterns;
	/* 0: not sharded. */
	unsigned int shard_index;
	unsigned int shard_count;
	bool rerun_failed;
	/* Of all guests together, and files at a time. 0: as the machine has it. */
	uint64_t memory;
	unsigned int cpus;
	unsigned int parallel;
	/* Milliseconds. 0: 300 s, six times that under TCG. */
	uint64_t timeout_ms;
	bool fail_fast;
	bool keep;
	bool tap;
	/* Files; NULL: none. */
	const char *junit;
	const char *json;
	enum provium_accel accel;
	test_run_fn run;
	/* Tells one line on standard error. */
	void (*notice)(const char *text);
};

/*
 * Finds what is to be run. PROVIUM_INVALID and PROVIUM_NOT_FOUND: the options are wrong. Of a
 * shard, and with rerun_failed, there may be none.
 */
int suite_plan(const struct suite_options *options, struct plan *plan, struct provium_error *error);

enum suite_outcome {
	SUITE_ERROR = -1,
	/* Every file that was to be run passed, or is a todo. */
	SUITE_PASSED,
	SUITE_FAILED,
};

/*
 * Runs it, tells of it on standard output, and remembers what failed. cancel_fd: as in
 * runner_options. *broken_pipe: the error is that nobody reads standard output.
 */
enum suite_outcome suite_run(const struct suite_options *options, const struct plan *plan,
			     const struct run_directory *directory, int cancel_fd,
			     bool *broken_pipe, struct provium_error *error);

#endif
