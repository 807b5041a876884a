/*
 * Theory of operation.
 *
 * The child is made with CLONE_VM and CLONE_VFORK: it runs on a stack of its own in our memory
 * while we stand still, until it has executed its program or ended. Nothing is copied, so the cost
 * does not grow with what the agent has mapped (fork() from 512 MiB: 20 ms). What must hold:
 *
 * - no signal handler of ours may run in the child: all signals are blocked before the clone, and
 *   the child sets every disposition that is not the default to it before it unblocks them. That
 *   also undoes what a test may have ignored in the agent: commands start from a clean state. Which
 *   those are is looked up anew only after a test has changed one: 64 system calls for each command
 *   were a fifth of what a command costs beyond posix_spawn(3);
 * - the child touches nothing but its request, its result and its stack;
 * - its working directory is its own (no CLONE_FS), and so is its fd table from its first step on.
 *   Without CLONE_FILES the clone would copy all of ours, three fds for each command that runs,
 *   which execve(2) closes again; close_range(2) copies those below a number. All that the child
 *   needs has the lowest that are free, while ours are high: the table is the least there is.
 *
 * Memory that is shared also shares whether it may be dumped, which a change of credentials takes
 * away: we give it back to ourselves when the child has its own. An agent that has lost it to a
 * test (or a worker, by its user) lends it to the child for oom_score_adj, which nobody else may
 * write.
 *
 * A failure is told through the shared memory, with the step that failed.
 */
#include "spawn.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/close_range.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/loop.h"
#include "agent/os.h"
#include "agent/server.h"
#include "common/util.h"

/* The size of the kernel's sigset_t, and the number of its last signal. */
#define KERNEL_SIGSET_SIZE 8
#define KERNEL_NSIG        64

/* The child shares our memory but not our stack: the address sanitizer would not know its way. */
#define IN_CHILD           __attribute__((no_sanitize("address"), no_sanitize("undefined")))

struct child_start {
	const struct loop *loop;
	const struct spawn_request *request;
	struct spawn_result *result;
	pid_t parent;
	/* Where the child finds its oom_score_adj; -1: by its path. */
	int proc_fd;
	/* The first number above all fds that the child needs. */
	unsigned int fds_end;
	/* Those whose disposition is not the default: bit N - 1 for signal N. */
	uint64_t signals;
};

/* As the process has them, while they are known. */
static uint64_t changed_signals;
static atomic_bool signals_known;

const char *spawn_step_name(enum spawn_step step)
{
	static const char *const names[] = {
		[SPAWN_PIPE] = "pipe",
		[SPAWN_PTMX] = "ptmx",
		[SPAWN_PEER] = "TIOCGPTPEER",
		[SPAWN_TTY_OWNER] = "fchown",
		[SPAWN_CGROUP] = "mount of cgroup2",
		[SPAWN_MKDIR] = "mkdir",
		[SPAWN_CGROUP_OPEN] = "open",
		[SPAWN_CLONE] = "clone",
		[SPAWN_CLONE3] = "clone3",
		[SPAWN_SETSID] = "setsid",
		[SPAWN_FDS] = "dup2",
		[SPAWN_TERMINAL] = "TIOCSCTTY",
		[SPAWN_OOM_SCORE] = "oom_score_adj",
		[SPAWN_CLOSE_RANGE] = "close_range",
		[SPAWN_RLIMIT] = "prlimit64",
		[SPAWN_NICE] = "setpriority",
		[SPAWN_GROUPS] = "setgroups",
		[SPAWN_GID] = "setresgid",
		[SPAWN_UID] = "setresuid",
		[SPAWN_PDEATHSIG] = "prctl",
		[SPAWN_CHDIR] = "chdir",
		[SPAWN_EXECVE] = "execve",
	};

	static_assert(ARRAY_SIZE(names) == SPAWN_EXECVE + 1, "a name for each step");
	return names[step];
}

void spawn_signals_changed(void)
{
	signals_known = false;
}

/* The kernel's struct sigaction begins with the handler, and has room in this on any architecture.
 */
static uint64_t look_at_signals(void)
{
	uint64_t action[8];

	if (atomic_exchange(&signals_known, true))
		return changed_signals;
	changed_signals = 0;
	for (long number = 1; number <= KERNEL_NSIG; number++)
		if (syscall(SYS_rt_sigaction, number, NULL, action, KERNEL_SIGSET_SIZE) == 0 &&
		    action[0] != (uintptr_t)SIG_DFL)
			changed_signals |= UINT64_C(1) << (number - 1);
	return changed_signals;
}

