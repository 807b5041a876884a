/* A program on a thread of its own, so that the loop goes on while its calls block. */
#ifndef AGENT_BACKGROUND_H
#define AGENT_BACKGROUND_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/op_syscall.h"

struct session;

/*
 * Takes over the message that is being handled, and the ready, whose program is mapped. CANCEL
 * interrupts its calls; its reply says which were made. Answers itself where it cannot be started.
 */
void background_start(struct session *session, uint32_t id, const Provium__V1__Message *message,
		      struct call_request *ready);

#endif
