/*
 * Runs random programs in a guest, and counts what becomes of them.
 *
 *     random-campaign [--seed N] [--first N] [--verbose] KERNEL PROGRAMS
 *     random-campaign [--seed N] --describe NUMBER
 *
 * KERNEL is a directory with vmlinuz and modules/. The programs run in the agent's server. One that
 * ends it is followed by another server, and READY must say so: each restart has a program that it
 * can be put down to. After each thousand the server is ended on purpose, so that none lives long
 * with what programs have left of its rights; the new one must answer PING, and what the kernel has
 * printed is looked through for splats.
 *
 * It fails where the agent or the guest is lost, a restart cannot be accounted for, or the kernel
 * has complained. Then it names the program, which can be had again by its number.
 */
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>

#include "common/util.h"
#include "tests/random/random.h"

/* For anything that a guest that is alive does in no time. */
#define SOON         60000

/* When it is known already that something is wrong. */
#define LOOK_MS      10000

#define ROUND        1000
#define NUMBERS      512
#define REASONS      64
#define REASON_SIZE  96
#define SPLATS_SHOWN 20

struct reason {
	char text[REASON_SIZE];
	uint64_t count;
};

struct campaign {
	uint64_t seed;
	uint64_t first;
	uint64_t wanted;
	bool verbose;

	struct provium_vm *vm;
	struct provium_connection *connection;
	char arch[32];
	/* Those that are known, on purpose or not. */
	unsigned int restarts;

	uint64_t programs;
	uint64_t calls;
	uint64_t successes;
	uint64_t interrupted;
	/* Programs that have ended the server, and those that it had no means to run. */
	uint64_t lost;
	uint64_t without_means;
	uint64_t renewed;
	uint64_t splats;
	unsigned int made[NUMBERS];
	unsigned int succeeded[NUMBERS];
	uint64_t spent_ns[NUMBERS];
	struct reason reasons[REASONS];
	size_t n_reasons;
	uint64_t start_ns;
};

static struct provium_error error;

static bool fail(const struct campaign *campaign, const char *what)
{
	printf("FAILED at program %" PRIu64 " of seed %" PRIu64 ": %s: %s\n",
	       campaign->first + campaign->programs, campaign->seed, what, error.message);
	return false;
}

/* What can be had of a guest whose agent does not answer. */
static void look_around(const struct campaign *campaign)
{
	const struct provium_exec_options options = {
		.shell = "for p in /proc/[0-9]*; do [ -e $p/exe ] && grep -E "
			 "'^(Name|State|Pid|PPid|Threads|SigQ|SigPnd|SigBlk):' $p/status && "
			 "cat $p/wchan $p/syscall $p/stack && ls -l $p/fd; done; dmesg | tail -20",
	};
	char *tail = provium_vm_console_tail(campaign->vm, 40);
	struct provium_connection *other;
	struct provium_exec_result result;
	struct provium_buffer output;

	printf("console:\n%s\n", tail ? tail : "");
	free(tail);
	if (provium_vm_connect(campaign->vm, 0, LOOK_MS, &other, &error) < 0) {
		printf("another connection: %s\n", error.message);
		return;
	}
	printf("another connection: restarts %u, %s\n", provium_connection_agent(other)->restarts,
	       provium_connection_agent(other)->restart_reason);
	if (provium_exec_run(other, &options, 0, LOOK_MS, &result, &output, NULL, &error) == 0) {
		printf("%s\n", (const char *)output.data);
		free(output.data);
	}
	provium_connection_free(other);
}

/* ------------------------------------------------------------------------------------------- */
/* Connections and restarts */

