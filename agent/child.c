/*
 * Theory of operation.
 *
 * A child is over when its leader has been reaped and both of its outputs have ended, in whatever
 * order. The leader is watched through its pidfd. Outputs that are still open CHILD_PIPES_HELD_MS
 * after the leader's end are held by something that it has started: what is in them by then is
 * still told, then they are left behind.
 *
 * The leader is the leader of its own session, so the numbers of its session and group are its pid
 * and cannot be anything else's until it has been reaped: trees are killed only before that. All
 * whose trees are to be killed in a pass of the loop share one walk through the processes, since
 * each costs three system calls for every process of the guest, and a connection may end with
 * hundreds of commands.
 */
#include "child.h"

#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/cgroup.h"
#include "agent/child_fds.h"
#include "agent/command_table.h"
#include "agent/fds.h"
#include "agent/kill_tree.h"
#include "agent/log.h"
#include "agent/loop.h"
#include "agent/pty.h"
#include "agent/server.h"
#include "agent/shared.h"
#include "agent/stream.h"
#include "common/cleanup.h"
#include "common/util.h"

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

struct child {
	struct list link;
	struct loop *loop;
	/* NULL events: abandoned. */
	const struct child_events *events;
	void *owner;
	int pidfd;
	ev_io exited;
	/* Its time limit; after the leader's end, that of its pipes. */
	ev_timer timer;
	bool reaped;
	/* Its tree is to be killed, in this pass or the next. */
	bool doomed;
	struct task kill;
	uint64_t started_ns;
	struct child_result result;
	struct output_stream outputs[CHILD_OUTPUTS];
	struct input_stream input;
	/* While it runs; NULL: there is no table, or it is full. */
	struct command_slot *slot;
	/* Its fds are a pseudo-terminal. */
	bool terminal;
	/* NULL: none, or it is gone. */
	struct cgroup *cgroup;
	/* The terminal's other side: while it is open here, nothing hangs up before the leader. */
	int slave_fd;
};

static void close_streams(struct child *child, int error)
{
	input_stream_stop(&child->input, error);
	for (int i = 0; i < CHILD_OUTPUTS; i++)
		output_stream_stop(&child->outputs[i]);
}

static void child_destroy(struct child *child)
{
	if (child->cgroup)
		cgroup_abandon(child->cgroup);
	close_streams(child, EPIPE);
	task_cancel(&child->kill);
	ev_io_stop(child->loop->ev, &child->exited);
	ev_timer_stop(child->loop->ev, &child->timer);
	close_fd(child->slave_fd);
	close_fd(child->pidfd);
	list_remove(&child->link);
	child->loop->command_count--;
	free(child);
}

/* Tells the result if everything is there. */
static void finish(struct child *child)
{
	struct child_result result;

	if (!child->reaped || child->cgroup)
		return;
	for (int i = 0; i < CHILD_OUTPUTS; i++)
		if (child->outputs[i].fd >= 0)
			return;
	input_stream_stop(&child->input, EPIPE);
	for (int i = 0; i < CHILD_OUTPUTS; i++) {
		const struct output_stream *output = &child->outputs[i];

		child->result.bytes[i] = output->bytes;
		child->result.truncated[i] = output->bytes > output->limit || output->lost;
		child->result.pipes_held |= output->held;
	}
	result = child->result;
	if (child->events) {
		const struct child_events *events = child->events;
		void *owner = child->owner;

		child_destroy(child);
		events->ended(owner, &result);
		return;
	}
	child_destroy(child);
}

static bool on_has_room(struct output_stream *stream)
{
	const struct child *child = stream->owner;

	return child->events->has_room(child->owner);
}

static void on_output(struct output_stream *stream, uint64_t offset, struct buffer *buffer,
		      size_t size)
{
	const struct child *child = stream->owner;

	child->events->output(child->owner, (enum child_output)(stream - child->outputs), offset,
			      buffer, size);
}

static void on_output_held(struct output_stream *stream, int fd)
{
	const struct child *child = stream->owner;

	if (child->events->held)
		child->events->held(child->owner, (enum child_output)(stream - child->outputs), fd);
	else
		child_drain(child->loop, fd);
}

static void on_output_ended(struct output_stream *stream)
{
	struct child *child = stream->owner;

	/* What is typed goes where the output came from. */
	if (child->terminal)
		input_stream_stop(&child->input, EIO);
	finish(child);
}

static const struct output_events output_events = {
	.has_room = on_has_room,
	.data = on_output,
	.held = on_output_held,
	.ended = on_output_ended,
};

static bool has_output(const struct child *child)
{
	return child->outputs[CHILD_STDOUT].fd >= 0 || child->outputs[CHILD_STDERR].fd >= 0;
}

/* Outputs that are still open are left behind; frees the child where that ends the last. */
static void cut_outputs(struct child *child)
{
	bool error_open = child->outputs[CHILD_STDERR].fd >= 0;

	/* Frees it only where the other is not open. */
	if (child->outputs[CHILD_STDOUT].fd >= 0)
		output_stream_cut(&child->outputs[CHILD_STDOUT]);
	if (error_open)
		output_stream_cut(&child->outputs[CHILD_STDERR]);
}

