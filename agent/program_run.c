/*
 * The calls of a program, made by this thread, one after the other, with nothing between them but
 * what prepares the next: its credentials, fds and signals are the point of the test.
 */
#include <errno.h>
#include <linux/futex.h>
#include <linux/sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "agent/arch.h"
#include "agent/deadline.h"
#include "agent/memory.h"
#include "agent/program.h"
#include "agent/spawn.h"
#include "agent/watch_page.h"
#include "common/util.h"
#include "proto/limits.h"

#define KIND(name)    PROVIUM__V1__REFERENCE_KIND__REFERENCE_##name

#define MS            UINT64_C(1000000)

/* Milliseconds until it is looked whether a thread that may have ended has. */
#define LOOK_AFTER_MS 50

/* Where the columns have been read up to. */
struct cursor {
	uint32_t call;
	size_t arg;
	size_t reference;
	size_t option;
};

static uint64_t raw_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_RAW, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* An integer that lies in a buffer, in the machine's byte order. */
static uint64_t load(const uint8_t *at, unsigned int width, bool is_signed)
{
	unsigned int unused = 64 - 8 * width;
	uint64_t value = 0;

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the bytes would have to be moved to the other end"
#endif
	memcpy(&value, at, width);
	if (is_signed && unused > 0)
		value = (uint64_t)((int64_t)(value << unused) >> unused);
	return value;
}

static uint64_t resolve_reference(const struct program *program, size_t i)
{
	const Provium__V1__Syscall *request = program->request;
	uint32_t index = request->reference_indexes[i];
	uint32_t offset = request->n_reference_offsets ? request->reference_offsets[i] : 0;
	uint32_t width = request->n_reference_widths ? request->reference_widths[i] : 8;

	switch (request->reference_kinds[i]) {
	case KIND(BUFFER):
		return (uintptr_t)program->buffers[index].address + offset;
	case KIND(RESULT):
		return (uint64_t)program->results[index] + offset;
	default:
		return load(program->buffers[index].address + offset, width,
			    request->reference_kinds[i] == KIND(LOAD_SIGNED));
	}
}

/* Whether what a reference stands for is sure before the first call is made. */
static bool is_sure(const Provium__V1__Syscall *request, size_t reference)
{
	return request->reference_kinds[reference] == KIND(BUFFER) &&
	       request->buffers[request->reference_indexes[reference]]->has_input;
}

/*
 * The arguments of the call at the cursor, which moves past them; those that are not given are 0.
 * Returns whether all are sure beforehand.
 */
static bool resolve(const struct program *program, struct cursor *cursor, uint64_t args[6])
{
	bool sure = true;
	const Provium__V1__Syscall *request = program->request;
	uint32_t count = request->n_arg_counts ? request->arg_counts[cursor->call] : 0;

	memset(args, 0, 6 * sizeof(*args));
	for (uint32_t i = 0; i < count; i++, cursor->arg++) {
		args[i] = request->args[cursor->arg];
		if (cursor->reference < request->n_reference_args &&
		    request->reference_args[cursor->reference] == cursor->arg) {
			sure &= is_sure(request, cursor->reference);
			args[i] = resolve_reference(program, cursor->reference++);
		}
	}
	return sure;
}

/* Whether it may return twice. */
static bool is_fork(uint32_t number)
{
	switch (number) {
#ifdef SYS_fork
	case SYS_fork:
	case SYS_vfork:
#endif
	case SYS_clone:
	case SYS_clone3:
		return true;
	default:
		return false;
	}
}

/* The flags and the stack of a clone(2) or clone3(2); false: of no such call, or not to be read. */
static bool clone_flags(uint32_t number, const uint64_t args[6], uint64_t *flags, uint64_t *stack)
{
	struct clone_args clone = { 0 };

	switch (number) {
	case SYS_clone:
		*flags = args[0];
		*stack = args[1];
		return true;
	case SYS_clone3:
		/* What cannot be read fails with EFAULT, and what is too short with EINVAL. */
		if (!memory_copy(&clone, args[0], MIN(args[1], sizeof(clone))))
			return false;
		*flags = clone.flags;
		*stack = clone.stack;
		return true;
	default:
		return false;
	}
}

/* NULL, or why the agent would not survive this call. */
static const char *refusal(uint32_t number, const uint64_t args[6])
{
	uint64_t flags, stack;

#ifdef SYS_vfork
	if (number == SYS_vfork)
		return "vfork: the agent would wait for ever for its parked child";
#endif
	if (!clone_flags(number, args, &flags, &stack))
		return NULL;
	if (flags & CLONE_VFORK)
		return "CLONE_VFORK: the agent would wait for ever for its parked child";
	if ((flags & CLONE_VM) && stack == 0)
		return "CLONE_VM without a stack: the child would run on the agent's";
	return NULL;
}

/*
 * Before anything is done, with what is known by then: arguments that are given, and buffers as
 * they were sent. What depends on results is seen when its turn has come.
 */
static bool is_refused(struct program *program)
{
	struct cursor cursor = { 0 };
	uint64_t args[6];

	for (; cursor.call < program->request->n_numbers; cursor.call++) {
		uint32_t number = program->request->numbers[cursor.call];

		program->refused = NULL;
		if (resolve(program, &cursor, args) && is_fork(number))
			program->refused = refusal(number, args);
		program->refused_call = cursor.call;
		if (program->refused)
			return true;
	}
	return false;
}

/*
 * A call that comes next may stop the child: where it has not parked by then it keeps our
 * connections open for ever, and a host waits for their end in vain. Should it be killed first, a
 * second is lost. Without a supervisor there is no memory that both have.
 */
