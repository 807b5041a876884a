#include "tests/bench/vsock.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include "common/util.h"
#include "tests/bench/figures.h"
#include "tests/bench/runs.h"

/* Whether this process has started it as provium-vsock. */
static bool is_ours(long pid)
{
	char path[64], comm[32];
	bool ours = false;
	long parent;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%ld/stat", pid);
	file = fopen(path, "re");
	if (file) {
		ours = fscanf(file, "%*d (%31[^)]) %*c %ld", comm, &parent) == 2 &&
		       parent == getpid() && strcmp(comm, "provium-vsock") == 0;
		fclose(file);
	}
	return ours;
}

static clockid_t vsock_clock(void)
{
	DIR *directory = opendir("/proc");
	struct dirent *entry;
	clockid_t clock = CLOCK_REALTIME;
	bool found = false;

	while (directory && !found && (entry = readdir(directory))) {
		long pid = strtol(entry->d_name, NULL, 10);

		found = pid > 0 && is_ours(pid) && clock_getcpuclockid((pid_t)pid, &clock) == 0;
	}
	if (directory)
		closedir(directory);
	if (!found)
		die("provium-vsock is not among our children");
	return clock;
}

void vsock_measure(unsigned int rounds, json_t *list)
{
	static const struct figure_name names[] = {
		{ "provium-vsock, out", "ms/MiB" },
		{ "provium-vsock, in", "ms/MiB" },
	};
	static const enum floor_kind kinds[] = { FLOOR_SINK, FLOOR_SOURCE };
	struct figure figures[ARRAY_SIZE(names)] = { 0 };
	clockid_t clock = vsock_clock();

	for (unsigned int round = 0; round < rounds; round++)
		for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
			uint64_t start = clock_ns(clock);

			guest_exchange(&guest, kinds[i], bulk_bytes);
			samples_add(&figures[i].value, (double)(clock_ns(clock) - start) / 1e6 /
							       ((double)bulk_bytes / MIB(1)));
		}
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		figure_report(&names[i], &figures[i], list);
}
