/*
 * provium-wrapper: the guest's first process. It starts the agent beside the real init, then
 * becomes the real init, which sees what it would have seen without us.
 *
 * What must hold:
 *
 * - After the fork nothing here may exit: the end of PID 1 is a kernel panic. Where something
 *   fails the real init is executed all the same, or the wrapper stays and reaps. Who holds it back
 *   (provium.hold) is the agent: that ends with the agent, whatever ends that.
 * - The real init has PID 1, the kernel's arguments and environment, the fds 0 to 2 that the kernel
 *   opened (perhaps none: there is no console) and no other, and no mount of ours. So every fd made
 *   here is close-on-exec and procfs is read without being mounted anywhere.
 * - Signals are settled by not being touched. PID 1 receives none that it has no handler for
 *   (kernel/signal.c, sig_task_ignored), SIGPIPE and SIGCHLD among them, and here is no handler; so
 *   no call below is interrupted, and mask and dispositions reach the real init as they were found.
 *
 * It is small (16 KiB at most): no stdio, no strerror.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/boot.h"
#include "common/cleanup.h"
#include "common/cmdline.h"
#include "common/detached.h"
#include "common/util.h"
#include "wrapper/procfs.h"
#include "wrapper/root.h"
#include "wrapper/unpack.h"

/* The longest command line of any architecture is 4 KiB; a bootconfig adds up to 32 KiB. */
#define CMDLINE_SIZE       KIB(64)

/* How long the agent may take to open its files before the real init is executed regardless. */
#define AGENT_TIMEOUT_MS   10000

/* How long it may then take to load its modules, where there is a root to be mounted. */
#define MODULES_TIMEOUT_MS 60000

/* Appends text to a buffer of size bytes, of which used are taken; what does not fit is cut. */
static size_t append(char *buffer, size_t size, size_t used, const char *text)
{
	size_t length = MIN(strlen(text), size - used);

	memcpy(buffer + used, text, length);
	return used + length;
}

/*
 * Writes a line to the kernel's log: there need be no console among the fds, nor a /dev. By the
 * highest priority, as a launcher waits for an agent that now may never answer.
 */
static void complain(const char *what, int error)
{
	cleanup_close int dev = detached_mount("devtmpfs");
	cleanup_close int kmsg = openat(dev, "kmsg", O_WRONLY | O_CLOEXEC);
	char line[256];
	char number[] = ": errno ...";
	size_t used = 0;

	for (char *digit = number + sizeof(number) - 2; *digit == '.'; digit--) {
		*digit = (char)('0' + error % 10);
		error /= 10;
	}
	used = append(line, sizeof(line), used, "<0>" BOOT_FATAL_PREFIX);
	used = append(line, sizeof(line), used, what);
	used = append(line, sizeof(line), used, number);
	/* There is no one left to tell that this failed. */
	(void)!write(kmsg, line, used);
}

/* The parameters are in /proc/cmdline alone: the kernel passes no dotted ones on. */
static void read_cmdline(char *text, size_t size)
{
	if (procfs_read("cmdline", text, size) < 0) {
		complain("cannot read the kernel's command line", errno);
		text[0] = '\0';
	}
}

/*
 * What the kernel would execute if we were not there: of an initramfs that is /init alone, and
 * init= or /sbin/init only of a root file system that is mounted for it. A name
 * that is there is taken even where it cannot be executed, so that this is told. `provium.init=`
 * with nothing behind it asks for no init. Returns NULL for none.
 */
static const char *find_init(const struct cmdline *cmdline, const char *root)
{
	cleanup_close int found = -1;

	if (cmdline->init)
		return cmdline->init[0] ? cmdline->init : NULL;
	if (root)
		return cmdline->kernel_init ? cmdline->kernel_init : "/sbin/init";
	found = open("/init", O_PATH | O_NOFOLLOW | O_CLOEXEC);
	return found >= 0 ? "/init" : NULL;
}

/* The wrapper's ends of the pipes to the agent (common/boot.h); -1: there is none. */
struct agent {
	int status_fd;
	int opened_fd;
};

struct agent_start {
	const struct cmdline *cmdline;
	const char *init;
	const char *root;
	/* The agent's ends. */
	int status_fd;
	int opened_fd;
};

