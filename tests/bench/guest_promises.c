#include "tests/bench/guest_promises.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/process_group.h"
#include "common/cleanup.h"
#include "common/util.h"
#include "tests/bench/floor.h"

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

/* What epoll tells of a descriptor: its number, and whether it is a pidfd. */
#define IS_PIDFD ((uint64_t)1 << 32)

struct start {
	char *program;
	int fds[3];
};

static bool set_oom_score(void)
{
	cleanup_close int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	return fd >= 0 && write(fd, "0", 1) == 1;
}

/* Shares its parent's memory until it executes the program. */
static int be_command(void *argument)
{
	const struct start *start = argument;
	char *const argv[] = { start->program, NULL };
	sigset_t none;

	sigemptyset(&none);
	if (setsid() >= 0 && dup2(start->fds[0], 0) >= 0 && dup2(start->fds[1], 1) >= 0 &&
	    dup2(start->fds[2], 2) >= 0 && set_oom_score() &&
	    syscall(SYS_close_range, STDERR_FILENO + 1, ~0u, 0) == 0 &&
	    prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && chdir("/") == 0 &&
	    sigprocmask(SIG_SETMASK, &none, NULL) == 0)
		execve(argv[0], argv, environ);
	_exit(127);
}

static bool watch(int epoll, int fd, uint64_t kind)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u64 = (uint64_t)fd | kind };

	return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0;
}

/* What is watched is closed where it is seen to end. */
static bool start_command(char *program, int epoll)
{
	static char stack[KIB(16)] __attribute__((aligned(16)));
	cleanup_close int input = open("/dev/null", O_RDONLY | O_CLOEXEC);
	cleanup_close int output = -1, error = -1;
	struct start start = { .program = program };
	int outputs[2], errors[2], pidfd = -1;
	sigset_t all, before;
	pid_t pid;

	if (input < 0)
		input = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	if (input < 0 || pipe2(outputs, O_CLOEXEC) < 0)
		return false;
	output = outputs[1];
	if (!watch(epoll, outputs[0], 0) || pipe2(errors, O_CLOEXEC) < 0)
		return false;
	error = errors[1];
	if (!watch(epoll, errors[0], 0))
		return false;
	start.fds[0] = input;
	start.fds[1] = output;
	start.fds[2] = error;
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &before);
	pid = clone(be_command, stack + sizeof(stack),
		    CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD, &start, &pidfd);
	sigprocmask(SIG_SETMASK, &before, NULL);
	return pid > 0 && watch(epoll, pidfd, IS_PIDFD);
}

static bool output_has_ended(int fd)
{
	static char output[KIB(4)];

	return read(fd, output, sizeof(output)) <= 0;
}

static bool reap(int pidfd)
{
	siginfo_t info = { 0 };

	return waitid((idtype_t)P_PIDFD, (id_t)pidfd, &info, WEXITED) == 0 && info.si_status == 0;
}

bool promise_commands(char *program, uint64_t count)
{
	cleanup_close int epoll = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event events[64];
	uint64_t open = 3 * count;
	bool good = epoll >= 0;

	for (uint64_t i = 0; good && i < count; i++)
		good = start_command(program, epoll);
	while (good && open > 0) {
		int ready = epoll_wait(epoll, events, ARRAY_SIZE(events), -1);

		good = ready > 0;
		for (int i = 0; i < ready; i++) {
			int fd = (int)(uint32_t)events[i].data.u64;

			if (events[i].data.u64 & IS_PIDFD)
				good &= reap(fd);
			else if (!output_has_ended(fd))
				continue;
			close(fd);
			open--;
		}
	}
	return good;
}

/* As from one loop to the next: nothing is read before epoll has told of it. */
static bool wait_for(int epoll)
{
	struct epoll_event event;

	return epoll_wait(epoll, &event, 1, -1) == 1;
}

bool promise_worker(int listener)
{
	struct floor_request request = { 0 };
	int epoll, fd;

	process_group_leave();
	if (syscall(SYS_close_range, STDERR_FILENO + 1, listener - 1, 0) < 0 ||
	    syscall(SYS_close_range, listener + 1, ~0u, 0) < 0 || !set_oom_score())
		return false;
	epoll = epoll_create1(EPOLL_CLOEXEC);
	if (epoll < 0 || !watch(epoll, listener, 0) || !wait_for(epoll))
		return false;
	fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	if (fd < 0 || !watch(epoll, fd, 0))
		return false;
	do {
		if (write(fd, &request, sizeof(request)) != (ssize_t)sizeof(request))
			return false;
	} while (wait_for(epoll) &&
		 recv(fd, &request, sizeof(request), MSG_WAITALL) == (ssize_t)sizeof(request));
	return true;
}
