/* Values of options: what is taken, and that everything else is refused. */
#include "host/cli/options/values.h"

#include <stdlib.h>
#include <string.h>

#include "common/util.h"
#include "unit.h"

static const char *const colours[] = { "red", "green", "blue", NULL };
static const struct option_spec spec = {
	.name = "option",
	.value = "VALUE",
	.choices = colours,
};
static struct provium_error error;

/* Parsers may write into the value. */
static int parse(option_parse_fn function, const char *value, void *field)
{
	static char copy[256];

	ck_assert_uint_lt(strlen(value), sizeof(copy));
	strcpy(copy, value);
	memset(&error, 0, sizeof(error));
	return function(&spec, copy, field, &error);
}

static void refuse(option_parse_fn function, const char *value, void *field)
{
	if (parse(function, value, field) == 0)
		ck_abort_msg("'%s' was taken", value);
	ck_assert_int_eq(error.code, PROVIUM_INVALID);
	ck_assert(*error.message);
}

START_TEST(sizes)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} good[] = {
		{ "1", 1 },
		{ "1048576", 1048576 },
		{ "1k", 1024 },
		{ "1K", 1024 },
		{ "512M", UINT64_C(512) << 20 },
		{ "512m", UINT64_C(512) << 20 },
		{ "1G", UINT64_C(1) << 30 },
		{ "3T", UINT64_C(3) << 40 },
		{ "0512M", UINT64_C(512) << 20 },
		{ "18446744073709551615", UINT64_MAX },
		{ "16777215T", UINT64_C(16777215) << 40 },
	};
	static const char *const bad[] = {
		"",
		"0",
		"0K",
		"-1",
		"+1",
		" 1",
		"1 ",
		"M",
		"1MB",
		"1MiB",
		"1X",
		"1.5G",
		"0x10",
		"1e3",
		"18446744073709551616",
		"16777216T",
		"99999999999999999999999",
		/* One bit away from a letter. */
		"1\x0b",
		"1+",
	};
	uint64_t bytes;

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		bytes = 0;
		if (parse(parse_size, good[i].text, &bytes) < 0)
			ck_abort_msg("'%s': %s", good[i].text, error.message);
		ck_assert_uint_eq(bytes, good[i].bytes);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		bytes = 7;
		refuse(parse_size, bad[i], &bytes);
		ck_assert_uint_eq(bytes, 7);
	}
}
END_TEST

START_TEST(seconds)
{
	static const struct {
		const char *text;
		uint64_t milliseconds;
	} good[] = {
		{ "1", 1000 },      { "0.5", 500 },
		{ "0.001", 1 },     { "1.25", 1250 },
		{ "1.2345", 1234 }, { "2147483", UINT64_C(2147483000) },
		{ "10.0", 10000 },  { "2147483.647", UINT64_C(2147483647) },
	};
	static const char *const bad[] = {
		"",
		"0",
		"0.0",
		"0.0001",
		".5",
		"1.",
		"-1",
		"+1",
		" 1",
		"1s",
		"1.5s",
		"1.2.3",
		"1e3",
		"inf",
		"nan",
		"2147483.648",
		"2147484",
		/* Times 1000, and with a fraction, these would wrap around. */
		"18446744073709551.999",
		"18446744073709552",
		"99999999999999999999",
	};
	uint64_t milliseconds;

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		milliseconds = 0;
		if (parse(parse_seconds, good[i].text, &milliseconds) < 0)
			ck_abort_msg("'%s': %s", good[i].text, error.message);
		ck_assert_uint_eq(milliseconds, good[i].milliseconds);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		milliseconds = 7;
		refuse(parse_seconds, bad[i], &milliseconds);
		ck_assert_uint_eq(milliseconds, 7);
	}
}
END_TEST

START_TEST(counts)
{
	static const char *const bad[] = { "", "0", "65536", "-1", "1.0", "x", "1x", "4294967297" };
	unsigned int count = 0;

	ck_assert_int_eq(parse(parse_count, "1", &count), 0);
	ck_assert_uint_eq(count, 1);
	ck_assert_int_eq(parse(parse_count, "65535", &count), 0);
	ck_assert_uint_eq(count, 65535);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		refuse(parse_count, bad[i], &count);
}
END_TEST

START_TEST(whole_numbers)
{
	static const char *const bad[] = { "",    "-1", "+1",   " 1",
					   "1.0", "1 ", "0x10", "18446744073709551616" };
	uint64_t number = 1;

	ck_assert_int_eq(parse(parse_whole_number, "0", &number), 0);
	ck_assert_uint_eq(number, 0);
	ck_assert_int_eq(parse(parse_whole_number, "007", &number), 0);
	ck_assert_uint_eq(number, 7);
	ck_assert_int_eq(parse(parse_whole_number, "18446744073709551615", &number), 0);
	ck_assert_uint_eq(number, UINT64_MAX);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		refuse(parse_whole_number, bad[i], &number);
	ck_assert_uint_eq(number, UINT64_MAX);
}
END_TEST

