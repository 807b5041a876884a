/*
 * What push and pull show on a terminal's standard error: name, share, bytes, rate, time left, and
 * a bar; of a directory, whose size nobody knows, entries and bytes so far. Elsewhere nothing.
 */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct progress {
	const char *name;
	int name_size;
	bool shown;
	uint64_t started_ns;
	uint64_t drawn_ns;
	uint64_t done;
	uint64_t total;
	/* Files, directories and links that were begun. */
	uint64_t entries;
};

/* name_size bytes of name, which must live as long. */
void progress_start(struct progress *progress, const char *name, int name_size);

/* A provium_progress_fn; user is the struct progress. */
void progress_update(void *user, uint64_t done, uint64_t total);

/* For on_entry of struct provium_copy_options. */
void progress_entry(void *user, const char *path);

/* Reports text, the line being out of its way. */
void progress_notice(struct progress *progress, const char *text);

/* Leaves the final figures behind where all of it has been copied, else erases the line. */
void progress_end(struct progress *progress, bool complete);

/* The line: pure. ended: nothing is left. Until then a bar fills it up to size - 1 bytes. */
void progress_format(const struct progress *progress, uint64_t elapsed_ns, bool ended, char *text,
		     size_t size);

#endif
