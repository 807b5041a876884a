#include "host/runner/plan.h"

#include <dirent.h>
#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/cleanup.h"
#include "common/list.h"
#include "host/lib/error.h"

/* More is a mistake, such as "/". */
#define PLAN_MAX_FILES   100000
#define PLAN_MAX_FOLDERS 100000

static int no_memory(struct provium_error *error)
{
	return error_set(error, PROVIUM_HOST, ENOMEM, "test files");
}

/* name_offset: where the name begins in path. */
static int add(struct plan *plan, const char *path, size_t name_offset, const char *absolute,
	       struct provium_error *error)
{
	struct plan_file file = { .path = strdup(path), .absolute = strdup(absolute) };
	struct plan_file *files = NULL;

	if (plan->count == PLAN_MAX_FILES) {
		error_set(error, PROVIUM_LIMIT, 0, "there are more than %d test files",
			  PLAN_MAX_FILES);
		goto fail;
	}
	files = reallocarray(plan->files, plan->count + 1, sizeof(*files));
	if (files)
		plan->files = files;
	if (!files || !file.path || !file.absolute) {
		no_memory(error);
		goto fail;
	}
	file.name = file.path + name_offset;
	files[plan->count++] = file;
	return 0;
fail:
	free(file.path);
	free(file.absolute);
	return -1;
}

/* A directory that is to be looked into, and those that it was found in. */
struct folder {
	const struct folder *parent;
	struct list link;
	dev_t device;
	ino_t inode;
	char path[];
};

/* One PATH, and what is below it: base is its absolute path; name_offset as with add. */
struct search {
	struct plan *plan;
	const char *path;
	const char *base;
	size_t name_offset;
	/* Links struct folder, in the order in which they were found. */
	struct list folders;
	size_t n_folders;
	struct provium_error *error;
};

static int cannot(const struct search *search, const char *path)
{
	return error_set(search->error, errno == ENOENT ? PROVIUM_NOT_FOUND : PROVIUM_HOST, errno,
			 "'%s'", path);
}

static bool is_named_as_test(const char *name)
{
	size_t length = strlen(name);

	return length > 4 && strcmp(name + length - 4, ".lua") == 0;
}

static char *join(const char *folder, const char *name)
{
	char *path;

	if (asprintf(&path, "%s/%s", strcmp(folder, "/") == 0 ? "" : folder, name) < 0)
		return NULL;
	return path;
}

static int found(const struct search *search, const char *path)
{
	const char *below = path + strlen(search->path) + (strcmp(search->path, "/") != 0);
	cleanup_free char *absolute = join(search->base, below);

	if (!absolute)
		return no_memory(search->error);
	return add(search->plan, path, search->name_offset, absolute, search->error);
}

static int add_folder(struct search *search, const struct folder *parent, const char *path)
{
	size_t size = strlen(path) + 1;
	struct folder *folder = malloc(sizeof(*folder) + size);

	if (!folder)
		return no_memory(search->error);
	*folder = (struct folder){ .parent = parent };
	memcpy(folder->path, path, size);
	list_append(&search->folders, &folder->link);
	if (++search->n_folders > PLAN_MAX_FOLDERS)
		return error_set(search->error, PROVIUM_LIMIT, 0,
				 "there are more than %d directories below '%s'", PLAN_MAX_FOLDERS,
				 search->path);
	return 0;
}

static int look_at(struct search *search, const struct folder *folder, const char *name)
{
	cleanup_free char *path = join(folder->path, name);
	struct stat st;

	if (!path)
		return no_memory(search->error);
	/* Links are followed; those that lead nowhere are editors' locks. */
	if (stat(path, &st) < 0)
		return errno == ENOENT || errno == ELOOP ? 0 : cannot(search, path);
	if (S_ISDIR(st.st_mode) && strcmp(name, "fixtures") != 0)
		return add_folder(search, folder, path);
	return S_ISREG(st.st_mode) && is_named_as_test(name) ? found(search, path) : 0;
}

/* Not by fts(3) or nftw(3): a directory that cannot be read to its end is for them one that ends.
 */
static int look_into(struct search *search, struct folder *folder)
{
	cleanup_dir DIR *stream = opendir(folder->path);
	const struct dirent *entry;
	struct stat st;

	if (!stream || fstat(dirfd(stream), &st) < 0)
		return cannot(search, folder->path);
	folder->device = st.st_dev;
	folder->inode = st.st_ino;
	/* A link has led back to where it was found. */
	for (const struct folder *above = folder->parent; above; above = above->parent) {
		if (above->device == folder->device && above->inode == folder->inode)
			return 0;
	}
	while (errno = 0, (entry = readdir(stream))) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		if (look_at(search, folder, entry->d_name) < 0)
			return -1;
	}
	return errno ? cannot(search, folder->path) : 0;
}