/* In the child. Never returns. */
static int exec_agent(void *argument)
{
	const struct agent_start *start = argument;
	const char *argv[12] = { BOOT_AGENT_ARGV0, "--wrapper" };
	size_t argc = 2;
	const struct {
		const char *option;
		const char *value;
	} options[] = {
		{ "--port", start->cmdline->port },
		{ "--log", start->cmdline->log },
		{ "--init", start->init },
		{ "--root", start->root },
	};
	int proc = procfs();

	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		if (options[i].value) {
			argv[argc++] = options[i].option;
			argv[argc++] = options[i].value;
		}
	}
	/* Without an init there is nothing to hold. */
	if (start->cmdline->hold && start->init)
		argv[argc++] = "--hold";
	/* The copies are not close-on-exec. */
	if (dup2(start->status_fd, BOOT_STATUS_FD) < 0 ||
	    dup2(start->opened_fd, BOOT_OPENED_FD) < 0 ||
	    (proc >= 0 && dup2(proc, BOOT_PROC_FD) < 0)) {
		complain("cannot pass fds on", errno);
	} else {
		execve(BOOT_AGENT, (char **)argv, environ);
		complain("cannot execute " BOOT_AGENT, errno);
	}
	_exit(127);
}

/*
 * Starts the agent and waits until it has opened what it needs of this root, which the real init
 * may delete.
 */
static struct agent start_agent(const struct cmdline *cmdline, const char *init, const char *root)
{
	static const struct agent none = { -1, -1 };
	static _Alignas(16) char stack[KIB(8)];
	struct agent_start start = { cmdline, init, root, -1, -1 };
	cleanup_close int status_read = -1, status_write = -1;
	cleanup_close int opened_read = -1, opened_write = -1;
	int status[2], opened[2];
	int error = unpack(BOOT_AGENT_PACKED, BOOT_AGENT);
	struct pollfd poll_opened;
	char byte;
	pid_t pid;

	if (error)
		complain("cannot unpack " BOOT_AGENT_PACKED, error);
	if (pipe2(status, O_CLOEXEC) == 0) {
		status_read = status[0];
		status_write = status[1];
	}
	if (pipe2(opened, O_CLOEXEC) == 0) {
		opened_read = opened[0];
		opened_write = opened[1];
	}
	if (status_read < 0 || opened_read < 0) {
		complain("cannot make a pipe", errno);
		return none;
	}

	start.status_fd = status_read;
	start.opened_fd = opened_write;
	/* As vfork(2): a copy of our memory would be made for nothing. */
	pid = clone(exec_agent, stack + sizeof(stack), CLONE_VM | CLONE_VFORK | SIGCHLD, &start);
	if (pid < 0) {
		complain("cannot fork", errno);
		return none;
	}
	/* Our copy would keep the pipe from ending with the agent. */
	opened_write = close_fd(opened_write);

	poll_opened = (struct pollfd){ .fd = opened_read, .events = POLLIN };
	if (poll(&poll_opened, 1, AGENT_TIMEOUT_MS) <= 0)
		complain("it does not start", ETIMEDOUT);
	else if (read(opened_read, &byte, 1) != 1)
		complain("it ended at its start", EPIPE);
	else
		return (struct agent){ steal_fd(&status_write), steal_fd(&opened_read) };
	return (struct agent){ steal_fd(&status_write), -1 };
}

/* The modules of the disk, and of its file system, may be among those that the agent loads. */
static void await_modules(const struct agent *agent)
{
	struct pollfd loaded = { .fd = agent->opened_fd, .events = POLLIN };
	char byte;

	if (agent->opened_fd < 0)
		return;
	if (poll(&loaded, 1, MODULES_TIMEOUT_MS) <= 0)
		complain("it does not load its modules", ETIMEDOUT);
	else if (read(agent->opened_fd, &byte, 1) != 1)
		complain("it ended while it loaded its modules", EPIPE);
}

/*
 * Until the host has the real init executed, or the agent is gone that would tell of it: so long as
 * a test takes. What has ended meanwhile, and is nobody's, is not for the real init to find.
 */
static void hold_init(const struct agent *agent)
{
	const uint64_t waiting = 0;
	char byte = '\0';

	if (agent->opened_fd < 0)
		return;
	(void)!write(agent->status_fd, &waiting, sizeof(waiting));
	/* That it has loaded its modules may come late. */
	while (byte != BOOT_RELEASE[0] && read(agent->opened_fd, &byte, 1) == 1)
		;
	if (byte != BOOT_RELEASE[0])
		complain("it ended while init was held back, which now runs", EPIPE);
	while (waitpid(-1, NULL, WNOHANG | __WALL) > 0)
		;
}

