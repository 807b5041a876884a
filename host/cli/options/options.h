/*
 * The options of a command as a table. The table parses them, makes --help and the shell's
 * completion, so that none of the three can tell of an option that another does not know.
 *
 * Each row names a field of the command's own options struct, which starts out cleared, and a
 * parser (values.h) that fills the field. Strings stay in argv; lists belong to the struct.
 */
#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

#include "host/include/provium.h"

/* What a shell can offer for a value or an operand. */
enum completion {
	COMPLETE_NOTHING,
	COMPLETE_FILE,
	COMPLETE_DIRECTORY,
	/* The row's choices. */
	COMPLETE_CHOICE,
	/* The names of the commands. */
	COMPLETE_COMMAND,
};

struct option_spec;

/* Parses value, which it may write into, to field. -1 and an error that says what was expected. */
typedef int (*option_parse_fn)(const struct option_spec *spec, char *value, void *field,
			       struct provium_error *error);

struct option_spec {
	/* Without the dashes. NULL ends the table. */
	const char *name;
	/* The short form, or 0. */
	char letter;
	/* What --help calls the value. NULL: the option takes none. */
	const char *value;
	const char *help;
	enum completion completion;
	/* With parse_choice: NULL-terminated; the field gets the index. */
	const char *const *choices;
	option_parse_fn parse;
	/* Of the field in the command's options struct. */
	size_t offset;
	/* The field is a list of values.h and is released by options_finish. */
	bool list;
	/* It must be given. */
	bool required;
};

/* Every command has this one. */
extern const struct option_spec help_option;

enum options_outcome {
	OPTIONS_FAILED = -1,
	OPTIONS_PARSED,
	/* --help was given; nothing after it has been looked at. */
	OPTIONS_HELP,
};

/*
 * Parses argv[1] and on. *operand becomes the index of the first operand. stop_at_operand: what
 * follows the first operand is not looked at, since it belongs to somebody else's command;
 * otherwise operands are moved behind the options. Uses getopt_long(3) and is not reentrant.
 */
enum options_outcome options_parse(const struct option_spec *specs, bool stop_at_operand,
				   void *options, int argc, char **argv, int *operand,
				   struct provium_error *error);

/* Releases the lists. */
void options_finish(const struct option_spec *specs, void *options);

#endif
