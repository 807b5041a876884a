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

/* The longest command line of any architecture is 4 KiB; a bootconfig adds up to 32 KiB. */
#define CMDLINE_SIZE     KIB(64)

/* How long the agent may take to open its files before the real init is executed regardless. */
#define AGENT_TIMEOUT_MS 10000

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

/* Reads all of a procfs's cmdline into text, without the newline at its end. */
static int read_from_procfs(int proc, char *text, size_t size)
{
	cleanup_close int fd = openat(proc, "cmdline", O_RDONLY | O_CLOEXEC);
	size_t used = 0;
	ssize_t count;

	if (fd < 0)
		return -1;
	while ((count = read(fd, text + used, size - 1 - used)) > 0)
		used += (size_t)count;
	if (count < 0)
		return -1;
	if (used > 0 && text[used - 1] == '\n')
		used--;
	text[used] = '\0';
	return 0;
}

/*
 * The parameters are in /proc/cmdline alone: the kernel passes no dotted ones on. Where procfs
 * cannot be had detached (fsopen and fsmount are since Linux 5.2) it is mounted for the moment, and
 * the directory that this may need is removed again.
 */
static void read_cmdline(char *text, size_t size)
{
	cleanup_close int detached = detached_mount("proc");
	bool made, failed;

	if (detached >= 0 && read_from_procfs(detached, text, size) == 0)
		return;
	made = mkdir("/proc", 0555) == 0;
	failed = mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0;
	if (!failed) {
		cleanup_close int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		failed = read_from_procfs(proc, text, size) < 0;
	}
	if (failed) {
		complain("cannot read the kernel's command line", errno);
		text[0] = '\0';
	}
	umount2("/proc", MNT_DETACH);
	if (made)
		rmdir("/proc");
}

/*
 * What the kernel would execute if we were not there: of an initramfs that is /init alone, and
 * /sbin/init and its like only of a root file system that the kernel has mounted itself. A name
 * that is there is taken even where it cannot be executed, so that this is told. `provium.init=`
 * with nothing behind it asks for no init. Returns NULL for none.
 */
static const char *find_init(const struct cmdline *cmdline)
{
	cleanup_close int found = -1;

	if (cmdline->init)
		return cmdline->init[0] ? cmdline->init : NULL;
	found = open("/init", O_PATH | O_NOFOLLOW | O_CLOEXEC);
	return found >= 0 ? "/init" : NULL;
}

/* The wrapper's ends of the pipes to the agent (common/boot.h); -1: there is none. */
struct agent {
	int status_fd;
	int opened_fd;
};

/* In the child. Never returns. */
static void exec_agent(const struct cmdline *cmdline, const char *init, int status_fd,
		       int opened_fd)
{
	const char *argv[12] = { BOOT_AGENT_ARGV0, "--wrapper" };
	size_t argc = 2;
	const struct {
		const char *option;
		const char *value;
	} options[] = {
		{ "--port", cmdline->port },
		{ "--log", cmdline->log },
		{ "--init", init },
	};

	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		if (options[i].value) {
			argv[argc++] = options[i].option;
			argv[argc++] = options[i].value;
		}
	}
	/* Without an init there is nothing to hold. */
	if (cmdline->hold && init)
		argv[argc++] = "--hold";
	/* The copies are not close-on-exec. */
	if (dup2(status_fd, BOOT_STATUS_FD) < 0 || dup2(opened_fd, BOOT_OPENED_FD) < 0) {
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
static struct agent start_agent(const struct cmdline *cmdline, const char *init)
{
	static const struct agent none = { -1, -1 };
	cleanup_close int status_read = -1, status_write = -1;
	cleanup_close int opened_read = -1, opened_write = -1;
	int status[2], opened[2];
	struct pollfd poll_opened;
	char byte;
	pid_t pid;

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

	pid = _Fork();
	if (pid == 0)
		exec_agent(cmdline, init, status_read, opened_write);
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

/*
 * Until the host has the real init executed, or the agent is gone that would tell of it: so long as
 * a test takes. What has ended meanwhile, and is nobody's, is not for the real init to find.
 */
static void hold_init(const struct agent *agent)
{
	char byte;

	if (agent->opened_fd < 0)
		return;
	if (read(agent->opened_fd, &byte, 1) != 1)
		complain("it ended while init was held back, which now runs", EPIPE);
	while (waitpid(-1, NULL, WNOHANG | __WALL) > 0)
		;
}

/* Returns only where it fails. */
static void exec_init(const char *init, char **argv, int status_fd)
{
	struct boot_status status;
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	status.started_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
	/* The pipe is empty, and an agent that has died is no reason to stop: nothing to check. */
	(void)!write(status_fd, &status.started_ns, sizeof(status.started_ns));

	argv[0] = (char *)init;
	execve(init, argv, environ);
	status.error = errno;
	(void)!write(status_fd, &status.error, sizeof(status.error));
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
	const char *init;

	if (getpid() != 1 || argc < 1) {
		static const char usage[] = "provium-wrapper: the kernel starts it as init "
					    "(rdinit=" BOOT_WRAPPER ")\n";

		(void)!write(STDERR_FILENO, usage, sizeof(usage) - 1);
		return 1;
	}

	read_cmdline(text, sizeof(text));
	cmdline_parse(text, &cmdline);
	init = find_init(&cmdline);
	agent = start_agent(&cmdline, init);
	if (init && cmdline.hold)
		hold_init(&agent);
	if (init)
		exec_init(init, argv, agent.status_fd);
	else
		set_up_root();
	close_fd(agent.status_fd);
	close_fd(agent.opened_fd);
	reap();
}
