/*
 * The library against the real agent, without a VM: "server PATH" is its server over a socketpair,
 * "program PATH" the static binary over its Unix socket. What it does happens on this machine, so
 * that pids and files can be looked at directly.
 */
#ifndef TESTS_LIB_REAL_H
#define TESTS_LIB_REAL_H

#include <check.h>
#include <sys/types.h>

#include "host/include/provium.h"

/* For anything that should take no time. */
#define SOON 20000

/* Set from main's arguments: false, they are wrong. */
bool real_arguments(int argc, char **argv);
/* Whether it is the program, which is told to end by a signal, and has a supervisor. */
bool real_is_program(void);

/* Fixtures: one agent, one connection, one directory with room for two files. */
void real_start(void);
void real_finish(void);

extern pid_t agent_pid;
extern struct provium_connection *connection;
extern struct provium_error error;
extern char directory[128];
extern char path[160];
extern char other_path[160];

#define check_ok(call)                                                \
	do {                                                          \
		if ((call) < 0)                                       \
			ck_abort_msg("%s: %s", #call, error.message); \
	} while (0)

void check_error(enum provium_code code, const char *text);

#endif
