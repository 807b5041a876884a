#include "host/show/units.h"

#include <inttypes.h>
#include <stdio.h>

#include "common/util.h"

const char *format_bytes(uint64_t bytes, char text[static UNITS_TEXT_SIZE])
{
	static const char *const units[] = { "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	double value = (double)bytes / 1024;
	size_t unit = 0;

	if (bytes < 1024) {
		snprintf(text, UNITS_TEXT_SIZE, "%" PRIu64 " B", bytes);
		return text;
	}
	/* 1023.95 would be printed as 1024.0. */
	while (value >= 1023.95 && unit + 1 < ARRAY_SIZE(units)) {
		value /= 1024;
		unit++;
	}
	snprintf(text, UNITS_TEXT_SIZE, "%.1f %s", value, units[unit]);
	return text;
}

const char *format_duration(uint64_t seconds, char text[static UNITS_TEXT_SIZE])
{
	unsigned int minute = (unsigned int)(seconds / 60 % 60);
	unsigned int second = (unsigned int)(seconds % 60);

	if (seconds < 3600)
		snprintf(text, UNITS_TEXT_SIZE, "%u:%02u", minute, second);
	else
		snprintf(text, UNITS_TEXT_SIZE, "%" PRIu64 ":%02u:%02u", seconds / 3600, minute,
			 second);
	return text;
}
