/*
 * Jobs: commands that belong to the loop and to no connection. A job is kept, with the last of its
 * output, until its result has been collected.
 */
#ifndef AGENT_JOB_H
#define AGENT_JOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/command.h"
#include "agent/job_output.h"
#include "agent/loop.h"
#include "common/util.h"

struct session;
struct timer;
struct watch;

/* Jobs that run, and that have ended and are kept: beyond that the oldest is forgotten. */
#define JOBS_MAX_RUNNING 256
#define JOBS_MAX_ENDED   256

/* Bytes of a name. */
#define JOB_MAX_NAME     255

/* Bytes of each stream that are kept where a request does not say; and of all jobs, at most. */
#define JOB_KEEP         MIB(1)
#define JOBS_MAX_OUTPUT  MIB(64)

/* An output that something still holds after the job's end. */
struct held_output {
	struct job *job;
	/* -1: none. */
	int fd;
	struct watch *watch;
};

struct job {
	/* In jobs.all, and when it has ended in jobs.ended. */
	struct list link;
	struct list ended;
	struct loop *loop;
	/* Never that of another job, also not of an earlier server's. */
	uint64_t number;
	/* Runs while it has a child; then there is a result. */
	struct command command;
	struct child_result result;
	struct job_output outputs[CHILD_OUTPUTS];
	struct held_output held[CHILD_OUTPUTS];
	/* Until it is killed, and when that is, in ms of CLOCK_MONOTONIC. */
	struct timer *grace;
	uint64_t killed_at;
	/* Links struct job_viewer. */
	struct list viewers;
	size_t name_size;
	uint8_t name[];
};

/*
 * Someone who waits for what a job does, and without whose leave it is not freed. The task is
 * scheduled when it has ended, and with follows also when it has written.
 */
struct job_viewer {
	struct list link;
	struct job *job;
	struct task task;
	bool follows;
};

/* NULL: it could not be started, which has been answered. */
struct job *job_start(struct session *session, uint32_t id, const Provium__V1__ExecAsync *request);

/* By number; or by name, where that is not NULL. NULL: there is none, which has been answered. */
struct job *job_find(struct session *session, uint32_t id, const char *request, uint64_t number,
		     const ProtobufCBinaryData *name);

static inline bool job_runs(const struct job *job)
{
	return job->command.child;
}

/*
 * Sends the signal, if it is not 0, to the job's group, and kills the job after so many
 * milliseconds unless it has ended by then. 0 or an errno.
 */
int job_kill(struct job *job, int signal, uint64_t grace_ms);

/* The viewer's task has been initialised. */
void job_view(struct job *job, struct job_viewer *viewer);
void job_unview(struct job_viewer *viewer);

/* Nobody finds it any more; it is freed when nobody views it. Harmless a second time. */
void job_forget(struct job *job);

/* The server's end: kills those that run, and forgets all. */
void jobs_end(struct loop *loop);

#endif
