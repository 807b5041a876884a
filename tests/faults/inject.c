/*
 * inject CLASS NTH PROGRAM [ARGUMENT...]: runs a program, and has one of its system calls fail.
 *
 * Of the calls that can fail in the way that the class names (their man pages say which those are)
 * the program's NTH, counted from 1 over all its processes, is not made and returns the class's
 * errno; of the class "short" it moves one byte of all that it was to read or write. What the
 * program executes is left alone, if it is another program. When all its processes have ended a
 * line on standard error says how many such calls there were; one says which failed, when it does.
 * The exit status is the program's.
 *
 * The kernel asks here before each call (seccomp_unotify(2)), so that programs without a C library
 * that could be replaced, and those that run under sanitizers, are served alike.
 */
#include <errno.h>
#include <linux/audit.h>
#include <linux/close_range.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/util.h"
#include "partial.h"

struct fault_class {
	const char *name;
	/* 0: it succeeds, with less than was asked for. */
	int error;
	/* Ends with -1. */
	const int *calls;
};

/* Descriptors are made by: */
#define MAKES_FDS                                                                       \
	SYS_open, SYS_openat, SYS_socket, SYS_accept4, SYS_accept, SYS_pipe2, SYS_pipe, \
		SYS_socketpair, SYS_eventfd2, SYS_epoll_create1, SYS_timerfd_create,    \
		SYS_memfd_create, SYS_pidfd_open, SYS_pidfd_getfd, SYS_dup, SYS_dup3,   \
		SYS_inotify_init1, SYS_signalfd4, SYS_fsopen, SYS_fsmount

#define TAKES_PATHS                                                                                \
	SYS_readlink, SYS_readlinkat, SYS_statx, SYS_newfstatat, SYS_stat, SYS_lstat, SYS_mkdirat, \
		SYS_mkdir, SYS_renameat2, SYS_rename, SYS_unlinkat, SYS_unlink, SYS_rmdir,         \
		SYS_symlinkat, SYS_symlink, SYS_chdir, SYS_fchmodat, SYS_fchownat, SYS_mount,      \
		SYS_umount2

#define USES_SOCKETS \
	SYS_connect, SYS_bind, SYS_setsockopt, SYS_sendmsg, SYS_sendto, SYS_recvmsg, SYS_recvfrom

static const int no_fds[] = { MAKES_FDS, -1 };
/* Not brk: the GNU C library's malloc does not survive one that fails once. */
static const int no_memory[] = {
	MAKES_FDS, SYS_mmap,    SYS_mremap,    SYS_mprotect,    SYS_clone, SYS_clone3,
	SYS_fork,  SYS_vfork,   SYS_epoll_ctl, SYS_poll,        SYS_ppoll, SYS_getdents64,
	SYS_fcntl, TAKES_PATHS, USES_SOCKETS,  SYS_close_range, -1,
};
static const int interrupted[] = {
	SYS_read,       SYS_write,
	SYS_readv,      SYS_writev,
	SYS_pread64,    SYS_pwrite64,
	SYS_recvmsg,    SYS_sendmsg,
	SYS_recvfrom,   SYS_sendto,
	SYS_epoll_wait, SYS_epoll_pwait,
	SYS_poll,       SYS_ppoll,
	SYS_wait4,      SYS_waitid,
	SYS_nanosleep,  SYS_openat,
	SYS_open,       SYS_connect,
	SYS_accept4,    SYS_clock_nanosleep,
	SYS_fsync,      SYS_fallocate,
	SYS_futex,      -1,
};
/* Of sockets and pipes; a file never says so. */
static const int not_now[] = {
	SYS_recvmsg, SYS_sendmsg, SYS_recvfrom, SYS_sendto, SYS_accept4, -1
};
static const int gone[] = { SYS_sendmsg, SYS_sendto, SYS_recvmsg, SYS_recvfrom, -1 };
static const int no_process[] = { SYS_clone, SYS_clone3, SYS_fork, SYS_vfork, -1 };
static const int broken[] = { SYS_read,       SYS_write, SYS_pread64,   SYS_pwrite64,
			      SYS_getdents64, SYS_fsync, SYS_ftruncate, -1 };

