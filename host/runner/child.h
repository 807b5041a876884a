/* The test process: what runs in it after the fork. */
#ifndef RUNNER_CHILD_H
#define RUNNER_CHILD_H

#include <sys/resource.h>

#include "host/lua/harness.h"

/* As lua_run_file (host/lua/run.h). */
typedef int (*test_run_fn)(const char *path, const struct harness *harness);

struct child_options {
	const char *path;
	const char *log_directory;
	enum provium_accel accel;
	test_run_fn run;
	/* Of descriptors. */
	struct rlimit fd_limit;
	/* This end of the channel. */
	int channel;
};

/* Runs the file and ends the process. */
_Noreturn void child_run(const struct child_options *options);

#endif
