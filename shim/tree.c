#include "shim/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <search.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "host/lib/error.h"
#include "shim/content.h"

/* One pass over a file or tree. */
struct walk {
	struct cpio *cpio;
	struct tree_directories *directories;
	/* Of the two passes this is the one that adds directories, and nothing else. */
	bool adds_directories;
	/* The paths of what is being added, as long as the walk goes. */
	char guest[PATH_MAX];
	char host[PATH_MAX];
};

static int compare(const void *a, const void *b)
{
	return strcmp(a, b);
}

void tree_directories_finish(struct tree_directories *directories)
{
	tdestroy(directories->root, free);
	directories->root = NULL;
}

/* Returns 1 where it was not there, 0 where it was. */
static int remember(struct tree_directories *directories, const char *path,
		    struct provium_error *error)
{
	char *copy;

	if (tfind(path, &directories->root, compare))
		return 0;
	copy = strdup(path);
	if (!copy || !tsearch(copy, &directories->root, compare)) {
		free(copy);
		return error_set(error, PROVIUM_HOST, ENOMEM, "cannot add %s", path);
	}
	return 1;
}

static int add_directory(struct cpio *cpio, struct tree_directories *directories, const char *path,
			 mode_t permissions, int64_t mtime, struct provium_error *error)
{
	struct cpio_entry entry = { .path = path, .mode = S_IFDIR | permissions, .mtime = mtime };
	int is_new = remember(directories, path, error);

	return is_new <= 0 ? is_new : cpio_add(cpio, &entry, error);
}

/* Adds the first length bytes of path, and what is above. */
static int make_directories(struct cpio *cpio, struct tree_directories *directories,
			    const char *path, size_t length, struct provium_error *error)
{
	char prefix[PATH_MAX];

	for (size_t i = 1; i <= length; i++) {
		if (i < length && path[i] != '/')
			continue;
		memcpy(prefix, path, i);
		prefix[i] = '\0';
		if (add_directory(cpio, directories, prefix, 0755, 0, error) < 0)
			return -1;
	}
	return 0;
}

int tree_make_directory(struct cpio *cpio, struct tree_directories *directories, const char *path,
			mode_t permissions, struct provium_error *error)
{
	size_t parent = (size_t)(strrchr(path, '/') - path);

	if (make_directories(cpio, directories, path, parent, error) < 0)
		return -1;
	return add_directory(cpio, directories, path, permissions, 0, error);
}