static int look_below(struct search *search)
{
	struct folder *folder, *next;
	int outcome = add_folder(search, NULL, search->path);

	/* What is found below is added behind. */
	list_for_each(folder, &search->folders, link) {
		if (outcome < 0)
			break;
		outcome = look_into(search, folder);
	}
	list_for_each_safe(folder, next, &search->folders, link)
		free(folder);
	return outcome;
}

/* "tests" for "tests//": each path would repeat the slashes. */
static void strip_slashes(char *path)
{
	size_t length = strlen(path);

	while (length > 1 && path[length - 1] == '/')
		path[--length] = '\0';
}

/* Without links up to the last part, which is the name by which a test is known. */
static char *absolute_path(const char *path)
{
	const char *slash = strrchr(path, '/');
	cleanup_free char *parent = NULL;
	cleanup_free char *real = NULL;
	const char *last = slash ? slash + 1 : path;
	struct stat st;

	if (stat(path, &st) < 0)
		return NULL;
	if (S_ISDIR(st.st_mode))
		return realpath(path, NULL);
	parent = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
	real = parent ? realpath(parent, NULL) : NULL;
	return real ? join(real, last) : NULL;
}

static int by_absolute(const void *one, const void *other)
{
	const struct plan_file *a = one;
	const struct plan_file *b = other;
	int order = strcmp(a->absolute, b->absolute);

	return order ? order : strcmp(a->path, b->path);
}

static int by_path(const void *one, const void *other)
{
	return strcmp(((const struct plan_file *)one)->path,
		      ((const struct plan_file *)other)->path);
}

static void drop(struct plan_file *file)
{
	free(file->path);
	free(file->absolute);
}

static void drop_repeated(struct plan *plan)
{
	size_t kept = 0;

	if (plan->count == 0)
		return;
	qsort(plan->files, plan->count, sizeof(*plan->files), by_absolute);
	for (size_t i = 1; i < plan->count; i++) {
		if (strcmp(plan->files[i].absolute, plan->files[kept].absolute) == 0)
			drop(&plan->files[i]);
		else
			plan->files[++kept] = plan->files[i];
	}
	plan->count = kept + 1;
}

static int discover_one(struct plan *plan, const char *given, bool alone,
			struct provium_error *error)
{
	cleanup_free char *path = strdup(given);
	cleanup_free char *base = NULL;
	struct search search = { .plan = plan, .error = error };
	size_t before = plan->count;
	struct stat st;
	int outcome = 0;

	if (!path)
		return no_memory(error);
	strip_slashes(path);
	base = absolute_path(path);
	if (!base || stat(path, &st) < 0)
		return cannot(&search, given);
	list_init(&search.folders);
	search.path = path;
	search.base = base;
	if (alone)
		search.name_offset = strlen(path) + (strcmp(path, "/") != 0);
	if (S_ISDIR(st.st_mode))
		outcome = look_below(&search);
	else if (S_ISREG(st.st_mode))
		outcome = add(plan, path, 0, base, error);
	if (outcome < 0)
		return -1;
	if (plan->count == before)
		return error_set(error, PROVIUM_NOT_FOUND, 0, "'%s' holds no test: no *.lua",
				 given);
	return 0;
}

int plan_discover(struct plan *plan, const char *const *paths, struct provium_error *error)
{
	for (size_t i = 0; paths[i]; i++) {
		if (discover_one(plan, paths[i], !paths[1], error) < 0) {
			plan_finish(plan);
			return -1;
		}
	}
	drop_repeated(plan);
	qsort(plan->files, plan->count, sizeof(*plan->files), by_path);
	return 0;
}

void plan_keep(struct plan *plan, bool (*keep)(void *user, const struct plan_file *file),
	       void *user)
{
	size_t kept = 0;

	for (size_t i = 0; i < plan->count; i++) {
		if (keep(user, &plan->files[i]))
			plan->files[kept++] = plan->files[i];
		else
			drop(&plan->files[i]);
	}
	plan->count = kept;
}

static bool matches(void *user, const struct plan_file *file)
{
	const char *const *patterns = user;

	for (size_t i = 0; patterns[i]; i++) {
		if (strpbrk(patterns[i], "*?[") ? fnmatch(patterns[i], file->name, 0) == 0
						: strstr(file->name, patterns[i]) != NULL)
			return true;
	}
	return false;
}

void plan_filter(struct plan *plan, const char *const *patterns)
{
	if (patterns)
		plan_keep(plan, matches, (void *)patterns);
}

struct shard {
	unsigned int index;
	unsigned int count;
	size_t position;
};

static bool in_shard(void *user, const struct plan_file *file)
{
	struct shard *shard = user;

	(void)file;
	return shard->position++ % shard->count == shard->index - 1;
}

void plan_shard(struct plan *plan, unsigned int index, unsigned int count)
{
	struct shard shard = { .index = index, .count = count };

	plan_keep(plan, in_shard, &shard);
}

void plan_finish(struct plan *plan)
{
	for (size_t i = 0; i < plan->count; i++)
		drop(&plan->files[i]);
	free(plan->files);
	*plan = (struct plan){ 0 };
}
