#include "agent/watchdog.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "agent/fds.h"
#include "agent/watch_page.h"
#include "common/cleanup.h"
#include "common/util.h"

#define MS            UINT64_C(1000000)

/* Between the signals to a thread that has not returned, and until it is given up. */
#define SIGNAL_EACH   (50 * MS)
#define GIVE_UP_AFTER (1000 * MS)

bool watchdog_init(struct watchdog *watchdog, int proc_fd)
{
	watchdog->proc_fd = proc_fd;
	watchdog->timer_fd = fd_raise(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
	watchdog->page = mmap(NULL, sizeof(*watchdog->page), PROT_READ | PROT_WRITE,
			      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (watchdog->timer_fd < 0 || watchdog->page == MAP_FAILED)
		return false;
	watchdog_reset(watchdog);
	return true;
}

void watchdog_reset(struct watchdog *watchdog)
{
	struct itimerspec never = { 0 };

	timerfd_settime(watchdog->timer_fd, 0, &never, NULL);
	memset(watchdog->page, 0, sizeof(*watchdog->page));
	watchdog->page->armed_ns = WATCH_NEVER;
	watchdog->claimed = 0;
}

/* A file of the thread's; "" where it cannot be read. The thread itself would see its reading. */
static void read_file(const struct watchdog *watchdog, pid_t server, pid_t tid, const char *name,
		      char *text, size_t size)
{
	cleanup_close int fd = -1;
	char path[64];
	ssize_t count = 0;

	snprintf(path, sizeof(path), "%s%d/task/%d/%s", watchdog->proc_fd < 0 ? "/proc/" : "",
		 server, tid, name);
	fd = openat(watchdog->proc_fd < 0 ? AT_FDCWD : watchdog->proc_fd, path,
		    O_RDONLY | O_CLOEXEC);
	if (fd >= 0)
		count = read(fd, text, size - 1);
	text[MAX(count, 0)] = '\0';
}

static void diagnose(const struct watchdog *watchdog, pid_t server)
{
	struct watch_slot *slot = &watchdog->page->slot;
	struct watch_diagnosis *diagnosis = &slot->diagnosis;

#define READ(name) \
	read_file(watchdog, server, slot->tid, #name, diagnosis->name, sizeof(diagnosis->name))
	READ(syscall);
	READ(wchan);
	READ(stack);
	READ(status);
#undef READ
}

/* Unless the call has returned meanwhile. */
static void send_signal(struct watchdog *watchdog, pid_t server, uint64_t state)
{
	struct watch_slot *slot = &watchdog->page->slot;
	uint64_t signalling = state | WATCH_SIGNALLING;

	if (!atomic_compare_exchange_strong(&slot->state, &state, signalling))
		return;
	syscall(SYS_tgkill, server, slot->tid, DEADLINE_SIGNAL);
	slot->signalled = state >> WATCH_CALL_SHIFT;
	atomic_compare_exchange_strong(&slot->state, &signalling, state);
}

/*
 * When to look again, or WATCH_NEVER. 0: the thread must be given up.
 */
static uint64_t look_at_call(struct watchdog *watchdog, pid_t server)
{
	struct watch_slot *slot = &watchdog->page->slot;
	uint64_t state = slot->state, deadline = slot->deadline_ns, now = monotonic_ns();

	if (state == 0 || deadline == WATCH_NEVER)
		return WATCH_NEVER;
	if (now < deadline)
		return deadline;
	if (!(state & WATCH_CLAIMED)) {
		if (!atomic_compare_exchange_strong(&slot->state, &state, state | WATCH_CLAIMED))
			return now;
		state |= WATCH_CLAIMED;
		watchdog->claimed = state;
		watchdog->claimed_ns = now;
		diagnose(watchdog, server);
	} else if (state == watchdog->claimed && now - watchdog->claimed_ns >= GIVE_UP_AFTER) {
		return 0;
	}
	send_signal(watchdog, server, state);
	return now + SIGNAL_EACH;
}

/* A call is being made whose time is not up, as far as is known. */
static bool is_pending(const struct watch_slot *slot)
{
	uint64_t state = slot->state;

	return state != 0 && !(state & WATCH_CLAIMED);
}

bool watchdog_look(struct watchdog *watchdog, pid_t server, char *reason, size_t size)
{
	struct watch_page *page = watchdog->page;
	uint64_t next, expirations;

	if (read(watchdog->timer_fd, &expirations, sizeof(expirations)) < 0 && errno != EAGAIN)
		return false;
	do {
		next = look_at_call(watchdog, server);
		if (next == 0) {
			diagnose(watchdog, server);
			snprintf(reason, size,
				 "call %u of request %u did not end at its deadline (wchan %s, "
				 "syscall %.60s)",
				 page->slot.call, page->slot.request, page->slot.diagnosis.wchan,
				 page->slot.diagnosis.syscall);
			reason[strcspn(reason, "\n")] = '\0';
			return true;
		}
		watch_arm(page, watchdog->timer_fd, next);
		/* A call that began meanwhile may have seen the timer armed for later. */
	} while (is_pending(&page->slot) && page->slot.deadline_ns < next);
	return false;
}