static int64_t make_fork(uint32_t number, const uint64_t args[6], struct watch_slot *slot)
{
	static struct arch_parking nobody;
	const struct timespec limit = { .tv_sec = 1 };
	struct arch_parking *parking = slot ? &slot->parking : &nobody;
	uint64_t flags, stack;
	bool shares = clone_flags(number, args, &flags, &stack) && (flags & CLONE_FILES);
	int64_t result;

	parking->parked = 0;
	result = arch_fork(number, args, (uintptr_t)parking | (shares ? 0 : PARK_OWN_FILES));
	if (slot && result > 0)
		syscall(SYS_futex, &parking->parked, FUTEX_WAIT, 0, &limit, NULL, 0);
	return result;
}

static bool is_error(int64_t result)
{
	return result < 0 && result >= -4095;
}

static const Provium__V1__CallOption *option_of(const struct program *program,
						struct cursor *cursor)
{
	const Provium__V1__Syscall *request = program->request;

	if (cursor->option < request->n_options &&
	    request->options[cursor->option]->call == cursor->call)
		return request->options[cursor->option++];
	return NULL;
}

/* CLOCK_MONOTONIC when a call's time is up that is made now. */
static uint64_t deadline_of(const struct program *program, const Provium__V1__CallOption *option,
			    uint64_t now)
{
	uint32_t ms = program->request->has_deadline_ms ? program->request->deadline_ms
							: PROVIUM_DEADLINE_MS;

	if (option && option->has_deadline_ms)
		ms = option->deadline_ms;
	return ms ? now + ms * MS : WATCH_NEVER;
}

/*
 * Whether it may end the thread and nothing else, of which nobody would hear: exit, and a filter
 * that kills it in whatever it calls next (seccomp(2), SECCOMP_RET_KILL_THREAD).
 */
static bool ends_thread(uint32_t number)
{
	return number == SYS_exit || number == SYS_seccomp || number == SYS_prctl;
}

/* Without memory only that it was interrupted is lost, not that it failed. */
static void note_interruption(struct program *program, uint32_t call,
			      const struct watch_diagnosis *diagnosis)
{
	size_t count = program->n_interruptions;
	struct program_interruption *grown =
		realloc(program->interruptions, (count + 1) * sizeof(*program->interruptions));
	struct watch_diagnosis *copy = NULL;

	if (!grown)
		return;
	if (diagnosis && count < PROGRAM_MAX_DIAGNOSES)
		copy = malloc(sizeof(*copy));
	if (copy)
		*copy = *diagnosis;
	grown[count] = (struct program_interruption){ call, copy };
	program->interruptions = grown;
	program->n_interruptions++;
}

/* Without memory only that it was this call is lost: the final reply has the numbers. */
static void note_events(struct program *program, uint32_t call)
{
	struct program_events found = { .call = call };
	struct program_events *grown;

	if (!program->watch || program->durations[call] < PROGRAM_LOOK_NS)
		return;
	found.count = program->watch->look(program->watch, found.numbers);
	program->now_ns = raw_ns();
	if (found.count == 0)
		return;
	grown = realloc(program->events, (program->n_events + 1) * sizeof(*program->events));
	if (!grown)
		return;
	grown[program->n_events++] = found;
	program->events = grown;
}

/* Which takes its time. */
static void tell(struct program *program, uint32_t call)
{
	program->trace->call(program->trace, call);
	program->now_ns = raw_ns();
}

/* False: refused. */
static bool make_call(struct program *program, struct cursor *cursor, struct deadlines *deadlines,
		      uint32_t id)
{
	const Provium__V1__CallOption *option = option_of(program, cursor);
	uint32_t number = program->request->numbers[cursor->call];
	uint32_t repeat = option && option->has_repeat ? option->repeat : 1;
	bool stop = option && option->has_stop_on_error ? option->stop_on_error
							: program->request->stop_on_error;
	bool fork = is_fork(number);
	uint64_t args[6], start, now;
	int64_t result = -EINTR;
	bool passed;

	resolve(program, cursor, args);
	program->refused_call = cursor->call;
	program->refused = fork ? refusal(number, args) : NULL;
	if (program->refused)
		return false;
	if (program->trace)
		tell(program, cursor->call);
	now = program->now_ns + program->ahead_ns;
	deadline_begin(deadlines, id, cursor->call, deadline_of(program, option, now));
	if (ends_thread(number))
		deadline_look(deadlines, now + LOOK_AFTER_MS * MS);
	start = raw_ns();
	while (repeat-- > 0 && !deadline_passed(deadlines)) {
		result = fork ? make_fork(number, args, deadlines->slot) : arch_call(number, args);
		if (stop && is_error(result))
			break;
	}
	program->now_ns = raw_ns();
	if (number == SYS_rt_sigaction)
		spawn_signals_changed();
	passed = deadline_end(deadlines);
	if (passed || deadline_stopped(deadlines))
		note_interruption(program, cursor->call,
				  passed ? deadline_diagnosis(deadlines) : NULL);
	program->durations[cursor->call] = program->now_ns - start;
	program->results[cursor->call] = result;
	program->made++;
	note_events(program, cursor->call);
	program->stopped = stop && is_error(result);
	return true;
}

bool program_run(struct program *program, struct deadlines *deadlines, uint32_t id)
{
	struct cursor cursor = { 0 };

	if (is_refused(program))
		return false;
	program->now_ns = raw_ns();
	program->ahead_ns = monotonic_ns() - program->now_ns;
	for (; cursor.call < program->request->n_numbers && !program->stopped &&
	       !deadline_stopped(deadlines);
	     cursor.call++)
		if (!make_call(program, &cursor, deadlines, id))
			return false;
	return true;
}
