/*
 * Theory of operation.
 *
 * Groups are directories of a cgroup2 that is mounted nowhere, made when a command first asks for
 * one: from then on the guest sees its processes' groups in /proc/PID/cgroup. A command is born
 * into its group, and what it starts stays there, whatever becomes of sessions and parents.
 *
 * The kernel kills a group when "1" is written to cgroup.kill (since Linux 5.14). Before that it is
 * frozen, so that it can start nothing any more, and its processes are killed one by one, again
 * each time that the kernel tells of a change: freezing takes a while.
 *
 * A directory can be removed when nothing is in it. cgroup.events tells that by POLLPRI, which
 * libev does not know, so all of these files are in an epoll set of their own, and that is watched.
 */
#include "cgroup.h"

#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/fds.h"
#include "agent/log.h"
#include "agent/loop.h"
#include "agent/os.h"
#include "common/cleanup.h"

/* Names that may be taken, by what an agent with our pid has left. */
#define MAX_TRIES 100

/* Milliseconds without a change that are waited for what dies, at the end. */
#define FINISH_MS 1000

struct cgroup {
	struct list link;
	struct cgroups *all;
	void (*emptied)(void *owner);
	/* NULL: it is gone. */
	void *owner;
	/* Its command has ended: it is to be removed. */
	bool ending;
	int fd;
	/* Its cgroup.events. */
	int events_fd;
	char name[32];
};

struct cgroups {
	/* The root directory. */
	int fd;
	int epoll_fd;
	ev_io changed;
	/* Links struct cgroup. */
	struct list groups;
	unsigned int number;
};

static void cgroup_free(struct cgroup *cgroup)
{
	close_fd(cgroup->events_fd);
	close_fd(cgroup->fd);
	list_remove(&cgroup->link);
	free(cgroup);
}

static bool is_populated(const struct cgroup *cgroup)
{
	static const char populated[] = "populated 1";
	char text[sizeof(populated)];
	/* From the start each time: that is also what ends the event. */
	ssize_t size = pread(cgroup->events_fd, text, sizeof(text) - 1, 0);

	if (size < 0)
		return false;
	/* Its first line (kernel/cgroup/cgroup.c, cgroup_events_show()). */
	return (size_t)size >= sizeof(populated) - 1 &&
	       memcmp(text, populated, sizeof(populated) - 1) == 0;
}

/* True: it is empty, and gone; the memory is freed. */
static bool remove_if_empty(struct cgroup *cgroup)
{
	if (is_populated(cgroup))
		return false;
	if (unlinkat(cgroup->all->fd, cgroup->name, AT_REMOVEDIR) < 0)
		log_warn("cgroup %s stays: %s", cgroup->name, strerror(errno));
	cgroup_free(cgroup);
	return true;
}

/* False: the kernel has no such file. */
static bool tell(const struct cgroup *cgroup, const char *file)
{
	cleanup_close int fd = os_openat(cgroup->fd, file, O_WRONLY | O_CLOEXEC);

	if (fd < 0 && errno == ENOENT)
		return false;
	if (fd < 0 || write(fd, "1", 1) < 0)
		log_error("%s of cgroup %s: %s", file, cgroup->name, strerror(errno));
	return true;
}

/* Numbers of processes, a line each; 0 is one of another PID namespace. */
static void kill_listed(const struct cgroup *cgroup)
{
	cleanup_close int fd = os_openat(cgroup->fd, "cgroup.procs", O_RDONLY | O_CLOEXEC);
	char text[512];
	pid_t pid = 0;
	ssize_t size;

	while ((size = read(fd, text, sizeof(text))) > 0) {
		for (ssize_t i = 0; i < size; i++) {
			if (text[i] >= '0' && text[i] <= '9') {
				pid = pid * 10 + (text[i] - '0');
				continue;
			}
			if (pid > 1)
				kill(pid, SIGKILL);
			pid = 0;
		}
	}
}

void cgroup_kill(struct cgroup *cgroup)
{
	if (tell(cgroup, "cgroup.kill"))
		return;
	tell(cgroup, "cgroup.freeze");
	kill_listed(cgroup);
}

static void on_changed(struct ev_loop *ev, ev_io *watcher, int events)
{
	const struct cgroups *all = watcher->data;
	struct epoll_event event;

	if (loop_unwatched(ev, watcher, events))
		return;
	/* One at a time: what is called may free others. */
	if (epoll_wait(all->epoll_fd, &event, 1, 0) == 1) {
		struct cgroup *cgroup = event.data.ptr;
		void (*emptied)(void *owner) = cgroup->emptied;
		void *owner = cgroup->owner;

		if (!cgroup->ending) {
			is_populated(cgroup);
		} else if (!remove_if_empty(cgroup)) {
			cgroup_kill(cgroup);
		} else if (owner) {
			emptied(owner);
		}
	}
}

