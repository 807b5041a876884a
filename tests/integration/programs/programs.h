/*
 * What the tests of programs in a guest share. They all run in one VM: a boot costs more than what
 * they do. Each has a connection of its own and leaves the agent as it was: no fd open, nothing
 * mapped.
 */
#ifndef TESTS_PROGRAMS_H
#define TESTS_PROGRAMS_H

#include <check.h>
#include <stdint.h>

#include "host/include/provium.h"

#define TIMEOUT       60000
#define VALUE(number) provium_value((uint64_t)(number))
#define OK(call)      ck_assert_msg((call) == 0, "%s: %s", #call, error.message)

extern struct provium_connection *connection;
extern struct provium_program *program;
extern struct provium_error error;

/* One more connection to the guest, in the place of the one that is there. */
void reconnect(void);

void run_program(void);
int64_t result_of(int call);

/* An empty one in the place of the program. */
void new_program(void);

struct provium_info get_info(void);

/* Adds calls to the program. */
int call_open(const char *path, int flags);
int call_close(int call);
int call_close_at(int fds, uint32_t offset);

/* A job in the guest, which has written a line when this returns. Its pid. */
int start_job(const char *const *argv);

/* Runs a shell command in the guest, and wants its output. */
void expect_output(const char *shell, const char *wanted);

/* The parts. */
void add_courses(TCase *tcase);
void add_calls(TCase *tcase);
void add_deadlines(TCase *tcase);
void add_ends(TCase *tcase);

#endif
