#include "host/cli/commands/command.h"

#include <stdio.h>
#include <string.h>

/* One a line, however many there are. */
/* clang-format off */
const struct command *const commands[] = {
	&run_command,
	&exec_command,
	&shell_command,
	&test_command,
	&push_command,
	&pull_command,
	&file_stat_command,
	&file_ls_command,
	&file_cat_command,
	&file_write_command,
	&file_mkdir_command,
	&file_rm_command,
	&file_mv_command,
	&file_ln_command,
	&file_readlink_command,
	&file_chmod_command,
	&file_chown_command,
	&file_mount_command,
	&file_umount_command,
	&file_tail_command,
	&job_start_command,
	&job_wait_command,
	&job_kill_command,
	&job_list_command,
	&job_output_command,
	&job_send_command,
	&job_resize_command,
	&worker_spawn_command,
	&worker_list_command,
	&worker_kill_command,
	&info_command,
	&shim_command,
	&version_command,
	&help_command,
	NULL,
};
/* clang-format on */

const struct command *command_find(const char *name)
{
	for (size_t i = 0; commands[i]; i++) {
		if (strcmp(commands[i]->name, name) == 0)
			return commands[i];
	}
	return NULL;
}

const struct command *command_find_words(char *const *words, int *used)
{
	char name[64];

	*used = 2;
	if (words[0] && words[1] &&
	    snprintf(name, sizeof(name), "%s %s", words[0], words[1]) < (int)sizeof(name)) {
		const struct command *command = command_find(name);

		if (command)
			return command;
	}
	*used = 1;
	return words[0] ? command_find(words[0]) : NULL;
}

bool command_in_family(const struct command *command, const char *word)
{
	size_t length = strlen(word);

	return strncmp(command->name, word, length) == 0 && command->name[length] == ' ';
}

bool command_is_family(const char *word)
{
	for (size_t i = 0; commands[i]; i++) {
		if (command_in_family(commands[i], word))
			return true;
	}
	return false;
}
