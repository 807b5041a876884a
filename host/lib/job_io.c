/* The input and output of jobs, and what is done to those that run. */
#include <inttypes.h>

#include "host/lib/control.h"
#include "host/lib/exec_message.h"
#include "host/lib/job.h"
#include "proto/limits.h"

/* ------------------------------------------------------------------------------------------- */
/* Output */

/*
 * Pieces come in order and do not overlap. A gap is what is no longer kept: only the receiver knows
 * whether that is a loss.
 */
enum request_verdict job_output_take(struct job_output *output, struct request *request,
				     const Provium__V1__Output *message)
{
	int index = output_index(request, message);
	uint64_t end;

	if (index < 0)
		return REQUEST_MORE;
	if (!output->on_output)
		return request_broken(request, "output that was not asked for");
	if (message->offset < output->next[index] ||
	    __builtin_add_overflow(message->offset, message->data.len, &end))
		return request_broken(
			request, "output at offset %" PRIu64 " where %" PRIu64 " was the least",
			message->offset, output->next[index]);
	output->next[index] = end;
	output->received[index] += message->data.len;
	if (message->data.len == 0 ||
	    output->on_output(output->user, index == 0 ? PROVIUM_STDOUT : PROVIUM_STDERR,
			      message->offset, message->data.data, message->data.len) == 0)
		return REQUEST_MORE;
	error_set(request->error, PROVIUM_CANCELLED, 0, "%s: %s: the receiver wanted no more",
		  request->subject, request->what);
	return REQUEST_GIVE_UP;
}

struct output_request {
	struct request request;
	struct job_output output;
	/* 0: both. */
	enum provium_stream stream;
};

static enum request_verdict on_piece(struct request *request, const Provium__V1__Message *message)
{
	struct output_request *reading = container_of(request, struct output_request, request);
	uint64_t received = reading->output.received[0] + reading->output.received[1];

	switch (message->body_case) {
	case PROVIUM__V1__MESSAGE__BODY_OUTPUT:
		if (reading->stream && (int)message->output->stream != (int)reading->stream)
			return request_broken(request, "output of stream %d",
					      (int)message->output->stream);
		return job_output_take(&reading->output, request, message->output);
	case PROVIUM__V1__MESSAGE__BODY_OK:
		if (!message->ok->has_bytes || message->ok->bytes != received)
			return request_broken(request,
					      "%" PRIu64 " bytes came, %" PRIu64 " were sent",
					      received, message->ok->bytes);
		return REQUEST_FINAL;
	default:
		return request_unexpected(request, message);
	}
}

int provium_job_output(struct provium_connection *connection, const struct provium_job_ref *ref,
		       const struct provium_job_output_options *options,
		       provium_job_output_fn on_output, void *user, int timeout_ms, uint64_t *bytes,
		       struct provium_error *error)
{
	static const struct provium_job_output_options defaults;
	struct deadline deadline = deadline_after(timeout_ms);
	struct output_request reading = {
		.request = { .what = "output", .on_message = on_piece },
		.output = { .on_output = on_output, .user = user },
	};
	struct job_name name;
	Provium__V1__JobOutput body = PROVIUM__V1__JOB_OUTPUT__INIT;
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;

	if (!options)
		options = &defaults;
	if (job_name_init(&name, ref, reading.request.what, error) < 0)
		return -1;
	if ((int)options->stream < 0 || options->stream > PROVIUM_STDERR)
		return error_set(error, PROVIUM_INVALID, 0, "output: there is no stream %d",
				 (int)options->stream);
	reading.request.subject = name.subject;
	reading.stream = options->stream;
	reading.output.next[0] = reading.output.next[1] = options->offset;
	body.ref = &name.ref;
	body.has_stream = options->stream != 0;
	body.stream = (Provium__V1__Stream)options->stream;
	body.has_offset = options->offset > 0;
	body.offset = options->offset;
	body.has_follow = options->follow;
	body.follow = options->follow;
	message.body_case = PROVIUM__V1__MESSAGE__BODY_JOB_OUTPUT;
	message.job_output = &body;
	if (request_call(connection, &reading.request, &message, &deadline, error) < 0)
		return -1;
	if (bytes)
		*bytes = reading.output.received[0] + reading.output.received[1];
	return 0;
}

/* ------------------------------------------------------------------------------------------- */
/* Input */

struct stdin_request {
	struct request request;
	size_t size;
};

static enum request_verdict on_stdin(struct request *request, const Provium__V1__Message *message)
{
	return control_take_stdin(request, message,
				  container_of(request, struct stdin_request, request)->size);
}

static int send_stdin(struct provium_connection *connection, struct job_name *name,
		      const void *data, size_t size, bool eof, const struct deadline *deadline,
		      struct provium_error *error)
{
	struct stdin_request writing = {
		.request = { .what = "standard input",
			     .subject = name->subject,
			     .on_message = on_stdin },
		.size = size,
	};
	Provium__V1__Stdin body;
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;

	control_fill_stdin(&body, &name->target, data, size, eof);
	message.body_case = PROVIUM__V1__MESSAGE__BODY_STDIN_DATA;
	message.stdin_data = &body;
	return request_call(connection, &writing.request, &message, deadline, error);
}

int provium_job_write(struct provium_connection *connection, const struct provium_job_ref *ref,
		      const void *data, size_t size, int timeout_ms, struct provium_error *error)
{
	struct deadline deadline = deadline_after(timeout_ms);
	const uint8_t *next = data;
	struct job_name name;

	if (job_name_init(&name, ref, "standard input", error) < 0)
		return -1;
	/* One at a time: others may write to the job too, and what each has sent is not known. */
	while (size > 0) {
		size_t length = MIN(size, (size_t)PROVIUM_CHUNK);

		if (send_stdin(connection, &name, next, length, false, &deadline, error) < 0)
			return -1;
		next += length;
		size -= length;
	}
	return 0;
}

int provium_job_close_stdin(struct provium_connection *connection,
			    const struct provium_job_ref *ref, int timeout_ms,
			    struct provium_error *error)
{
	struct deadline deadline = deadline_after(timeout_ms);
	struct job_name name;

	if (job_name_init(&name, ref, "standard input", error) < 0)
		return -1;
	return send_stdin(connection, &name, NULL, 0, true, &deadline, error);
}

/* ------------------------------------------------------------------------------------------- */
/* Signals and the terminal's size */

int provium_job_signal(struct provium_connection *connection, const struct provium_job_ref *ref,
		       int signal, bool group, int timeout_ms, struct provium_error *error)
{
	struct deadline deadline = deadline_after(timeout_ms);
	struct job_name name;

	if (job_name_init(&name, ref, "signal", error) < 0)
		return -1;
	return control_signal(connection, &name.target, name.subject, signal, group, &deadline,
			      error);
}

int provium_job_resize(struct provium_connection *connection, const struct provium_job_ref *ref,
		       unsigned int rows, unsigned int cols, int timeout_ms,
		       struct provium_error *error)
{
	struct deadline deadline = deadline_after(timeout_ms);
	struct job_name name;

	if (job_name_init(&name, ref, "resize", error) < 0)
		return -1;
	return control_resize(connection, &name.target, name.subject, rows, cols, &deadline, error);
}
