/* provium file stat, ls, readlink: what tells of files. */
#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "common/cleanup.h"
#include "host/cli/commands/command.h"
#include "host/cli/commands/file.h"
#include "host/cli/report.h"
#include "host/show/units.h"

/* ------------------------------------------------------------------------------------------- */
/* stat */

struct stat_options {
	struct connect_options connect;
	bool no_follow;
	bool raw;
};

static const struct option_spec stat_specs[] = {
	CONNECT_OPTION_ROWS(struct stat_options, connect),
	{ .name = "no-follow",
	  .help = "Of a symbolic link itself.",
	  .parse = parse_flag,
	  .offset = offsetof(struct stat_options, no_follow) },
	{ .name = "raw",
	  .help = "Print NAME=NUMBER lines, for scripts.",
	  .parse = parse_flag,
	  .offset = offsetof(struct stat_options, raw) },
	{ 0 },
};

static const char *kind_of(uint32_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG:
		return "file";
	case S_IFDIR:
		return "directory";
	case S_IFLNK:
		return "symbolic link";
	case S_IFIFO:
		return "FIFO";
	case S_IFSOCK:
		return "socket";
	case S_IFCHR:
		return "character device";
	case S_IFBLK:
		return "block device";
	default:
		return "unknown";
	}
}

/* "  Modified  2024-05-31 23:59:59.123456789 UTC". */
static int print_time(struct file_call *call, const char *name, bool has, int64_t ns)
{
	int64_t nanoseconds = (ns % 1000000000 + 1000000000) % 1000000000;
	time_t seconds = (time_t)((ns - nanoseconds) / 1000000000);
	char text[64] = "";
	struct tm when;

	if (!has || !gmtime_r(&seconds, &when))
		return 0;
	strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &when);
	return file_print(call, "  %-10s %s.%09" PRId64 " UTC\n", name, text, nanoseconds);
}

static int print_status(struct file_call *call, const char *path,
			const struct provium_file_status *status)
{
	char size[UNITS_TEXT_SIZE];
	int rc;

	rc = file_print(call,
			"%s: %s\n  Mode       %04o\n  Owner      %" PRIu32 ":%" PRIu32
			"\n  Size       %" PRIu64 " (%s), %" PRIu64 " blocks of 512\n"
			"  Device     %" PRIu32 ":%" PRIu32 ", inode %" PRIu64 ", links %" PRIu32
			"\n",
			path, kind_of(status->mode), status->mode & 07777, status->uid, status->gid,
			status->size, format_bytes(status->size, size), status->blocks,
			status->dev_major, status->dev_minor, status->ino, status->nlink);
	if (S_ISCHR(status->mode) || S_ISBLK(status->mode))
		rc |= file_print(call, "  Number     %" PRIu32 ":%" PRIu32 "\n", status->rdev_major,
				 status->rdev_minor);
	rc |= print_time(call, "Accessed", status->has_atime, status->atime_ns);
	rc |= print_time(call, "Modified", status->has_mtime, status->mtime_ns);
	rc |= print_time(call, "Changed", status->has_ctime, status->ctime_ns);
	rc |= print_time(call, "Made", status->has_btime, status->btime_ns);
	return rc;
}

static int print_raw_time(struct file_call *call, const char *name, bool has, int64_t ns)
{
	return has ? file_print(call, "%s=%" PRId64 "\n", name, ns) : 0;
}

static int print_raw(struct file_call *call, const struct provium_file_status *status)
{
	int rc = 0;

#define PRINT(field) (rc |= file_print(call, #field "=%" PRIu64 "\n", (uint64_t)status->field))
	rc |= file_print(call, "type=%s\nmode=%04o\n", kind_of(status->mode), status->mode & 07777);
	PRINT(mask);
	PRINT(nlink);
	PRINT(uid);
	PRINT(gid);
	PRINT(ino);
	PRINT(size);
	PRINT(blocks);
	PRINT(blksize);
	PRINT(attributes);
	PRINT(attributes_mask);
	PRINT(rdev_major);
	PRINT(rdev_minor);
	PRINT(dev_major);
	PRINT(dev_minor);
	if (status->has_mnt_id)
		PRINT(mnt_id);
	if (status->has_dio_align) {
		PRINT(dio_mem_align);
		PRINT(dio_offset_align);
	}
	if (status->has_dio_read_align)
		PRINT(dio_read_offset_align);
	if (status->has_subvol)
		PRINT(subvol);
	if (status->has_atomic_write) {
		PRINT(atomic_write_unit_min);
		PRINT(atomic_write_unit_max);
		PRINT(atomic_write_unit_max_opt);
		PRINT(atomic_write_segments_max);
	}
#undef PRINT
	rc |= print_raw_time(call, "atime_ns", status->has_atime, status->atime_ns);
	rc |= print_raw_time(call, "btime_ns", status->has_btime, status->btime_ns);
	rc |= print_raw_time(call, "ctime_ns", status->has_ctime, status->ctime_ns);
	rc |= print_raw_time(call, "mtime_ns", status->has_mtime, status->mtime_ns);
	return rc;
}

