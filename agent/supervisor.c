/*
 * The server runs what tests want to try on a kernel: calls that end, replace, stop or blind the
 * process that makes them. So a second process, which runs nothing, keeps the listener and puts a
 * new server behind it. The listener's queue holds connections meanwhile, so that a host that
 * connects again at once waits for some milliseconds and is not refused.
 *
 * A server is gone when
 *
 * - its pidfd is readable: it has ended, whatever ended it;
 * - its life pipe has ended and it has not: execve(2) or close_range(2) closed the fds under it.
 *   What is left of it is killed;
 * - it was stopped (SIGSTOP);
 * - a system call of it does not end at its deadline (watchdog.h).
 *
 * Four fds and a timeout are waited for with poll(2), and not with a libev loop: a child that is
 * forked from here must not share an epoll set, and there is nothing to multiplex. Without a death
 * nothing wakes up.
 *
 * The supervisor is also the parent of fork workers, which the server makes its siblings (clone(2),
 * CLONE_PARENT) so that they outlive it, and the reaper of what a test has made in this way.
 */
#include "agent/supervisor.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/fds.h"
#include "agent/log.h"
#include "agent/process_group.h"
#include "agent/shared.h"
#include "agent/watchdog.h"
#include "common/cleanup.h"
#include "common/util.h"

#define MS               UINT64_C(1000000)

/* The first restart is made at once, the next after the shortest delay, then twice that, ... */
#define DELAY_FIRST_MS   10u
#define DELAY_LONGEST_MS 1000u

/* A server that has lived so long has not died "again". */
#define LIFE_GOOD_MS     10000

/* Between the closing of a process's fds and its end, in one that exits in the usual way. */
#define EXIT_GRACE_MS    200

/* Of fds that are not there, until there are no more. */
#define FD_GAP_MAX       512

/* What SIGKILL may take before we go on without: a process in state D does not die. */
#define KILL_GRACE_MS    1000

struct supervisor {
	struct server_config *config;
	bool stoppable;
	/* SIGCHLD, SIGTERM and SIGINT are blocked and read here. */
	int signal_fd;
	sigset_t original_mask;

	/* 0: none; then it is time for one at start_at. */
	pid_t server;
	int pidfd;
	int life_fd;
	/* Our end of the server's stop_fd: closed, it stops. */
	int stop_fd;

	struct shared *shared;
	struct watchdog watchdog;
	/* The end of which all workers hold the other: they end with us. */
	int workers_fd;

	/* monotonic_ns() */
	uint64_t start_at;
	uint64_t started;
	unsigned int delay_ms;
	char reason[SERVER_REASON_SIZE];
};

/* In the child; never returns. */
static void run_server(struct supervisor *supervisor, int life_fd, int stop_fd)
{
	struct server_config *config = supervisor->config;
	int result;

	close_fd(supervisor->signal_fd);
	close_fd(supervisor->life_fd);
	close_fd(supervisor->stop_fd);
	close_fd(supervisor->workers_fd);
	/* A terminal's signals are for the supervisor. */
	if (supervisor->stoppable)
		setsid();
	else
		process_group_leave();
	sigprocmask(SIG_SETMASK, &supervisor->original_mask, NULL);

	config->life_fd = life_fd;
	config->stop_fd = stop_fd;
	config->restart_reason = supervisor->reason[0] ? supervisor->reason : NULL;
	result = server_run(config);
	if (result < 0)
		log_error("the server cannot start: %s", strerror(-result));
	_exit(result < 0);
}

/* A pipe among our own fds. */
static int make_pipe(int *read_end, int *write_end)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -1;
	*read_end = fd_raise(ends[0]);
	*write_end = fd_raise(ends[1]);
	return 0;
}

static void schedule_start(struct supervisor *supervisor)
{
	uint64_t now = monotonic_ns();

	if (now - supervisor->started >= LIFE_GOOD_MS * MS)
		supervisor->delay_ms = 0;
	supervisor->start_at = now + supervisor->delay_ms * MS;
	supervisor->delay_ms = supervisor->delay_ms == 0
				       ? DELAY_FIRST_MS
				       : MIN(2 * supervisor->delay_ms, DELAY_LONGEST_MS);
}

/* Where it fails it is tried again later, as after a death. */
static void start_server(struct supervisor *supervisor)
{
	cleanup_close int life_write = -1, stop_read = -1;
	pid_t pid = -1;

	supervisor->started = monotonic_ns();
	if (make_pipe(&supervisor->life_fd, &life_write) == 0 &&
	    (!supervisor->stoppable || make_pipe(&stop_read, &supervisor->stop_fd) == 0))
		pid = _Fork();
	if (pid == 0)
		run_server(supervisor, life_write, stop_read);
	if (pid < 0) {
		log_error("cannot start the server: %m");
		supervisor->life_fd = close_fd(supervisor->life_fd);
		supervisor->stop_fd = close_fd(supervisor->stop_fd);
		schedule_start(supervisor);
		return;
	}
	supervisor->server = pid;
	supervisor->pidfd = fd_raise((int)syscall(SYS_pidfd_open, pid, 0));
}

