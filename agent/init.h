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
	/* The device that the wrapper mounts for it. NULL: none. */
	const char *root;
	/* To be read: struct boot_status, of which so many bytes have come. */
	int status_fd;
	uint32_t used;
	struct boot_status status;
	/* No more will come: it was executed, or could not be. */
	bool over;
	/* Written to, it lets a wrapper go on that waits. */
	int release_fd;
	bool waiting;
	bool released;
};

/* Cleared but for the fd, which stays the caller's. NULL: no memory. */
struct init_state *init_share(int status_fd);

/* Reads what has come; waits where nothing has. */
void init_read(struct init_state *init);

/*
 * It could not be executed: status.error says why, and these what failed ("execve", "mount") and on
 * which path or device.
 */
bool init_failed(const struct init_state *init);
const char *init_operation(const struct init_state *init);
const char *init_subject(const struct init_state *init);

/* It waits for a RELEASE_INIT. */
bool init_held(const struct init_state *init);

/* Of the main server: watches init's start as long as that is not over. False: no memory. */
bool init_watch(struct loop *loop);
void init_unwatch(struct loop *loop);

#endif
