/* Events, timers, signals, locks and children. */
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/futex.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "tests/integration/programs/calls.h"

/* The number of an fd that stands in a buffer: a result cannot be put there. */
#define KNOWN_FD 300

static void make_epoll(void)
{
	/* Packed: 32 bits of events, 64 of data. */
	const uint32_t added[3] = { EPOLLIN | EPOLLOUT, 0x55667788, 0x11223344 };
	int event = OBJECT(added), events = zeros(48), fd, ready;

	fd = MAKE(epoll_create1, V(0));
	ready = MAKE(eventfd2, V(3), V(0));
	say_success("epoll_create1", fd);
	say("epoll_ctl", MAKE(epoll_ctl, R(fd), V(EPOLL_CTL_ADD), R(ready), A(event)));
	say_failure("epoll_ctl again", MAKE(epoll_ctl, R(fd), V(EPOLL_CTL_ADD), R(ready), A(event)),
		    EEXIST);
	say("epoll_pwait", MAKE(epoll_pwait, R(fd), A(events), V(4), V(0), V(0), V(8)));
	say_bytes("events", events, 0, 48);
	call_close(ready);
	call_close(fd);
}

static void make_pselect(void)
{
	const uint64_t second[2] = { 1, 0 }, mask = 1u << (SIGUSR1 - 1), sized[2] = { 0, 8 };
	const uint16_t polled[8] = { KNOWN_FD, 0, POLLIN | POLLOUT, 0, 0xffff, 0xffff, POLLIN, 0 };
	uint8_t bits[128] = { 0 };
	int times[2] = { OBJECT(second), OBJECT(second) }, blocked = OBJECT(mask);
	int masked = OBJECT(sized), entries = OBJECT(polled), set, ready;

	bits[KNOWN_FD / 8] = 1 << KNOWN_FD % 8;
	set = OBJECT(bits);
	provium_program_pointer(program, masked, 0, blocked, 0);
	ready = MAKE(eventfd2, V(1), V(0));
	MAKE(dup2, R(ready), V(KNOWN_FD));
	say("pselect6",
	    MAKE(pselect6, V(KNOWN_FD + 1), A(set), V(0), V(0), A(times[0]), A(masked)));
	say_bytes("set", set, 0, 128);
	say("ppoll", MAKE(ppoll, A(entries), V(2), A(times[1]), A(blocked), V(8)));
	say_bytes("polled", entries, 0, 16);
	call_close(ready);
	MAKE(close, V(KNOWN_FD));
}

static void make_timer(void)
{
	/* struct sigevent: value, signal and kind, 32 bits each; struct itimerspec: seconds and
	 * nanoseconds of the interval, then of the value. */
	const uint32_t event[16] = { 0, 0, 0, SIGEV_NONE };
	const uint64_t spec[4] = { 7, 8, 1000, 0 };
	int timer = zeros(4), left = zeros(32);

	say("timer_create", MAKE(timer_create, V(CLOCK_MONOTONIC), A(OBJECT(event)), A(timer)));
	say("timer_settime", MAKE(timer_settime, LOAD(timer, 0), V(0), A(OBJECT(spec)), V(0)));
	say("timer_gettime", MAKE(timer_gettime, LOAD(timer, 0), A(left)));
	say_bytes("interval", left, 0, 16);
	say("timer_delete", MAKE(timer_delete, LOAD(timer, 0)));
	say_failure("timer_delete again", MAKE(timer_delete, LOAD(timer, 0)), EINVAL);
}

static void make_timerfd(void)
{
	const uint64_t spec[4] = { 0, 0, 0, 1 };
	int old = zeros(32), count = zeros(8), fd = MAKE(timerfd_create, V(CLOCK_MONOTONIC), V(0));

	say_success("timerfd_create", fd);
	say("timerfd_settime", MAKE(timerfd_settime, R(fd), V(0), A(OBJECT(spec)), A(old)));
	say_bytes("old", old, 0, 32);
	say("read", MAKE(read, R(fd), A(count), V(8)));
	say_bytes("count", count, 0, 8);
	call_close(fd);
}

