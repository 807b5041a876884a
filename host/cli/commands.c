#include "host/cli/command.h"

#include <string.h>

const struct command *const commands[] = {
	&run_command,  &exec_command,    &push_command, &pull_command, &info_command,
	&shim_command, &version_command, &help_command, NULL,
};

const struct command *command_find(const char *name)
{
	for (size_t i = 0; commands[i]; i++) {
		if (strcmp(commands[i]->name, name) == 0)
			return commands[i];
	}
	return NULL;
}
