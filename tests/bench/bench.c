/*
 * bench: what the agent costs, beside what the same guest does without it in the same minutes.
 *
 * A machine's speed swings by a factor of two within minutes, so a figure alone says little. Each
 * measurement and its floor take turns in short rounds, and the ratio is the median of the rounds'
 * ratios. Exits with 1 where a bound that the project has set itself is passed.
 */
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "common/util.h"
#include "figures.h"
#include "guest.h"

#define TIMEOUT_MS    60000
#define ROUNDS        30
#define BOOTS         5
#define BULK          MIB(16)
#define BULK_PATH     "/bench/data"
#define CALLS         1000

/*
 * Milliseconds from the real init's start until the agent listens, under TCG, in the quickest boot:
 * what else the machine does meanwhile is no cost of ours.
 */
#define READY_BOUND   150
#define AGENT_BOUND   KIB(128)
#define WRAPPER_BOUND KIB(16)

static struct guest guest;

static void ping(void)
{
	struct provium_error error;

	check(provium_ping(guest.connection, TIMEOUT_MS, &error), &error);
}

static void echo(void)
{
	guest_exchange(&guest, FLOOR_ECHO, 0);
}

static void exec(void)
{
	static const char *const argv[] = { GUEST_TRUE, NULL };
	const struct provium_exec_options options = { .argv = argv };
	struct provium_exec_result result;
	struct provium_error error;

	check(provium_exec_run(guest.connection, &options, 0, TIMEOUT_MS, &result, NULL, NULL,
			       &error),
	      &error);
	if (result.outcome != PROVIUM_EXITED || result.exit_code != 0)
		die("%s did not exit with 0", GUEST_TRUE);
}

static void spawn(void)
{
	guest_exchange(&guest, FLOOR_SPAWN, 0);
}

static int sink(void *user, const void *data, size_t size)
{
	(void)user;
	(void)data;
	(void)size;
	return 0;
}

static void read_file(void)
{
	struct provium_error error;
	uint64_t bytes;

	check(provium_read_file(guest.connection, BULK_PATH, NULL, sink, NULL, TIMEOUT_MS, &bytes,
				&error),
	      &error);
	if (bytes != BULK)
		die("%s has %llu bytes", BULK_PATH, (unsigned long long)bytes);
}

static void read_raw(void)
{
	guest_exchange(&guest, FLOOR_READ, BULK);
}

static void write_file(void)
{
	static const uint8_t data[BULK];
	struct provium_error error;

	check(provium_write_file_memory(guest.connection, BULK_PATH, NULL, data, sizeof(data),
					TIMEOUT_MS, &error),
	      &error);
}

static void write_raw(void)
{
	guest_exchange(&guest, FLOOR_WRITE, BULK);
}

/* Programs are built once. */
static struct provium_program *repeated, *separate;

static void build_programs(void)
{
	repeated = provium_program_new();
	separate = provium_program_new();
	if (!repeated || !separate)
		die("no memory");
	provium_program_repeat(repeated, provium_program_call(repeated, SYS_getpid, NULL, 0),
			       CALLS);
	for (int i = 0; i < CALLS; i++)
		provium_program_call(separate, SYS_getpid, NULL, 0);
}

static void free_programs(void)
{
	provium_program_free(repeated);
	provium_program_free(separate);
}

static void run_program(struct provium_program *program)
{
	struct provium_error error;

	check(provium_program_run(guest.connection, program, TIMEOUT_MS, &error), &error);
	if (provium_program_result(program, 0) <= 0)
		die("getpid failed");
}

static void run_repeated(void)
{
	run_program(repeated);
}

static void run_separate(void)
{
	run_program(separate);
}

static void call_raw(void)
{
	guest_exchange(&guest, FLOOR_CALLS, CALLS);
}

struct measurement {
	const char *name;
	const char *floor_name;
	void (*run)(void);
	void (*run_floor)(void);
	unsigned int per_round;
	/* Of milliseconds; bulk data is told in MiB/s. */
	bool is_bulk;
	/* Of the median ratio; 0: none. */
	double bound;
};

/* The writes make the files that are read. */
static const struct measurement measurements[] = {
	{ "PING", "64-byte echo", ping, echo, 50, false },
	{ "EXEC of true", "echo, posix_spawn, waitpid", exec, spawn, 10, false },
	{ "WRITE_FILE, 16 MiB", "raw stream to a file", write_file, write_raw, 1, true },
	{ "READ_FILE, 16 MiB", "file to a raw stream", read_file, read_raw, 1, true },
	{ "getpid, repeat=1000", "echo, 1000 times getpid", run_repeated, call_raw, 10,
	  .bound = 1.5 },
	{ "1000 calls of getpid", "echo, 1000 times getpid", run_separate, call_raw, 10,
	  .bound = 8 },
};

