/* provium file cat, write, tail: what is in files. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/util.h"
#include "host/cli/commands/command.h"
#include "host/cli/commands/file.h"
#include "host/cli/report.h"

static int to_output(void *user, const void *data, size_t size)
{
	struct file_call *call = user;

	return output_write(&call->output, data, size);
}

/* ------------------------------------------------------------------------------------------- */
/* cat */

struct cat_options {
	struct connect_options connect;
	uint64_t offset;
	uint64_t length;
};

static const struct option_spec cat_specs[] = {
	CONNECT_OPTION_ROWS(struct cat_options, connect),
	{ .name = "offset",
	  .value = "BYTES",
	  .help = "Begin there.",
	  .parse = parse_offset,
	  .offset = offsetof(struct cat_options, offset) },
	{ .name = "length",
	  .value = "SIZE",
	  .help = "Print so many bytes at most; K, M, G or T may stand behind the number.",
	  .parse = parse_size,
	  .offset = offsetof(struct cat_options, length) },
	{ 0 },
};

static int cat_act(struct file_call *call, struct provium_error *error)
{
	const struct cat_options *given = call->options;
	const struct provium_read_options options = {
		.offset = given->offset,
		.length = given->length,
	};
	int rc = 0;

	for (char **path = call->operands; *path && rc == 0; path++)
		rc = provium_read_file(call->connection, *path, &options, to_output, call,
				       PROVIUM_FOREVER, NULL, error);
	return file_output_ended(call, rc, error);
}

static int cat_run(const void *parsed, char **operands, struct provium_error *error)
{
	return file_run(parsed, operands, cat_act, error);
}

const struct command file_cat_command = {
	.name = "file cat",
	.summary = "Print files of a guest.",
	.operands = "PATH...",
	.operands_min = 1,
	.operands_max = OPERANDS_UNLIMITED,
	.description =
		"Writes the content of each file PATH of the guest to standard output. Files "
		"of /proc and /sys, devices and FIFOs can be read, too.",
	.options = cat_specs,
	.options_size = sizeof(struct cat_options),
	.run = cat_run,
};

/* ------------------------------------------------------------------------------------------- */
/* write */

struct write_options {
	struct connect_options connect;
	bool append;
	bool atomic;
	bool exclusive;
	bool no_create;
	bool sync;
	struct file_mode mode;
	struct file_owner owner;
};

static const struct option_spec write_specs[] = {
	CONNECT_OPTION_ROWS(struct write_options, connect),
	{ .name = "append",
	  .letter = 'a',
	  .help = "Write at the end of what is there.",
	  .parse = parse_flag,
	  .offset = offsetof(struct write_options, append) },
	{ .name = "atomic",
	  .help = "Write a file beside it and rename that when it is complete and on disk.",
	  .parse = parse_flag,
	  .offset = offsetof(struct write_options, atomic) },
	{ .name = "exclusive",
	  .help = "Fail where it is there.",
	  .parse = parse_flag,
	  .offset = offsetof(struct write_options, exclusive) },
	{ .name = "no-create",
	  .help = "Fail where it is not there.",
	  .parse = parse_flag,
	  .offset = offsetof(struct write_options, no_create) },
	{ .name = "sync",
	  .help = "End only when it is on disk.",
	  .parse = parse_flag,
	  .offset = offsetof(struct write_options, sync) },
	{ .name = "mode",
	  .letter = 'm',
	  .value = "MODE",
	  .help = "Permission bits, in octal, of a file that is made (default: 644).",
	  .parse = parse_mode,
	  .offset = offsetof(struct write_options, mode) },
	{ .name = "owner",
	  .value = "UID[:GID]",
	  .help = "Give the file to this owner.",
	  .parse = parse_owner,
	  .offset = offsetof(struct write_options, owner) },
	{ 0 },
};

/*
 * A provium_source_fn. Standard input may never come: an interrupt is noticed meanwhile, and what
 * becomes of the connection, which then is what the next piece fails with.
 */
static ptrdiff_t from_input(void *user, void *data, size_t size)
{
	struct file_call *call = user;
	struct pollfd fds[] = {
		{ .fd = call->output.interrupts->fd, .events = POLLIN },
		{ .fd = provium_connection_fd(call->connection), .events = POLLIN },
		{ .fd = STDIN_FILENO, .events = POLLIN },
	};

	for (;;) {
		short events = provium_connection_wants_write(call->connection) ? POLLOUT : 0;
		ssize_t count;

		fds[1].events = (short)(POLLIN | events);
		if (poll(fds, ARRAY_SIZE(fds), -1) < 0) {
			if (errno == EINTR || errno == EAGAIN)
				continue;
			return -errno;
		}
		if (fds[0].revents) {
			call->output.interrupted = true;
			return -EINTR;
		}
		if (fds[1].revents && provium_connection_dispatch(call->connection, 0, NULL) < 0)
			return 0;
		if (!fds[2].revents)
			continue;
		count = read(STDIN_FILENO, data, size);
		if (count >= 0)
			return count;
		if (errno != EINTR && errno != EAGAIN)
			return -errno;
	}
}