static void cgroups_free(struct cgroups *all)
{
	if (!all)
		return;
	close_fd(all->fd);
	close_fd(all->epoll_fd);
	free(all);
}

static struct cgroups *cgroups_create(struct loop *loop, struct spawn_result *failure)
{
	struct cgroups *all = malloc(sizeof(*all));

	failure->step = SPAWN_CGROUP;
	failure->error = ENOMEM;
	if (!all)
		return NULL;
	*all = (struct cgroups){ .fd = fd_raise(os_detached("cgroup2")), .epoll_fd = -1 };
	if (all->fd >= 0)
		all->epoll_fd = fd_raise(epoll_create1(EPOLL_CLOEXEC));
	if (all->epoll_fd < 0) {
		failure->error = errno;
		cgroups_free(all);
		return NULL;
	}
	list_init(&all->groups);
	ev_io_init(&all->changed, on_changed, all->epoll_fd, EV_READ);
	all->changed.data = all;
	ev_io_start(loop->ev, &all->changed);
	return all;
}

void cgroups_finish(struct loop *loop)
{
	struct cgroups *all = loop->cgroups;
	struct pollfd changed = { .fd = all ? all->epoll_fd : -1, .events = POLLIN };

	if (!all)
		return;
	/* Killed they are; the last of them take a moment to die. */
	while (!list_empty(&all->groups) && poll(&changed, 1, FINISH_MS) == 1)
		on_changed(loop->ev, &all->changed, 0);
	while (!list_empty(&all->groups))
		cgroup_free(container_of(all->groups.next, struct cgroup, link));
	ev_io_stop(loop->ev, &all->changed);
	cgroups_free(all);
	loop->cgroups = NULL;
}

/* A directory with a name that is free. */
static bool make_directory(struct cgroup *cgroup)
{
	for (int tries = 0; tries < MAX_TRIES; tries++) {
		snprintf(cgroup->name, sizeof(cgroup->name), "provium-%d-%u", getpid(),
			 ++cgroup->all->number);
		if (mkdirat(cgroup->all->fd, cgroup->name, 0755) == 0)
			return true;
		if (errno != EEXIST)
			break;
	}
	return false;
}

/* False: nothing of it is left but the memory. */
static bool cgroup_make(struct cgroup *cgroup, struct spawn_result *failure)
{
	struct epoll_event event = { .events = EPOLLPRI, .data.ptr = cgroup };

	failure->step = SPAWN_MKDIR;
	if (!make_directory(cgroup)) {
		failure->error = errno;
		return false;
	}
	failure->step = SPAWN_CGROUP_OPEN;
	cgroup->fd = fd_raise(
		os_openat(cgroup->all->fd, cgroup->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	if (cgroup->fd >= 0)
		cgroup->events_fd =
			fd_raise(os_openat(cgroup->fd, "cgroup.events", O_RDONLY | O_CLOEXEC));
	if (cgroup->events_fd >= 0 &&
	    epoll_ctl(cgroup->all->epoll_fd, EPOLL_CTL_ADD, cgroup->events_fd, &event) == 0)
		return true;
	failure->error = errno;
	unlinkat(cgroup->all->fd, cgroup->name, AT_REMOVEDIR);
	return false;
}

struct cgroup *cgroup_create(struct loop *loop, void (*emptied)(void *owner), void *owner,
			     struct spawn_result *failure)
{
	struct cgroup *cgroup;

	if (!loop->cgroups)
		loop->cgroups = cgroups_create(loop, failure);
	if (!loop->cgroups)
		return NULL;
	*failure = (struct spawn_result){ .step = SPAWN_CGROUP, .error = ENOMEM };
	cgroup = malloc(sizeof(*cgroup));
	if (!cgroup)
		return NULL;
	*cgroup = (struct cgroup){
		.all = loop->cgroups,
		.emptied = emptied,
		.owner = owner,
		.fd = -1,
		.events_fd = -1,
	};
	list_append(&loop->cgroups->groups, &cgroup->link);
	if (cgroup_make(cgroup, failure))
		return cgroup;
	cgroup_free(cgroup);
	return NULL;
}

int cgroup_fd(const struct cgroup *cgroup)
{
	return cgroup->fd;
}

bool cgroup_end(struct cgroup *cgroup)
{
	cgroup->ending = true;
	if (remove_if_empty(cgroup))
		return true;
	cgroup_kill(cgroup);
	return false;
}

void cgroup_abandon(struct cgroup *cgroup)
{
	cgroup->owner = NULL;
	cgroup_end(cgroup);
}
