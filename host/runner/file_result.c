#include "host/runner/file_result.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/util.h"
#include "host/lib/error.h"
#include "host/runner/text.h"

/* Of one file; beyond that is counted and left out. */
#define MAX_SUBTESTS 20000
#define MAX_SPLATS   100
#define MAX_GUESTS   1000
#define MAX_TEXT     MIB(8)

int file_result_init(struct file_result *result, const char *name, struct provium_error *error)
{
	*result = (struct file_result){ .name = text_clean(name, strlen(name)) };
	if (!result->name)
		return error_set(error, PROVIUM_HOST, ENOMEM, "results");
	return 0;
}

void file_result_clear(struct file_result *result)
{
	char *name = result->name;

	for (size_t i = 0; i < result->n_subtests; i++) {
		free(result->subtests[i].name);
		free(result->subtests[i].message);
	}
	for (size_t i = 0; i < result->n_splats; i++) {
		free(result->splats[i].title);
		free(result->splats[i].text);
	}
	for (size_t i = 0; i < result->n_guests; i++) {
		free(result->guests[i].name);
		free(result->guests[i].path);
		free(result->guests[i].tail);
	}
	free(result->subtests);
	free(result->splats);
	free(result->guests);
	free(result->message);
	free(result->output);
	free(result->log_directory);
	*result = (struct file_result){ .name = name };
}

void file_result_finish(struct file_result *result)
{
	file_result_clear(result);
	free(result->name);
	result->name = NULL;
}

/* Room for one more in an array of which *array is the pointer. NULL, and counted: there is none.
 */
static void *append(struct file_result *result, void *array, size_t *count, size_t size, size_t max)
{
	char *items;

	memcpy(&items, array, sizeof(items));
	if (*count >= max || result->text_size >= MAX_TEXT) {
		result->dropped++;
		return NULL;
	}
	/* By powers of two. */
	if ((*count & (*count - 1)) == 0) {
		char *grown = reallocarray(items, *count ? *count * 2 : 1, size);

		if (!grown) {
			result->dropped++;
			return NULL;
		}
		items = grown;
		memcpy(array, &items, sizeof(items));
	}
	memset(items + *count * size, 0, size);
	return items + (*count)++ * size;
}

static char *keep(struct file_result *result, const char *text)
{
	char *clean;
	size_t length;

	if (!text)
		return NULL;
	length = strlen(text);
	result->text_size += length;
	clean = text_clean(text, length);
	if (!clean)
		result->dropped++;
	return clean;
}

void file_result_subtest_started(struct file_result *result, const char *name, uint64_t now_ns)
{
	struct subtest *subtest = append(result, &result->subtests, &result->n_subtests,
					 sizeof(*subtest), MAX_SUBTESTS);

	if (!subtest)
		return;
	subtest->name = keep(result, name);
	subtest->started_ns = now_ns;
	subtest->running = true;
}

/* The innermost that runs and is called so. */
static struct subtest *find_running(struct file_result *result, const char *name)
{
	char *clean = text_clean(name, strlen(name));
	struct subtest *found = NULL;

	for (size_t i = result->n_subtests; clean && !found && i > 0; i--) {
		struct subtest *subtest = &result->subtests[i - 1];

		if (subtest->running && subtest->name && strcmp(subtest->name, clean) == 0)
			found = subtest;
	}
	free(clean);
	return found;
}

static void count(struct file_result *result, enum harness_outcome outcome)
{
	switch (outcome) {
	case HARNESS_PASSED:
		result->passed++;
		break;
	case HARNESS_FAILED:
		result->failed++;
		break;
	case HARNESS_TODO:
		result->todo++;
		break;
	}
}

void file_result_subtest_ended(struct file_result *result, const char *name,
			       enum harness_outcome outcome, const char *message, uint64_t now_ns)
{
	struct subtest *subtest = find_running(result, name);

	count(result, outcome);
	if (!subtest) {
		/* A todo is told without having started. */
		subtest = append(result, &result->subtests, &result->n_subtests, sizeof(*subtest),
				 MAX_SUBTESTS);
		if (!subtest)
			return;
		subtest->name = keep(result, name);
		subtest->started_ns = now_ns;
	}
	subtest->running = false;
	subtest->outcome = outcome;
	subtest->ended_ns = now_ns;
	subtest->message = keep(result, message);
}

