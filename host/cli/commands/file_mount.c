/* provium file mount, umount. */
#include <string.h>
#include <sys/mount.h>

#include "common/cleanup.h"
#include "common/util.h"
#include "host/cli/commands/command.h"
#include "host/cli/commands/file.h"
#include "host/cli/report.h"

struct mount_options {
	struct connect_options connect;
	const char *type;
	const char *options;
};

static const struct option_spec mount_specs[] = {
	CONNECT_OPTION_ROWS(struct mount_options, connect),
	{ .name = "type",
	  .letter = 't',
	  .value = "FSTYPE",
	  .help = "The file system's type, as /proc/filesystems has it.",
	  .parse = parse_string,
	  .offset = offsetof(struct mount_options, type) },
	{ .name = "options",
	  .letter = 'o',
	  .value = "OPTIONS",
	  .help = "Separated by commas, as for mount(8): flags such as ro, nosuid, nodev, noexec, "
		  "bind, rbind, remount, move, private; the rest goes to the file system.",
	  .parse = parse_string,
	  .offset = offsetof(struct mount_options, options) },
	{ 0 },
};

static const struct {
	const char *name;
	uint64_t flags;
} mount_flags[] = {
	{ "ro", MS_RDONLY },
	{ "rw", 0 },
	{ "nosuid", MS_NOSUID },
	{ "nodev", MS_NODEV },
	{ "noexec", MS_NOEXEC },
	{ "sync", MS_SYNCHRONOUS },
	{ "dirsync", MS_DIRSYNC },
	{ "remount", MS_REMOUNT },
	{ "mand", MS_MANDLOCK },
	{ "noatime", MS_NOATIME },
	{ "nodiratime", MS_NODIRATIME },
	{ "relatime", MS_RELATIME },
	{ "strictatime", MS_STRICTATIME },
	{ "lazytime", MS_LAZYTIME },
	{ "bind", MS_BIND },
	{ "rbind", MS_BIND | MS_REC },
	{ "move", MS_MOVE },
	{ "private", MS_PRIVATE },
	{ "rprivate", MS_PRIVATE | MS_REC },
	{ "shared", MS_SHARED },
	{ "rshared", MS_SHARED | MS_REC },
	{ "slave", MS_SLAVE },
	{ "rslave", MS_SLAVE | MS_REC },
	{ "unbindable", MS_UNBINDABLE },
	{ "runbindable", MS_UNBINDABLE | MS_REC },
	{ "silent", MS_SILENT },
};

static bool take_flag(const char *option, size_t length, uint64_t *flags)
{
	for (size_t i = 0; i < ARRAY_SIZE(mount_flags); i++) {
		if (strlen(mount_flags[i].name) == length &&
		    strncmp(mount_flags[i].name, option, length) == 0) {
			*flags |= mount_flags[i].flags;
			return true;
		}
	}
	return false;
}

/* What is no flag is left in data, which has room for all of options. */
static uint64_t split_options(const char *options, char *data)
{
	uint64_t flags = 0;
	char *end = data;

	while (*options) {
		size_t length = strcspn(options, ",");

		if (length > 0 && !take_flag(options, length, &flags)) {
			if (end > data)
				*end++ = ',';
			memcpy(end, options, length);
			end += length;
		}
		options += length;
		options += *options == ',';
	}
	*end = '\0';
	return flags;
}

static int mount_act(struct file_call *call, struct provium_error *error)
{
	const struct mount_options *given = call->options;
	const char *options = given->options ? given->options : "";
	cleanup_free char *data = strdup(options);
	uint64_t flags;

	if (!data)
		return cli_fail_errno(error, "mount");
	flags = split_options(options, data);
	return provium_mount(call->connection, call->operands[0], call->operands[1], given->type,
			     flags, *data ? data : NULL, PROVIUM_FOREVER, error);
}

static int mount_run(const void *parsed, char **operands, struct provium_error *error)
{
	return file_run(parsed, operands, mount_act, error);
}

const struct command file_mount_command = {
	.name = "file mount",
	.summary = "Mount a file system in a guest.",
	.operands = "SOURCE TARGET",
	.operands_min = 2,
	.operands_max = 2,
	.description = "Mounts SOURCE on TARGET in the guest, as mount(2) does: no helper program "
		       "is run, and the type is not guessed. A file system without a source takes "
		       "any word.",
	.options = mount_specs,
	.options_size = sizeof(struct mount_options),
	.run = mount_run,
};

struct umount_options {
	struct connect_options connect;
	bool lazy;
	bool force;
};

static const struct option_spec umount_specs[] = {
	CONNECT_OPTION_ROWS(struct umount_options, connect),
	{ .name = "lazy",
	  .letter = 'l',
	  .help = "Take it out of the way now, and away when it is no longer used.",
	  .parse = parse_flag,
	  .offset = offsetof(struct umount_options, lazy) },
	{ .name = "force",
	  .letter = 'f',
	  .help = "Give up requests that are under way, where the file system can.",
	  .parse = parse_flag,
	  .offset = offsetof(struct umount_options, force) },
	{ 0 },
};

static int umount_act(struct file_call *call, struct provium_error *error)
{
	const struct umount_options *given = call->options;
	uint32_t flags = (given->lazy ? MNT_DETACH : 0) | (given->force ? MNT_FORCE : 0);
	int status = 0;

	for (char **path = call->operands; *path && status == 0; path++)
		status = provium_umount(call->connection, *path, flags, PROVIUM_FOREVER, error);
	return status;
}

static int umount_run(const void *parsed, char **operands, struct provium_error *error)
{
	return file_run(parsed, operands, umount_act, error);
}

const struct command file_umount_command = {
	.name = "file umount",
	.summary = "Unmount file systems in a guest.",
	.operands = "PATH...",
	.operands_min = 1,
	.operands_max = OPERANDS_UNLIMITED,
	.description = "Unmounts what is mounted on each PATH of the guest.",
	.options = umount_specs,
	.options_size = sizeof(struct umount_options),
	.run = umount_run,
};
