#include "shim/modules.h"

#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/util.h"

/* Real chains are under 20 long; a damaged file must not exhaust the stack. */
#define DEPTH_MAX 128

enum state {
	/* May become ADDING. */
	IDLE,
	/* Its dependencies are being added. May become ADDED. */
	ADDING,
	ADDED,
};

struct module {
	/* Inside path. */
	const char *name;
	size_t name_length;
	const char *path;
	/* The rest of its line: paths, separated by white space. */
	const char *dependencies;
	bool builtin;
	enum state state;
};

struct modules {
	/* Ordered by name. */
	struct module *all;
	size_t n_all;
	/* In the order of loading. Room for all of them. */
	struct module **order;
	size_t n_order;
};

/* "kernel/net/foo-bar.ko.xz": "foo-bar". */
static void set_name(struct module *module, const char *path, size_t length)
{
	const char *end = path + length, *name = end;

	while (name > path && name[-1] != '/')
		name--;
	module->name = name;
	while (name < end && *name != '.')
		name++;
	module->name_length = (size_t)(name - module->name);
}

static int plain(char c)
{
	return c == '-' ? '_' : (unsigned char)c;
}

static int compare_names(const struct module *a, const struct module *b)
{
	size_t common = MIN(a->name_length, b->name_length);

	for (size_t i = 0; i < common; i++) {
		int difference = plain(a->name[i]) - plain(b->name[i]);

		if (difference != 0)
			return difference;
	}
	return (a->name_length > b->name_length) - (a->name_length < b->name_length);
}

/* Where a name comes twice, a module is before one that is built in: it has a file. */
static int compare_modules(const void *left, const void *right)
{
	const struct module *a = left, *b = right;
	int difference = compare_names(a, b);

	return difference != 0 ? difference : a->builtin - b->builtin;
}

static struct module *find_module(struct modules *modules, const char *path, size_t length)
{
	struct module key = { 0 };
	size_t low = 0, high = modules->n_all;

	set_name(&key, path, length);
	if (key.name_length == 0)
		return NULL;
	/* The first of equal ones. */
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (compare_names(&modules->all[middle], &key) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == modules->n_all || compare_names(&modules->all[low], &key) != 0)
		return NULL;
	return &modules->all[low];
}

static size_t count_lines(const char *text)
{
	size_t count = 1;

	for (; *text; text++)
		count += *text == '\n';
	return count;
}

/* Lines "PATH: PATH..." or, of built-in ones, "PATH". */
static void parse_lines(struct modules *modules, char *text, bool builtin)
{
	char *line;

	while ((line = strsep(&text, "\n")) != NULL) {
		struct module *module = &modules->all[modules->n_all];
		char *colon = builtin ? NULL : strchr(line, ':');

		if (!builtin && !colon)
			continue;
		if (colon)
			*colon = '\0';
		*module = (struct module){
			.path = line,
			.dependencies = colon ? colon + 1 : "",
			.builtin = builtin,
		};
		set_name(module, line, strlen(line));
		if (module->name_length > 0)
			modules->n_all++;
	}
}

struct modules *modules_parse(char *dep, char *builtin)
{
	size_t lines = count_lines(dep) + (builtin ? count_lines(builtin) : 0);
	struct modules *modules = calloc(1, sizeof(*modules));

	if (!modules)
		return NULL;
	modules->all = calloc(lines, sizeof(*modules->all));
	modules->order = calloc(lines, sizeof(struct module *));
	if (!modules->all || !modules->order) {
		modules_free(modules);
		return NULL;
	}
	parse_lines(modules, dep, false);
	if (builtin)
		parse_lines(modules, builtin, true);
	qsort(modules->all, modules->n_all, sizeof(*modules->all), compare_modules);
	return modules;
}

void modules_free(struct modules *modules)
{
	if (!modules)
		return;
	free(modules->all);
	free(modules->order);
	free(modules);
}

/* Depth first, so that the order of a line's paths, which is nowhere promised, does not matter. */
// NOLINTNEXTLINE(misc-no-recursion): no deeper than DEPTH_MAX
static enum modules_status add(struct modules *modules, struct module *module, unsigned int depth,
			       const char **culprit)
{
	const char *path = module->dependencies;

	if (module->builtin || module->state == ADDED)
		return module->builtin ? MODULES_BUILTIN : MODULES_OK;
	*culprit = module->path;
	if (module->state == ADDING || depth == DEPTH_MAX)
		return MODULES_DAMAGED;
	module->state = ADDING;
	for (;;) {
		size_t length = strcspn(path += strspn(path, " \t"), " \t");
		struct module *dependency = find_module(modules, path, length);
		enum modules_status status;

		if (length == 0)
			break;
		if (!dependency) {
			*culprit = module->path;
			return MODULES_DAMAGED;
		}
		status = add(modules, dependency, depth + 1, culprit);
		if (status == MODULES_DAMAGED)
			return status;
		path += length;
	}
	module->state = ADDED;
	modules->order[modules->n_order++] = module;
	return MODULES_OK;
}

enum modules_status modules_add(struct modules *modules, const char *name, const char **culprit)
{
	struct module *module = find_module(modules, name, strlen(name));

	if (!module)
		return MODULES_UNKNOWN;
	return add(modules, module, 0, culprit);
}

size_t modules_count(const struct modules *modules)
{
	return modules->n_order;
}

const char *modules_path(const struct modules *modules, size_t index)
{
	return modules->order[index]->path;
}
