/*
 * An init that writes down what it sees of itself, to the first serial port, and powers off. Each
 * line is one fact; what a process can ask without any file is asked before the first file is
 * opened.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <termios.h>
#include <unistd.h>

#define FDS 4096

static char text[65536];
static size_t used;

static void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void say(const char *format, ...)
{
	va_list arguments;
	int length;

	va_start(arguments, format);
	length = vsnprintf(text + used, sizeof(text) - used, format, arguments);
	va_end(arguments);
	if (length > 0 && (size_t)length < sizeof(text) - used)
		used += (size_t)length;
}

static void say_identity(void)
{
	say("pid %d ppid %d pgrp %d session %d tid %d\n", getpid(), getppid(), getpgrp(), getsid(0),
	    (int)syscall(SYS_gettid));
	say("uid %u %u gid %u %u groups %d\n", getuid(), geteuid(), getgid(), getegid(),
	    getgroups(0, NULL));
	say("personality %x\n", (unsigned int)personality(0xffffffff));
	say("policy %d nice %d\n", (int)syscall(SYS_sched_getscheduler, 0),
	    getpriority(PRIO_PROCESS, 0));
	say("no_new_privs %d dumpable %d keepcaps %d securebits %x\n",
	    prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), prctl(PR_GET_DUMPABLE, 0, 0, 0, 0),
	    prctl(PR_GET_KEEPCAPS, 0, 0, 0, 0), (unsigned int)prctl(PR_GET_SECUREBITS, 0, 0, 0, 0));
	say("timerslack %d thp %d\n", prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0),
	    prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0));
}

/* Which there are; their numbers are random. */
static void say_keyrings(void)
{
	static const struct {
		const char *name;
		int key;
	} keyrings[] = {
		{ "thread", KEY_SPEC_THREAD_KEYRING },
		{ "process", KEY_SPEC_PROCESS_KEYRING },
		{ "session", KEY_SPEC_SESSION_KEYRING },
		{ "user", KEY_SPEC_USER_KEYRING },
		{ "user session", KEY_SPEC_USER_SESSION_KEYRING },
	};

	for (size_t i = 0; i < sizeof(keyrings) / sizeof(keyrings[0]); i++)
		say("%s keyring: %s\n", keyrings[i].name,
		    syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, keyrings[i].key, 0) < 0
			    ? strerror(errno)
			    : "there");
}

static void say_limits(void)
{
	for (int resource = 0; resource < RLIM_NLIMITS; resource++) {
		struct rlimit limit;

		getrlimit(resource, &limit);
		say("rlimit %d %llx %llx\n", resource, (unsigned long long)limit.rlim_cur,
		    (unsigned long long)limit.rlim_max);
	}
}

static void say_fds(void)
{
	for (int fd = 0; fd < FDS; fd++) {
		struct stat status;

		if (fcntl(fd, F_GETFD) < 0)
			continue;
		fstat(fd, &status);
		say("fd %d mode %o rdev %x:%x flags %x cloexec %d offset %ld\n", fd, status.st_mode,
		    major(status.st_rdev), minor(status.st_rdev), (unsigned int)fcntl(fd, F_GETFL),
		    fcntl(fd, F_GETFD), (long)lseek(fd, 0, SEEK_CUR));
	}
}

static void say_signals(void)
{
	sigset_t blocked, pending;

	sigprocmask(SIG_BLOCK, NULL, &blocked);
	sigpending(&pending);
	for (int number = 1; number < _NSIG; number++) {
		struct sigaction action;
		bool ignored =
			sigaction(number, NULL, &action) == 0 && action.sa_handler == SIG_IGN;

		if (sigismember(&blocked, number) || sigismember(&pending, number) || ignored)
			say("signal %d blocked %d pending %d ignored %d\n", number,
			    sigismember(&blocked, number), sigismember(&pending, number), ignored);
	}
}

/* A file's lines, "NAME: LINE". keep: only those that begin so. */
static void say_file(const char *path, const char *keep)
{
	FILE *file = fopen(path, "re");
	char line[4096];

	if (!file) {
		say("%s: %m\n", path);
		return;
	}
	while (fgets(line, sizeof(line), file)) {
		if (!keep || strncmp(line, keep, strlen(keep)) == 0)
			say("%s: %s", path, line);
	}
	fclose(file);
}

static void say_link(const char *path)
{
	char target[256];
	ssize_t length = readlink(path, target, sizeof(target) - 1);

	target[length < 0 ? 0 : length] = '\0';
	say("%s -> %s\n", path, target);
}

/* proc_pid_stat(5): behind the name, which ends with the last parenthesis, the fifth is the tty. */
static void say_terminal(void)
{
	FILE *file = fopen("/proc/self/stat", "re");
	char line[1024] = "";
	const char *at;
	int tty = -1;

	if (file && fgets(line, sizeof(line), file) && (at = strrchr(line, ')')))
		sscanf(at, ") %*c %*d %*d %*d %d", &tty);
	if (file)
		fclose(file);
	say("tty %d\n", tty);
}

static void say_proc(void)
{
	static const char *const keep[] = { "Umask",   "Cap",        "Sig",       "Shd",
					    "Seccomp", "Threads",    "TracerPid", "NoNewPrivs",
					    "NSpid",   "CoreDumping" };
	static const char *const links[] = { "exe",     "cwd",     "root",     "ns/mnt",
					     "ns/pid",  "ns/net",  "ns/uts",   "ns/ipc",
					     "ns/user", "ns/time", "ns/cgroup" };
	static const char *const files[] = { "cgroup",    "oom_score_adj", "oom_adj",
					     "comm",      "timerslack_ns", "loginuid",
					     "sessionid", "autogroup",     "coredump_filter",
					     "mountinfo" };
	char path[64];

	mkdir("/proc", 0555);
	mount("proc", "/proc", "proc", 0, NULL);
	for (size_t i = 0; i < sizeof(keep) / sizeof(keep[0]); i++)
		say_file("/proc/self/status", keep[i]);
	for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++) {
		snprintf(path, sizeof(path), "/proc/self/%s", links[i]);
		say_link(path);
	}
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		snprintf(path, sizeof(path), "/proc/self/%s", files[i]);
		say_file(path, NULL);
	}
	say_file("/proc/modules", NULL);
	say_file("/proc/consoles", NULL);
	say_terminal();
}

/* The port itself, as there may be no console; without the terminal's own line ends. */
static void put(void)
{
	struct termios raw;
	size_t done = 0;
	int fd;

	mknod("/view-port", S_IFCHR | 0600, makedev(4, 64));
	fd = open("/view-port", O_RDWR | O_NOCTTY | O_CLOEXEC);
	tcgetattr(fd, &raw);
	cfmakeraw(&raw);
	tcsetattr(fd, TCSANOW, &raw);
	while (done < used) {
		ssize_t count = write(fd, text + done, used - done);

		if (count <= 0)
			break;
		done += (size_t)count;
	}
	tcdrain(fd);
}

int main(int argc, char **argv)
{
	mode_t mask = umask(0);

	umask(mask);
	say("VIEW BEGINS\n");
	for (int i = 0; i < argc; i++)
		say("argv[%d] '%s'\n", i, argv[i]);
	for (char **variable = environ; *variable; variable++)
		say("environ '%s'\n", *variable);
	say("umask %o\n", mask);
	say_fds();
	say_identity();
	say_keyrings();
	say_limits();
	say_signals();
	say_proc();
	say("VIEW ENDS\n");
	put();
	reboot(RB_POWER_OFF);
	return 1;
}