/* What is left after the leader's end is waited for no more; may free the child. */
static void stop_waiting(struct child *child)
{
	if (child->cgroup)
		cgroup_abandon(child->cgroup);
	child->cgroup = NULL;
	if (has_output(child))
		cut_outputs(child);
	else
		finish(child);
}

static void on_cgroup_emptied(void *owner)
{
	struct child *child = owner;

	child->cgroup = NULL;
	finish(child);
}

static void kill_group(const struct child *child)
{
	if (kill(-child->result.pid, SIGKILL) < 0 && errno != ESRCH)
		log_error("kill of group %d: %s", child->result.pid, strerror(errno));
}

/* Stopped, a leader keeps its number until it is killed. */
static bool stop_leader(const struct child *child)
{
	return syscall(SYS_pidfd_send_signal, child->pidfd, SIGSTOP, NULL, 0) == 0;
}

/* Kills the trees of all that are doomed. */
static void kill_trees(struct loop *loop)
{
	cleanup(kill_tree_finish) struct kill_tree tree = { 0 };
	struct child *child;

	list_for_each(child, &loop->children, link) {
		if (!child->doomed)
			continue;
		/* Somebody else may have waited for it: its number may be anybody's. */
		child->doomed = stop_leader(child);
		/* Where that fails there is still its group. */
		if (child->doomed)
			(void)kill_tree_add(&tree, child->result.pid);
	}
	kill_tree_run(&tree, loop_open_proc(loop, ".", O_RDONLY | O_DIRECTORY));
	/* Also where there is no procfs to walk through. */
	list_for_each(child, &loop->children, link) {
		if (child->doomed)
			kill_group(child);
		child->doomed = false;
	}
}

static void on_kill(struct task *task)
{
	struct child *child = container_of(task, struct child, kill);

	if (child->doomed)
		kill_trees(child->loop);
	/* Not before: they would be told, and could start others. */
	if (!child->events)
		close_streams(child, ECANCELED);
}

static void doom(struct child *child)
{
	if (child->cgroup)
		cgroup_kill(child->cgroup);
	child->doomed = true;
	task_schedule(&child->kill, child->loop);
}

static void on_timer(struct ev_loop *ev, ev_timer *watcher, int events)
{
	struct child *child = watcher->data;

	(void)ev;
	(void)events;
	if (child->reaped)
		stop_waiting(child);
	else
		child_kill(child, CHILD_TIMED_OUT);
}

/* seconds, from now and not from when the loop last looked at the clock. */
static void start_timer(struct child *child, double seconds)
{
	ev_now_update(child->loop->ev);
	ev_timer_set(&child->timer, seconds, 0.);
	ev_timer_start(child->loop->ev, &child->timer);
}

/* False: it has not ended. */
static bool reap(struct child *child)
{
	struct child_result *result = &child->result;
	siginfo_t info = { 0 };

	/* The system call fills in the usage too, which no libc's waitid() offers. */
	if (syscall(SYS_waitid, P_PIDFD, child->pidfd, &info, WEXITED | WNOHANG, &result->usage) <
	    0) {
		/* A system call that a test made in the agent has waited for it. */
		log_warn("command %d: its status is gone: %s", result->pid, strerror(errno));
	} else if (info.si_pid == 0) {
		return false;
	} else {
		result->code = info.si_code;
		result->status = info.si_status;
		/* It has been faster than its end by us. */
		if (info.si_code != CLD_KILLED || info.si_status != SIGKILL)
			result->end = CHILD_NOT_KILLED;
	}
	result->wall_ns = monotonic_ns() - child->started_ns;
	child->reaped = true;
	return true;
}

static void on_exited(struct ev_loop *ev, ev_io *watcher, int events)
{
	struct child *child = watcher->data;

	if (loop_unwatched(ev, watcher, events))
		return;
	/* As long as its number is its own. */
	if (child->doomed)
		kill_trees(child->loop);
	/* Also for who reads the table. */
	command_remove(child->slot);
	child->slot = NULL;
	if (!reap(child))
		return;
	if (!child->events)
		close_streams(child, ECANCELED);
	if (child->terminal)
		input_stream_stop(&child->input, EPIPE);
	child->slave_fd = close_fd(child->slave_fd);
	ev_io_stop(ev, &child->exited);
	ev_timer_stop(ev, &child->timer);
	if (child->cgroup && cgroup_end(child->cgroup))
		child->cgroup = NULL;
	if (has_output(child) || child->cgroup)
		start_timer(child, CHILD_PIPES_HELD_MS / 1000.);
	else
		finish(child);
}

