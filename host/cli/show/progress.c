#include "host/cli/show/progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/util.h"
#include "host/cli/report.h"
#include "host/show/terminal.h"
#include "host/show/units.h"

#define REDRAW_NS     100000000
#define LINE_SIZE     256

/* A rate over less than this says nothing. */
#define RATE_AFTER_NS 500000000

/* A bar of fewer cells shows nothing. */
#define BAR_MIN       10

void progress_start(struct progress *progress, const char *name, int name_size)
{
	*progress = (struct progress){
		.name = name,
		.name_size = name_size,
		.shown = terminal_present(),
		.started_ns = monotonic_ns(),
	};
}

static bool knows_share(const struct progress *progress)
{
	return progress->entries <= 1 && progress->total > 0 && progress->done <= progress->total;
}

/* "NAME  NN%  DONE of TOTAL", or "NAME  N entries  DONE" where the total is not known or was
 * passed.
 */
static int format_amount(const struct progress *progress, char *text, size_t size)
{
	char done[UNITS_TEXT_SIZE], total[UNITS_TEXT_SIZE];

	format_bytes(progress->done, done);
	if (progress->entries > 1)
		return snprintf(text, size, "%.*s  %" PRIu64 " entries  %s", progress->name_size,
				progress->name, progress->entries, done);
	if (!knows_share(progress))
		return snprintf(text, size, "%.*s  %s", progress->name_size, progress->name, done);
	return snprintf(text, size, "%.*s  %u%%  %s of %s", progress->name_size, progress->name,
			(unsigned int)((double)progress->done * 100 / (double)progress->total),
			done, format_bytes(progress->total, total));
}

/* "  [####------]", as long as there is room. */
static void add_bar(const struct progress *progress, char *text, size_t size)
{
	static const char start[] = "  [", end[] = "]";
	size_t used = strlen(text) + strlen(start) + strlen(end);
	size_t cells, full;

	if (size <= used + BAR_MIN)
		return;
	cells = size - used - 1;
	full = (size_t)((double)progress->done * (double)cells / (double)progress->total);
	text = stpcpy(text + strlen(text), start);
	memset(text, '#', full);
	memset(text + full, '-', cells - full);
	stpcpy(text + cells, end);
}

static void format_figures(const struct progress *progress, uint64_t elapsed_ns, bool ended,
			   char *text, size_t size)
{
	size_t used = (size_t)format_amount(progress, text, size);
	char number[UNITS_TEXT_SIZE];
	double rate;

	if (used >= size || elapsed_ns == 0 || (elapsed_ns < RATE_AFTER_NS && !ended))
		return;
	rate = (double)progress->done * 1e9 / (double)elapsed_ns;
	used += (size_t)snprintf(text + used, size - used, "  %s/s",
				 format_bytes((uint64_t)rate, number));
	if (used >= size)
		return;
	if (ended)
		snprintf(text + used, size - used, "  in %s",
			 format_duration(elapsed_ns / 1000000000, number));
	else if (rate >= 1 && progress->total > progress->done)
		snprintf(text + used, size - used, "  %s left",
			 format_duration(
				 (uint64_t)((double)(progress->total - progress->done) / rate),
				 number));
}

void progress_format(const struct progress *progress, uint64_t elapsed_ns, bool ended, char *text,
		     size_t size)
{
	format_figures(progress, elapsed_ns, ended, text, size);
	if (knows_share(progress) && !ended)
		add_bar(progress, text, size);
}

static void draw(struct progress *progress, uint64_t now_ns, bool ended)
{
	char text[LINE_SIZE];

	progress->drawn_ns = now_ns;
	progress_format(progress, now_ns - progress->started_ns, ended, text,
			MIN(sizeof(text), (size_t)terminal_columns() + 1));
	terminal_show(text);
}

static void draw_in_time(struct progress *progress)
{
	uint64_t now_ns;

	if (!progress->shown)
		return;
	now_ns = monotonic_ns();
	if (now_ns - progress->drawn_ns >= REDRAW_NS)
		draw(progress, now_ns, false);
}

void progress_update(void *user, uint64_t done, uint64_t total)
{
	struct progress *progress = user;

	progress->done = done;
	progress->total = total;
	draw_in_time(progress);
}

void progress_entry(void *user, const char *path)
{
	struct progress *progress = user;

	(void)path;
	progress->entries++;
	draw_in_time(progress);
}

void progress_notice(struct progress *progress, const char *text)
{
	if (progress->shown)
		terminal_erase();
	report(text);
}

void progress_end(struct progress *progress, bool complete)
{
	if (!progress->shown)
		return;
	if (!complete) {
		terminal_erase();
		return;
	}
	draw(progress, monotonic_ns(), true);
	if (write(STDERR_FILENO, "\n", 1) < 0)
		return;
}
