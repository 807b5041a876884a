#include "host/cli/options/command_options.h"

const char *const kill_scope_choices[] = {
	[PROVIUM_KILL_TREE] = "tree",
	[PROVIUM_KILL_CGROUP] = "cgroup",
	NULL,
};

struct provium_exec_options command_options_exec(const struct command_options *given,
						 const char *const *argv)
{
	return (struct provium_exec_options){
		.argv = argv,
		.env = given->env.items,
		.clear_env = given->clear_env,
		.cwd = given->cwd,
		.has_uid = given->credentials.user.has_uid,
		.uid = given->credentials.user.uid,
		.has_gid = given->credentials.user.has_gid,
		.gid = given->credentials.user.gid,
		.has_groups = given->credentials.groups.count > 0,
		.groups = given->credentials.groups.items,
		.n_groups = given->credentials.groups.count,
		.nice = given->nice,
		.rlimits = given->rlimits.items,
		.n_rlimits = given->rlimits.count,
		.output_limit = given->output_limit,
		.merge_stderr = given->merge_stderr,
		.kill_scope = (enum provium_kill_scope)given->kill_scope,
	};
}