/* Everything is there: takes over what is ours of the pipes. */
static void child_watch(struct child *child, struct child_fds *fds,
			const struct child_options *options)
{
	struct loop *loop = child->loop;

	list_append(&loop->children, &child->link);
	loop->command_count++;
	loop->counters.commands_started++;
	ev_io_init(&child->exited, on_exited, child->pidfd, EV_READ);
	child->exited.data = child;
	ev_io_start(loop->ev, &child->exited);
	task_init(&child->kill, on_kill);
	ev_init(&child->timer, on_timer);
	child->timer.data = child;
	if (options->timeout_ms > 0)
		start_timer(child, (double)options->timeout_ms / 1000.);

	child->terminal = options->terminal;
	child->slave_fd = options->terminal ? fd_raise(steal_fd(&fds->child_output)) : -1;
	output_stream_start(&child->outputs[CHILD_STDOUT], loop, fd_raise(steal_fd(&fds->output)),
			    options->output_limit, &output_events, child);
	output_stream_start(&child->outputs[CHILD_STDERR], loop, fd_raise(steal_fd(&fds->error)),
			    options->output_limit, &output_events, child);
	child->outputs[CHILD_STDOUT].terminal = options->terminal;
	if (options->terminal && options->stdin_pipe)
		input_stream_start(&child->input, loop, child->outputs[CHILD_STDOUT].fd, true);
	else
		input_stream_start(&child->input, loop, fd_raise(steal_fd(&fds->input)), false);
}

struct child *child_start(struct loop *loop, const struct child_options *options,
			  const struct child_events *events, void *owner,
			  struct spawn_result *failure)
{
	cleanup(child_fds_close) struct child_fds fds = CHILD_FDS_NONE;
	cleanup_free struct child *child = malloc(sizeof(*child));
	struct spawn_request request = {
		.search_path = options->search_path,
		.argv = options->argv,
		.envp = options->envp,
		.cwd = options->cwd,
		.attributes = &options->attributes,
		.cgroup = -1,
		.terminal = options->terminal,
	};

	*failure = (struct spawn_result){ .step = SPAWN_PIPE, .error = ENOMEM };
	if (!child || !child_fds_open(&fds, loop, options, failure))
		return NULL;
	if (options->terminal)
		request.fds[0] = fds.child_output;
	else
		request.fds[0] = fds.child_input >= 0 ? fds.child_input : loop->null_fd;
	request.fds[1] = fds.child_output;
	request.fds[2] = fds.child_error >= 0 ? fds.child_error : fds.child_output;
	*child = (struct child){
		.loop = loop,
		.events = events,
		.owner = owner,
		.started_ns = monotonic_ns(),
	};
	if (options->cgroup) {
		child->cgroup = cgroup_create(loop, on_cgroup_emptied, child, failure);
		if (!child->cgroup)
			return NULL;
		request.cgroup = cgroup_fd(child->cgroup);
	}
	if (!spawn(loop, &request, failure)) {
		if (child->cgroup)
			cgroup_abandon(child->cgroup);
		return NULL;
	}
	child->result.pid = failure->pid;
	child->pidfd = fd_raise(failure->pidfd);
	if (loop->config->shared)
		child->slot = command_add(&loop->config->shared->commands, child->result.pid);
	child_watch(child, &fds, options);
	return steal_ptr(&child);
}

bool child_write(struct child *child, struct child_input *input)
{
	return input_stream_add(&child->input, input);
}

void child_is_job(struct child *child, uint64_t number, const void *name, size_t size)
{
	if (child->slot)
		command_is_job(child->slot, number, name, size);
}

void child_resume(struct child *child)
{
	for (int i = 0; i < CHILD_OUTPUTS; i++)
		output_stream_resume(&child->outputs[i]);
}

void child_kill(struct child *child, enum child_end why)
{
	if (child->reaped) {
		ev_timer_stop(child->loop->ev, &child->timer);
		stop_waiting(child);
		return;
	}
	if (child->result.end == CHILD_NOT_KILLED)
		child->result.end = why;
	doom(child);
}

int child_signal(struct child *child, int number, bool group)
{
	long status;

	if (child->reaped)
		return ESRCH;
	if (group)
		status = kill(-child->result.pid, number);
	else
		status = syscall(SYS_pidfd_send_signal, child->pidfd, number, NULL, 0);
	return status < 0 ? errno : 0;
}

void child_abandon(struct child *child)
{
	child->events = NULL;
	ev_timer_stop(child->loop->ev, &child->timer);
	input_stream_pause(&child->input, ECANCELED);
	for (int i = 0; i < CHILD_OUTPUTS; i++)
		output_stream_pause(&child->outputs[i]);
	if (child->reaped)
		child_destroy(child);
	else
		doom(child);
}

void child_drain(struct loop *loop, int fd)
{
	stream_drain(loop, fd);
}

int child_resize(struct child *child, unsigned int rows, unsigned int cols)
{
	int master = child->outputs[CHILD_STDOUT].fd;

	if (!child->terminal)
		return ENOTTY;
	return master >= 0 ? pty_resize(master, rows, cols) : EIO;
}
