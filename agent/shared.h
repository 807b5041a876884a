/*
 * The memory that all processes of the agent share: made by the supervisor, inherited by servers
 * and workers. What it does not touch takes no memory.
 */
#ifndef AGENT_SHARED_H
#define AGENT_SHARED_H

#include "agent/command_table.h"
#include "agent/watch_page.h"
#include "agent/worker_table.h"

struct shared {
	struct watch_page watch;
	struct worker_table workers;
	struct command_table commands;
};

#endif
