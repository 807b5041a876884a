/* A command from start to end, with its output in memory. */
#include <errno.h>
#include <string.h>

#include "common/cleanup.h"
#include "host/lib/buffer.h"
#include "host/lib/exec.h"
#include "proto/limits.h"

#define DEFAULT_LIMIT MIB(16)

struct capture {
	/* Indexed by stream; streams that nobody wants have none. */
	struct buffer *streams[PROVIUM_STDERR + 1];
};

static void on_output(void *user, enum provium_stream stream, const void *data, size_t size)
{
	const struct capture *capture = user;

	if (capture->streams[stream])
		buffer_append(capture->streams[stream], data, size);
}

/* Input that is too much for one message is streamed. A command need not read all of it. */
static int feed(struct provium_exec *exec, const struct provium_exec_options *options,
		const struct deadline *deadline, struct provium_error *error)
{
	struct provium_error failure;

	if (exec_write(exec, options->input, options->input_size, deadline, &failure) == 0)
		return provium_exec_close_stdin(exec, error);
	if (provium_exec_done(exec) || failure.code == PROVIUM_GUEST)
		return 0;
	return error_copy(error, &failure);
}

static int run(struct provium_connection *connection, const struct provium_exec_options *options,
	       const struct deadline *deadline, struct provium_exec_result *result,
	       struct provium_error *error)
{
	struct provium_exec_options start = *options;
	bool streamed = options->input_size > PROVIUM_CHUNK;
	struct provium_exec *exec;
	int rc = 0;

	if (options->stdin_kind != PROVIUM_STDIN_DEFAULT)
		return error_set(error, PROVIUM_INVALID, 0,
				 "exec: a command that is run to its end has nobody to stream its "
				 "standard input");
	if (streamed) {
		start.stdin_kind = PROVIUM_STDIN_STREAM;
		start.input_size = 0;
	}
	if (provium_exec_start(connection, &start, &exec, error) < 0)
		return -1;
	if (streamed)
		rc = feed(exec, options, deadline, error);
	if (rc == 0)
		rc = exec_wait(exec, deadline, result, error);
	provium_exec_free(exec);
	return rc;
}

static int hand_over(struct buffer *from, struct provium_buffer *to, bool *truncated,
		     struct provium_error *error)
{
	if (from->failed)
		return error_set(error, PROVIUM_HOST, ENOMEM, "the command's output");
	*truncated |= from->overflown;
	return buffer_take(from, to, error);
}

int provium_exec_run(struct provium_connection *connection,
		     const struct provium_exec_options *options, size_t limit, int timeout_ms,
		     struct provium_exec_result *result, struct provium_buffer *out,
		     struct provium_buffer *err, struct provium_error *error)
{
	struct deadline deadline = deadline_after(timeout_ms);
	size_t most = limit ? limit : DEFAULT_LIMIT;
	cleanup(buffer_finish) struct buffer first = { .limit = most };
	cleanup(buffer_finish) struct buffer second = { .limit = most };
	struct capture capture = {
		.streams = {
			[PROVIUM_STDOUT] = out ? &first : NULL,
			[PROVIUM_STDERR] = err ? &second : NULL,
		},
	};
	struct provium_exec_options start = *options;
	struct provium_exec_result end = { 0 };

	if (out)
		*out = (struct provium_buffer){ 0 };
	if (err)
		*err = (struct provium_buffer){ 0 };
	start.on_output = on_output;
	start.user = &capture;
	start.output_limit = most;
	if (run(connection, &start, &deadline, &end, error) < 0)
		return -1;
	if (out && hand_over(&first, out, &end.stdout_truncated, error) < 0)
		return -1;
	if (err && hand_over(&second, err, &end.stderr_truncated, error) < 0) {
		if (out) {
			free(out->data);
			*out = (struct provium_buffer){ 0 };
		}
		return -1;
	}
	if (result)
		*result = end;
	return 0;
}
