#include "tests/bench/arguments.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/util.h"

#define MOST 16

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
	struct option options[MOST + 1] = { 0 };
	bool complete = true;
	int option, index;

	for (size_t i = 0; i < MIN(count, (size_t)MOST); i++)
		options[i] = (struct option){ list[i].name, required_argument, NULL, 'x' };
	while ((option = getopt_long(argc, argv, "", options, &index)) == 'x')
		*list[index].value = optarg;
	for (size_t i = 0; i < count; i++)
		complete &= !list[i].needed || *list[i].value;
	if (option >= 0 || optind != argc || !complete)
		usage(argv[0], list, count);
}
