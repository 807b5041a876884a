#include "host/cli/session/interrupts.h"

#include <errno.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/util.h"
#include "host/cli/report.h"

static const int ending_signals[] = { SIGINT, SIGTERM, SIGHUP };

static void hold_signals(struct interrupts *interrupts, sigset_t *ending)
{
	sigset_t held;

	sigemptyset(ending);
	for (size_t i = 0; i < ARRAY_SIZE(ending_signals); i++) {
		struct sigaction action;

		/* A signal that is blocked is queued even where it would be ignored. */
		sigaction(ending_signals[i], NULL, &action);
		if (action.sa_handler != SIG_IGN)
			sigaddset(ending, ending_signals[i]);
	}
	held = *ending;
	sigaddset(&held, SIGPIPE);
	sigaddset(&held, SIGTTIN);
	pthread_sigmask(SIG_BLOCK, &held, &interrupts->previous_mask);
}

static int epoll_watch(int epoll_fd, int fd)
{
	struct epoll_event event = { .events = EPOLLIN };

	return epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event);
}

int interrupts_init(struct interrupts *interrupts, uint64_t timeout_ms, struct provium_error *error)
{
	struct itimerspec timer = {
		.it_value.tv_sec = (time_t)(timeout_ms / 1000),
		.it_value.tv_nsec = (long)(timeout_ms % 1000) * 1000000,
	};
	sigset_t ending;

	*interrupts = (struct interrupts){
		.fd = -1,
		.signal_fd = -1,
		.timer_fd = -1,
		.timeout_ms = timeout_ms,
	};
	hold_signals(interrupts, &ending);

	interrupts->signal_fd = signalfd(-1, &ending, SFD_CLOEXEC | SFD_NONBLOCK);
	interrupts->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	interrupts->fd = epoll_create1(EPOLL_CLOEXEC);
	if (interrupts->signal_fd < 0 || interrupts->timer_fd < 0 || interrupts->fd < 0 ||
	    timerfd_settime(interrupts->timer_fd, 0, &timer, NULL) < 0 ||
	    epoll_watch(interrupts->fd, interrupts->signal_fd) < 0 ||
	    epoll_watch(interrupts->fd, interrupts->timer_fd) < 0) {
		cli_fail_errno(error, "signals");
		interrupts_finish(interrupts);
		return -1;
	}
	return 0;
}

void interrupts_finish(struct interrupts *interrupts)
{
	static const struct timespec at_once;
	sigset_t broken_pipe;

	/* One that a write of the library's left behind would end us here. */
	sigemptyset(&broken_pipe);
	sigaddset(&broken_pipe, SIGPIPE);
	if (!sigismember(&interrupts->previous_mask, SIGPIPE))
		sigtimedwait(&broken_pipe, NULL, &at_once);

	interrupts->fd = close_fd(interrupts->fd);
	interrupts->signal_fd = close_fd(interrupts->signal_fd);
	interrupts->timer_fd = close_fd(interrupts->timer_fd);
	pthread_sigmask(SIG_SETMASK, &interrupts->previous_mask, NULL);
}

bool interrupts_take(struct interrupts *interrupts)
{
	struct signalfd_siginfo info;
	uint64_t expirations;
	bool taken = false;

	while (read(interrupts->signal_fd, &info, sizeof(info)) == sizeof(info)) {
		taken = true;
		if (!interrupts->signal)
			interrupts->signal = (int)info.ssi_signo;
	}
	if (read(interrupts->timer_fd, &expirations, sizeof(expirations)) == sizeof(expirations)) {
		taken = true;
		interrupts->timed_out = true;
	}
	return taken;
}

int interrupts_status(const struct interrupts *interrupts)
{
	char message[64];

	if (interrupts->signal)
		return die_by_signal(interrupts->signal);
	snprintf(message, sizeof(message), "timed out after %g s",
		 (double)interrupts->timeout_ms / 1000);
	report(message);
	return STATUS_TIMED_OUT;
}

int die_by_signal(int signal)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, signal);
	/* A second signal may be pending: the first that is let through ends the process. */
	raise(signal);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	return 128 + signal;
}