START_TEST(choices)
{
	unsigned int chosen = 9;

	ck_assert_int_eq(parse(parse_choice, "green", &chosen), 0);
	ck_assert_uint_eq(chosen, 1);
	refuse(parse_choice, "", &chosen);
	refuse(parse_choice, "gree", &chosen);
	refuse(parse_choice, "GREEN", &chosen);
	ck_assert_uint_eq(chosen, 1);
}
END_TEST

START_TEST(files)
{
	static const char *const bad[] = {
		"", "=", "/guest", "/guest=", "=/host", "guest=/host", "./guest=/host",
	};
	char first[] = "/etc/one=one";
	char second[] = "/etc/two=dir/with=equals";
	struct file_list list = { 0 };

	ck_assert_int_eq(parse_file(&spec, first, &list, &error), 0);
	ck_assert_int_eq(parse_file(&spec, second, &list, &error), 0);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		refuse(parse_file, bad[i], &list);
	ck_assert_uint_eq(list.count, 2);
	ck_assert_str_eq(list.items[0].guest_path, "/etc/one");
	ck_assert_str_eq(list.items[0].host_path, "one");
	ck_assert_str_eq(list.items[1].guest_path, "/etc/two");
	ck_assert_str_eq(list.items[1].host_path, "dir/with=equals");
	free(list.items);
}
END_TEST

START_TEST(disks)
{
	static const struct {
		char text[16];
		const char *path;
		bool readonly;
	} cases[] = {
		{ "disk.img", "disk.img", false },
		{ "disk.img,ro", "disk.img", true },
		{ "a,b", "a,b", false },
		{ "a,b,ro", "a,b", true },
		{ "a,ro,ro", "a,ro", true },
		{ "a,rw", "a,rw", false },
		{ "ro", "ro", false },
	};
	struct disk_list list = { 0 };
	char texts[ARRAY_SIZE(cases)][sizeof(cases[0].text)];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		strcpy(texts[i], cases[i].text);
		ck_assert_int_eq(parse_disk(&spec, texts[i], &list, &error), 0);
	}
	refuse(parse_disk, "", &list);
	refuse(parse_disk, ",ro", &list);
	ck_assert_uint_eq(list.count, ARRAY_SIZE(cases));
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		ck_assert_str_eq(list.items[i].path, cases[i].path);
		ck_assert_int_eq(list.items[i].readonly, cases[i].readonly);
		ck_assert_ptr_null(list.items[i].format);
	}
	free(list.items);
}
END_TEST

START_TEST(environment)
{
	char one[] = "A=1", empty[] = "B=", equals[] = "C=a=b";
	struct string_list list = { 0 };

	ck_assert_int_eq(parse_environment(&spec, one, &list, &error), 0);
	ck_assert_int_eq(parse_environment(&spec, empty, &list, &error), 0);
	ck_assert_int_eq(parse_environment(&spec, equals, &list, &error), 0);
	refuse(parse_environment, "", &list);
	refuse(parse_environment, "A", &list);
	refuse(parse_environment, "=1", &list);
	ck_assert_uint_eq(list.count, 3);
	ck_assert_str_eq(list.items[0], "A=1");
	ck_assert_str_eq(list.items[1], "B=");
	ck_assert_str_eq(list.items[2], "C=a=b");
	ck_assert_ptr_null(list.items[3]);
	free(list.items);
}
END_TEST

START_TEST(signals)
{
	static const char *const bad[] = {
		"", "0", "65", "-1", "TERMINATE", "SIG", "SIG15", "15x", "18446744073709551631",
	};
	static const struct {
		const char *text;
		unsigned int number;
	} good[] = {
		{ "1", 1 },       { "64", 64 },      { "TERM", 15 },
		{ "SIGKILL", 9 }, { "sigusr1", 10 }, { "int", 2 },
	};
	unsigned int number = 0;

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		ck_assert_int_eq(parse(parse_signal, good[i].text, &number), 0);
		ck_assert_uint_eq(number, good[i].number);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		refuse(parse_signal, bad[i], &number);
}
END_TEST

