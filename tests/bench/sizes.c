#include "tests/bench/sizes.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/util.h"
#include "tests/bench/figures.h"
#include "tests/bench/runs.h"

#define AGENT_GOAL   3
#define WRAPPER_GOAL KIB(16)
#define SHIM_GOAL    KIB(128)
#define MEMORY_GOAL  3

static double size_of(const char *path)
{
	struct stat status;

	if (stat(path, &status) < 0)
		die("%s: %s", path, strerror(errno));
	return (double)status.st_size;
}

static void report(const struct figure_name *name, double value, double floor, json_t *list)
{
	struct figure figure = { 0 };

	figure_add(&figure, value, floor, value / floor);
	figure_report(name, &figure, list);
}

static double shim_size(void)
{
	const struct provium_shim_options options = { 0 };
	const char *base = getenv("TMPDIR");
	struct provium_error error;
	char directory[64], path[96];
	double size;

	snprintf(directory, sizeof(directory), "%s/provium-bench-XXXXXX", base ? base : "/tmp");
	if (!mkdtemp(directory))
		die("%s: %s", directory, strerror(errno));
	snprintf(path, sizeof(path), "%s/shim", directory);
	check(provium_shim_write(&options, path, &error), &error);
	size = size_of(path);
	unlink(path);
	rmdir(directory);
	return size;
}

void sizes_of_files(const struct sizes_programs *programs, json_t *list)
{
	static const struct figure_name agent = { "agent's size", "bytes", "libev, protobuf-c",
						  AGENT_GOAL };
	static const struct figure_name wrapper = { "wrapper's size", "bytes",
						    .goal = WRAPPER_GOAL };
	static const struct figure_name shim = { "shim without modules", "bytes",
						 .goal = SHIM_GOAL };

	report(&agent, size_of(programs->agent), size_of(programs->skeleton), list);
	report(&wrapper, size_of(programs->wrapper), 1, list);
	report(&shim, shim_size(), 1, list);
}

/* A number of a line "FIELD: NUMBER" of a file in the guest's /proc/PID. */
static long guest_number(int pid, const char *file, const char *field)
{
	struct provium_buffer content;
	struct provium_error error;
	const char *found;
	char path[64];
	long number;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, file);
	check(provium_read_file_memory(guest.connection, path, KIB(64), RUN_TIMEOUT_MS, &content,
				       &error),
	      &error);
	found = strstr(content.data, field);
	if (!found)
		die("%s: no %s", path, field);
	number = strtol(found + strlen(field), NULL, 10);
	free(content.data);
	return number;
}

static double resident(int pid)
{
	return (double)guest_number(pid, "smaps_rollup", "\nRss:");
}

void sizes_of_memory(json_t *list)
{
	static const struct figure_name name = { "agent's memory", "KiB", "libev, protobuf-c",
						 MEMORY_GOAL };
	int pid = provium_connection_agent(guest.connection)->pid;
	double own = resident(pid) + resident((int)guest_number(pid, "status", "\nPPid:"));

	/* One message, so that it has decoded and encoded, as the agent has. */
	guest_start_skeleton(&guest);
	guest_ask_skeleton(&guest);
	report(&name, own, resident(guest.skeleton_pid), list);
}
