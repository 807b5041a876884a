/* Which files are found, in which order, and what is remembered of them. */
#include "host/runner/plan.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "host/runner/directory.h"
#include "host/runner/state.h"
#include "unit.h"

static char root[PATH_MAX];

static void put(const char *name)
{
	char path[PATH_MAX + 64];
	FILE *file;

	snprintf(path, sizeof(path), "%s", name);
	for (char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		mkdir(path, 0700);
		*slash = '/';
	}
	file = fopen(path, "w");
	ck_assert_ptr_nonnull(file);
	fclose(file);
}

static void set_up(void)
{
	snprintf(root, sizeof(root), "/tmp/runner-plan-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(root));
	ck_assert_int_eq(chdir(root), 0);
	put("suite/b.lua");
	put("suite/a.lua");
	put("suite/B.lua");
	put("suite/net/tcp.lua");
	put("suite/net.lua");
	put("suite/fixtures/base.lua");
	put("suite/net/fixtures/base.lua");
	put("suite/helpers.lua");
	put("suite/notes.txt");
	put("suite/.lua");
	put("suite/lua");
	ck_assert_int_eq(mkdir("suite/directory.lua", 0700), 0);
	ck_assert_int_eq(mkfifo("suite/fifo.lua", 0600), 0);
}

static void tear_down(void)
{
	ck_assert_int_eq(chdir("/"), 0);
	directory_remove(root);
}

/* The names with a blank between them. */
static void are(const struct plan *plan, const char *wanted)
{
	char names[1024] = "";

	for (size_t i = 0; i < plan->count; i++) {
		strncat(names, i ? " " : "", sizeof(names) - strlen(names) - 1);
		strncat(names, plan->files[i].name, sizeof(names) - strlen(names) - 1);
	}
	ck_assert_str_eq(names, wanted);
}

static void discover(struct plan *plan, const char *one, const char *other)
{
	const char *const paths[] = { one, other, NULL };
	struct provium_error error;

	*plan = (struct plan){ 0 };
	if (plan_discover(plan, paths, &error) < 0)
		ck_abort_msg("%s", error.message);
}

START_TEST(finds)
{
	struct plan plan;

	discover(&plan, "suite", NULL);
	are(&plan, "B.lua a.lua b.lua helpers.lua net.lua net/tcp.lua");
	ck_assert_str_eq(plan.files[5].path, "suite/net/tcp.lua");
	ck_assert(strncmp(plan.files[5].absolute, "/tmp/", 5) == 0);
	plan_finish(&plan);

	/* Named, and so a suite of its own. */
	discover(&plan, "suite/fixtures//", NULL);
	are(&plan, "base.lua");
	ck_assert_str_eq(plan.files[0].path, "suite/fixtures/base.lua");
	plan_finish(&plan);
	discover(&plan, "suite/notes.txt", NULL);
	are(&plan, "suite/notes.txt");
	plan_finish(&plan);
	ck_assert_int_eq(chdir("suite/net"), 0);
	discover(&plan, ".", NULL);
	are(&plan, "tcp.lua");
	plan_finish(&plan);
}
END_TEST

START_TEST(finds_each_once)
{
	struct plan plan;

	discover(&plan, "suite/net", "suite/a.lua");
	are(&plan, "suite/a.lua suite/net/tcp.lua");
	plan_finish(&plan);
	discover(&plan, "suite", "suite/net");
	are(&plan, "suite/B.lua suite/a.lua suite/b.lua suite/helpers.lua suite/net.lua "
		   "suite/net/tcp.lua");
	plan_finish(&plan);
	discover(&plan, "suite/a.lua", "./suite/../suite/a.lua");
	ck_assert_uint_eq(plan.count, 1);
	plan_finish(&plan);
	ck_assert_int_eq(symlink("suite", "linked"), 0);
	discover(&plan, "suite", "linked");
	ck_assert_uint_eq(plan.count, 6);
	plan_finish(&plan);
}
END_TEST

START_TEST(follows_links)
{
	struct plan plan;

	ck_assert_int_eq(symlink("../suite", "suite/net/again"), 0);
	ck_assert_int_eq(symlink("tcp.lua", "suite/net/udp.lua"), 0);
	discover(&plan, "suite/net", NULL);
	/* A directory that is within itself is left out where it comes again. */
	ck_assert_uint_ge(plan.count, 2);
	plan_filter(&plan, (const char *const[]){ "dp.lua", NULL });
	ck_assert_uint_ge(plan.count, 1);
	plan_finish(&plan);
}
END_TEST

START_TEST(refuses)
{
	const char *const missing[] = { "suite", "none", NULL };
	const char *const dangling[] = { "suite", NULL };
	const char *const empty[] = { "empty", NULL };
	struct provium_error error;
	struct plan plan = { 0 };

	ck_assert_int_eq(plan_discover(&plan, missing, &error), -1);
	ck_assert_int_eq(error.code, PROVIUM_NOT_FOUND);
	ck_assert_str_eq(error.message, "'none': No such file or directory");
	ck_assert_uint_eq(plan.count, 0);
	ck_assert_int_eq(mkdir("empty", 0700), 0);
	ck_assert_int_eq(plan_discover(&plan, empty, &error), -1);
	ck_assert_str_eq(error.message, "'empty' holds no test: no *.lua");
	/* A link to nowhere is no test, and no error. */
	ck_assert_int_eq(symlink("nowhere", "suite/gone.lua"), 0);
	ck_assert_int_eq(plan_discover(&plan, dangling, &error), 0);
	ck_assert_uint_eq(plan.count, 6);
	plan_finish(&plan);
}
END_TEST

START_TEST(filters)
{
	static const struct {
		const char *patterns[3];
		const char *wanted;
	} cases[] = {
		{ { "net" }, "net.lua net/tcp.lua" },
		{ { "a.lua" }, "a.lua" },
		{ { "a.lua", "b.lua" }, "a.lua b.lua" },
		{ { "*.lua" }, "B.lua a.lua b.lua helpers.lua net.lua net/tcp.lua" },
		{ { "net/*" }, "net/tcp.lua" },
		{ { "[ab].lua" }, "a.lua b.lua" },
		{ { "*p" }, "" },
		{ { "none" }, "" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct plan plan;

		discover(&plan, "suite", NULL);
		plan_filter(&plan, cases[i].patterns);
		are(&plan, cases[i].wanted);
		plan_finish(&plan);
	}
}
END_TEST

/* Together the shards are the whole, and no file is in two. */
START_TEST(shards)
{
	for (unsigned int count = 1; count <= 8; count++) {
		size_t total = 0;

		for (unsigned int index = 1; index <= count; index++) {
			struct plan plan, whole;

			discover(&plan, "suite", NULL);
			discover(&whole, "suite", NULL);
			plan_shard(&plan, index, count);
			for (size_t i = 0; i < plan.count; i++)
				ck_assert_str_eq(plan.files[i].path,
						 whole.files[index - 1 + i * count].path);
			total += plan.count;
			plan_finish(&plan);
			plan_finish(&whole);
		}
		ck_assert_uint_eq(total, 6);
	}
}
END_TEST

START_TEST(remembers)
{
	const char *path = "/home/me/suite/a.lua";
	struct provium_error error;
	char directory[PATH_MAX];

	ck_assert_int_eq(setenv("XDG_STATE_HOME", root, 1), 0);
	ck_assert(state_directory(directory));
	ck_assert(!state_has_failed(directory, path));
	ck_assert_int_eq(state_remember(directory, path, false, &error), 0);
	ck_assert_int_eq(state_remember(directory, path, true, &error), 0);
	ck_assert_int_eq(state_remember(directory, path, true, &error), 0);
	ck_assert(state_has_failed(directory, path));
	ck_assert(!state_has_failed(directory, "/home/me/suite"));
	ck_assert(!state_has_failed(directory, "/home/me/suite/b.lua"));
	ck_assert_int_eq(state_remember(directory, "/home/me/b.lua", true, &error), 0);
	ck_assert_int_eq(state_remember(directory, path, false, &error), 0);
	ck_assert(!state_has_failed(directory, path));
	ck_assert(state_has_failed(directory, "/home/me/b.lua"));
	/* What is empty goes, and nothing else. */
	ck_assert_int_eq(state_remember(directory, "/home/me/b.lua", false, &error), 0);
	ck_assert_int_eq(access(directory, F_OK), 0);
	ck_assert_int_eq(rmdir(directory), 0);

	ck_assert_int_eq(setenv("XDG_STATE_HOME", "relative", 1), 0);
	ck_assert_int_eq(setenv("HOME", "/h", 1), 0);
	ck_assert(state_directory(directory));
	ck_assert_str_eq(directory, "/h/.local/state/provium/failed");
	ck_assert_int_eq(unsetenv("HOME"), 0);
	ck_assert(!state_directory(directory));
}
END_TEST

START_TEST(makes_directories)
{
	struct run_directory directory;
	struct provium_error error;
	char *logs, *temporary;

	ck_assert_int_eq(setenv("TMPDIR", root, 1), 0);
	ck_assert_int_eq(run_directory_make(&directory, &error), 0);
	logs = run_directory_logs(&directory, 7, "../net/tcp.lua", &error);
	ck_assert_ptr_nonnull(logs);
	ck_assert_str_eq(logs + strlen(directory.path), "/007-.._net_tcp.lua");
	ck_assert_ptr_null(run_directory_logs(&directory, 7, "../net/tcp.lua", &error));
	temporary = run_directory_temporary(&directory, 1, &error);
	ck_assert_ptr_nonnull(temporary);
	run_directory_finish(&directory);
	ck_assert_int_ne(access(temporary, F_OK), 0);
	ck_assert_int_eq(access(logs, F_OK), 0);
	directory_remove(logs);
	run_directory_finish(&directory);
	ck_assert_str_eq(directory.path, "");
	free(logs);
	free(temporary);

	ck_assert_int_eq(setenv("TMPDIR", "/nowhere", 1), 0);
	ck_assert_int_eq(run_directory_make(&directory, &error), -1);
	ck_assert_str_eq(error.message,
			 "temporary directory '/nowhere': No such file or directory");
}
END_TEST

int main(void)
{
	Suite *tests = suite_create("runner-plan");
	TCase *tcase = unit_counted_case("plan");

	tcase_add_checked_fixture(tcase, set_up, tear_down);
	tcase_add_test(tcase, finds);
	tcase_add_test(tcase, finds_each_once);
	tcase_add_test(tcase, follows_links);
	tcase_add_test(tcase, refuses);
	tcase_add_test(tcase, filters);
	tcase_add_test(tcase, shards);
	tcase_add_test(tcase, remembers);
	tcase_add_test(tcase, makes_directories);
	suite_add_tcase(tests, tcase);
	return unit_run(tests);
}
