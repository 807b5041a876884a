#include "host/runner/plan.h"

#include <errno.h>
#include <fnmatch.h>
#include <fts.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/cleanup.h"
#include "host/lib/error.h"

/* More is a mistake, such as "/". */
#define PLAN_MAX_FILES 100000

static void close_walk(FTS **walk)
{
	if (*walk)
		fts_close(*walk);
}

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

static bool is_test(const FTSENT *entry)
{
	size_t length = strlen(entry->fts_name);

	if (entry->fts_info != FTS_F || !S_ISREG(entry->fts_statp->st_mode))
		return false;
	return entry->fts_level == FTS_ROOTLEVEL ||
	       (length > 4 && strcmp(entry->fts_name + length - 4, ".lua") == 0);
}

/* What is below one PATH: base is its absolute path; name_offset as with add. */
static int walk(struct plan *plan, char *path, const char *base, size_t name_offset,
		struct provium_error *error)
{
	char *roots[] = { path, NULL };
	/* Links are followed; fts(3) tells of a directory that is within itself (FTS_DC). */
	cleanup(close_walk) FTS *walk = fts_open(roots, FTS_LOGICAL | FTS_NOCHDIR, NULL);
	FTSENT *entry;

	if (!walk)
		return error_set(error, PROVIUM_HOST, errno, "'%s'", path);
	while (errno = 0, (entry = fts_read(walk))) {
		cleanup_free char *absolute = NULL;

		switch (entry->fts_info) {
		case FTS_D:
			if (entry->fts_level > FTS_ROOTLEVEL &&
			    strcmp(entry->fts_name, "fixtures") == 0)
				fts_set(walk, entry, FTS_SKIP);
			continue;
		case FTS_DNR:
		case FTS_ERR:
		case FTS_NS:
			return error_set(error,
					 entry->fts_errno == ENOENT ? PROVIUM_NOT_FOUND
								    : PROVIUM_HOST,
					 entry->fts_errno, "'%s'", entry->fts_path);
		default:
			break;
		}
		if (!is_test(entry))
			continue;
		if (entry->fts_level == FTS_ROOTLEVEL)
			absolute = strdup(base);
		else if (asprintf(&absolute, "%s/%s", strcmp(base, "/") == 0 ? "" : base,
				  entry->fts_path + strlen(path) + (path[1] || *path != '/')) < 0)
			absolute = NULL;
		if (!absolute)
			return no_memory(error);
		if (add(plan, entry->fts_path, entry->fts_level == FTS_ROOTLEVEL ? 0 : name_offset,
			absolute, error) < 0)
			return -1;
	}
	if (errno)
		return error_set(error, PROVIUM_HOST, errno, "'%s'", path);
	return 0;
}

/* "tests" for "tests//": fts(3) would repeat the slashes in each path. */
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
	char *absolute;

	if (stat(path, &st) < 0 || S_ISDIR(st.st_mode))
		return realpath(path, NULL);
	parent = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
	real = parent ? realpath(parent, NULL) : NULL;
	if (!real || asprintf(&absolute, "%s/%s", strcmp(real, "/") == 0 ? "" : real, last) < 0)
		return NULL;
	return absolute;
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
	size_t before = plan->count;

	if (!path)
		return no_memory(error);
	strip_slashes(path);
	base = absolute_path(path);
	if (!base)
		return error_set(error, errno == ENOENT ? PROVIUM_NOT_FOUND : PROVIUM_HOST, errno,
				 "'%s'", given);
	if (walk(plan, path, base, alone ? strlen(path) + (path[1] || *path != '/') : 0, error) < 0)
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