struct results {
	struct samples own;
	struct samples floor;
	struct samples ratios;
};

static double milliseconds(void (*run)(void))
{
	uint64_t start = monotonic_ns();

	run();
	return (double)(monotonic_ns() - start) / 1e6;
}

static double to_unit(const struct measurement *measurement, double elapsed_ms)
{
	return measurement->is_bulk ? (double)BULK / MIB(1) / (elapsed_ms / 1e3) : elapsed_ms;
}

/* A few of one, a few of the other. */
static void run_round(const struct measurement *measurement, struct results *results)
{
	struct samples own = { 0 }, floor = { 0 };

	for (unsigned int i = 0; i < measurement->per_round; i++)
		samples_add(&own, milliseconds(measurement->run));
	for (unsigned int i = 0; i < measurement->per_round; i++)
		samples_add(&floor, milliseconds(measurement->run_floor));
	samples_add(&results->ratios, samples_spread(&own).median / samples_spread(&floor).median);
	for (unsigned int i = 0; i < measurement->per_round; i++) {
		samples_add(&results->own, to_unit(measurement, own.values[i]));
		samples_add(&results->floor, to_unit(measurement, floor.values[i]));
	}
	samples_finish(&own);
	samples_finish(&floor);
}

static json_t *report(const struct measurement *measurement, struct results *results, bool *good)
{
	struct spread own = samples_spread(&results->own);
	struct spread floor = samples_spread(&results->floor);
	struct spread ratio = samples_spread(&results->ratios);
	const char *unit = measurement->is_bulk ? "MiB/s" : "ms";

	printf("  %-20s %5s  %-20s %-20s %-18s %s\n", measurement->name, unit, spread_text(&own),
	       spread_text(&floor), spread_text(&ratio), measurement->floor_name);
	if (measurement->bound > 0 && ratio.median > measurement->bound) {
		printf("  %-20s more than %.1f times its floor: TOO MUCH\n", "",
		       measurement->bound);
		*good = false;
	}
	return json_pack("{s:s, s:s, s:s, s:o, s:o, s:o}", "name", measurement->name, "unit", unit,
			 "floor_name", measurement->floor_name, "value",
			 spread_json(&own, results->own.count), "floor",
			 spread_json(&floor, results->floor.count), "time_ratio",
			 spread_json(&ratio, results->ratios.count));
}

static json_t *measure_all(unsigned int rounds, bool *good)
{
	struct results results[ARRAY_SIZE(measurements)] = { 0 };
	json_t *list = json_array();

	for (size_t i = 0; i < ARRAY_SIZE(measurements); i++) {
		struct results warm_up = { 0 };

		run_round(&measurements[i], &warm_up);
		samples_finish(&warm_up.own);
		samples_finish(&warm_up.floor);
		samples_finish(&warm_up.ratios);
	}
	for (unsigned int round = 0; round < rounds; round++)
		for (size_t i = 0; i < ARRAY_SIZE(measurements); i++)
			run_round(&measurements[i], &results[i]);
	printf("\n  %-20s %5s  %-20s %-20s %-18s %s\n", "", "", "Provium", "floor", "time / floor",
	       "the floor");
	for (size_t i = 0; i < ARRAY_SIZE(measurements); i++) {
		json_array_append_new(list, report(&measurements[i], &results[i], good));
		samples_finish(&results[i].own);
		samples_finish(&results[i].floor);
		samples_finish(&results[i].ratios);
	}
	return list;
}

/* What the 1000 calls of one program are made of: the codec alone, in the same guest, and the rest.
 */
static json_t *measure_split(unsigned int rounds)
{
	struct samples parts[3] = { 0 };
	static const char *const names[] = { "decoding", "calls", "encoding" };
	json_t *split = json_object();

	for (unsigned int round = 0; round < rounds; round++) {
		uint64_t calls = 0;

		run_separate();
		for (int i = 0; i < CALLS; i++)
			calls += provium_program_duration_ns(separate, i);
		samples_add(&parts[0], (double)guest_exchange(&guest, FLOOR_DECODE, CALLS) / CALLS);
		samples_add(&parts[1], (double)calls / CALLS);
		samples_add(&parts[2], (double)guest_exchange(&guest, FLOOR_ENCODE, CALLS) / CALLS);
	}
	printf("\n  of 1000 calls of getpid, ns per call:");
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		struct spread spread = samples_spread(&parts[i]);

		printf(" %s %.0f%s", names[i], spread.median, i < 2 ? "," : "\n");
		json_object_set_new(split, names[i], spread_json(&spread, parts[i].count));
		samples_finish(&parts[i]);
	}
	return split;
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

