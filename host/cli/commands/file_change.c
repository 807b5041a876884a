/* provium file: the commands that change what is there, a request for each. */
#include <linux/fs.h>

#include "host/cli/commands/command.h"
#include "host/cli/commands/file.h"

/* ------------------------------------------------------------------------------------------- */
/* mkdir */

struct mkdir_options {
	struct connect_options connect;
	bool parents;
	struct file_mode mode;
};

static const struct option_spec mkdir_specs[] = {
	CONNECT_OPTION_ROWS(struct mkdir_options, connect),
	{ .name = "parents",
	  .letter = 'p',
	  .help = "Make those above too, and let it be there already.",
	  .parse = parse_flag,
	  .offset = offsetof(struct mkdir_options, parents) },
	{ .name = "mode",
	  .letter = 'm',
	  .value = "MODE",
	  .help = "Its permission bits, in octal (default: 755).",
	  .parse = parse_mode,
	  .offset = offsetof(struct mkdir_options, mode) },
	{ 0 },
};

static int mkdir_act(struct file_call *call, struct provium_error *error)
{
	const struct mkdir_options *given = call->options;
	unsigned int mode = given->mode.given ? given->mode.mode : 0755;
	int status = 0;

	for (char **path = call->operands; *path && status == 0; path++)
		status = provium_mkdir(call->connection, *path, mode, given->parents,
				       PROVIUM_FOREVER, error);
	return status;
}

static int mkdir_run(const void *parsed, char **operands, struct provium_error *error)
{
	return file_run(parsed, operands, mkdir_act, error);
}

const struct command file_mkdir_command = {
	.name = "file mkdir",
	.summary = "Make directories in a guest.",
	.operands = "PATH...",
	.operands_min = 1,
	.operands_max = OPERANDS_UNLIMITED,
	.description = "Makes each directory PATH of the guest.",
	.options = mkdir_specs,
	.options_size = sizeof(struct mkdir_options),
	.run = mkdir_run,
};

/* ------------------------------------------------------------------------------------------- */
/* rm */

struct rm_options {
	struct connect_options connect;
	bool recursive;
	bool force;
};

static const struct option_spec rm_specs[] = {
	CONNECT_OPTION_ROWS(struct rm_options, connect),
	{ .name = "recursive",
	  .letter = 'r',
	  .help = "With all below; symbolic links are removed and not followed.",
	  .parse = parse_flag,
	  .offset = offsetof(struct rm_options, recursive) },
	{ .name = "force",
	  .letter = 'f',
	  .help = "That it is not there is no failure.",
	  .parse = parse_flag,
	  .offset = offsetof(struct rm_options, force) },
	{ 0 },
};

static int rm_act(struct file_call *call, struct provium_error *error)
{
	const struct rm_options *given = call->options;
	int status = 0;

	for (char **path = call->operands; *path && status == 0; path++)
		status = provium_remove(call->connection, *path, given->recursive, given->force,
					PROVIUM_FOREVER, error);
	return status;
}

static int rm_run(const void *parsed, char **operands, struct provium_error *error)
{
	return file_run(parsed, operands, rm_act, error);
}

const struct command file_rm_command = {
	.name = "file rm",
	.summary = "Remove files and directories in a guest.",
	.operands = "PATH...",
	.operands_min = 1,
	.operands_max = OPERANDS_UNLIMITED,
	.description = "Removes each file or empty directory PATH of the guest.",
	.options = rm_specs,
	.options_size = sizeof(struct rm_options),
	.run = rm_run,
};

/* ------------------------------------------------------------------------------------------- */
/* mv */

struct mv_options {
	struct connect_options connect;
	bool no_replace;
	bool exchange;
};

static const struct option_spec mv_specs[] = {
	CONNECT_OPTION_ROWS(struct mv_options, connect),
	{ .name = "no-replace",
	  .letter = 'n',
	  .help = "Fail where NEW is there.",
	  .parse = parse_flag,
	  .offset = offsetof(struct mv_options, no_replace) },
	{ .name = "exchange",
	  .help = "Exchange the two.",
	  .parse = parse_flag,
	  .offset = offsetof(struct mv_options, exchange) },
	{ 0 },
};

static int mv_act(struct file_call *call, struct provium_error *error)
{
	const struct mv_options *given = call->options;
	uint32_t flags = (given->no_replace ? RENAME_NOREPLACE : 0) |
			 (given->exchange ? RENAME_EXCHANGE : 0);

	return provium_rename(call->connection, call->operands[0], call->operands[1], flags,
			      PROVIUM_FOREVER, error);
}

