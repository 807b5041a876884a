/*
 * Theory of operation.
 *
 * A job is in jobs.all from its start until it is forgotten: collected, or pushed out by newer
 * ones. From its end on it is in jobs.ended, too, until it is freed. It is freed when it is
 * forgotten and nobody views it, so those that have waited for the same end all get the result, and
 * may take their time over the output.
 *
 * A job's pipes are read whether anybody listens or not. Where all jobs together keep too much,
 * those that have ended pay first.
 */
#include "job.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/log.h"
#include "agent/os.h"
#include "agent/reply.h"
#include "agent/session.h"
#include "agent/timer.h"
#include "agent/watch.h"
#include "common/cleanup.h"

static void held_stop(struct held_output *held)
{
	watch_stop(held->watch);
	held->watch = NULL;
}

static void job_destroy(struct job *job)
{
	for (int i = 0; i < CHILD_OUTPUTS; i++) {
		held_stop(&job->held[i]);
		if (job->held[i].fd >= 0)
			child_drain(job->loop, job->held[i].fd);
		job_output_finish(&job->outputs[i]);
	}
	timer_stop(job->grace);
	list_remove(&job->ended);
	free(job);
}

void job_forget(struct job *job)
{
	struct jobs *jobs = &job->loop->jobs;

	if (!list_empty(&job->link)) {
		list_remove(&job->link);
		jobs->count--;
		if (!job_runs(job))
			jobs->ended_count--;
	}
	if (list_empty(&job->viewers))
		job_destroy(job);
}

void job_view(struct job *job, struct job_viewer *viewer)
{
	viewer->job = job;
	list_append(&job->viewers, &viewer->link);
}

void job_unview(struct job_viewer *viewer)
{
	struct job *job = viewer->job;

	task_cancel(&viewer->task);
	list_remove(&viewer->link);
	if (list_empty(&job->link) && list_empty(&job->viewers))
		job_destroy(job);
}

static void drop_excess(struct job *job)
{
	const struct jobs *jobs = &job->loop->jobs;

	for (int i = 0; i < CHILD_OUTPUTS; i++)
		if (jobs->output_bytes > JOBS_MAX_OUTPUT)
			job_output_drop(&job->outputs[i], jobs->output_bytes - JOBS_MAX_OUTPUT);
}

/* Sees to it that all jobs together do not keep too much. */
static void drop_oldest(struct jobs *jobs)
{
	struct job *job;

	if (jobs->output_bytes <= JOBS_MAX_OUTPUT)
		return;
	list_for_each(job, &jobs->ended, ended)
		drop_excess(job);
	list_for_each(job, &jobs->all, link)
		drop_excess(job);
}

static void keep_output(struct job *job, enum child_output which, const struct buffer *buffer,
			size_t size)
{
	struct job_viewer *viewer;

	job_output_add(&job->outputs[which], buffer->data + BULK_GAP, size);
	drop_oldest(&job->loop->jobs);
	list_for_each(viewer, &job->viewers, link)
		if (viewer->follows)
			task_schedule(&viewer->task, job->loop);
}

static bool on_has_room(void *owner)
{
	(void)owner;
	return true;
}

static void on_output(void *owner, enum child_output which, uint64_t offset, struct buffer *buffer,
		      size_t size)
{
	struct job *job = owner;

	(void)offset;
	keep_output(job, which, buffer, size);
	buffer_pool_give(&job->loop->pool, buffer);
}

static void on_held_readable(void *data)
{
	struct held_output *held = data;
	struct job *job = held->job;
	struct buffer *buffer = buffer_pool_take(&job->loop->pool);
	ssize_t count;

	if (!buffer) {
		log_error("job %llu: no memory to read what is written after its end",
			  (unsigned long long)job->number);
		held_stop(held);
		child_drain(job->loop, steal_fd(&held->fd));
		return;
	}
	count = os_read(held->fd, buffer->data + BULK_GAP, PROVIUM_CHUNK);
	if (count > 0) {
		keep_output(job, (enum child_output)(held - job->held), buffer, (size_t)count);
	} else if (count == 0 || errno != EAGAIN) {
		held_stop(held);
		held->fd = close_fd(held->fd);
	}
	buffer_pool_give(&job->loop->pool, buffer);
}

static void on_held(void *owner, enum child_output which, int fd)
{
	struct job *job = owner;
	struct held_output *held = &job->held[which];

	held->watch = watch_start(job->loop, fd, WATCH_READABLE, on_held_readable, held);
	if (!held->watch) {
		log_error("job %llu: no memory to read on after its end",
			  (unsigned long long)job->number);
		child_drain(job->loop, fd);
		return;
	}
	held->fd = fd;
}

/* The one that has ended first makes room. */
static void forget_oldest(struct jobs *jobs)
{
	struct job *job;

	list_for_each(job, &jobs->ended, ended) {
		/* Forgotten already, and still viewed. */
		if (list_empty(&job->link))
			continue;
		log_warn("job %llu: %d others have ended since: it is forgotten",
			 (unsigned long long)job->number, JOBS_MAX_ENDED);
		job_forget(job);
		return;
	}
}

static void on_ended(void *owner, const struct child_result *result)
{
	struct job *job = owner;
	struct jobs *jobs = &job->loop->jobs;
	struct job_viewer *viewer;

	job->command.child = NULL;
	job->result = *result;
	for (int i = 0; i < CHILD_OUTPUTS; i++)
		job->result.truncated[i] |= result->bytes[i] > job->outputs[i].limit;
	timer_stop(job->grace);
	job->grace = NULL;
	list_append(&jobs->ended, &job->ended);
	jobs->ended_count++;
	list_for_each(viewer, &job->viewers, link)
		task_schedule(&viewer->task, job->loop);
	if (jobs->ended_count > JOBS_MAX_ENDED)
		forget_oldest(jobs);
}

