/* SYSCALL and IOCTL: programs of system calls. */
#include <errno.h>
#include <sys/syscall.h>

#include "agent/ops.h"
#include "agent/program.h"
#include "agent/reply.h"
#include "agent/session.h"
#include "common/util.h"

static void reply_program(struct session *session, uint32_t id, struct program *program)
{
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__SyscallResult result;

	if (!program_result(program, &result)) {
		reply_error(session, id, ERROR_LIMIT, NULL, 0,
			    "the calls were made; no memory for their result");
		return;
	}
	message.body_case = PROVIUM__V1__MESSAGE__BODY_SYSCALL_RESULT;
	message.syscall_result = &result;
	reply_send(session, id, &message);
}

static void run(struct session *session, uint32_t id, const char *name,
		const Provium__V1__Syscall *request)
{
	struct check_failure failure;
	struct program program;

	if (!program_check(request, &failure)) {
		reply_error(session, id, failure.code, NULL, 0, "%s: %s", name, failure.text);
		return;
	}
	if (!program_map(&program, request))
		reply_os_error(session, id, program.failed, errno, "%s: buffers", name);
	else if (!program_run(&program, &session->loop->deadlines, id))
		reply_error(session, id, ERROR_UNSUPPORTED, NULL, 0, "%s: call %u: %s%s", name,
			    program.refused_call, program.refused,
			    program.made > 0 ? "; those before it have been made" : "");
	else
		reply_program(session, id, &program);
	program_finish(&program);
}

void op_syscall(struct session *session, uint32_t id, const Provium__V1__Message *message)
{
	run(session, id, "SYSCALL", message->syscall);
}

/* The address of the first buffer, or a number. */
void op_ioctl(struct session *session, uint32_t id, const Provium__V1__Message *message)
{
	const Provium__V1__Ioctl *ioctl = message->ioctl;
	Provium__V1__Syscall request = PROVIUM__V1__SYSCALL__INIT;
	uint64_t args[] = { (uint64_t)ioctl->fd, ioctl->command, ioctl->arg };
	uint32_t number = SYS_ioctl, count = ARRAY_SIZE(args);
	Provium__V1__ReferenceKind kind = PROVIUM__V1__REFERENCE_KIND__REFERENCE_BUFFER;
	uint32_t argument = 2, first = 0;

	request.buffers = ioctl->buffers;
	request.n_buffers = ioctl->n_buffers;
	request.numbers = &number;
	request.arg_counts = &count;
	request.n_numbers = request.n_arg_counts = 1;
	request.args = args;
	request.n_args = ARRAY_SIZE(args);
	request.reference_args = &argument;
	request.reference_kinds = &kind;
	request.reference_indexes = &first;
	request.n_reference_args = request.n_reference_kinds = request.n_reference_indexes =
		ioctl->n_buffers > 0;
	request.has_deadline_ms = ioctl->has_deadline_ms;
	request.deadline_ms = ioctl->deadline_ms;
	run(session, id, "IOCTL", &request);
}
