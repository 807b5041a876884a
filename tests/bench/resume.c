/*
 * resume: how long it takes until a guest that was saved answers, beside a boot of the same guest,
 * and beside what QEMU takes by itself.
 *
 * The floor is QEMU with the same state, whose memory has been copied before: from its start until
 * a message has come back from a program that waits in the guest (restore.h). Resumes and floors
 * take turns; the ratio is the median of the rounds' ratios. Exits with 1 where a bound that the
 * project has set itself is passed.
 */
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/util.h"
#include "tests/bench/figures.h"
#include "tests/bench/guest.h"
#include "tests/bench/restore.h"

#define TIMEOUT_MS  60000
#define ROUNDS      10
#define BOOTS       3

/* Of a boot's time, and of the floor's. */
#define BOOT_BOUND  0.2
#define FLOOR_BOUND 2.0

struct arguments {
	struct guest_options guest;
	struct restore_programs programs;
	const char *json;
};

struct figures {
	struct samples boot;
	struct samples save;
	struct samples resume;
	struct samples floor;
	struct samples ratio;
};

static void parse_arguments(int argc, char **argv, struct arguments *arguments)
{
	static const struct option options[] = {
		{ "kernel", required_argument, NULL, 'k' },
		{ "floor", required_argument, NULL, 'f' },
		{ "true", required_argument, NULL, 't' },
		{ "vsock", required_argument, NULL, 'v' },
		{ "json", required_argument, NULL, 'j' },
		{ 0 },
	};
	int option;

	*arguments = (struct arguments){ .programs.qemu = "qemu-system-x86_64" };
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
		case 'v':
			arguments->programs.vsock = optarg;
			break;
		case 'j':
			arguments->json = optarg;
			break;
		default:
			optind = argc + 1;
		}
	}
	if (optind != argc || !arguments->guest.kernel || !arguments->guest.floor_program ||
	    !arguments->guest.true_program || !arguments->programs.vsock)
		die("usage: resume --kernel DIR --floor FILE --true FILE --vsock FILE [--json "
		    "FILE]");
}

static double since_ms(uint64_t start)
{
	return (double)(monotonic_ns() - start) / 1e6;
}

/* It says that it listens. */
static int on_output(void *user, enum provium_stream stream, uint64_t offset, const void *data,
		     size_t size)
{
	(void)user;
	(void)stream;
	(void)offset;
	(void)data;
	return size > 0;
}

/* guest-floor listens, and nobody has connected to it yet. */
static void start_floor(struct provium_connection *connection)
{
	char port[16];
	const char *const argv[] = { GUEST_FLOOR, port, GUEST_TRUE, NULL };
	const struct provium_exec_options command = { .argv = argv };
	const struct provium_job_ref ref = { .name = "floor" };
	const struct provium_job_options options = { .name = "floor" };
	const struct provium_job_output_options follow = { .follow = true };
	struct provium_error error;

	snprintf(port, sizeof(port), "%u", FLOOR_PORT);
	check(provium_job_start(connection, &command, &options, TIMEOUT_MS, NULL, NULL, &error),
	      &error);
	if (provium_job_output(connection, &ref, &follow, on_output, NULL, TIMEOUT_MS, NULL,
			       &error) == 0 ||
	    error.code != PROVIUM_CANCELLED)
		die("guest-floor has ended before it listened");
}

static struct provium_snapshot *boot_and_save(const struct arguments *arguments,
					      struct figures *figures)
{
	struct provium_snapshot *snapshot;
	struct provium_error error;
	struct guest guest;
	uint64_t start;

	guest_boot(&guest, &arguments->guest);
	samples_add(&figures->boot, guest.boot_ms);
	start_floor(guest.connection);
	start = monotonic_ns();
	check(provium_vm_save(guest.vm, TIMEOUT_MS, &snapshot, &error), &error);
	samples_add(&figures->save, since_ms(start));
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
	samples_add(&figures->floor, floor);
	samples_add(&figures->resume, taken);
	samples_add(&figures->ratio, taken / floor);
}

static void print(const char *what, struct samples *samples, const char *unit, json_t *document,
		  const char *key)
{
	struct spread spread = samples_spread(samples);

	printf("  %-48s %s %s\n", what, spread_text(&spread), unit);
	json_object_set_new(document, key, spread_json(&spread, samples->count));
}

static bool within(const char *what, double value, double bound)
{
	printf("  %-48s %.2f, at most %.2f%s\n", what, value, bound,
	       value <= bound ? "" : ": TOO MUCH");
	return value <= bound;
}

int main(int argc, char **argv)
{
	struct arguments arguments;
	struct figures figures = { 0 };
	json_t *document = json_object();
	struct provium_snapshot *snapshot;
	bool good;

	parse_arguments(argc, argv, &arguments);
	for (int boot = 0; boot < BOOTS; boot++) {
		snapshot = boot_and_save(&arguments, &figures);
		for (int number = 0; number < ROUNDS; number++)
			round_of(snapshot, &arguments, &figures);
		provium_snapshot_free(snapshot);
	}
	printf("%s, %d boots, %d resumes; median (first to last tenth)\n", arguments.guest.kernel,
	       BOOTS, BOOTS * ROUNDS);
	print("boot until the agent answers", &figures.boot, "ms", document, "boot_ms");
	print("save", &figures.save, "ms", document, "save_ms");
	print("resume until the agent answers", &figures.resume, "ms", document, "resume_ms");
	print("floor: QEMU's load until a message comes back", &figures.floor, "ms", document,
	      "floor_ms");
	print("resume / floor", &figures.ratio, "", document, "ratio");
	good = within("resume / boot",
		      samples_spread(&figures.resume).median / samples_spread(&figures.boot).median,
		      BOOT_BOUND);
	good &= within("resume / floor", samples_spread(&figures.ratio).median, FLOOR_BOUND);
	if (arguments.json && json_dump_file(document, arguments.json, JSON_INDENT(2)) < 0)
		die("%s: cannot be written", arguments.json);
	json_decref(document);
	samples_finish(&figures.boot);
	samples_finish(&figures.save);
	samples_finish(&figures.resume);
	samples_finish(&figures.floor);
	samples_finish(&figures.ratio);
	return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
