#include "figures.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/util.h"

void samples_add(struct samples *samples, double value)
{
	if (samples->count == samples->capacity) {
		samples->capacity = samples->capacity ? 2 * samples->capacity : 64;
		samples->values =
			reallocarray(samples->values, samples->capacity, sizeof(*samples->values));
		if (!samples->values)
			abort();
	}
	samples->values[samples->count++] = value;
}

void samples_finish(struct samples *samples)
{
	free(samples->values);
	*samples = (struct samples){ 0 };
}

static int compare(const void *one, const void *other)
{
	double difference = *(const double *)one - *(const double *)other;

	return (difference > 0) - (difference < 0);
}

struct spread samples_spread(struct samples *samples)
{
	size_t last = samples->count - 1;

	qsort(samples->values, samples->count, sizeof(*samples->values), compare);
	return (struct spread){
		.median = (samples->values[last / 2] + samples->values[(last + 1) / 2]) / 2,
		.low = samples->values[last / 4],
		.high = samples->values[last - last / 4],
	};
}

const char *spread_text(const struct spread *spread)
{
	static char texts[4][48];
	static unsigned int next;
	char *text = texts[next++ % ARRAY_SIZE(texts)];
	int digits = spread->median < 10 ? 2 : spread->median < 100 ? 1 : 0;

	if (spread->low >= spread->high)
		snprintf(text, sizeof(texts[0]), "%.*f", digits, spread->median);
	else
		snprintf(text, sizeof(texts[0]), "%.*f (%.*f-%.*f)", digits, spread->median, digits,
			 spread->low, digits, spread->high);
	return text;
}

void figure_add(struct figure *figure, double value, double floor, double ratio)
{
	samples_add(&figure->value, value);
	samples_add(&figure->floor, floor);
	samples_add(&figure->ratio, ratio);
}

static const char row_format[] = "  %-22s %-9s %-20s %-20s %-18s %-16s %s\n";

void figure_print_head(void)
{
	printf(row_format, "", "", "Provium", "floor", "ratio", "goal", "the floor");
}

static json_t *quartiles(const struct spread *spread)
{
	return json_pack("[f, f]", spread->low, spread->high);
}

static const char *goal_text(const struct figure_name *name, double held, bool *met)
{
	static char text[48];

	*met = name->is_least ? held >= name->goal : held <= name->goal;
	if (name->goal <= 0)
		return "";
	snprintf(text, sizeof(text), "%s %.6g%s", name->is_least ? ">=" : "<=", name->goal,
		 *met ? "" : ": MISSED");
	return text;
}

void figure_report(const struct figure_name *name, struct figure *figure, json_t *list)
{
	struct spread value = samples_spread(&figure->value);
	json_t *spreads = json_pack("{s:o}", "value", quartiles(&value));
	json_t *row = json_pack("{s:s, s:s, s:f, s:I, s:o, s:s?, s:n, s:n, s:n, s:n, s:n}", "name",
				name->name, "unit", name->unit, "value", value.median, "samples",
				(json_int_t)figure->value.count, "quartiles", spreads, "floor_name",
				name->floor, "floor", "ratio", "goal", "goal_is", "met");
	const char *floor_text = "", *ratio_text = "", *goal;
	double held = value.median;
	bool met;

	if (name->floor) {
		struct spread floor = samples_spread(&figure->floor);
		struct spread ratio = samples_spread(&figure->ratio);

		held = ratio.median;
		floor_text = spread_text(&floor);
		ratio_text = spread_text(&ratio);
		json_object_set_new(row, "floor", json_real(floor.median));
		json_object_set_new(row, "ratio", json_real(ratio.median));
		json_object_set_new(spreads, "floor", quartiles(&floor));
		json_object_set_new(spreads, "ratio", quartiles(&ratio));
	}
	goal = goal_text(name, held, &met);
	if (name->goal > 0) {
		json_object_set_new(row, "goal", json_real(name->goal));
		json_object_set_new(row, "goal_is",
				    json_string(name->is_least ? "at least" : "at most"));
		json_object_set_new(row, "met", json_boolean(met));
	}
	printf(row_format, name->name, name->unit, spread_text(&value), floor_text, ratio_text,
	       goal, name->floor ? name->floor : "");
	json_array_append_new(list, row);
	samples_finish(&figure->value);
	samples_finish(&figure->floor);
	samples_finish(&figure->ratio);
}
