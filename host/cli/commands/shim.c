#include <string.h>

#include "host/cli/commands/command.h"
#include "host/cli/options/values.h"

struct shim_options {
	const char *output;
	const char *modules_dir;
	struct string_list modules;
	struct file_list files;
	const char *initrd;
	const char *token;
};

#define OFFSET(field) offsetof(struct shim_options, field)

static const struct option_spec options[] = {
	{ .name = "output",
	  .letter = 'o',
	  .value = "FILE",
	  .help = "Where to write the archive. Required.",
	  .completion = COMPLETE_FILE,
	  .parse = parse_string,
	  .offset = OFFSET(output),
	  .required = true },
	{ .name = "modules",
	  .value = "DIR",
	  .help = "The kernel's modules, as in /lib/modules/VERSION: those that vsock takes are "
		  "put in, in the order in which they are loaded. Without it the kernel must have "
		  "vsock built in.",
	  .completion = COMPLETE_DIRECTORY,
	  .parse = parse_string,
	  .offset = OFFSET(modules_dir) },
	{ .name = "module",
	  .value = "NAME",
	  .help = "One more module to load, with those it depends on. May be repeated.",
	  .parse = parse_strings,
	  .offset = OFFSET(modules),
	  .list = true },
	{ .name = "file",
	  .value = "GUEST=HOST",
	  .help = "Put the file or directory HOST in as GUEST, an absolute path. May be repeated.",
	  .completion = COMPLETE_FILE,
	  .parse = parse_file,
	  .offset = OFFSET(files),
	  .list = true },
	{ .name = "initrd",
	  .value = "FILE",
	  .help = "An initramfs to combine with: the result is one file that holds both.",
	  .completion = COMPLETE_FILE,
	  .parse = parse_string,
	  .offset = OFFSET(initrd) },
	{ .name = "token",
	  .value = "FILE",
	  .help = "Put in the token of FILE, 32 bytes that nobody else may read: the agent serves "
		  "only who sends them (--token of the commands with --connect). The archive is "
		  "then for this user alone.",
	  .completion = COMPLETE_FILE,
	  .parse = parse_string,
	  .offset = OFFSET(token) },
	{ 0 },
};

static int run(const void *parsed, char **operands, struct provium_error *error)
{
	const struct shim_options *given = parsed;
	struct provium_shim_options shim = {
		.modules_dir = given->modules_dir,
		.modules = given->modules.items,
		.files = given->files.items,
		.n_files = given->files.count,
		.initrd = given->initrd,
	};
	unsigned char token[PROVIUM_TOKEN_SIZE];
	int result;

	(void)operands;
	if (given->token && provium_token_read(given->token, token, error) < 0)
		return -1;
	shim.token = given->token ? token : NULL;
	result = provium_shim_write(&shim, given->output, error);
	explicit_bzero(token, sizeof(token));
	return result;
}

const struct command shim_command = {
	.name = "shim",
	.summary = "Write the initramfs that brings the agent into a guest.",
	.operands = "",
	.description = "Writes a cpio archive with the agent, its wrapper and the modules they "
		       "need, to be given to a kernel as its initramfs by any virtual machine "
		       "monitor. provium-shim(1) has the kernel parameters that go with it.",
	.options = options,
	.options_size = sizeof(struct shim_options),
	.run = run,
};
