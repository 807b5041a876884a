#include "host/cli/session/raw_terminal.h"

#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/util.h"
#include "host/cli/report.h"

/* Those that would kill the process and that nobody holds back. */
static const int killing_signals[] = {
	SIGQUIT, SIGILL,  SIGTRAP, SIGABRT, SIGBUS,  SIGFPE,    SIGSEGV, SIGSYS,
	SIGALRM, SIGUSR1, SIGUSR2, SIGXCPU, SIGXFSZ, SIGVTALRM, SIGPROF,
};

/*
 * The mode to go back to, and what the signals did before. What exit(3) and signals restore is the
 * process's, so it is kept here and not in a struct raw_terminal.
 */
static struct termios mode_before;
static struct sigaction actions_before[ARRAY_SIZE(killing_signals)];
static volatile sig_atomic_t entered;

static bool is_foreground(void)
{
	return tcgetpgrp(STDIN_FILENO) == getpgrp();
}

/*
 * TCSANOW: waiting until the output is out could take for ever. A process group that has lost the
 * terminal meanwhile would be stopped by SIGTTOU. Only what a signal handler may call.
 */
static void set_mode(const struct termios *mode)
{
	sigset_t blocked;
	sigset_t before;

	sigemptyset(&blocked);
	sigaddset(&blocked, SIGTTOU);
	pthread_sigmask(SIG_BLOCK, &blocked, &before);
	tcsetattr(STDIN_FILENO, TCSANOW, mode);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void set_raw(void)
{
	struct termios mode = mode_before;

	cfmakeraw(&mode);
	set_mode(&mode);
}

static void restore_mode(void)
{
	if (!entered)
		return;
	entered = 0;
	/* The mode of another group's terminal is that group's. */
	if (is_foreground())
		set_mode(&mode_before);
}

/* Ends as the signal would have ended it, once the handler has returned. */
static void on_killing_signal(int signal)
{
	restore_mode();
	for (size_t i = 0; i < ARRAY_SIZE(killing_signals); i++) {
		if (killing_signals[i] == signal)
			sigaction(signal, &actions_before[i], NULL);
	}
	raise(signal);
}

static void catch_killing_signals(void)
{
	struct sigaction action = { .sa_handler = on_killing_signal };

	for (size_t i = 0; i < ARRAY_SIZE(killing_signals); i++) {
		sigaction(killing_signals[i], NULL, &actions_before[i]);
		if (actions_before[i].sa_handler != SIG_IGN)
			sigaction(killing_signals[i], &action, NULL);
	}
}

static void release_killing_signals(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(killing_signals); i++)
		sigaction(killing_signals[i], &actions_before[i], NULL);
}

int raw_terminal_check(const char *advice, struct provium_error *error)
{
	if (isatty(STDIN_FILENO))
		return 0;
	return cli_fail(error, PROVIUM_INVALID, "standard input is not a terminal: %s", advice);
}

int raw_terminal_init(struct raw_terminal *terminal, struct provium_error *error)
{
	static bool at_exit;
	sigset_t held;

	sigemptyset(&held);
	sigaddset(&held, SIGWINCH);
	sigaddset(&held, SIGTSTP);
	sigaddset(&held, SIGCONT);
	terminal->signal_fd = signalfd(-1, &held, SFD_CLOEXEC | SFD_NONBLOCK);
	if (terminal->signal_fd < 0)
		return cli_fail_errno(error, "signals");
	if (!at_exit && atexit(restore_mode) != 0) {
		terminal->signal_fd = close_fd(terminal->signal_fd);
		return cli_fail(error, PROVIUM_HOST, "atexit: no memory");
	}
	at_exit = true;
	pthread_sigmask(SIG_BLOCK, &held, &terminal->previous_mask);
	return 0;
}

void raw_terminal_finish(struct raw_terminal *terminal)
{
	raw_terminal_leave();
	terminal->signal_fd = close_fd(terminal->signal_fd);
	pthread_sigmask(SIG_SETMASK, &terminal->previous_mask, NULL);
}

bool raw_terminal_enter(void)
{
	if (entered)
		return true;
	if (!is_foreground() || tcgetattr(STDIN_FILENO, &mode_before) < 0)
		return false;
	catch_killing_signals();
	/* First, so that a signal between the two restores what has not changed yet. */
	entered = 1;
	set_raw();
	return true;
}

void raw_terminal_leave(void)
{
	if (!entered)
		return;
	restore_mode();
	release_killing_signals();
}

/* Stops the process, or its group where pid is 0; it goes on by SIGCONT. */
static void stop(pid_t pid)
{
	struct sigaction action;
	sigset_t stopping;

	/* Whoever ignores it has no job control: nobody would let us go on. */
	if (sigaction(SIGTSTP, NULL, &action) < 0 || action.sa_handler == SIG_IGN)
		return;
	sigemptyset(&stopping);
	sigaddset(&stopping, SIGTSTP);
	raw_terminal_leave();
	pthread_sigmask(SIG_UNBLOCK, &stopping, NULL);
	/* To this process it is delivered before kill(2) returns. */
	kill(pid, SIGTSTP);
	pthread_sigmask(SIG_BLOCK, &stopping, NULL);
	raw_terminal_enter();
}

void raw_terminal_take_signals(struct raw_terminal *terminal)
{
	struct signalfd_siginfo info;

	while (read(terminal->signal_fd, &info, sizeof(info)) == sizeof(info)) {
		switch (info.ssi_signo) {
		case SIGTSTP:
			stop(getpid());
			break;
		case SIGCONT:
			/*
			 * After SIGSTOP, which nobody can hold back, the mode may be any. Where it
			 * is raw it stays so: a Ctrl-C meanwhile would end the session.
			 */
			if (entered && is_foreground())
				set_raw();
			else
				raw_terminal_leave();
			break;
		default:
			break;
		}
	}
}

void raw_terminal_suspend(void)
{
	stop(0);
}

bool raw_terminal_size(unsigned int *rows, unsigned int *cols)
{
	struct winsize size;

	if (ioctl(STDIN_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_row == 0 || size.ws_col == 0)
		return false;
	*rows = size.ws_row;
	*cols = size.ws_col;
	return true;
}
