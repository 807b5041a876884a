/*
 * The real init, as the agent knows it: what the wrapper tells of its start over a pipe, and
 * whether it is held back until a RELEASE_INIT. In memory that all processes of the agent share, so
 * that each server, and each worker, knows it.
 */
#ifndef AGENT_INIT_H
#define AGENT_INIT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/boot.h"

struct loop;

/* The fds have the same numbers in the supervisor and in every server. */
struct init_state {
	/* Of the program; NULL: the wrapper is init. */
	const char *path;
	/* To be read: struct boot_status, of which so many bytes have come. */
	int status_fd;
	uint32_t used;
	struct boot_status status;
	/* No more will come: it was executed, or could not be. */
	bool over;
	/* Written to, it lets the wrapper go on; -1: that has not been asked to wait. */
	int release_fd;
	bool released;
};

/* Takes nothing over. NULL: no memory. */
struct init_state *init_share(const char *path, int status_fd, int release_fd);

/* Reads what has come; waits where nothing has. */
void init_read(struct init_state *init);

/* It could not be executed: status.error says why. */
bool init_failed(const struct init_state *init);

/* It waits for a RELEASE_INIT. */
bool init_held(const struct init_state *init);

/* Of the main server: watches init's start as long as that is not over. False: no memory. */
bool init_watch(struct loop *loop);
void init_unwatch(struct loop *loop);

#endif