static const struct fault_class classes[] = {
	{ "EMFILE", EMFILE, no_fds },         { "ENOMEM", ENOMEM, no_memory },
	{ "EINTR", EINTR, interrupted },      { "EAGAIN", EAGAIN, not_now },
	{ "ECONNRESET", ECONNRESET, gone },   { "EPIPE", EPIPE, gone },
	{ "ENOSPC", ENOSPC, broken },         { "EIO", EIO, broken },
	{ "no-process", EAGAIN, no_process }, { "short", 0, partial_calls },
};

/* Written by the child before it can ask anybody: its listener's number. */
static int *shared_fd;

static struct stat program;

/* Processes by what they are: known since their last execve. */
#define MAX_PIDS 4194304
static uint8_t *known;
enum {
	UNKNOWN,
	COUNTED,
	LEFT_ALONE
};

static _Noreturn void fail(const char *what)
{
	perror(what);
	exit(125);
}

static _Noreturn void run_child(char **argv)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		/* These return nothing. */
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_rt_sigreturn, 2, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit, 1, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
	};
	struct sock_fprog fprog = { .len = ARRAY_SIZE(filter), .filter = filter };

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	*(volatile int *)shared_fd = (int)syscall(
		SYS_seccomp, SECCOMP_SET_MODE_FILTER,
		SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, &fprog);
	execv(argv[0], argv);
	_exit(127);
}

/* The listener is in the child's table, and the child waits in its next call. */
static int take_listener(pid_t pid)
{
	int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	int listener;

	if (pidfd < 0)
		fail("pidfd_open");
	while (*(volatile int *)shared_fd == -1)
		usleep(100);
	if (*shared_fd < 0)
		fail("seccomp");
	listener = (int)syscall(SYS_pidfd_getfd, pidfd, *shared_fd, 0);
	if (listener < 0)
		fail("pidfd_getfd");
	close(pidfd);
	return listener;
}

static bool is_counted(pid_t pid, int number)
{
	char path[64];
	struct stat status;

	if (pid <= 0 || pid >= MAX_PIDS)
		return false;
	/* Afterwards it may be another program; a number may be used again. */
	if (number == SYS_execve || number == SYS_execveat) {
		known[pid] = UNKNOWN;
		return false;
	}
	if (known[pid] == UNKNOWN) {
		snprintf(path, sizeof(path), "/proc/%d/exe", pid);
		known[pid] = stat(path, &status) == 0 && status.st_dev == program.st_dev &&
					     status.st_ino == program.st_ino
				     ? COUNTED
				     : LEFT_ALONE;
	}
	return known[pid] == COUNTED;
}

/* Of what its first argument is as a descriptor; "" where it is none. */
static void describe_fd(const struct seccomp_notif *request, char *target, size_t size)
{
	char path[64];
	ssize_t length;

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)request->pid,
		 (int)request->data.args[0]);
	length = readlink(path, target, size - 1);
	target[MAX(length, 0)] = '\0';
}

static bool can_fail(const struct fault_class *class, const struct seccomp_notif *request)
{
	char target[256];

	for (const int *call = class->calls; *call >= 0; call++) {
		if (*call != request->data.nr)
			continue;
		/* What is only asked does not wait. */
		if ((*call == SYS_waitid && request->data.args[3] & WNOHANG) ||
		    (*call == SYS_wait4 && request->data.args[2] & WNOHANG))
			return false;
		/* Who only wakes others does not wait. */
		if (*call == SYS_futex && (request->data.args[1] & FUTEX_CMD_MASK) != FUTEX_WAIT &&
		    (request->data.args[1] & FUTEX_CMD_MASK) != FUTEX_WAIT_BITSET)
			return false;
		/* What the kernel has it only changes. */
		if (*call == SYS_epoll_ctl && request->data.args[1] != EPOLL_CTL_ADD)
			return false;
		/* Without a table of its own to be made there is nothing that it needs. */
		if (*call == SYS_close_range && !(request->data.args[2] & CLOSE_RANGE_UNSHARE))
			return false;
		describe_fd(request, target, sizeof(target));
		/* An eventfd that does not wait cannot fail; media are what has a path. */
		if (strstr(target, "[eventfd]"))
			return false;
		if (class->error == 0)
			return partial_applies(request, target);
		return class->calls != broken || *target == '/';
	}
	return false;
}

