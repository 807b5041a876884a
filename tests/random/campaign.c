/*
 * Runs random programs in a guest, and counts what becomes of them.
 *
 *     random-campaign [--seed N] [--first N] [--workers N] [--verbose] KERNEL PROGRAMS
 *     random-campaign [--seed N] --describe NUMBER
 *
 * KERNEL is a directory with vmlinuz and modules/. The programs run in fork workers of the agent,
 * several side by side. After each thousand all workers are ended, each end must be one that is
 * accounted for, and the main agent, which was there all the while, must answer PING and tell of no
 * fault that the kernel has reported.
 *
 * It fails where the agent or the guest is lost, a worker's end cannot be accounted for, or the
 * kernel has complained. Then it names the program, which can be had again by its number; those of
 * one worker, each N-th, run in order.
 */
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/util.h"
#include "tests/random/crew.h"
#include "tests/random/random.h"

#define ROUND   1000
#define WORKERS 4

static struct provium_error error;

/* What the kernel has reported since the last time. */
static void count_splats(struct crew *crew)
{
	const struct provium_kernel_event *event;

	while (provium_kernel_next(crew->connection, 0, &event, &error) == 0) {
		if (!provium_kernel_is_fault(event->kind))
			continue;
		crew->tally.splats++;
		printf("# splat: %s\n%s\n", provium_kernel_kind_name(event->kind), event->text);
	}
}

static bool run_all(struct crew *crew, uint64_t first, uint64_t wanted)
{
	crew->tally.start_ns = monotonic_ns();
	for (uint64_t done = 0; done < wanted; done += ROUND) {
		uint64_t from = first + done;

		if (!crew_run(crew, from, MIN(from + ROUND, first + wanted)))
			return false;
		if (provium_ping(crew->connection, CREW_SOON, &error) < 0)
			return crew_fail(crew, "ping", &error);
		count_splats(crew);
		tally_tell_progress(&crew->tally, stdout);
	}
	return true;
}

static bool boot(struct crew *crew, const char *kernels)
{
	char kernel[4096], modules[4096];
	const struct provium_vm_options options = {
		.kernel = kernel,
		.modules_dir = modules,
		.memory = 512 << 20,
	};
	const struct provium_agent *agent;

	snprintf(kernel, sizeof(kernel), "%s/vmlinuz", kernels);
	snprintf(modules, sizeof(modules), "%s/modules", kernels);
	if (provium_vm_boot(&options, &crew->vm, &error) < 0)
		return crew_fail(crew, "boot", &error);
	crew->connection = provium_vm_connection(crew->vm);
	if (provium_mkdir(crew->connection, RANDOM_DIRECTORY, 0700, true, CREW_SOON, &error) < 0)
		return crew_fail(crew, "no directory", &error);
	agent = provium_connection_agent(crew->connection);
	snprintf(crew->arch, sizeof(crew->arch), "%s", agent->arch);
	printf("# Linux %s %s\n", agent->kernel_release, agent->arch);
	return true;
}

static bool describe(uint64_t seed, uint64_t number)
{
	struct provium_program *program = random_program("x86_64", seed, number);

	if (!program)
		return false;
	random_describe(program, "x86_64", stdout);
	provium_program_free(program);
	return true;
}

static int usage(void)
{
	fprintf(stderr,
		"usage: random-campaign [--seed N] [--first N] [--workers N] [--verbose] KERNEL "
		"PROGRAMS\n"
		"       random-campaign [--seed N] --describe NUMBER\n");
	return 2;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "seed", required_argument, NULL, 's' },
		{ "first", required_argument, NULL, 'f' },
		{ "workers", required_argument, NULL, 'w' },
		{ "describe", required_argument, NULL, 'd' },
		{ "verbose", no_argument, NULL, 'v' },
		{ 0 },
	};
	static struct crew crew = {
		.seed = 1,
		.size = WORKERS,
		.lock = PTHREAD_MUTEX_INITIALIZER,
	};
	const char *described = NULL;
	uint64_t first = 0, wanted;
	bool good;
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 's':
			crew.seed = strtoull(optarg, NULL, 0);
			break;
		case 'f':
			first = strtoull(optarg, NULL, 0);
			break;
		case 'w':
			crew.size = (unsigned int)strtoul(optarg, NULL, 0);
			break;
		case 'd':
			described = optarg;
			break;
		case 'v':
			crew.verbose = true;
			break;
		default:
			return usage();
		}
	}
	if (described)
		return describe(crew.seed, strtoull(described, NULL, 0)) ? 0 : 1;
	if (argc - optind != 2 || crew.size < 1 || crew.size > CREW_MOST)
		return usage();
	wanted = strtoull(argv[optind + 1], NULL, 0);
	good = boot(&crew, argv[optind]) && run_all(&crew, first, wanted);
	if (crew.tally.programs > 0) {
		printf("programs: %" PRIu64 " of seed %" PRIu64 ", from %" PRIu64 "\n",
		       crew.tally.programs, crew.seed, first);
		tally_tell_figures(&crew.tally, stdout);
	}
	if (crew.verbose)
		tally_tell_times(&crew.tally, crew.arch, stdout);
	provium_vm_free(crew.vm);
	return good && crew.tally.splats == 0 ? 0 : 1;
}
