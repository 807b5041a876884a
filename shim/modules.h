/*
 * Which kernel modules are loaded, and in which order: from the text of modules.dep and
 * modules.builtin (modules.dep(5)). Pure: no I/O.
 */
#ifndef SHIM_MODULES_H
#define SHIM_MODULES_H

#include <stdbool.h>
#include <stddef.h>

struct modules;

/*
 * Both texts are NUL-terminated, are changed, and outlive the result; builtin may be NULL. NULL is
 * returned where there is no memory.
 */
struct modules *modules_parse(char *dep, char *builtin);
void modules_free(struct modules *modules);

enum modules_status {
	MODULES_OK,
	/* The kernel has it built in: nothing to load. */
	MODULES_BUILTIN,
	/* Neither a module nor built in, as far as the files tell. */
	MODULES_UNKNOWN,
	/* modules.dep has no line for a dependency, or a module depends on itself. */
	MODULES_DAMAGED,
};

/*
 * Appends a module, by name ('-' and '_' are the same), and before it what it depends on, to what
 * is to be loaded; each once. *culprit, with MODULES_DAMAGED: the line at fault, valid as long as
 * the texts.
 */
enum modules_status modules_add(struct modules *modules, const char *name, const char **culprit);

/* What is to be loaded, in order: paths as they stand in modules.dep. */
size_t modules_count(const struct modules *modules);
const char *modules_path(const struct modules *modules, size_t index);

#endif
