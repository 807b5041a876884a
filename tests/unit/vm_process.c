/* Starting, ending and finding programs: what they inherit, and what they do not. */
#include "host/lib/vm_process.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/util.h"
#include "unit.h"

static char output[8192];

/* Runs a shell command to its end; what it prints is in output. */
static void run(const char *command, const int *keep, size_t n_keep, struct vm_process *process)
{
	char shell[] = "/bin/sh";
	char option[] = "-c";
	char *text = strdup(command);
	char *argv[] = { shell, option, text, NULL };
	struct deadline deadline = deadline_after(20000);
	struct provium_error error;
	size_t used = 0;
	int fds[2];
	ssize_t n;

	ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
	ck_assert_int_eq(vm_process_start(process, argv, fds[1], keep, n_keep, &error), 0);
	ck_assert(vm_process_running(process));
	close(fds[1]);
	while ((n = read(fds[0], output + used, sizeof(output) - 1 - used)) > 0)
		used += (size_t)n;
	output[used] = '\0';
	close(fds[0]);
	ck_assert(vm_process_reap(process, &deadline));
	ck_assert(!vm_process_running(process));
	free(text);
}

START_TEST(test_output)
{
	struct vm_process process;

	run("echo out; echo err >&2; cat; exit 7", NULL, 0, &process);
	ck_assert_str_eq(output, "out\nerr\n");
	ck_assert_int_eq(process.code, CLD_EXITED);
	ck_assert_int_eq(process.status, 7);
}
END_TEST

START_TEST(test_describe)
{
	struct vm_process process;
	char text[128];

	run("exit 3", NULL, 0, &process);
	vm_process_describe_end(&process, text, sizeof(text));
	ck_assert_str_eq(text, "exited with status 3");
	run("kill -9 $$", NULL, 0, &process);
	vm_process_describe_end(&process, text, sizeof(text));
	ck_assert_str_eq(text, "was killed by signal 9 (Killed)");
	process = VM_PROCESS_NONE;
	vm_process_describe_end(&process, text, sizeof(text));
	ck_assert_str_eq(text, "ended");
}
END_TEST

/* The fds that are named, under their numbers, and no other, close-on-exec or not. */
START_TEST(test_fds)
{
	struct vm_process process;
	int kept = open("/dev/null", O_RDONLY | O_CLOEXEC);
	int leaky = open("/dev/null", O_RDONLY);
	char wanted[64];

	ck_assert_int_ge(kept, 3);
	ck_assert_int_ge(leaky, 3);
	/* Builtins alone. The directory, open while its names are read, is not there any more. */
	run("for f in /proc/$$/fd/*; do [ -e $f ] && echo ${f##*/}; done", &kept, 1, &process);
	snprintf(wanted, sizeof(wanted), "0\n1\n2\n%d\n", kept);
	ck_assert_str_eq(output, wanted);
	/* Ours are as they were. */
	ck_assert_int_eq(fcntl(kept, F_GETFD), FD_CLOEXEC);
	ck_assert_int_eq(fcntl(leaky, F_GETFD), 0);
	close(kept);
	close(leaky);
}
END_TEST

START_TEST(test_session)
{
	struct vm_process process;
	int pid;
	int group;
	int session;

	/* proc_pid_stat(5): pid, comm, state, ppid, pgrp, session. */
	run("read a b c d e f g </proc/$$/stat; echo $a $e $f", NULL, 0, &process);
	ck_assert_int_eq(sscanf(output, "%d %d %d", &pid, &group, &session), 3);
	ck_assert_int_eq(pid, group);
	ck_assert_int_eq(pid, session);
}
END_TEST

static void ignore(int number)
{
	(void)number;
}

START_TEST(test_signals)
{
	const struct sigaction handled = { .sa_handler = ignore };
	struct vm_process process;
	sigset_t mask;
	sigset_t now;

	signal(SIGPIPE, SIG_IGN);
	sigaction(SIGUSR1, &handled, NULL);
	sigemptyset(&mask);
	sigaddset(&mask, SIGTERM);
	sigaddset(&mask, SIGUSR2);
	sigprocmask(SIG_SETMASK, &mask, NULL);
	run("cat /proc/self/status", NULL, 0, &process);
	ck_assert_ptr_nonnull(strstr(output, "SigBlk:\t0000000000000000\n"));
	ck_assert_ptr_nonnull(strstr(output, "SigIgn:\t0000000000000000\n"));
	ck_assert_ptr_nonnull(strstr(output, "SigCgt:\t0000000000000000\n"));
	/* Ours are as they were. */
	sigprocmask(SIG_SETMASK, NULL, &now);
	ck_assert(sigismember(&now, SIGTERM) && sigismember(&now, SIGUSR2) &&
		  !sigismember(&now, SIGINT));
}
END_TEST

