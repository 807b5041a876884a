#include "agent/threads.h"

#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The kernel clears it when the first thread ends, and wakes who waits (set_tid_address(2)). */
static _Atomic uint32_t first_lives;

static bool watched;

/* It keeps its wait from signals, and from what else a test may do to a thread that it finds. */
static void *watch_first(void *argument)
{
	(void)argument;
	while (first_lives)
		syscall(SYS_futex, &first_lives, FUTEX_WAIT, 1, NULL, NULL, 0);
	syscall(SYS_exit_group, 1);
	return NULL;
}

static int start(void *(*run)(void *argument), void *argument)
{
	pthread_attr_t attributes;
	pthread_t thread;

	pthread_attr_init(&attributes);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	return pthread_create(&thread, &attributes, run, argument);
}

static int watch(void)
{
	const uint64_t all_signals = ~UINT64_C(0);
	uint64_t signals;
	int error;

	first_lives = 1;
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all_signals, &signals, sizeof(signals));
	error = start(watch_first, NULL);
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &signals, NULL, sizeof(signals));
	if (error != 0)
		return error;
	syscall(SYS_set_tid_address, &first_lives);
	watched = true;
	return 0;
}

int thread_start(void *(*run)(void *argument), void *argument)
{
	int error = watched ? 0 : watch();

	return error ? error : start(run, argument);
}

void threads_forked(void)
{
	if (guest_threads_forked)
		guest_threads_forked();
	if (watched)
		watched = false;
}
