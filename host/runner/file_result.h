/*
 * What became of one test file: filled while it runs, judged when its process has ended, then read
 * by the reports. All texts in it are clean (text.h).
 */
#ifndef RUNNER_FILE_RESULT_H
#define RUNNER_FILE_RESULT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host/lua/harness.h"

enum file_verdict {
	/* Not started, or stopped before its end by --fail-fast or a signal. */
	FILE_NOT_RUN,
	FILE_PASSED,
	FILE_FAILED,
	/* The file as a whole is yet to be written. */
	FILE_TODO,
};

struct subtest {
	char *name;
	enum harness_outcome outcome;
	/* NULL: none. */
	char *message;
	uint64_t started_ns;
	uint64_t ended_ns;
	/* Still running; so it failed where the file has ended. */
	bool running;
};

struct splat_report {
	unsigned int guest;
	char *title;
	char *text;
};

struct guest_console {
	unsigned int number;
	char *name;
	/* Its file, as the test process names it; NULL: none. */
	char *path;
	/* Set at the end, of a file that failed: the last lines, or NULL. */
	char *tail;
	bool running;
};

struct file_result {
	/* As reports name it. */
	char *name;
	enum file_verdict verdict;
	uint64_t started_ns;
	uint64_t ended_ns;
	struct subtest *subtests;
	size_t n_subtests;
	/* Of those that are kept, and of those that there were no more room for. */
	size_t passed, failed, todo;
	struct splat_report *splats;
	size_t n_splats;
	struct guest_console *guests;
	size_t n_guests;
	/* Why the file as a whole failed, or its todo; NULL: it did not. */
	char *message;
	/* The last lines of its output, where it failed; NULL: none. */
	char *output;
	/* NULL: it has none any more. */
	char *log_directory;
	/* The process has told of its own end, and how. */
	bool done;
	int done_status;
	bool file_failed;
	bool file_todo;
	/* Bytes of texts so far: what a test tells is limited. */
	size_t text_size;
	size_t dropped;
};

int file_result_init(struct file_result *result, const char *name, struct provium_error *error);

/* Back to how init has left it. */
void file_result_clear(struct file_result *result);
void file_result_finish(struct file_result *result);

void file_result_subtest_started(struct file_result *result, const char *name, uint64_t now_ns);
void file_result_subtest_ended(struct file_result *result, const char *name,
			       enum harness_outcome outcome, const char *message, uint64_t now_ns);
/* Of the file as a whole. The first failure stays. */
void file_result_ended(struct file_result *result, enum harness_outcome outcome,
		       const char *message);
void file_result_splat(struct file_result *result, unsigned int guest, const char *title,
		       const char *text);
void file_result_guest_started(struct file_result *result, unsigned int number, const char *name,
			       const char *console);
void file_result_guest_ended(struct file_result *result, unsigned int number);

/*
 * The process has ended: judges. end: how, in words; cut_short: why it was ended by us, or NULL;
 * clean_exit: with the status that it has told of itself.
 */
void file_result_judge(struct file_result *result, const char *end, const char *cut_short,
		       bool clean_exit, uint64_t now_ns);

/* The subtest that runs now, the innermost; NULL: none. */
const struct subtest *file_result_running(const struct file_result *result);

static inline double file_result_seconds(const struct file_result *result)
{
	return (double)(result->ended_ns - result->started_ns) / 1e9;
}

#endif
