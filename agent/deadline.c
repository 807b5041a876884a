#include "agent/deadline.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
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

void deadlines_init(struct deadlines *deadlines, struct watch_page *page, int timer_fd)
{
	struct sigaction action = { .sa_sigaction = on_deadline,
				    .sa_flags = SA_SIGINFO | SA_RESTART };
	sigset_t mask;

	*deadlines = (struct deadlines){ .page = page, .timer_fd = timer_fd };
	if (!page)
		return;
	sigaction(DEADLINE_SIGNAL, &action, NULL);
	sigemptyset(&mask);
	sigaddset(&mask, DEADLINE_SIGNAL);
	sigprocmask(SIG_UNBLOCK, &mask, NULL);
	page->slot.tid = (int32_t)getpid();
}

void deadline_begin(struct deadlines *deadlines, uint32_t request, uint32_t call,
		    uint64_t deadline_ns)
{
	struct watch_page *page = deadlines->page;

	if (!page)
		return;
	atomic_store_explicit(&page->slot.request, request, memory_order_relaxed);
	atomic_store_explicit(&page->slot.call, call, memory_order_relaxed);
	atomic_store_explicit(&page->slot.deadline_ns, deadline_ns, memory_order_relaxed);
	/* In order with the next line: either this sees when the timer fires, or its owner the
	 * call. */
	atomic_store(&page->slot.state, ++deadlines->last_call << WATCH_CALL_SHIFT);
	if (deadline_ns < atomic_load(&page->armed_ns))
		watch_arm(page, deadlines->timer_fd, deadline_ns);
}

bool deadline_passed(const struct deadlines *deadlines)
{
	return deadlines->page &&
	       (atomic_load_explicit(&deadlines->page->slot.state, memory_order_relaxed) &
		WATCH_CLAIMED);
}

bool deadline_end(struct deadlines *deadlines)
{
	struct watch_slot *slot;
	uint64_t state;

	if (!deadlines->page)
		return false;
	slot = &deadlines->page->slot;
	state = atomic_exchange(&slot->state, 0);
	if (!(state & WATCH_CLAIMED))
		return false;
	/* It comes at the end of a system call, this one's or the next. */
	while ((state & WATCH_SIGNALLING) && slot->signalled != deadlines->last_call)
		sched_yield();
	sched_yield();
	return true;
}