/* "it was killed by signal 9 (Killed)" without which call it was in, and with no other numbers. */
static void count_reason(struct campaign *campaign, const char *reason)
{
	char text[REASON_SIZE];
	size_t i = 0;

	if (strstr(reason, "did not end at its deadline"))
		reason = "a call did not end at its deadline";
	snprintf(text, sizeof(text), "%s", reason);
	if (strstr(text, ", in call "))
		*strstr(text, ", in call ") = '\0';
	while (i < campaign->n_reasons && strcmp(campaign->reasons[i].text, text) != 0)
		i++;
	if (i == REASONS)
		return;
	if (i == campaign->n_reasons)
		memcpy(campaign->reasons[campaign->n_reasons++].text, text, sizeof(text));
	campaign->reasons[i].count++;
}

/* Once more: a server, and one restart more than there were. */
static bool reconnect(struct campaign *campaign)
{
	const struct provium_agent *agent;

	provium_connection_free(campaign->connection);
	campaign->connection = NULL;
	if (provium_vm_connect(campaign->vm, 0, SOON, &campaign->connection, &error) < 0)
		return fail(campaign, "no new server");
	agent = provium_connection_agent(campaign->connection);
	if (agent->restarts != campaign->restarts + 1) {
		snprintf(error.message, sizeof(error.message), "%u restarts, %u are known: %s",
			 agent->restarts, campaign->restarts + 1, agent->restart_reason);
		return fail(campaign, "restarts");
	}
	campaign->restarts++;
	count_reason(campaign, agent->restart_reason);
	return true;
}

/* ------------------------------------------------------------------------------------------- */
/* Between rounds */

static bool is_splat(const char *line)
{
	static const char *const marks[] = {
		"WARNING: ",    "BUG: ",         "Oops",        "general protection fault",
		"Kernel panic", "kernel BUG at", "INFO: task ", "rcu: INFO:",
		"UBSAN: ",      "refcount_t: ",  "soft lockup", "Out of memory",
	};

	/* Of a process, as tests want it. */
	if (strstr(line, "traps: "))
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(marks); i++)
		if (strstr(line, marks[i]))
			return true;
	return false;
}

/* What the kernel has printed since the last time. */
static bool look_for_splats(struct campaign *campaign)
{
	const struct provium_exec_options options = { .shell = "dmesg -c" };
	struct provium_exec_result result;
	struct provium_buffer output;
	char *rest, *line;

	if (provium_exec_run(campaign->connection, &options, 0, SOON, &result, &output, NULL,
			     &error) < 0)
		return fail(campaign, "dmesg");
	for (rest = output.data; (line = strtok_r(rest, "\n", &rest));)
		if (is_splat(line) && campaign->splats++ < SPLATS_SHOWN)
			printf("splat before program %" PRIu64 ": %s\n",
			       campaign->first + campaign->programs, line);
	free(output.data);
	return true;
}

/* An empty directory, with a place to mount in, a directory and a file. */
static bool reset_directory(struct campaign *campaign)
{
	struct provium_connection *connection = campaign->connection;

	while (provium_umount(connection, RANDOM_DIRECTORY "/m", MNT_DETACH, SOON, &error) == 0)
		;
	if (provium_remove(connection, RANDOM_DIRECTORY, true, true, SOON, &error) < 0 ||
	    provium_mkdir(connection, RANDOM_DIRECTORY "/m", 0700, true, SOON, &error) < 0 ||
	    provium_mkdir(connection, RANDOM_DIRECTORY "/d", 0700, true, SOON, &error) < 0)
		return fail(campaign, "no directory");
	return true;
}

/* Another server. This program must end it. */
static bool renew(struct campaign *campaign)
{
	struct provium_program *program = provium_program_new();
	int number = provium_syscall_number(campaign->arch, "exit_group"), result;

	provium_program_call(program, (uint32_t)number, NULL, 0);
	result = provium_program_run(campaign->connection, program, SOON, &error);
	provium_program_free(program);
	if (result == 0 || error.code != PROVIUM_DISCONNECTED) {
		fail(campaign, "the server does not end");
		look_around(campaign);
		return false;
	}
	campaign->renewed++;
	return reconnect(campaign);
}

