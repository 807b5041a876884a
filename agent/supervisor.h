/* The process that keeps the listener, and the server running. */
#ifndef AGENT_SUPERVISOR_H
#define AGENT_SUPERVISOR_H

#include <stdbool.h>

#include "agent/server.h"

/*
 * Runs the server in a child and starts it again whenever it is gone, for ever; once in a process.
 * config is that of the server; the supervisor fills in life_fd, stop_fd and the restarts.
 *
 * stoppable: SIGTERM and SIGINT end both, and the server ends with the supervisor; returns 0 then.
 * Otherwise it ignores them and never returns. -1 and errno where it could not begin.
 */
int supervisor_run(struct server_config *config, bool stoppable);

#endif
