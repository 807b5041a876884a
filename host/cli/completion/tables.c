/*
 * Run by the build: prints the tables that provium.bash reads, and that file behind them. Names and
 * choices are of this program's own, without a quote, and are printed as they are.
 */
#include <stdio.h>
#include <stdlib.h>

#include "host/cli/commands/command.h"

static const char *const no_choices[] = { NULL };

static void print_kind(enum completion completion, const char *const *choices)
{
	switch (completion) {
	case COMPLETE_NOTHING:
		printf("nothing");
		break;
	case COMPLETE_FILE:
		printf("file");
		break;
	case COMPLETE_DIRECTORY:
		printf("directory");
		break;
	case COMPLETE_CHOICE:
		printf("words");
		for (size_t i = 0; choices[i]; i++)
			printf(" %s", choices[i]);
		break;
	case COMPLETE_COMMAND:
		printf("command");
		break;
	}
}

static void print_value(const struct command *command, const struct option_spec *spec)
{
	if (!spec->value)
		return;
	printf("_provium_values['%s:--%s']='", command->name, spec->name);
	print_kind(spec->completion, spec->choices);
	puts("'");
	if (spec->letter)
		printf("_provium_values['%s:-%c']=${_provium_values['%s:--%s']}\n", command->name,
		       spec->letter, command->name, spec->name);
}

static void print_command(const struct command *command)
{
	printf("_provium_options['%s']='", command->name);
	for (const struct option_spec *spec = command->options; spec->name; spec++)
		printf("--%s ", spec->name);
	printf("--%s'\n_provium_operands['%s']='", help_option.name, command->name);
	if (command->runs_command)
		printf("guest");
	else
		print_kind(command->operand_completion, no_choices);
	puts("'");
	for (const struct option_spec *spec = command->options; spec->name; spec++)
		print_value(command, spec);
}

int main(int argc, char **argv)
{
	char buffer[4096];
	FILE *script;
	size_t size;

	if (argc != 2 || !(script = fopen(argv[1], "r"))) {
		fprintf(stderr, "usage: completion-tables SCRIPT\n");
		return EXIT_FAILURE;
	}
	puts("# bash completion for provium(1); made by the build.\n"
	     "declare -gA _provium_options _provium_values _provium_operands");
	for (size_t i = 0; commands[i]; i++)
		print_command(commands[i]);
	while ((size = fread(buffer, 1, sizeof(buffer), script)) > 0)
		fwrite(buffer, 1, size, stdout);
	if (ferror(script) || fclose(script) != 0 || fflush(stdout) != 0)
		return EXIT_FAILURE;
	return EXIT_SUCCESS;
}
