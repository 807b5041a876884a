#include "server.h"

#include <errno.h>
#include <ev.h>
#include <signal.h>
#include <string.h>

#include "agent/cgroup.h"
#include "agent/child.h"
#include "agent/connection.h"
#include "agent/fds.h"
#include "agent/init.h"
#include "agent/job.h"
#include "agent/kmsg.h"
#include "agent/listener.h"
#include "agent/log.h"
#include "agent/loop.h"
#include "agent/op_worker.h"
#include "agent/session.h"
#include "agent/shared.h"
#include "agent/stream.h"
#include "common/cleanup.h"

static void on_stop(struct ev_loop *ev, ev_io *watcher, int events)
{
	struct loop *loop = watcher->data;

	if (loop_unwatched(ev, watcher, events))
		return;
	ev_io_stop(ev, watcher);
	loop->stopped = true;
}

/* The host has had its reply and its time to read it. */
static void power(struct loop *loop)
{
	const struct server_config *config = loop->config;

	loop->power_due = false;
	if (config->power(loop->power_mode, loop->power_sync, loop->power_sync_timeout_ms) == 0)
		loop->stopped = true;
	else
		log_error("SHUTDOWN: mode %d: %s", loop->power_mode, strerror(errno));
}

static bool is_wanted(const struct loop *loop)
{
	if (loop->stopped)
		return false;
	return loop->listening || loop->connection_count > 0;
}

/* Ends all connections and jobs, and waits until every command that they have left is reaped. */
static void end_all(struct loop *loop)
{
	connections_abort(loop);
	connections_settle(loop);
	jobs_end(loop);
	while (!list_empty(&loop->children) || loop->background_count > 0)
		loop_pass(loop);
	streams_stop_draining(loop);
	cgroups_finish(loop);
}

int server_run(const struct server_config *config)
{
	struct listener *listener = NULL;
	struct loop loop;
	ev_io stop;
	int error;

	/* What a peer or a command no longer reads is told by EPIPE. */
	signal(SIGPIPE, SIG_IGN);
	error = loop_init(&loop, config);
	if (error) {
		close_fd(config->connection_fd);
		return error;
	}
	root_start(&loop);
	if (!deadlines_init(&loop.deadlines, config->shared ? &config->shared->watch : NULL,
			    config->watch_timer_fd, config->worker ? config->worker->number : 0) ||
	    !workers_start(&loop) || !init_watch(&loop)) {
		loop_finish(&loop);
		return -ENOMEM;
	}
	kmsg_start(&loop);
	ev_io_init(&stop, on_stop, config->stop_fd, EV_READ);
	stop.data = &loop;
	if (config->stop_fd >= 0)
		ev_io_start(loop.ev, &stop);
	if (config->connection_fd >= 0)
		session_start(&loop, fd_raise(config->connection_fd));
	if (config->listen_fd >= 0) {
		listener = listener_start(&loop);
		if (!listener)
			loop.stopped = true;
	}
	connections_settle(&loop);

	while (is_wanted(&loop)) {
		loop_pass(&loop);
		if (loop.power_due)
			power(&loop);
	}

	error = config->listen_fd >= 0 && !listener ? -ENOMEM : 0;
	listener_stop(listener);
	end_all(&loop);
	kmsg_stop(&loop);
	ev_io_stop(loop.ev, &stop);
	init_unwatch(&loop);
	workers_stop(&loop);
	deadlines_finish(&loop.deadlines);
	loop_finish(&loop);
	return error;
}
