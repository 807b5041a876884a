/*
 *     vm-chaos KERNELS [SECONDS [CPUS [NAME]]]
 *
 * KERNELS is a directory with vmlinuz and modules/. Each disturbance once, or the one of that name,
 * and all again until SECONDS (120) have passed; in a guest with CPUS (2).
 */
#include "tests/integration/chaos/chaos.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/util.h"
#include "tests/integration/vm/machine.h"
#include "tests/unit/unit.h"

/* Milliseconds until what a disturbance has used is given back. */
#define SETTLE   20000
/* Seconds after which it is too long for Check. */
#define LONG     1000
/* KiB by which server and supervisor may be larger than at the beginning. */
#define RSS_MORE 1024

static const struct {
	const char *name;
	void (*run)(struct chaos *chaos);
} disturbances[] = {
	{ "memory", chaos_memory },
	{ "fork bomb", chaos_forks },
	{ "descriptors", chaos_fds },
	{ "full disk", chaos_disk },
	{ "clock", chaos_clock },
	{ "real-time hogs", chaos_hogs },
	{ "server killed, stopped", chaos_server },
	{ "supervisor stopped", chaos_supervisor },
	{ "workers killed, stopped", chaos_workers },
	{ "snapshot", chaos_snapshot },
	{ "QEMU stopped", chaos_qemu },
	{ "slow host", chaos_slow_host },
	{ "stuck host", chaos_stuck_host },
	{ "leaving hosts", chaos_leaving_hosts },
	{ "connects", chaos_connects },
};

static struct provium_error error;
static unsigned int seconds = 120;
static unsigned int cpus = 2;
/* NULL: all. */
static const char *only;

void chaos_served(struct chaos *chaos)
{
	static unsigned char content[65536];
	/* Another content each time. */
	static size_t times;
	/* In a cgroup, or descriptors for it would come with the first that is. */
	const struct provium_exec_options cat = {
		.shell = "cat /served && rm /served",
		.kill_scope = PROVIUM_KILL_CGROUP,
	};
	struct provium_exec_result result;
	struct provium_buffer output;

	times++;
	for (size_t i = 0; i < sizeof(content); i++)
		content[i] = (unsigned char)(times + i + (i >> 8));
	check_ok(provium_ping(chaos->connection, SOON, &error));
	check_ok(provium_write_file_memory(chaos->connection, "/served", NULL, content,
					   sizeof(content), SOON, &error));
	check_ok(
		provium_exec_run(chaos->connection, &cat, 0, SOON, &result, &output, NULL, &error));
	ck_assert_int_eq(result.outcome, PROVIUM_EXITED);
	ck_assert_int_eq(result.exit_code, 0);
	ck_assert_uint_eq(output.size, sizeof(content));
	ck_assert_mem_eq(output.data, content, sizeof(content));
	free(output.data);
}

void chaos_reconnect(struct chaos *chaos)
{
	provium_connection_free(chaos->connection);
	chaos->connection = NULL;
	check_ok(provium_vm_connect(chaos->vm, 0, SOON, &chaos->connection, &error));
}

static bool is_back(const struct chaos *chaos, const struct look *now)
{
	const struct look *base = &chaos->base;

	return now->server_fds == base->server_fds && now->supervisor_fds == base->supervisor_fds &&
	       now->processes == base->processes && now->commands == base->commands &&
	       now->jobs == 0 && now->workers == 0 && now->connections == 2u + chaos->own &&
	       now->server_rss <= base->server_rss + RSS_MORE &&
	       now->supervisor_rss <= base->supervisor_rss + RSS_MORE;
}

