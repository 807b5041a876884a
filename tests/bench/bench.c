/*
 * bench: what the agent costs, beside what the same guest does without it in the same minutes.
 *
 * A machine's speed swings by a factor of two within minutes, so a figure alone says little. Each
 * measurement and its floor take turns in short rounds, and the ratio is the median of the rounds'
 * ratios. Where a goal is missed the table says so.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/util.h"
#include "tests/bench/arguments.h"
#include "tests/bench/figures.h"
#include "tests/bench/guest.h"
#include "tests/bench/measurements.h"
#include "tests/bench/peer.h"
#include "tests/bench/rounds.h"
#include "tests/bench/runs.h"
#include "tests/bench/sizes.h"
#include "tests/bench/vsock.h"

#define ROUNDS     30
#define BOOTS      5

/* What takes a second under KVM is as long as may be under TCG. */
#define BULK_KVM   MIB(256)
#define BULK_TCG   MIB(64)

/*
 * Milliseconds from the real init's start until the agent listens, under TCG, in the quickest boot:
 * what else the machine does meanwhile is no cost of ours.
 */
#define READY_GOAL 150

/* The floor is the peer here. */
static const struct measurement peer_measurements[] = {
	{ { "PING, peer", "ms", "qemu-guest-agent", 1.6, true }, run_ping, peer_ping, 20 },
	{ { "EXEC of true, peer", "ms", "qemu-guest-agent", 2.5, true }, run_exec, peer_exec, 5 },
	{ { "READ_FILE, peer", "MiB/s", "qemu-guest-agent", 7, true },
	  run_read,
	  peer_read,
	  1,
	  .every = 10,
	  .is_bulk = true },
};

static void measure_peer(const char *only, unsigned int rounds, json_t *list)
{
	guest_mount(&guest, "devtmpfs", "/dev");
	peer_start(guest.directory);
	rounds_measure(peer_measurements, ARRAY_SIZE(peer_measurements), only, rounds, list);
	peer_end();
}

/* What the 1000 calls of one program are made of: the codec alone, in the same guest, and the rest.
 */
static void measure_split(unsigned int rounds, json_t *list)
{
	static const struct figure_name names[] = {
		{ "1 call, decoding", "ns" },
		{ "1 call, the call", "ns" },
		{ "1 call, encoding", "ns" },
	};
	struct figure parts[3] = { 0 };

	for (unsigned int round = 0; round < rounds; round++) {
		double decoding = (double)guest_exchange(&guest, FLOOR_DECODE, RUN_CALLS);
		double encoding = (double)guest_exchange(&guest, FLOOR_ENCODE, RUN_CALLS);

		run_separate();
		samples_add(&parts[0].value, decoding / RUN_CALLS);
		samples_add(&parts[1].value, (double)run_separate_ns() / RUN_CALLS);
		samples_add(&parts[2].value, encoding / RUN_CALLS);
	}
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
		figure_report(&names[i], &parts[i], list);
}

/* Milliseconds on the guest's clock between the real init's execve and the agent's listen. */
static double ready_ms(void)
{
	const struct provium_agent *agent = provium_connection_agent(guest.connection);

	if (!agent->init_started_ns || !agent->listening_ns)
		die("READY does not tell when init was started and the agent listened");
	return ((double)agent->listening_ns - (double)agent->init_started_ns) / 1e6;
}

/*
 * The floor of that: so long the kernel took over the modules that the shim brought, without which
 * nobody can listen.
 */
static double modules_ms(void)
{
	return (double)provium_connection_agent(guest.connection)->modules_ns / 1e6;
}

static void measure_boots(const struct guest_options *options, unsigned int boots, json_t *list)
{
	static const struct figure_name names[] = {
		{ "agent's start", "ms", "the kernel over its modules" },
		{ "agent's quickest start", "ms", .goal = READY_GOAL },
		{ "boot", "ms" },
	};
	struct guest_options plain = *options;
	struct figure figures[3] = { 0 };

	plain.peer = NULL;
	for (unsigned int i = 0; i < boots; i++) {
		guest_boot(&guest, &plain);
		figure_add(&figures[0], ready_ms(), modules_ms(), ready_ms() / modules_ms());
		samples_add(&figures[2].value, guest.boot_ms);
		guest_end(&guest);
	}
	samples_spread(&figures[0].value);
	samples_add(&figures[1].value, figures[0].value.values[0]);
	for (size_t i = 0; i < ARRAY_SIZE(figures); i++)
		figure_report(&names[i], &figures[i], list);
}

