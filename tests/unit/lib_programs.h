/* What the tests of programs share: one agent (lib_real.h), one program, and calls to put in it. */
#ifndef TESTS_LIB_PROGRAMS_H
#define TESTS_LIB_PROGRAMS_H

#include <stdint.h>

#include "lib_real.h"

#define VALUE(number) provium_value((uint64_t)(number))
#define PAGE          4096u

extern struct provium_program *program;

void program_start(void);
void program_finish(void);

/* Runs the program, which must be possible. */
void program_run(void);
int64_t result_of(int call);

int call_open(const char *name, int flags);
int call_close(int call);

#endif
