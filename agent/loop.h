/*
 * What one event loop serves with: its connections, its commands, what they share.
 *
 * One pass: wait for events and call their handlers; run each scheduled task once; then settle:
 * send what the pass has queued, in one write per connection, and destroy what was marked. So
 * nothing is freed while a caller up the stack still holds it, and replies to what came together
 * go out together.
 */
#ifndef AGENT_LOOP_H
#define AGENT_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/buffer.h"
#include "agent/deadline.h"
#include "agent/root.h"
#include "common/list.h"
#include "proto/codec.h"

struct cgroups;
struct ends;
struct ev_io;
struct ev_loop;
struct init_wait;
struct kmsg;
struct server_config;
struct workers;

/*
 * A step of something longer that must not keep others waiting; run once in each pass while it is
 * scheduled, and taken off the list before it runs.
 */
struct task {
	struct list link;
	void (*run)(struct task *task);
};

struct counters {
	uint64_t frames_received;
	uint64_t frames_sent;
	uint64_t bytes_received;
	uint64_t bytes_sent;
	uint64_t commands_started;
};

/* What is kept of jobs (job.c). */
struct jobs {
	/* Links struct job: all that can be found, by number. */
	struct list all;
	/* Links struct job: those that have ended, in that order, also such as cannot be found. */
	struct list ended;
	/* Of those that can be found. */
	unsigned int count;
	unsigned int ended_count;
	uint64_t last_number;
	/* Bytes of output that are kept, and of input that are held. */
	uint64_t output_bytes;
	size_t input_bytes;
};

struct loop {
	struct ev_loop *ev;
	const struct server_config *config;
	/* Links struct connection: all. */
	struct list connections;
	unsigned int connection_count;
	/* Of those that are congested (ends.c). */
	struct ends *ends;
	/* Links struct session. */
	struct list sessions;
	/* Links struct connection: those with something to send, or to be destroyed. */
	struct list unsettled;
	/* Links struct task. */
	struct list tasks;
	/* Links struct child: all, also those whose connection is gone. */
	struct list children;
	/* Links struct drain (stream.c). */
	struct list drains;
	unsigned int drain_count;
	unsigned int command_count;
	struct jobs jobs;
	struct buffer_pool pool;
	/* For the message that is being handled. */
	struct decoder decoder;
	struct counters counters;
	/* Of the system calls that this thread makes. */
	struct deadlines deadlines;
	/* Programs on threads of their own (background.c). */
	unsigned int background_count;
	/* NULL: this loop makes none (op_worker.c). */
	struct workers *workers;
	/* NULL: nothing more is to be learned of the real init (op_init.c). */
	struct init_wait *init_wait;
	/* That of PID 1 as we last saw it: where we are, unless a test has moved us (root.c). */
	struct root_id root;
	/* Read by commands without standard input where /dev/null is missing. */
	int null_fd;
	/* A devpts that is mounted nowhere; -1: not needed so far. */
	int devpts_fd;
	/* NULL: not needed so far (cgroup.c). */
	struct cgroups *cgroups;
	/* NULL: what the kernel says is not watched (kmsg.c). */
	struct kmsg *kmsg;
	/* The stack of a new process until it executes its program. */
	void *spawn_stack;
	char oom_score_adj[12];
	/* Connections are still let in. */
	bool listening;
	/* No new pass is wanted. */
	bool stopped;
	/* A SHUTDOWN's connection has ended: the power may go. */
	bool power_due;
	int power_mode;
	bool power_sync;
	unsigned int power_sync_timeout_ms;
};

/* 0, or a negative errno. The config is borrowed. */
int loop_init(struct loop *loop, const struct server_config *config);

/* All of connections, jobs, children and drains must be gone. */
void loop_finish(struct loop *loop);

/*
 * In the callback of a watcher: whether the kernel had no memory to watch its fd, which is tried
 * again; there is nothing else to be done then.
 */
bool loop_unwatched(struct ev_loop *ev, struct ev_io *watcher, int events);

/* One pass. */
void loop_pass(struct loop *loop);

void task_init(struct task *task, void (*run)(struct task *task));
/* To be run in the next pass, or later in this one; harmless where it is scheduled already. */
void task_schedule(struct task *task, struct loop *loop);
void task_cancel(struct task *task);

/* /proc/NAME or /dev/NAME, through the fds of the config where it has them. -1 and errno. */
int loop_open_proc(const struct loop *loop, const char *name, int flags);
int loop_open_dev(const struct loop *loop, const char *name, int flags);

#endif
