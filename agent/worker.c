#include "agent/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/vm_sockets.h>

#include "agent/fds.h"
#include "agent/guest_malloc.h"
#include "agent/listen.h"
#include "agent/log.h"
#include "agent/loop.h"
#include "agent/process_group.h"
#include "agent/server.h"
#include "agent/shared.h"
#include "agent/threads.h"
#include "common/cleanup.h"
#include "common/util.h"

/* Room for more than unix(7) takes. */
#define UNIX_PATH_SIZE 128

/* All that a worker needs of its server, which may be gone before it. */
struct worker {
	struct server_config config;
	struct worker_entry *entry;
	struct spawn_attributes attributes;
	/* Of a Unix socket: what it is bound to, and is to be removed. */
	char path[UNIX_PATH_SIZE];
	gid_t groups[];
};

static struct worker *make_worker(const struct loop *loop, struct worker_entry *entry,
				  const struct spawn_attributes *attributes)
{
	size_t groups_size = attributes->group_count * sizeof(gid_t);
	struct worker *worker = malloc(sizeof(*worker) + groups_size);

	if (!worker)
		return NULL;
	*worker = (struct worker){
		.config = *loop->config,
		.entry = entry,
		.attributes = *attributes,
	};
	if (groups_size > 0)
		memcpy(worker->groups, attributes->groups, groups_size);
	worker->attributes.groups = worker->groups;
	worker->config.role = entry->thread ? SERVER_THREAD_WORKER : SERVER_FORK_WORKER;
	worker->config.worker = entry;
	worker->config.listen_fd = worker->config.connection_fd = -1;
	worker->config.stop_fd = entry->thread ? entry->stop_fd : worker->config.agent_life_fd;
	/* The machine is not for a worker to end. */
	worker->config.power = NULL;
	worker->config.kmsg = NULL;
	worker->config.root = loop->root;
	worker->config.null_fd = loop->null_fd;
	worker->config.restarts = 0;
	worker->config.restart_reason = NULL;
	return worker;
}

/* What is too long is refused when it is bound to. */
static void unix_path(char path[UNIX_PATH_SIZE], const struct server_config *config, uint32_t port)
{
	snprintf(path, UNIX_PATH_SIZE, "%s_%u", config->listen_path, port);
}

/* A port that is free; of a Unix socket the worker's number. */
static int open_listener(struct worker *worker)
{
	struct sockaddr_vm address = { 0 };
	socklen_t size = sizeof(address);
	int fd;

	if (worker->config.listener == LISTENER_UNIX) {
		worker->entry->port = (uint32_t)worker->entry->number;
		unix_path(worker->path, &worker->config, worker->entry->port);
		worker->config.listen_path = worker->path;
		return listen_unix(worker->path);
	}
	fd = listen_vsock(VMADDR_PORT_ANY);
	if (fd >= 0 && getsockname(fd, (struct sockaddr *)&address, &size) < 0)
		fd = close_fd(fd);
	worker->entry->port = address.svm_port;
	return fd;
}

static void write_event(int event_fd)
{
	const uint64_t one = 1;

	(void)!write(event_fd, &one, sizeof(one));
}

/* The server learns of it with the end. */
static void fail(struct worker_entry *entry, int error, const char *failed)
{
	entry->start_error = error;
	worker_note(entry, failed);
}

static void remove_path(const struct worker *worker)
{
	if (worker->path[0])
		unlink(worker->path);
}

/* The whole life of a worker, in its own process or thread. Frees it. */
static void serve(struct worker *worker)
{
	struct worker_entry *entry = worker->entry;
	enum spawn_step step;
	int error = 0;

	entry->pid = getpid();
	entry->tid = (pid_t)syscall(SYS_gettid);
	worker->config.listen_fd = open_listener(worker);
	if (worker->config.listen_fd < 0) {
		fail(entry, errno, "listen");
	} else if (!spawn_set_credentials(&worker->attributes, &step)) {
		fail(entry, errno, spawn_step_name(step));
		close_fd(worker->config.listen_fd);
	} else {
		entry->served = true;
		entry->state = WORKER_RUNNING;
		write_event(worker->config.worker_event_fd);
		if (!entry->thread)
			worker->config.worker_event_fd = close_fd(worker->config.worker_event_fd);
		error = server_run(&worker->config);
		entry->connection_fd = -1;
		if (error < 0)
			worker_note(entry, strerror(-error));
	}
	remove_path(worker);
	free(worker);
}

