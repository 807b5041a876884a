#include "shim/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "host/lib/error.h"
#include "shim/content.h"

/* What is being added. */
struct walk {
	struct cpio *cpio;
	struct names *names;
	/* Its paths; that in the guest without links. */
	char guest[PATH_MAX];
	char host[PATH_MAX];
};

static int add_directory(struct cpio *cpio, struct names *names, const char *path,
			 mode_t permissions, int64_t mtime, struct provium_error *error)
{
	struct cpio_entry entry = { .path = path, .mode = S_IFDIR | permissions, .mtime = mtime };

	if (names_is_directory(names, path))
		return 0;
	if (names_enter(names, path, entry.mode, NULL) < 0)
		return error_set(error, PROVIUM_HOST, errno, "cannot add %s", path);
	return cpio_add(cpio, &entry, error);
}

/* Those above path. */
static int make_parents(struct cpio *cpio, struct names *names, const char *path,
			struct provium_error *error)
{
	char prefix[PATH_MAX];

	for (const char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		snprintf(prefix, sizeof(prefix), "%.*s", (int)(slash - path), path);
		if (add_directory(cpio, names, prefix, 0755, 0, error) < 0)
			return -1;
	}
	return 0;
}

int tree_make_directory(struct cpio *cpio, struct names *names, const char *path,
			mode_t permissions, struct provium_error *error)
{
	if (make_parents(cpio, names, path, error) < 0)
		return -1;
	return add_directory(cpio, names, path, permissions, 0, error);
}

/* Nothing may lead out of the root by name; what a name in the image leads to is its own affair. */
static int check_guest_path(const char *path, struct provium_error *error)
{
	bool is_root = true;

	if (path[0] != '/')
		return error_set(error, PROVIUM_INVALID, 0,
				 "guest path '%s' is not absolute: it must begin with '/'", path);
	for (const char *rest = path; *rest; rest += strcspn(rest, "/")) {
		size_t length;

		rest += strspn(rest, "/");
		length = strcspn(rest, "/");
		if (length == 2 && strncmp(rest, "..", 2) == 0)
			return error_set(error, PROVIUM_INVALID, 0,
					 "guest path '%s' has '..' in it", path);
		if (length > 1 || (length == 1 && rest[0] != '.'))
			is_root = false;
	}
	if (is_root)
		return error_set(error, PROVIUM_INVALID, 0,
				 "guest path '%s' is the root: name a file or directory in it",
				 path);
	return 0;
}

/* Sets walk->guest to where path leads in the guest, and makes the directories above that. */
static int find_place(struct walk *walk, const char *path, bool is_directory,
		      struct provium_error *error)
{
	if (names_resolve(walk->names, path, is_directory, walk->guest) < 0)
		return error_set(error, PROVIUM_INVALID, errno, "guest path '%s'", path);
	if (walk->guest[0] == '\0')
		return error_set(error, PROVIUM_INVALID, 0, "guest path '%s' leads to the root",
				 path);
	return make_parents(walk->cpio, walk->names, walk->guest, error);
}

static int add_tree(struct walk *walk, int directory, struct provium_error *error);

