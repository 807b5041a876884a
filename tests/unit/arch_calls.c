/*
 * The instruction that makes a system call, and what a deadline's signal does to it: on this
 * machine, and built for another architecture under QEMU's user emulation. So without Check, which
 * is there for this one only.
 */
#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "agent/arch.h"
#include "agent/deadline.h"
#include "agent/watch_page.h"

#define ARGS(...) ((const uint64_t[6]){ __VA_ARGS__ })

static unsigned int count, failures;

static void check(bool good, const char *what, int64_t value)
{
	printf("%sok %u - %s\n", good ? "" : "not ", ++count, what);
	if (good)
		return;
	printf("# %lld\n", (long long)value);
	failures++;
}

static void make_pipe(int fds[2])
{
	if (pipe(fds) < 0)
		check(false, "pipe", errno);
}

static void results(void)
{
	int64_t pid = arch_call(SYS_getpid, ARGS(0));
	int64_t bad = arch_call(SYS_close, ARGS((uint64_t)-1));
	int64_t page, there;
	char text[16] = "";
	int fds[2];

	check(pid == getpid(), "a result", pid);
	check(bad == -EBADF, "an error", bad);
	make_pipe(fds);
	check(arch_call(SYS_write, ARGS((uint64_t)fds[1], (uintptr_t) "text", 4)) == 4,
	      "three arguments", 0);
	check(read(fds[0], text, sizeof(text)) == 4 && strcmp(text, "text") == 0, "what they say",
	      0);
	/* All six: the last is where in the file it begins, which a pipe does not bear. */
	page = arch_call(SYS_mmap, ARGS(0, 4096, PROT_READ | PROT_WRITE,
					MAP_PRIVATE | MAP_ANONYMOUS, (uint64_t)-1, 0));
	there = arch_call(SYS_mremap, ARGS((uint64_t)page, 4096, 8192, MREMAP_MAYMOVE, 0));
	check(page > 0 && there > 0, "addresses", page);
	page = arch_call(SYS_mmap, ARGS(0, 4096, PROT_READ, MAP_PRIVATE, (uint64_t)fds[0], 1));
	check(page == -EINVAL, "the sixth argument", page);
	close(fds[0]);
	close(fds[1]);
}

static void forks(void)
{
	const struct timespec limit = { .tv_sec = 20 };
	struct arch_parking *parking = mmap(NULL, sizeof(*parking), PROT_READ | PROT_WRITE,
					    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	volatile uint32_t *parked = &parking->parked;
	int64_t pid = arch_fork(SYS_clone, ARGS(SIGCHLD), (uintptr_t)parking | PARK_OWN_FILES);
	int status = 0;

	check(pid > 0, "fork returns once", pid);
	while (*parked == 0 &&
	       (syscall(SYS_futex, parked, FUTEX_WAIT, 0, &limit, NULL, 0) == 0 || errno == EINTR))
		;
	check(*parked == 1, "its child says that it has parked", *parked);
	check(waitpid((pid_t)pid, &status, WNOHANG) == 0, "its child parks", status);
	kill((pid_t)pid, SIGKILL);
	check(waitpid((pid_t)pid, &status, 0) == pid && WIFSIGNALED(status), "and can be killed",
	      status);

	pid = arch_fork(SYS_clone, ARGS(SIGCHLD), (uintptr_t)parking | PARK_OWN_FILES);
	syscall(SYS_futex, &parking->life, FUTEX_WAKE, 1, NULL, NULL, 0);
	check(waitpid((pid_t)pid, &status, WNOHANG) == 0, "waking it is not enough", status);
	parking->life++;
	syscall(SYS_futex, &parking->life, FUTEX_WAKE, 1, NULL, NULL, 0);
	check(waitpid((pid_t)pid, &status, 0) == pid && WIFEXITED(status),
	      "it ends when its time is over", status);
	check(arch_fork(SYS_clone, ARGS((uint64_t)-1), (uintptr_t)parking) < 0,
	      "a clone that fails", 0);
	munmap(parking, sizeof(*parking));
}

static void signal_in_50_ms(void)
{
	pid_t parent = getpid();

	if (fork() != 0)
		return;
	usleep(50000);
	kill(parent, DEADLINE_SIGNAL);
	_exit(0);
}

static void interruptions(void)
{
	static struct watch_page page;
	struct deadlines deadlines;
	int64_t result;
	char byte;
	int fds[2];

	check(deadlines_init(&deadlines, &page, -1, 0), "there is a slot", errno);
	make_pipe(fds);
	/* The kernel would make this one again. */
	signal_in_50_ms();
	result = arch_call(SYS_read, ARGS((uint64_t)fds[0], (uintptr_t)&byte, 1));
	check(result == -EINTR, "a read is interrupted", result);
	/* This one it would not. */
	signal_in_50_ms();
	result = arch_call(SYS_ppoll, ARGS(0));
	check(result == -EINTR, "a ppoll is interrupted", result);
	/* One that has its result keeps it. */
	check(write(fds[1], "x", 1) == 1, "a byte is there", errno);
	raise(DEADLINE_SIGNAL);
	result = arch_call(SYS_read, ARGS((uint64_t)fds[0], (uintptr_t)&byte, 1));
	check(result == 1 && byte == 'x', "a signal elsewhere changes nothing", result);
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	results();
	forks();
	interruptions();
	printf("1..%u\n", count);
	return failures > 0;
}
