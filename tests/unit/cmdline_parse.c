/* The kernel's command line: split as the kernel does, stopped at "--". */
#include "common/cmdline.h"

#include <stdlib.h>
#include <string.h>

#include "common/util.h"
#include "unit.h"

static const struct {
	const char *text;
	const char *init;
	const char *port;
	const char *log;
	bool hold;
} cases[] = {
	{ "", NULL, NULL, NULL, false },
	{ " \t\n ", NULL, NULL, NULL, false },
	{ "console=ttyS0 quiet", NULL, NULL, NULL, false },
	{ "provium.init=/sbin/init", "/sbin/init", NULL, NULL, false },
	{ "quiet provium.init=/i provium.port=7 provium.log=debug ro", "/i", "7", "debug", false },
	{ "\tprovium.init=/i\nprovium.port=7\n", "/i", "7", NULL, false },
	/* The last counts. */
	{ "provium.init=/a provium.init=/b", "/b", NULL, NULL, false },
	{ "provium.init=/a provium.init=", "", NULL, NULL, false },
	/* Without '=' it is no value, and names are compared whole. */
	{ "provium.init provium.initial=/x xprovium.init=/x", NULL, NULL, NULL, false },
	{ "provium_init=/x Provium.init=/x", NULL, NULL, NULL, false },
	{ "=provium.init=/x", NULL, NULL, NULL, false },
	{ "provium.init=a=b", "a=b", NULL, NULL, false },
	/* Quotes. */
	{ "provium.init=\"/a b\" provium.port=1", "/a b", "1", NULL, false },
	{ "\"provium.init=/a b\" provium.port=1", "/a b", "1", NULL, false },
	{ "provium.init=/a\" \"b", "/a\" \"b", NULL, NULL, false },
	{ "provium.init=\"/a b", "/a b", NULL, NULL, false },
	{ "provium.init=\"", "", NULL, NULL, false },
	{ "provium.init=\"\"", "", NULL, NULL, false },
	{ "provium.init=/a\"", "/a\"", NULL, NULL, false },
	{ "x=\" provium.init=/no \" provium.port=3", NULL, "3", NULL, false },
	{ "\"", NULL, NULL, NULL, false },
	{ "provium.init=/caf\xc3\xa0", "/caf\xc3\xa0", NULL, NULL, false },
	/* Behind "--" is init's. */
	{ "provium.init=/a -- provium.init=/b provium.hold", "/a", NULL, NULL, false },
	{ "--provium.init=/b", NULL, NULL, NULL, false },
	{ "--=1 provium.init=/b", "/b", NULL, NULL, false },
	{ "\"--\" provium.init=/b", NULL, NULL, NULL, false },
	{ "x=\" -- \" provium.init=/b", "/b", NULL, NULL, false },
	/* A switch. */
	{ "provium.hold", NULL, NULL, NULL, true },
	{ "provium.hold=1", NULL, NULL, NULL, true },
	{ "provium.hold=yes", NULL, NULL, NULL, true },
	{ "provium.hold=on", NULL, NULL, NULL, true },
	{ "provium.hold=off", NULL, NULL, NULL, false },
	{ "provium.hold=0", NULL, NULL, NULL, false },
	{ "provium.hold=", NULL, NULL, NULL, false },
	{ "provium.hold provium.hold=n", NULL, NULL, NULL, false },
};

static void assert_text(const char *found, const char *expected)
{
	if (expected)
		ck_assert_str_eq(found, expected);
	else
		ck_assert_ptr_null(found);
}

START_TEST(parses)
{
	char text[256];
	struct cmdline cmdline;

	strcpy(text, cases[_i].text);
	cmdline_parse(text, &cmdline);
	assert_text(cmdline.init, cases[_i].init);
	assert_text(cmdline.port, cases[_i].port);
	assert_text(cmdline.log, cases[_i].log);
	ck_assert_int_eq(cmdline.hold, cases[_i].hold);
}
END_TEST

START_TEST(parses_roots)
{
	char text[] =
		"root=/dev/sda1 rootfstype=ext4,xfs rootflags=noatime rootdelay=3 rootwait rw "
		"init=/i devtmpfs.mount=0 provium.root=\"PARTUUID=1-2\" x.root=/no root";
	char more[] = "rw rootwait=7 rootwait=8 ro ro=1 rw=1 -- root=/dev/no";
	struct cmdline cmdline;

	cmdline_parse(text, &cmdline);
	assert_text(cmdline.root, "/dev/sda1");
	assert_text(cmdline.rootfstype, "ext4,xfs");
	assert_text(cmdline.rootflags, "noatime");
	assert_text(cmdline.rootdelay, "3");
	assert_text(cmdline.rootwait, "");
	assert_text(cmdline.kernel_init, "/i");
	assert_text(cmdline.devtmpfs, "0");
	assert_text(cmdline.provium_root, "PARTUUID=1-2");
	ck_assert(cmdline.writable);
	assert_text(cmdline.init, NULL);

	cmdline_parse(more, &cmdline);
	assert_text(cmdline.root, NULL);
	assert_text(cmdline.rootwait, "8");
	ck_assert(!cmdline.writable);
}
END_TEST

/* Nothing outside the text is touched, wherever it is cut: the sanitizers look. */
START_TEST(cut_everywhere)
{
	const char *text = cases[_i].text;

	for (size_t length = 0; length <= strlen(text); length++) {
		char *copy = strndup(text, length);
		struct cmdline cmdline;

		cmdline_parse(copy, &cmdline);
		free(copy);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("cmdline-parse");
	TCase *tests = tcase_create("parse");

	tcase_add_loop_test(tests, parses, 0, (int)ARRAY_SIZE(cases));
	tcase_add_test(tests, parses_roots);
	tcase_add_loop_test(tests, cut_everywhere, 0, (int)ARRAY_SIZE(cases));
	suite_add_tcase(suite, tests);
	return unit_run(suite);
}
