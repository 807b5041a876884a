/*
 * modules.dep and modules.builtin of any content, and names to be added: what is to be loaded is in
 * an order in which nothing comes before what it depends on, each once.
 *
 * Input: modules.dep, NUL, modules.builtin, NUL, names, each ended by NUL.
 */
#include "shim/modules.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
	if (!holds)
		abort();
}

/* The text up to the next NUL, which is the caller's to free; *data goes behind it. */
static char *next_text(const uint8_t **data, size_t *size)
{
	const uint8_t *end = *size > 0 ? memchr(*data, 0, *size) : NULL;
	size_t length = end ? (size_t)(end - *data) : *size;
	char *text = malloc(length + 1);

	require(text != NULL);
	memcpy(text, *data, length);
	text[length] = '\0';
	*data += length + (end != NULL);
	*size -= length + (end != NULL);
	return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *dep = next_text(&data, &size), *builtin = next_text(&data, &size);
	struct modules *modules = modules_parse(dep, builtin);

	require(modules != NULL);
	while (size > 0) {
		char *name = next_text(&data, &size);
		const char *culprit = NULL;
		size_t before = modules_count(modules);
		enum modules_status status = modules_add(modules, name, &culprit);

		if (status == MODULES_DAMAGED)
			require(culprit != NULL && strlen(culprit) > 0);
		if (status == MODULES_UNKNOWN || status == MODULES_BUILTIN)
			require(modules_count(modules) == before);
		if (status == MODULES_OK) {
			/* A second time it is there. */
			size_t count = modules_count(modules);

			require(modules_add(modules, name, &culprit) == MODULES_OK);
			require(modules_count(modules) == count);
		}
		free(name);
	}
	for (size_t i = 0; i < modules_count(modules); i++) {
		for (size_t j = 0; j < i; j++)
			require(modules_path(modules, i) != modules_path(modules, j));
	}
	modules_free(modules);
	free(dep);
	free(builtin);
	return 0;
}
