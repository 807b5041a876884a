/* The option table's parser, with a table of the test's own. */
#include "host/cli/options/options.h"

#include <string.h>

#include "common/cleanup.h"
#include "common/util.h"
#include "host/cli/options/values.h"
#include "unit.h"

struct values {
	const char *name;
	bool loud;
	struct string_list words;
	struct file_list files;
	uint64_t size;
};

#define OFFSET(field) offsetof(struct values, field)

static const struct option_spec specs[] = {
	{ .name = "name",
	  .letter = 'n',
	  .value = "NAME",
	  .help = "a",
	  .parse = parse_string,
	  .offset = OFFSET(name) },
	{ .name = "loud", .letter = 'l', .help = "b", .parse = parse_flag, .offset = OFFSET(loud) },
	{ .name = "word",
	  .value = "WORD",
	  .help = "c",
	  .parse = parse_strings,
	  .offset = OFFSET(words),
	  .list = true },
	{ .name = "file",
	  .value = "GUEST=HOST",
	  .help = "d",
	  .parse = parse_file,
	  .offset = OFFSET(files),
	  .list = true },
	{ .name = "size",
	  .value = "SIZE",
	  .help = "e",
	  .parse = parse_size,
	  .offset = OFFSET(size) },
	{ 0 },
};

static struct values values;
static struct provium_error error;
/* Of the words of a line, which is cut at blanks. */
static char *argv[32];
static char line[256];
static int operand;

static enum options_outcome parse_by(const struct option_spec *table, const char *text,
				     bool stop_at_operand)
{
	int argc = 0;

	strcpy(line, text);
	for (char *word = strtok(line, " "); word; word = strtok(NULL, " "))
		argv[argc++] = word;
	argv[argc] = NULL;
	options_finish(specs, &values);
	memset(&values, 0, sizeof(values));
	memset(&error, 0, sizeof(error));
	operand = -1;
	return options_parse(table, stop_at_operand, &values, argc, argv, &operand, &error);
}

static enum options_outcome parse(const char *text, bool stop_at_operand)
{
	return parse_by(specs, text, stop_at_operand);
}

static void forget(void)
{
	options_finish(specs, &values);
}

START_TEST(forms)
{
	static const char *const lines[] = {
		"cmd --name x --loud", "cmd --name=x --loud", "cmd -n x -l",
		"cmd -nx -l",          "cmd -ln x",           "cmd -lnx",
		"cmd --na x --lo",
	};

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		ck_assert_int_eq(parse(lines[i], false), OPTIONS_PARSED);
		ck_assert_str_eq(values.name, "x");
		ck_assert(values.loud);
		ck_assert_ptr_null(argv[operand]);
	}
}
END_TEST

START_TEST(required)
{
	static const struct option_spec needed[] = {
		{ .name = "size",
		  .value = "SIZE",
		  .help = "a",
		  .parse = parse_size,
		  .offset = OFFSET(size),
		  .required = true },
		{ 0 },
	};

	ck_assert_int_eq(parse_by(needed, "cmd x", false), OPTIONS_FAILED);
	ck_assert_str_eq(error.message, "--size SIZE is missing");
	ck_assert_int_eq(parse_by(needed, "cmd --size 1", false), OPTIONS_PARSED);
	ck_assert_int_eq(parse_by(needed, "cmd --help", false), OPTIONS_HELP);
}
END_TEST

START_TEST(repeated)
{
	ck_assert_int_eq(
		parse("cmd --word a --word=b --file /a=b --word c --name x --name y", false),
		OPTIONS_PARSED);
	ck_assert_uint_eq(values.words.count, 3);
	ck_assert_str_eq(values.words.items[0], "a");
	ck_assert_str_eq(values.words.items[1], "b");
	ck_assert_str_eq(values.words.items[2], "c");
	ck_assert_ptr_null(values.words.items[3]);
	ck_assert_uint_eq(values.files.count, 1);
	ck_assert_str_eq(values.name, "y");
	options_finish(specs, &values);
	ck_assert_ptr_null(values.words.items);
	ck_assert_ptr_null(values.files.items);
}
END_TEST