static void tell_progress(const struct campaign *campaign)
{
	double seconds = (double)(monotonic_ns() - campaign->start_ns) / 1e9;

	printf("# %" PRIu64 " programs, %" PRIu64 " calls, %" PRIu64 " interrupted, %u restarts, "
	       "%" PRIu64 " splats, %.0f s, %.0f programs/s\n",
	       campaign->programs, campaign->calls, campaign->interrupted, campaign->restarts,
	       campaign->splats, seconds, (double)campaign->programs / seconds);
	fflush(stdout);
}

static bool begin_round(struct campaign *campaign)
{
	if (!renew(campaign) || !look_for_splats(campaign) || !reset_directory(campaign))
		return false;
	return provium_ping(campaign->connection, SOON, &error) == 0 ? true
								     : fail(campaign, "ping");
}

/* ------------------------------------------------------------------------------------------- */
/* Programs */

static void count_calls(struct campaign *campaign, const struct provium_program *program)
{
	unsigned int made = provium_program_made(program);

	campaign->calls += made;
	for (unsigned int i = 0; i < made; i++) {
		uint32_t number = random_call_number(program, i);
		int64_t result = provium_program_result(program, (int)i);

		campaign->made[number]++;
		campaign->spent_ns[number] += provium_program_duration_ns(program, (int)i);
		if (result >= 0 || result < -4095) {
			campaign->succeeded[number]++;
			campaign->successes++;
		}
		if (provium_program_interrupted(program, (int)i))
			campaign->interrupted++;
	}
}

static bool run_program(struct campaign *campaign)
{
	struct provium_program *program = random_program(campaign->arch, campaign->seed,
							 campaign->first + campaign->programs);
	int result = provium_program_run(campaign->connection, program, SOON, &error);
	bool good = true;

	if (result == 0) {
		count_calls(campaign, program);
	} else if (error.code == PROVIUM_DISCONNECTED) {
		campaign->lost++;
		if (campaign->verbose)
			printf("# program %" PRIu64 ": %s\n", campaign->first + campaign->programs,
			       error.message);
		good = reconnect(campaign);
	} else if (error.code == PROVIUM_GUEST) {
		/* Memory for the buffers: what a program has left of its limits is too little. */
		campaign->without_means++;
		if (campaign->verbose)
			printf("# program %" PRIu64 ": %s\n", campaign->first + campaign->programs,
			       error.message);
		good = renew(campaign);
	} else {
		good = fail(campaign, "the program");
		look_around(campaign);
	}
	if (!good)
		random_describe(program, campaign->arch, stdout);
	provium_program_free(program);
	return good;
}

static bool run_all(struct campaign *campaign)
{
	campaign->start_ns = monotonic_ns();
	for (; campaign->programs < campaign->wanted; campaign->programs++) {
		if (campaign->programs % ROUND == 0 && !begin_round(campaign))
			return false;
		if (!run_program(campaign))
			return false;
		if ((campaign->programs + 1) % ROUND == 0)
			tell_progress(campaign);
	}
	return begin_round(campaign);
}

/* Where the time went, of those calls that took the most. */
static void tell_times(struct campaign *campaign)
{
	for (int shown = 0; shown < 12; shown++) {
		uint32_t most = 0;
		const char *name;

		for (uint32_t i = 0; i < NUMBERS; i++)
			if (campaign->spent_ns[i] > campaign->spent_ns[most])
				most = i;
		name = provium_syscall_name(campaign->arch, most);
		printf("# %6" PRIu64 " ms in %u calls of %s\n", campaign->spent_ns[most] / 1000000u,
		       campaign->made[most], name ? name : "one without a name");
		campaign->spent_ns[most] = 0;
	}
}

