#include "host/runner/report.h"

#include <inttypes.h>
#include <string.h>

/* Where the lines below a file's begin, and those below these. */
#define TEST_INDENT "  · "
#define LINE_INDENT "      "

struct report_totals report_total(const struct file_result *results, size_t count)
{
	struct report_totals totals = { .files = count };

	for (size_t i = 0; i < count; i++) {
		const struct file_result *result = &results[i];

		totals.files_passed += result->verdict == FILE_PASSED;
		totals.files_failed += result->verdict == FILE_FAILED;
		totals.files_todo += result->verdict == FILE_TODO;
		totals.files_not_run += result->verdict == FILE_NOT_RUN;
		totals.passed += result->passed;
		totals.failed += result->failed;
		totals.todo += result->todo;
	}
	return totals;
}

static const char *plural(size_t count)
{
	return count == 1 ? "" : "s";
}

/* ": TEXT", the lines behind the first below it. */
static void put_message(FILE *out, const char *message)
{
	size_t length;

	if (!message || !*message) {
		fputc('\n', out);
		return;
	}
	length = strcspn(message, "\n");
	fprintf(out, ": %.*s\n", (int)length, message);
	for (message += length; *message; message += length) {
		message++;
		length = strcspn(message, "\n");
		if (length > 0)
			fprintf(out, LINE_INDENT "%.*s\n", (int)length, message);
	}
}

static void put_block(FILE *out, const char *text)
{
	while (text && *text) {
		size_t length = strcspn(text, "\n");

		fprintf(out, LINE_INDENT "| %.*s\n", (int)length, text);
		text += length;
		text += *text == '\n';
	}
}

/* A name on one line. */
static void put_name(FILE *out, const char *name)
{
	for (; name && *name; name++)
		fputc(*name == '\n' || *name == '\t' ? ' ' : *name, out);
}

static void put_subtest(FILE *out, const struct subtest *subtest)
{
	static const char *const words[] = {
		[HARNESS_PASSED] = "ok",
		[HARNESS_FAILED] = "FAIL",
		[HARNESS_TODO] = "todo",
	};

	fputs(TEST_INDENT, out);
	put_name(out, subtest->name);
	fprintf(out, " ... %s", words[subtest->outcome]);
	put_message(out, subtest->message);
}

static void put_evidence(FILE *out, const struct file_result *result)
{
	for (size_t i = 0; i < result->n_splats; i++) {
		const struct splat_report *splat = &result->splats[i];

		fprintf(out, TEST_INDENT "the kernel of guest %u reports: ", splat->guest);
		put_name(out, splat->title);
		fputc('\n', out);
		put_block(out, splat->text);
	}
	if (result->verdict != FILE_FAILED)
		return;
	for (size_t i = 0; i < result->n_guests; i++) {
		const struct guest_console *guest = &result->guests[i];

		if (!guest->tail)
			continue;
		fprintf(out, TEST_INDENT "the console of guest %u (", guest->number);
		put_name(out, guest->name);
		fputs(") ends with\n", out);
		put_block(out, guest->tail);
	}
	if (result->output) {
		fputs(TEST_INDENT "its output ends with\n", out);
		put_block(out, result->output);
	}
	if (result->log_directory)
		fprintf(out, TEST_INDENT "logs: %s\n", result->log_directory);
}

void report_lines_file(FILE *out, const struct file_result *result)
{
	size_t tests = result->passed + result->failed + result->todo;

	put_name(out, result->name);
	fprintf(out, " ... %s (%zu test%s, ",
		result->verdict == FILE_PASSED ? "ok"
		: result->verdict == FILE_TODO ? "todo"
					       : "FAIL",
		tests, plural(tests));
	if (result->failed)
		fprintf(out, "%zu failed, ", result->failed);
	fprintf(out, "%.1fs)", file_result_seconds(result));
	put_message(out, result->message);
	for (size_t i = 0; i < result->n_subtests; i++)
		put_subtest(out, &result->subtests[i]);
	put_evidence(out, result);
}

/* ", N WORD" where there are any. */
static void put_count(FILE *out, size_t count, const char *word)
{
	if (count)
		fprintf(out, ", %zu %s", count, word);
}

void report_lines_end(FILE *out, const struct file_result *results, size_t count,
		      uint64_t elapsed_ns)
{
	struct report_totals totals = report_total(results, count);
	size_t tests = totals.passed + totals.failed + totals.todo;

	if (totals.files_failed) {
		fputs("\nFailed:\n", out);
		for (size_t i = 0; i < count; i++) {
			if (results[i].verdict != FILE_FAILED)
				continue;
			fputs("  ", out);
			put_name(out, results[i].name);
			fputc('\n', out);
		}
	}
	fprintf(out, "\n%zu file%s: %zu passed", totals.files, plural(totals.files),
		totals.files_passed);
	put_count(out, totals.files_failed, "failed");
	put_count(out, totals.files_todo, "todo");
	put_count(out, totals.files_not_run, "not run");
	fprintf(out, "; %zu test%s: %zu passed", tests, plural(tests), totals.passed);
	put_count(out, totals.failed, "failed");
	put_count(out, totals.todo, "todo");
	fprintf(out, "; %.1fs\n", (double)elapsed_ns / 1e9);
}