/* The pipe is empty, and an agent that has died is no reason to stop: nothing to check. */
static void tell_start(int status_fd)
{
	struct timespec now;
	uint64_t started_ns;

	clock_gettime(CLOCK_BOOTTIME, &now);
	started_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
	(void)!write(status_fd, &started_ns, sizeof(started_ns));
}

static void tell_failure(int status_fd, int error, enum boot_step step)
{
	const int32_t told[] = { error, step };

	(void)!write(status_fd, told, sizeof(told));
}

/* Returns only where it fails. */
static void exec_init(const char *init, char **argv, int status_fd)
{
	tell_start(status_fd);
	argv[0] = (char *)init;
	execve(init, argv, environ);
	tell_failure(status_fd, errno, BOOT_EXECVE);
}

/* False: it has been told why not. */
static bool enter_root(const struct cmdline *cmdline, const char *root, const struct agent *agent)
{
	enum boot_step step;
	int error;

	await_modules(agent);
	error = root_enter(cmdline, root, &step);
	if (error == 0)
		return true;
	tell_start(agent->status_fd);
	tell_failure(agent->status_fd, error, step);
	return false;
}

/* What an init would do for programs to find the usual places. What is there already stays. */
static void set_up_root(void)
{
	static const struct {
		const char *type;
		const char *target;
		unsigned long flags;
		const char *data;
	} mounts[] = {
		{ "proc", "/proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL },
		{ "sysfs", "/sys", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL },
		{ "devtmpfs", "/dev", MS_NOSUID, "mode=0755" },
		{ "devpts", "/dev/pts", MS_NOSUID | MS_NOEXEC, "gid=5,mode=0620,ptmxmode=0666" },
		{ "tmpfs", "/dev/shm", MS_NOSUID | MS_NODEV, "mode=1777" },
		{ "tmpfs", "/tmp", MS_NOSUID | MS_NODEV, "mode=1777" },
		{ "tmpfs", "/run", MS_NOSUID | MS_NODEV, "mode=0755" },
	};
	static const struct {
		const char *target;
		const char *path;
	} links[] = {
		{ "/proc/self/fd", "/dev/fd" },
		{ "fd/0", "/dev/stdin" },
		{ "fd/1", "/dev/stdout" },
		{ "fd/2", "/dev/stderr" },
	};

	/* A kernel without one of these file systems is worth testing, too. */
	for (size_t i = 0; i < ARRAY_SIZE(mounts); i++) {
		mkdir(mounts[i].target, 0755);
		mount(mounts[i].type, mounts[i].target, mounts[i].type, mounts[i].flags,
		      mounts[i].data);
	}
	for (size_t i = 0; i < ARRAY_SIZE(links); i++)
		(void)!symlink(links[i].target, links[i].path);
}

/*
 * For ever. Blocked, SIGCHLD stays pending for sigwaitinfo, so that a child that comes and ends
 * between the two calls is not missed.
 */
static void reap(void)
{
	sigset_t child;

	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child, NULL);
	for (;;) {
		if (waitpid(-1, NULL, __WALL) < 0)
			sigwaitinfo(&child, NULL);
	}
}

int main(int argc, char **argv)
{
	static char text[CMDLINE_SIZE];
	struct cmdline cmdline;
	struct agent agent;
	const char *init, *root;

	if (getpid() != 1 || argc < 1) {
		static const char usage[] = "provium-wrapper: the kernel starts it as init "
					    "(rdinit=" BOOT_WRAPPER ")\n";

		(void)!write(STDERR_FILENO, usage, sizeof(usage) - 1);
		return 1;
	}

	read_cmdline(text, sizeof(text));
	cmdline_parse(text, &cmdline);
	root = root_wanted(&cmdline);
	init = find_init(&cmdline, root);
	agent = start_agent(&cmdline, init, root);
	if (!root || enter_root(&cmdline, root, &agent)) {
		if (init && cmdline.hold)
			hold_init(&agent);
		if (init)
			exec_init(init, argv, agent.status_fd);
		else
			set_up_root();
	}
	close_fd(agent.status_fd);
	close_fd(agent.opened_fd);
	reap();
}