static int mv_run(const void *parsed, char **operands, struct provium_error *error)
{
	return file_run(parsed, operands, mv_act, error);
}

const struct command file_mv_command = {
	.name = "file mv",
	.summary = "Rename a file or directory in a guest.",
	.operands = "OLD NEW",
	.operands_min = 2,
	.operands_max = 2,
	.description = "Renames OLD to NEW, both paths of the guest on the same file system, as "
		       "renameat2(2) does: NEW is the new name, never a directory to move into.",
	.options = mv_specs,
	.options_size = sizeof(struct mv_options),
	.run = mv_run,
};

/* ------------------------------------------------------------------------------------------- */
/* ln */

struct ln_options {
	struct connect_options connect;
};

static const struct option_spec ln_specs[] = {
	CONNECT_OPTION_ROWS(struct ln_options, connect),
	{ 0 },
};

static int ln_act(struct file_call *call, struct provium_error *error)
{
	return provium_symlink(call->connection, call->operands[0], call->operands[1],
			       PROVIUM_FOREVER, error);
}

static int ln_run(const void *parsed, char **operands, struct provium_error *error)
{
	return file_run(parsed, operands, ln_act, error);
}

const struct command file_ln_command = {
	.name = "file ln",
	.summary = "Make a symbolic link in a guest.",
	.operands = "TARGET PATH",
	.operands_min = 2,
	.operands_max = 2,
	.description = "Makes PATH of the guest a symbolic link that says TARGET.",
	.options = ln_specs,
	.options_size = sizeof(struct ln_options),
	.run = ln_run,
};

/* ------------------------------------------------------------------------------------------- */
/* chmod, chown */

struct chmod_options {
	struct connect_options connect;
};

static const struct option_spec chmod_specs[] = {
	CONNECT_OPTION_ROWS(struct chmod_options, connect),
	{ 0 },
};

static int chmod_act(struct file_call *call, struct provium_error *error)
{
	unsigned int mode;
	int status = file_parse_mode(call->operands[0], &mode, error);

	for (char **path = call->operands + 1; *path && status == 0; path++)
		status = provium_chmod(call->connection, *path, mode, PROVIUM_FOREVER, error);
	return status;
}

static int chmod_run(const void *parsed, char **operands, struct provium_error *error)
{
	return file_run(parsed, operands, chmod_act, error);
}

const struct command file_chmod_command = {
	.name = "file chmod",
	.summary = "Set permission bits in a guest.",
	.operands = "MODE PATH...",
	.operands_min = 2,
	.operands_max = OPERANDS_UNLIMITED,
	.description = "Sets the permission bits of each PATH of the guest to MODE, in octal. "
		       "Symbolic links are followed.",
	.options = chmod_specs,
	.options_size = sizeof(struct chmod_options),
	.run = chmod_run,
};

struct chown_options {
	struct connect_options connect;
	bool no_follow;
};

static const struct option_spec chown_specs[] = {
	CONNECT_OPTION_ROWS(struct chown_options, connect),
	{ .name = "no-follow",
	  .help = "Change symbolic links themselves.",
	  .parse = parse_flag,
	  .offset = offsetof(struct chown_options, no_follow) },
	{ 0 },
};

static int chown_act(struct file_call *call, struct provium_error *error)
{
	const struct chown_options *given = call->options;
	uint32_t uid;
	uint32_t gid;
	int status = file_parse_owner(call->operands[0], &uid, &gid, error);

	for (char **path = call->operands + 1; *path && status == 0; path++)
		status = provium_chown(call->connection, *path, uid, gid, !given->no_follow,
				       PROVIUM_FOREVER, error);
	return status;
}

static int chown_run(const void *parsed, char **operands, struct provium_error *error)
{
	return file_run(parsed, operands, chown_act, error);
}

const struct command file_chown_command = {
	.name = "file chown",
	.summary = "Set the owner of files in a guest.",
	.operands = "OWNER PATH...",
	.operands_min = 2,
	.operands_max = OPERANDS_UNLIMITED,
	.description = "Gives each PATH of the guest to OWNER: UID, UID:GID or :GID, as numbers.",
	.options = chown_specs,
	.options_size = sizeof(struct chown_options),
	.run = chown_run,
};
