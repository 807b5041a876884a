#include <sys/syscall.h>

#include "tests/bench/runs.h"

/* Built once. */
static struct provium_program *repeated, *separate;

void run_programs_make(void)
{
	repeated = provium_program_new();
	separate = provium_program_new();
	if (!repeated || !separate)
		die("no memory");
	provium_program_repeat(repeated, provium_program_call(repeated, SYS_getpid, NULL, 0),
			       RUN_CALLS);
	for (int i = 0; i < RUN_CALLS; i++)
		provium_program_call(separate, SYS_getpid, NULL, 0);
}

void run_programs_free(void)
{
	provium_program_free(repeated);
	provium_program_free(separate);
}

static void run_program(struct provium_program *program)
{
	struct provium_error error;

	check(provium_program_run(guest.connection, program, RUN_TIMEOUT_MS, &error), &error);
	if (provium_program_result(program, 0) <= 0)
		die("getpid failed");
}

void run_repeated(void)
{
	run_program(repeated);
}

void run_separate(void)
{
	run_program(separate);
}

uint64_t run_separate_ns(void)
{
	uint64_t sum = 0;

	for (int i = 0; i < RUN_CALLS; i++)
		sum += provium_program_duration_ns(separate, i);
	return sum;
}

void run_calls(void)
{
	guest_exchange(&guest, FLOOR_CALLS, RUN_CALLS);
}
