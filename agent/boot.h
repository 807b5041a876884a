/* The agent's start in a guest that is ours: begun by the wrapper, beside the real init. */
#ifndef AGENT_BOOT_H
#define AGENT_BOOT_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/guest_fds.h"
#include "agent/server.h"

struct boot_options {
	/* The real init, which the wrapper executes; NULL: the wrapper is init. */
	const char *init;
	/* The device that the wrapper mounts for it, when our modules are loaded; NULL: none. */
	const char *root;
	/* The wrapper waits for RELEASE_INIT before that. */
	bool hold;
	uint32_t port;
};

/*
 * Takes the wrapper's two pipes, opens what is needed of the first root, sends the log to the
 * kernel's, and lets the real init start. Returns -1 where the pipes are not there.
 */
int boot_begin(struct guest_fds *fds);

/*
 * Loads the shim's modules, listens, and learns how the real init's start went, unless it is held
 * back; config, cleared by the caller, is filled in and borrows from options and fds. Waits for at
 * most some seconds.
 * Returns -1 where the guest cannot be reached, which has been told then.
 */
int boot_finish(const struct boot_options *options, const struct guest_fds *fds,
		struct server_config *config);

#endif