static int stat_act(struct file_call *call, struct provium_error *error)
{
	const struct stat_options *given = call->options;
	int rc = 0;

	for (char **path = call->operands; *path && rc == 0; path++) {
		struct provium_file_status status;

		if (provium_stat(call->connection, *path, !given->no_follow, PROVIUM_FOREVER,
				 &status, error) < 0)
			return -1;
		rc = given->raw ? print_raw(call, &status) : print_status(call, *path, &status);
	}
	return file_output_ended(call, rc, error);
}

static int stat_run(const void *parsed, char **operands, struct provium_error *error)
{
	return file_run(parsed, operands, stat_act, error);
}

const struct command file_stat_command = {
	.name = "file stat",
	.summary = "Tell of files in a guest.",
	.operands = "PATH...",
	.operands_min = 1,
	.operands_max = OPERANDS_UNLIMITED,
	.description =
		"Prints type, mode, owner, size, device and times of each PATH of the guest.",
	.options = stat_specs,
	.options_size = sizeof(struct stat_options),
	.run = stat_run,
};

/* ------------------------------------------------------------------------------------------- */
/* ls */

struct ls_options {
	struct connect_options connect;
	bool classify;
	bool null;
};

static const struct option_spec ls_specs[] = {
	CONNECT_OPTION_ROWS(struct ls_options, connect),
	{ .name = "classify",
	  .letter = 'F',
	  .help = "Put behind the name what it is: / a directory, @ a symbolic link, | a FIFO, "
		  "= a socket.",
	  .parse = parse_flag,
	  .offset = offsetof(struct ls_options, classify) },
	{ .name = "null",
	  .letter = '0',
	  .help = "End each name with a NUL, for names that hold newlines.",
	  .parse = parse_flag,
	  .offset = offsetof(struct ls_options, null) },
	{ 0 },
};

static const char *mark_of(unsigned int type)
{
	switch (type) {
	case DT_DIR:
		return "/";
	case DT_LNK:
		return "@";
	case DT_FIFO:
		return "|";
	case DT_SOCK:
		return "=";
	default:
		return "";
	}
}

static int print_entry(void *user, const struct provium_dir_entry *entry)
{
	struct file_call *call = user;
	const struct ls_options *given = call->options;

	return file_print(call, "%s%s%c", entry->name, given->classify ? mark_of(entry->type) : "",
			  given->null ? '\0' : '\n');
}

static int ls_act(struct file_call *call, struct provium_error *error)
{
	int rc = 0;

	for (char **path = call->operands; *path && rc == 0; path++)
		rc = provium_list_dir(call->connection, *path, print_entry, call, PROVIUM_FOREVER,
				      error);
	return file_output_ended(call, rc, error);
}

static int ls_run(const void *parsed, char **operands, struct provium_error *error)
{
	return file_run(parsed, operands, ls_act, error);
}

const struct command file_ls_command = {
	.name = "file ls",
	.summary = "List directories of a guest.",
	.operands = "PATH...",
	.operands_min = 1,
	.operands_max = OPERANDS_UNLIMITED,
	.description =
		"Prints the names in each directory PATH of the guest, one on a line, in the "
		"file system's order, without . and .. but with all others.",
	.options = ls_specs,
	.options_size = sizeof(struct ls_options),
	.run = ls_run,
};

/* ------------------------------------------------------------------------------------------- */
/* readlink */

struct readlink_options {
	struct connect_options connect;
};

static const struct option_spec readlink_specs[] = {
	CONNECT_OPTION_ROWS(struct readlink_options, connect),
	{ 0 },
};

static int readlink_act(struct file_call *call, struct provium_error *error)
{
	int rc = 0;

	for (char **path = call->operands; *path && rc == 0; path++) {
		cleanup_free char *target = NULL;

		if (provium_readlink(call->connection, *path, PROVIUM_FOREVER, &target, error) < 0)
			return -1;
		rc = file_print(call, "%s\n", target);
	}
	return file_output_ended(call, rc, error);
}

static int readlink_run(const void *parsed, char **operands, struct provium_error *error)
{
	return file_run(parsed, operands, readlink_act, error);
}

const struct command file_readlink_command = {
	.name = "file readlink",
	.summary = "Tell what symbolic links of a guest say.",
	.operands = "PATH...",
	.operands_min = 1,
	.operands_max = OPERANDS_UNLIMITED,
	.description = "Prints what each symbolic link PATH of the guest says, one on a line.",
	.options = readlink_specs,
	.options_size = sizeof(struct readlink_options),
	.run = readlink_run,
};