/* "/a//b/./c/" becomes "/a/b/c". What leads out of the root, or is the root, is refused. */
static int clean_guest_path(const char *path, char clean[PATH_MAX], struct provium_error *error)
{
	size_t used = 0;

	if (path[0] != '/')
		return error_set(error, PROVIUM_INVALID, 0,
				 "guest path '%s' is not absolute: it must begin with '/'", path);
	if (strlen(path) >= PATH_MAX)
		return error_set(error, PROVIUM_INVALID, ENAMETOOLONG, "guest path '%s'", path);
	for (const char *rest = path; *rest; rest += strcspn(rest, "/")) {
		size_t length;

		rest += strspn(rest, "/");
		length = strcspn(rest, "/");
		if (length == 0 || (length == 1 && rest[0] == '.'))
			continue;
		if (length == 2 && rest[0] == '.' && rest[1] == '.')
			return error_set(error, PROVIUM_INVALID, 0,
					 "guest path '%s' has '..' in it", path);
		clean[used++] = '/';
		memcpy(clean + used, rest, length);
		used += length;
	}
	clean[used] = '\0';
	if (used == 0)
		return error_set(error, PROVIUM_INVALID, 0,
				 "guest path '%s' is the root: name a file or directory in it",
				 path);
	return 0;
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

static int add_symlink(struct walk *walk, struct cpio_entry *entry, int directory, const char *name,
		       struct provium_error *error)
{
	char target[PATH_MAX];
	ssize_t length = readlinkat(directory, name, target, sizeof(target) - 1);

	if (length < 0)
		return error_set(error, PROVIUM_HOST, errno, "cannot read %s", walk->host);
	target[length] = '\0';
	entry->target = target;
	return cpio_add(walk->cpio, entry, error);
}

static int add_subtree(struct walk *walk, const struct cpio_entry *entry, int directory,
		       const char *name, struct provium_error *error)
{
	cleanup_close int fd = openat(directory, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return error_set(error, PROVIUM_HOST, errno, "cannot read directory %s",
				 walk->host);
	if (walk->adds_directories) {
		if (add_directory(walk->cpio, walk->directories, walk->guest, entry->mode & 07777,
				  entry->mtime, error) < 0)
			return -1;
	} else if (!tfind(walk->guest, &walk->directories->root, compare)) {
		return error_set(error, PROVIUM_INVALID, 0, "%s changes while it is read",
				 walk->host);
	}
	return add_tree(walk, fd, error);
}

/* name in directory, which is walk->host, goes to walk->guest. */
static int add_one(struct walk *walk, int directory, const char *name, int flags,
		   struct provium_error *error)
{
	struct cpio_entry entry = { .path = walk->guest };
	struct stat status;

	if (fstatat(directory, name, &status, flags) < 0)
		return error_set(error, PROVIUM_HOST, errno, "cannot read %s", walk->host);
	entry.mode = status.st_mode;
	entry.mtime = status.st_mtime;
	if (S_ISDIR(status.st_mode))
		return add_subtree(walk, &entry, directory, name, error);
	if (walk->adds_directories)
		return 0;
	if (S_ISREG(status.st_mode)) {
		entry.size = (uint64_t)status.st_size;
		return add_regular(walk, &entry, directory, name, error);
	}
	if (S_ISLNK(status.st_mode))
		return add_symlink(walk, &entry, directory, name, error);
	entry.device = status.st_rdev;
	return cpio_add(walk->cpio, &entry, error);
}

/* Puts "/name" behind a path of the walk. Returns the length that it had, to be cut to again. */
static ssize_t descend(char path[PATH_MAX], const char *name, struct provium_error *error)
{
	size_t length = strlen(path);

	if (length + 1 + strlen(name) >= PATH_MAX)
		return error_set(error, PROVIUM_INVALID, ENAMETOOLONG, "%s/%s", path, name);
	path[length] = '/';
	strcpy(path + length + 1, name);
	return (ssize_t)length;
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

/* Everything in a directory, which is at walk->host and walk->guest. */
static int add_tree(struct walk *walk, int directory, struct provium_error *error)
{
	struct dirent **entries;
	int count = scandirat(directory, ".", &entries, not_dots, by_name);
	int result = 0;

	if (count < 0)
		return error_set(error, PROVIUM_HOST, errno, "cannot read directory %s",
				 walk->host);
	for (int i = 0; i < count; i++) {
		ssize_t host = -1, guest = -1;

		if (result == 0 && ((host = descend(walk->host, entries[i]->d_name, error)) < 0 ||
				    (guest = descend(walk->guest, entries[i]->d_name, error)) < 0))
			result = -1;
		if (result == 0)
			result = add_one(walk, directory, entries[i]->d_name, AT_SYMLINK_NOFOLLOW,
					 error);
		if (host >= 0)
			walk->host[host] = '\0';
		if (guest >= 0)
			walk->guest[guest] = '\0';
		free(entries[i]);
	}
	free(entries);
	return result;
}

static int walk_file(struct cpio *cpio, struct tree_directories *directories, bool adds_directories,
		     const struct provium_file *file, struct provium_error *error)
{
	struct walk walk = {
		.cpio = cpio,
		.directories = directories,
		.adds_directories = adds_directories,
	};

	if (!file->guest_path || !file->host_path)
		return error_set(error, PROVIUM_INVALID, 0, "a file needs a path on both sides");
	if (clean_guest_path(file->guest_path, walk.guest, error) < 0)
		return -1;
	if (strlen(file->host_path) >= PATH_MAX)
		return error_set(error, PROVIUM_INVALID, ENAMETOOLONG, "%s", file->host_path);
	strcpy(walk.host, file->host_path);
	if (adds_directories) {
		size_t parent = (size_t)(strrchr(walk.guest, '/') - walk.guest);

		if (make_directories(cpio, directories, walk.guest, parent, error) < 0)
			return -1;
	}
	return add_one(&walk, AT_FDCWD, file->host_path, 0, error);
}

int tree_add_directories(struct cpio *cpio, struct tree_directories *directories,
			 const struct provium_file *file, struct provium_error *error)
{
	return walk_file(cpio, directories, true, file, error);
}

int tree_add_files(struct cpio *cpio, const struct tree_directories *directories,
		   const struct provium_file *file, struct provium_error *error)
{
	return walk_file(cpio, (struct tree_directories *)directories, false, file, error);
}
