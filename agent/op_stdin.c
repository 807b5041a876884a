/* STDIN, RESIZE, SIGNAL: what is sent to a command that runs, of an EXEC or a job. */
#include <errno.h>

#include "agent/job.h"
#include "agent/op_exec.h"
#include "agent/ops.h"
#include "agent/reply.h"
#include "agent/session.h"

static struct command *find_exec(struct session *session, uint32_t id, const char *name,
				 uint32_t request)
{
	struct command *command = exec_find(session, request);

	if (!command)
		reply_error(session, id, ERROR_NOT_FOUND, NULL, 0,
			    "%s: no command with id %u is in flight", name, request);
	return command;
}

/* The command that a request is for. NULL: there is none, which has been answered. */
static struct command *find_target(struct session *session, uint32_t id, const char *name,
				   const Provium__V1__Target *target)
{
	struct job *job;

	/* The rules want one of the three. */
	if (target->target_case == PROVIUM__V1__TARGET__TARGET_REQUEST)
		return find_exec(session, id, name, target->request);
	if (target->target_case == PROVIUM__V1__TARGET__TARGET_JOB)
		job = job_find(session, id, name, target->job, NULL);
	else
		job = job_find(session, id, name, 0, &target->job_name);
	if (!job)
		return NULL;
	if (!job_runs(job)) {
		reply_error(session, id, ERROR_NOT_FOUND, NULL, 0, "%s: job %llu has ended", name,
			    (unsigned long long)job->number);
		return NULL;
	}
	return &job->command;
}

void op_stdin(struct session *session, uint32_t id, const Provium__V1__Message *message)
{
	const Provium__V1__Stdin *request = message->stdin_data;
	struct command *command = find_target(session, id, "STDIN", request->target);

	if (command)
		command_stdin(command, session, id, request);
}

void op_resize(struct session *session, uint32_t id, const Provium__V1__Message *message)
{
	const Provium__V1__Resize *request = message->resize;
	struct command *command = find_target(session, id, "RESIZE", request->target);
	int error;

	if (!command)
		return;
	error = child_resize(command->child, request->rows, request->cols);
	if (error == ENOTTY)
		reply_error(session, id, ERROR_INVALID, NULL, 0,
			    "RESIZE: the command has no terminal");
	else if (error)
		reply_os_error(session, id, "ioctl", error, "RESIZE");
	else
		reply_ok(session, id);
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