/* A signal that comes meanwhile waits for us, and does not run our handler in the child. */
static volatile sig_atomic_t handler_pid;
static volatile sig_atomic_t handler_runs;

static void count_signal(int number)
{
	(void)number;
	handler_runs++;
	if (handler_pid != getpid())
		abort();
}

START_TEST(test_signal_storm)
{
	const struct sigaction action = { .sa_handler = count_signal, .sa_flags = SA_RESTART };
	pid_t parent = getpid();
	struct vm_process process;
	pid_t storm;

	handler_pid = parent;
	sigaction(SIGUSR1, &action, NULL);
	storm = fork();
	ck_assert_int_ge(storm, 0);
	if (storm == 0) {
		for (;;) {
			kill(parent, SIGUSR1);
			usleep(100);
		}
	}
	for (int i = 0; i < 50; i++) {
		run("exit 5", NULL, 0, &process);
		ck_assert_int_eq(process.status, 5);
	}
	kill(storm, SIGKILL);
	waitpid(storm, NULL, 0);
	ck_assert_int_gt(handler_runs, 0);
}
END_TEST

static int start_failing(const char *path, struct provium_error *error)
{
	char *name = strdup(path);
	char *argv[] = { name, NULL };
	struct vm_process process;
	int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	int result = vm_process_start(&process, argv, null_fd, NULL, 0, error);

	ck_assert(result == 0 || !vm_process_running(&process));
	close(null_fd);
	free(name);
	return result;
}

START_TEST(test_cannot_execute)
{
	struct provium_error error;

	ck_assert_int_eq(start_failing("/nowhere/program", &error), -1);
	ck_assert_int_eq(error.code, PROVIUM_HOST);
	ck_assert_int_eq(error.os_errno, ENOENT);
	ck_assert_msg(strstr(error.message, "start '/nowhere/program'"), "%s", error.message);
	ck_assert_int_eq(start_failing("/", &error), -1);
	ck_assert_int_eq(error.os_errno, EACCES);
}
END_TEST

START_TEST(test_stdio_as_kept)
{
	char shell[] = "/bin/sh";
	char *argv[] = { shell, NULL };
	struct provium_error error;
	struct vm_process process;
	int keep = 2;

	ck_assert_int_eq(vm_process_start(&process, argv, 1, &keep, 1, &error), -1);
	ck_assert_int_eq(error.code, PROVIUM_INVALID);
}
END_TEST

static void start_sleeper(struct vm_process *process)
{
	char sleep[] = "/bin/sleep";
	char seconds[] = "1000";
	char *argv[] = { sleep, seconds, NULL };
	struct provium_error error;
	int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	ck_assert_int_eq(vm_process_start(process, argv, null_fd, NULL, 0, &error), 0);
	close(null_fd);
}

START_TEST(test_kill)
{
	struct deadline now = deadline_after(0);
	struct vm_process process;
	pid_t pid;

	start_sleeper(&process);
	pid = process.pid;
	ck_assert(!vm_process_reap(&process, &now));
	ck_assert(vm_process_running(&process));
	vm_process_kill(&process);
	ck_assert(!vm_process_running(&process));
	ck_assert_int_eq(process.code, CLD_KILLED);
	ck_assert_int_eq(process.status, SIGKILL);
	ck_assert_int_eq(kill(pid, 0), -1);
	/* Once more is harmless, as is waiting. */
	vm_process_kill(&process);
	ck_assert(vm_process_reap(&process, &now));
}
END_TEST

/* Where the program itself lets nobody wait for its children. */
START_TEST(test_ignored_children)
{
	struct deadline deadline = deadline_after(10000);
	struct vm_process process;
	char text[64];

	signal(SIGCHLD, SIG_IGN);
	start_sleeper(&process);
	kill(process.pid, SIGKILL);
	ck_assert(vm_process_reap(&process, &deadline));
	vm_process_describe_end(&process, text, sizeof(text));
	ck_assert_str_eq(text, "ended");
	signal(SIGCHLD, SIG_DFL);
}
END_TEST

