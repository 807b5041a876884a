/*
 * REMOVE.
 *
 * A tree is removed depth first, and the position in it is a stack of directories: no recursion, no
 * paths. Only the deepest OPEN_LEVELS are held open, each with the entries it has given last; of
 * all above them only the identity is known. On the way up such a one is opened again as ".." of
 * the one below, and is gone on with only if it is the same directory: whoever moves a directory
 * away while we are in it does not lead us out of the tree. On the way down a name is opened
 * without following a symbolic link and without entering another mount, relative to the directory
 * that is held.
 *
 * Removing comes first and looking second: what a name is shows in how its removal fails. So a name
 * that becomes something else meanwhile is just tried again, and a mount point (EBUSY) ends the
 * request before anything in it has been touched.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <dirent.h>
#include <linux/openat2.h>

#include "agent/entries.h"
#include "agent/fds.h"
#include "agent/file.h"
#include "agent/ops.h"
#include "agent/os.h"
#include "agent/reply.h"
#include "agent/statx.h"
#include "agent/work.h"
#include "common/cleanup.h"
#include "common/util.h"

#define OPEN_LEVELS 16
#define LEVEL_ROOM  2048

/* Directories one in the other. */
#define MAX_DEPTH   65536

/* Names that are tried in a step. */
#define STEP_NAMES  128

struct identity {
	uint64_t device;
	uint64_t ino;
};

struct level {
	/* -1: not held open. */
	int fd;
	/* Something in it has been removed since it was entered. */
	bool progress;
	struct entries entries;
	uint64_t room[LEVEL_ROOM / sizeof(uint64_t)];
};

struct removal {
	struct work work;
	bool recursive;
	bool missing_ok;
	/* The directory of what is removed, and its name there. */
	int base;
	char *path;
	const char *name;
	/* How many directories below base we are in, and which ones: depth entries. */
	size_t depth;
	size_t capacity;
	struct identity *identities;
	/* The directory that was left last was not empty, and nothing in it could be seen. */
	bool barren;
	/* Of depth N, counted from 1, at (N - 1) % OPEN_LEVELS; absent where not recursive. */
	struct level levels[];
};

static struct level *level_at(struct removal *removal, size_t depth)
{
	return &removal->levels[(depth - 1) % OPEN_LEVELS];
}

static void removal_release(struct work *work)
{
	struct removal *removal = container_of(work, struct removal, work);

	for (size_t i = 0; removal->recursive && i < OPEN_LEVELS; i++)
		close_fd(removal->levels[i].fd);
	close_fd(removal->base);
	free(removal->identities);
	free(removal->path);
}

static enum work_progress fail(struct removal *removal, const char *failed)
{
	removal->work.failed = failed;
	return WORK_FAILED;
}

/* Tells with the error which name it was. */
static enum work_progress fail_at(struct removal *removal, const char *failed, const char *name)
{
	int error = errno;
	size_t size = strlen(removal->work.subject) + strlen(name) + sizeof("\" at \"");
	char *subject = removal->depth > 0 ? malloc(size) : NULL;

	if (subject) {
		snprintf(subject, size, "%s\" at \"%s", removal->work.subject, name);
		free(removal->work.subject);
		removal->work.subject = subject;
	}
	errno = error;
	return fail(removal, failed);
}

static int identify(int fd, struct identity *identity)
{
	struct statx status;

	if (os_statx(fd, "", AT_EMPTY_PATH, STATX_INO, &status) < 0)
		return -1;
	identity->device = (uint64_t)status.stx_dev_major << 32 | status.stx_dev_minor;
	identity->ino = status.stx_ino;
	return 0;
}

/* A directory, and not by a symbolic link or on another mount. */
static int open_directory(int dir, const char *name)
{
	const struct open_how how = {
		.flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
		.resolve = RESOLVE_NO_XDEV,
	};

	return fd_raise(os_openat2(dir, name, &how, sizeof(how)));
}

static void level_open(struct level *level, int fd)
{
	level->fd = fd;
	level->progress = false;
	level->entries = (struct entries){ 0 };
}

static bool make_room(struct removal *removal)
{
	size_t capacity = MAX(removal->capacity * 2, (size_t)64);
	struct identity *identities;

	if (removal->depth < removal->capacity)
		return true;
	if (removal->depth == MAX_DEPTH) {
		errno = ENAMETOOLONG;
		return false;
	}
	identities = realloc(removal->identities, capacity * sizeof(*identities));
	if (!identities)
		return false;
	removal->identities = identities;
	removal->capacity = capacity;
	return true;
}

static enum work_progress enter(struct removal *removal, int dir, const char *name)
{
	cleanup_close int fd = -1;
	struct level *level;

	/* Nothing was to be seen in it, and still it is not empty: it would stay so. */
	if (removal->barren || !make_room(removal))
		return fail_at(removal, "unlinkat", name);
	fd = open_directory(dir, name);
	/* It is something else by now. */
	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR || errno == ELOOP))
		return WORK_MORE;
	if (fd < 0)
		return fail_at(removal, "openat2", name);
	if (identify(fd, &removal->identities[removal->depth]) < 0)
		return fail_at(removal, "statx", name);
	level = level_at(removal, ++removal->depth);
	close_fd(level->fd);
	level_open(level, steal_fd(&fd));
	return WORK_MORE;
}