static const struct child_events job_events = {
	.has_room = on_has_room,
	.output = on_output,
	.held = on_held,
	.ended = on_ended,
};

static bool has_name(const struct job *job, const ProtobufCBinaryData *name)
{
	return job->name_size > 0 && job->name_size == name->len &&
	       memcmp(job->name, name->data, name->len) == 0;
}

/* By name, where that is not NULL. NULL: there is none. */
static struct job *find(const struct jobs *jobs, uint64_t number, const ProtobufCBinaryData *name)
{
	struct job *job;

	list_for_each(job, &jobs->all, link)
		if (name ? has_name(job, name) : job->number == number)
			return job;
	return NULL;
}

struct job *job_find(struct session *session, uint32_t id, const char *request, uint64_t number,
		     const ProtobufCBinaryData *name)
{
	struct job *job = find(&session->loop->jobs, number, name);

	if (!job && name)
		reply_error(session, id, ERROR_NOT_FOUND, NULL, 0, "%s: there is no job \"%.*s\"",
			    request, (int)MIN(name->len, (size_t)JOB_MAX_NAME), name->data);
	else if (!job)
		reply_error(session, id, ERROR_NOT_FOUND, NULL, 0, "%s: there is no job %llu",
			    request, (unsigned long long)number);
	return job;
}

/* NULL: no memory. */
static struct job *job_create(struct loop *loop, const Provium__V1__ExecAsync *request)
{
	const Provium__V1__Exec *exec = request->command;
	struct job *job = malloc(sizeof(*job) + request->name.len);

	if (!job)
		return NULL;
	*job = (struct job){
		.loop = loop,
		.command = { .input_bytes = &loop->jobs.input_bytes, .unlimited_output = true },
		.name_size = request->name.len,
	};
	list_init(&job->ended);
	list_init(&job->viewers);
	if (job->name_size > 0)
		memcpy(job->name, request->name.data, job->name_size);
	for (int i = 0; i < CHILD_OUTPUTS; i++) {
		job_output_init(&job->outputs[i], request->has_keep ? request->keep : JOB_KEEP,
				exec->has_output_limit ? exec->output_limit : UINT64_MAX,
				&loop->jobs.output_bytes);
		job->held[i] = (struct held_output){ .job = job, .fd = -1 };
	}
	return job;
}

struct job *job_start(struct session *session, uint32_t id, const Provium__V1__ExecAsync *request)
{
	struct jobs *jobs = &session->loop->jobs;
	cleanup_free struct job *job = NULL;

	if (request->keep > JOBS_MAX_OUTPUT) {
		reply_error(session, id, ERROR_LIMIT, NULL, 0,
			    "EXEC_ASYNC: keep: %llu bytes; at most %zu are kept",
			    (unsigned long long)request->keep, JOBS_MAX_OUTPUT);
		return NULL;
	}
	if (request->has_name && find(jobs, 0, &request->name)) {
		reply_error(session, id, ERROR_BUSY, NULL, 0,
			    "EXEC_ASYNC: name: a job \"%.*s\" is there", (int)request->name.len,
			    request->name.data);
		return NULL;
	}
	if (jobs->count - jobs->ended_count >= JOBS_MAX_RUNNING) {
		reply_error(session, id, ERROR_LIMIT, NULL, 0, "EXEC_ASYNC: %d jobs are running",
			    JOBS_MAX_RUNNING);
		return NULL;
	}
	job = job_create(session->loop, request);
	if (!job) {
		reply_error(session, id, ERROR_LIMIT, NULL, 0, "EXEC_ASYNC: no memory");
		return NULL;
	}
	if (!command_start(&job->command, session, id, "EXEC_ASYNC: command", request->command,
			   &job_events, job))
		return NULL;
	job->number = ++jobs->last_number;
	if (job->command.child)
		child_is_job(job->command.child, job->number, job->name, job->name_size);
	list_append(&jobs->all, &job->link);
	jobs->count++;
	return steal_ptr(&job);
}

static void on_grace_over(void *data)
{
	struct job *job = data;

	timer_stop(job->grace);
	job->grace = NULL;
	child_kill(job->command.child, CHILD_CANCELLED);
}

int job_kill(struct job *job, int signal, uint64_t grace_ms)
{
	/* Far beyond any test, and no sum of two of them overflows. */
	uint64_t at = monotonic_ns() / 1000000 + MIN(grace_ms, UINT64_MAX / 2);
	struct timer *grace = NULL;
	int error;

	/* Of several that want it killed, the first has its way. */
	if (grace_ms > 0 && (!job->grace || at < job->killed_at)) {
		grace = timer_start(job->loop, grace_ms, on_grace_over, job);
		if (!grace)
			return ENOMEM;
	}
	error = signal ? child_signal(job->command.child, signal, true) : 0;
	/* ESRCH: it has ended, but for its output. */
	if (error && error != ESRCH) {
		timer_stop(grace);
		return error;
	}
	if (grace_ms == 0) {
		child_kill(job->command.child, CHILD_CANCELLED);
	} else if (grace) {
		timer_stop(job->grace);
		job->grace = grace;
		job->killed_at = at;
	}
	return 0;
}

void jobs_end(struct loop *loop)
{
	while (!list_empty(&loop->jobs.all)) {
		struct job *job = container_of(loop->jobs.all.next, struct job, link);

		if (job_runs(job))
			child_abandon(job->command.child);
		job_forget(job);
	}
}
