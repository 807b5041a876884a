/* Events, timers, signals, locks and children. */
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/futex.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/select.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>

#include "guest_calls.h"

#ifndef SYS_futex_waitv
#define SYS_futex_waitv 449
#endif

static void run_epoll(void)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLOUT, .data.u64 = 0x1122334455667788 };
	struct epoll_event events[4] = { 0 };
	int fd = (int)CALL(SYS_epoll_create1, 0), ready = eventfd(3, 0);

	tell_success("epoll_create1", fd);
	tell("epoll_ctl", CALL(SYS_epoll_ctl, fd, EPOLL_CTL_ADD, ready, &event));
	tell("epoll_ctl again", CALL(SYS_epoll_ctl, fd, EPOLL_CTL_ADD, ready, &event));
	tell("epoll_pwait", CALL(SYS_epoll_pwait, fd, events, 4, 0, NULL, 8L));
	tell_bytes("events", events, sizeof(events));
}

static void run_pselect(void)
{
	struct timespec time = { 1, 0 };
	uint64_t mask = 1 << (SIGUSR1 - 1);
	struct {
		const uint64_t *mask;
		size_t size;
	} masked = { &mask, sizeof(mask) };
	struct pollfd polled[2] = { { .events = POLLIN | POLLOUT },
				    { .fd = -1, .events = POLLIN } };
	fd_set set;
	int ready = dup2(eventfd(1, 0), 300);

	FD_ZERO(&set);
	FD_SET(300, &set);
	tell("pselect6", CALL(SYS_pselect6, 301, &set, NULL, NULL, &time, &masked));
	tell_bytes("set", &set, sizeof(set));
	polled[0].fd = ready;
	tell("ppoll", CALL(SYS_ppoll, polled, 2, &time, &mask, 8L));
	tell_bytes("polled", polled, sizeof(polled));
}

static void run_timer(void)
{
	struct sigevent event = { .sigev_notify = SIGEV_NONE };
	struct itimerspec spec = { { 7, 8 }, { 1000, 0 } }, old = { 0 };
	int timer = 0;

	tell("timer_create", CALL(SYS_timer_create, CLOCK_MONOTONIC, &event, &timer));
	tell("timer_settime", CALL(SYS_timer_settime, timer, 0, &spec, NULL));
	tell("timer_gettime", CALL(SYS_timer_gettime, timer, &old));
	tell_bytes("interval", &old.it_interval, sizeof(old.it_interval));
	tell("timer_delete", CALL(SYS_timer_delete, timer));
	tell("timer_delete again", CALL(SYS_timer_delete, timer));
}

static void run_timerfd(void)
{
	struct itimerspec spec = { .it_value = { 0, 1 } }, old = { 0 };
	uint64_t count = 0;
	int fd = (int)CALL(SYS_timerfd_create, CLOCK_MONOTONIC, 0);

	tell_success("timerfd_create", fd);
	tell("timerfd_settime", CALL(SYS_timerfd_settime, fd, 0, &spec, &old));
	tell_bytes("old", &old, sizeof(old));
	tell("read", CALL(SYS_read, fd, &count, 8L));
	tell_bytes("count", &count, 8);
}

static void run_eventfd(void)
{
	uint64_t add = 5, got = 0;
	int fd = (int)CALL(SYS_eventfd2, 2, EFD_SEMAPHORE);

	tell_success("eventfd2", fd);
	tell("write", CALL(SYS_write, fd, &add, 8L));
	tell("read", CALL(SYS_read, fd, &got, 8L));
	tell_bytes("got", &got, 8);
	tell("read too little", CALL(SYS_read, fd, &got, 7L));
}

static void run_signalfd(void)
{
	uint64_t mask = (uint64_t)1 << (SIGRTMAX - 5 - 1), old = 0;
	struct signalfd_siginfo info = { 0 };
	siginfo_t sent = { .si_code = SI_QUEUE };
	int fd;

	sent.si_value.sival_int = 4242;
	tell("rt_sigprocmask", CALL(SYS_rt_sigprocmask, SIG_BLOCK, &mask, &old, 8L));
	fd = (int)CALL(SYS_signalfd4, -1, &mask, 8L, 0);
	tell_success("signalfd4", fd);
	tell("rt_tgsigqueueinfo",
	     CALL(SYS_rt_tgsigqueueinfo, getpid(), getpid(), SIGRTMAX - 5, &sent));
	tell("read", CALL(SYS_read, fd, &info, sizeof(info)));
	/* Signal, errno, code; then the number that went along. */
	tell_bytes("signal", &info, 12);
	tell_bytes("number", &info.ssi_int, 4);
	tell("rt_sigprocmask", CALL(SYS_rt_sigprocmask, SIG_SETMASK, &old, NULL, 8L));
}

static void run_futex(void)
{
	uint32_t words[2] = { 1, 10 };
	struct timespec time = { 0, 1000000 };

	tell("FUTEX_WAKE_OP", CALL(SYS_futex, &words[0], FUTEX_WAKE_OP, 1, 1L, &words[1],
				   FUTEX_OP(FUTEX_OP_ADD, 5, FUTEX_OP_CMP_EQ, 10)));
	tell_bytes("words", words, sizeof(words));
	tell("FUTEX_WAIT", CALL(SYS_futex, &words[0], FUTEX_WAIT, 2, NULL));
	tell("FUTEX_WAIT timed", CALL(SYS_futex, &words[0], FUTEX_WAIT, 1, &time));
	tell("FUTEX_LOCK_PI",
	     CALL(SYS_futex, memset(words, 0, sizeof(words)), FUTEX_LOCK_PI, 0, NULL));
	tell("FUTEX_UNLOCK_PI", CALL(SYS_futex, words, FUTEX_UNLOCK_PI));
	tell_bytes("words", words, sizeof(words));
}

