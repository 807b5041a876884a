/* What SYSCALL and IOCTL have in common, wherever their calls are made. */
#ifndef AGENT_OP_SYSCALL_H
#define AGENT_OP_SYSCALL_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/program.h"

struct session;

struct call_request {
	/* "SYSCALL". */
	const char *name;
	struct program program;
	/* What an IOCTL's message is made into, and the columns of that. */
	Provium__V1__Syscall ioctl;
	struct {
		uint64_t args[3];
		uint32_t number;
		uint32_t count;
		uint32_t argument;
		uint32_t index;
		Provium__V1__ReferenceKind kind;
	} columns;
};

/* Moves it; what it points to in itself moves along. */
void call_move(struct call_request *to, const struct call_request *from);

/* Answers for what has been made; program_run has returned this. */
void call_reply(struct session *session, uint32_t id, struct call_request *call, bool ran);

#endif
