/*
 * What a test file tells the runner that has started it, and asks it for. The runner's side is in
 * host/runner/child.c; nothing here fails for good where the runner is gone, since this process
 * ends with it.
 */
#ifndef LUA_HARNESS_H
#define LUA_HARNESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host/include/provium.h"

enum harness_outcome {
	HARNESS_PASSED,
	HARNESS_FAILED,
	HARNESS_TODO,
};

/* Of one fixture, which is a snapshot; the text without a NUL. */
#define HARNESS_MAX_FDS  PROVIUM_SNAPSHOT_MAX_FDS
#define HARNESS_MAX_TEXT PROVIUM_SNAPSHOT_MAX_TEXT

struct harness {
	void *user;
	/* Where logs of this file go (console files); NULL: nowhere in particular. */
	const char *log_directory;
	enum provium_accel accel;
	void (*subtest_started)(void *user, const char *name);
	/*
	 * message: why it failed ("file.lua:12: expected 1, got 2" and a traceback), or todo's
	 * reason; may be NULL.
	 */
	void (*subtest_ended)(void *user, const char *name, enum harness_outcome outcome,
			      const char *message);
	/* The file as a whole failed outside of a subtest (message as above), or is a todo. */
	void (*file_ended)(void *user, enum harness_outcome outcome, const char *message);
	/* Before a guest is booted or resumed: waits until the pool has room. */
	int (*acquire)(void *user, uint64_t memory, unsigned int cpus, struct provium_error *error);
	void (*release)(void *user, uint64_t memory, unsigned int cpus);
	/* A guest: its number in this file, the profile or fixture, its console's file. */
	void (*guest_started)(void *user, unsigned int number, const char *name,
			      const char *console);
	void (*guest_ended)(void *user, unsigned int number);
	/* A report of the guest's kernel that no test expected; fails the file. */
	void (*splat)(void *user, unsigned int guest, const char *title, const char *text);
	/*
	 * Asks for fixture NAME: waits while another process builds it. *build: this process is to
	 * build it and must call fixture_built. Else *text (free(3)) and fds (n_fds of at most
	 * HARNESS_MAX_FDS, the caller's) describe the snapshot.
	 */
	int (*fixture)(void *user, const char *path, bool *build, char **text, int *fds,
		       size_t *n_fds, struct provium_error *error);
	/*
	 * text NULL: building failed, failure says why; everybody who waits gets that. The fds stay
	 * the caller's.
	 */
	void (*fixture_built)(void *user, const char *path, const char *text, const int *fds,
			      size_t n_fds, const char *failure);
};

#endif