/* Opens the directory above, which is no longer held. */
static enum work_progress return_to(struct removal *removal, struct level *above, int below)
{
	const struct identity *known = &removal->identities[removal->depth - 2];
	cleanup_close int fd = open_directory(below, "..");
	struct identity identity;

	if (fd < 0 || identify(fd, &identity) < 0)
		return fail(removal, "openat2");
	if (identity.device != known->device || identity.ino != known->ino) {
		errno = ESTALE;
		return fail(removal, "openat2");
	}
	level_open(above, steal_fd(&fd));
	above->progress = true;
	return WORK_MORE;
}

static enum work_progress leave(struct removal *removal)
{
	struct level *level = level_at(removal, removal->depth);

	removal->barren = !level->progress;
	if (removal->depth > 1) {
		struct level *above = level_at(removal, removal->depth - 1);

		if (above->fd < 0) {
			removal->barren = false;
			if (return_to(removal, above, level->fd) == WORK_FAILED)
				return WORK_FAILED;
		}
	}
	level->fd = close_fd(level->fd);
	removal->depth--;
	return WORK_MORE;
}

/* As a directory or not, whichever it is. 0, or an errno. */
static int remove_name(int dir, const char *name, bool is_directory)
{
	int flags = is_directory ? AT_REMOVEDIR : 0;

	if (os_unlinkat(dir, name, flags) == 0)
		return 0;
	if (errno != (is_directory ? ENOTDIR : EISDIR))
		return errno;
	return os_unlinkat(dir, name, flags ^ AT_REMOVEDIR) == 0 ? 0 : errno;
}

/* What is to be removed itself. */
static enum work_progress remove_top(struct removal *removal)
{
	int error = removal->base < 0
			    ? ENOENT
			    : remove_name(removal->base, removal->name, removal->recursive);

	if (error == 0 || (error == ENOENT && (removal->missing_ok || removal->work.count > 0))) {
		removal->work.count++;
		return WORK_END;
	}
	errno = error;
	if (removal->recursive && (error == ENOTEMPTY || error == EEXIST))
		return enter(removal, removal->base, removal->name);
	return fail(removal, "unlinkat");
}

static enum work_progress remove_next(struct removal *removal)
{
	struct level *level = level_at(removal, removal->depth);
	const struct entry *entry = entries_next(&level->entries);
	int error;

	if (!entry) {
		int filled =
			entries_fill(&level->entries, level->fd, level->room, sizeof(level->room));

		if (filled < 0)
			return fail(removal, "getdents64");
		return filled == 0 ? leave(removal) : WORK_MORE;
	}
	error = remove_name(level->fd, entry->name, entry->type == DT_DIR);
	errno = error;
	switch (error) {
	case 0:
		removal->work.count++;
		break;
	case ENOENT:
		break;
	case ENOTEMPTY:
	case EEXIST:
		return enter(removal, level->fd, entry->name);
	/* It was the one thing, then the other. */
	case ENOTDIR:
	case EISDIR:
		return WORK_MORE;
	default:
		return fail_at(removal, "unlinkat", entry->name);
	}
	level->progress = true;
	removal->barren = false;
	entries_take(&level->entries);
	return WORK_MORE;
}

static enum work_progress step(struct work *work)
{
	struct removal *removal = container_of(work, struct removal, work);
	enum work_progress progress = WORK_MORE;

	for (int i = 0; i < STEP_NAMES && progress == WORK_MORE; i++)
		progress = removal->depth == 0 ? remove_top(removal) : remove_next(removal);
	return progress;
}

static const struct work_operations operations = {
	.step = step,
	.release = removal_release,
};

/* Splits the path, and opens the directory that holds its last name. -1 and errno. */
static int open_base(struct removal *removal)
{
	size_t length = strlen(removal->work.subject);
	char *slash;

	removal->path = strdup(removal->work.subject);
	if (!removal->path)
		return -1;
	while (length > 1 && removal->path[length - 1] == '/')
		removal->path[--length] = '\0';
	/* Every path begins with one. */
	slash = strrchr(removal->path, '/');
	removal->name = slash + 1;
	if (!removal->name[0] || strcmp(removal->name, ".") == 0 ||
	    strcmp(removal->name, "..") == 0) {
		errno = EINVAL;
		return -1;
	}
	*slash = '\0';
	return os_open(slash == removal->path ? "/" : removal->path,
		       O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
}

void op_remove(struct session *session, uint32_t id, const Provium__V1__Message *message)
{
	const Provium__V1__Remove *request = message->remove;
	size_t levels = request->recursive ? OPEN_LEVELS : 0;
	struct removal *removal = work_create(session, id, message, &operations,
					      sizeof(*removal) + levels * sizeof(struct level),
					      file_subject(&request->path, -1));

	if (!removal)
		return;
	removal->recursive = request->recursive;
	removal->missing_ok = request->missing_ok;
	for (size_t i = 0; i < levels; i++)
		removal->levels[i].fd = -1;
	removal->base = fd_raise(open_base(removal));
	/* Without its directory it is missing, too: the first step finds that out. */
	work_start(&removal->work,
		   removal->base >= 0 || (errno == ENOENT && request->missing_ok) ? NULL : "open");
}
