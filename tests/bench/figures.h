/* Samples of one measurement beside those of its floor, and what is said of them. */
#ifndef TESTS_BENCH_FIGURES_H
#define TESTS_BENCH_FIGURES_H

#include <jansson.h>
#include <stdbool.h>
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
	/* Quartiles. */
	double low;
	double high;
};

/* Sorts the samples; at least one. */
struct spread samples_spread(struct samples *samples);

/* "0.29 (0.25-0.41)". Static, good for the next three calls too. */
const char *spread_text(const struct spread *spread);

/* What a figure is called, and what it is held against. */
struct figure_name {
	const char *name;
	/* Of the value and of its floor. */
	const char *unit;
	/* NULL: it has none, and no ratio. */
	const char *floor;
	/* Of the median ratio, or, where there is no floor, of the median value; 0: none. */
	double goal;
	/* The goal is the least that will do, and not the most. */
	bool is_least;
};

struct figure {
	struct samples value;
	struct samples floor;
	struct samples ratio;
};

/* One sample of each. */
void figure_add(struct figure *figure, double value, double floor, double ratio);

/* The head of a table of figures, and a line of it. */
void figure_print_head(void);

/*
 * Prints a figure, appends it to the list as one of the objects that `./check bench --json`
 * collects, and empties it. A goal that is missed is told and fails nothing: the figure may be the
 * machine's.
 */
void figure_report(const struct figure_name *name, struct figure *figure, json_t *list);

#endif
