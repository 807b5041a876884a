/*
 * REMOVE: names, trees of every shape, and others who change a tree while it is removed.
 *
 * agent_os.c takes the place of the library's os.c: what others do is done just before a chosen
 * system call of the agent.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent_files.h"
#include "agent_os.h"
#include "common/cleanup.h"
#include "common/util.h"
#include "unit.h"

/* Where the tree is, and its top. */
static char base[240], top[256];

static void set_base(const char *path)
{
	snprintf(base, sizeof(base), "%s", path);
	snprintf(top, sizeof(top), "%s/top", base);
}

static void start(void)
{
	files_start();
	set_base(test_path(""));
}

/* Large trees are made in memory, where that can be. */
static void start_mounted(void)
{
	files_start_mounted();
	set_base(test_path(is_mounted() ? "mount" : ""));
}

static uint32_t send_remove(const char *path, bool recursive)
{
	Provium__V1__Remove request = PROVIUM__V1__REMOVE__INIT;

	SET(request, path, bytes_of(path));
	SET(request, recursive, recursive);
	return send_body(&client, BODY(REMOVE), &request);
}

static bool exists(const char *path)
{
	return faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* Runs in a shell of the agent's, in the base. */
static void shell(const char *script)
{
	struct outcome outcome;
	char command[1024];

	snprintf(command, sizeof(command), "cd '%s' && %s", base, script);
	client_run(&client, command, &outcome);
	outcome_expect_exit(&outcome, 0);
	outcome_free(&outcome);
}

/* ------------------------------------------------------------------------------------------- */

START_TEST(names)
{
	Provium__V1__Remove request = PROVIUM__V1__REMOVE__INIT;
	uint32_t id;

	shell("mkdir -p top/empty top/full && touch top/file top/full/file && "
	      "ln -s full top/link && mkfifo top/fifo");
	for (size_t i = 0; i < 4; i++) {
		static const char *const paths[] = { "top/empty", "top/file", "top/link",
						     "top/fifo" };

		client_expect_ok(&client, send_remove(test_path(paths[i]), _i));
		ck_assert(!exists(test_path(paths[i])));
		client_expect_os_error(&client, send_remove(test_path(paths[i]), _i), ENOENT, "");
	}
	id = send_remove(test_path("top/full"), _i);
	if (!_i) {
		client_expect_os_error(&client, id, ENOTEMPTY, "top/full\"");
		ck_assert(exists(test_path("top/full/file")));
	} else {
		client_expect_ok(&client, id);
		ck_assert(!exists(test_path("top/full")));
	}
	/* It may be missing, and so may its directory; a file above is something else. */
	SET(request, missing_ok, true);
	SET(request, recursive, _i);
	SET(request, path, bytes_of(test_path("top/none")));
	expect_done(BODY(REMOVE), &request);
	request.path = bytes_of(test_path("none/none"));
	expect_done(BODY(REMOVE), &request);
	request.path = bytes_of(test_path("socket/none"));
	expect_refused(BODY(REMOVE), &request, ENOTDIR);
	client_expect_os_error(&client, send_remove(test_path("none/none"), _i), ENOENT, "");
}
END_TEST

/* What has no name of its own is not removed. */
START_TEST(no_names)
{
	static const char *const paths[] = { "/",      "//",       "/.",      "/..",
					     "top/..", "top/../.", "top/./.", "top/.//" };

	shell("mkdir -p top/full && touch top/full/file");
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
		client_expect_os_error(
			&client,
			send_remove(paths[i][0] == '/' ? paths[i] : test_path(paths[i]), _i),
			EINVAL, "");
	ck_assert(exists(test_path("top/full/file")));
}
END_TEST

/* A link is removed, and what it leads to is not: at the top, with a slash behind it, and below. */
START_TEST(links)
{
	shell("mkdir -p outside/dir top/dir && touch outside/dir/file && "
	      "ln -s ../outside top/link && ln -s ../../outside/dir top/dir/link && "
	      "ln -s ../../outside/dir/file top/dir/file && ln -s outside link && ln -s outside "
	      "two");
	client_expect_ok(&client, send_remove(test_path("link"), true));
	ck_assert(!exists(test_path("link")));
	client_expect_ok(&client, send_remove(test_path("two//"), true));
	ck_assert(!exists(test_path("two")));
	client_expect_ok(&client, send_remove(top, true));
	ck_assert(!exists(top));
	ck_assert(exists(test_path("outside/dir/file")));
}
END_TEST

/* Some of everything, several times what a step does and a buffer holds. */
START_TEST(wide_tree)
{
	shell("mkdir top && cd top && for a in 0 1 2 3 4 5 6 7 8 9; do mkdir $a; (cd $a; "
	      "for b in 0 1 2 3 4 5 6 7 8 9; do mkdir $b $b.empty; touch $b/0 $b/1 $b/2; done; "
	      "seq 1000 1200 | xargs touch); done");
	client_expect_ok(&client, send_remove(top, true));
	ck_assert(!exists(top));
}
END_TEST

/* ------------------------------------------------------------------------------------------- */
/* Depth */

/* Directories one in the other below top, with so many files in the last. */
static void make_deep(int depth, int files)
{
	int fd;

	ck_assert_int_eq(mkdir(top, 0700), 0);
	fd = open(top, O_PATH | O_CLOEXEC);
	for (int i = 1; i < depth; i++) {
		int below;

		ck_assert_int_eq(mkdirat(fd, "d", 0700), 0);
		below = openat(fd, "d", O_PATH | O_CLOEXEC);
		ck_assert_int_ge(below, 0);
		close(fd);
		fd = below;
	}
	for (int i = 0; i < files; i++) {
		char name[16];

		snprintf(name, sizeof(name), "%d", i);
		ck_assert_int_eq(mknodat(fd, name, S_IFREG | 0600, 0), 0);
	}
	close(fd);
}

/* With few fds and little memory, while others go on. */
START_TEST(deep_tree)
{
	const Provium__V1__Message *message;
	struct client other;
	size_t resident;
	uint32_t fds, id;

	make_deep(10000, 3);
	client_connect(&other);
	fds = client_info(&other).open_fds;
	resident = resident_bytes();
	id = send_remove(top, true);
	do {
		ck_assert_uint_le(client_info(&other).open_fds, fds + 20);
	} while (!client_is_readable(&client, 0));
	message = client_expect(&client, BODY(OK));
	ck_assert_uint_eq(message->id, id);
	ck_assert(!exists(top));
	if (!WITH_ADDRESS_SANITIZER)
		ck_assert_uint_le(resident_bytes(), resident + MIB(1));
	client_close(&other);
}
END_TEST

START_TEST(cancelled)
{
	uint32_t id, cancel;

	make_deep(100, 5000);
	id = send_remove(top, true);
	cancel = client_cancel(&client, id);
	client_expect_error(&client, id, CODE(CANCELLED), "REMOVE: cancelled after");
	client_expect_ok(&client, cancel);
	ck_assert(exists(top));
	/* The connection ends in the middle of it. */
	send_remove(top, true);
	client_close(&client);
	client_connect(&client);
	client_expect_ok(&client, send_remove(top, true));
}
END_TEST

/* ------------------------------------------------------------------------------------------- */
/* Others */

static char inside[256], outside[256];

static void swap(void)
{
	ck_assert_int_eq(renameat2(AT_FDCWD, inside, AT_FDCWD, outside, RENAME_EXCHANGE), 0);
}

/* A directory becomes a link just before it is entered, which leads nowhere. */
START_TEST(link_for_directory)
{
	shell("mkdir -p top/dir/dir away && touch top/dir/dir/file away/file && ln -s ../away "
	      "link");
	snprintf(inside, sizeof(inside), "%s", test_path("top/dir"));
	snprintf(outside, sizeof(outside), "%s", test_path("link"));
	os_before(OS_OPENAT2, 1, swap);
	client_expect_ok(&client, send_remove(top, true));
	ck_assert(!exists(top));
	ck_assert(exists(test_path("away/file")));
	/* What was swapped out stays. */
	ck_assert(exists(test_path("link/dir/file")));
}
END_TEST

/* A name that is a directory for one call and none for the next is tried again. */
START_TEST(directory_for_file)
{
	shell("mkdir -p top other && touch top/file other/file");
	snprintf(inside, sizeof(inside), "%s", test_path("top/file"));
	snprintf(outside, sizeof(outside), "%s", test_path("other"));
	/* The top twice, then the file. */
	os_before(OS_UNLINK, 1, swap);
	client_expect_ok(&client, send_remove(top, true));
	ck_assert(!exists(top));
}
END_TEST

static void move_away(void)
{
	ck_assert_int_eq(rename(inside, outside), 0);
}

/*
 * A directory is moved away while the agent is far below it: the way up would lead to another's
 * directory, which is noticed.
 */
START_TEST(moved_away)
{
	shell("mkdir -p away/keep && touch away/keep/file");
	make_deep(40, 10);
	snprintf(inside, sizeof(inside), "%s", test_path("top/d/d"));
	snprintf(outside, sizeof(outside), "%s", test_path("away/moved"));
	/* Down to the last, and the first way up. */
	os_before(OS_OPENAT2, 40, move_away);
	client_expect_os_error(&client, send_remove(top, true), ESTALE, "after");
	ck_assert(exists(test_path("away/keep/file")));
	ck_assert(exists(test_path("away/moved")));
	ck_assert(exists(test_path("top/d")));
	client_ping(&client);
}
END_TEST

static void add_file(void)
{
	int fd = open(inside, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	ck_assert_int_ge(fd, 0);
	close(fd);
}

/* What appears behind us is removed as well. */
START_TEST(filled_again)
{
	shell("mkdir -p top/dir && touch top/dir/a");
	snprintf(inside, sizeof(inside), "%s", test_path("top/dir/b"));
	/* top, top/dir, dir/a, and then dir again. */
	os_before(OS_UNLINK, 3, add_file);
	client_expect_ok(&client, send_remove(top, true));
	ck_assert(!exists(top));
}
END_TEST

static void remove_inside(void)
{
	ck_assert_int_eq(unlink(test_path("top/dir/a")), 0);
	ck_assert_int_eq(rmdir(inside), 0);
}

/* Another has removed a directory that we are in. */
START_TEST(removed_by_another)
{
	shell("mkdir -p top/dir && touch top/dir/a top/b");
	snprintf(inside, sizeof(inside), "%s", test_path("top/dir"));
	/* The list of top, then that of dir. */
	os_before(OS_LIST, 1, remove_inside);
	client_expect_ok(&client, send_remove(top, true));
	ck_assert(!exists(top));
}
END_TEST

/* A file system that says "not empty" of what looks empty does not keep us for ever. */
START_TEST(never_empty)
{
	shell("mkdir -p top/dir");
	os_fail(OS_UNLINK, ENOTEMPTY, 1, 1000);
	client_expect_os_error(&client, send_remove(top, true), ENOTEMPTY, "top\" at \"dir\"");
	client_ping(&client);
}
END_TEST

static atomic_bool swapping;

static void *keep_swapping(void *unused)
{
	(void)unused;
	/* Each may be missing for now. */
	while (swapping)
		(void)renameat2(AT_FDCWD, inside, AT_FDCWD, outside, RENAME_EXCHANGE);
	return NULL;
}

/* The same without any order: whatever comes of the tree, nothing outside is touched. */
START_TEST(attacker)
{
	pthread_t thread;

	shell("mkdir -p away/dir && touch away/file away/dir/file && ln -s ../away link");
	snprintf(inside, sizeof(inside), "%s", test_path("top/d"));
	snprintf(outside, sizeof(outside), "%s", test_path("link"));
	swapping = true;
	ck_assert_int_eq(pthread_create(&thread, NULL, keep_swapping, NULL), 0);
	for (int round = 0; round < 100; round++) {
		const Provium__V1__Message *message;

		/* A link may stand in the way, and then is what is removed. */
		(void)mkdir(top, 0700);
		(void)mkdir(inside, 0700);
		(void)mkdir(test_path("top/d/e"), 0700);
		(void)mkdir(test_path("top/d/e/f"), 0700);
		send_remove(top, true);
		message = client_receive(&client);
		ck_assert(message->body_case == BODY(OK) || message->body_case == BODY(ERROR));
		ck_assert(exists(test_path("away/dir/file")) && exists(test_path("away/file")));
	}
	swapping = false;
	pthread_join(thread, NULL);
}
END_TEST

/* ------------------------------------------------------------------------------------------- */
/* Failures, and mounts */

START_TEST(failures)
{
	static const struct {
		enum os_call call;
		unsigned int after;
		int error;
	} cases[] = {
		{ OS_OPEN, 0, EMFILE },    { OS_UNLINK, 0, EPERM },   { OS_UNLINK, 2, EIO },
		{ OS_OPENAT2, 0, EACCES }, { OS_OPENAT2, 1, EMFILE }, { OS_OPENAT2, 25, EMFILE },
		{ OS_STATX, 0, EIO },      { OS_STATX, 30, EIO },     { OS_LIST, 0, EIO },
	};

	make_deep(25, 1);
	os_fail(cases[_i].call, cases[_i].error, cases[_i].after, 1);
	client_expect_os_error(&client, send_remove(top, true), cases[_i].error, "/top\"");
	ck_assert_uint_eq(os_failures_left(cases[_i].call), 0);
	ck_assert(exists(top));
	client_expect_ok(&client, send_remove(top, true));
}
END_TEST

/* Nothing on another mount is touched; what was before it is gone. */
START_TEST(mount_point)
{
	char below[300];

	if (!can_mount())
		return;
	set_base(test_path(""));
	shell("mkdir -p top/dir/point && touch mount/file top/dir/file");
	snprintf(below, sizeof(below), "%s/dir/point", top);
	client_expect_os_error(&client, send_remove(test_path("mount"), true), EBUSY, "mount\"");
	ck_assert_int_eq(mount(test_path("mount"), below, NULL, MS_BIND, NULL), 0);
	client_expect_os_error(&client, send_remove(top, true), EBUSY, "at \"point\"");
	ck_assert(exists(test_path("mount/file")));
	ck_assert_int_eq(umount(below), 0);
	client_expect_ok(&client, send_remove(top, true));
	ck_assert(exists(test_path("mount/file")));
}
END_TEST

static Suite *remove_suite(void)
{
	Suite *suite = suite_create("agent: removing");
	TCase *tcase = unit_counted_case("connected");
	TCase *mounts = unit_counted_case("with mounts");

	tcase_add_checked_fixture(tcase, start, agent_stop_connected);
	tcase_add_loop_test(tcase, names, 0, 2);
	tcase_add_loop_test(tcase, no_names, 0, 2);
	tcase_add_test(tcase, links);
	tcase_add_test(tcase, link_for_directory);
	tcase_add_test(tcase, directory_for_file);
	tcase_add_test(tcase, moved_away);
	tcase_add_test(tcase, filled_again);
	tcase_add_test(tcase, removed_by_another);
	tcase_add_test(tcase, never_empty);
	tcase_add_test(tcase, attacker);
	tcase_add_loop_test(tcase, failures, 0, 9);
	tcase_set_timeout(tcase, 120);
	suite_add_tcase(suite, tcase);

	tcase_add_checked_fixture(mounts, start_mounted, files_stop_mounted);
	tcase_add_test(mounts, wide_tree);
	tcase_add_test(mounts, deep_tree);
	tcase_add_test(mounts, cancelled);
	tcase_add_test(mounts, mount_point);
	tcase_set_timeout(mounts, 120);
	suite_add_tcase(suite, mounts);
	return suite;
}

int main(void)
{
	return unit_run(remove_suite());
}