/* Straight to the kernel: a libc's wrapper takes locks and keeps books that are our parent's. */
IN_CHILD static void reset_signals(uint64_t signals)
{
	/* All zeros is SIG_DFL. */
	const uint64_t default_action[8] = { 0 };

	for (; signals; signals &= signals - 1)
		syscall(SYS_rt_sigaction, (long)__builtin_ctzll(signals) + 1, default_action, NULL,
			KERNEL_SIGSET_SIZE);
}

IN_CHILD bool spawn_restore_oom_score(const struct server_config *config, int proc_fd,
				      const char *value)
{
	size_t length = strlen(value);
	bool written;
	int fd;

	if (!config->restore_oom_score_adj)
		return true;
	/* proc(5): "/proc/pid", owner and dumpable. */
	prctl(PR_SET_DUMPABLE, 1);
	fd = openat(proc_fd, proc_fd >= 0 ? "self/oom_score_adj" : "/proc/self/oom_score_adj",
		    O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	written = write(fd, value, length) == (ssize_t)length;
	close(fd);
	return written;
}

/* None is below 3: none is overwritten, and each loses its close-on-exec. */
IN_CHILD static bool set_fds(const int fds[3])
{
	return dup2(fds[0], 0) >= 0 && dup2(fds[1], 1) >= 0 && dup2(fds[2], 2) >= 0;
}

/* All of ours are close-on-exec; a test may have opened others in the agent. */
IN_CHILD static bool close_others(void)
{
	return syscall(SYS_close_range, STDERR_FILENO + 1, ~0u, 0) == 0;
}

/* directory/name; an empty directory is the current one (POSIX, 8.3). False: it is too long. */
IN_CHILD static bool join(char *path, size_t size, const char *directory, size_t length,
			  const char *name)
{
	size_t name_size = strlen(name) + 1;

	if (length + 1 + name_size > size)
		return false;
	memcpy(path, directory, length);
	if (length > 0)
		path[length++] = '/';
	memcpy(path + length, name, name_size);
	return true;
}

/* Whether execvp(3) goes on with the next directory after this errno. */
IN_CHILD static bool look_further(int error)
{
	return error == EACCES || error == ENOENT || error == ENOTDIR || error == ESTALE ||
	       error == ENODEV || error == ETIMEDOUT;
}

/* As execvp(3): a program that is there and may not be run counts where no other can be. */
IN_CHILD static void search_and_execute(const struct spawn_request *request)
{
	const char *at = request->search_path;
	const char *name = request->argv[0];
	int error = ENOENT;
	char path[PATH_MAX];

	while (name[0]) {
		size_t length = (size_t)(strchrnul(at, ':') - at);

		if (join(path, sizeof(path), at, length, name)) {
			execve(path, request->argv, request->envp);
			if (!look_further(errno))
				return;
			if (errno == EACCES)
				error = EACCES;
		}
		if (!at[length])
			break;
		at += length + 1;
	}
	errno = error;
}

/* As it was before the agent raised its own, then as it was asked for. */
IN_CHILD static bool set_rlimits(const struct child_start *start)
{
	const struct server_config *config = start->loop->config;
	const struct spawn_attributes *attributes = start->request->attributes;

	if (config->restore_nofile &&
	    syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, &config->nofile, NULL) < 0)
		return false;
	for (size_t i = 0; i < attributes->rlimit_count; i++)
		if (syscall(SYS_prlimit64, 0, attributes->rlimits[i].resource,
			    &attributes->rlimits[i].limit, NULL) < 0)
			return false;
	return true;
}

/* The kernel cuts what is out of range. */
IN_CHILD static bool add_nice(int nice)
{
	/* The system call returns 20 less the niceness. */
	long priority = syscall(SYS_getpriority, PRIO_PROCESS, 0);

	return priority > 0 && setpriority(PRIO_PROCESS, 0, (int)(20 - priority) + nice) == 0;
}

/*
 * The system calls, not the functions: those change each thread of the agent (POSIX wants it).
 * Groups first, since who has changed the user may not change them any more.
 */
IN_CHILD bool spawn_set_credentials(const struct spawn_attributes *attributes,
				    enum spawn_step *step)
{
	*step = SPAWN_GROUPS;
	if (attributes->has_groups &&
	    syscall(SYS_setgroups, attributes->group_count, attributes->groups) < 0)
		return false;
	*step = SPAWN_GID;
	if (attributes->has_gid &&
	    syscall(SYS_setresgid, attributes->gid, attributes->gid, attributes->gid) < 0)
		return false;
	*step = SPAWN_UID;
	return !attributes->has_uid ||
	       syscall(SYS_setresuid, attributes->uid, attributes->uid, attributes->uid) == 0;
}

