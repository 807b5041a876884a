/* The kernel command line: what is ours, where it stands, and what cannot be said on it. */
#include "host/lib/vm_command_line.h"

#include <stdlib.h>
#include <string.h>

#include "unit.h"

#define LIMIT 2047

static void check(const char *init, const char *append, const char *wanted)
{
	const struct vm_command_line parts = { .init = init, .append = append, .limit = LIMIT };
	struct provium_error error;
	char *line = vm_command_line(&parts, &error);

	ck_assert_ptr_nonnull(line);
	ck_assert_str_eq(line, wanted);
	free(line);
}

static void check_refused(const char *init, const char *append, const char *message)
{
	const struct vm_command_line parts = { .init = init, .append = append, .limit = LIMIT };
	struct provium_error error;

	ck_assert_ptr_null(vm_command_line(&parts, &error));
	ck_assert_int_eq(error.code, PROVIUM_INVALID);
	ck_assert_msg(strstr(error.message, message), "%s", error.message);
}

START_TEST(test_defaults)
{
	check(NULL, NULL, "console=ttyS0 panic=-1 rdinit=/provium-wrapper");
	check(NULL, "", "console=ttyS0 panic=-1 rdinit=/provium-wrapper");
}
END_TEST

START_TEST(test_init)
{
	check("/sbin/init", NULL,
	      "console=ttyS0 panic=-1 rdinit=/provium-wrapper provium.init=/sbin/init");
	check("/a b/init", NULL,
	      "console=ttyS0 panic=-1 rdinit=/provium-wrapper provium.init=\"/a b/init\"");
	check("/a\tb", NULL,
	      "console=ttyS0 panic=-1 rdinit=/provium-wrapper provium.init=\"/a\tb\"");
	/* The kernel's isspace knows Latin-1. */
	check("/a\xa0"
	      "b",
	      NULL,
	      "console=ttyS0 panic=-1 rdinit=/provium-wrapper provium.init=\"/a\xa0"
	      "b\"");
}
END_TEST

/* Of the user's that say the same the last one counts. */
START_TEST(test_machine)
{
	const struct vm_command_line parts = {
		.machine = "reboot=t x=1",
		.append = "reboot=k",
		.limit = LIMIT,
	};
	struct provium_error error;
	char *line = vm_command_line(&parts, &error);

	ck_assert_ptr_nonnull(line);
	ck_assert_str_eq(line, "console=ttyS0 panic=-1 reboot=t x=1 reboot=k "
			       "rdinit=/provium-wrapper");
	free(line);
}
END_TEST

START_TEST(test_bad_init)
{
	check_refused("sbin/init", NULL, "not an absolute path");
	check_refused("", NULL, "not an absolute path");
	check_refused("/a\"b", NULL, "cannot hold a quote");
}
END_TEST

/* The user's override the defaults; nothing overrides the wrapper's. */
START_TEST(test_append)
{
	check(NULL, "panic=0 rdinit=/x",
	      "console=ttyS0 panic=-1 panic=0 rdinit=/x rdinit=/provium-wrapper");
	check("/i", "quiet",
	      "console=ttyS0 panic=-1 quiet rdinit=/provium-wrapper provium.init=/i");
}
END_TEST

START_TEST(test_root_and_hold)
{
	const struct vm_command_line parts = {
		.init = "/i",
		.hold = true,
		.root = "/dev/vda",
		.append = "x -- y",
		.limit = LIMIT,
	};
	struct provium_error error;
	char *line = vm_command_line(&parts, &error);

	ck_assert_str_eq(line, "console=ttyS0 panic=-1 x  rdinit=/provium-wrapper provium.init=/i "
			       "provium.root=/dev/vda provium.hold -- y");
	free(line);
}
END_TEST

START_TEST(test_separator)
{
	check("/i", "-- a b",
	      "console=ttyS0 panic=-1 rdinit=/provium-wrapper provium.init=/i -- a b");
	check("/i", "x=1 -- a --",
	      "console=ttyS0 panic=-1 x=1  rdinit=/provium-wrapper provium.init=/i -- a --");
	check(NULL, "x=1 --", "console=ttyS0 panic=-1 x=1  rdinit=/provium-wrapper --");
	check(NULL, "x=1\t--\ty", "console=ttyS0 panic=-1 x=1\t rdinit=/provium-wrapper --\ty");
	/* Quotes around it are taken off by the kernel. */
	check(NULL, "\"--\" a", "console=ttyS0 panic=-1 rdinit=/provium-wrapper \"--\" a");
	/* A quote behind it is init's. */
	check(NULL, "-- \"", "console=ttyS0 panic=-1 rdinit=/provium-wrapper -- \"");
}
END_TEST

START_TEST(test_no_separator)
{
	check(NULL, "--x", "console=ttyS0 panic=-1 --x rdinit=/provium-wrapper");
	check(NULL, "x=-- y", "console=ttyS0 panic=-1 x=-- y rdinit=/provium-wrapper");
	check(NULL, "---", "console=ttyS0 panic=-1 --- rdinit=/provium-wrapper");
	check(NULL, "x=\"a -- b\"", "console=ttyS0 panic=-1 x=\"a -- b\" rdinit=/provium-wrapper");
	check(NULL, "\"x=a -- b\"", "console=ttyS0 panic=-1 \"x=a -- b\" rdinit=/provium-wrapper");
}
END_TEST

START_TEST(test_open_quote)
{
	check_refused(NULL, "x=\"a", "without a closing one");
	check_refused(NULL, "\"", "without a closing one");
	/* It would take the separator in. */
	check_refused(NULL, "x=\"a -- b", "without a closing one");
}
END_TEST

START_TEST(test_limit)
{
	struct vm_command_line parts = { .limit = LIMIT };
	size_t own = strlen("console=ttyS0 panic=-1  rdinit=/provium-wrapper");
	struct provium_error error;
	char append[LIMIT];
	char *line;

	memset(append, 'x', sizeof(append));
	append[LIMIT - own] = '\0';
	parts.append = append;
	line = vm_command_line(&parts, &error);
	ck_assert_ptr_nonnull(line);
	ck_assert_uint_eq(strlen(line), LIMIT);
	free(line);

	append[LIMIT - own] = 'x';
	append[LIMIT - own + 1] = '\0';
	ck_assert_ptr_null(vm_command_line(&parts, &error));
	ck_assert_int_eq(error.code, PROVIUM_INVALID);
	ck_assert_ptr_nonnull(strstr(error.message, "2048 bytes long"));
	ck_assert_ptr_nonnull(strstr(error.message, "takes 2047"));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("vm-command-line");
	TCase *tcase = unit_counted_case("command line");

	tcase_add_test(tcase, test_defaults);
	tcase_add_test(tcase, test_init);
	tcase_add_test(tcase, test_machine);
	tcase_add_test(tcase, test_bad_init);
	tcase_add_test(tcase, test_append);
	tcase_add_test(tcase, test_root_and_hold);
	tcase_add_test(tcase, test_separator);
	tcase_add_test(tcase, test_no_separator);
	tcase_add_test(tcase, test_open_quote);
	tcase_add_test(tcase, test_limit);
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
