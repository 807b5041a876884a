/* What this machine has for guests: the pool's size where the user gives none. */
#ifndef RUNNER_BUDGET_H
#define RUNNER_BUDGET_H

#include <stdint.h>

struct budget {
	/* Bytes. */
	uint64_t memory;
	unsigned int cpus;
};

/*
 * Memory: what is available (MemAvailable, and what the cgroups that this process is in allow)
 * without 1.5 GiB, which stay the host's. Processors: half of those that this process may use
 * (sched_getaffinity(2), cpu.max of its cgroups), rounded up, but two where there are two: a file
 * with two guests is to run anywhere. proc and cgroup: "/proc" and "/sys/fs/cgroup";
 * available_cpus: of sched_getaffinity.
 */
void budget_measure(struct budget *budget, const char *proc, const char *cgroup,
		    unsigned int available_cpus);

/* How many processors this process may run on. */
unsigned int budget_available_cpus(void);

#endif