static off_t file_size(const char *path)
{
	struct stat status;

	if (stat(path, &status) < 0)
		die("%s: no such file", path);
	return status.st_size;
}

static bool within(const char *what, double value, double bound, const char *unit)
{
	bool good = value <= bound;

	printf("  %-36s %10.0f %s, at most %.0f%s\n", what, value, unit, bound,
	       good ? "" : ": TOO MUCH");
	return good;
}

struct arguments {
	struct guest_options guest;
	const char *agent;
	const char *wrapper;
	const char *json;
	unsigned int rounds;
	unsigned int boots;
};

static void usage(void)
{
	die("usage: bench --kernel DIR --floor FILE --true FILE --agent FILE --wrapper FILE\n"
	    "             [--accel auto|kvm|tcg] [--rounds N] [--boots N] [--json FILE]");
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
		{ "accel", required_argument, NULL, 'x' },
		{ "rounds", required_argument, NULL, 'r' },
		{ "boots", required_argument, NULL, 'b' },
		{ "json", required_argument, NULL, 'j' },
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
			arguments->agent = optarg;
			break;
		case 'w':
			arguments->wrapper = optarg;
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
		default:
			usage();
		}
	}
	if (optind != argc || !arguments->guest.kernel || !arguments->guest.floor_program ||
	    !arguments->guest.true_program || !arguments->agent || !arguments->wrapper)
		usage();
}

int main(int argc, char **argv)
{
	struct arguments arguments;
	struct samples ready = { 0 }, modules = { 0 }, own = { 0 }, boot = { 0 };
	struct spread ready_spread, modules_spread, own_spread, boot_spread;
	char release[128];
	json_t *list, *split, *document;
	bool good = true, is_tcg;

	parse_arguments(argc, argv, &arguments);
	for (unsigned int i = 1; i <= arguments.boots; i++) {
		guest_boot(&guest, &arguments.guest);
		samples_add(&ready, ready_ms());
		samples_add(&modules, modules_ms());
		samples_add(&own, ready_ms() - modules_ms());
		samples_add(&boot, guest.boot_ms);
		if (i < arguments.boots)
			guest_end(&guest);
	}
	is_tcg = provium_vm_accel(guest.vm) == PROVIUM_ACCEL_TCG;
	snprintf(release, sizeof(release), "%s",
		 provium_connection_agent(guest.connection)->kernel_release);
	printf("Linux %s under %s, %u rounds; median (first to last tenth)\n", release,
	       is_tcg ? "TCG" : "KVM", arguments.rounds);
	guest_start_floor(&guest);
	build_programs();
	list = measure_all(arguments.rounds, &good);
	split = measure_split(arguments.rounds);
	free_programs();
	guest_end(&guest);

	ready_spread = samples_spread(&ready);
	modules_spread = samples_spread(&modules);
	own_spread = samples_spread(&own);
	boot_spread = samples_spread(&boot);
	printf("\n  %-36s %s ms\n", "init's start until the agent listens",
	       spread_text(&ready_spread));
	printf("  %-36s %s ms\n", "of it, the kernel over modules", spread_text(&modules_spread));
	printf("  %-36s %s ms\n", "of it, wrapper and agent", spread_text(&own_spread));
	printf("  %-36s %s ms\n", "call until the agent answers", spread_text(&boot_spread));
	if (is_tcg)
		good &= within("the quickest of these starts", ready.values[0], READY_BOUND, "ms");
	good &= within("provium-agent, stripped", (double)file_size(arguments.agent), AGENT_BOUND,
		       "bytes");
	good &= within("provium-wrapper, stripped", (double)file_size(arguments.wrapper),
		       WRAPPER_BOUND, "bytes");

	document =
		json_pack("{s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:I, s:I}", "kernel", release,
			  "accel", is_tcg ? "tcg" : "kvm", "measurements", list, "program_ns",
			  split, "ready_ms", spread_json(&ready_spread, ready.count), "modules_ms",
			  spread_json(&modules_spread, modules.count), "own_ms",
			  spread_json(&own_spread, own.count), "boot_ms",
			  spread_json(&boot_spread, boot.count), "agent_bytes",
			  (json_int_t)file_size(arguments.agent), "wrapper_bytes",
			  (json_int_t)file_size(arguments.wrapper));
	if (arguments.json &&
	    (!document || json_dump_file(document, arguments.json, JSON_INDENT(2)) < 0))
		die("%s: cannot be written", arguments.json);
	json_decref(document);
	samples_finish(&ready);
	samples_finish(&modules);
	samples_finish(&own);
	samples_finish(&boot);
	return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
