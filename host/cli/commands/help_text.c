#include "host/cli/commands/help_text.h"

#include <string.h>

#include "host/cli/report.h"

/* Options' and commands' texts begin in this column and end before that one. */
#define TEXT_COLUMN 26
#define LAST_COLUMN 80

/* Prints text from the given column on, which is where the cursor is, wrapped at blanks. */
static void print_wrapped(FILE *file, const char *text, int column)
{
	int at = column;

	while (*text) {
		int length = (int)strcspn(text, " ");

		if (at > column && at + 1 + length > LAST_COLUMN) {
			fprintf(file, "\n%*s", column, "");
			at = column;
		} else if (at > column) {
			fputc(' ', file);
			at++;
		}
		fprintf(file, "%.*s", length, text);
		at += length;
		text += length;
		text += strspn(text, " ");
	}
	fputc('\n', file);
}

/* Prints head and then text beside it, or below where head is too long. */
static void print_row(FILE *file, const char *head, const char *text)
{
	int length = fprintf(file, "%s", head);

	if (length + 2 > TEXT_COLUMN)
		fprintf(file, "\n%*s", TEXT_COLUMN, "");
	else
		fprintf(file, "%*s", TEXT_COLUMN - length, "");
	print_wrapped(file, text, TEXT_COLUMN);
}

static void print_option(FILE *file, const struct option_spec *spec)
{
	char letter[] = "    ";
	char head[128];

	if (spec->letter)
		snprintf(letter, sizeof(letter), "-%c, ", spec->letter);
	snprintf(head, sizeof(head), "  %s--%s%s%s", letter, spec->name, spec->value ? " " : "",
		 spec->value ? spec->value : "");
	print_row(file, head, spec->help);
}

/* family NULL: all commands. */
static void print_commands(FILE *file, const char *family)
{
	fputs("\nCommands:\n", file);
	for (size_t i = 0; commands[i]; i++) {
		char head[64];

		if (family && !command_in_family(commands[i], family))
			continue;
		snprintf(head, sizeof(head), "  %s", commands[i]->name);
		print_row(file, head, commands[i]->summary);
	}
	fprintf(file, "\n'provium help %s%sCOMMAND' tells more of one. See also provium%s%s(1).\n",
		family ? family : "", family ? " " : "", family ? "-" : "", family ? family : "");
}

void help_overview(FILE *file)
{
	fputs("Usage: provium COMMAND [OPTION]... [ARG]...\n"
	      "\n"
	      "Boots a Linux kernel in a virtual machine and runs commands in it.\n",
	      file);
	print_commands(file, NULL);
}

void help_family(FILE *file, const char *word)
{
	fprintf(file, "Usage: provium %s COMMAND [OPTION]... [ARG]...\n", word);
	print_commands(file, word);
}

void help_command_text(FILE *file, const struct command *command)
{
	fprintf(file, "Usage: provium %s%s%s%s%s\n\n", command->name,
		command->options->name ? " [OPTION]..." : "", command->runs_command ? " [--]" : "",
		*command->operands ? " " : "", command->operands);
	print_wrapped(file, command->description, 0);
	fputs("\nOptions:\n", file);
	for (const struct option_spec *spec = command->options; spec->name; spec++)
		print_option(file, spec);
	print_option(file, &help_option);
}

int help_flush(struct provium_error *error)
{
	if (fflush(stdout) != 0 || ferror(stdout))
		return cli_fail_errno(error, "cannot write standard output");
	return 0;
}
