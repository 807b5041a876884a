/*
 * A command of `provium`: one file each, which exports one of these. Everything that is told of a
 * command (--help, the shell's completion) comes from here.
 */
#ifndef CLI_COMMAND_H
#define CLI_COMMAND_H

#include <stdbool.h>
#include <stddef.h>

#include "host/cli/options/options.h"

/* For operands_max. */
#define OPERANDS_UNLIMITED (-1)

struct command {
	/* A word, or two: those with the same first word are a family. */
	const char *name;
	/* One line. */
	const char *summary;
	/* What stands behind the options in the usage line: "SOURCE... TARGET". "": nothing. */
	const char *operands;
	int operands_min;
	int operands_max;
	enum completion operand_completion;
	/* Options end at the first operand, which begins a command line of its own. */
	bool runs_command;
	/* For --help: one paragraph, which is wrapped. */
	const char *description;
	const struct option_spec *options;
	/* Of the options struct, which is cleared before it is filled. */
	size_t options_size;
	/* The exit status where options or operands are wrong. 0: STATUS_FAILURE. */
	int usage_status;
	/* Returns the exit status, or -1 and the error for main() to tell. operands ends in NULL.
	 */
	int (*run)(const void *options, char **operands, struct provium_error *error);
};

/* Ends in NULL. In the order of the help. */
extern const struct command *const commands[];

/* NULL where there is none of that name. */
const struct command *command_find(const char *name);

/*
 * The command whose name the first words of a NULL-terminated list are, and how many these are;
 * NULL where there is none.
 */
const struct command *command_find_words(char *const *words, int *used);

/* Whether the command's name begins with this word and has another. */
bool command_in_family(const struct command *command, const char *word);

/* Whether there are such commands. */
bool command_is_family(const char *word);

extern const struct command run_command;
extern const struct command exec_command;
extern const struct command shell_command;
extern const struct command push_command;
extern const struct command pull_command;
extern const struct command file_stat_command;
extern const struct command file_ls_command;
extern const struct command file_cat_command;
extern const struct command file_write_command;
extern const struct command file_mkdir_command;
extern const struct command file_rm_command;
extern const struct command file_mv_command;
extern const struct command file_ln_command;
extern const struct command file_readlink_command;
extern const struct command file_chmod_command;
extern const struct command file_chown_command;
extern const struct command file_mount_command;
extern const struct command file_umount_command;
extern const struct command file_tail_command;
extern const struct command job_start_command;
extern const struct command job_wait_command;
extern const struct command job_kill_command;
extern const struct command job_list_command;
extern const struct command job_output_command;
extern const struct command job_send_command;
extern const struct command job_resize_command;
extern const struct command worker_spawn_command;
extern const struct command worker_list_command;
extern const struct command worker_kill_command;
extern const struct command test_command;
extern const struct command info_command;
extern const struct command shim_command;
extern const struct command version_command;
extern const struct command help_command;

#endif
