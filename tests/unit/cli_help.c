/*
 * What is told of the commands, against their tables: --help, the manual pages (whose directory is
 * the program's argument) and what bash's completion is made of.
 */
#include "host/cli/commands/help_text.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/cli/commands/command.h"
#include "unit.h"

static const char *docs;

static int command_count(void)
{
	int count = 0;

	while (commands[count])
		count++;
	return count;
}

/* For free(3). */
static char *help_of(const struct command *command)
{
	char *text = NULL;
	size_t size;
	FILE *file = open_memstream(&text, &size);

	ck_assert_ptr_nonnull(file);
	if (command)
		help_command_text(file, command);
	else
		help_overview(file);
	ck_assert_int_eq(fclose(file), 0);
	return text;
}

/* The part of a page's name that tells whose it is: push for pull, and one page for a family. */
static void page_of(const struct command *command, char page[static 64])
{
	const char *name = strcmp(command->name, "pull") == 0 ? "push" : command->name;

	snprintf(page, 64, "%.*s", (int)strcspn(name, " "), name);
}

/* NULL where a command has none of its own. For free(3). */
static char *manual_of(const struct command *command)
{
	char page[64];
	char path[4096];
	char *text = NULL;
	size_t size = 0;
	FILE *file;

	page_of(command, page);
	snprintf(path, sizeof(path), "%s/provium-%s.1.scd", docs, page);
	file = fopen(path, "r");
	if (!file)
		return NULL;
	ck_assert_int_gt(getdelim(&text, &size, '\0', file), 0);
	fclose(file);
	return text;
}

/* Makes one blank of every run of white space: what was wrapped is one line again. */
static void unwrap(char *text)
{
	char *to = text;

	for (const char *from = text; *from; from++) {
		if (!isspace((unsigned char)*from))
			*to++ = *from;
		else if (to > text && to[-1] != ' ')
			*to++ = ' ';
	}
	*to = '\0';
}

static void contains(const char *text, const char *needle, const char *where)
{
	if (!strstr(text, needle))
		ck_abort_msg("%s: '%s' is missing", where, needle);
}

START_TEST(overview)
{
	char *text = help_of(NULL);

	for (size_t i = 0; commands[i]; i++) {
		char line[64];

		snprintf(line, sizeof(line), "\n  %-24s", commands[i]->name);
		contains(text, line, "help");
		ck_assert_ptr_eq(command_find(commands[i]->name), commands[i]);
	}
	unwrap(text);
	for (size_t i = 0; commands[i]; i++)
		contains(text, commands[i]->summary, "help");
	ck_assert_ptr_null(command_find("ru"));
	ck_assert_ptr_null(command_find(""));
	free(text);
}
END_TEST

START_TEST(every_option_is_told)
{
	const struct command *command = commands[_i];
	char *manual = manual_of(command);
	char *text = help_of(command);

	contains(text, "  -h, --help", command->name);
	unwrap(text);
	contains(text, command->description, command->name);
	/* Those without have nothing to tell but what provium(1) says. */
	ck_assert(manual || !command->options->name);
	for (const struct option_spec *spec = command->options; spec->name; spec++) {
		char option[128];

		snprintf(option, sizeof(option), "--%s%s%s", spec->name, spec->value ? " " : "",
			 spec->value ? spec->value : "");
		contains(text, option, command->name);
		contains(text, spec->help, command->name);
		/* At the start of a paragraph. */
		snprintf(option, sizeof(option), "*--%s*", spec->name);
		contains(manual, option, command->name);
	}
	free(manual);
	free(text);
}
END_TEST

static bool has_option(const struct command *command, const char *name, size_t length)
{
	for (const struct option_spec *spec = command->options; spec->name; spec++) {
		if (strlen(spec->name) == length && strncmp(spec->name, name, length) == 0)
			return true;
	}
	return length == strlen("help") && strncmp(name, "help", length) == 0;
}

