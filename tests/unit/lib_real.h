/*
 * The library against the real agent, without a VM: "server PATH" is its server over a socketpair,
 * "program PATH" the static binary over its Unix socket. What it does happens on this machine, so
 * that pids and files can be looked at directly.
 *
 * What is written for both and for guests (tests/integration/workers) keeps to what is marked so.
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

/* For guests, too: a case with these fixtures. */
TCase *real_case(const char *name);
/* For guests, too: another connection in the place of `connection`, whose server has died. */
void real_connect_again(void);
/* For guests, too: whether the agent is root; the test is told as skipped where it is not. */
bool real_is_root(void);
/* For guests, too: every user may make files in the directory. */
void real_open_directory(void);

extern pid_t agent_pid;
/* For guests, too, where they are paths of the guest's. */
extern char directory[128];
extern char path[160];
extern struct provium_connection *connection;
extern struct provium_error error;
extern char other_path[160];

#define check_ok(call)                                                \
	do {                                                          \
		if ((call) < 0)                                       \
			ck_abort_msg("%s: %s", #call, error.message); \
	} while (0)

void check_error(enum provium_code code, const char *text);

#endif
