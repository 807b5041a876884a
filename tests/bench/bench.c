/*
 * bench: what the agent costs, beside what the same guest does without it in the same minutes.
 *
 * A machine's speed swings by a factor of two within minutes, so a figure alone says little. Each
 * measurement and its floor take turns in short rounds, and the ratio is the median of the rounds'
 * ratios. Where a goal is missed the table says so.
 */
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/util.h"
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

struct arguments {
	struct guest_options guest;
	struct sizes_programs sizes;
	const char *json;
	/* NULL: everything. */
	const char *only;
	unsigned int rounds;
	unsigned int boots;
};

static void usage(void)
{
	die("usage: bench --kernel DIR --floor FILE --true FILE --skeleton FILE --agent FILE\n"
	    "             --wrapper FILE --skeleton-stripped FILE [--peer DIR]\n"
	    "             [--accel auto|kvm|tcg] [--rounds N] [--boots N] [--only TEXT]\n"
	    "             [--json FILE]");
}

static unsigned int parse_count(const char *text)
{
	char *end;
	unsigned long value = strtoul(text, &end, 10);

	if (*end || value == 0 || value > 10000)
		usage();
	return (unsigned int)value;
}

static enum provium_accel parse_accel(const char *text)
{
	if (strcmp(text, "kvm") == 0)
		return PROVIUM_ACCEL_KVM;
	if (strcmp(text, "tcg") == 0)
		return PROVIUM_ACCEL_TCG;
	if (strcmp(text, "auto") != 0)
		usage();
	return PROVIUM_ACCEL_AUTO;
}

static void parse_arguments(int argc, char **argv, struct arguments *arguments)
{
	static const struct option options[] = {
		{ "kernel", required_argument, NULL, 'k' },
		{ "floor", required_argument, NULL, 'f' },
		{ "true", required_argument, NULL, 't' },
		{ "agent", required_argument, NULL, 'a' },
		{ "wrapper", required_argument, NULL, 'w' },
		{ "skeleton", required_argument, NULL, 's' },
		{ "skeleton-stripped", required_argument, NULL, 'S' },
		{ "peer", required_argument, NULL, 'p' },
		{ "accel", required_argument, NULL, 'x' },
		{ "rounds", required_argument, NULL, 'r' },
		{ "boots", required_argument, NULL, 'b' },
		{ "json", required_argument, NULL, 'j' },
		{ "only", required_argument, NULL, 'o' },
		{ 0 },
	};
	int option;

	*arguments = (struct arguments){ .rounds = ROUNDS, .boots = BOOTS };
	while ((option = getopt_long(argc, argv, "", options, NULL)) >= 0) {
		switch (option) {
		case 'k':
			arguments->guest.kernel = optarg;
			break;
		case 'f':
			arguments->guest.floor_program = optarg;
			break;
		case 't':
			arguments->guest.true_program = optarg;
			break;
		case 'a':
			arguments->sizes.agent = optarg;
			break;
		case 'w':
			arguments->sizes.wrapper = optarg;
			break;
		case 's':
			arguments->guest.skeleton_program = optarg;
			break;
		case 'S':
			arguments->sizes.skeleton = optarg;
			break;
		case 'p':
			if (access(optarg, F_OK) == 0)
				arguments->guest.peer = optarg;
			break;
		case 'x':
			arguments->guest.accel = parse_accel(optarg);
			break;
		case 'r':
			arguments->rounds = parse_count(optarg);
			break;
		case 'b':
			arguments->boots = parse_count(optarg);
			break;
		case 'j':
			arguments->json = optarg;
			break;
		case 'o':
			arguments->only = optarg;
			break;
		default:
			usage();
		}
	}
	if (optind != argc || !arguments->guest.kernel || !arguments->guest.floor_program ||
	    !arguments->guest.true_program || !arguments->guest.skeleton_program ||
	    !arguments->sizes.agent || !arguments->sizes.wrapper || !arguments->sizes.skeleton)
		usage();
}

int main(int argc, char **argv)
{
	struct arguments arguments;
	json_t *list = json_array(), *document;

	parse_arguments(argc, argv, &arguments);
	measure_running(&arguments.guest, arguments.only, arguments.rounds, list);
	document = json_pack("{s:I, s:o}", "bulk_bytes", (json_int_t)bulk_bytes, "figures", list);
	guest_describe(&guest, document);
	guest_end(&guest);
	if (!arguments.only) {
		measure_boots(&arguments.guest, arguments.boots, list);
		sizes_of_files(&arguments.sizes, list);
	}
	if (arguments.json && json_dump_file(document, arguments.json, JSON_INDENT(2)) < 0)
		die("%s: cannot be written", arguments.json);
	json_decref(document);
	return EXIT_SUCCESS;
}