static int add_regular(struct walk *walk, const struct cpio_entry *entry, int directory,
		       const char *name, struct provium_error *error)
{
	/* What has taken the file's place since it was looked at must not block us. */
	cleanup_close int fd = openat(directory, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return error_set(error, PROVIUM_HOST, errno, "cannot read %s", walk->host);
	return content_add(walk->cpio, entry, fd, walk->host, error);
}

static int add_symlink(struct walk *walk, const struct cpio_entry *entry, int directory,
		       const char *name, struct provium_error *error)
{
	char target[PATH_MAX];
	struct cpio_entry link = *entry;
	ssize_t length = readlinkat(directory, name, target, sizeof(target) - 1);

	if (length < 0)
		return error_set(error, PROVIUM_HOST, errno, "cannot read %s", walk->host);
	target[length] = '\0';
	link.target = target;
	if (names_enter(walk->names, walk->guest, link.mode, target) < 0)
		return error_set(error, PROVIUM_HOST, errno, "cannot add %s", walk->guest);
	return cpio_add(walk->cpio, &link, error);
}

/* A tree is gone through no deeper than a path of the host's can be long. */
// NOLINTNEXTLINE(misc-no-recursion)
static int add_subtree(struct walk *walk, const struct cpio_entry *entry, int directory,
		       const char *name, struct provium_error *error)
{
	cleanup_close int fd = openat(directory, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return error_set(error, PROVIUM_HOST, errno, "cannot read directory %s",
				 walk->host);
	if (add_directory(walk->cpio, walk->names, walk->guest, entry->mode & 07777, entry->mtime,
			  error) < 0)
		return -1;
	return add_tree(walk, fd, error);
}

/* name in directory, which is walk->host, goes to path in the guest. */
// NOLINTNEXTLINE(misc-no-recursion)
static int add_one(struct walk *walk, int directory, const char *name, const char *path, int flags,
		   struct provium_error *error)
{
	struct cpio_entry entry = { .path = walk->guest };
	struct stat status;

	if (fstatat(directory, name, &status, flags) < 0)
		return error_set(error, PROVIUM_HOST, errno, "cannot read %s", walk->host);
	entry.mode = status.st_mode;
	entry.mtime = status.st_mtime;
	if (find_place(walk, path, S_ISDIR(status.st_mode), error) < 0)
		return -1;
	if (S_ISDIR(status.st_mode))
		return add_subtree(walk, &entry, directory, name, error);
	if (S_ISLNK(status.st_mode))
		return add_symlink(walk, &entry, directory, name, error);
	if (names_enter(walk->names, walk->guest, status.st_mode, NULL) < 0)
		return error_set(error, PROVIUM_HOST, errno, "cannot add %s", walk->guest);
	if (S_ISREG(status.st_mode)) {
		entry.size = (uint64_t)status.st_size;
		return add_regular(walk, &entry, directory, name, error);
	}
	entry.device = status.st_rdev;
	return cpio_add(walk->cpio, &entry, error);
}

static int not_dots(const struct dirent *entry)
{
	return strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
}

/* By bytes: the same archive in every locale. */
static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

/* name in directory, which is at walk->host and goes to guest. */
// NOLINTNEXTLINE(misc-no-recursion)
static int add_child(struct walk *walk, int directory, const char *guest, const char *name,
		     struct provium_error *error)
{
	size_t length = strlen(walk->host);
	cleanup_free char *path = NULL;
	int result;

	if (asprintf(&path, "%s/%s", guest, name) < 0)
		return error_set(error, PROVIUM_HOST, ENOMEM, "cannot add %s", walk->host);
	if (length + 1 + strlen(name) >= sizeof(walk->host))
		return error_set(error, PROVIUM_INVALID, ENAMETOOLONG, "%s/%s", walk->host, name);
	walk->host[length] = '/';
	memcpy(walk->host + length + 1, name, strlen(name) + 1);
	result = add_one(walk, directory, name, path, AT_SYMLINK_NOFOLLOW, error);
	walk->host[length] = '\0';
	return result;
}

/* Everything in a directory, which is at walk->host and walk->guest. */
// NOLINTNEXTLINE(misc-no-recursion)
static int add_tree(struct walk *walk, int directory, struct provium_error *error)
{
	cleanup_free char *guest = strdup(walk->guest);
	struct dirent **entries;
	int count = scandirat(directory, ".", &entries, not_dots, by_name);
	int result = 0;

	if (count < 0 || !guest)
		return error_set(error, PROVIUM_HOST, errno, "cannot read directory %s",
				 walk->host);
	for (int i = 0; i < count; i++) {
		if (result == 0)
			result = add_child(walk, directory, guest, entries[i]->d_name, error);
		free(entries[i]);
	}
	free(entries);
	return result;
}

int tree_add(struct cpio *cpio, struct names *names, const struct provium_file *file,
	     struct provium_error *error)
{
	struct walk walk = { .cpio = cpio, .names = names };

	if (!file->guest_path || !file->host_path)
		return error_set(error, PROVIUM_INVALID, 0, "a file needs a path on both sides");
	if (check_guest_path(file->guest_path, error) < 0)
		return -1;
	if (strlen(file->host_path) >= PATH_MAX)
		return error_set(error, PROVIUM_INVALID, ENAMETOOLONG, "%s", file->host_path);
	memcpy(walk.host, file->host_path, strlen(file->host_path) + 1);
	return add_one(&walk, AT_FDCWD, file->host_path, file->guest_path, 0, error);
}