void file_result_ended(struct file_result *result, enum harness_outcome outcome,
		       const char *message)
{
	if (outcome == HARNESS_PASSED || result->file_failed)
		return;
	result->file_failed = outcome == HARNESS_FAILED;
	result->file_todo = outcome == HARNESS_TODO;
	free(result->message);
	result->message = keep(result, message ? message : "");
}

void file_result_splat(struct file_result *result, unsigned int guest, const char *title,
		       const char *text)
{
	struct splat_report *report =
		append(result, &result->splats, &result->n_splats, sizeof(*report), MAX_SPLATS);

	if (!report)
		return;
	report->guest = guest;
	report->title = keep(result, title);
	report->text = keep(result, text);
}

void file_result_guest_started(struct file_result *result, unsigned int number, const char *name,
			       const char *console)
{
	struct guest_console *guest =
		append(result, &result->guests, &result->n_guests, sizeof(*guest), MAX_GUESTS);

	if (!guest)
		return;
	guest->number = number;
	guest->name = keep(result, name);
	/* As it is: it is opened. */
	guest->path = console ? strdup(console) : NULL;
	guest->running = true;
}

void file_result_guest_ended(struct file_result *result, unsigned int number)
{
	for (size_t i = 0; i < result->n_guests; i++) {
		if (result->guests[i].number == number)
			result->guests[i].running = false;
	}
}

const struct subtest *file_result_running(const struct file_result *result)
{
	for (size_t i = result->n_subtests; i > 0; i--) {
		if (result->subtests[i - 1].running)
			return &result->subtests[i - 1];
	}
	return NULL;
}

/* What runs when the process is gone has not passed. */
static void end_subtests(struct file_result *result, const char *end, uint64_t now_ns)
{
	for (size_t i = 0; i < result->n_subtests; i++) {
		struct subtest *subtest = &result->subtests[i];
		char text[256];

		if (!subtest->running)
			continue;
		subtest->running = false;
		subtest->outcome = HARNESS_FAILED;
		subtest->ended_ns = now_ns;
		snprintf(text, sizeof(text), "it did not end: %s", end);
		subtest->message = keep(result, text);
		result->failed++;
	}
}

static void fail(struct file_result *result, const char *message)
{
	file_result_ended(result, HARNESS_FAILED, message);
}

/* Puts it before what the file said of its own failure. */
static void fail_first(struct file_result *result, const char *reason)
{
	char *message = NULL;

	if (!result->file_failed) {
		fail(result, reason);
		return;
	}
	if (asprintf(&message, "%s\n%s", reason, result->message ? result->message : "") < 0)
		return;
	free(result->message);
	result->message = keep(result, message);
	free(message);
}

void file_result_judge(struct file_result *result, const char *end, const char *cut_short,
		       bool clean_exit, uint64_t now_ns)
{
	char text[512];

	result->ended_ns = now_ns;
	end_subtests(result, cut_short ? cut_short : end, now_ns);
	if (cut_short) {
		fail_first(result, cut_short);
	} else if (!result->done || !clean_exit) {
		snprintf(text, sizeof(text), "the test process %s before the file's end", end);
		fail_first(result, text);
	} else if (result->done_status != 0 && !result->file_failed && result->failed == 0) {
		snprintf(text, sizeof(text), "the test process %s and does not say why", end);
		fail(result, text);
	}
	if (result->dropped) {
		snprintf(text, sizeof(text),
			 "it told of %zu things more than there is room for (%d tests, %zu MiB)",
			 result->dropped, MAX_SUBTESTS, MAX_TEXT >> 20);
		fail_first(result, text);
	}
	if (!result->file_failed && result->failed == 0 && result->n_splats == 0) {
		result->verdict = result->file_todo ? FILE_TODO : FILE_PASSED;
		return;
	}
	result->verdict = FILE_FAILED;
	/* What is left to do in it is not why. */
	if (!result->file_failed) {
		free(result->message);
		result->message = NULL;
	}
}
