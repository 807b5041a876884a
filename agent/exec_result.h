/* How a command has ended, as messages tell it. Pure: no I/O. */
#ifndef AGENT_EXEC_RESULT_H
#define AGENT_EXEC_RESULT_H

#include "agent/child.h"
#include "proto/codec.h"

/* Initialises both; the result points to the usage. */
void exec_result_fill(Provium__V1__ExecResult *result, Provium__V1__Rusage *usage,
		      const struct child_result *from);

#endif
