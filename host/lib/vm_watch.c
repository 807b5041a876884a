/*
 * A guest whose serial port is not read stands still at its next printk; a program whose standard
 * error is a full pipe stops too. The library is called when the test likes, so a thread reads. It
 * gets no signals (they are blocked in it) and calls nobody back: what it has found waits under the
 * lock, and an eventfd wakes the call that waits.
 *
 * QEMU could write the console into a file by itself. Then nothing would bound the file, nothing
 * would notice the guest's last words while a pipe or a terminal is the file, and a disk that is
 * full would be told nowhere.
 */
#include "host/lib/vm_watch.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/util.h"
#include "host/lib/error.h"

static const char limit_note[] =
	"\n[provium: the console's file is full, what follows is left out]\n";

static void notify(struct vm_watch *watch)
{
	eventfd_write(watch->event_fd, 1);
}

/* What must wake a call: the boot's end or the guest's. */
static bool is_news(const struct vm_console *console)
{
	return console->fatal[0] || console->panic_over;
}

static void file_failed(struct vm_watch *watch, int failure)
{
	pthread_mutex_lock(&watch->lock);
	watch->file_errno = failure;
	pthread_mutex_unlock(&watch->lock);
	watch->pending_size = 0;
	watch->file_fd = close_fd(watch->file_fd);
	notify(watch);
}

/* Writes what is pending for the file, as far as it goes without waiting. */
static void write_file(struct vm_watch *watch)
{
	while (watch->pending_size > 0 && watch->file_fd >= 0) {
		ssize_t n = write(watch->file_fd, watch->pending, watch->pending_size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0) {
			file_failed(watch, errno);
			return;
		}
		watch->pending += n;
		watch->pending_size -= (size_t)n;
		watch->file_size += (size_t)n;
	}
	if (watch->file_fd >= 0 && watch->file_size >= VM_CONSOLE_FILE_LIMIT) {
		/* What a file that blocks does not take of it is told by the notice. */
		if (write(watch->file_fd, limit_note, sizeof(limit_note) - 1) < 0)
			errno = 0;
		file_failed(watch, EFBIG);
	}
}

/* Reads once. The source has ended at its end of file, or with its writer's reset. */
static void read_source(struct vm_watch *watch, enum vm_source source)
{
	struct vm_console *log = &watch->logs[source];
	ssize_t n = read(watch->fds[source], watch->buffer, sizeof(watch->buffer));
	bool news = false;

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	pthread_mutex_lock(&watch->lock);
	if (n > 0) {
		bool before = is_news(log);
		unsigned int panics = log->panics;

		vm_console_add(log, watch->buffer, (size_t)n);
		if (source == VM_SOURCE_CONSOLE && log->panics != panics)
			watch->panicked_ns = monotonic_ns();
		news = source == VM_SOURCE_CONSOLE && !before && is_news(log);
	} else {
		/* Its last line may lack its end. */
		vm_console_add(log, "\n", 1);
		watch->open[source] = false;
		pthread_cond_broadcast(&watch->ended);
	}
	pthread_mutex_unlock(&watch->lock);

	if (n <= 0) {
		watch->fds[source] = close_fd(watch->fds[source]);
		return;
	}
	if (source == VM_SOURCE_CONSOLE) {
		watch->pending = watch->buffer;
		watch->pending_size = watch->file_fd >= 0 ? (size_t)n : 0;
		write_file(watch);
	}
	if (news)
		notify(watch);
}

static void *watch_thread(void *arg)
{
	struct vm_watch *watch = arg;

	for (;;) {
		struct pollfd fds[VM_SOURCES + 2];
		/* Its buffer is taken until the file has all of it: until then no source is read.
		 */
		bool blocked = watch->pending_size > 0;

		for (int i = 0; i < VM_SOURCES; i++)
			fds[i] = (struct pollfd){ .fd = blocked ? -1 : watch->fds[i],
						  .events = POLLIN };
		fds[VM_SOURCES] = (struct pollfd){ .fd = watch->stop_fd, .events = POLLIN };
		fds[VM_SOURCES + 1] =
			(struct pollfd){ .fd = blocked ? watch->file_fd : -1, .events = POLLOUT };
		if (poll(fds, ARRAY_SIZE(fds), -1) < 0)
			continue;
		if (fds[VM_SOURCES].revents)
			return NULL;
		if (fds[VM_SOURCES + 1].revents)
			write_file(watch);
		for (int i = 0; i < VM_SOURCES && watch->pending_size == 0; i++) {
			if (fds[i].revents)
				read_source(watch, i);
		}
	}
}

