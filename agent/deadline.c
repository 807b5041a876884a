#include "agent/deadline.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include "agent/arch.h"
#include "agent/watch_page.h"

#if defined(__x86_64__)
#define CONTEXT_PC(context)     ((context)->uc_mcontext.gregs[REG_RIP])
#define CONTEXT_RESULT(context) ((context)->uc_mcontext.gregs[REG_RAX])
#elif defined(__aarch64__)
#define CONTEXT_PC(context)     ((context)->uc_mcontext.pc)
#define CONTEXT_RESULT(context) ((context)->uc_mcontext.regs[0])
#endif

/*
 * A signal that comes before the instruction, or after which the kernel would make it again
 * (signal(7), "Interruption of system calls": with SA_RESTART all that can be), finds the program
 * counter in front of it. There the call ends.
 */
static void on_deadline(int number, siginfo_t *info, void *data)
{
	ucontext_t *context = data;
	uintptr_t pc = (uintptr_t)CONTEXT_PC(context);

	(void)number;
	(void)info;
	if (pc < (uintptr_t)arch_call || pc >= (uintptr_t)arch_call_done)
		return;
	CONTEXT_PC(context) = (intptr_t)arch_call_done;
	CONTEXT_RESULT(context) = -EINTR;
}

static struct watch_slot *take_slot(struct watch_page *page)
{
	for (uint32_t i = 0; i < WATCH_SLOTS; i++) {
		int32_t nobody = 0;
		uint32_t used = page->slots_used;

		if (page->slots[i].pid != 0 ||
		    !atomic_compare_exchange_strong(&page->slots[i].pid, &nobody,
						    (int32_t)getpid()))
			continue;
		while (used <= i && !atomic_compare_exchange_weak(&page->slots_used, &used, i + 1))
			;
		return &page->slots[i];
	}
	return NULL;
}

bool deadlines_init(struct deadlines *deadlines, struct watch_page *page, int timer_fd,
		    uint64_t worker)
{
	struct sigaction action = { .sa_sigaction = on_deadline,
				    .sa_flags = SA_SIGINFO | SA_RESTART };
	const uint64_t mask = UINT64_C(1) << (DEADLINE_SIGNAL - 1);

	*deadlines = (struct deadlines){ .page = page, .timer_fd = timer_fd };
	if (!page)
		return true;
	deadlines->slot = take_slot(page);
	if (!deadlines->slot)
		return false;
	deadlines->slot->tid = (int32_t)syscall(SYS_gettid);
	deadlines->slot->worker = worker;
	deadlines->slot->stop = 0;
	sigaction(DEADLINE_SIGNAL, &action, NULL);
	syscall(SYS_rt_sigprocmask, SIG_UNBLOCK, &mask, NULL, sizeof(mask));
	return true;
}

void deadlines_move_here(struct deadlines *deadlines)
{
	deadlines->slot->tid = (int32_t)syscall(SYS_gettid);
}

void deadlines_finish(struct deadlines *deadlines)
{
	if (deadlines->slot)
		watch_release(deadlines->slot);
	deadlines->slot = NULL;
}

void deadline_begin(struct deadlines *deadlines, uint32_t request, uint32_t call,
		    uint64_t deadline_ns)
{
	struct watch_slot *slot = deadlines->slot;
	uint64_t number;

	if (!slot)
		return;
	number = atomic_load_explicit(&slot->last_call, memory_order_relaxed) + 1;
	atomic_store_explicit(&slot->last_call, number, memory_order_relaxed);
	atomic_store_explicit(&slot->request, request, memory_order_relaxed);
	atomic_store_explicit(&slot->call, call, memory_order_relaxed);
	atomic_store_explicit(&slot->deadline_ns, deadline_ns, memory_order_relaxed);
	/* In order with the next line: either this sees when the timer fires, or its owner the
	 * call. */
	atomic_store(&slot->state, number << WATCH_CALL_SHIFT);
	if (deadline_ns < atomic_load(&deadlines->page->armed_ns))
		watch_arm(deadlines->page, deadlines->timer_fd, deadline_ns);
}

void deadline_look(struct deadlines *deadlines, uint64_t at_ns)
{
	if (!deadlines->slot)
		return;
	deadlines->slot->look_ns = at_ns;
	watch_arm(deadlines->page, deadlines->timer_fd, at_ns);
}

bool deadline_stopped(const struct deadlines *deadlines)
{
	return deadlines->slot && deadlines->slot->stop;
}

bool deadline_passed(const struct deadlines *deadlines)
{
	return deadlines->slot &&
	       (deadlines->slot->stop ||
		(atomic_load_explicit(&deadlines->slot->state, memory_order_relaxed) &
		 WATCH_CLAIMED));
}

bool deadline_end(struct deadlines *deadlines)
{
	struct watch_slot *slot = deadlines->slot;
	uint64_t state;

	if (!slot)
		return false;
	state = atomic_exchange(&slot->state, 0);
	if (!(state & WATCH_CLAIMED))
		return false;
	/* It comes at the end of a system call, this one's or the next. */
	while ((state & WATCH_SIGNALLING) && slot->signalled != state >> WATCH_CALL_SHIFT)
		sched_yield();
	sched_yield();
	return true;
}

const struct watch_diagnosis *deadline_diagnosis(const struct deadlines *deadlines)
{
	return &deadlines->page->diagnoses[deadlines->slot - deadlines->page->slots];
}

void deadline_stop(struct watch_page *page, struct watch_slot *slot, int timer_fd)
{
	/* In this order: a call that begins meanwhile sees the first, or has its deadline set
	 * before the second. */
	slot->stop = 1;
	slot->deadline_ns = 1;
	watch_arm(page, timer_fd, 1);
}
