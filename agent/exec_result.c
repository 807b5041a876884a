#include "exec_result.h"

#include <signal.h>

static uint64_t microseconds(const struct timeval *time)
{
	return (uint64_t)time->tv_sec * 1000000u + (uint64_t)time->tv_usec;
}

static void fill_usage(Provium__V1__Rusage *usage, const struct rusage *from)
{
	usage->user_us = microseconds(&from->ru_utime);
	usage->system_us = microseconds(&from->ru_stime);
	usage->max_rss_kib = (uint64_t)from->ru_maxrss;
	usage->minor_faults = (uint64_t)from->ru_minflt;
	usage->major_faults = (uint64_t)from->ru_majflt;
	usage->voluntary_switches = (uint64_t)from->ru_nvcsw;
	usage->involuntary_switches = (uint64_t)from->ru_nivcsw;
}

static void fill_outcome(Provium__V1__ExecResult *result, const struct child_result *from)
{
	switch (from->code) {
	case CLD_EXITED:
		result->outcome = PROVIUM__V1__OUTCOME__OUTCOME_EXITED;
		result->has_exit_code = true;
		result->exit_code = (uint32_t)from->status;
		break;
	case CLD_KILLED:
	case CLD_DUMPED:
		result->outcome = PROVIUM__V1__OUTCOME__OUTCOME_SIGNALLED;
		result->has_signal = true;
		result->signal = (uint32_t)from->status;
		result->has_core_dumped = from->code == CLD_DUMPED;
		result->core_dumped = from->code == CLD_DUMPED;
		break;
	default:
		/* Its status is gone: it has exited, nobody knows how. */
		result->outcome = PROVIUM__V1__OUTCOME__OUTCOME_EXITED;
		break;
	}
	if (from->end == CHILD_TIMED_OUT)
		result->outcome = PROVIUM__V1__OUTCOME__OUTCOME_TIMED_OUT;
	else if (from->end == CHILD_CANCELLED)
		result->outcome = PROVIUM__V1__OUTCOME__OUTCOME_CANCELLED;
}

void exec_result_fill(Provium__V1__ExecResult *result, Provium__V1__Rusage *usage,
		      const struct child_result *from)
{
	*result = (Provium__V1__ExecResult)PROVIUM__V1__EXEC_RESULT__INIT;
	*usage = (Provium__V1__Rusage)PROVIUM__V1__RUSAGE__INIT;
	fill_outcome(result, from);
	fill_usage(usage, &from->usage);
	result->rusage = usage;
	result->pid = from->pid;
	result->wall_ns = from->wall_ns;
	result->stdout_bytes = from->bytes[CHILD_STDOUT];
	result->stderr_bytes = from->bytes[CHILD_STDERR];
	result->has_stdout_truncated = from->truncated[CHILD_STDOUT];
	result->stdout_truncated = from->truncated[CHILD_STDOUT];
	result->has_stderr_truncated = from->truncated[CHILD_STDERR];
	result->stderr_truncated = from->truncated[CHILD_STDERR];
	result->has_pipes_held = from->pipes_held;
	result->pipes_held = from->pipes_held;
}
