/* Samples of one measurement, and what is said of them. */
#ifndef TESTS_BENCH_FIGURES_H
#define TESTS_BENCH_FIGURES_H

#include <jansson.h>
#include <stddef.h>

struct samples {
	double *values;
	size_t count;
	size_t capacity;
};

void samples_add(struct samples *samples, double value);
void samples_finish(struct samples *samples);

struct spread {
	double median;
	/* A tenth of the samples lies below, a tenth above. */
	double low;
	double high;
};

/* Sorts the samples; at least one. */
struct spread samples_spread(struct samples *samples);

/* "0.29 (0.25-0.41)". Static, good for the next three calls too. */
const char *spread_text(const struct spread *spread);

json_t *spread_json(const struct spread *spread, size_t count);

#endif
