/*
 * Test processes die with the runner (PR_SET_PDEATHSIG), and the guests' processes with them; but
 * not what a test has started besides, nor are temporary files removed. The runner sees to that,
 * and where it cannot, the guard: the processes without a parent become its own.
 */
#include "host/runner/guard.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/util.h"
#include "host/lib/error.h"
#include "host/runner/process.h"

static const int passed_on[] = { SIGINT, SIGTERM, SIGHUP };

/* Children from before: a shell that has started some and then executed us. */
struct children {
	pid_t pids[64];
	size_t count;
};

static bool remember(void *user, pid_t pid)
{
	struct children *children = user;

	if (children->count == ARRAY_SIZE(children->pids))
		return false;
	children->pids[children->count++] = pid;
	return true;
}

static bool is_known(void *user, pid_t pid)
{
	const struct children *children = user;

	for (size_t i = 0; i < children->count; i++) {
		if (children->pids[i] == pid)
			return true;
	}
	return false;
}

static _Noreturn void run_child(pid_t guard, const sigset_t *mask, int (*run)(void *user),
				void *user)
{
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != guard)
		_exit(1);
	sigprocmask(SIG_SETMASK, mask, NULL);
	exit(run(user));
}

static void pass_on(int signal_fd, int pidfd)
{
	struct signalfd_siginfo info;

	while (read(signal_fd, &info, sizeof(info)) == sizeof(info)) {
		/* The kernel's own, of the terminal: the whole group has it. */
		if (info.ssi_code != SI_KERNEL)
			syscall(SYS_pidfd_send_signal, pidfd, (int)info.ssi_signo, NULL, 0);
	}
}

static void wait_for_end(int signal_fd, int pidfd)
{
	struct pollfd fds[] = {
		{ .fd = pidfd, .events = POLLIN },
		{ .fd = signal_fd, .events = POLLIN },
	};

	for (;;) {
		if (poll(fds, ARRAY_SIZE(fds), -1) < 0)
			continue;
		if (fds[1].revents)
			pass_on(signal_fd, pidfd);
		if (fds[0].revents)
			return;
	}
}

static int watch(pid_t pid, int signal_fd, struct guard_end *end, struct provium_error *error)
{
	cleanup_close int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	siginfo_t info = { 0 };

	if (pidfd < 0) {
		error_set(error, PROVIUM_HOST, errno, "pidfd_open");
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		return -1;
	}
	wait_for_end(signal_fd, pidfd);
	while (waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED) < 0 && errno == EINTR)
		;
	if (info.si_code == CLD_EXITED)
		end->status = info.si_status;
	else
		end->signal = info.si_status;
	return 0;
}

static int guard(int (*run)(void *user), void *user, struct guard_end *end,
		 struct provium_error *error)
{
	cleanup_close int signal_fd = -1;
	struct children children = { 0 };
	pid_t own_pid = getpid();
	sigset_t before;
	sigset_t set;
	int outcome;
	pid_t pid;

	*end = (struct guard_end){ 0 };
	sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_SIZE(passed_on); i++)
		sigaddset(&set, passed_on[i]);
	if (process_each_child(remember, &children) != 0)
		return error_set(error, PROVIUM_LIMIT, 0,
				 "this process has more than %zu children that it did not start",
				 ARRAY_SIZE(children.pids));
	signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (signal_fd < 0 || prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
		return error_set(error, PROVIUM_HOST, errno, "test runner");
	/* Where it is ignored the kernel reaps by itself, and nobody knows how a test has ended. */
	signal(SIGCHLD, SIG_DFL);
	sigaddset(&set, SIGQUIT);
	sigprocmask(SIG_BLOCK, &set, &before);
	fflush(NULL);
	pid = fork();
	if (pid == 0)
		run_child(own_pid, &before, run, user);
	if (pid < 0)
		return error_set(error, PROVIUM_HOST, errno, "fork");
	outcome = watch(pid, signal_fd, end, error);
	process_sweep(is_known, &children);
	return outcome;
}

int guard_run(struct run_directory *directory, int (*run)(void *user), void *user,
	      struct guard_end *end, struct provium_error *error)
{
	int outcome = guard(run, user, end, error);

	run_directory_finish(directory);
	return outcome;
}