START_TEST(users)
{
	static const char *const bad[] = {
		"",   ":",          "1:",           ":1",    "root", "1:staff",
		"-1", "4294967295", "1:4294967295", "1:2:3", "1,2",
	};
	struct user user = { 0 };

	ck_assert_int_eq(parse(parse_user, "0", &user), 0);
	ck_assert(user.has_uid && !user.has_gid);
	ck_assert_uint_eq(user.uid, 0);
	ck_assert_int_eq(parse(parse_user, "1000:4294967294", &user), 0);
	ck_assert(user.has_uid && user.has_gid);
	ck_assert_uint_eq(user.uid, 1000);
	ck_assert_uint_eq(user.gid, 4294967294u);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		refuse(parse_user, bad[i], &user);
	ck_assert_uint_eq(user.uid, 1000);
}
END_TEST

START_TEST(groups)
{
	static const char *const bad[] = {
		"", ",", "1,", ",1", "1,,2", "1;2", "wheel", "4294967295"
	};
	struct id_list list = { 0 };

	ck_assert_int_eq(parse(parse_groups, "5", &list), 0);
	ck_assert_int_eq(parse(parse_groups, "0,4294967294", &list), 0);
	ck_assert_uint_eq(list.count, 3);
	ck_assert_uint_eq(list.items[0], 5);
	ck_assert_uint_eq(list.items[1], 0);
	ck_assert_uint_eq(list.items[2], 4294967294u);
	free(list.items);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		list = (struct id_list){ 0 };
		refuse(parse_groups, bad[i], &list);
		free(list.items);
	}
}
END_TEST

START_TEST(niceness)
{
	static const char *const bad[] = { "", "-", "20", "-21", "+1", "1.5", "--1", " 1", "1 " };
	int nice = 0;

	ck_assert_int_eq(parse(parse_nice, "19", &nice), 0);
	ck_assert_int_eq(nice, 19);
	ck_assert_int_eq(parse(parse_nice, "-20", &nice), 0);
	ck_assert_int_eq(nice, -20);
	ck_assert_int_eq(parse(parse_nice, "0", &nice), 0);
	ck_assert_int_eq(nice, 0);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		refuse(parse_nice, bad[i], &nice);
}
END_TEST

START_TEST(rlimits)
{
	static const struct {
		const char *text;
		struct provium_rlimit rlimit;
	} good[] = {
		{ "cpu=0", { 0, 0, 0 } },
		{ "nofile=10:20", { 7, 10, 20 } },
		{ "as=1G:unlimited", { 9, 1 << 30, UINT64_MAX } },
		{ "core=unlimited", { 4, UINT64_MAX, UINT64_MAX } },
		{ "rttime=3k:3K", { 15, 3072, 3072 } },
	};
	static const char *const bad[] = {
		"",          "cpu",         "cpu=",          "=1",
		"files=1",   "CPU=1",       "nofil=1",       "nofile=1:",
		"nofile=:1", "nofile=2:1",  "nofile=1:2:3",  "nofile=unlimited:1",
		"nofile=-1", "nofile=1 ",   "nofile=1X",     "nofile=18446744073709551616",
		"as=1KK",    "as=infinity", "as=unlimitedX",
	};
	struct rlimit_list list = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		ck_assert_int_eq(parse(parse_rlimit, good[i].text, &list), 0);
		ck_assert_uint_eq(list.count, i + 1);
		ck_assert_uint_eq(list.items[i].resource, good[i].rlimit.resource);
		ck_assert_uint_eq(list.items[i].soft, good[i].rlimit.soft);
		ck_assert_uint_eq(list.items[i].hard, good[i].rlimit.hard);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		refuse(parse_rlimit, bad[i], &list);
	ck_assert_uint_eq(list.count, ARRAY_SIZE(good));
	free(list.items);
}
END_TEST

START_TEST(strings)
{
	const char *text = NULL;
	bool flag = false;

	ck_assert_int_eq(parse(parse_string, "text", &text), 0);
	ck_assert_str_eq(text, "text");
	refuse(parse_string, "", &text);
	ck_assert_int_eq(parse_flag(&spec, NULL, &flag, &error), 0);
	ck_assert(flag);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("cli values");
	TCase *tcase = tcase_create("values");

	tcase_add_test(tcase, sizes);
	tcase_add_test(tcase, seconds);
	tcase_add_test(tcase, counts);
	tcase_add_test(tcase, whole_numbers);
	tcase_add_test(tcase, choices);
	tcase_add_test(tcase, files);
	tcase_add_test(tcase, disks);
	tcase_add_test(tcase, environment);
	tcase_add_test(tcase, signals);
	tcase_add_test(tcase, users);
	tcase_add_test(tcase, groups);
	tcase_add_test(tcase, niceness);
	tcase_add_test(tcase, rlimits);
	tcase_add_test(tcase, strings);
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
