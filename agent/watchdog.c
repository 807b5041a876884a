#include "agent/watchdog.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/fds.h"
#include "common/cleanup.h"
#include "common/util.h"

#define MS            UINT64_C(1000000)

/* Between the signals to a thread that has not returned, and until it is given up. */
#define SIGNAL_EACH   (50 * MS)
#define GIVE_UP_AFTER (1000 * MS)

bool watchdog_init(struct watchdog *watchdog, struct watch_page *page, int proc_fd)
{
	watchdog->page = page;
	watchdog->proc_fd = proc_fd;
	page->armed_ns = WATCH_NEVER;
	watchdog->timer_fd = fd_raise(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
	return watchdog->timer_fd >= 0;
}

/* What a test has written over it does not lead beyond the table. */
static uint32_t slots_used(const struct watchdog *watchdog)
{
	return MIN(watchdog->page->slots_used, WATCH_SLOTS);
}

const struct watch_slot *watchdog_calling(const struct watchdog *watchdog, pid_t process)
{
	for (uint32_t i = 0; i < slots_used(watchdog); i++) {
		const struct watch_slot *slot = &watchdog->page->slots[i];

		if (slot->pid == process && slot->worker == 0 && slot->state != 0)
			return slot;
	}
	return NULL;
}

void watchdog_forget(struct watchdog *watchdog, pid_t process)
{
	for (uint32_t i = 0; i < slots_used(watchdog); i++) {
		struct watch_slot *slot = &watchdog->page->slots[i];

		if (slot->pid == process)
			watch_release(slot);
	}
}

/* A process of the agent's is a child of this one: server and workers alike. */
static bool is_child(pid_t pid)
{
	siginfo_t info;

	return pid > 0 &&
	       waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) == 0;
}

/* A file of the thread's; "" where it cannot be read. The thread itself would see its reading. */
static void read_file(const struct watchdog *watchdog, const struct watch_slot *slot,
		      const char *name, char *text, size_t size)
{
	cleanup_close int fd = -1;
	char path[64];
	ssize_t count = 0;

	snprintf(path, sizeof(path), "%s%d/task/%d/%s", watchdog->proc_fd < 0 ? "/proc/" : "",
		 slot->pid, slot->tid, name);
	fd = openat(watchdog->proc_fd < 0 ? AT_FDCWD : watchdog->proc_fd, path,
		    O_RDONLY | O_CLOEXEC);
	if (fd >= 0)
		count = read(fd, text, size - 1);
	text[MAX(count, 0)] = '\0';
}

static struct watch_diagnosis *diagnose(const struct watchdog *watchdog, uint32_t index)
{
	const struct watch_slot *slot = &watchdog->page->slots[index];
	struct watch_diagnosis *diagnosis = &watchdog->page->diagnoses[index];

#define READ(name) read_file(watchdog, slot, #name, diagnosis->name, sizeof(diagnosis->name))
	READ(syscall);
	READ(wchan);
	READ(stack);
	READ(status);
#undef READ
	return diagnosis;
}

/* Unless the call has returned meanwhile. False: there is no such thread. */
static bool send_signal(struct watch_slot *slot, uint64_t state)
{
	uint64_t signalling = state | WATCH_SIGNALLING;
	bool sent;

	if (!atomic_compare_exchange_strong(&slot->state, &state, signalling))
		return true;
	sent = syscall(SYS_tgkill, slot->pid, slot->tid, DEADLINE_SIGNAL) == 0 || errno != ESRCH;
	slot->signalled = state >> WATCH_CALL_SHIFT;
	atomic_compare_exchange_strong(&slot->state, &signalling, state);
	return sent;
}

static void give_up(struct watchdog *watchdog, uint32_t index, bool ended, watchdog_stuck_fn stuck,
		    void *user)
{
	struct watch_slot *slot = &watchdog->page->slots[index];
	const struct watch_diagnosis *diagnosis = diagnose(watchdog, index);
	char reason[192];

	if (ended)
		snprintf(reason, sizeof(reason), "its thread has ended, in call %u of request %u",
			 slot->call, slot->request);
	else
		snprintf(reason, sizeof(reason),
			 "call %u of request %u did not end at its deadline (wchan %s, syscall "
			 "%.60s)",
			 slot->call, slot->request, diagnosis->wchan, diagnosis->syscall);
	*strchrnul(reason, '\n') = '\0';
	watchdog->claimed[index].given_up = true;
	stuck(user, slot->pid, slot->worker, ended, reason);
	if (ended)
		watch_release(slot);
}

/* When to look again whether the thread is there, or WATCH_NEVER. */
static uint64_t look_for_thread(struct watchdog *watchdog, uint32_t index, watchdog_stuck_fn stuck,
				void *user)
{
	struct watch_slot *slot = &watchdog->page->slots[index];
	uint64_t at = slot->look_ns;

	if (at == 0 || !is_child(slot->pid))
		return WATCH_NEVER;
	if (monotonic_ns() < at)
		return at;
	slot->look_ns = 0;
	if (syscall(SYS_tgkill, slot->pid, slot->tid, 0) < 0 && errno == ESRCH)
		give_up(watchdog, index, true, stuck, user);
	return WATCH_NEVER;
}

/* When to look again, or WATCH_NEVER. */
static uint64_t look_at_slot(struct watchdog *watchdog, uint32_t index, watchdog_stuck_fn stuck,
			     void *user)
{
	struct watch_slot *slot = &watchdog->page->slots[index];
	uint64_t state = slot->state, deadline = slot->deadline_ns, now = monotonic_ns();
	bool claimed = state & WATCH_CLAIMED;

	if (state == 0 || deadline == WATCH_NEVER)
		return WATCH_NEVER;
	if (claimed && watchdog->claimed[index].given_up)
		return WATCH_NEVER;
	if (now < deadline)
		return deadline;
	if (!is_child(slot->pid))
		return WATCH_NEVER;
	if (!claimed) {
		if (!atomic_compare_exchange_strong(&slot->state, &state, state | WATCH_CLAIMED))
			return now;
		state |= WATCH_CLAIMED;
		watchdog->claimed[index].call = state >> WATCH_CALL_SHIFT;
		watchdog->claimed[index].since_ns = now;
		watchdog->claimed[index].given_up = false;
		diagnose(watchdog, index);
	} else if (now - watchdog->claimed[index].since_ns >= GIVE_UP_AFTER) {
		give_up(watchdog, index, false, stuck, user);
		return WATCH_NEVER;
	}
	if (send_signal(slot, state))
		return now + SIGNAL_EACH;
	give_up(watchdog, index, true, stuck, user);
	return WATCH_NEVER;
}

void watchdog_look(struct watchdog *watchdog, watchdog_stuck_fn stuck, void *user)
{
	uint64_t next = WATCH_NEVER, expirations;

	if (read(watchdog->timer_fd, &expirations, sizeof(expirations)) < 0 && errno != EAGAIN)
		return;
	/* A call that begins from here on arms the timer itself. */
	watchdog->page->armed_ns = WATCH_NEVER;
	for (uint32_t i = 0; i < slots_used(watchdog); i++) {
		next = MIN(next, look_for_thread(watchdog, i, stuck, user));
		next = MIN(next, look_at_slot(watchdog, i, stuck, user));
	}
	watch_arm(watchdog->page, watchdog->timer_fd, next);
}
