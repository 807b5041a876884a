/* provium: finds the command, parses its options, runs it, and tells the error where there is one.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/cli/commands/command.h"
#include "host/cli/commands/help_text.h"
#include "host/cli/report.h"

/*
 * A descriptor from 0 to 2 that is closed would be given to the next file or socket, and the
 * guest's output would be written into that. One that was closed for writing must still fail, so it
 * is opened for reading.
 */
static void reserve_standard_fds(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDONLY);
	} while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd > STDERR_FILENO)
		close(fd);
}

static int check_operands(const struct command *command, char **operands, int count,
			  struct provium_error *error)
{
	if (count < command->operands_min)
		return cli_fail(error, PROVIUM_INVALID, "%s is missing", command->operands);
	if (command->operands_max != OPERANDS_UNLIMITED && count > command->operands_max)
		return cli_fail(error, PROVIUM_INVALID, "'%.100s' is too many",
				operands[command->operands_max]);
	return 0;
}

static int report_usage(const struct command *command, const struct provium_error *error)
{
	char message[sizeof(error->message) + 128];

	snprintf(message, sizeof(message), "%s: %s\nTry 'provium %s --help'.", command->name,
		 error->message, command->name);
	report(message);
	/* Nobody has called it wrongly where there was no memory for the options. */
	if (!command->usage_status || error->code == PROVIUM_HOST)
		return STATUS_FAILURE;
	return command->usage_status;
}

/* argv[0] is the last word of the command's name. */
static int run(const struct command *command, int argc, char **argv)
{
	/* Some commands have no options; calloc(0) may be NULL. */
	void *options = calloc(1, command->options_size + 1);
	struct provium_error error;
	enum options_outcome outcome;
	int operand = 0;
	int status;

	if (!options) {
		cli_fail_errno(&error, "%s", command->name);
		report(error.message);
		return STATUS_FAILURE;
	}

	outcome = options_parse(command->options, command->runs_command, options, argc, argv,
				&operand, &error);
	if (outcome == OPTIONS_HELP) {
		help_command_text(stdout, command);
		status = help_flush(&error);
	} else if (outcome == OPTIONS_FAILED ||
		   check_operands(command, argv + operand, argc - operand, &error) < 0) {
		status = report_usage(command, &error);
	} else {
		status = command->run(options, argv + operand, &error);
	}
	options_finish(command->options, options);
	free(options);

	if (status < 0) {
		report(error.message);
		return STATUS_FAILURE;
	}
	return status;
}

/* A family's name alone, or with something that is none of its commands. */
static int run_family(const char *word, const char *next)
{
	char message[320];
	struct provium_error error;

	if (next && (strcmp(next, "--help") == 0 || strcmp(next, "-h") == 0)) {
		help_family(stdout, word);
		if (help_flush(&error) == 0)
			return EXIT_SUCCESS;
		report(error.message);
		return STATUS_FAILURE;
	}
	if (next)
		snprintf(message, sizeof(message),
			 "there is no command '%.64s %.100s'\nTry 'provium %.64s --help'.", word,
			 next, word);
	else
		snprintf(message, sizeof(message),
			 "%.64s: COMMAND is missing\nTry 'provium %.64s --help'.", word, word);
	report(message);
	return STATUS_FAILURE;
}

int main(int argc, char **argv)
{
	const struct command *command = NULL;
	int used = 1;

	reserve_standard_fds();
	if (argc < 2) {
		report("COMMAND is missing\nTry 'provium --help'.");
		return STATUS_FAILURE;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
		command = &help_command;
	else if (strcmp(argv[1], "--version") == 0)
		command = &version_command;
	else
		command = command_find_words(argv + 1, &used);
	if (!command && command_is_family(argv[1]))
		return run_family(argv[1], argv[2]);
	if (!command) {
		char message[256];

		snprintf(message, sizeof(message),
			 "there is no command '%.100s'\nTry 'provium --help'.", argv[1]);
		report(message);
		return STATUS_FAILURE;
	}
	return run(command, argc - used, argv + used);
}
