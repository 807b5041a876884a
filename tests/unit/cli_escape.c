/* What is typed into a guest's terminal, however its bytes are cut, and what of it is for provium.
 */
#include "host/cli/session/escape.h"

#include <string.h>

#include "common/util.h"
#include "unit.h"

static struct escape escape;
static char received[256];
static size_t count;
/* The escapes in order: '.', 'Z' and '?'. */
static char seen[16];

static void type(const char *keys, size_t size)
{
	static const char names[] = {
		[ESCAPE_END] = '.',
		[ESCAPE_SUSPEND] = 'Z',
		[ESCAPE_HELP] = '?',
	};
	size_t used = 0;

	while (used < size) {
		size_t before = count;
		enum escape_action action;
		size_t piece =
			escape_filter(&escape, keys + used, size - used, received, &count, &action);

		ck_assert_uint_gt(piece, 0);
		ck_assert_uint_le(piece, size - used);
		ck_assert_uint_le(count - before, piece + 1);
		used += piece;
		if (action != ESCAPE_NONE)
			seen[strlen(seen)] = names[action];
		else
			ck_assert_uint_eq(used, size);
	}
}

static const struct {
	const char *keys;
	const char *received;
	const char *seen;
} cases[] = {
	{ "plain", "plain", "" },
	{ "~.", "", "." },
	{ "~?", "", "?" },
	{ "~\x1a", "", "Z" },
	{ "~~", "~", "" },
	{ "~~.", "~.", "" },
	{ "~x", "~x", "" },
	{ "~", "", "" },
	{ "a~.", "a~.", "" },
	{ " ~.", " ~.", "" },
	{ "a\r~.", "a\r", "." },
	{ "a\n~.", "a\n", "." },
	{ "\r\n~?b", "\r\nb", "?" },
	{ "\x03~.", "\x03~.", "" },
	{ "~\r~.", "~\r", "." },
	{ "~~\r~~\r", "~\r~\r", "" },
	/* Behind an escape a line begins: nothing of it went to the guest. */
	{ "~?~\x1a~.", "", "?Z." },
	{ "~x~.", "~x~.", "" },
	{ "\r~a\r~.", "\r~a\r", "." },
};

START_TEST(whole)
{
	type(cases[_i].keys, strlen(cases[_i].keys));
	ck_assert_uint_eq(count, strlen(cases[_i].received));
	ck_assert_mem_eq(received, cases[_i].received, count);
	ck_assert_str_eq(seen, cases[_i].seen);
}
END_TEST

START_TEST(byte_by_byte)
{
	for (const char *key = cases[_i].keys; *key; key++)
		type(key, 1);
	ck_assert_uint_eq(count, strlen(cases[_i].received));
	ck_assert_mem_eq(received, cases[_i].received, count);
	ck_assert_str_eq(seen, cases[_i].seen);
}
END_TEST

START_TEST(every_byte)
{
	for (int c = 0; c < 256; c++) {
		char key = (char)c;

		escape = (struct escape){ 0 };
		count = 0;
		type(&key, 1);
		ck_assert_uint_eq(count, c == '~' ? 0 : 1);
		ck_assert(count == 0 || received[0] == key);
	}
	ck_assert_str_eq(seen, "");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("cli escape");
	TCase *tcase = tcase_create("escape");

	tcase_add_loop_test(tcase, whole, 0, ARRAY_SIZE(cases));
	tcase_add_loop_test(tcase, byte_by_byte, 0, ARRAY_SIZE(cases));
	tcase_add_test(tcase, every_byte);
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
