/* What a command in the guest can be given, whichever of the commands starts it. */
#ifndef CLI_COMMAND_OPTIONS_H
#define CLI_COMMAND_OPTIONS_H

#include <stdbool.h>

#include "host/cli/options/options.h"
#include "host/cli/options/values.h"

/* Whose it is: of a worker too. */
struct credential_options {
	struct user user;
	struct id_list groups;
};

struct command_options {
	struct string_list env;
	bool clear_env;
	const char *cwd;
	struct credential_options credentials;
	int nice;
	struct rlimit_list rlimits;
	unsigned int kill_scope;
	/* With rows of their own. */
	uint64_t output_limit;
	bool merge_stderr;
	bool tty;
};

extern const char *const kill_scope_choices[];

/* What to do where --tty has no terminal. */
#define TTY_ADVICE "leave --tty out, or start provium on a terminal"

/* clang-format off */
/* The rows of tables; field: a struct credential_options in the command's options struct. */
#define CREDENTIAL_OPTION_ROWS(type, field)                                                       \
	{ .name = "user", .value = "UID[:GID]",                                                   \
	  .help = "Run it as this user, and without supplementary groups (default: root).",       \
	  .parse = parse_user, .offset = offsetof(type, field.user) },                            \
	{ .name = "groups", .value = "GID[,GID...]",                                              \
	  .help = "Its supplementary groups. May be repeated.",                                   \
	  .parse = parse_groups, .offset = offsetof(type, field.groups), .list = true }

/* The same, with a struct command_options. */
#define COMMAND_OPTION_ROWS(type, field)                                                          \
	{ .name = "env", .value = "NAME=VALUE",                                                   \
	  .help = "Set an environment variable of the command. May be repeated.",                 \
	  .parse = parse_environment, .offset = offsetof(type, field.env), .list = true },        \
	{ .name = "clear-env",                                                                    \
	  .help = "Start from an empty environment, instead of the agent's.",                     \
	  .parse = parse_flag, .offset = offsetof(type, field.clear_env) },                       \
	{ .name = "cwd", .value = "DIR",                                                          \
	  .help = "Run the command in this directory of the guest (default: /).",                 \
	  .parse = parse_string, .offset = offsetof(type, field.cwd) },                           \
	CREDENTIAL_OPTION_ROWS(type, field.credentials),                                          \
	{ .name = "nice", .value = "N",                                                           \
	  .help = "Add N, -20 to 19, to its niceness.",                                           \
	  .parse = parse_nice, .offset = offsetof(type, field.nice) },                            \
	{ .name = "rlimit", .value = "NAME=SOFT[:HARD]",                                          \
	  .help = "Limit a resource, such as nofile=64 or as=1G:unlimited. May be repeated.",     \
	  .parse = parse_rlimit, .offset = offsetof(type, field.rlimits), .list = true },         \
	{ .name = "kill-scope", .value = "tree|cgroup",                                           \
	  .help = "What is killed with it when it is cut short: its process tree (the default), " \
		  "or all that is in a cgroup of its own, which the guest can see.",              \
	  .completion = COMPLETE_CHOICE, .choices = kill_scope_choices, .parse = parse_choice,    \
	  .offset = offsetof(type, field.kill_scope) }

#define OUTPUT_LIMIT_OPTION_ROW(type, field)                                                      \
	{ .name = "output-limit", .value = "SIZE",                                                \
	  .help = "Take so much of its standard output and of its standard error, in bytes or "   \
		  "with K, M or G behind it, and leave out the rest.",                            \
	  .parse = parse_size, .offset = offsetof(type, field.output_limit) }

#define MERGE_STDERR_OPTION_ROW(type, field)                                                      \
	{ .name = "merge-stderr",                                                                 \
	  .help = "Send its standard error where its standard output goes, in true order.",       \
	  .parse = parse_flag, .offset = offsetof(type, field.merge_stderr) }

#define TTY_OPTION_ROW(type, field)                                                               \
	{ .name = "tty", .letter = 't',                                                           \
	  .help = "Run it on a terminal of the guest, which this terminal shows; its keys all "   \
		  "go to the guest, but for Enter ~ . which ends the session.",                   \
	  .parse = parse_flag, .offset = offsetof(type, field.tty) }
/* clang-format on */

/* The options of a command line, all but the terminal; the lists stay given's. */
struct provium_exec_options command_options_exec(const struct command_options *given,
						 const char *const *argv);

#endif