/* struct futex_waitv of linux/futex.h, which is newer than some. */
struct waiter {
	uint64_t value;
	uint64_t address;
	uint32_t flags;
	uint32_t reserved;
};

static void run_futex_waitv(void)
{
	uint32_t words[2] = { 6, 7 };
	struct waiter waiters[2] = { { 6, (uintptr_t)&words[0], 2, 0 },
				     { 8, (uintptr_t)&words[1], 2, 0 } };
	struct timespec time = { 0, 1 };

	tell("other value", CALL(SYS_futex_waitv, waiters, 2, 0, NULL, CLOCK_MONOTONIC));
	waiters[1].value = 7;
	tell("time is over", CALL(SYS_futex_waitv, waiters, 2, 0, &time, CLOCK_MONOTONIC));
	tell("nothing to wait for", CALL(SYS_futex_waitv, waiters, 0, 0, NULL, CLOCK_MONOTONIC));
	tell_success("eventfd2", CALL(SYS_eventfd2, 0, 0));
}

static void run_inotify(void)
{
	char events[128] = { 0 };
	int fd = (int)CALL(SYS_inotify_init1, 0);

	mkdir("/tmp/calls-watched", 0755);
	tell_success("inotify_init1", fd);
	tell("inotify_add_watch",
	     CALL(SYS_inotify_add_watch, fd, "/tmp/calls-watched", IN_CREATE | IN_DELETE));
	mkdir("/tmp/calls-watched/new", 0755);
	rmdir("/tmp/calls-watched/new");
	tell("read", CALL(SYS_read, fd, events, sizeof(events)));
	tell_bytes("events", events, sizeof(events));
	rmdir("/tmp/calls-watched");
}

static void run_io_submit(void)
{
	char out[] = "written by aio", back[16] = "";
	struct iocb first = { .aio_data = 11, .aio_lio_opcode = IOCB_CMD_PWRITE, .aio_offset = 3 };
	struct iocb second = { .aio_data = 22, .aio_lio_opcode = IOCB_CMD_PREAD, .aio_offset = 5 };
	struct iocb *one[1] = { &first }, *two[1] = { &second };
	struct io_event event = { 0 };
	aio_context_t context = 0;
	int fd = open("/tmp/calls-file", O_RDWR | O_CREAT, 0600);

	first.aio_fildes = second.aio_fildes = (uint32_t)dup2(fd, 300);
	first.aio_buf = (uintptr_t)out;
	first.aio_nbytes = 14;
	second.aio_buf = (uintptr_t)back;
	second.aio_nbytes = sizeof(back);
	tell("io_setup", CALL(SYS_io_setup, 4, &context));
	tell("io_submit", CALL(SYS_io_submit, context, 1L, one));
	tell("io_getevents", CALL(SYS_io_getevents, context, 1L, 1L, &event, NULL));
	tell_bytes("data", &event.data, 8);
	tell_bytes("results", &event.res, 16);
	tell("io_submit", CALL(SYS_io_submit, context, 1L, two));
	tell("io_getevents", CALL(SYS_io_getevents, context, 1L, 1L, &event, NULL));
	tell_bytes("data", &event.data, 8);
	tell_bytes("results", &event.res, 16);
	tell_bytes("read", back, sizeof(back));
	tell("io_destroy", CALL(SYS_io_destroy, context));
	unlink("/tmp/calls-file");
}

static void run_clone3(void)
{
	int pidfd = -1;
	struct clone_args args = { .flags = CLONE_PIDFD, .exit_signal = SIGCHLD };
	siginfo_t info = { 0 };
	long pid;

	args.pidfd = (uintptr_t)&pidfd;
	pid = CALL(SYS_clone3, &args, sizeof(args));
	if (pid == 0)
		for (;;)
			pause();
	tell_success("clone3", pid);
	tell("pidfd_send_signal", CALL(SYS_pidfd_send_signal, pidfd, SIGTERM, NULL, 0));
	tell("waitid", CALL(SYS_waitid, P_PIDFD, pidfd, &info, WEXITED, NULL));
	/* Signal, errno, code. */
	tell_bytes("child", &info, 12);
	tell_bytes("status", &info.si_status, 4);
}

static void run_wait4(void)
{
	int status = 0;
	long pid = CALL(SYS_fork);

	if (pid == 0)
		for (;;)
			pause();
	tell_success("fork", pid);
	tell("wait4 too early", CALL(SYS_wait4, pid, &status, WNOHANG, NULL));
	tell("kill", CALL(SYS_kill, pid, SIGKILL));
	tell_success("wait4", CALL(SYS_wait4, pid, &status, 0, NULL));
	tell_bytes("status", &status, 4);
	tell("wait4 again", CALL(SYS_wait4, pid, &status, 0, NULL));
}

const struct guest_case guest_wait_cases[] = {
	{ "epoll", run_epoll },
	{ "pselect", run_pselect },
	{ "timer", run_timer },
	{ "timerfd", run_timerfd },
	{ "eventfd", run_eventfd },
	{ "signalfd", run_signalfd },
	{ "futex", run_futex },
	{ "futex_waitv", run_futex_waitv },
	{ "inotify", run_inotify },
	{ "io_submit", run_io_submit },
	{ "clone3", run_clone3 },
	{ "wait4", run_wait4 },
	{ NULL, NULL },
};
