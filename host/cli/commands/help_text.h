/* What --help and `provium help` print: made from the commands' tables. */
#ifndef CLI_HELP_TEXT_H
#define CLI_HELP_TEXT_H

#include <stdio.h>

#include "host/cli/commands/command.h"

/* All commands, with their summaries. */
void help_overview(FILE *file);

/* The commands of a family. */
void help_family(FILE *file, const char *word);

/* One command: usage, description, options. */
void help_command_text(FILE *file, const struct command *command);

/* Flushes standard output, on which text was printed; fails where not all of it got out. */
int help_flush(struct provium_error *error);

#endif
