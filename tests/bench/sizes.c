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

#define AGENT_GOAL    3
#define WRAPPER_GOAL  KIB(16)
#define SHIM_GOAL     KIB(128)
#define MEMORY_GOAL   3

#define SKELETON_PORT 6124

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

static int start_skeleton(void)
{
	char port[16];
	const char *const argv[] = { GUEST_SKELETON, port, NULL };

	snprintf(port, sizeof(port), "%u", SKELETON_PORT);
	return guest_start_job(guest.connection, argv);
}

/* One message, so that it has decoded and encoded, as the agent has. */
static void ask_skeleton(void)
{
	/* id: 7 */
	static const unsigned char frame[] = { 2, 0, 0, 0, 8, 7 };
	unsigned char reply[sizeof(frame)];
	int fd = guest_dial(guest.socket, SKELETON_PORT);

	if (write(fd, frame, sizeof(frame)) != sizeof(frame))
		die("guest-skeleton: %s", strerror(errno));
	for (size_t done = 0; done < sizeof(reply);) {
		ssize_t count = read(fd, reply + done, sizeof(reply) - done);

		if (count <= 0)
			die("guest-skeleton has ended");
		done += (size_t)count;
	}
	if (memcmp(reply, frame, sizeof(frame)) != 0)
		die("guest-skeleton answered something else");
	close(fd);
}

void sizes_of_memory(json_t *list)
{
	static const struct figure_name name = { "agent's memory", "KiB", "libev, protobuf-c",
						 MEMORY_GOAL };
	int pid = provium_connection_agent(guest.connection)->pid;
	double own = resident(pid) + resident((int)guest_number(pid, "status", "\nPPid:"));
	int skeleton = start_skeleton();

	ask_skeleton();
	report(&name, own, resident(skeleton), list);
	guest_kill_job(guest.connection, GUEST_SKELETON);
}