static void *run_thread(void *argument)
{
	struct worker *worker = argument;
	struct worker_entry *entry = worker->entry;
	int event_fd = worker->config.worker_event_fd;

	serve(worker);
	worker_end(entry, CLD_EXITED, 0, "");
	write_event(event_fd);
	return NULL;
}

static bool start_thread(struct worker *worker)
{
	errno = thread_start(run_thread, worker);
	return errno == 0;
}

/* What a test's calls use up is the test's: with nobody else to kill, the kernel would panic. */
static void become_mortal(const struct server_config *config)
{
	char value[12];

	snprintf(value, sizeof(value), "%d", config->oom_score_adj);
	if (!spawn_restore_oom_score(config, config->proc_fd, value))
		log_warn("a worker keeps the agent's oom_score_adj: %m");
}

/*
 * In the child: what belongs to the server's loops is let go, and what is left is a server anew.
 * Until fds_leave the table of descriptors is the server's own (CLONE_FILES), and nothing may be
 * opened or closed. A copy of all of it, most of which is then closed, would cost more.
 */
static void run_process(struct worker *worker)
{
	const struct server_config *config = &worker->config;
	const int keep[] = {
		config->worker_event_fd,
		config->watch_timer_fd,
		config->agent_life_fd,
		config->proc_fd,
		config->dev_fd,
		config->null_fd,
		log_fd(),
	};

	threads_forked();
	if (fds_leave(keep, ARRAY_SIZE(keep))) {
		process_group_leave();
		become_mortal(config);
		serve(worker);
	} else {
		fail(worker->entry, errno, "close_range");
	}
	_exit(0);
}

/*
 * The system call, since the C library's fork() makes no siblings. What that would have put right
 * in the child are the allocator's lock, and the library's books of threads, of which there is one.
 */
static bool start_process(struct worker *worker)
{
	long pid;

	if (guest_malloc_lock)
		guest_malloc_lock();
	pid = syscall(SYS_clone, CLONE_PARENT | CLONE_FILES | SIGCHLD, NULL, NULL, NULL, 0);
	if (guest_malloc_unlock)
		guest_malloc_unlock();
	if (pid == 0)
		run_process(worker);
	if (pid > 0)
		worker->entry->pid = (int32_t)pid;
	return pid > 0;
}

bool worker_start(const struct loop *loop, struct worker_entry *entry,
		  const struct spawn_attributes *attributes, const char **failed)
{
	struct worker *worker = NULL;
	bool started = false;

	*failed = "eventfd";
	if (entry->thread)
		entry->stop_fd = fd_raise(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
	if (!entry->thread || entry->stop_fd >= 0)
		worker = make_worker(loop, entry, attributes);
	if (worker) {
		*failed = entry->thread ? "pthread_create" : "clone";
		started = entry->thread ? start_thread(worker) : start_process(worker);
	}
	if (!started || !entry->thread)
		free(worker);
	if (!started)
		worker_free(loop, entry);
	return started;
}

void worker_free(const struct loop *loop, struct worker_entry *entry)
{
	char path[UNIX_PATH_SIZE];

	/* One that was killed has left it. */
	if (loop->config->listener == LISTENER_UNIX) {
		unix_path(path, loop->config, entry->port);
		unlink(path);
	}
	/* Of a thread that has ended in a system call. */
	entry->connection_fd = close_fd(entry->connection_fd);
	entry->stop_fd = close_fd(entry->stop_fd);
	entry->state = WORKER_FREE;
}

/* Interrupts the calls of a thread, and of those that it has in the background. */
static void stop_calls(struct watch_page *page, const struct worker_entry *entry, int timer_fd)
{
	for (uint32_t i = 0; i < MIN(page->slots_used, WATCH_SLOTS); i++)
		if (page->slots[i].worker == entry->number && page->slots[i].pid == entry->pid)
			deadline_stop(page, &page->slots[i], timer_fd);
}

bool worker_kill(const struct loop *loop, const struct worker_entry *entry)
{
	const struct server_config *config = loop->config;
	/* The table is not trusted, and 0, 1 and less are more than a worker. */
	if (!entry->thread && entry->pid <= 1) {
		errno = ESRCH;
		return false;
	}
	if (!entry->thread)
		return kill(entry->pid, SIGKILL) == 0;
	write_event(entry->stop_fd);
	stop_calls(&config->shared->watch, entry, config->watch_timer_fd);
	return true;
}
