/*
 * Starting a process of a VM.
 *
 * The child shares our memory until it has executed the program (clone(2) with CLONE_VM and
 * CLONE_VFORK, as posix_spawn(3) has it): a test that holds gigabytes pays nothing for it. So the
 * child touches nothing but its own stack and fds, and signals are blocked until its dispositions
 * are reset, lest a handler of the program's runs in it. posix_spawn itself cannot set
 * PR_SET_PDEATHSIG, which must be set before the program starts.
 */
#include "host/lib/vm_process.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/close_range.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/util.h"
#include "host/lib/error.h"

#define CHILD_STACK_SIZE KIB(64)

/*
 * What the child runs. It never returns, so AddressSanitizer would take its frames for living ones
 * in the next child's stack, which may be at the same place.
 */
#define CHILD_CODE       __attribute__((no_sanitize("address")))

/* A process that the kernel cannot end for so long (a disk that hangs) is left to it. */
#define KILL_TIMEOUT_MS  10000

/* What parent and child share. */
struct start {
	char *const *argv;
	int output_fd;
	const int *keep;
	size_t n_keep;
	pid_t parent;
	sigset_t mask;
	/* Written by the child that could not execute the program. */
	const char *failed_step;
	int failed_errno;
};

CHILD_CODE static _Noreturn void fail(struct start *start, const char *step)
{
	start->failed_step = step;
	start->failed_errno = errno;
	_exit(127);
}

CHILD_CODE static void reset_signals(void)
{
	struct sigaction action = { .sa_handler = SIG_DFL };

	/* SIGKILL, SIGSTOP and the C library's own fail, and have no disposition of ours. */
	for (int signal = 1; signal < NSIG; signal++)
		sigaction(signal, &action, NULL);
	sigemptyset(&action.sa_mask);
	sigprocmask(SIG_SETMASK, &action.sa_mask, NULL);
}

CHILD_CODE static int child(void *arg)
{
	struct start *start = arg;
	int null_fd;

	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		fail(start, "prctl");
	/* The parent may have ended before that. */
	if (getppid() != start->parent)
		fail(start, "getppid");
	reset_signals();
	setsid();

	null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null_fd < 0)
		fail(start, "open /dev/null");
	if (dup2(null_fd, STDIN_FILENO) < 0 || dup2(start->output_fd, STDOUT_FILENO) < 0 ||
	    dup2(start->output_fd, STDERR_FILENO) < 0)
		fail(start, "dup2");
	/*
	 * What the program left open without close-on-exec is not for QEMU. Linux before 5.11 has
	 * no such flag: there it stays.
	 */
	close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
	for (size_t i = 0; i < start->n_keep; i++) {
		if (fcntl(start->keep[i], F_SETFD, 0) < 0)
			fail(start, "fcntl");
	}
	execv(start->argv[0], start->argv);
	fail(start, "execute");
}

/* An fd of 0 to 2 (the caller has closed its own) would be lost in the child's dup2. */
static bool above_stdio(int fd)
{
	return fd > STDERR_FILENO;
}

int vm_process_start(struct vm_process *process, char *const *argv, int output_fd, const int *keep,
		     size_t n_keep, struct provium_error *error)
{
	struct start start = {
		.argv = argv,
		.output_fd = output_fd,
		.keep = keep,
		.n_keep = n_keep,
		.parent = getpid(),
	};
	sigset_t all;
	sigset_t before;
	int pidfd = -1;
	void *stack;
	pid_t pid;

	*process = VM_PROCESS_NONE;
	for (size_t i = 0; i < n_keep; i++) {
		if (!above_stdio(keep[i]))
			return error_set(error, PROVIUM_INVALID, 0,
					 "start '%s': fds 0 to 2 must be open in this process",
					 argv[0]);
	}
	stack = mmap(NULL, CHILD_STACK_SIZE, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
	if (stack == MAP_FAILED)
		return error_set(error, PROVIUM_HOST, errno, "start '%s': stack", argv[0]);

	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &before);
	pid = clone(child, (char *)stack + CHILD_STACK_SIZE,
		    CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD, &start, &pidfd);
	if (pid < 0)
		error_set(error, PROVIUM_HOST, errno, "start '%s': clone", argv[0]);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	munmap(stack, CHILD_STACK_SIZE);
	if (pid < 0)
		return -1;

	process->pid = pid;
	process->pidfd = pidfd;
	if (start.failed_step) {
		struct deadline never = deadline_after(PROVIUM_FOREVER);

		vm_process_reap(process, &never);
		return error_set(error, PROVIUM_HOST, start.failed_errno, "start '%s': %s", argv[0],
				 start.failed_step);
	}
	return 0;
}

