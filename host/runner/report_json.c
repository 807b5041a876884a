#include "host/runner/report.h"

#include <jansson.h>

#include "host/lib/error.h"

static const char *const verdicts[] = {
	[FILE_NOT_RUN] = "not run",
	[FILE_PASSED] = "passed",
	[FILE_FAILED] = "failed",
	[FILE_TODO] = "todo",
};

static const char *const outcomes[] = {
	[HARNESS_PASSED] = "passed",
	[HARNESS_FAILED] = "failed",
	[HARNESS_TODO] = "todo",
};

/* An array of what make gives for each of the items; NULL without memory. */
static json_t *list(const struct file_result *result, size_t count,
		    json_t *(*make)(const struct file_result *result, size_t i))
{
	json_t *array = json_array();

	for (size_t i = 0; array && i < count; i++) {
		if (json_array_append_new(array, make(result, i)) < 0) {
			json_decref(array);
			return NULL;
		}
	}
	return array;
}

static json_t *subtest_object(const struct file_result *result, size_t i)
{
	const struct subtest *subtest = &result->subtests[i];

	return json_pack("{s:s?, s:s, s:s?, s:f}", "name", subtest->name, "outcome",
			 outcomes[subtest->outcome], "message", subtest->message, "seconds",
			 (double)(subtest->ended_ns - subtest->started_ns) / 1e9);
}

static json_t *splat_object(const struct file_result *result, size_t i)
{
	const struct splat_report *splat = &result->splats[i];

	return json_pack("{s:I, s:s?, s:s?}", "guest", (json_int_t)splat->guest, "title",
			 splat->title, "text", splat->text);
}

static json_t *guest_object(const struct file_result *result, size_t i)
{
	const struct guest_console *guest = &result->guests[i];

	return json_pack("{s:I, s:s?, s:s?}", "number", (json_int_t)guest->number, "name",
			 guest->name, "console", guest->tail);
}

static json_t *file_object(const struct file_result *result)
{
	return json_pack("{s:s, s:s, s:s?, s:f, s:o, s:o, s:o, s:s?, s:s?}", "name", result->name,
			 "outcome", verdicts[result->verdict], "message", result->message,
			 "seconds", file_result_seconds(result), "tests",
			 list(result, result->n_subtests, subtest_object), "kernel_reports",
			 list(result, result->n_splats, splat_object), "guests",
			 list(result, result->n_guests, guest_object), "output", result->output,
			 "logs", result->log_directory);
}

int report_json(FILE *out, const struct file_result *results, size_t count, uint64_t elapsed_ns,
		struct provium_error *error)
{
	struct report_totals totals = report_total(results, count);
	json_t *files = json_array();
	json_t *root;
	int outcome = 0;

	for (size_t i = 0; i < count && outcome == 0; i++)
		outcome = json_array_append_new(files, file_object(&results[i]));
	root = json_pack("{s:f, s:{s:I, s:I, s:I, s:I}, s:{s:I, s:I, s:I}, s:o}", "seconds",
			 (double)elapsed_ns / 1e9, "files", "passed",
			 (json_int_t)totals.files_passed, "failed", (json_int_t)totals.files_failed,
			 "todo", (json_int_t)totals.files_todo, "not_run",
			 (json_int_t)totals.files_not_run, "tests", "passed",
			 (json_int_t)totals.passed, "failed", (json_int_t)totals.failed, "todo",
			 (json_int_t)totals.todo, "results", files);
	if (outcome < 0 || !root || json_dumpf(root, out, JSON_INDENT(2)) < 0)
		outcome = error_set(error, PROVIUM_HOST, 0, "JSON: it could not be written");
	else
		fputc('\n', out);
	json_decref(root);
	return outcome;
}
