/*
 * provium_vm_boot() blocks, so the clock on the line is kept going by a thread. It makes no call of
 * the library, takes no signal, and is joined before the guest's output begins.
 */
#include "host/cli/show/status_line.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/util.h"
#include "host/cli/report.h"
#include "host/show/terminal.h"

#define REDRAW_NS 100000000

struct status_line {
	uint64_t started_ns;
	bool drawing;
	pthread_t thread;
	/* Guards what follows, and the terminal. */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool stopping;
	char phase[128];
};

static void draw(struct status_line *line)
{
	uint64_t tenths = (monotonic_ns() - line->started_ns) / 100000000;
	char text[sizeof(line->phase) + 32];

	snprintf(text, sizeof(text), "%3u.%u s  %s", (unsigned int)(tenths / 10),
		 (unsigned int)(tenths % 10), line->phase);
	terminal_show(text);
}

static void *run(void *user)
{
	struct status_line *line = user;

	pthread_mutex_lock(&line->lock);
	while (!line->stopping) {
		struct timespec until;

		draw(line);
		clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_nsec += REDRAW_NS;
		until.tv_sec += until.tv_nsec / 1000000000;
		until.tv_nsec %= 1000000000;
		pthread_cond_timedwait(&line->changed, &line->lock, &until);
	}
	terminal_erase();
	pthread_mutex_unlock(&line->lock);
	return NULL;
}

int status_line_start(struct status_line **started, struct provium_error *error)
{
	struct status_line *line = calloc(1, sizeof(*line));
	pthread_condattr_t attributes;

	if (!line)
		return cli_fail_errno(error, "status line");
	line->started_ns = monotonic_ns();
	snprintf(line->phase, sizeof(line->phase), "starting");
	pthread_mutex_init(&line->lock, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&line->changed, &attributes);
	pthread_condattr_destroy(&attributes);

	if (terminal_present()) {
		errno = pthread_create(&line->thread, NULL, run, line);
		if (errno) {
			cli_fail_errno(error, "status line");
			status_line_free(line);
			return -1;
		}
		line->drawing = true;
	}
	*started = line;
	return 0;
}

void status_line_stop(struct status_line *line)
{
	pthread_mutex_lock(&line->lock);
	line->stopping = true;
	pthread_cond_signal(&line->changed);
	pthread_mutex_unlock(&line->lock);
	if (line->drawing)
		pthread_join(line->thread, NULL);
	line->drawing = false;
}

void status_line_free(struct status_line *line)
{
	if (!line)
		return;
	status_line_stop(line);
	pthread_cond_destroy(&line->changed);
	pthread_mutex_destroy(&line->lock);
	free(line);
}

void status_line_phase(void *user, const char *text)
{
	struct status_line *line = user;

	pthread_mutex_lock(&line->lock);
	snprintf(line->phase, sizeof(line->phase), "%s", text);
	pthread_cond_signal(&line->changed);
	pthread_mutex_unlock(&line->lock);
}

void status_line_notice(void *user, const char *text)
{
	struct status_line *line = user;

	pthread_mutex_lock(&line->lock);
	if (line->drawing)
		terminal_erase();
	report(text);
	pthread_mutex_unlock(&line->lock);
}
