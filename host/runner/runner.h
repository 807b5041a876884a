/* Runs the files of a plan side by side, each in a process of its own. */
#ifndef RUNNER_RUNNER_H
#define RUNNER_RUNNER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host/runner/child.h"
#include "host/runner/directory.h"
#include "host/runner/file_result.h"
#include "host/runner/plan.h"

/* What is shown of a run that is under way. */
#define RUNNER_VIEW_FILES 8

struct runner_view {
	size_t total;
	size_t ended;
	size_t failed;
	uint64_t started_ns;
	size_t running;
	/* The first few of those that run. */
	struct {
		const char *name;
		/* NULL: none runs. */
		const char *subtest;
		uint64_t since_ns;
		/* For memory, processors or a fixture. */
		bool waits;
	} files[RUNNER_VIEW_FILES];
};

struct runner_options {
	const struct plan *plan;
	/*
	 * Bytes and processors of all guests together, and how many files run at a time. Each guest
	 * counts as its own memory and the overhead, which is QEMU's.
	 */
	uint64_t memory;
	uint64_t overhead;
	unsigned int cpus;
	unsigned int parallel;
	/* Of each file, without what it waits for others. */
	uint64_t timeout_ms;
	bool fail_fast;
	/* Logs of files that passed stay, too. */
	bool keep;
	enum provium_accel accel;
	test_run_fn run;
	const struct run_directory *directory;
	/* Readable: the run ends. -1: none. */
	int cancel_fd;
	/* Called when a file has ended. False: the run ends. */
	bool (*file_ended)(void *user, const struct file_result *result);
	/* One line that is worth knowing. */
	void (*notice)(void *user, const char *text);
	/* Called when something has changed and each refresh_ms. 0: never. */
	void (*show)(void *user, const struct runner_view *view);
	int refresh_ms;
	void *user;
};

/*
 * results has as many as the plan, and belongs to the caller, cleared: file_result_finish each,
 * whatever is returned. 0 where every file was run, and where fail_fast has ended the rest; -1 and
 * PROVIUM_CANCELLED where cancel_fd or file_ended has ended the run. Nothing runs any more then.
 * This process is single-threaded, blocks the signals that are not to end it, and has
 * PR_SET_CHILD_SUBREAPER from then on.
 */
int runner_run(const struct runner_options *options, struct file_result *results,
	       struct provium_error *error);

#endif