START_TEST(absent)
{
	ck_assert_int_eq(parse("cmd", false), OPTIONS_PARSED);
	ck_assert_int_eq(operand, 1);
	ck_assert_ptr_null(values.name);
	ck_assert_ptr_null(values.words.items);
	ck_assert(!values.loud);
}
END_TEST

/* Options of the guest's command are not ours. */
START_TEST(stops_at_operand)
{
	ck_assert_int_eq(parse("cmd --name x ls --loud --name y", true), OPTIONS_PARSED);
	ck_assert_str_eq(argv[operand], "ls");
	ck_assert_str_eq(argv[operand + 1], "--loud");
	ck_assert_str_eq(values.name, "x");
	ck_assert(!values.loud);

	ck_assert_int_eq(parse("cmd --name x -- --loud y", true), OPTIONS_PARSED);
	ck_assert_str_eq(argv[operand], "--loud");
	ck_assert(!values.loud);

	ck_assert_int_eq(parse("cmd -l -- -- x", true), OPTIONS_PARSED);
	ck_assert_str_eq(argv[operand], "--");
}
END_TEST

START_TEST(moves_operands)
{
	ck_assert_int_eq(parse("cmd a --name x b --loud", false), OPTIONS_PARSED);
	ck_assert_str_eq(argv[operand], "a");
	ck_assert_str_eq(argv[operand + 1], "b");
	ck_assert_ptr_null(argv[operand + 2]);
	ck_assert_str_eq(values.name, "x");
	ck_assert(values.loud);

	ck_assert_int_eq(parse("cmd a -- --loud", false), OPTIONS_PARSED);
	ck_assert_str_eq(argv[operand], "a");
	ck_assert_str_eq(argv[operand + 1], "--loud");
	ck_assert(!values.loud);
}
END_TEST

START_TEST(help)
{
	ck_assert_int_eq(parse("cmd --help", false), OPTIONS_HELP);
	ck_assert_int_eq(parse("cmd -h", true), OPTIONS_HELP);
	ck_assert_int_eq(parse("cmd --loud --help --nonsense", true), OPTIONS_HELP);
	ck_assert_int_eq(parse("cmd ls --help", true), OPTIONS_PARSED);
}
END_TEST

/* Each names the word that was wrong. */
START_TEST(refused)
{
	static const struct {
		const char *line;
		const char *told;
	} bad[] = {
		{ "cmd --nonsense", "'--nonsense'" },
		{ "cmd --nonsense=x", "'--nonsense=x'" },
		{ "cmd -x", "'-x'" },
		{ "cmd -lx", "'-x'" },
		{ "cmd --name", "'--name' needs a value" },
		{ "cmd -n", "'-n' needs a value" },
		{ "cmd --loud=yes", "'--loud=yes' takes no value" },
		{ "cmd --size 1X", "--size: '1X'" },
		{ "cmd --name=", "--name: NAME is empty" },
		{ "cmd --file a=b", "--file: 'a=b'" },
		{ "cmd --word a --file x", "--file: 'x'" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		ck_assert_int_eq(parse(bad[i].line, false), OPTIONS_FAILED);
		ck_assert_int_eq(error.code, PROVIUM_INVALID);
		if (!strstr(error.message, bad[i].told))
			ck_abort_msg("%s: %s", bad[i].line, error.message);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("cli options");
	TCase *tcase = tcase_create("options");

	tcase_add_checked_fixture(tcase, NULL, forget);
	tcase_add_test(tcase, forms);
	tcase_add_test(tcase, required);
	tcase_add_test(tcase, repeated);
	tcase_add_test(tcase, absent);
	tcase_add_test(tcase, stops_at_operand);
	tcase_add_test(tcase, moves_operands);
	tcase_add_test(tcase, help);
	tcase_add_test(tcase, refused);
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
