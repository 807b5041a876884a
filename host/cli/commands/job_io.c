/* provium job: output, send, resize. */
#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include "common/util.h"
#include "host/cli/commands/command.h"
#include "host/cli/commands/job.h"
#include "host/cli/report.h"

/* ------------------------------------------------------------------------------------------- */
/* output */

struct output_options {
	struct connect_options connect;
	bool follow;
	unsigned int stream;
	uint64_t offset;
};

/* parse_choice stores the index. */
static const char *const stream_choices[] = {
	[0] = "both",
	[PROVIUM_STDOUT] = "stdout",
	[PROVIUM_STDERR] = "stderr",
	NULL,
};

static const struct option_spec output_options[] = {
	CONNECT_OPTION_ROWS(struct output_options, connect),
	{ .name = "follow",
	  .letter = 'f',
	  .help = "Go on with what it writes until it ends.",
	  .parse = parse_flag,
	  .offset = offsetof(struct output_options, follow) },
	{ .name = "stream",
	  .value = "both|stdout|stderr",
	  .help = "Of its standard output, its standard error, or both (the default).",
	  .completion = COMPLETE_CHOICE,
	  .choices = stream_choices,
	  .parse = parse_choice,
	  .offset = offsetof(struct output_options, stream) },
	{ .name = "offset",
	  .value = "BYTES",
	  .help = "Leave out so many bytes from the start of each stream.",
	  .parse = parse_size,
	  .offset = offsetof(struct output_options, offset) },
	{ 0 },
};

static int output(struct provium_connection *connection, const void *parsed, char **operands,
		  struct writer *writer, struct provium_error *error)
{
	const struct output_options *given = parsed;
	const struct provium_job_ref ref = job_ref(operands[0]);
	const struct provium_job_output_options options = {
		.stream = (enum provium_stream)given->stream,
		.offset = given->offset,
		.follow = given->follow,
	};
	struct job_printer printer = {
		.writer = writer,
		.next = { given->offset, given->offset },
	};

	if (provium_job_output(connection, &ref, &options, job_print, &printer, PROVIUM_FOREVER,
			       NULL, error) < 0)
		return -1;
	job_print_end(&printer);
	return 0;
}

static int run_output(const void *parsed, char **operands, struct provium_error *error)
{
	const struct output_options *given = parsed;

	return connect_run(&given->connect, output, given, operands, error);
}

const struct command job_output_command = {
	.name = "job output",
	.summary = "Print what a job has written.",
	.operands = "JOB",
	.operands_min = 1,
	.operands_max = 1,
	.description =
		"Writes what is kept of the job's standard output and error to those of this "
		"process. Nothing is forgotten by it. " JOB_DESCRIPTION,
	.options = output_options,
	.options_size = sizeof(struct output_options),
	.run = run_output,
};

/* ------------------------------------------------------------------------------------------- */
/* send */

struct send_options {
	struct connect_options connect;
	bool eof;
	unsigned int signal;
	bool group;
};

static const struct option_spec send_options[] = {
	CONNECT_OPTION_ROWS(struct send_options, connect),
	{ .name = "eof",
	  .help = "Then end the job's standard input.",
	  .parse = parse_flag,
	  .offset = offsetof(struct send_options, eof) },
	{ .name = "signal",
	  .value = "SIGNAL",
	  .help = "Send this signal, a name or number, instead of standard input.",
	  .parse = parse_signal,
	  .offset = offsetof(struct send_options, signal) },
	{ .name = "group",
	  .help = "Send the signal to the job's process group instead of its first process.",
	  .parse = parse_flag,
	  .offset = offsetof(struct send_options, group) },
	{ 0 },
};

/* 1: standard input can be read; 0: an interrupt came instead. */
static int wait_readable(const struct writer *writer, struct provium_error *error)
{
	struct pollfd fds[] = {
		{ .fd = writer->interrupts->fd, .events = POLLIN },
		{ .fd = STDIN_FILENO, .events = POLLIN },
	};

	while (poll(fds, ARRAY_SIZE(fds), -1) < 0) {
		if (errno != EINTR && errno != EAGAIN)
			return cli_fail_errno(error, "poll");
	}
	return !fds[0].revents;
}

