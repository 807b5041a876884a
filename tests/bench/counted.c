/*
 * counted: what is measured by `bench`, in instructions of the guest and not in time, by a plugin
 * that QEMU loads (count_plugin.c).
 *
 * They hardly swing with the machine, so they tell what is left above a floor where times do not.
 * They are not times: instructions differ in what they take, and what the host does meanwhile is
 * not among them.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/util.h"
#include "tests/bench/arguments.h"
#include "tests/bench/counts.h"
#include "tests/bench/figures.h"
#include "tests/bench/guest.h"
#include "tests/bench/measurements.h"
#include "tests/bench/qemu.h"
#include "tests/bench/runs.h"

#define ROUNDS  5
#define BULK    MIB(64)

/* In microseconds: by then the guest has done what comes behind an answer. */
#define SETTLED 30000

static const struct counts *counts;

static void open_counts(void)
{
	char path[96];
	cleanup_close int fd = -1;

	snprintf(path, sizeof(path), "%s/" QEMU_COUNTS, guest.directory);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		die("%s: %s", path, strerror(errno));
	counts = mmap(NULL, sizeof(*counts), PROT_READ, MAP_SHARED, fd, 0);
	if (counts == MAP_FAILED)
		die("%s: %s", path, strerror(errno));
}

struct count {
	double all;
	double programs;
};

/* Thousands of instructions of one of so many runs; of bulk data, of a MiB. */
static struct count count(void (*run)(void), const struct measurement *measurement)
{
	double runs = measurement->is_bulk ? (double)bulk_bytes / MIB(1) : measurement->per_round;
	uint64_t kernel = counts->kernel, programs = counts->programs;

	for (unsigned int i = 0; i < measurement->per_round; i++)
		run();
	usleep(SETTLED);
	kernel = counts->kernel - kernel;
	programs = counts->programs - programs;
	return (struct count){
		.all = (double)(kernel + programs) / 1e3 / runs,
		.programs = (double)programs / 1e3 / runs,
	};
}

/* What came last in the list gets what of it is the programs', and a line of its own. */
static void report_programs(struct samples *own, struct samples *floor, json_t *list)
{
	json_t *row = json_array_get(list, json_array_size(list) - 1);
	struct spread own_spread = samples_spread(own), floor_spread = samples_spread(floor);

	json_object_set_new(
		row, "programs",
		json_pack("{s:f, s:f}", "value", own_spread.median, "floor", floor_spread.median));
	printf("  %-32s %-20s %s\n", "  of these, programs", spread_text(&own_spread),
	       spread_text(&floor_spread));
}

static void measure(const struct measurement *measurement, json_t *list)
{
	struct figure_name name = measurement->name;
	struct samples own_programs = { 0 }, floor_programs = { 0 };
	struct figure figure = { 0 };

	name.unit = measurement->is_bulk ? "kinsn/MiB" : "kinsn";
	/* Those are of times. */
	name.goal = 0;
	/* The first time is another matter. */
	measurement->run();
	measurement->run_floor();
	for (int round = 0; round < ROUNDS; round++) {
		struct count own = count(measurement->run, measurement);
		struct count floor = count(measurement->run_floor, measurement);

		figure_add(&figure, own.all, floor.all,
			   name.is_least ? floor.all / own.all : own.all / floor.all);
		samples_add(&own_programs, own.programs);
		samples_add(&floor_programs, floor.programs);
	}
	figure_report(&name, &figure, list);
	report_programs(&own_programs, &floor_programs, list);
	samples_finish(&own_programs);
	samples_finish(&floor_programs);
}

int main(int argc, char **argv)
{
	static const char *const modules[] = { "vsock_loopback", NULL };
	struct guest_options options = { .accel = PROVIUM_ACCEL_TCG, .modules = modules };
	/* NULL: everything is measured. */
	const char *only = NULL;
	const char *json = NULL;
	const struct argument arguments[] = {
		{ "plugin", "FILE", &options.plugin, true },
		{ "kernel", "DIR", &options.kernel, true },
		{ "floor", "FILE", &options.floor_program, true },
		{ "true", "FILE", &options.true_program, true },
		{ "skeleton", "FILE", &options.skeleton_program, true },
		{ "only", "TEXT", &only },
		{ "json", "FILE", &json },
	};
	json_t *list = json_array(), *document;

	arguments_parse(argc, argv, arguments, ARRAY_SIZE(arguments));
	guest_boot(&guest, &options);
	open_counts();
	guest_mount(&guest, "proc", "/proc");
	bulk_bytes = BULK;
	printf("Linux %s, %d rounds, thousands of instructions, of bulk data for each MiB; median "
	       "(quartiles)\n",
	       provium_connection_agent(guest.connection)->kernel_release, ROUNDS);
	figure_print_head();
	guest_start_floor(&guest);
	guest_start_skeleton(&guest);
	run_programs_make();
	if (only)
		run_raw_write();
	for (size_t i = 0; i < measurements_count; i++)
		if (!only || strstr(measurements[i].name.name, only))
			measure(&measurements[i], list);
	run_programs_free();
	document = json_pack("{s:I, s:o}", "bulk_bytes", (json_int_t)bulk_bytes, "figures", list);
	guest_describe(&guest, document);
	guest_end(&guest);
	if (json && json_dump_file(document, json, JSON_INDENT(2)) < 0)
		die("%s: cannot be written", json);
	json_decref(document);
	return EXIT_SUCCESS;
}
