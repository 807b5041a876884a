/*
 * The files of a run that run now, between the parts of the runner: runner.c has the loop,
 * running.c the beginning and the end of each, requests.c what it tells and asks.
 */
#ifndef RUNNER_RUNNING_H
#define RUNNER_RUNNING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>

#include "common/list.h"
#include "host/runner/fixtures.h"
#include "host/runner/pool.h"
#include "host/runner/process.h"
#include "host/runner/runner.h"

enum kill_reason {
	NOT_KILLED,
	KILLED_TIMEOUT,
	KILLED_PUT_BACK,
	/* The run ends. */
	KILLED_STOPPED,
	/* It sent what no message is. */
	KILLED_BROKEN,
};

struct running {
	/* Of the plan and the results. */
	size_t index;
	struct process process;
	struct pool_client pool;
	struct fixture_client fixture;
	/* Counts down while it does not wait; of one that was asked to end until it is killed. */
	uint64_t left_ns;
	uint64_t since_ns;
	enum kill_reason killed;
	/* Of KILLED_BROKEN: why. */
	char broken[256];
	char *temporary;
	struct list link;
};

struct runner {
	const struct runner_options *options;
	struct file_result *results;
	struct pool pool;
	struct fixtures fixtures;
	/* struct running.link, the oldest first. */
	struct list running;
	size_t n_running;
	/* The next of the plan that has never run. */
	size_t next;
	/* Indices of files that were put back, in order, and when: after how many had ended. */
	size_t *put_back;
	size_t n_put_back;
	size_t put_back_ended;
	size_t ended;
	size_t failed;
	/* Directories that were made: their names are not used again. */
	size_t started;
	/* As it was: tests get it. */
	struct rlimit fd_limit;
	uint64_t started_ns;
	uint64_t shown_ns;
	bool stopping;
	bool cancelled;
};

/* For room in the pool, or for a fixture. */
static inline bool running_waits(const struct running *file)
{
	return pool_waits(&file->pool) || file->fixture.waits_for;
}

/* Its time has passed: asks it to end, and the second time kills it. */
void running_time_out(struct running *file);

/* Its end comes later. */
void running_kill(struct running *file, enum kill_reason reason);

/* Kills it for what it sends; or because the channel says no more, or takes no more. */
void running_break_off(struct running *file, const char *reason);
void running_channel_failed(struct running *file, const struct provium_error *error);

/* Takes the time that has passed off what the file has left. */
void running_stop_clock(struct running *file, uint64_t now_ns);

/* Starts the file of this index. */
int running_start(struct runner *runner, size_t index, struct provium_error *error);

/* Its process has ended, or is about to: judges and releases. */
void running_end(struct runner *runner, struct running *file);

/* Handles at most so many of its messages. */
void requests_take(struct runner *runner, struct running *file, size_t most);

/* Grants what fits now, in order; any: the first that fits. False: nothing. */
bool requests_grant(struct runner *runner, bool any);

/* The file is gone: gives back all that it held, and wakes who waited for its fixtures. */
void requests_leave(struct runner *runner, struct running *file);

#endif