static void make_eventfd(void)
{
	const uint64_t five = 5;
	int got = zeros(8), fd = MAKE(eventfd2, V(2), V(EFD_SEMAPHORE));

	say_success("eventfd2", fd);
	say("write", MAKE(write, R(fd), A(OBJECT(five)), V(8)));
	say("read", MAKE(read, R(fd), A(got), V(8)));
	say_bytes("got", got, 0, 8);
	say_failure("read too little", MAKE(read, R(fd), A(got), V(7)), EINVAL);
	call_close(fd);
}

static void make_signalfd(void)
{
	/* struct siginfo: signal, errno, code, 4 bytes of room, pid, uid, value. */
	const int number = 64 - 5, what[32] = { 0, 0, SI_QUEUE, 0, 0, 0, 4242 };
	const uint64_t blocked = UINT64_C(1) << (number - 1);
	int mask = OBJECT(blocked), old = zeros(8), info = zeros(128), pid, fd;

	pid = provium_program_call(program, SYS_getpid, NULL, 0);
	say("rt_sigprocmask", MAKE(rt_sigprocmask, V(SIG_BLOCK), A(mask), A(old), V(8)));
	fd = MAKE(signalfd4, V(-1), A(mask), V(8), V(0));
	say_success("signalfd4", fd);
	say("rt_tgsigqueueinfo",
	    MAKE(rt_tgsigqueueinfo, R(pid), R(pid), V(number), A(OBJECT(what))));
	say("read", MAKE(read, R(fd), A(info), V(128)));
	say_bytes("signal", info, 0, 12);
	say_bytes("number", info, 44, 4);
	say("rt_sigprocmask", MAKE(rt_sigprocmask, V(SIG_SETMASK), A(old), V(0), V(8)));
	call_close(fd);
}

static void make_futex(void)
{
	const uint32_t values[2] = { 1, 10 };
	const uint64_t time[2] = { 0, 1000000 };
	int words = OBJECT(values), lock = zeros(8);

	say("FUTEX_WAKE_OP", MAKE(futex, A(words), V(FUTEX_WAKE_OP), V(1), V(1), AT(words, 4),
				  V(FUTEX_OP(FUTEX_OP_ADD, 5, FUTEX_OP_CMP_EQ, 10))));
	say_bytes("words", words, 0, 8);
	say_failure("FUTEX_WAIT", MAKE(futex, A(words), V(FUTEX_WAIT), V(2), V(0)), EAGAIN);
	say_failure("FUTEX_WAIT timed", MAKE(futex, A(words), V(FUTEX_WAIT), V(1), A(OBJECT(time))),
		    ETIMEDOUT);
	say("FUTEX_LOCK_PI", MAKE(futex, A(lock), V(FUTEX_LOCK_PI), V(0), V(0)));
	say("FUTEX_UNLOCK_PI", MAKE(futex, A(lock), V(FUTEX_UNLOCK_PI)));
	say_bytes("words", lock, 0, 8);
}

#ifndef SYS_futex_waitv
#define SYS_futex_waitv 449
#endif

/* Value, address, flags: FUTEX_32. */
static int waiters(int words, uint64_t first, uint64_t second)
{
	const uint64_t entries[6] = { first, 0, 2, second, 0, 2 };
	int buffer = OBJECT(entries);

	provium_program_pointer(program, buffer, 8, words, 0);
	provium_program_pointer(program, buffer, 32, words, 4);
	return buffer;
}

static void make_futex_waitv(void)
{
	const uint32_t values[2] = { 6, 7 };
	const uint64_t time[2] = { 0, 1 };
	int words = OBJECT(values), other = waiters(words, 6, 8), same = waiters(words, 6, 7), fd;

	say_failure("other value",
		    MAKE(futex_waitv, A(other), V(2), V(0), V(0), V(CLOCK_MONOTONIC)), EAGAIN);
	say_failure("time is over",
		    MAKE(futex_waitv, A(same), V(2), V(0), A(OBJECT(time)), V(CLOCK_MONOTONIC)),
		    ETIMEDOUT);
	say_failure("nothing to wait for",
		    MAKE(futex_waitv, A(same), V(0), V(0), V(0), V(CLOCK_MONOTONIC)), EINVAL);
	fd = MAKE(eventfd2, V(0), V(0));
	say_success("eventfd2", fd);
	call_close(fd);
}

