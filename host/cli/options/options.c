#include "host/cli/options/options.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/util.h"
#include "host/cli/report.h"

/* getopt_long returns this plus the row's index for a long option: above every letter. */
#define LONG_BASE 256

const struct option_spec help_option = {
	.name = "help",
	.letter = 'h',
	.help = "Print this help.",
};

/* What getopt_long wants to have of the table. */
struct getopt_tables {
	struct option *long_options;
	/* '+' or nothing, ':', and a letter and perhaps a colon per row and for help; NUL. */
	char *letters;
	/* By row: whether the option was given. */
	bool *given;
};

static void getopt_tables_finish(struct getopt_tables *tables)
{
	free(tables->long_options);
	free(tables->letters);
	free(tables->given);
}

static int getopt_tables_init(struct getopt_tables *tables, const struct option_spec *specs,
			      size_t count, bool stop_at_operand)
{
	char *next;

	tables->long_options = calloc(count + 2, sizeof(*tables->long_options));
	tables->letters = calloc(count + 2, 2);
	tables->given = calloc(count + 1, sizeof(*tables->given));
	if (!tables->long_options || !tables->letters || !tables->given)
		return -1;

	next = tables->letters;
	if (stop_at_operand)
		*next++ = '+';
	/* A missing value is told apart from an unknown option. */
	*next++ = ':';
	for (size_t i = 0; i <= count; i++) {
		const struct option_spec *spec = i < count ? &specs[i] : &help_option;

		tables->long_options[i] = (struct option){
			.name = spec->name,
			.has_arg = spec->value ? required_argument : no_argument,
			.val = LONG_BASE + (int)i,
		};
		if (!spec->letter)
			continue;
		*next++ = spec->letter;
		if (spec->value)
			*next++ = ':';
	}
	return 0;
}

static size_t specs_count(const struct option_spec *specs)
{
	size_t count = 0;

	while (specs[count].name)
		count++;
	return count;
}

/* The row that getopt_long's answer stands for; count is help's. */
static size_t spec_index(const struct option_spec *specs, size_t count, int answer)
{
	if (answer >= LONG_BASE)
		return (size_t)(answer - LONG_BASE);
	for (size_t i = 0; i < count; i++) {
		if (specs[i].letter == answer)
			return i;
	}
	return count;
}

/*
 * getopt_long knows only that something was wrong with an option: its letter is in optopt, or the
 * word before optind is the long option.
 */
static int fail_option(char **argv, int answer, struct provium_error *error)
{
	const char *word = argv[optind - 1];

	if (answer == ':')
		return cli_fail(error, PROVIUM_INVALID, "option '%s' needs a value", word);
	if (optopt >= LONG_BASE)
		return cli_fail(error, PROVIUM_INVALID, "option '%s' takes no value", word);
	if (optopt)
		return cli_fail(error, PROVIUM_INVALID, "there is no option '-%c'", optopt);
	return cli_fail(error, PROVIUM_INVALID, "there is no option '%s', or several begin so",
			word);
}

enum options_outcome options_parse(const struct option_spec *specs, bool stop_at_operand,
				   void *options, int argc, char **argv, int *operand,
				   struct provium_error *error)
{
	cleanup(getopt_tables_finish) struct getopt_tables tables = { 0 };
	size_t count = specs_count(specs);
	int answer;

	if (getopt_tables_init(&tables, specs, count, stop_at_operand) < 0)
		return cli_fail_errno(error, "options");

	/* 0 and not 1: getopt forgets where it was in an earlier argv (getopt(3), "Notes"). */
	optind = 0;
	opterr = 0;
	while ((answer = getopt_long(argc, argv, tables.letters, tables.long_options, NULL)) !=
	       -1) {
		const struct option_spec *spec;
		size_t i;

		if (answer == '?' || answer == ':')
			return fail_option(argv, answer, error);
		i = spec_index(specs, count, answer);
		if (i == count)
			return OPTIONS_HELP;
		spec = &specs[i];
		if (spec->parse(spec, optarg, (char *)options + spec->offset, error) < 0)
			return cli_fail_in(error, "--%s", spec->name);
		tables.given[i] = true;
	}
	for (size_t i = 0; i < count; i++) {
		if (specs[i].required && !tables.given[i])
			return cli_fail(error, PROVIUM_INVALID, "--%s %s is missing", specs[i].name,
					specs[i].value);
	}
	*operand = optind;
	return OPTIONS_PARSED;
}

void options_finish(const struct option_spec *specs, void *options)
{
	for (const struct option_spec *spec = specs; spec->name; spec++) {
		void *items;

		if (!spec->list)
			continue;
		/* Every list of values.h begins with the pointer to its items. */
		memcpy(&items, (char *)options + spec->offset, sizeof(items));
		free(items);
		memset((char *)options + spec->offset, 0, sizeof(items));
	}
}
