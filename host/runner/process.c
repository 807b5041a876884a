#include "host/runner/process.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/util.h"
#include "host/lib/error.h"
#include "host/runner/channel.h"

/* A process that the kernel cannot end for so long (a disk that hangs) is left to it. */
#define SWEEP_TIMEOUT_MS 5000
#define SWEEP_ROUNDS     100

/* Of the output that is left when a test has ended: what held it open may go on writing. */
#define LAST_READS       256

static const char cut_notice[] = "\n[16 MiB: what follows was left out]\n";

static void reset_signals(void)
{
	struct sigaction action = { .sa_handler = SIG_DFL };

	/* SIGKILL, SIGSTOP and the C library's own fail, and have no disposition of ours. */
	for (int signal = 1; signal < NSIG; signal++)
		sigaction(signal, &action, NULL);
	sigemptyset(&action.sa_mask);
	sigprocmask(SIG_SETMASK, &action.sa_mask, NULL);
}

static _Noreturn void run_child(struct child_options options, pid_t parent, int output,
				const char *temporary)
{
	int null_fd;

	/* The parent may have ended before that. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
		_exit(127);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	setsid();
	reset_signals();
	null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null_fd < 0 || dup2(null_fd, STDIN_FILENO) < 0 || dup2(output, STDOUT_FILENO) < 0 ||
	    dup2(output, STDERR_FILENO) < 0 || setenv("TMPDIR", temporary, 1) < 0)
		_exit(127);
	/* Those of other tests, the reports' files: nothing of them is this test's. */
	if (options.channel != STDERR_FILENO + 1) {
		if (dup3(options.channel, STDERR_FILENO + 1, O_CLOEXEC) < 0)
			_exit(127);
		options.channel = STDERR_FILENO + 1;
	}
	close_range(STDERR_FILENO + 2, ~0U, 0);
	setrlimit(RLIMIT_NOFILE, &options.fd_limit);
	child_run(&options);
}

static int make_ends(int channel[2], int output[2], struct provium_error *error)
{
	if (channel_make(channel, error) < 0)
		return -1;
	if (pipe2(output, O_CLOEXEC) < 0 || fcntl(output[0], F_SETFL, O_NONBLOCK) < 0)
		return error_set(error, PROVIUM_HOST, errno, "pipe of a test");
	return 0;
}

static int open_log(const char *directory, struct provium_error *error)
{
	char path[PATH_MAX];
	int fd;

	if (snprintf(path, sizeof(path), "%s/output", directory) >= (int)sizeof(path))
		return error_set(error, PROVIUM_HOST, ENAMETOOLONG, "'%s'", directory);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return error_set(error, PROVIUM_HOST, errno, "'%s'", path);
	return fd;
}

int process_start(struct process *process, const struct child_options *options,
		  const char *temporary, struct provium_error *error)
{
	struct child_options child = *options;
	int channel[2] = { -1, -1 };
	int output[2] = { -1, -1 };
	pid_t parent = getpid();

	*process = PROCESS_NONE;
	process->log = open_log(options->log_directory, error);
	if (process->log < 0 || make_ends(channel, output, error) < 0)
		goto fail;
	child.channel = channel[1];
	process->pid = fork();
	if (process->pid == 0)
		run_child(child, parent, output[1], temporary);
	if (process->pid < 0) {
		error_set(error, PROVIUM_HOST, errno, "fork");
		goto fail;
	}
	close_fd(channel[1]);
	close_fd(output[1]);
	process->channel = channel[0];
	process->output = output[0];
	process->pidfd = (int)syscall(SYS_pidfd_open, process->pid, 0);
	if (process->pidfd < 0) {
		error_set(error, PROVIUM_HOST, errno, "pidfd_open");
		kill(process->pid, SIGKILL);
		waitpid(process->pid, NULL, 0);
		process->pid = -1;
		process_close(process);
		process->output = close_fd(process->output);
		process->log = close_fd(process->log);
		return -1;
	}
	return 0;
fail:
	for (int i = 0; i < 2; i++) {
		close_fd(channel[i]);
		close_fd(output[i]);
	}
	process->log = close_fd(process->log);
	process->pid = -1;
	return -1;
}