static int send_input(struct provium_connection *connection, const struct provium_job_ref *ref,
		      struct writer *writer, struct provium_error *error)
{
	static char buffer[KIB(64)];

	for (;;) {
		int ready = wait_readable(writer, error);
		ssize_t size;

		if (ready < 0)
			return -1;
		if (!ready) {
			writer->interrupted = true;
			return -1;
		}
		size = read(STDIN_FILENO, buffer, sizeof(buffer));
		if (size == 0)
			return 0;
		if (size < 0 && errno != EINTR && errno != EAGAIN)
			return cli_fail_errno(error, "cannot read standard input");
		if (size > 0 && provium_job_write(connection, ref, buffer, (size_t)size,
						  PROVIUM_FOREVER, error) < 0)
			return -1;
	}
}

static int send_to_job(struct provium_connection *connection, const void *parsed, char **operands,
		       struct writer *writer, struct provium_error *error)
{
	const struct send_options *given = parsed;
	const struct provium_job_ref ref = job_ref(operands[0]);

	if (given->signal)
		return provium_job_signal(connection, &ref, (int)given->signal, given->group,
					  PROVIUM_FOREVER, error);
	if (send_input(connection, &ref, writer, error) < 0)
		return -1;
	return given->eof ? provium_job_close_stdin(connection, &ref, PROVIUM_FOREVER, error) : 0;
}

static int run_send(const void *parsed, char **operands, struct provium_error *error)
{
	const struct send_options *given = parsed;

	if (given->signal ? given->eof : given->group)
		return cli_fail(error, PROVIUM_INVALID, "%s",
				given->signal ? "--eof is of standard input, which --signal leaves"
					      : "--group is of --signal, which is missing");
	return connect_run(&given->connect, send_to_job, given, operands, error);
}

const struct command job_send_command = {
	.name = "job send",
	.summary = "Send input or a signal to a job.",
	.operands = "JOB",
	.operands_min = 1,
	.operands_max = 1,
	.description =
		"Appends this process's standard input to that of a job that was started with "
		"--input, as fast as the job reads it; or sends it a signal. " JOB_DESCRIPTION,
	.options = send_options,
	.options_size = sizeof(struct send_options),
	.run = run_send,
};

/* ------------------------------------------------------------------------------------------- */
/* resize */

struct resize_options {
	struct connect_options connect;
	unsigned int rows;
	unsigned int cols;
};

static const struct option_spec resize_options[] = {
	CONNECT_OPTION_ROWS(struct resize_options, connect),
	{ 0 },
};

static int resize(struct provium_connection *connection, const void *parsed, char **operands,
		  struct writer *writer, struct provium_error *error)
{
	const struct resize_options *given = parsed;
	const struct provium_job_ref ref = job_ref(operands[0]);

	(void)writer;
	return provium_job_resize(connection, &ref, given->rows, given->cols, PROVIUM_FOREVER,
				  error);
}

static int run_resize(const void *parsed, char **operands, struct provium_error *error)
{
	struct resize_options given = *(const struct resize_options *)parsed;

	if (parse_count(NULL, operands[1], &given.rows, error) < 0)
		return cli_fail_in(error, "ROWS");
	if (parse_count(NULL, operands[2], &given.cols, error) < 0)
		return cli_fail_in(error, "COLUMNS");
	return connect_run(&given.connect, resize, &given, operands, error);
}

const struct command job_resize_command = {
	.name = "job resize",
	.summary = "Change the size of a job's terminal.",
	.operands = "JOB ROWS COLUMNS",
	.operands_min = 3,
	.operands_max = 3,
	.description = "Gives the terminal of a job that was started with --tty a new size, of "
		       "which the kernel tells the job by SIGWINCH. " JOB_DESCRIPTION,
	.options = resize_options,
	.options_size = sizeof(struct resize_options),
	.run = run_resize,
};
