#include "copy.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/random.h>

#include "common/cleanup.h"

/* ------------------------------------------------------------------------------------------- */
/* Paths */

int copy_path_set(struct copy_path *path, const char *text, struct provium_error *error)
{
	size_t length = strlen(text);

	while (length > 1 && text[length - 1] == '/')
		length--;
	if (length == 0)
		return error_set(error, PROVIUM_HOST, ENOENT, "\"\"");
	if (length >= sizeof(path->text))
		return error_set(error, PROVIUM_HOST, ENAMETOOLONG, "%.200s...", text);
	memcpy(path->text, text, length);
	path->text[length] = '\0';
	path->length = length;
	return 0;
}

int copy_path_append(struct copy_path *path, const char *name, struct provium_error *error)
{
	bool slash = path->length > 0 && path->text[path->length - 1] != '/';
	size_t length = strlen(name);

	if (length == 0)
		return 0;
	if (path->length + slash + length >= sizeof(path->text))
		return error_set(error, PROVIUM_HOST, ENAMETOOLONG, "%.200s.../%.200s", path->text,
				 name);
	if (slash)
		path->text[path->length++] = '/';
	memcpy(path->text + path->length, name, length + 1);
	path->length += length;
	return 0;
}

void copy_path_cut(struct copy_path *path, size_t length)
{
	path->length = length;
	path->text[length] = '\0';
}

bool copy_ends_in_slash(const char *text)
{
	size_t length = strlen(text);

	return length > 1 && text[length - 1] == '/';
}

const char *copy_path_name(const struct copy_path *path)
{
	const char *slash = strrchr(path->text, '/');

	return slash ? slash + 1 : path->text;
}

/* ------------------------------------------------------------------------------------------- */
/* Names: a byte for the type, the name, a NUL; one behind the other */

int copy_names_add(struct copy_names *names, unsigned int type, const char *name)
{
	size_t size = strlen(name) + 2;

	if (names->capacity - names->size < size) {
		size_t capacity = MAX(2 * names->capacity, names->size + size + 256);
		char *data = realloc(names->data, capacity);

		if (!data)
			return -1;
		names->data = data;
		names->capacity = capacity;
	}
	names->data[names->size] = (char)type;
	memcpy(names->data + names->size + 1, name, size - 1);
	names->size += size;
	return 0;
}

const char *copy_names_next(struct copy_names *names, unsigned int *type)
{
	for (;;) {
		const char *name;

		if (names->at == names->size) {
			if (names->directories)
				return NULL;
			names->directories = true;
			names->at = 0;
			continue;
		}
		*type = (unsigned char)names->data[names->at];
		name = names->data + names->at + 1;
		names->at += strlen(name) + 2;
		if ((*type == DT_DIR) == names->directories)
			return name;
	}
}

int copy_names_retype(struct copy_names *names,
		      int (*retype)(void *user, const char *name, unsigned int *type), void *user)
{
	for (size_t at = 0; at < names->size;) {
		const char *name = names->data + at + 1;
		unsigned int type = DT_UNKNOWN;

		if (names->data[at] == DT_UNKNOWN) {
			if (retype(user, name, &type) != 0)
				return -1;
			names->data[at] = (char)type;
		}
		at += strlen(name) + 2;
	}
	return 0;
}

void copy_names_finish(struct copy_names *names)
{
	free(names->data);
	*names = (struct copy_names){ 0 };
}

/* ------------------------------------------------------------------------------------------- */
/* The walk */

void copy_level_free(struct copy_level *level)
{
	if (!level)
		return;
	copy_names_finish(&level->names);
	free(level);
}

int copy_walk_enter(struct copy_walk *walk, int fd, struct copy_names *names, size_t guest_length,
		    size_t host_length, struct provium_error *error)
{
	cleanup_close int entered = fd;
	struct copy_level *level;
	struct stat status;

	if (fstat(fd, &status) < 0)
		return error_set(error, PROVIUM_HOST, errno, "%s: stat", walk->host.text);
	level = calloc(1, sizeof(*level));
	if (!level)
		return error_set(error, PROVIUM_HOST, ENOMEM, "%s", walk->host.text);
	level->above = walk->level;
	level->names = *names;
	*names = (struct copy_names){ 0 };
	level->guest_length = guest_length;
	level->host_length = host_length;
	level->device = status.st_dev;
	level->inode = status.st_ino;
	walk->names_size += level->names.size;
	walk->level = level;
	close_fd(walk->fd);
	walk->fd = steal_fd(&entered);
	return 0;
}

/* The directory above, if it still is the one that was left for this. */
static int open_above(const struct copy_walk *walk, struct provium_error *error)
{
	const struct copy_level *above = walk->level->above;
	cleanup_close int fd = openat(walk->fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct stat status;

	if (fd < 0 || fstat(fd, &status) < 0)
		return error_set(error, PROVIUM_HOST, errno, "%s/..", walk->host.text);
	if (status.st_dev != above->device || status.st_ino != above->inode)
		return error_set(error, PROVIUM_HOST, ESTALE, "%s: it was moved meanwhile",
				 walk->host.text);
	return steal_fd(&fd);
}

int copy_walk_leave(struct copy_walk *walk, struct copy_level **level, int *fd,
		    struct provium_error *error)
{
	int above = -1;

	if (walk->level->above) {
		above = open_above(walk, error);
		if (above < 0)
			return -1;
	}
	*fd = walk->fd;
	*level = walk->level;
	walk->fd = above;
	walk->level = (*level)->above;
	walk->names_size -= (*level)->names.size;
	copy_path_cut(&walk->guest, (*level)->guest_length);
	copy_path_cut(&walk->host, (*level)->host_length);
	return 0;
}

void copy_walk_finish(struct copy_walk *walk)
{
	while (walk->level) {
		struct copy_level *level = walk->level;

		walk->level = level->above;
		copy_level_free(level);
	}
	walk->fd = close_fd(walk->fd);
}

/* ------------------------------------------------------------------------------------------- */
/* Small things */

int copy_temporary_name(char name[static COPY_TEMPORARY_SIZE], struct provium_error *error)
{
	uint64_t number;

	if (getrandom(&number, sizeof(number), 0) != (ssize_t)sizeof(number))
		return error_set(error, PROVIUM_HOST, errno, "getrandom");
	snprintf(name, COPY_TEMPORARY_SIZE, COPY_TEMPORARY "%016" PRIx64, number);
	return 0;
}

void copy_advance(struct copy_progress *progress, uint64_t size)
{
	const struct provium_copy_options *options = progress->options;

	progress->done += size;
	if (options && options->progress)
		options->progress(options->user, progress->done, progress->total);
}

void copy_tell_entry(const struct copy_progress *progress, const char *path)
{
	if (progress->options && progress->options->on_entry)
		progress->options->on_entry(progress->options->user, path);
}

void copy_tell_skip(const struct copy_progress *progress, const char *path)
{
	if (progress->options && progress->options->on_skip)
		progress->options->on_skip(progress->options->user, path);
}