void process_ask_to_end(const struct process *process)
{
	syscall(SYS_pidfd_send_signal, process->pidfd, SIGTERM, NULL, 0);
}

void process_kill(const struct process *process)
{
	syscall(SYS_pidfd_send_signal, process->pidfd, SIGKILL, NULL, 0);
}

static void put(struct process *process, const char *bytes, size_t size)
{
	while (size > 0) {
		ssize_t n = write(process->log, bytes, size);

		if (n < 0 && errno == EINTR)
			continue;
		/* A full disk: the test does not hang for it. */
		if (n < 0)
			return;
		bytes += n;
		size -= (size_t)n;
	}
}

/* False: there is nothing now, or never again. */
static bool take_some(struct process *process)
{
	char bytes[KIB(64)];
	ssize_t n = read(process->output, bytes, sizeof(bytes));
	uint64_t room;

	if (n < 0)
		return errno == EINTR;
	if (n == 0) {
		process->output = close_fd(process->output);
		return false;
	}
	room = PROCESS_MAX_OUTPUT - MIN(process->output_size, (uint64_t)PROCESS_MAX_OUTPUT);
	put(process, bytes, MIN((size_t)n, (size_t)room));
	if ((uint64_t)n > room && !process->output_cut) {
		put(process, cut_notice, sizeof(cut_notice) - 1);
		process->output_cut = true;
	}
	process->output_size += (uint64_t)n;
	return true;
}

void process_take_output(struct process *process)
{
	if (process->output >= 0)
		take_some(process);
}

void process_end(struct process *process, char *end, size_t size, int *status)
{
	siginfo_t info = { 0 };

	/* Its number is nobody else's before it is reaped. */
	kill(-process->pid, SIGKILL);
	for (int i = 0; i < LAST_READS && process->output >= 0 && take_some(process); i++)
		;
	while (waitid(P_PIDFD, (id_t)process->pidfd, &info, WEXITED) < 0 && errno == EINTR)
		;
	*status = info.si_code == CLD_EXITED ? info.si_status : -1;
	if (info.si_code == CLD_EXITED)
		snprintf(end, size, "exited with status %d", info.si_status);
	else
		snprintf(end, size, "was killed by signal %d (%s)", info.si_status,
			 strsignal(info.si_status));
	process->pid = -1;
	process->pidfd = close_fd(process->pidfd);
	process->output = close_fd(process->output);
	process->log = close_fd(process->log);
}

void process_close(struct process *process)
{
	process->channel = close_fd(process->channel);
}

/* Kills and reaps one. False: it does not end. */
static bool end_orphan(pid_t pid, uint64_t until_ns)
{
	cleanup_close int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	struct pollfd ended = { .fd = pidfd, .events = POLLIN };
	uint64_t now_ns = monotonic_ns();
	int left_ms = now_ns < until_ns ? (int)((until_ns - now_ns) / 1000000) : 0;

	if (pidfd < 0)
		return false;
	kill(pid, SIGKILL);
	while (poll(&ended, 1, left_ms) < 0) {
		if (errno != EINTR)
			return false;
	}
	return ended.revents && waitpid(pid, NULL, WNOHANG) == pid;
}

pid_t process_each_child(bool (*visit)(void *user, pid_t pid), void *user)
{
	char path[64];
	pid_t found = 0;
	FILE *file;
	int pid;

	/* CONFIG_PROC_CHILDREN, proc(5). */
	snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
	file = fopen(path, "re");
	if (!file)
		return 0;
	while (!found && fscanf(file, "%d", &pid) == 1) {
		if (!visit(user, pid))
			found = pid;
	}
	fclose(file);
	return found;
}

void process_sweep(bool (*known)(void *user, pid_t pid), void *user)
{
	uint64_t until_ns = monotonic_ns() + SWEEP_TIMEOUT_MS * UINT64_C(1000000);

	/* What an orphan has started is ours when it has ended. */
	for (int i = 0; i < SWEEP_ROUNDS; i++) {
		pid_t pid = process_each_child(known, user);

		if (pid == 0 || !end_orphan(pid, until_ns))
			return;
	}
}
