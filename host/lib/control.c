#include "control.h"

#include <inttypes.h>

void control_fill_stdin(Provium__V1__Stdin *body, Provium__V1__Target *target, const void *data,
			size_t size, bool eof)
{
	provium__v1__stdin__init(body);
	body->target = target;
	body->has_data = size > 0;
	body->data.data = (uint8_t *)data;
	body->data.len = size;
	body->has_eof = eof;
	body->eof = eof;
}

enum request_verdict control_take_stdin(struct request *request,
					const Provium__V1__Message *message, size_t size)
{
	if (message->body_case != PROVIUM__V1__MESSAGE__BODY_OK)
		return request_unexpected(request, message);
	if (message->ok->has_bytes && message->ok->bytes != size)
		return request_broken(request, "%" PRIu64 " bytes taken of %zu", message->ok->bytes,
				      size);
	return REQUEST_FINAL;
}

int control_signal(struct provium_connection *connection, Provium__V1__Target *target,
		   const char *subject, int signal, bool group, const struct deadline *deadline,
		   struct provium_error *error)
{
	struct request request = { .what = "signal",
				   .subject = subject,
				   .on_message = request_take_ok };
	Provium__V1__Signal body = PROVIUM__V1__SIGNAL__INIT;
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;

	if (signal < 0)
		return error_set(error, PROVIUM_INVALID, 0, "signal: there is no signal %d",
				 signal);
	body.target = target;
	body.has_signal = true;
	body.signal = (uint32_t)signal;
	body.has_group = group;
	body.group = group;
	message.body_case = PROVIUM__V1__MESSAGE__BODY_SIGNAL;
	message.signal = &body;
	return request_call(connection, &request, &message, deadline, error);
}

int control_resize(struct provium_connection *connection, Provium__V1__Target *target,
		   const char *subject, unsigned int rows, unsigned int cols,
		   const struct deadline *deadline, struct provium_error *error)
{
	struct request request = { .what = "resize",
				   .subject = subject,
				   .on_message = request_take_ok };
	Provium__V1__Resize body = PROVIUM__V1__RESIZE__INIT;
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;

	if (rows == 0 || cols == 0 || rows > TERMINAL_MAX_SIZE || cols > TERMINAL_MAX_SIZE)
		return error_set(error, PROVIUM_INVALID, 0,
				 "resize: a terminal has 1 to %d rows and columns",
				 TERMINAL_MAX_SIZE);
	body.target = target;
	body.has_rows = true;
	body.rows = rows;
	body.has_cols = true;
	body.cols = cols;
	message.body_case = PROVIUM__V1__MESSAGE__BODY_RESIZE;
	message.resize = &body;
	return request_call(connection, &request, &message, deadline, error);
}