/* No option that is gone is still in the manual: one of the page's commands has it. */
START_TEST(every_told_option_is_there)
{
	const struct command *command = commands[_i];
	char *manual = manual_of(command);
	char *next = manual;
	char page[64], other[64];

	page_of(command, page);
	while (next && (next = strstr(next, "\n*-"))) {
		bool found = false;
		size_t length;

		next = strstr(next, "--");
		ck_assert_ptr_nonnull(next);
		next += 2;
		length = strcspn(next, "*");
		for (size_t i = 0; commands[i]; i++) {
			page_of(commands[i], other);
			if (strcmp(page, other) == 0)
				found |= has_option(commands[i], next, length);
		}
		if (!found)
			ck_abort_msg("%s: there is no '--%.*s'", page, (int)length, next);
	}
	free(manual);
}
END_TEST

/* A word that begins names of two is no name itself, or the two could not be told apart. */
START_TEST(names)
{
	char *both[] = { NULL, NULL, (char *)"more", NULL };
	int used;

	for (size_t i = 0; commands[i]; i++) {
		const char *name = commands[i]->name;
		char first[64];
		const char *blank = strchr(name, ' ');

		ck_assert(!command_is_family(name));
		snprintf(first, sizeof(first), "%.*s", (int)strcspn(name, " "), name);
		both[0] = first;
		both[1] = (char *)(blank ? blank + 1 : "x");
		ck_assert_ptr_eq(command_find_words(both, &used), commands[i]);
		ck_assert_int_eq(used, blank ? 2 : 1);
		if (blank) {
			ck_assert_ptr_null(strchr(blank + 1, ' '));
			ck_assert(command_is_family(first));
			ck_assert(command_in_family(commands[i], first));
			both[1] = NULL;
			ck_assert_ptr_null(command_find_words(both, &used));
		}
	}
	both[0] = NULL;
	ck_assert_ptr_null(command_find_words(both, &used));
}
END_TEST

START_TEST(lines_fit)
{
	char *text = help_of(commands[_i]);

	for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
		if (strlen(line) > 80)
			ck_abort_msg("%s: longer than 80: %s", commands[_i]->name, line);
	}
	free(text);
}
END_TEST

/* What the completion prints unquoted, and what getopt could not tell apart. */
START_TEST(tables_are_sound)
{
	const struct command *command = commands[_i];

	for (const struct option_spec *spec = command->options; spec->name; spec++) {
		ck_assert_ptr_nonnull(spec->help);
		ck_assert_ptr_nonnull(spec->parse);
		ck_assert_uint_lt(spec->offset, command->options_size);
		ck_assert_int_eq(spec->completion == COMPLETE_CHOICE, spec->choices != NULL);
		ck_assert_str_ne(spec->name, "help");
		ck_assert_int_ne(spec->letter, 'h');
		for (const char *c = spec->name; *c; c++)
			ck_assert(islower((unsigned char)*c) || *c == '-');
		for (size_t i = 0; spec->choices && spec->choices[i]; i++)
			ck_assert_ptr_nonnull(strstr(spec->value, spec->choices[i]));
		for (const struct option_spec *other = spec + 1; other->name; other++) {
			ck_assert_str_ne(spec->name, other->name);
			ck_assert(!spec->letter || spec->letter != other->letter);
		}
	}
}
END_TEST

int main(int argc, char **argv)
{
	Suite *suite = suite_create("cli help");
	TCase *tcase = tcase_create("help");
	int count = command_count();

	if (argc != 2) {
		fprintf(stderr, "usage: %s DOCS\n", argv[0]);
		return EXIT_FAILURE;
	}
	docs = argv[1];
	tcase_add_test(tcase, overview);
	tcase_add_test(tcase, names);
	tcase_add_loop_test(tcase, every_option_is_told, 0, count);
	tcase_add_loop_test(tcase, every_told_option_is_there, 0, count);
	tcase_add_loop_test(tcase, lines_fit, 0, count);
	tcase_add_loop_test(tcase, tables_are_sound, 0, count);
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
