#include "shim/names.h"

#include <errno.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* As the kernel's limit (path_resolution(7)). */
#define LINKS_MAX 40

struct name {
	char *path;
	/* NULL: a directory. */
	char *target;
};

static int compare(const void *left, const void *right)
{
	const struct name *a = left, *b = right;

	return strcmp(a->path, b->path);
}

static void free_name(void *pointer)
{
	struct name *name = pointer;

	free(name->path);
	free(name->target);
	free(name);
}

void names_finish(struct names *names)
{
	tdestroy(names->root, free_name);
	names->root = NULL;
}

static struct name *find(const struct names *names, const char *path)
{
	const struct name key = { .path = (char *)path };
	struct name *const *found = tfind(&key, &names->root, compare);

	return found ? *found : NULL;
}

static void forget(struct names *names, const char *path)
{
	struct name *name = find(names, path);

	if (name) {
		tdelete(name, &names->root, compare);
		free_name(name);
	}
}

static int put(struct names *names, const char *path, const char *target)
{
	struct name *name = calloc(1, sizeof(*name));

	forget(names, path);
	if (name) {
		name->path = strdup(path);
		name->target = target ? strdup(target) : NULL;
		if (name->path && (name->target || !target) && tsearch(name, &names->root, compare))
			return 0;
		free_name(name);
	}
	errno = ENOMEM;
	return -1;
}

int names_enter(struct names *names, const char *path, mode_t mode, const char *target)
{
	char resolved[PATH_MAX];

	if (names_resolve(names, path, false, resolved) < 0)
		return -1;
	if (S_ISDIR(mode))
		return resolved[0] ? put(names, resolved, NULL) : 0;
	if (S_ISLNK(mode))
		return put(names, resolved, target);
	forget(names, resolved);
	return 0;
}

static void cut_last(char *path)
{
	char *slash = strrchr(path, '/');

	if (slash)
		*slash = '\0';
}

/* Takes the next component off rest and puts it behind path. Returns false where there is none. */
static bool step(char path[PATH_MAX], char **rest)
{
	size_t length;

	*rest += strspn(*rest, "/");
	length = strcspn(*rest, "/");
	if (length == 0)
		return false;
	if (length == 2 && strncmp(*rest, "..", 2) == 0)
		cut_last(path);
	else if (length != 1 || **rest != '.')
		snprintf(path + strlen(path), PATH_MAX - strlen(path), "/%.*s", (int)length, *rest);
	*rest += length;
	return true;
}

int names_resolve(const struct names *names, const char *path, bool follow_last,
		  char resolved[PATH_MAX])
{
	/* What is left to go, and room to put a link's target before it. */
	char todo[2][2 * PATH_MAX], *rest = todo[0];
	unsigned int links = 0;
	char *next;

	resolved[0] = '\0';
	if (strlen(path) >= PATH_MAX)
		goto too_long;
	memcpy(rest, path, strlen(path) + 1);
	while (step(resolved, &rest)) {
		const struct name *name = find(names, resolved);

		if (strlen(resolved) == PATH_MAX - 1)
			goto too_long;
		if (!name || !name->target || (!follow_last && rest[strspn(rest, "/")] == '\0'))
			continue;
		if (++links > LINKS_MAX) {
			errno = ELOOP;
			return -1;
		}
		if (strlen(name->target) + 1 + strlen(rest) >= PATH_MAX)
			goto too_long;
		next = todo[links % 2];
		snprintf(next, sizeof(todo[0]), "%s/%s", name->target, rest);
		rest = next;
		if (next[0] == '/')
			resolved[0] = '\0';
		else
			cut_last(resolved);
	}
	return 0;
too_long:
	errno = ENAMETOOLONG;
	return -1;
}

bool names_is_directory(const struct names *names, const char *path)
{
	const struct name *name = find(names, path);

	return name && !name->target;
}
