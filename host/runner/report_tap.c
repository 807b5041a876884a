#include "host/runner/report.h"

#include <string.h>

#define SUBTEST_INDENT "    "

/* A description: on one line, and no '#' in it begins a directive. */
static void put_description(FILE *out, const char *text)
{
	for (; text && *text; text++) {
		if (*text == '#' || *text == '\\')
			fputc('\\', out);
		fputc(*text == '\n' || *text == '\t' ? ' ' : *text, out);
	}
}

/* A string of YAML, in double quotes. */
static void put_quoted(FILE *out, const char *text)
{
	fputc('"', out);
	for (; *text; text++) {
		if (*text == '\n')
			fputs("\\n", out);
		else if (*text == '\t')
			fputs("\\t", out);
		else if (*text == '"' || *text == '\\')
			fprintf(out, "\\%c", *text);
		else
			fputc(*text, out);
	}
	fputc('"', out);
}

static void put_value(FILE *out, const char *indent, const char *key, const char *text)
{
	if (!text)
		return;
	fprintf(out, "%s  %s: ", indent, key);
	put_quoted(out, text);
	fputc('\n', out);
}

static void put_line(FILE *out, const char *indent, bool good, size_t number, const char *name,
		     const char *todo)
{
	fprintf(out, "%s%s %zu - ", indent, good ? "ok" : "not ok", number);
	put_description(out, name);
	if (todo) {
		fputs(" # TODO ", out);
		put_description(out, todo);
	}
	fputc('\n', out);
}

static void put_subtest(FILE *out, const struct subtest *subtest, size_t number)
{
	bool todo = subtest->outcome == HARNESS_TODO;
	const char *message = subtest->message ? subtest->message : "";

	put_line(out, SUBTEST_INDENT, subtest->outcome == HARNESS_PASSED, number, subtest->name,
		 todo ? message : NULL);
	if (todo || !*message)
		return;
	fputs(SUBTEST_INDENT "  ---\n", out);
	put_value(out, SUBTEST_INDENT, "message", message);
	fputs(SUBTEST_INDENT "  ...\n", out);
}

/* No list in it: prove's reader takes a string with a colon in it for a map there. */
static void put_evidence(FILE *out, const struct file_result *result)
{
	char key[64];

	fputs("  ---\n", out);
	put_value(out, "", "message", result->message);
	fprintf(out, "  duration_ms: %.0f\n", file_result_seconds(result) * 1000);
	for (size_t i = 0; i < result->n_splats; i++) {
		snprintf(key, sizeof(key), "kernel_report_%zu", i + 1);
		put_value(out, "", key, result->splats[i].text);
	}
	for (size_t i = 0; i < result->n_guests; i++) {
		snprintf(key, sizeof(key), "console_%u", result->guests[i].number);
		put_value(out, "", key, result->guests[i].tail);
	}
	put_value(out, "", "output", result->output);
	put_value(out, "", "logs", result->log_directory);
	fputs("  ...\n", out);
}

void report_tap_begin(FILE *out, size_t count)
{
	fprintf(out, "TAP version 13\n1..%zu\n", count);
}

void report_tap_file(FILE *out, const struct file_result *result, size_t number)
{
	bool todo = result->verdict == FILE_TODO;

	if (result->n_subtests) {
		fputs("# Subtest: ", out);
		put_description(out, result->name);
		fprintf(out, "\n" SUBTEST_INDENT "1..%zu\n", result->n_subtests);
	}
	for (size_t i = 0; i < result->n_subtests; i++)
		put_subtest(out, &result->subtests[i], i + 1);
	put_line(out, "", result->verdict == FILE_PASSED, number, result->name,
		 todo ? result->message : NULL);
	if (result->verdict == FILE_FAILED)
		put_evidence(out, result);
}

void report_tap_bail_out(FILE *out, const char *reason)
{
	fprintf(out, "Bail out! %s\n", reason);
}
