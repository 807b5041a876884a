/*
 * Which files failed when they last ran: for each an empty file, below
 * $XDG_STATE_HOME/provium/failed
 * (~/.local/state where that is not set) under its own absolute path. So runs side by side need no
 * lock, and a run of some files leaves what is known of others.
 */
#ifndef RUNNER_STATE_H
#define RUNNER_STATE_H

#include <stdbool.h>

#include "host/include/provium.h"

/* False: neither of the environment's variables says where that is. path: PATH_MAX bytes. */
bool state_directory(char *path);

bool state_has_failed(const char *directory, const char *absolute);

/* Remembers how the file ended. */
int state_remember(const char *directory, const char *absolute, bool failed,
		   struct provium_error *error);

#endif