/* Appends to the reason which call was being made. */
static void name_call(struct supervisor *supervisor)
{
	const struct watch_slot *slot = watchdog_calling(&supervisor->watchdog, supervisor->server);
	size_t length = strlen(supervisor->reason);

	if (slot)
		snprintf(supervisor->reason + length, sizeof(supervisor->reason) - length,
			 ", in call %u of request %u", slot->call, slot->request);
}

static void describe_exit(struct supervisor *supervisor, const siginfo_t *info)
{
	char *text = supervisor->reason;
	size_t size = sizeof(supervisor->reason);

	if (info->si_code == CLD_EXITED)
		snprintf(text, size, "it exited with status %d", info->si_status);
	else
		snprintf(text, size, "it was killed by signal %d (%s)%s", info->si_status,
			 strsignal(info->si_status),
			 info->si_code == CLD_DUMPED ? ", core dumped" : "");
	name_call(supervisor);
}

/* reason says why. The process may still be there: then it is reaped one day as any other. */
static void forget_server(struct supervisor *supervisor)
{
	command_table_reaped(&supervisor->shared->commands, supervisor->server, supervisor->reason,
			     sizeof(supervisor->reason));
	log_warn("server %d: %s", (int)supervisor->server, supervisor->reason);
	supervisor->server = 0;
	supervisor->pidfd = close_fd(supervisor->pidfd);
	supervisor->life_fd = close_fd(supervisor->life_fd);
	supervisor->stop_fd = close_fd(supervisor->stop_fd);
	supervisor->config->restarts++;
	schedule_start(supervisor);
}

static void tell_server(const struct supervisor *supervisor)
{
	const uint64_t one = 1;

	(void)!write(supervisor->config->worker_event_fd, &one, sizeof(one));
}

static void reap_children(struct supervisor *supervisor)
{
	siginfo_t info = { 0 };
	/* Of a worker that is told with its end. */
	char lost[1] = "";

	while (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | __WALL) == 0 && info.si_pid != 0) {
		if (worker_table_reaped(&supervisor->shared->workers, info.si_pid, info.si_code,
					info.si_status))
			tell_server(supervisor);
		if (info.si_pid == supervisor->server) {
			describe_exit(supervisor, &info);
			forget_server(supervisor);
		} else {
			command_table_reaped(&supervisor->shared->commands, info.si_pid, lost,
					     sizeof(lost));
		}
		watchdog_forget(&supervisor->watchdog, info.si_pid);
		log_debug("reaped process %d", (int)info.si_pid);
		info.si_pid = 0;
	}
}

/* Whether the server is dead before the time is over. */
static bool await_exit(const struct supervisor *supervisor, int timeout_ms)
{
	struct pollfd exited = { .fd = supervisor->pidfd, .events = POLLIN };

	return poll(&exited, 1, timeout_ms) > 0;
}

/*
 * A process that sleeps where no signal reaches it keeps its connections as long, and hosts would
 * wait for replies that do not come. Its sockets are ended from here.
 */
static void shut_connections(pid_t process)
{
	cleanup_close int pidfd = (int)syscall(SYS_pidfd_open, process, 0);
	struct sockaddr_storage peer;
	unsigned int absent = 0;

	for (int fd = OWN_FD_MIN; absent < FD_GAP_MAX; fd++) {
		cleanup_close int ours = (int)syscall(SYS_pidfd_getfd, pidfd, fd, 0);
		socklen_t size = sizeof(peer);

		absent = ours < 0 ? absent + 1 : 0;
		/* Not the listener. */
		if (ours >= 0 && getpeername(ours, (struct sockaddr *)&peer, &size) == 0)
			shutdown(ours, SHUT_RDWR);
	}
}

/* It is of no use any more; reason says why. */
static void kill_server(struct supervisor *supervisor)
{
	kill(supervisor->server, SIGKILL);
	if (!await_exit(supervisor, KILL_GRACE_MS)) {
		log_error("server %d does not die", (int)supervisor->server);
		shut_connections(supervisor->server);
	}
	forget_server(supervisor);
	reap_children(supervisor);
}

/* The life pipe has ended: before the process, or instead of it. */
static void server_let_go(struct supervisor *supervisor)
{
	static const char reason[] =
		"its file descriptors were closed under it (execve, close_range)";

	static_assert(sizeof(reason) <= sizeof(supervisor->reason), "there is room for it");
	if (await_exit(supervisor, EXIT_GRACE_MS)) {
		reap_children(supervisor);
		return;
	}
	memcpy(supervisor->reason, reason, sizeof(reason));
	name_call(supervisor);
	kill_server(supervisor);
}

/* SIGCHLD tells of that, too (wait(2), WUNTRACED). */
static void look_for_stop(struct supervisor *supervisor)
{
	siginfo_t info = { 0 };

	if (supervisor->server == 0 ||
	    waitid(P_PID, (id_t)supervisor->server, &info, WSTOPPED | WNOHANG) < 0 ||
	    info.si_pid == 0)
		return;
	snprintf(supervisor->reason, sizeof(supervisor->reason), "it was stopped by signal %d (%s)",
		 info.si_status, strsignal(info.si_status));
	name_call(supervisor);
	kill_server(supervisor);
}

