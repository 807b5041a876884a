/*
 * Standard input of a running command.
 *
 * It travels as STDIN requests, each answered when the command's pipe has taken it. So many bytes
 * may be unanswered as the protocol's window allows, and so many requests as there are pieces,
 * which bounds what a caller that writes byte by byte costs on both sides.
 */
#include <errno.h>

#include "host/lib/control.h"
#include "host/lib/exec.h"
#include "proto/limits.h"

static enum request_verdict on_message(struct request *request, const Provium__V1__Message *message)
{
	return control_take_stdin(request, message,
				  container_of(request, struct stdin_piece, request)->size);
}

static int send_piece(struct provium_exec *exec, struct stdin_piece *piece, const void *data,
		      size_t size, bool eof, struct provium_error *error)
{
	Provium__V1__Target target = PROVIUM__V1__TARGET__INIT;
	Provium__V1__Stdin body = PROVIUM__V1__STDIN__INIT;
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;

	target.target_case = PROVIUM__V1__TARGET__TARGET_REQUEST;
	target.request = exec->request.id;
	control_fill_stdin(&body, &target, data, size, eof);
	message.body_case = PROVIUM__V1__MESSAGE__BODY_STDIN_DATA;
	message.stdin_data = &body;

	piece->size = size;
	piece->request = (struct request){
		.what = "standard input",
		.subject = exec->subject,
		.on_message = on_message,
		.error = &exec->stdin_error,
	};
	return request_send(exec->request.connection, &piece->request, &message, error);
}

static bool has_failed(const struct provium_exec *exec)
{
	for (size_t i = 0; i < STDIN_PIECES; i++) {
		if (exec->pieces[i].request.state == REQUEST_FAILED)
			return true;
	}
	return exec->end.request.state == REQUEST_FAILED;
}

static struct stdin_piece *free_piece(struct provium_exec *exec)
{
	for (size_t i = 0; i < STDIN_PIECES; i++) {
		if (exec->pieces[i].request.state != REQUEST_IN_FLIGHT)
			return &exec->pieces[i];
	}
	return NULL;
}

/* What of the window is left, where a piece is free as well. */
static size_t window_left(const struct provium_exec *exec)
{
	size_t unanswered = 0;
	bool has_free = false;

	for (size_t i = 0; i < STDIN_PIECES; i++) {
		if (exec->pieces[i].request.state == REQUEST_IN_FLIGHT)
			unanswered += exec->pieces[i].size;
		else
			has_free = true;
	}
	return has_free ? PROVIUM_STDIN_WINDOW - unanswered : 0;
}

size_t provium_exec_writable(const struct provium_exec *exec)
{
	if (provium_exec_done(exec) || has_failed(exec))
		return PROVIUM_STDIN_WINDOW;
	return window_left(exec);
}

static int broken_pipe(const struct provium_exec *exec, struct provium_error *error)
{
	return error_set(error, PROVIUM_GUEST, EPIPE,
			 "%s: standard input: the command has ended (EPIPE)", exec->subject);
}

/* Why no more can be written; 0 where it can. */
static int check_open(struct provium_exec *exec, struct provium_error *error)
{
	if (!exec->has_stdin || exec->stdin_closed)
		return error_set(error, PROVIUM_INVALID, 0, "%s: standard input is %s",
				 exec->subject, exec->has_stdin ? "closed already" : "no stream");
	if (exec->request.state == REQUEST_FAILED)
		return error_copy(error, &exec->error);
	if (provium_exec_done(exec))
		return broken_pipe(exec, error);
	if (!has_failed(exec))
		return 0;
	if (exec->stdin_error.code == PROVIUM_NOT_FOUND)
		return broken_pipe(exec, error);
	return error_copy(error, &exec->stdin_error);
}

static bool can_write(const void *arg)
{
	const struct provium_exec *exec = arg;

	/* Also where it cannot be written any more: then no wait would help. */
	return provium_exec_writable(exec) > 0 &&
	       connection_queued(exec->request.connection) < PROVIUM_WRITE_WINDOW;
}

int exec_write(struct provium_exec *exec, const void *data, size_t size,
	       const struct deadline *deadline, struct provium_error *error)
{
	const uint8_t *next = data;

	while (size > 0) {
		size_t length;

		if (check_open(exec, error) < 0)
			return -1;
		if (connection_wait(exec->request.connection, can_write, exec, deadline,
				    "standard input", error) < 0) {
			error_prefix(error, "%s", exec->subject);
			return -1;
		}
		if (check_open(exec, error) < 0)
			return -1;
		length = MIN(size, STDIN_PIECE);
		length = MIN(length, window_left(exec));
		if (send_piece(exec, free_piece(exec), next, length, false, error) < 0)
			return -1;
		next += length;
		size -= length;
	}
	return 0;
}

int provium_exec_write(struct provium_exec *exec, const void *data, size_t size, int timeout_ms,
		       struct provium_error *error)
{
	struct deadline deadline = deadline_after(timeout_ms);

	return exec_write(exec, data, size, &deadline, error);
}

int provium_exec_close_stdin(struct provium_exec *exec, struct provium_error *error)
{
	if (!exec->has_stdin)
		return check_open(exec, error);
	if (exec->stdin_closed || provium_exec_done(exec) || has_failed(exec)) {
		exec->stdin_closed = true;
		return 0;
	}
	if (send_piece(exec, &exec->end, NULL, 0, true, error) < 0)
		return -1;
	exec->stdin_closed = true;
	return 0;
}

void exec_forget_stdin(struct provium_exec *exec)
{
	for (size_t i = 0; i < STDIN_PIECES; i++)
		request_forget(&exec->pieces[i].request);
	request_forget(&exec->end.request);
}