bool vm_process_reap(struct vm_process *process, const struct deadline *deadline)
{
	siginfo_t info = { 0 };

	if (!vm_process_running(process))
		return true;
	for (;;) {
		struct pollfd ended = { .fd = process->pidfd, .events = POLLIN };
		int n = poll(&ended, 1, deadline_remaining_ms(deadline));

		if (n > 0)
			break;
		if (n == 0 || errno != EINTR)
			return false;
	}
	/* ECHILD: the program ignores SIGCHLD, or waits for any child of its. It has ended. */
	while (waitid(P_PIDFD, (id_t)process->pidfd, &info, WEXITED) < 0 && errno == EINTR)
		;
	process->code = info.si_code;
	process->status = info.si_status;
	process->pidfd = close_fd(process->pidfd);
	process->pid = -1;
	return true;
}

void vm_process_kill(struct vm_process *process)
{
	struct deadline deadline = deadline_after(KILL_TIMEOUT_MS);

	if (!vm_process_running(process))
		return;
	syscall(SYS_pidfd_send_signal, process->pidfd, SIGKILL, NULL, 0);
	if (!vm_process_reap(process, &deadline)) {
		process->pidfd = close_fd(process->pidfd);
		process->pid = -1;
	}
}

bool vm_process_failed(const struct vm_process *process)
{
	if (vm_process_running(process))
		return false;
	return process->code == CLD_KILLED || process->code == CLD_DUMPED ||
	       (process->code == CLD_EXITED && process->status != 0);
}

void vm_process_describe_end(const struct vm_process *process, char *text, size_t size)
{
	switch (process->code) {
	case CLD_EXITED:
		snprintf(text, size, "exited with status %d", process->status);
		break;
	case CLD_KILLED:
	case CLD_DUMPED:
		snprintf(text, size, "was killed by signal %d (%s)", process->status,
			 strsignal(process->status));
		break;
	default:
		snprintf(text, size, "ended");
	}
}

static bool is_program(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

/* path becomes program in the directory of file. */
static bool find_beside(const char *file, const char *program, char *path)
{
	const char *slash = strrchr(file, '/');

	if (!slash)
		return false;
	if (snprintf(path, PATH_MAX, "%.*s/%s", (int)(slash - file), file, program) >= PATH_MAX)
		return false;
	return is_program(path);
}

static bool find_in_path(const char *program, char *path)
{
	const char *list = getenv("PATH");

	/* As execvp(3). */
	if (!list)
		list = "/bin:/usr/bin";
	while (*list) {
		int length = (int)strcspn(list, ":");

		if (length > 0 &&
		    snprintf(path, PATH_MAX, "%.*s/%s", length, list, program) < PATH_MAX &&
		    is_program(path))
			return true;
		list += length + (list[length] == ':');
	}
	return false;
}

bool vm_process_find(const char *program, bool beside, char *path)
{
	char self[PATH_MAX];
	Dl_info library;
	ssize_t n;

	if (strchr(program, '/')) {
		snprintf(path, PATH_MAX, "%s", program);
		return strlen(program) < PATH_MAX && is_program(program);
	}
	if (beside) {
		n = readlink("/proc/self/exe", self, sizeof(self) - 1);
		if (n > 0) {
			self[n] = '\0';
			if (find_beside(self, program, path))
				return true;
		}
		/* In a build directory the library lies beside it too. */
		if (dladdr((void *)(uintptr_t)provium_version, &library) && library.dli_fname &&
		    find_beside(library.dli_fname, program, path))
			return true;
	}
	return find_in_path(program, path);
}
