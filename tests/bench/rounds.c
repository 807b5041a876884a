#include "tests/bench/rounds.h"

#include <stdlib.h>
#include <string.h>

#include "common/util.h"
#include "tests/bench/guest.h"
#include "tests/bench/runs.h"

static double milliseconds(void (*run)(void))
{
	uint64_t start = monotonic_ns();

	run();
	return (double)(monotonic_ns() - start) / 1e6;
}

static double to_unit(const struct measurement *measurement, double elapsed_ms)
{
	if (!measurement->is_bulk)
		return elapsed_ms;
	return (double)bulk_bytes / MIB(1) / (elapsed_ms / 1e3);
}

/* A few of one, a few of the other. */
static void run_round(const struct measurement *measurement, struct figure *figure)
{
	struct samples own = { 0 }, floor = { 0 };
	double own_ms, floor_ms;

	for (unsigned int i = 0; i < measurement->per_round; i++)
		samples_add(&own, milliseconds(measurement->run));
	for (unsigned int i = 0; i < measurement->per_round; i++)
		samples_add(&floor, milliseconds(measurement->run_floor));
	own_ms = samples_spread(&own).median;
	floor_ms = samples_spread(&floor).median;
	samples_add(&figure->ratio,
		    measurement->name.is_least ? floor_ms / own_ms : own_ms / floor_ms);
	for (unsigned int i = 0; i < measurement->per_round; i++) {
		samples_add(&figure->value, to_unit(measurement, own.values[i]));
		samples_add(&figure->floor, to_unit(measurement, floor.values[i]));
	}
	samples_finish(&own);
	samples_finish(&floor);
}

static void warm_up(const struct measurement *measurement)
{
	measurement->run();
	measurement->run_floor();
}

static bool is_wanted(const struct measurement *measurement, const char *only, unsigned int round)
{
	if (only && !strstr(measurement->name.name, only))
		return false;
	return round % MAX(measurement->every, 1u) == 0;
}

void rounds_measure(const struct measurement *measurements, size_t count, const char *only,
		    unsigned int rounds, json_t *list)
{
	struct figure *figures = calloc(count, sizeof(*figures));

	if (!figures)
		die("no memory");
	for (size_t i = 0; i < count; i++)
		if (is_wanted(&measurements[i], only, 0))
			warm_up(&measurements[i]);
	for (unsigned int round = 0; round < rounds; round++)
		for (size_t i = 0; i < count; i++)
			if (is_wanted(&measurements[i], only, round))
				run_round(&measurements[i], &figures[i]);
	for (size_t i = 0; i < count; i++)
		if (is_wanted(&measurements[i], only, 0))
			figure_report(&measurements[i].name, &figures[i], list);
	free(figures);
}