/* All that must be so after a disturbance. */
/* Returns the server's resident memory, KiB. */
static unsigned long check_after(struct chaos *chaos)
{
	uint64_t start = machine_now_ms();
	char before[400], after[400];
	struct look now;

	chaos_served(chaos);
	check_ok(provium_kernel_check(chaos->connection, chaos->event, SOON, &error));
	chaos->event = provium_kernel_last(chaos->connection);
	/* Nothing tells when all has been given back. */
	for (;; usleep(100000)) {
		look(chaos->connection, &now);
		if (is_back(chaos, &now))
			break;
		if (machine_now_ms() - start < SETTLE)
			continue;
		look_describe(&chaos->base, before, sizeof(before));
		look_describe(&now, after, sizeof(after));
		ck_abort_msg("not given back:\nat first %s\nand now %s\n%s", before, after,
			     look_shell(chaos->connection, "ps"));
	}
	ck_assert_uint_eq(now.restarts, chaos->kills);
	ck_assert_int_eq(now.supervisor, chaos->base.supervisor);
	ck_assert_msg(!chaos->probe.failed, "PING: %s", chaos->probe.error.message);
	ck_assert_uint_le(chaos->probe.losses, chaos->kills);
	return now.server_rss;
}

static void run_all(struct chaos *chaos)
{
	uint64_t start = machine_now_ms();
	unsigned int count = 0;
	char text[400];

	for (size_t next = 0;
	     next < ARRAY_SIZE(disturbances) || machine_now_ms() - start < (uint64_t)seconds * 1000;
	     next++) {
		size_t i = next % ARRAY_SIZE(disturbances);
		uint64_t begun = machine_now_ms();
		unsigned long resident;

		if (only && strcmp(only, disturbances[i].name) != 0)
			continue;
		count++;
		chaos->note[0] = '\0';
		printf("# %s", disturbances[i].name);
		fflush(stdout);
		disturbances[i].run(chaos);
		resident = check_after(chaos);
		printf(": %.1f s, slowest PING %.2f s, server %lu KiB%s%s\n",
		       (double)(machine_now_ms() - begun) / 1000,
		       (double)atomic_exchange(&chaos->probe.slowest_ms, 0) / 1000, resident,
		       chaos->note[0] ? "; " : "", chaos->note);
		fflush(stdout);
	}
	look(chaos->connection, &chaos->base);
	look_describe(&chaos->base, text, sizeof(text));
	printf("# at last %s\n# %u disturbances, %u kills, %u pings\n", text, count, chaos->kills,
	       chaos->probe.pings);
}

START_TEST(test_chaos)
{
	struct provium_vm_options options = machine_options();
	static struct chaos chaos = { .own = true };
	char text[400];

	snprintf(chaos.socket, sizeof(chaos.socket), "%s/socket", machine_directory);
	snprintf(chaos.address, sizeof(chaos.address), "unix:%s", chaos.socket);
	options.socket = chaos.socket;
	options.cpus = chaos.cpus = cpus;
	chaos.vm = machine_boot(&options);
	check_ok(provium_vm_connect(chaos.vm, 0, SOON, &chaos.connection, &error));
	probe_start(&chaos.probe, chaos.address);
	chaos_served(&chaos);
	look(chaos.connection, &chaos.base);
	look_describe(&chaos.base, text, sizeof(text));
	printf("# Linux %s, %u processors; at first %s\n",
	       provium_connection_agent(chaos.connection)->kernel_release, cpus, text);
	run_all(&chaos);
	probe_stop(&chaos.probe);
	provium_connection_free(chaos.connection);
	check_ok(provium_vm_shutdown(chaos.vm, PROVIUM_POWER_OFF, true, SOON, &error));
	provium_vm_free(chaos.vm);
}
END_TEST

int main(int argc, char **argv)
{
	Suite *suite = suite_create("vm-chaos");
	TCase *tcase = tcase_create("chaos");

	if (argc < 2 || argc > 5)
		return 2;
	machine_kernels = argv[1];
	if (argc > 2)
		seconds = (unsigned int)strtoul(argv[2], NULL, 10);
	if (argc > 3)
		cpus = (unsigned int)strtoul(argv[3], NULL, 10);
	if (argc > 4)
		only = argv[4];
	tcase_add_checked_fixture(tcase, machine_start, machine_finish);
	/* The last round, and each wait in it, have an end as well. */
	tcase_set_timeout(tcase, seconds + 600);
	tcase_add_test(tcase, test_chaos);
	suite_add_tcase(suite, tcase);
	return seconds > LONG ? unit_run_long(suite) : unit_run(suite);
}