static int write_act(struct file_call *call, struct provium_error *error)
{
	const struct write_options *given = call->options;
	const struct provium_write_options options = {
		.mode = given->mode.mode,
		.has_mode = given->mode.given,
		.has_uid = given->owner.given && given->owner.uid != UINT32_MAX,
		.has_gid = given->owner.given && given->owner.gid != UINT32_MAX,
		.uid = given->owner.uid,
		.gid = given->owner.gid,
		.no_create = given->no_create,
		.exclusive = given->exclusive,
		.append = given->append,
		.atomic = given->atomic,
		.sync = given->sync,
	};
	int rc = provium_write_file(call->connection, call->operands[0], &options, from_input, call,
				    PROVIUM_FOREVER, NULL, error);

	return file_output_ended(call, rc, error);
}

static int write_run(const void *parsed, char **operands, struct provium_error *error)
{
	return file_run(parsed, operands, write_act, error);
}

const struct command file_write_command = {
	.name = "file write",
	.summary = "Write standard input to a file of a guest.",
	.operands = "PATH",
	.operands_min = 1,
	.operands_max = 1,
	.description =
		"Makes the file PATH of the guest of what standard input holds, as it comes, "
		"or cuts off what is there and writes it anew.",
	.options = write_specs,
	.options_size = sizeof(struct write_options),
	.run = write_run,
};

/* ------------------------------------------------------------------------------------------- */
/* tail */

/* Where to begin. */
struct start {
	enum provium_tail_start from;
	uint64_t offset;
};

struct tail_options {
	struct connect_options connect;
	struct start start;
};

static int parse_start(const struct option_spec *spec, char *value, void *field,
		       struct provium_error *error)
{
	struct start *start = field;

	(void)spec;
	*start = (struct start){ .from = PROVIUM_TAIL_OFFSET };
	if (strcmp(value, "start") == 0)
		start->from = PROVIUM_TAIL_BEGINNING;
	else if (strcmp(value, "end") == 0)
		start->from = PROVIUM_TAIL_END;
	else
		return file_parse_offset(value, &start->offset, error);
	return 0;
}

static const struct option_spec tail_specs[] = {
	CONNECT_OPTION_ROWS(struct tail_options, connect),
	{ .name = "from",
	  .value = "start|end|BYTES",
	  .help = "Begin with what the file has already, or with what comes after so many bytes "
		  "(default: end).",
	  .parse = parse_start,
	  .offset = offsetof(struct tail_options, start) },
	{ 0 },
};

static int on_tail(void *user, enum provium_tail_event event, uint64_t offset, const void *data,
		   size_t size)
{
	struct file_call *call = user;
	char notice[512];

	(void)offset;
	if (event == PROVIUM_TAIL_DATA)
		return to_output(user, data, size);
	snprintf(notice, sizeof(notice), "%.400s: %s", call->operands[0],
		 event == PROVIUM_TAIL_TRUNCATED ? "has become shorter" : "is another file now");
	report(notice);
	return 0;
}

static int tail_act(struct file_call *call, struct provium_error *error)
{
	const struct tail_options *given = call->options;
	const struct provium_tail_options options = {
		.start = given->start.from,
		.offset = given->start.offset,
	};
	int rc = provium_tail(call->connection, call->operands[0], &options, on_tail, call,
			      PROVIUM_FOREVER, error);

	/* The call ends well where the output wants no more. */
	if (call->output.failure || call->output.interrupted)
		rc = -1;
	return file_output_ended(call, rc, error);
}

static int tail_run(const void *parsed, char **operands, struct provium_error *error)
{
	return file_run(parsed, operands, tail_act, error);
}

const struct command file_tail_command = {
	.name = "file tail",
	.summary = "Follow a file of a guest as it grows.",
	.operands = "PATH",
	.operands_min = 1,
	.operands_max = 1,
	.description =
		"Writes what the file PATH of the guest gets from now on to standard output, "
		"until it is interrupted. That the file has become shorter, or that PATH is "
		"another file now, is told on standard error.",
	.options = tail_specs,
	.options_size = sizeof(struct tail_options),
	.run = tail_run,
};
