/* STDIN, SIGNAL: what is sent to a command that runs. */
#include "agent/op_exec.h"
#include "agent/ops.h"
#include "agent/reply.h"
#include "agent/session.h"

/* The command that a request is for. NULL: there is none, which has been answered. */
static struct command *find_target(struct session *session, uint32_t id, const char *name,
				   const Provium__V1__Target *target)
{
	struct command *command;

	switch (target->target_case) {
	case PROVIUM__V1__TARGET__TARGET_REQUEST:
		break;
	case PROVIUM__V1__TARGET__TARGET_JOB:
	case PROVIUM__V1__TARGET__TARGET_JOB_NAME:
		reply_error(session, id, ERROR_UNSUPPORTED, NULL, 0,
			    "%s: target: jobs are not served by this agent", name);
		return NULL;
	default:
		/* The rules want one. */
		return NULL;
	}
	command = exec_find(session, target->request);
	if (!command)
		reply_error(session, id, ERROR_NOT_FOUND, NULL, 0,
			    "%s: no command with id %u is in flight", name, target->request);
	return command;
}

void op_stdin(struct session *session, uint32_t id, const Provium__V1__Message *message)
{
	const Provium__V1__Stdin *request = message->stdin_data;
	struct command *command = find_target(session, id, "STDIN", request->target);

	if (command)
		command_stdin(command, session, id, request);
}

void op_signal(struct session *session, uint32_t id, const Provium__V1__Message *message)
{
	const Provium__V1__Signal *request = message->signal;
	struct command *command = find_target(session, id, "SIGNAL", request->target);
	int error;

	if (!command)
		return;
	error = child_signal(command->child, (int)request->signal, request->group);
	if (error)
		reply_os_error(session, id, request->group ? "kill" : "pidfd_send_signal", error,
			       "SIGNAL: cannot send signal %u", request->signal);
	else
		reply_ok(session, id);
}