static void *start_and_end(void *process)
{
	start_sleeper(process);
	return NULL;
}

/* It ends with the thread that started it. */
START_TEST(test_thread_end)
{
	struct deadline deadline = deadline_after(10000);
	struct vm_process process;
	pthread_t thread;

	ck_assert_int_eq(pthread_create(&thread, NULL, start_and_end, &process), 0);
	pthread_join(thread, NULL);
	ck_assert(vm_process_reap(&process, &deadline));
	ck_assert_int_eq(process.status, SIGKILL);
}
END_TEST

/* It ends with the program, whatever ends that. */
START_TEST(test_parent_end)
{
	struct pollfd hangup;
	pid_t parent;
	int fds[2];
	pid_t pid;

	ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
	parent = fork();
	ck_assert_int_ge(parent, 0);
	if (parent == 0) {
		char sleep[] = "/bin/sleep";
		char seconds[] = "1000";
		char *argv[] = { sleep, seconds, NULL };
		struct vm_process process;

		/* The sleeper's output is the pipe: its end is the pipe's. */
		if (vm_process_start(&process, argv, fds[1], NULL, 0, NULL) < 0)
			_exit(1);
		pid = process.pid;
		if (write(fds[1], &pid, sizeof(pid)) != sizeof(pid))
			_exit(1);
		pause();
	}
	close(fds[1]);
	ck_assert_int_eq(read(fds[0], &pid, sizeof(pid)), sizeof(pid));
	ck_assert_int_eq(kill(pid, 0), 0);
	kill(parent, SIGKILL);
	waitpid(parent, NULL, 0);
	hangup = (struct pollfd){ .fd = fds[0], .events = POLLIN };
	ck_assert_int_eq(poll(&hangup, 1, 10000), 1);
	ck_assert_int_eq(hangup.revents, POLLHUP);
	close(fds[0]);
}
END_TEST

START_TEST(test_find)
{
	char path[PATH_MAX];

	ck_assert(vm_process_find("/bin/sh", false, path));
	ck_assert_str_eq(path, "/bin/sh");
	ck_assert(!vm_process_find("/bin", false, path));
	ck_assert(!vm_process_find("/etc/passwd", false, path));
	ck_assert(!vm_process_find("/nowhere/sh", false, path));

	setenv("PATH", "/nowhere::/usr/bin:/bin", 1);
	ck_assert(vm_process_find("sh", false, path));
	ck_assert_str_eq(path, "/usr/bin/sh");
	ck_assert(!vm_process_find("no-such-program", false, path));
	setenv("PATH", "", 1);
	ck_assert(!vm_process_find("sh", false, path));
	unsetenv("PATH");
	ck_assert(vm_process_find("sh", false, path));
}
END_TEST

START_TEST(test_find_beside)
{
	char path[PATH_MAX];
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	const char *name;

	ck_assert_int_gt(n, 0);
	self[n] = '\0';
	name = strrchr(self, '/') + 1;
	setenv("PATH", "/nowhere", 1);
	ck_assert(!vm_process_find(name, false, path));
	ck_assert(vm_process_find(name, true, path));
	ck_assert_str_eq(path, self);
	ck_assert(!vm_process_find("no-such-program", true, path));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("vm-process");
	TCase *tcase = unit_counted_case("process");

	tcase_set_timeout(tcase, 60);
	tcase_add_test(tcase, test_output);
	tcase_add_test(tcase, test_describe);
	tcase_add_test(tcase, test_fds);
	tcase_add_test(tcase, test_session);
	tcase_add_test(tcase, test_signals);
	tcase_add_test(tcase, test_signal_storm);
	tcase_add_test(tcase, test_cannot_execute);
	tcase_add_test(tcase, test_stdio_as_kept);
	tcase_add_test(tcase, test_kill);
	tcase_add_test(tcase, test_ignored_children);
	tcase_add_test(tcase, test_thread_end);
	tcase_add_test(tcase, test_parent_end);
	tcase_add_test(tcase, test_find);
	tcase_add_test(tcase, test_find_beside);
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
