/* What the agent and its guest have in use, as the guest's /proc tells it. */
#ifndef TESTS_CHAOS_LOOK_H
#define TESTS_CHAOS_LOOK_H

#include <stddef.h>

#include "host/include/provium.h"

/* Milliseconds for anything that a guest which is alive does in no time. */
#define SOON 60000

#define check_ok(call)                                                \
	do {                                                          \
		if ((call) < 0)                                       \
			ck_abort_msg("%s: %s", #call, error.message); \
	} while (0)

struct look {
	int server;
	int supervisor;
	/* KiB. */
	unsigned long server_rss;
	unsigned long supervisor_rss;
	unsigned long slab;
	unsigned long slab_unreclaimable;
	unsigned long supervisor_fds;
	/* Of the server, without its connections. */
	unsigned long server_fds;
	/* Of user space, zombies too. */
	unsigned long processes;
	unsigned long connections;
	unsigned long commands;
	unsigned long jobs;
	unsigned long workers;
	unsigned long restarts;
};

/* Asks on a connection to the main agent; fails the test where that does not answer. */
void look(struct provium_connection *connection, struct look *seen);

/* In one line. */
void look_describe(const struct look *seen, char *text, size_t size);

/* Runs a shell command, which must succeed; its output, a line's end cut off, to be freed. */
char *look_shell(struct provium_connection *connection, const char *shell);

#endif