struct count {
	unsigned long nth;
	unsigned long seen;
};

static void tell(const struct fault_class *class, const struct seccomp_notif *request)
{
	char target[256];

	describe_fd(request, target, sizeof(target));
	fprintf(stderr, "inject: %s is the answer to system call %d of process %d (%s)\n",
		class->name, request->data.nr, (int)request->pid, target);
}

/* False: no process is left that could ask. */
static bool answer_one(int listener, const struct fault_class *class, struct count *count)
{
	struct seccomp_notif request;
	struct seccomp_notif_resp response;
	struct pollfd ready = { .fd = listener, .events = POLLIN };

	if (poll(&ready, 1, -1) < 0)
		return errno == EINTR;
	if (!(ready.revents & POLLIN))
		return false;
	memset(&request, 0, sizeof(request));
	memset(&response, 0, sizeof(response));
	/* ENOENT: it was killed meanwhile. */
	if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &request) < 0)
		return errno == ENOENT || errno == EINTR;
	response.id = request.id;
	response.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
	if (is_counted((pid_t)request.pid, request.data.nr) && can_fail(class, &request) &&
	    ++count->seen == count->nth) {
		response.flags = 0;
		response.error = -class->error;
		/* Now, since what comes of it may be that this is killed. */
		tell(class, &request);
		if (class->error == 0)
			partial_make(listener, &request, &response);
	}
	if (ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &response) < 0 && errno != ENOENT)
		fail("SECCOMP_IOCTL_NOTIF_SEND");
	return true;
}

int main(int argc, char **argv)
{
	const struct fault_class *class = NULL;
	struct count count = { 0 };
	int listener;
	int status;
	pid_t pid;

	for (size_t i = 0; argc > 3 && i < ARRAY_SIZE(classes); i++) {
		if (strcmp(classes[i].name, argv[1]) == 0)
			class = &classes[i];
	}
	if (!class) {
		fprintf(stderr, "usage: inject CLASS NTH PROGRAM [ARGUMENT...]\nclasses:");
		for (size_t i = 0; i < ARRAY_SIZE(classes); i++)
			fprintf(stderr, " %s", classes[i].name);
		fprintf(stderr, "\n");
		return 125;
	}
	count.nth = strtoul(argv[2], NULL, 10);
	known = mmap(NULL, MAX_PIDS, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	shared_fd = mmap(NULL, sizeof(*shared_fd), PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (known == MAP_FAILED || shared_fd == MAP_FAILED)
		fail("mmap");
	*shared_fd = -1;
	if (stat(argv[3], &program) < 0)
		fail(argv[3]);
	/* Orphans of the program's end here. */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	/* What is meant for the program reaches it: it is in this group. */
	signal(SIGTERM, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	/* Of a write in its place. */
	signal(SIGPIPE, SIG_IGN);
	pid = fork();
	if (pid < 0)
		fail("fork");
	if (pid == 0) {
		signal(SIGTERM, SIG_DFL);
		signal(SIGINT, SIG_DFL);
		signal(SIGPIPE, SIG_DFL);
		run_child(argv + 3);
	}
	listener = take_listener(pid);
	while (answer_one(listener, class, &count))
		;
	waitpid(pid, &status, 0);
	fprintf(stderr, "inject: %lu calls\n", count.seen);
	if (WIFSIGNALED(status)) {
		fprintf(stderr, "inject: the program was killed by signal %d\n", WTERMSIG(status));
		return 128 + WTERMSIG(status);
	}
	return WEXITSTATUS(status);
}