static int start_thread(struct vm_watch *watch)
{
	pthread_attr_t attributes;
	pthread_condattr_t clock;
	sigset_t before;
	sigset_t all;
	int failure;

	pthread_mutex_init(&watch->lock, NULL);
	pthread_condattr_init(&clock);
	pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
	pthread_cond_init(&watch->ended, &clock);
	pthread_condattr_destroy(&clock);

	/* The thread inherits the mask. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, KIB(256));
	failure = pthread_create(&watch->thread, &attributes, watch_thread, watch);
	pthread_attr_destroy(&attributes);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	watch->started = failure == 0;
	if (failure) {
		pthread_mutex_destroy(&watch->lock);
		pthread_cond_destroy(&watch->ended);
	}
	return failure;
}

static void close_all(struct vm_watch *watch)
{
	for (int i = 0; i < VM_SOURCES; i++)
		watch->fds[i] = close_fd(watch->fds[i]);
	watch->file_fd = close_fd(watch->file_fd);
	watch->stop_fd = close_fd(watch->stop_fd);
	watch->event_fd = close_fd(watch->event_fd);
}

int vm_watch_start(struct vm_watch *watch, const int fds[VM_SOURCES], int file_fd,
		   struct provium_error *error)
{
	int failure;

	memset(watch, 0, sizeof(*watch));
	watch->file_fd = file_fd;
	for (int i = 0; i < VM_SOURCES; i++) {
		watch->fds[i] = fds[i];
		watch->open[i] = fds[i] >= 0;
	}
	watch->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	watch->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	failure = watch->stop_fd < 0 || watch->event_fd < 0 ? errno : start_thread(watch);
	if (failure) {
		close_all(watch);
		return error_set(error, PROVIUM_HOST, failure,
				 "start the thread that reads the console");
	}
	return 0;
}

void vm_watch_stop(struct vm_watch *watch)
{
	if (!watch->started)
		return;
	eventfd_write(watch->stop_fd, 1);
	pthread_join(watch->thread, NULL);
	pthread_mutex_destroy(&watch->lock);
	pthread_cond_destroy(&watch->ended);
	close_all(watch);
	watch->started = false;
}

void vm_watch_drain(struct vm_watch *watch, enum vm_source source, int timeout_ms)
{
	uint64_t at = monotonic_ns() + (uint64_t)timeout_ms * 1000000u;
	struct timespec until = {
		.tv_sec = (time_t)(at / 1000000000u),
		.tv_nsec = (long)(at % 1000000000u),
	};

	pthread_mutex_lock(&watch->lock);
	while (watch->open[source]) {
		if (pthread_cond_timedwait(&watch->ended, &watch->lock, &until) == ETIMEDOUT)
			break;
	}
	pthread_mutex_unlock(&watch->lock);
}

void vm_watch_findings(struct vm_watch *watch, struct vm_findings *findings)
{
	const struct vm_console *console = &watch->logs[VM_SOURCE_CONSOLE];
	eventfd_t count;

	eventfd_read(watch->event_fd, &count);
	pthread_mutex_lock(&watch->lock);
	memcpy(findings->panic, console->panic, sizeof(findings->panic));
	memcpy(findings->fatal, console->fatal, sizeof(findings->fatal));
	findings->panic_over = console->panic_over;
	findings->panicked_ns = watch->panicked_ns;
	findings->hint = console->hint ? console->hint : watch->logs[VM_SOURCE_QEMU].hint;
	findings->file_errno = watch->file_errno;
	pthread_mutex_unlock(&watch->lock);
}

char *vm_watch_tail(struct vm_watch *watch, enum vm_source source, unsigned int lines,
		    size_t max_size)
{
	char *tail;

	pthread_mutex_lock(&watch->lock);
	tail = vm_console_tail(&watch->logs[source], lines, max_size);
	pthread_mutex_unlock(&watch->lock);
	return tail;
}

char *vm_watch_panic(struct vm_watch *watch, size_t max_size)
{
	char *panic;

	pthread_mutex_lock(&watch->lock);
	panic = vm_console_panic(&watch->logs[VM_SOURCE_CONSOLE], max_size);
	pthread_mutex_unlock(&watch->lock);
	return panic;
}
