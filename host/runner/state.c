#include "host/runner/state.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "host/lib/error.h"

bool state_directory(char *path)
{
	const char *state = getenv("XDG_STATE_HOME");
	const char *home = getenv("HOME");
	int length;

	/* A relative one is to be ignored (XDG Base Directory Specification). */
	if (state && *state == '/')
		length = snprintf(path, PATH_MAX, "%s/provium/failed", state);
	else if (home && *home == '/')
		length = snprintf(path, PATH_MAX, "%s/.local/state/provium/failed", home);
	else
		return false;
	return length < PATH_MAX;
}

static bool marker(const char *directory, const char *absolute, char path[static PATH_MAX])
{
	return snprintf(path, PATH_MAX, "%s%s", directory, absolute) < PATH_MAX;
}

bool state_has_failed(const char *directory, const char *absolute)
{
	char path[PATH_MAX];
	struct stat st;

	return marker(directory, absolute, path) && lstat(path, &st) == 0 && S_ISREG(st.st_mode);
}

/* All directories above it. */
static int make_above(char *path)
{
	for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		int failed;

		*slash = '\0';
		failed = mkdir(path, 0700);
		*slash = '/';
		if (failed < 0 && errno != EEXIST)
			return -1;
	}
	return 0;
}

int state_remember(const char *directory, const char *absolute, bool failed,
		   struct provium_error *error)
{
	cleanup_close int fd = -1;
	char path[PATH_MAX];

	if (!marker(directory, absolute, path))
		return error_set(error, PROVIUM_HOST, ENAMETOOLONG, "'%s'", absolute);
	if (failed) {
		if (make_above(path) == 0)
			fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
		return fd < 0 ? error_set(error, PROVIUM_HOST, errno, "'%s'", path) : 0;
	}
	if (unlink(path) < 0)
		return errno == ENOENT || errno == ENOTDIR
			       ? 0
			       : error_set(error, PROVIUM_HOST, errno, "'%s'", path);
	/* The directories above, as far as they are empty. */
	for (char *slash = strrchr(path, '/'); slash && slash > path + strlen(directory);
	     slash = strrchr(path, '/')) {
		*slash = '\0';
		if (rmdir(path) < 0)
			break;
	}
	return 0;
}