/*
 * A call of a server's or worker's does not return. A thread is left alone, with its worker: only
 * the whole process can be killed, and the others in it are well.
 */
static void on_stuck(void *user, pid_t process, uint64_t worker, bool ended, const char *reason)
{
	struct supervisor *supervisor = user;
	struct worker_entry *entry = worker_find(&supervisor->shared->workers, worker);

	if (worker != 0 && entry) {
		log_warn("worker %llu: %s", (unsigned long long)worker, reason);
		worker_note(entry, reason);
		if (!entry->thread) {
			kill(process, SIGKILL);
			shut_connections(process);
		} else if (ended) {
			worker_end(entry, CLD_EXITED, 0, reason);
			tell_server(supervisor);
		}
	} else if (worker == 0 && process == supervisor->server) {
		snprintf(supervisor->reason, sizeof(supervisor->reason), "%s", reason);
		kill_server(supervisor);
	}
}

static void stop_server(struct supervisor *supervisor)
{
	if (supervisor->server == 0)
		return;
	supervisor->stop_fd = close_fd(supervisor->stop_fd);
	if (!await_exit(supervisor, KILL_GRACE_MS))
		kill(supervisor->server, SIGKILL);
	waitpid(supervisor->server, NULL, 0);
}

/* Empties the signal fd. Returns whether we are to stop. */
static bool read_signals(struct supervisor *supervisor)
{
	struct signalfd_siginfo info;
	bool stop = false;

	while (read(supervisor->signal_fd, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo != SIGCHLD)
			stop = supervisor->stoppable;
	}
	return stop;
}

/* Until start_at; -1 while a server runs. */
static int poll_timeout(const struct supervisor *supervisor)
{
	uint64_t now = monotonic_ns();

	if (supervisor->server != 0)
		return -1;
	return now < supervisor->start_at ? (int)((supervisor->start_at - now + MS - 1) / MS) : 0;
}

/*
 * All signals are blocked: what a test sends to every process (kill(2), -1) does not end the
 * supervisor, SIGKILL apart.
 */
static int take_signals(struct supervisor *supervisor)
{
	static const int read_here[] = { SIGCHLD, SIGTERM, SIGINT, SIGHUP };
	sigset_t mask;

	/* Ignored, children would be reaped without a word. */
	signal(SIGCHLD, SIG_DFL);
	sigfillset(&mask);
	if (sigprocmask(SIG_SETMASK, &mask, &supervisor->original_mask) < 0)
		return -1;
	sigemptyset(&mask);
	for (size_t i = 0; i < ARRAY_SIZE(read_here); i++)
		sigaddset(&mask, read_here[i]);
	supervisor->signal_fd = fd_raise(signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK));
	return supervisor->signal_fd < 0 ? -1 : 0;
}

/* What all our processes share. False and errno. */
static bool prepare(struct supervisor *supervisor)
{
	struct server_config *config = supervisor->config;

	supervisor->shared = mmap(NULL, sizeof(*supervisor->shared), PROT_READ | PROT_WRITE,
				  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (supervisor->shared == MAP_FAILED ||
	    !watchdog_init(&supervisor->watchdog, &supervisor->shared->watch, config->proc_fd) ||
	    make_pipe(&config->agent_life_fd, &supervisor->workers_fd) < 0)
		return false;
	config->shared = supervisor->shared;
	config->watch_timer_fd = supervisor->watchdog.timer_fd;
	config->worker_event_fd = fd_raise(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
	return config->worker_event_fd >= 0;
}

int supervisor_run(struct server_config *config, bool stoppable)
{
	/*
	 * Not on the stack, which servers and workers have a copy of: nearly all is for calls that
	 * do not return, and takes no memory before there is one.
	 */
	static struct supervisor supervisor;
	bool stop = false;

	supervisor.config = config;
	supervisor.stoppable = stoppable;
	supervisor.pidfd = supervisor.life_fd = supervisor.stop_fd = supervisor.workers_fd = -1;
	if (take_signals(&supervisor) < 0 || !prepare(&supervisor))
		return -1;
	while (!stop) {
		int timeout = poll_timeout(&supervisor);

		if (timeout == 0)
			start_server(&supervisor);

		struct pollfd fds[] = {
			{ .fd = supervisor.signal_fd, .events = POLLIN },
			{ .fd = supervisor.pidfd, .events = POLLIN },
			{ .fd = supervisor.life_fd, .events = POLLIN },
			{ .fd = supervisor.watchdog.timer_fd, .events = POLLIN },
		};

		if (poll(fds, ARRAY_SIZE(fds), poll_timeout(&supervisor)) < 0)
			continue;
		stop = read_signals(&supervisor);
		reap_children(&supervisor);
		look_for_stop(&supervisor);
		if (supervisor.server != 0 && fds[2].revents)
			server_let_go(&supervisor);
		if (fds[3].revents)
			watchdog_look(&supervisor.watchdog, on_stuck, &supervisor);
	}
	stop_server(&supervisor);
	close_fd(supervisor.signal_fd);
	close_fd(supervisor.workers_fd);
	return 0;
}