/* All of what runs in a guest that is up; or what has `only` in its name. */
static void measure_running(const struct guest_options *options, const char *only,
			    unsigned int rounds, json_t *list)
{
	static const char *const modules[] = { "vsock_loopback", "virtio_console", NULL };
	struct guest_options with_modules = *options;

	with_modules.modules = modules;
	guest_boot(&guest, &with_modules);
	guest_mount(&guest, "proc", "/proc");
	bulk_bytes = provium_vm_accel(guest.vm) == PROVIUM_ACCEL_TCG ? BULK_TCG : BULK_KVM;
	printf("Linux %s under %s, %u rounds, bulk data of %llu MiB; median (quartiles)\n",
	       provium_connection_agent(guest.connection)->kernel_release, guest_accel(&guest),
	       rounds, (unsigned long long)(bulk_bytes >> 20));
	figure_print_head();
	sizes_of_memory(list);
	guest_start_floor(&guest);
	run_programs_make();
	/* The file that is read: WRITE_FILE may not be among them. */
	if (only)
		run_raw_write();
	rounds_measure(measurements, measurements_count, only, rounds, list);
	if (!only) {
		measure_split(rounds, list);
		vsock_measure(MAX(rounds / 3, 1u), list);
	}
	run_programs_free();
	if (options->peer)
		measure_peer(only, rounds, list);
	else
		printf("  no qemu-guest-agent to measure beside: scripts/guest-agent fetches it\n");
}

static unsigned int parse_count(const char *text, unsigned int unless)
{
	char *end;
	unsigned long value = text ? strtoul(text, &end, 10) : unless;

	if ((text && *end) || value == 0 || value > 10000)
		die("\"%s\" is not a number from 1 to 10000", text);
	return (unsigned int)value;
}

static enum provium_accel parse_accel(const char *text)
{
	if (strcmp(text, "kvm") == 0)
		return PROVIUM_ACCEL_KVM;
	if (strcmp(text, "tcg") == 0)
		return PROVIUM_ACCEL_TCG;
	if (strcmp(text, "auto") != 0)
		die("\"%s\" is none of auto, kvm and tcg", text);
	return PROVIUM_ACCEL_AUTO;
}

int main(int argc, char **argv)
{
	struct guest_options options = { 0 };
	struct sizes_programs sizes = { 0 };
	/* NULL: everything is measured. */
	const char *only = NULL;
	const char *rounds_text = NULL, *boots_text = NULL, *accel = "auto", *json = NULL;
	const struct argument arguments[] = {
		{ "kernel", "DIR", &options.kernel, true },
		{ "floor", "FILE", &options.floor_program, true },
		{ "true", "FILE", &options.true_program, true },
		{ "skeleton", "FILE", &options.skeleton_program, true },
		{ "agent", "FILE", &sizes.agent, true },
		{ "wrapper", "FILE", &sizes.wrapper, true },
		{ "skeleton-stripped", "FILE", &sizes.skeleton, true },
		{ "peer", "DIR", &options.peer },
		{ "accel", "auto|kvm|tcg", &accel },
		{ "rounds", "N", &rounds_text },
		{ "boots", "N", &boots_text },
		{ "only", "TEXT", &only },
		{ "json", "FILE", &json },
	};
	json_t *list = json_array(), *document;
	unsigned int rounds, boots;

	arguments_parse(argc, argv, arguments, ARRAY_SIZE(arguments));
	rounds = parse_count(rounds_text, ROUNDS);
	boots = parse_count(boots_text, BOOTS);
	options.accel = parse_accel(accel);
	if (options.peer && access(options.peer, F_OK) < 0)
		options.peer = NULL;
	measure_running(&options, only, rounds, list);
	document = json_pack("{s:I, s:o}", "bulk_bytes", (json_int_t)bulk_bytes, "figures", list);
	guest_describe(&guest, document);
	guest_end(&guest);
	if (!only) {
		measure_boots(&options, boots, list);
		sizes_of_files(&sizes, list);
	}
	if (json && json_dump_file(document, json, JSON_INDENT(2)) < 0)
		die("%s: cannot be written", json);
	json_decref(document);
	return EXIT_SUCCESS;
}