static void make_inotify(void)
{
	int watched = text("/tmp/calls-watched"), new = text("/tmp/calls-watched/new");
	int events = zeros(128), fd;

	MAKE(mkdir, A(watched), V(0755));
	fd = MAKE(inotify_init1, V(0));
	say_success("inotify_init1", fd);
	say("inotify_add_watch",
	    MAKE(inotify_add_watch, R(fd), A(watched), V(IN_CREATE | IN_DELETE)));
	MAKE(mkdir, A(new), V(0755));
	MAKE(rmdir, A(new));
	say("read", MAKE(read, R(fd), A(events), V(128)));
	say_bytes("events", events, 0, 128);
	MAKE(rmdir, A(watched));
	call_close(fd);
}

/* An array of one address, of a struct iocb (io_submit(2)): data, key, flags, kind and priority,
 * fd, buffer, size, offset. */
static int request(uint64_t data, uint32_t kind, int buffer, uint64_t size, uint64_t offset)
{
	const uint64_t words[8] = { data, 0, (uint64_t)KNOWN_FD << 32 | kind, 0, size, offset };
	int block = OBJECT(words), blocks = zeros(8);

	provium_program_pointer(program, block, 24, buffer, 0);
	provium_program_pointer(program, blocks, 0, block, 0);
	return blocks;
}

static void make_io_submit(void)
{
	int back = zeros(16), context = zeros(8), events[2] = { zeros(32), zeros(32) }, fd,
	    blocks[2];
	struct provium_arg number = provium_load(context, 0, 8);

	blocks[0] = request(11, IOCB_CMD_PWRITE, text("written by aio"), 14, 3);
	blocks[1] = request(22, IOCB_CMD_PREAD, back, 16, 5);
	fd = call_open("/tmp/calls-file", O_RDWR | O_CREAT);
	MAKE(dup2, R(fd), V(KNOWN_FD));
	say("io_setup", MAKE(io_setup, V(4), A(context)));
	for (int i = 0; i < 2; i++) {
		say("io_submit", MAKE(io_submit, number, V(1), A(blocks[i])));
		say("io_getevents", MAKE(io_getevents, number, V(1), V(1), A(events[i]), V(0)));
		say_bytes("data", events[i], 0, 8);
		say_bytes("results", events[i], 16, 16);
	}
	say_bytes("read", back, 0, 16);
	say("io_destroy", MAKE(io_destroy, number));
	MAKE(unlink, A(text("/tmp/calls-file")));
	MAKE(close, V(KNOWN_FD));
	call_close(fd);
}

static void make_clone3(void)
{
	/* flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, its
	 * size, cgroup */
	const uint64_t words[11] = { CLONE_PIDFD, 0, 0, 0, SIGCHLD };
	int args = OBJECT(words), pidfd = zeros(4), info = zeros(128);

	provium_program_pointer(program, args, 8, pidfd, 0);
	say_success("clone3", MAKE(clone3, A(args), V(sizeof(words))));
	say("pidfd_send_signal", MAKE(pidfd_send_signal, LOAD(pidfd, 0), V(SIGTERM), V(0), V(0)));
	say("waitid", MAKE(waitid, V(P_PIDFD), LOAD(pidfd, 0), A(info), V(WEXITED), V(0)));
	say_bytes("child", info, 0, 12);
	say_bytes("status", info, 24, 4);
	call_close_at(pidfd, 0);
}

static void make_wait4(void)
{
	int status = zeros(4), pid = provium_program_call(program, SYS_fork, NULL, 0);

	say_success("fork", pid);
	say("wait4 too early", MAKE(wait4, R(pid), A(status), V(WNOHANG), V(0)));
	say("kill", MAKE(kill, R(pid), V(SIGKILL)));
	say_success("wait4", MAKE(wait4, R(pid), A(status), V(0), V(0)));
	say_bytes("status", status, 0, 4);
	say_failure("wait4 again", MAKE(wait4, R(pid), A(status), V(0), V(0)), ECHILD);
}

const struct call_case wait_cases[] = {
	{ "epoll", make_epoll },
	{ "pselect", make_pselect },
	{ "timer", make_timer },
	{ "timerfd", make_timerfd },
	{ "eventfd", make_eventfd },
	{ "signalfd", make_signalfd },
	{ "futex", make_futex },
	{ "futex_waitv", make_futex_waitv },
	{ "inotify", make_inotify },
	{ "io_submit", make_io_submit },
	{ "clone3", make_clone3 },
	{ "wait4", make_wait4 },
	{ NULL, NULL },
};
