/* SYSCALL and IOCTL: programs of system calls. */
#include "agent/op_syscall.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>

#include "agent/background.h"
#include "agent/connection.h"
#include "agent/kmsg.h"
#include "agent/ops.h"
#include "agent/reply.h"
#include "agent/session.h"
#include "common/util.h"

/* Milliseconds that CALL_STARTEDs of a program may wait, in all, for a host that does not read. */
#define TRACE_WAIT_MS  1000

/*
 * Nanoseconds between a CALL_STARTED and its call. Until Linux 6.11 a kernel thread hands what is
 * sent to the device (net/vmw_vsock/virtio_transport.c, virtio_transport_send_pkt_work), and after
 * a panic it never would: so there must be a moment in which it can run.
 */
#define TRACE_PAUSE_NS 100000

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

void call_reply(struct session *session, uint32_t id, struct call_request *call, bool ran)
{
	struct program *program = &call->program;

	if (ran)
		reply_program(session, id, program);
	else
		reply_error(session, id, ERROR_UNSUPPORTED, NULL, 0, "%s: call %u: %s%s",
			    call->name, program->refused_call, program->refused,
			    program->made > 0 ? "; those before it have been made" : "");
}

/* The host knows by this which call it was that ended the machine. */
struct trace {
	struct program_trace trace;
	struct session *session;
	uint32_t id;
	int wait_ms;
};

static void tell_call(struct program_trace *base, uint32_t number)
{
	struct trace *trace = container_of(base, struct trace, trace);
	const struct timespec pause = { .tv_nsec = TRACE_PAUSE_NS };
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__CallStarted started = PROVIUM__V1__CALL_STARTED__INIT;

	started.call = number;
	message.body_case = PROVIUM__V1__MESSAGE__BODY_CALL_STARTED;
	message.call_started = &started;
	reply_send(trace->session, trace->id, &message);
	trace->wait_ms = connection_push(trace->session->connection, trace->wait_ms);
	nanosleep(&pause, NULL);
}

struct watch_kernel {
	struct program_watch watch;
	struct loop *loop;
};

static size_t look(struct program_watch *base, uint64_t numbers[PROGRAM_MAX_EVENTS])
{
	struct watch_kernel *watch = container_of(base, struct watch_kernel, watch);

	return kmsg_look(watch->loop, numbers, PROGRAM_MAX_EVENTS);
}

static void run_inline(struct session *session, uint32_t id, struct call_request *call, bool traced)
{
	struct trace trace = {
		.trace = { tell_call },
		.session = session,
		.id = id,
		.wait_ms = TRACE_WAIT_MS,
	};
	struct watch_kernel watch = { .watch = { look }, .loop = session->loop };
	bool ran;

	if (traced)
		call->program.trace = &trace.trace;
	if (session->loop->kmsg)
		call->program.watch = &watch.watch;
	ran = program_run(&call->program, &session->loop->deadlines, id);
	call_reply(session, id, call, ran);
	program_finish(&call->program);
}

static void run(struct session *session, uint32_t id, const Provium__V1__Message *message,
		struct call_request *call, const Provium__V1__Syscall *request)
{
	struct check_failure failure;

	if (request->background && request->trace) {
		reply_error(session, id, ERROR_UNSUPPORTED, NULL, 0,
			    "%s: trace: of a program in the background nothing is sent before its "
			    "end",
			    call->name);
		return;
	}
	if (!program_check(request, &failure)) {
		reply_error(session, id, failure.code, NULL, 0, "%s: %s", call->name, failure.text);
		return;
	}
	if (!program_map(&call->program, request)) {
		reply_os_error(session, id, call->program.failed, errno, "%s: buffers", call->name);
		program_finish(&call->program);
	} else if (request->background) {
		background_start(session, id, message, call);
	} else {
		run_inline(session, id, call, request->trace);
	}
}

void op_syscall(struct session *session, uint32_t id, const Provium__V1__Message *message)
{
	struct call_request call = { .name = "SYSCALL" };

	run(session, id, message, &call, message->syscall);
}

static void point_to_columns(struct call_request *call)
{
	Provium__V1__Syscall *request = &call->ioctl;

	request->numbers = &call->columns.number;
	request->arg_counts = &call->columns.count;
	request->args = call->columns.args;
	request->reference_args = &call->columns.argument;
	request->reference_kinds = &call->columns.kind;
	request->reference_indexes = &call->columns.index;
}

void call_move(struct call_request *to, const struct call_request *from)
{
	*to = *from;
	if (from->program.request != &from->ioctl)
		return;
	point_to_columns(to);
	to->program.request = &to->ioctl;
}

/* The address of the first buffer, or a number. */
void op_ioctl(struct session *session, uint32_t id, const Provium__V1__Message *message)
{
	const Provium__V1__Ioctl *ioctl = message->ioctl;
	struct call_request call = {
		.name = "IOCTL",
		.ioctl = PROVIUM__V1__SYSCALL__INIT,
		.columns = {
			.args = { (uint64_t)ioctl->fd, ioctl->command, ioctl->arg },
			.number = SYS_ioctl,
			.count = 3,
			.argument = 2,
			.kind = PROVIUM__V1__REFERENCE_KIND__REFERENCE_BUFFER,
		},
	};

	call.ioctl.buffers = ioctl->buffers;
	call.ioctl.n_buffers = ioctl->n_buffers;
	call.ioctl.n_numbers = call.ioctl.n_arg_counts = 1;
	call.ioctl.n_args = ARRAY_SIZE(call.columns.args);
	call.ioctl.n_reference_args = call.ioctl.n_reference_kinds =
		call.ioctl.n_reference_indexes = ioctl->n_buffers > 0;
	call.ioctl.has_deadline_ms = ioctl->has_deadline_ms;
	call.ioctl.deadline_ms = ioctl->deadline_ms;
	call.ioctl.background = ioctl->background;
	point_to_columns(&call);
	run(session, id, message, &call, &call.ioctl);
}