/* A change of credentials would undo it. */
IN_CHILD static bool die_with_parent(const struct child_start *start)
{
	pid_t parent;

	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		return false;
	/* The parent may have gone before that. In a new PID namespace it is 0. */
	parent = getppid();
	if (parent == start->parent || parent == 0)
		return true;
	errno = ESRCH;
	return false;
}

IN_CHILD static void prepare_and_execute(const struct child_start *start)
{
	const struct spawn_attributes *attributes = start->request->attributes;
	const uint64_t no_signals = 0;
	struct spawn_result *result = start->result;

	result->step = SPAWN_CLOSE_RANGE;
	if (syscall(SYS_close_range, start->fds_end, ~0u, CLOSE_RANGE_UNSHARE) < 0)
		return;
	reset_signals(start->signals);
	result->step = SPAWN_SETSID;
	if (setsid() < 0)
		return;
	result->step = SPAWN_FDS;
	if (!set_fds(start->request->fds))
		return;
	result->step = SPAWN_TERMINAL;
	if (start->request->terminal && ioctl(STDIN_FILENO, TIOCSCTTY, 0) < 0)
		return;
	result->step = SPAWN_OOM_SCORE;
	if (!spawn_restore_oom_score(start->loop->config, start->proc_fd,
				     start->loop->oom_score_adj))
		return;
	result->step = SPAWN_CLOSE_RANGE;
	if (!close_others())
		return;
	result->step = SPAWN_RLIMIT;
	if (!set_rlimits(start))
		return;
	result->step = SPAWN_NICE;
	if (attributes->nice != 0 && !add_nice(attributes->nice))
		return;
	if (!spawn_set_credentials(attributes, &result->step))
		return;
	result->step = SPAWN_PDEATHSIG;
	if (!die_with_parent(start))
		return;
	result->step = SPAWN_CHDIR;
	if (chdir(start->request->cwd) < 0)
		return;
	result->step = SPAWN_EXECVE;
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &no_signals, NULL, KERNEL_SIGSET_SIZE);
	if (start->request->search_path)
		search_and_execute(start->request);
	else
		execve(start->request->argv[0], start->request->argv, start->request->envp);
}

IN_CHILD static int child_main(void *argument)
{
	struct child_start *start = argument;

	prepare_and_execute(start);
	start->result->error = errno ? errno : EIO;
	syscall(SYS_exit_group, 127);
	return 127;
}

static void reap(pid_t pid)
{
	while (waitpid(pid, NULL, __WALL) < 0 && errno == EINTR)
		;
}

/* Where there is no lower number the child has to copy all up to ours. */
static int lower(int fd)
{
	int lowered = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);

	return lowered >= 0 ? lowered : fd;
}

bool spawn(const struct loop *loop, const struct spawn_request *request,
	   struct spawn_result *result)
{
	const struct server_config *config = loop->config;
	struct child_start start = {
		.loop = loop,
		.request = request,
		.result = result,
		.parent = getpid(),
		.proc_fd = lower(config->proc_fd),
		.signals = look_at_signals(),
	};
	int last = start.proc_fd;
	const uint64_t all_signals = ~(uint64_t)0;
	uint64_t old_signals;
	int dumpable = prctl(PR_GET_DUMPABLE);

	for (size_t i = 0; i < ARRAY_SIZE(request->fds); i++)
		last = MAX(last, request->fds[i]);
	start.fds_end = (unsigned int)last + 1;
	*result = (struct spawn_result){
		.pidfd = -1,
		.step = request->cgroup >= 0 ? SPAWN_CLONE3 : SPAWN_CLONE,
	};
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all_signals, &old_signals, KERNEL_SIGSET_SIZE);
	result->pid = os_clone(child_main, (char *)loop->spawn_stack + SPAWN_STACK_SIZE,
			       CLONE_VM | CLONE_VFORK | CLONE_FILES | CLONE_PIDFD | SIGCHLD, &start,
			       &result->pidfd, request->cgroup);
	if (result->pid < 0)
		result->error = errno;
	if (start.proc_fd != config->proc_fd)
		close(start.proc_fd);
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &old_signals, NULL, KERNEL_SIGSET_SIZE);
	/* 2 cannot be set, and is 0 but for who may read a core. */
	prctl(PR_SET_DUMPABLE, dumpable == 1);

	if (result->error == 0)
		return true;
	if (result->pid > 0) {
		reap(result->pid);
		close(result->pidfd);
		result->pidfd = -1;
	}
	return false;
}
