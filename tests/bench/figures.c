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
		.low = samples->values[last / 10],
		.high = samples->values[last - last / 10],
	};
}

const char *spread_text(const struct spread *spread)
{
	static char texts[4][48];
	static unsigned int next;
	char *text = texts[next++ % ARRAY_SIZE(texts)];
	int digits = spread->median < 10 ? 2 : spread->median < 100 ? 1 : 0;

	snprintf(text, sizeof(texts[0]), "%.*f (%.*f-%.*f)", digits, spread->median, digits,
		 spread->low, digits, spread->high);
	return text;
}

json_t *spread_json(const struct spread *spread, size_t count)
{
	return json_pack("{s:f, s:f, s:f, s:I}", "median", spread->median, "low", spread->low,
			 "high", spread->high, "samples", (json_int_t)count);
}