static void tell_figures(const struct campaign *campaign)
{
	unsigned int distinct = 0, fine = 0;

	for (size_t i = 0; i < NUMBERS; i++) {
		distinct += campaign->made[i] > 0;
		fine += campaign->succeeded[i] > 0;
	}
	tell_progress(campaign);
	printf("programs: %" PRIu64 " of seed %" PRIu64 ", from %" PRIu64 "\n", campaign->programs,
	       campaign->seed, campaign->first);
	printf("calls: %" PRIu64 ", of which %.1f %% succeeded\n", campaign->calls,
	       100.0 * (double)campaign->successes / (double)MAX(campaign->calls, UINT64_C(1)));
	printf("distinct calls: %u, of which %u have succeeded at least once\n", distinct, fine);
	printf("interrupted at their deadline: %" PRIu64 "\n", campaign->interrupted);
	printf("restarts: %u: %" PRIu64 " by programs, %" PRIu64 " on purpose; %" PRIu64
	       " programs had no means to run\n",
	       campaign->restarts, campaign->lost, campaign->renewed, campaign->without_means);
	for (size_t i = 0; i < campaign->n_reasons; i++)
		printf("  %6" PRIu64 "  %s\n", campaign->reasons[i].count,
		       campaign->reasons[i].text);
	printf("splats of the kernel: %" PRIu64 "\n", campaign->splats);
}

/* ------------------------------------------------------------------------------------------- */
/* The guest */

static bool boot(struct campaign *campaign, const char *kernels)
{
	char kernel[4096], modules[4096];
	const struct provium_vm_options options = {
		.kernel = kernel,
		.modules_dir = modules,
		.memory = 256 << 20,
	};
	const struct provium_agent *agent;

	snprintf(kernel, sizeof(kernel), "%s/vmlinuz", kernels);
	snprintf(modules, sizeof(modules), "%s/modules", kernels);
	if (provium_vm_boot(&options, &campaign->vm, &error) < 0 ||
	    provium_vm_connect(campaign->vm, 0, SOON, &campaign->connection, &error) < 0)
		return fail(campaign, "boot");
	agent = provium_connection_agent(campaign->connection);
	snprintf(campaign->arch, sizeof(campaign->arch), "%s", agent->arch);
	printf("# Linux %s %s\n", agent->kernel_release, agent->arch);
	return true;
}

static bool describe(const struct campaign *campaign, uint64_t number)
{
	struct provium_program *program = random_program("x86_64", campaign->seed, number);

	if (!program)
		return false;
	random_describe(program, "x86_64", stdout);
	provium_program_free(program);
	return true;
}

static int usage(void)
{
	fprintf(stderr,
		"usage: random-campaign [--seed N] [--first N] [--verbose] KERNEL PROGRAMS\n"
		"       random-campaign [--seed N] --describe NUMBER\n");
	return 2;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "seed", required_argument, NULL, 's' },
		{ "first", required_argument, NULL, 'f' },
		{ "describe", required_argument, NULL, 'd' },
		{ "verbose", no_argument, NULL, 'v' },
		{ 0 },
	};
	static struct campaign campaign = { .seed = 1 };
	const char *described = NULL;
	bool good;
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 's':
			campaign.seed = strtoull(optarg, NULL, 0);
			break;
		case 'f':
			campaign.first = strtoull(optarg, NULL, 0);
			break;
		case 'd':
			described = optarg;
			break;
		case 'v':
			campaign.verbose = true;
			break;
		default:
			return usage();
		}
	}
	if (described)
		return describe(&campaign, strtoull(described, NULL, 0)) ? 0 : 1;
	if (argc - optind != 2)
		return usage();
	campaign.wanted = strtoull(argv[optind + 1], NULL, 0);
	good = boot(&campaign, argv[optind]) && run_all(&campaign);
	if (campaign.programs > 0)
		tell_figures(&campaign);
	if (campaign.verbose)
		tell_times(&campaign);
	provium_connection_free(campaign.connection);
	provium_vm_free(campaign.vm);
	return good && campaign.splats == 0 ? 0 : 1;
}
