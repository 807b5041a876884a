#include "host/cli/commands/file.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "host/cli/report.h"
#include "host/cli/session/exit_status.h"

int file_run(const void *options, char **operands, file_act_fn act, struct provium_error *error)
{
	struct file_call call = { .options = options, .operands = operands };
	struct interrupts interrupts;
	int status;

	if (connect_agent(options, &call.connection, &interrupts, error) < 0)
		return -1;
	output_init(&call.output, &interrupts);
	status = act(&call, error);
	provium_connection_free(call.connection);
	return command_end(status, error, call.broken_pipe, &interrupts);
}

int file_print(struct file_call *call, const char *format, ...)
{
	cleanup_free char *text = NULL;
	va_list args;
	int length;

	va_start(args, format);
	length = vasprintf(&text, format, args);
	va_end(args);
	if (length < 0) {
		text = NULL;
		call->output.failure = ENOMEM;
		return -1;
	}
	return output_write(&call->output, text, (size_t)length);
}

int file_output_ended(struct file_call *call, int rc, struct provium_error *error)
{
	if (rc < 0)
		call->broken_pipe = output_failure(&call->output, error);
	return rc;
}

/* ------------------------------------------------------------------------------------------- */
/* Values */

/* Digits of the base alone, where strtoull(3) takes blanks and signs as well. *end: behind them. */
static int parse_number(const char *text, const char **end, int base, uint64_t most,
			uint64_t *number)
{
	char *stop;

	if (*text < '0' || *text > '9')
		return -1;
	errno = 0;
	*number = strtoull(text, &stop, base);
	*end = stop;
	return errno || *number > most ? -1 : 0;
}

int file_parse_mode(const char *text, unsigned int *mode, struct provium_error *error)
{
	const char *end = text;
	uint64_t number;

	if (parse_number(text, &end, 8, 07777, &number) < 0 || *end)
		return cli_fail(error, PROVIUM_INVALID,
				"'%s' is no mode: octal digits, at most 7777, as in 644", text);
	*mode = (unsigned int)number;
	return 0;
}

int file_parse_owner(const char *text, uint32_t *uid, uint32_t *gid, struct provium_error *error)
{
	uint64_t numbers[2] = { UINT32_MAX, UINT32_MAX };
	const char *end = text;

	/* The greatest number stands for "unchanged". */
	if (*text != ':' && parse_number(text, &end, 10, UINT32_MAX - 1, &numbers[0]) < 0)
		goto bad;
	if (*end == ':' && parse_number(end + 1, &end, 10, UINT32_MAX - 1, &numbers[1]) < 0)
		goto bad;
	if (*end)
		goto bad;
	*uid = (uint32_t)numbers[0];
	*gid = (uint32_t)numbers[1];
	return 0;
bad:
	return cli_fail(error, PROVIUM_INVALID,
			"'%s' is no owner: numbers, as UID, UID:GID or :GID", text);
}

int file_parse_offset(const char *text, uint64_t *offset, struct provium_error *error)
{
	const char *end = text;

	if (parse_number(text, &end, 10, INT64_MAX, offset) < 0 || *end)
		return cli_fail(error, PROVIUM_INVALID, "'%s' is no number of bytes", text);
	return 0;
}

int parse_mode(const struct option_spec *spec, char *value, void *field,
	       struct provium_error *error)
{
	struct file_mode *mode = field;

	(void)spec;
	mode->given = true;
	return file_parse_mode(value, &mode->mode, error);
}

int parse_owner(const struct option_spec *spec, char *value, void *field,
		struct provium_error *error)
{
	struct file_owner *owner = field;

	(void)spec;
	owner->given = true;
	return file_parse_owner(value, &owner->uid, &owner->gid, error);
}

int parse_offset(const struct option_spec *spec, char *value, void *field,
		 struct provium_error *error)
{
	(void)spec;
	return file_parse_offset(value, field, error);
}
