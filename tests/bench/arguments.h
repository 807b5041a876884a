/* Command lines of the bench's programs: options that have a value each, and nothing else. */
#ifndef TESTS_BENCH_ARGUMENTS_H
#define TESTS_BENCH_ARGUMENTS_H

#include <stdbool.h>
#include <stddef.h>

struct argument {
	const char *name;
	/* What the usage calls it: "FILE". */
	const char *kind;
	/* Keeps its value where it is not given. */
	const char **value;
	bool needed;
};

/* Ends the program with its usage where the command line is not like this. */
void arguments_parse(int argc, char **argv, const struct argument *list, size_t count);

#endif
