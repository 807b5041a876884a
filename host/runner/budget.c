#include "host/runner/budget.h"

#include <inttypes.h>
#include <limits.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/util.h"

/* Of the host. */
#define HOST_MEMORY ((uint64_t)MIB(1536))

static void close_file(FILE **file)
{
	if (*file)
		fclose(*file);
}

/* A line of DIRECTORY/NAME that begins with prefix, without it and without the newline. */
static bool read_line(const char *directory, const char *name, const char *prefix, char *text,
		      size_t size)
{
	cleanup(close_file) FILE *file = NULL;
	char path[PATH_MAX];

	if (snprintf(path, sizeof(path), "%s/%s", directory, name) >= (int)sizeof(path))
		return false;
	file = fopen(path, "re");
	if (!file)
		return false;
	while (fgets(text, (int)size, file)) {
		size_t length = strcspn(text, "\n");

		if (strncmp(text, prefix, strlen(prefix)) != 0)
			continue;
		text[length] = '\0';
		memmove(text, text + strlen(prefix), length + 1 - strlen(prefix));
		return true;
	}
	return false;
}

static bool read_number(const char *directory, const char *name, const char *prefix,
			uint64_t *number)
{
	char text[256];

	/* "max" of a cgroup is none. */
	return read_line(directory, name, prefix, text, sizeof(text)) &&
	       sscanf(text, "%" SCNu64, number) == 1;
}

/* What one cgroup leaves of memory and processors. */
static void limit_by(const char *directory, uint64_t *memory, unsigned int *cpus)
{
	uint64_t max, current, inactive = 0, quota, period;
	char text[256];

	if (read_number(directory, "memory.max", "", &max) &&
	    read_number(directory, "memory.current", "", &current)) {
		/* Cache that the kernel gives up before it fails anybody. */
		if (read_number(directory, "memory.stat", "inactive_file ", &inactive))
			current -= MIN(inactive, current);
		*memory = MIN(*memory, max > current ? max - current : 0);
	}
	if (read_line(directory, "cpu.max", "", text, sizeof(text)) &&
	    sscanf(text, "%" SCNu64 " %" SCNu64, &quota, &period) == 2 && period > 0) {
		uint64_t whole = MAX(quota / period, UINT64_C(1));

		*cpus = (unsigned int)MIN(whole, (uint64_t)*cpus);
	}
}

void budget_measure(struct budget *budget, const char *proc, const char *cgroup,
		    unsigned int available_cpus)
{
	unsigned int cpus = available_cpus;
	uint64_t kib, memory = 0;
	char own[PATH_MAX / 2];
	char path[PATH_MAX];

	if (read_number(proc, "meminfo", "MemAvailable:", &kib))
		memory = kib * 1024;
	/* The group of the unified hierarchy, and those above it. */
	if (read_line(proc, "self/cgroup", "0::", own, sizeof(own))) {
		snprintf(path, sizeof(path), "%s%s", cgroup, own);
		while (strlen(path) > strlen(cgroup)) {
			limit_by(path, &memory, &cpus);
			*strrchr(path, '/') = '\0';
		}
		/* In a container its own group looks like the root. */
		limit_by(cgroup, &memory, &cpus);
	}
	budget->memory = memory > HOST_MEMORY ? memory - HOST_MEMORY : 0;
	budget->cpus = MAX((cpus + 1) / 2, MIN(cpus, 2u));
}

unsigned int budget_available_cpus(void)
{
	/* More than the kernel can have (CONFIG_NR_CPUS). */
	const size_t most = 65536;
	cpu_set_t *set = CPU_ALLOC(most);
	unsigned int count = 0;

	if (set && sched_getaffinity(0, CPU_ALLOC_SIZE(most), set) == 0)
		count = (unsigned int)CPU_COUNT_S(CPU_ALLOC_SIZE(most), set);
	CPU_FREE(set);
	return MAX(count, 1u);
}
