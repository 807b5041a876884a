#include "host/runner/directory.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "host/lib/error.h"

/* Open at a time while a tree is removed. */
#define REMOVE_FDS  16

/* Of a test's name in its directory's. */
#define NAME_LENGTH 100

/*
 * Within this directory. Short: the sockets of guests are below, and their paths have 107 bytes
 * (unix(7)).
 */
#define TEMPORARY   "t"

int run_directory_make(struct run_directory *directory, struct provium_error *error)
{
	const char *place = getenv("TMPDIR");
	cleanup_free char *absolute = realpath(place && *place ? place : "/tmp", NULL);
	char path[PATH_MAX + sizeof(TEMPORARY)];

	directory->path[0] = '\0';
	if (!absolute)
		return error_set(error, PROVIUM_HOST, errno, "temporary directory '%s'",
				 place && *place ? place : "/tmp");
	if (snprintf(directory->path, sizeof(directory->path), "%s/provium-test-XXXXXX",
		     absolute) >= (int)sizeof(directory->path) ||
	    !mkdtemp(directory->path)) {
		directory->path[0] = '\0';
		return error_set(error, PROVIUM_HOST, errno, "make a directory in '%s' (TMPDIR)",
				 absolute);
	}
	snprintf(path, sizeof(path), "%s/" TEMPORARY, directory->path);
	if (mkdir(path, 0700) < 0) {
		error_set(error, PROVIUM_HOST, errno, "make the directory '%s'", path);
		run_directory_finish(directory);
		return -1;
	}
	return 0;
}

static char *make(char *path, struct provium_error *error)
{
	if (mkdir(path, 0700) < 0) {
		error_set(error, PROVIUM_HOST, errno, "make the directory '%s'", path);
		free(path);
		return NULL;
	}
	return path;
}

char *run_directory_logs(const struct run_directory *directory, size_t number, const char *name,
			 struct provium_error *error)
{
	size_t length = strlen(name);
	char *path;
	char *part;

	/* The end of a name tells more than its beginning. */
	if (length > NAME_LENGTH)
		name += length - NAME_LENGTH;
	if (asprintf(&path, "%s/%03zu-%s", directory->path, number, name) < 0) {
		error_set(error, PROVIUM_HOST, ENOMEM, "directory of logs");
		return NULL;
	}
	for (part = path + strlen(directory->path) + 1; *part; part++) {
		if (*part == '/')
			*part = '_';
	}
	return make(path, error);
}

char *run_directory_temporary(const struct run_directory *directory, size_t number,
			      struct provium_error *error)
{
	char *path;

	if (asprintf(&path, "%s/" TEMPORARY "/%zu", directory->path, number) < 0) {
		error_set(error, PROVIUM_HOST, ENOMEM, "directory of temporary files");
		return NULL;
	}
	return make(path, error);
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)ftw;
	/* Before what is in a directory without rights is looked for. */
	if (type == FTW_DNR)
		chmod(path, 0700);
	remove(path);
	return 0;
}

void directory_remove(const char *path)
{
	/* A second time: what a test has locked is open now, and what has failed may not again. */
	for (int i = 0; i < 2; i++)
		nftw(path, remove_entry, REMOVE_FDS, FTW_DEPTH | FTW_PHYS);
}

void run_directory_finish(struct run_directory *directory)
{
	char path[PATH_MAX + sizeof(TEMPORARY)];

	if (!directory->path[0])
		return;
	snprintf(path, sizeof(path), "%s/" TEMPORARY, directory->path);
	directory_remove(path);
	/* Fails where logs are left. */
	if (rmdir(directory->path) == 0)
		directory->path[0] = '\0';
}
