#include "tests/bench/arguments.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/cleanup.h"

static void usage(const char *program, const struct argument *list, size_t count)
{
	fprintf(stderr, "usage: %s", program);
	for (size_t i = 0; i < count; i++)
		fprintf(stderr, list[i].needed ? " --%s %s" : " [--%s %s]", list[i].name,
			list[i].kind);
	fputc('\n', stderr);
	exit(EXIT_FAILURE);
}

void arguments_parse(int argc, char **argv, const struct argument *list, size_t count)
{
	cleanup_free struct option *options = calloc(count + 1, sizeof(*options));
	bool complete = true;
	int option, index;

	if (!options)
		abort();
	for (size_t i = 0; i < count; i++)
		options[i] = (struct option){ list[i].name, required_argument, NULL, 'x' };
	while ((option = getopt_long(argc, argv, "", options, &index)) == 'x')
		*list[index].value = optarg;
	for (size_t i = 0; i < count; i++)
		complete &= !list[i].needed || *list[i].value;
	if (option >= 0 || optind != argc || !complete)
		usage(argv[0], list, count);
}
