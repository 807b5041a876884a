/*
 * growth: how figures change with how much is asked for: commands in flight, workers, the size of a
 * file. Each beside its floor, in turns; growth.py draws them.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/util.h"
#include "tests/bench/figures.h"
#include "tests/bench/guest.h"
#include "tests/bench/runs.h"

#define ROUNDS      3
#define WORKERS_MAX 200

/* A file that is as large is moved once: it takes minutes. */
#define LARGE_KIB   (1u << 20)

/* A tmpfs takes half of it, and has the largest file. */
#define MEMORY      (UINT64_C(9) << 30)

struct guest guest;
uint64_t bulk_bytes;

static void run_spawns(unsigned int count)
{
	guest_exchange(&guest, FLOOR_SPAWN_MANY, count);
}

/* All of them are there at once. */
static void run_workers(unsigned int count)
{
	struct provium_connection *connections[WORKERS_MAX];

	for (unsigned int i = 0; i < count; i++)
		connections[i] = run_worker_start();
	for (unsigned int i = 0; i < count; i++)
		provium_connection_free(connections[i]);
}

static void run_forks(unsigned int count)
{
	int fds[WORKERS_MAX];

	for (unsigned int i = 0; i < count; i++)
		fds[i] = run_fork_start();
	for (unsigned int i = 0; i < count; i++)
		close(fds[i]);
}

static void run_write_kib(unsigned int kib)
{
	bulk_bytes = (uint64_t)kib << 10;
	run_write();
}

static void run_raw_write_kib(unsigned int kib)
{
	bulk_bytes = (uint64_t)kib << 10;
	run_raw_write();
}

static void run_read_kib(unsigned int kib)
{
	bulk_bytes = (uint64_t)kib << 10;
	run_read();
}

static void run_raw_read_kib(unsigned int kib)
{
	bulk_bytes = (uint64_t)kib << 10;
	run_raw_read();
}

struct curve {
	const char *name;
	const char *of;
	const char *floor;
	void (*prepare)(unsigned int amount);
	void (*run)(unsigned int amount);
	void (*run_floor)(unsigned int amount);
	unsigned int amounts[8];
	/* The amount is KiB, told in MiB/s; else in milliseconds for each of the amount. */
	bool is_bulk;
};

static const struct curve curves[] = {
	{ "EXEC",
	  "in flight",
	  "posix_spawn, wait",
	  NULL,
	  run_execs,
	  run_spawns,
	  { 1, 3, 10, 30, 100, 300, 1000 } },
	{ "worker",
	  "at once",
	  "fork, connect, echo",
	  NULL,
	  run_workers,
	  run_forks,
	  { 1, 3, 10, 30, 100, WORKERS_MAX } },
	{ "WRITE_FILE",
	  "KiB",
	  "raw stream to a file",
	  NULL,
	  run_write_kib,
	  run_raw_write_kib,
	  { 1, 16, 256, 4096, 65536, LARGE_KIB, 4 * LARGE_KIB },
	  .is_bulk = true },
	/* Of the file that is made before. */
	{ "READ_FILE",
	  "KiB",
	  "file to a raw stream",
	  run_raw_write_kib,
	  run_read_kib,
	  run_raw_read_kib,
	  { 1, 16, 256, 4096, 65536, LARGE_KIB, 4 * LARGE_KIB },
	  .is_bulk = true },
};

static double milliseconds(void (*run)(unsigned int amount), unsigned int amount)
{
	uint64_t start = monotonic_ns();

	run(amount);
	return (double)(monotonic_ns() - start) / 1e6;
}

static double to_unit(const struct curve *curve, unsigned int amount, double elapsed_ms)
{
	return curve->is_bulk ? amount / 1024.0 / (elapsed_ms / 1e3) : elapsed_ms / amount;
}

static void measure(const struct curve *curve, unsigned int amount, json_t *list)
{
	char text[64];
	const struct figure_name name = { text, curve->is_bulk ? "MiB/s" : "ms each",
					  curve->floor };
	int rounds = curve->is_bulk && amount >= LARGE_KIB ? 1 : ROUNDS;
	struct figure figure = { 0 };
	json_t *row;

	snprintf(text, sizeof(text), "%s, %u %s", curve->name, amount, curve->of);
	if (curve->prepare)
		curve->prepare(amount);
	for (int round = 0; round < rounds; round++) {
		double own = milliseconds(curve->run, amount);
		double floor = milliseconds(curve->run_floor, amount);

		figure_add(&figure, to_unit(curve, amount, own), to_unit(curve, amount, floor),
			   own / floor);
	}
	figure_report(&name, &figure, list);
	row = json_array_get(list, json_array_size(list) - 1);
	json_object_set_new(row, "curve", json_string(curve->name));
	json_object_set_new(row, "of", json_string(curve->of));
	json_object_set_new(row, "amount", json_integer(amount));
}

static void measure_all(json_t *list)
{
	figure_print_head();
	for (size_t i = 0; i < ARRAY_SIZE(curves); i++)
		for (size_t j = 0; j < ARRAY_SIZE(curves[i].amounts) && curves[i].amounts[j]; j++)
			measure(&curves[i], curves[i].amounts[j], list);
}

int main(int argc, char **argv)
{
	struct guest_options options = { .memory = MEMORY };
	json_t *list = json_array(), *document = json_pack("{s:o}", "figures", list);

	if (argc != 5)
		die("usage: growth KERNEL FLOOR TRUE JSON");
	options.kernel = argv[1];
	options.floor_program = argv[2];
	options.true_program = argv[3];
	guest_boot(&guest, &options);
	guest_describe(&guest, document);
	guest_start_floor(&guest);
	measure_all(list);
	guest_end(&guest);
	if (json_dump_file(document, argv[4], JSON_INDENT(2)) < 0)
		die("%s: cannot be written", argv[4]);
	json_decref(document);
	return EXIT_SUCCESS;
}
