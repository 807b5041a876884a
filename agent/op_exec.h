/* The command of an EXEC in flight, for those who write to it. */
#ifndef AGENT_OP_EXEC_H
#define AGENT_OP_EXEC_H

#include "agent/command.h"

/* NULL: no EXEC with this id is in flight. */
struct command *exec_find(const struct session *session, uint32_t id);

#endif
