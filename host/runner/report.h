/*
 * What is told of a run: lines for people and TAP as files end, JUnit's XML and JSON at the end.
 * All write results whose texts are clean.
 */
#ifndef RUNNER_REPORT_H
#define RUNNER_REPORT_H

#include <stdbool.h>
#include <stdio.h>

#include "host/runner/file_result.h"

struct report_totals {
	size_t files;
	size_t files_passed, files_failed, files_todo, files_not_run;
	/* Subtests. */
	size_t passed, failed, todo;
};

struct report_totals report_total(const struct file_result *results, size_t count);

/* A file that has ended, with its subtests and, where it failed, what is known of that. */
void report_lines_file(FILE *out, const struct file_result *result);
/* All of it: which files failed, and how many did not. */
void report_lines_end(FILE *out, const struct file_result *results, size_t count,
		      uint64_t elapsed_ns);

/*
 * TAP with a subtest for each file. Version 13 is what prove(1) and tappy understand; to them the
 * indented lines of subtests, which version 14 defines, are no tests. number: from 1.
 */
void report_tap_begin(FILE *out, size_t count);
void report_tap_file(FILE *out, const struct file_result *result, size_t number);
/* Where not all of them have run. */
void report_tap_bail_out(FILE *out, const char *reason);

/* -1 and the error; the caller closes. */
int report_junit(FILE *out, const struct file_result *results, size_t count, uint64_t elapsed_ns,
		 struct provium_error *error);
int report_json(FILE *out, const struct file_result *results, size_t count, uint64_t elapsed_ns,
		struct provium_error *error);

#endif
