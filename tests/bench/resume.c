/*
 * resume: how long it takes until a guest that was saved answers, beside a boot of the same guest,
 * and beside what QEMU takes by itself.
 *
 * The floor is QEMU with the same state, whose memory has been copied before: from its start until
 * a message has come back from a program that waits in the guest (restore.h). Resumes and floors
 * take turns; the ratio is the median of the rounds' ratios. Where a goal is missed the table says
 * so.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/util.h"
#include "tests/bench/arguments.h"
#include "tests/bench/figures.h"
#include "tests/bench/guest.h"
#include "tests/bench/restore.h"

#define TIMEOUT_MS 60000
#define ROUNDS     10
#define BOOTS      3

/* Of a boot's time, and of the floor's. */
#define BOOT_GOAL  0.2
#define FLOOR_GOAL 2.0

struct arguments {
	struct guest_options guest;
	struct restore_programs programs;
	const char *json;
};

struct figures {
	struct figure boot;
	struct figure save;
	struct figure resume;
	struct figure beside_boot;
};

static double since_ms(uint64_t start)
{
	return (double)(monotonic_ns() - start) / 1e6;
}

/* guest-floor listens, and nobody has connected to it yet. */
static void start_floor(struct provium_connection *connection)
{
	char port[16];
	const char *const argv[] = { GUEST_FLOOR, port, GUEST_TRUE, NULL };

	snprintf(port, sizeof(port), "%u", FLOOR_PORT);
	guest_start_job(connection, argv);
}

static struct provium_snapshot *boot_and_save(const struct arguments *arguments,
					      struct figures *figures, json_t *document)
{
	struct provium_snapshot *snapshot;
	struct provium_error error;
	struct guest guest;
	uint64_t start;

	guest_boot(&guest, &arguments->guest);
	guest_describe(&guest, document);
	samples_add(&figures->boot.value, guest.boot_ms);
	start_floor(guest.connection);
	start = monotonic_ns();
	check(provium_vm_save(guest.vm, TIMEOUT_MS, &snapshot, &error), &error);
	samples_add(&figures->save.value, since_ms(start));
	guest_end(&guest);
	return snapshot;
}

static void round_of(const struct provium_snapshot *snapshot, const struct arguments *arguments,
		     struct figures *figures)
{
	const struct provium_resume_options options = {
		.vsock = PROVIUM_VSOCK_USER,
		.vsock_program = arguments->programs.vsock,
	};
	double floor = restore(snapshot, &arguments->programs);
	struct provium_error error;
	struct provium_vm *vm;
	uint64_t start = monotonic_ns();
	double taken;

	check(provium_snapshot_resume(snapshot, &options, &vm, &error), &error);
	check(provium_ping(provium_vm_connection(vm), TIMEOUT_MS, &error), &error);
	taken = since_ms(start);
	provium_vm_free(vm);
	figure_add(&figures->resume, taken, floor, taken / floor);
}

/* The rounds' resumes beside the median of the boots, which cannot take turns with them. */
static void add_boots(struct figures *figures)
{
	double boot = samples_spread(&figures->boot.value).median;

	for (size_t i = 0; i < figures->resume.value.count; i++) {
		double resume = figures->resume.value.values[i];

		figure_add(&figures->beside_boot, resume, boot, resume / boot);
	}
}

int main(int argc, char **argv)
{
	static const struct figure_name boot = { "boot", "ms" }, save = { "save", "ms" };
	static const struct figure_name resume = { "resume", "ms", "QEMU's load, an echo",
						   FLOOR_GOAL };
	static const struct figure_name beside_boot = { "resume, beside boot", "ms", "boot",
							BOOT_GOAL };
	struct arguments arguments = { .programs.qemu = "qemu-system-x86_64" };
	const struct argument options[] = {
		{ "kernel", "DIR", &arguments.guest.kernel, true },
		{ "floor", "FILE", &arguments.guest.floor_program, true },
		{ "true", "FILE", &arguments.guest.true_program, true },
		{ "vsock", "FILE", &arguments.programs.vsock, true },
		{ "json", "FILE", &arguments.json },
	};
	struct figures figures = { 0 };
	json_t *list = json_array(), *document;
	struct provium_snapshot *snapshot;

	arguments_parse(argc, argv, options, ARRAY_SIZE(options));
	document = json_pack("{s:o}", "figures", list);
	for (int number = 0; number < BOOTS; number++) {
		snapshot = boot_and_save(&arguments, &figures, document);
		for (int round = 0; round < ROUNDS; round++)
			round_of(snapshot, &arguments, &figures);
		provium_snapshot_free(snapshot);
	}
	printf("%s, %d boots, %d resumes; median (quartiles)\n", arguments.guest.kernel, BOOTS,
	       BOOTS * ROUNDS);
	figure_print_head();
	add_boots(&figures);
	figure_report(&boot, &figures.boot, list);
	figure_report(&save, &figures.save, list);
	figure_report(&resume, &figures.resume, list);
	figure_report(&beside_boot, &figures.beside_boot, list);
	if (arguments.json && json_dump_file(document, arguments.json, JSON_INDENT(2)) < 0)
		die("%s: cannot be written", arguments.json);
	json_decref(document);
	return EXIT_SUCCESS;
}
