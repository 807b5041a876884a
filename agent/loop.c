#include "loop.h"

#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "agent/connection.h"
#include "agent/ends.h"
#include "agent/fds.h"
#include "agent/server.h"
#include "agent/spawn.h"
#include "common/cleanup.h"
#include "common/ev_lacks.h"

void task_init(struct task *task, void (*run)(struct task *task))
{
	list_init(&task->link);
	task->run = run;
}

void task_schedule(struct task *task, struct loop *loop)
{
	if (list_empty(&task->link))
		list_append(&loop->tasks, &task->link);
}

void task_cancel(struct task *task)
{
	list_remove(&task->link);
}

static int open_below(int dir_fd, const char *dir, const char *name, int flags)
{
	char path[64];

	if (dir_fd >= 0)
		return openat(dir_fd, name, flags | O_CLOEXEC);
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return open(path, flags | O_CLOEXEC);
}

int loop_open_proc(const struct loop *loop, const char *name, int flags)
{
	return open_below(loop->config->proc_fd, "/proc", name, flags);
}

int loop_open_dev(const struct loop *loop, const char *name, int flags)
{
	return open_below(loop->config->dev_fd, "/dev", name, flags);
}

/* Something that reads as empty: /dev/null, or a pipe that nobody writes to. */
static int open_null(const struct loop *loop)
{
	int fd = loop_open_dev(loop, "null", O_RDONLY);
	int ends[2];

	if (fd < 0) {
		if (pipe2(ends, O_CLOEXEC) < 0)
			return -1;
		close(ends[1]);
		fd = ends[0];
	}
	return fd_raise(fd);
}

int loop_init(struct loop *loop, const struct server_config *config)
{
	*loop = (struct loop){ .config = config, .null_fd = -1, .devpts_fd = -1 };
	list_init(&loop->connections);
	list_init(&loop->sessions);
	list_init(&loop->unsettled);
	list_init(&loop->tasks);
	list_init(&loop->children);
	list_init(&loop->drains);
	list_init(&loop->jobs.all);
	list_init(&loop->jobs.ended);
	/* A host that knows a job of an earlier server must not find another in its place. */
	loop->jobs.last_number = (uint64_t)config->restarts << 32;
	buffer_pool_init(&loop->pool);
	decoder_init(&loop->decoder);
	snprintf(loop->oom_score_adj, sizeof(loop->oom_score_adj), "%d", config->oom_score_adj);

	loop->null_fd = config->worker ? config->null_fd : open_null(loop);
	loop->spawn_stack = malloc(SPAWN_STACK_SIZE);
	/* A worker has it from its server. */
	if (!config->worker)
		ev_set_allocator(ev_allocate);
	loop->ev = ev_loop_new(EVFLAG_NOENV | EVBACKEND_EPOLL);
	if (loop->null_fd < 0 || !loop->spawn_stack || !loop->ev || !ends_start(loop)) {
		int error = errno ? errno : ENOMEM;

		loop_finish(loop);
		return -error;
	}
	return 0;
}

void loop_finish(struct loop *loop)
{
	if (loop->ends)
		ends_stop(loop);
	if (loop->ev)
		ev_loop_destroy(loop->ev);
	free(loop->spawn_stack);
	if (!loop->config->worker)
		loop->null_fd = close_fd(loop->null_fd);
	loop->devpts_fd = close_fd(loop->devpts_fd);
	decoder_finish(&loop->decoder);
	buffer_pool_finish(&loop->pool);
}

bool loop_unwatched(struct ev_loop *ev, struct ev_io *watcher, int events)
{
	return ev_unwatched(ev, watcher, events);
}

/* Those that are scheduled while this runs wait for the next pass. */
static void run_tasks(struct loop *loop)
{
	struct list due;

	if (list_empty(&loop->tasks))
		return;
	due = loop->tasks;
	due.next->prev = &due;
	due.prev->next = &due;
	list_init(&loop->tasks);
	while (!list_empty(&due)) {
		struct task *task = container_of(due.next, struct task, link);

		list_remove(&task->link);
		task->run(task);
	}
}

void loop_pass(struct loop *loop)
{
	ev_run(loop->ev, list_empty(&loop->tasks) ? EVRUN_ONCE : EVRUN_NOWAIT);
	run_tasks(loop);
	connections_settle(loop);
}
