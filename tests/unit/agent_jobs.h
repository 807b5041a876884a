/* Requests about jobs, and what comes back. */
#ifndef TESTS_AGENT_JOBS_H
#define TESTS_AGENT_JOBS_H

#include "agent_harness.h"

/* A fixture: a server and two clients. The second one: */
extern struct client other;
void jobs_start(void);
void jobs_stop(void);

/* A command that waits between the two until let_go: the text lives until the next call. */
const char *waiting(const char *before, const char *after);
void let_go(void);

/* In the place of a number: the field is absent. */
#define ABSENT UINT64_MAX

Provium__V1__JobRef job_number(uint64_t number);
Provium__V1__JobRef job_name(const char *name);

/* Sends an EXEC_ASYNC of a shell command. name NULL, keep ABSENT: none. */
uint32_t send_job(struct client *to, const char *command, const char *name, uint64_t keep);
/* The same with whatever is in it. */
uint32_t send_job_request(struct client *to, Provium__V1__ExecAsync *request);
/* The JOB_STARTED of this id: the number. */
uint64_t job_started(struct client *from, uint32_t id);
/* Both. */
uint64_t start_job(struct client *to, const char *command);
uint64_t start_named_job(struct client *to, const char *command, const char *name);
/* As start_job; standard input is a stream. */
uint64_t start_stream_job(struct client *to, const char *command, const char *name);

uint32_t wait_job(struct client *to, Provium__V1__JobRef ref, uint64_t timeout_ms, bool output);
uint32_t kill_job(struct client *to, Provium__V1__JobRef ref, uint64_t signal, uint64_t grace_ms);
/* stream 0: both. */
uint32_t read_job(struct client *to, Provium__V1__JobRef ref, int stream, uint64_t offset,
		  bool follow);

/* What a job has written, from the first byte that was sent, and how it ended. */
struct job_outcome {
	struct outcome outcome;
	uint64_t first[2];
	/* Without pointers. */
	Provium__V1__JobResult result;
	/* Of a JOB_OUTPUT: the OK's. */
	uint64_t bytes;
};

/* What a test looks at last: freed by jobs_stop. */
extern struct job_outcome outcome;

/* Takes an OUTPUT, which must go on where the last one ended. */
void job_outcome_add(struct job_outcome *into, const Provium__V1__Output *output);
/* Collects OUTPUT up to the JOB_RESULT, or the OK, of this id. */
void job_collect(struct client *from, uint32_t id, struct job_outcome *into);
/* The same, from the usual client into the usual outcome. */
void collect(uint32_t id);
void job_outcome_free(struct job_outcome *into);

/* The next message is the JOB_RESULT of this id, and of a job that runs, or has exited so. */
void job_expect_running(struct client *from, uint32_t id, uint64_t job);
void job_expect_exit(struct client *from, uint32_t id, uint64_t job, unsigned int code);

/* There is no such job. */
void expect_gone(struct client *from, uint64_t job);
/* The outcome is this one, and of this signal. */
void expect_signalled(int how, unsigned int number);

/* The JOB_LIST's entry of a job, without pointers; one with number 0 where it is not there. */
Provium__V1__JobEntry job_entry(struct client *from, uint64_t job);
/* Waits until it has ended. */
void job_await_end(struct client *from, uint64_t job);

#endif
