#include "host/lib/vm_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/util.h"
#include "host/lib/error.h"

/*
 * In a directory that others may write to they could put another in the place of ours, unless it is
 * sticky, as /tmp is. A group that is this process's own is taken for the user's.
 */
static int check_place(const char *place, struct provium_error *error)
{
	struct stat status;
	mode_t others = S_IWOTH;

	if (stat(place, &status) < 0)
		return error_set(error, PROVIUM_HOST, errno, "temporary directory '%s'", place);
	if (status.st_gid != getegid())
		others |= S_IWGRP;
	if (status.st_uid != geteuid() && status.st_uid != 0)
		return error_set(
			error, PROVIUM_INVALID, 0,
			"temporary directory '%s' belongs to another user: let TMPDIR name "
			"one of your own",
			place);
	if (status.st_mode & others && !(status.st_mode & S_ISVTX))
		return error_set(error, PROVIUM_INVALID, 0,
				 "others may replace what is in the temporary directory '%s': let "
				 "TMPDIR name another, or chmod +t",
				 place);
	return 0;
}

static int make_directory(struct vm_files *files, struct provium_error *error)
{
	const char *place = getenv("TMPDIR");
	cleanup_free char *absolute = NULL;

	if (!place || !*place)
		place = "/tmp";
	/* The program may change its directory while the VM runs. */
	absolute = realpath(place, NULL);
	if (!absolute)
		return error_set(error, PROVIUM_HOST, errno, "temporary directory '%s'", place);
	if (check_place(absolute, error) < 0)
		return -1;
	if (snprintf(files->directory, sizeof(files->directory), "%s/provium-XXXXXX", absolute) >=
		    (int)sizeof(files->directory) ||
	    !mkdtemp(files->directory)) {
		int failure = errno;

		files->directory[0] = '\0';
		return error_set(error, PROVIUM_HOST, failure, "make a directory in '%s' (TMPDIR)",
				 absolute);
	}
	return 0;
}

/* Somebody's file, or a socket on which somebody listens, is not taken away. */
static int check_socket(const char *path, struct provium_error *error)
{
	struct stat st;

	if (strlen(path) >= sizeof(((struct vm_files *)0)->socket))
		return error_set(error, PROVIUM_INVALID, 0,
				 "socket '%s' is %zu bytes long, a socket's path has at most %zu "
				 "(unix(7))",
				 path, strlen(path), sizeof(((struct vm_files *)0)->socket) - 1);
	if (!*path)
		return error_set(error, PROVIUM_INVALID, 0, "the socket's path is empty");
	if (lstat(path, &st) == 0)
		return error_set(error, PROVIUM_INVALID, EEXIST, "socket '%s'", path);
	if (errno != ENOENT)
		return error_set(error, PROVIUM_HOST, errno, "socket '%s'", path);
	return 0;
}

int vm_files_make(struct vm_files *files, const char *console, const char *socket,
		  struct provium_error *error)
{
	int length;

	*files = (struct vm_files){ 0 };
	if (socket && check_socket(socket, error) < 0)
		return -1;
	if (make_directory(files, error) < 0)
		return -1;

	if (socket) {
		snprintf(files->socket, sizeof(files->socket), "%s", socket);
		files->own_socket = true;
	} else {
		length = snprintf(files->socket, sizeof(files->socket), "%s/vsock",
				  files->directory);
		if (length >= (int)sizeof(files->socket)) {
			error_set(
				error, PROVIUM_INVALID, 0,
				"TMPDIR is too long: '%s/vsock' is %d bytes long, a socket's path "
				"has at most %zu (unix(7))",
				files->directory, length, sizeof(files->socket) - 1);
			vm_files_remove(files);
			return -1;
		}
	}
	if (console)
		length = snprintf(files->console, sizeof(files->console), "%s", console);
	else
		length = snprintf(files->console, sizeof(files->console), "%s/console",
				  files->directory);
	files->own_console = console != NULL;
	if (length >= (int)sizeof(files->console)) {
		vm_files_remove(files);
		return error_set(error, PROVIUM_INVALID, ENAMETOOLONG, "console '%.80s...'",
				 console);
	}
	return 0;
}

int vm_files_leave_token(struct vm_files *files, const uint8_t token[PROVIUM_TOKEN_SIZE],
			 struct provium_error *error)
{
	char path[TOKEN_PATH_SIZE];

	if (!files->own_socket)
		return 0;
	snprintf(path, sizeof(path), "%s" TOKEN_SUFFIX, files->socket);
	if (token_write(path, token, error) < 0)
		return -1;
	memcpy(files->token, path, sizeof(path));
	return 0;
}

static bool is_below(const char *path, const char *directory)
{
	return strncmp(path, directory, strlen(directory)) == 0;
}

int vm_files_open_console(const struct vm_files *files, struct provium_error *error)
{
	/* Guests print secrets. Non-blocking: it may be a FIFO, or a terminal that is stopped. */
	int flags = O_WRONLY | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
	int fd;

	/*
	 * Whoever else may write to the directory could have made a link there, and have another
	 * file emptied. /dev and /proc are root's, and their links what people mean.
	 */
	if (!is_below(files->console, "/dev/") && !is_below(files->console, "/proc/"))
		flags |= O_NOFOLLOW;
	flags |= files->own_console ? O_TRUNC : O_EXCL;
	fd = open(files->console, flags, 0600);
	if (fd < 0 && errno == ELOOP)
		return error_set(error, PROVIUM_INVALID, 0,
				 "console '%s' is a symbolic link, which somebody else may have "
				 "made: give the file itself",
				 files->console);
	if (fd < 0 && errno == ENXIO)
		return error_set(error, PROVIUM_HOST, errno,
				 "open console '%s' (a FIFO that nobody reads?)", files->console);
	if (fd < 0)
		return error_set(error, PROVIUM_HOST, errno, "open console '%s'", files->console);
	return fd;
}

void vm_files_remove(struct vm_files *files)
{
	cleanup_dir DIR *dir = NULL;
	const struct dirent *entry;

	if (files->own_socket)
		unlink(files->socket);
	if (files->token[0])
		unlink(files->token);
	if (!files->directory[0])
		return;
	/* These alone, as a rule: then it takes neither memory nor a descriptor. */
	if (!files->own_socket)
		unlink(files->socket);
	if (!files->own_console)
		unlink(files->console);
	if (rmdir(files->directory) < 0) {
		/* There may be listeners for the guest's connections (vsock_PORT). */
		dir = opendir(files->directory);
		while (dir && (entry = readdir(dir)))
			unlinkat(dirfd(dir), entry->d_name, 0);
		rmdir(files->directory);
	}
	*files = (struct vm_files){ 0 };
}
