#include "host/runner/progress.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "host/show/units.h"

/* Of a name. */
#define NAME_COLUMNS 40

static void add(char *text, size_t size, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static void add(char *text, size_t size, const char *format, ...)
{
	size_t used = strlen(text);
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text + used, size - used, format, arguments);
	va_end(arguments);
}

void progress_text(const struct runner_view *view, uint64_t now_ns, char *text, size_t size)
{
	uint64_t elapsed_ns = now_ns - view->started_ns;
	char left[UNITS_TEXT_SIZE];

	*text = '\0';
	add(text, size, "%zu/%zu files", view->ended, view->total);
	if (view->failed)
		add(text, size, ", %zu failed", view->failed);
	if (view->ended) {
		double each = (double)elapsed_ns / (double)view->ended;
		double seconds = each * (double)(view->total - view->ended) / 1e9;

		add(text, size, ", %s left", format_duration((uint64_t)seconds, left));
	}
	for (size_t i = 0; i < view->running && i < RUNNER_VIEW_FILES; i++) {
		add(text, size, "%s%.*s", i ? ", " : "  ", NAME_COLUMNS, view->files[i].name);
		if (view->files[i].waits) {
			add(text, size, " waits");
			continue;
		}
		if (view->files[i].subtest)
			add(text, size, ": %.*s", NAME_COLUMNS, view->files[i].subtest);
		add(text, size, " %us",
		    (unsigned int)((now_ns - view->files[i].since_ns) / 1000000000));
	}
	for (char *c = text; *c; c++) {
		if (*c == '\n' || *c == '\t')
			*c = ' ';
	}
}
