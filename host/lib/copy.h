/*
 * What push and pull have in common: the way through a tree, and what the caller is told.
 *
 * A tree is walked without recursion and with one directory of the host open at a time: the way
 * down is by openat(2) with O_NOFOLLOW, the way up by "..", which must be the directory that it was
 * come from. So neither depth nor a link that somebody puts in place of a directory leads out of
 * the tree. Of each directory on the way the names that are still to be copied are kept, files
 * before directories: when the walk goes down, nothing in the directory above is left to be done.
 */
#ifndef LIB_COPY_H
#define LIB_COPY_H

#include <limits.h>
#include <sys/stat.h>

#include "host/lib/file.h"

/* What the names of all directories on the way may take; a guest can list names without end. */
#define COPY_NAMES_LIMIT    MIB(64)

/* Of a file that is written beside its target: COPY_TEMPORARY and 16 digits. */
#define COPY_TEMPORARY      ".provium-"
#define COPY_TEMPORARY_SIZE (sizeof(COPY_TEMPORARY) + 16)

/* Not empty; does not end in a slash but for "/". */
struct copy_path {
	size_t length;
	char text[PATH_MAX];
};

/* Fails with ENAMETOOLONG, and where text is empty with ENOENT. */
int copy_path_set(struct copy_path *path, const char *text, struct provium_error *error);

/* Adds a component; path is unchanged where it fails. */
int copy_path_append(struct copy_path *path, const char *name, struct provium_error *error);

/* Back to what it was when it had this length. */
void copy_path_cut(struct copy_path *path, size_t length);

/* Before copy_path_set has taken it away; not of "/". */
bool copy_ends_in_slash(const char *text);

/* Behind the last slash. */
const char *copy_path_name(const struct copy_path *path);

/* Names with their types (DT_* of readdir(3)). Zeroed: empty. */
struct copy_names {
	char *data;
	size_t size;
	size_t capacity;
	/* Of the next, and whether it is the directories' turn. */
	size_t at;
	bool directories;
};

/* -1: no memory. */
int copy_names_add(struct copy_names *names, unsigned int type, const char *name);

/* The next name and its type, directories last; NULL at the end. */
const char *copy_names_next(struct copy_names *names, unsigned int *type);

/* Asks retype for each type that is DT_UNKNOWN, before any is taken. -1: it has failed. */
int copy_names_retype(struct copy_names *names,
		      int (*retype)(void *user, const char *name, unsigned int *type), void *user);

void copy_names_finish(struct copy_names *names);

/* A directory on the way. */
struct copy_level {
	struct copy_level *above;
	struct copy_names names;
	/* Of the paths without it. */
	size_t guest_length;
	size_t host_length;
	/* Of the host's directory, to be recognised. */
	dev_t device;
	ino_t inode;
	/* Permission bits that the copy gets when it is left. */
	bool has_mode;
	unsigned int mode;
};

struct copy_walk {
	/* The host's directory at hand. -1: none. */
	int fd;
	struct copy_level *level;
	/* What the names of all levels take. */
	size_t names_size;
	/* Of the directory at hand, or of the file that is copied. */
	struct copy_path guest;
	struct copy_path host;
};

/*
 * Goes down into a directory whose fd the walk owns from then on (also on failure), and whose names
 * it moves from *names. The lengths are those of the paths before it was appended to them.
 */
int copy_walk_enter(struct copy_walk *walk, int fd, struct copy_names *names, size_t guest_length,
		    size_t host_length, struct provium_error *error);

/*
 * Goes up again, from a level that is finished. *level, which is to be released by
 * copy_level_free(), and *fd, which is the caller's, are those that were left.
 */
int copy_walk_leave(struct copy_walk *walk, struct copy_level **level, int *fd,
		    struct provium_error *error);

void copy_level_free(struct copy_level *level);
void copy_walk_finish(struct copy_walk *walk);

/* A name for a file beside its target. */
int copy_temporary_name(char name[static COPY_TEMPORARY_SIZE], struct provium_error *error);

/* Bytes copied so far, and whom to tell. */
struct copy_progress {
	const struct provium_copy_options *options;
	uint64_t done;
	uint64_t total;
};

void copy_advance(struct copy_progress *progress, uint64_t size);
void copy_tell_entry(const struct copy_progress *progress, const char *path);
void copy_tell_skip(const struct copy_progress *progress, const char *path);

#endif
