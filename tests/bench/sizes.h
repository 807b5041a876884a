/* What the agent takes of the guest's memory and of the initramfs, beside the least that it could.
 */
#ifndef TESTS_BENCH_SIZES_H
#define TESTS_BENCH_SIZES_H

#include <jansson.h>

struct sizes_programs {
	/* Stripped. */
	const char *agent;
	const char *wrapper;
	const char *skeleton;
};

/* Appends the figures of the files, and of a shim without modules. */
void sizes_of_files(const struct sizes_programs *programs, json_t *list);

/* Appends the figure of the agent's memory, of the guest that is up and has done nothing else yet.
 */
void sizes_of_memory(json_t *list);

#endif
