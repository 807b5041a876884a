/* Copying directories, with an agent that serves this machine's files and with hostile ones. */
#include "host/include/provium.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "alloc_seam.h"
#include "common/util.h"
#include "lib_file_agent.h"
#include "lib_seam.h"
#include "unit.h"

/* For anything that should take no time. */
#define SOON 20000

static struct fake fake;
static struct provium_connection *connection;
static char directory[128];

static void disconnect(void)
{
	provium_connection_free(connection);
	fake_finish(&fake);
}

/* A path in the test's directory; four of them live at a time. */
static const char *at(const char *name)
{
	static char paths[4][4096];
	static unsigned int next;
	char *path = paths[next++ % 4];

	snprintf(path, sizeof(paths[0]), "%s/%s", directory, name);
	return path;
}

static void make_directory(void)
{
	const char *base = getenv("TMPDIR");

	umask(022);
	snprintf(directory, sizeof(directory), "%s/lib-tree-XXXXXX", base ? base : "/tmp");
	ck_assert_ptr_nonnull(mkdtemp(directory));
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *where)
{
	(void)status;
	(void)type;
	(void)where;
	return remove(path);
}

static int open_up(const char *path, const struct stat *status, int type, struct FTW *where)
{
	(void)where;
	return type == FTW_SL || (status->st_mode & 0700) == 0700 ? 0 : chmod(path, 0700);
}

static void remove_tree(const char *path)
{
	ck_assert_int_eq(nftw(path, open_up, 20, FTW_PHYS), 0);
	ck_assert_int_eq(nftw(path, remove_one, 20, FTW_PHYS | FTW_DEPTH), 0);
}

static void remove_directory(void)
{
	remove_tree(directory);
}

static void put_file(const char *path, const void *content, size_t size, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, content, size), (ssize_t)size);
	ck_assert_int_eq(fchmod(fd, mode), 0);
	close(fd);
}

static void put_text(const char *path, const char *text)
{
	put_file(path, text, strlen(text), 0644);
}

static bool is_there(const char *path)
{
	struct stat status;

	return lstat(path, &status) == 0;
}

static mode_t mode_of(const char *path)
{
	struct stat status;

	ck_assert_int_eq(lstat(path, &status), 0);
	return status.st_mode;
}

static void check_text(const char *path, const char *text)
{
	char content[64] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_ge(read(fd, content, sizeof(content) - 1), 0);
	ck_assert_str_eq(content, text);
	close(fd);
}

/* What two trees hold, mode, type, name and content, must be the same. */
static void check_same(const char *one, const char *other)
{
	static const char script[] =
		"list() { cd \"$1\" && find . -printf '%y %m %p %l\\n' | sort &&"
		" find . -type f -exec sha256sum {} + | sort; };"
		"a=$(list \"$1\") && b=$(list \"$2\") && [ \"$a\" = \"$b\" ] ||"
		"{ echo \"$a\"; echo ---; echo \"$b\"; exit 1; } >&2";
	char command[2048];

	snprintf(command, sizeof(command), "set -- '%s' '%s'; %s", one, other, script);
	ck_assert_int_eq(system(command), 0); /* NOLINT(cert-env33-c) */
}

/* Counts what is left of files that were to be renamed. */
static unsigned int temporaries;

static int count_temporary(const char *path, const struct stat *status, int type, struct FTW *where)
{
	(void)status;
	(void)type;
	temporaries += strncmp(path + where->base, ".provium-", 9) == 0;
	return 0;
}

static unsigned int count_temporaries(void)
{
	temporaries = 0;
	ck_assert_int_eq(nftw(directory, count_temporary, 20, FTW_PHYS), 0);
	return temporaries;
}

/* ------------------------------------------------------------------------------------------- */
/* The tree */

static uint8_t noise[MIB(3) + 77];

static void make_tree(void)
{
	char path[256];

	for (size_t i = 0; i < sizeof(noise); i++)
		noise[i] = (uint8_t)(i % 65537 * 251 >> 3);
	ck_assert_int_eq(mkdir(at("source"), 0755), 0);
	put_file(at("source/big"), noise, sizeof(noise), 0600);
	put_file(at("source/chunk"), noise, KIB(256), 0644);
	put_file(at("source/empty"), "", 0, 0444);
	put_file(at("source/run me"), "#!/bin/sh\n", 10, 0755);
	ck_assert_int_eq(symlink("big", at("source/link")), 0);
	ck_assert_int_eq(symlink("/no/such", at("source/broken")), 0);
	ck_assert_int_eq(symlink("..", at("source/up")), 0);
	ck_assert_int_eq(mkdir(at("source/void"), 0700), 0);
	ck_assert_int_eq(mkdir(at("source/many"), 0775), 0);
	for (int i = 0; i < 300; i++) {
		snprintf(path, sizeof(path), "%s/source/many/%d", directory, i);
		put_file(path, noise + i, (size_t)i * 10, 0644);
	}
	ck_assert_int_eq(mkdir(at("source/locked"), 0755), 0);
	ck_assert_int_eq(mkdir(at("source/locked/deeper"), 0755), 0);
	put_text(at("source/locked/deeper/file"), "file");
	ck_assert_int_eq(chmod(at("source/locked/deeper"), 0500), 0);
	ck_assert_int_eq(chmod(at("source/locked"), 0555), 0);
}

static char skipped[4096];
static unsigned int entries;
static uint64_t progress_done;

static void on_skip(void *user, const char *path)
{
	(void)user;
	snprintf(skipped, sizeof(skipped), "%s", path);
}

static void on_entry(void *user, const char *path)
{
	(void)user;
	(void)path;
	entries++;
}

static void on_progress(void *user, uint64_t done, uint64_t total)
{
	(void)user;
	(void)total;
	ck_assert_uint_gt(done, progress_done);
	progress_done = done;
}

static const struct provium_copy_options told = {
	.progress = on_progress,
	.on_entry = on_entry,
	.on_skip = on_skip,
};

static const struct provium_copy_options exact = { .exact = true };
static const struct provium_copy_options sparse = { .sparse = true };

typedef int (*copy_fn)(struct provium_connection *, const char *, const char *,
		       const struct provium_copy_options *, int, struct provium_error *);

/* Both ways, the same must come of it. */
static const copy_fn copies[] = { provium_push, provium_pull };

START_TEST(test_whole)
{
	uint64_t bytes = sizeof(noise) + KIB(256) + 10 + 4 + UINT64_C(10) * (299 * 300 / 2);

	make_tree();
	connection = fake_connect(&fake, file_agent_script);
	check_ok(copies[_i](connection, at("source"), at("copy"), &told, SOON, &error));
	check_same(at("source"), at("copy"));
	ck_assert_uint_eq(entries, 5 + 4 + 3 + 300 + 1);
	ck_assert_uint_eq(progress_done, bytes);
	ck_assert_uint_eq(count_temporaries(), 0);

	/* As cp -R: into what is there; and once more over what is there then. */
	ck_assert_int_eq(mkdir(at("there"), 0755), 0);
	for (int i = 0; i < 2; i++) {
		/* Not root: no file can be put into these again. */
		nftw(at("there"), open_up, 20, FTW_PHYS);
		progress_done = 0;
		check_ok(copies[_i](connection, at("source/"), at("there"), NULL, SOON, &error));
	}
	ck_assert_uint_eq(count_temporaries(), 0);
	disconnect();
}
END_TEST

START_TEST(test_exact)
{
	ck_assert_int_eq(mkdir(at("source"), 0755), 0);
	put_text(at("source/file"), "new");
	ck_assert_int_eq(symlink("new", at("source/link")), 0);
	ck_assert_int_eq(mkdir(at("copy"), 0711), 0);
	put_text(at("copy/file"), "old");
	put_text(at("copy/other"), "other");
	ck_assert_int_eq(symlink("old", at("copy/link")), 0);
	connection = fake_connect(&fake, file_agent_script);
	check_ok(copies[_i](connection, at("source"), at("copy"), &exact, SOON, &error));
	check_text(at("copy/file"), "new");
	check_text(at("copy/other"), "other");
	ck_assert_int_eq(mode_of(at("copy")) & 0777, 0711);
	ck_assert(!is_there(at("copy/source")));
	ck_assert_int_eq(unlink(at("copy/file")), 0);
	ck_assert_int_eq(unlink(at("copy/other")), 0);
	ck_assert_int_eq(unlink(at("source/file")), 0);
	ck_assert_int_eq(chmod(at("copy"), 0755), 0);
	check_same(at("source"), at("copy"));
	disconnect();
}
END_TEST

/* An entry does not replace what is of another kind. */
START_TEST(test_other_kinds)
{
	static const char *const names[] = { "file", "link", "sub" };

	ck_assert_int_eq(mkdir(at("source"), 0755), 0);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		ck_assert_int_eq(mkdir(at("copy"), 0755), 0);
		if (i == 0) {
			put_text(at("source/file"), "new");
			ck_assert_int_eq(mkdir(at("copy/file"), 0755), 0);
		} else if (i == 1) {
			ck_assert_int_eq(symlink("new", at("source/link")), 0);
			put_text(at("copy/link"), "old");
		} else {
			ck_assert_int_eq(mkdir(at("source/sub"), 0755), 0);
			put_text(at("copy/sub"), "old");
		}
		connection = fake_connect(&fake, file_agent_script);
		ck_assert_int_eq(
			copies[_i](connection, at("source"), at("copy"), &exact, SOON, &error), -1);
		ck_assert_ptr_nonnull(strstr(error.message, names[i]));
		ck_assert_ptr_nonnull(strstr(error.message, at("copy")));
		ck_assert_uint_eq(count_temporaries(), 0);
		if (i > 0)
			check_text(at(i == 1 ? "copy/link" : "copy/sub"), "old");
		disconnect();
		remove_tree(at("copy"));
		remove_tree(at("source"));
		ck_assert_int_eq(mkdir(at("source"), 0755), 0);
	}
}
END_TEST

START_TEST(test_special_left_out)
{
	ck_assert_int_eq(mkdir(at("source"), 0755), 0);
	ck_assert_int_eq(mkfifo(at("source/fifo"), 0644), 0);
	put_text(at("source/file"), "file");
	connection = fake_connect(&fake, file_agent_script);
	check_ok(copies[_i](connection, at("source"), at("copy"), &told, SOON, &error));
	ck_assert_str_eq(skipped, at("source/fifo"));
	check_text(at("copy/file"), "file");
	ck_assert(!is_there(at("copy/fifo")));
	disconnect();
}
END_TEST

/* Data at the start, in the middle, and a hole at the end. */
static void put_holes(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(pwrite(fd, "start", 5, 0), 5);
	ck_assert_int_eq(pwrite(fd, "middle", 6, MIB(20) + 12345), 6);
	ck_assert_int_eq(pwrite(fd, "near", 4, MIB(20) + KIB(32)), 4);
	ck_assert_int_eq(ftruncate(fd, MIB(40)), 0);
	close(fd);
}

static blkcnt_t blocks_of(const char *path)
{
	struct stat status;

	ck_assert_int_eq(stat(path, &status), 0);
	return status.st_blocks;
}

START_TEST(test_holes)
{
	ck_assert_int_eq(mkdir(at("source"), 0755), 0);
	put_holes(at("source/holes"));
	ck_assert_int_eq(truncate(at("source/holes"), MIB(40)), 0);
	put_file(at("source/hole"), "", 0, 0644);
	ck_assert_int_eq(truncate(at("source/hole"), MIB(10)), 0);
	put_text(at("source/text"), "text");
	connection = fake_connect(&fake, file_agent_script);
	check_ok(copies[_i](connection, at("source"), at("copy"), &sparse, SOON, &error));
	check_same(at("source"), at("copy"));
	/* Of 512 bytes each. */
	ck_assert_int_lt(blocks_of(at("copy/holes")), 1024);
	ck_assert_int_eq(blocks_of(at("copy/hole")), 0);
	check_ok(copies[_i](connection, at("source/holes"), at("dense"), NULL, SOON, &error));
	check_ok(copies[_i](connection, at("source/holes"), at("single"), &sparse, SOON, &error));
	ck_assert_int_ge(blocks_of(at("dense")), MIB(40) / 512);
	ck_assert_int_lt(blocks_of(at("single")), 1024);
	disconnect();
}
END_TEST

/* Deeper than there may be open files. */
START_TEST(test_deep)
{
	const struct rlimit few = { .rlim_cur = 40, .rlim_max = 40 };
	const int depth = 500;
	int fd;

	ck_assert_int_eq(mkdir(at("source"), 0755), 0);
	fd = open(at("source"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (int i = 0; i < depth; i++) {
		int below;

		ck_assert_int_eq(mkdirat(fd, "d", 0755), 0);
		below = openat(fd, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		close(fd);
		fd = below;
	}
	ck_assert_int_eq(symlinkat("end", fd, "link"), 0);
	close(fd);
	connection = fake_connect(&fake, file_agent_script);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
	check_ok(copies[_i](connection, at("source"), at("copy"), NULL, SOON, &error));
	check_same(at("source"), at("copy"));
	disconnect();
}
END_TEST

/* ------------------------------------------------------------------------------------------- */
/* Cuts */

/* Each file is whole or not there. */
static void check_no_half(void)
{
	static const char *const names[] = { "a", "b", "sub/c" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		char path[64];

		snprintf(path, sizeof(path), "copy/%s", names[i]);
		if (is_there(at(path)))
			check_text(at(path), names[i]);
	}
	ck_assert_uint_eq(count_temporaries(), 0);
}

/* The agent is gone after the first message, the second ... */
START_TEST(test_agent_gone)
{
	ck_assert_int_eq(mkdir(at("source"), 0755), 0);
	ck_assert_int_eq(mkdir(at("source/sub"), 0755), 0);
	put_text(at("source/a"), "a");
	put_text(at("source/b"), "b");
	put_text(at("source/sub/c"), "sub/c");
	ck_assert_int_eq(symlink("a", at("source/link")), 0);
	for (int messages = 1;; messages++) {
		int rc;

		fake = (struct fake){ .number = messages, .lenient = true };
		connection = fake_connect(&fake, file_agent_script);
		rc = copies[_i](connection, at("source"), at("copy"), NULL, SOON, &error);
		disconnect();
		check_no_half();
		if (rc == 0) {
			ck_assert_int_gt(messages, 6);
			break;
		}
		check_error(PROVIUM_DISCONNECTED, "connection");
		if (is_there(at("copy")))
			remove_tree(at("copy"));
	}
	check_same(at("source"), at("copy"));
}
END_TEST

START_TEST(test_disk_full)
{
	ck_assert_int_eq(mkdir(at("source"), 0755), 0);
	put_text(at("source/file"), "content");
	put_text(at("source/other"), "other content");
	connection = fake_connect(&fake, file_agent_script);
	seam.write_errno = ENOSPC;
	seam.write_room = 9;
	ck_assert_int_eq(provium_pull(connection, at("source"), at("copy"), NULL, SOON, &error),
			 -1);
	check_error(PROVIUM_HOST, "write: No space left on device");
	ck_assert_ptr_nonnull(strstr(error.message, at("copy/")));
	ck_assert_uint_eq(count_temporaries(), 0);
	seam.write_errno = 0;
	disconnect();
}
END_TEST

static void stuck_script(struct fake *agent)
{
	file_agent_ready(agent);
	while (fake_receive(agent))
		continue;
}

START_TEST(test_times_out)
{
	make_tree();
	/* What is queued when the connection is closed is cut anywhere. */
	fake.lenient = true;
	connection = fake_connect(&fake, stuck_script);
	ck_assert_int_eq(copies[_i](connection, at("source"), at("copy"), &exact, 60, &error), -1);
	check_error(PROVIUM_TIMED_OUT, "timed out after 60 ms");
	ck_assert_uint_eq(count_temporaries(), 0);
	disconnect();
}
END_TEST

/* Allocation number N fails, for each N there is. */
START_TEST(test_no_memory)
{
	ck_assert_int_eq(mkdir(at("source"), 0755), 0);
	ck_assert_int_eq(mkdir(at("source/sub"), 0555), 0);
	put_text(at("source/a"), "a");
	ck_assert_int_eq(symlink("a", at("source/link")), 0);
	for (size_t number = 0;; number++) {
		int rc;

		fake = (struct fake){ .lenient = true };
		connection = fake_connect(&fake, file_agent_script);
		alloc_fail_after(number);
		rc = copies[_i](connection, at("source"), at("copy"), NULL, SOON, &error);
		alloc_fail_never();
		disconnect();
		check_no_half();
		if (rc == 0) {
			ck_assert_uint_gt(number, 5);
			break;
		}
		check_error(PROVIUM_HOST, "Cannot allocate memory");
		if (is_there(at("copy")))
			remove_tree(at("copy"));
	}
	check_same(at("source"), at("copy"));
	remove_tree(at("copy"));
}
END_TEST

/* Unreadable, or not what it is called: the rest of what was sent is given up. */
START_TEST(test_unreadable)
{
	ck_assert_int_eq(mkdir(at("source"), 0755), 0);
	put_text(at("source/file"), "file");
	ck_assert_int_eq(mkdir(at("source/sub"), 0755), 0);
	put_text(at("copy"), "in the way");
	connection = fake_connect(&fake, file_agent_script);
	ck_assert_int_eq(copies[_i](connection, at("source"), at("copy"), NULL, SOON, &error), -1);
	ck_assert_ptr_nonnull(strstr(error.message, at("copy")));
	ck_assert_int_eq(copies[_i](connection, at("none"), at("copy"), NULL, SOON, &error), -1);
	ck_assert_ptr_nonnull(strstr(error.message, at("none")));
	ck_assert_int_eq(error.os_errno, ENOENT);
	check_text(at("copy"), "in the way");
	disconnect();
}
END_TEST

/* ------------------------------------------------------------------------------------------- */
/* Requests ahead */

/* Takes all there is before it answers: nothing waits for a reply that need not. */
static void ahead_push_script(struct fake *agent)
{
	uint32_t ids[32];
	uint64_t sizes[32];

	file_agent_ready(agent);
	fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_MKDIR);
	ids[0] = agent->id;
	for (int i = 1; i <= 20; i++) {
		const Provium__V1__WriteData *data;

		fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_WRITE_FILE);
		ids[i] = agent->id;
		data = fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_WRITE_DATA)->write_data;
		fake_check(agent, agent->id == ids[i] && data->last);
		sizes[i] = data->data.len;
	}
	fake_ok(agent, ids[0], -1);
	for (int i = 1; i <= 20; i++)
		fake_ok(agent, ids[i], (int64_t)sizes[i]);
	fake_expect_end(agent);
}

static void ahead_pull_script(struct fake *agent)
{
	static const char *const names[] = { "a", "b", "c", "d", "e", "f", "g", "h" };
	uint32_t stats[8];
	uint32_t reads[8];

	file_agent_ready(agent);
	fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_STAT);
	file_agent_status(agent, 0, S_IFDIR | 0755, 0);
	fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_STAT);
	stats[0] = agent->id;
	fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_LIST_DIR);
	file_agent_status(agent, stats[0], S_IFDIR | 0755, 0);
	file_agent_entries(agent, 0, names, 8, DT_REG);
	fake_ok(agent, 0, -1);
	for (int i = 0; i < 8; i++) {
		fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_STAT);
		stats[i] = agent->id;
		fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_READ_FILE);
		reads[i] = agent->id;
	}
	for (int i = 0; i < 8; i++) {
		file_agent_status(agent, stats[i], S_IFREG | 0644, 1);
		fake_data(agent, reads[i], 0, names[i], 1);
		fake_ok(agent, reads[i], 1);
	}
	fake_expect_end(agent);
}

START_TEST(test_ahead)
{
	char path[256];

	ck_assert_int_eq(mkdir(at("source"), 0755), 0);
	for (int i = 0; i < 20; i++) {
		snprintf(path, sizeof(path), "%s/source/%d", directory, i);
		put_text(path, "content");
	}
	connection = fake_connect(&fake, _i ? ahead_pull_script : ahead_push_script);
	if (_i == 0) {
		check_ok(provium_push(connection, at("source"), "/copy", &exact, SOON, &error));
	} else {
		check_ok(provium_pull(connection, "/guest", at("copy"), NULL, SOON, &error));
		check_text(at("copy/h"), "h");
	}
	disconnect();
}
END_TEST

/*
 * Answers only when nothing more comes: no more than the window is on its way, however many files
 * that is.
 */
static void window_script(struct fake *agent)
{
	struct {
		uint32_t id;
		int64_t size;
	} whole[32];
	int64_t unanswered = 0;
	int64_t got = 0;
	int answered = 0;
	int files = 0;
	uint8_t byte;

	file_agent_ready(agent);
	fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_MKDIR);
	fake_ok(agent, 0, -1);
	while (answered < agent->number) {
		const Provium__V1__Message *message = fake_receive(agent);

		fake_check(agent, message != NULL);
		if (message->body_case == PROVIUM__V1__MESSAGE__BODY_WRITE_DATA) {
			got += (int64_t)message->write_data->data.len;
			unanswered += (int64_t)message->write_data->data.len;
			fake_check(agent, unanswered <= (int64_t)MIB(1));
			if (message->write_data->last) {
				whole[files].id = agent->id;
				whole[files++].size = got;
				got = 0;
			}
		}
		if (frame_reader_pending(&agent->reader) > 0)
			continue;
		usleep(20000);
		if (recv(agent->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0)
			continue;
		for (; answered < files; answered++) {
			fake_ok(agent, whole[answered].id, whole[answered].size);
			unanswered -= whole[answered].size;
		}
	}
	fake_expect_end(agent);
}

START_TEST(test_window)
{
	char path[256];

	ck_assert_int_eq(mkdir(at("source"), 0755), 0);
	for (int i = 0; i < 30; i++) {
		snprintf(path, sizeof(path), "%s/source/%d", directory, i);
		put_file(path, noise, KIB(100), 0644);
	}
	fake.number = 30;
	connection = fake_connect(&fake, window_script);
	check_ok(provium_push(connection, at("source"), "/copy", &exact, SOON, &error));
	disconnect();
}
END_TEST

/* ------------------------------------------------------------------------------------------- */
/* Hostile agents */

static const struct {
	const char *name;
	size_t size;
} bad_names[] = {
	{ "..", 2 },          { ".", 1 },   { "", 0 },     { "/etc/passwd", 11 },
	{ "../outside", 10 }, { "a/b", 3 }, { "a\0b", 3 }, { NULL, 5000 },
};

static void bad_name_script(struct fake *agent)
{
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__DirEntries list = PROVIUM__V1__DIR_ENTRIES__INIT;
	Provium__V1__DirEntry entry = PROVIUM__V1__DIR_ENTRY__INIT;
	Provium__V1__DirEntry *pointer = &entry;
	static char longest[5000];
	uint32_t stat_id;

	memset(longest, 'n', sizeof(longest));
	file_agent_ready(agent);
	fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_STAT);
	file_agent_status(agent, 0, S_IFDIR | 0755, 0);
	fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_STAT);
	stat_id = agent->id;
	fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_LIST_DIR);
	file_agent_status(agent, stat_id, S_IFDIR | 0755, 0);
	entry.name.data = (uint8_t *)bad_names[agent->number].name;
	if (!entry.name.data)
		entry.name.data = (uint8_t *)longest;
	entry.name.len = bad_names[agent->number].size;
	entry.type = DT_REG;
	list.n_entries = 1;
	list.entries = &pointer;
	message.has_id = true;
	message.id = agent->id;
	message.body_case = PROVIUM__V1__MESSAGE__BODY_DIR_ENTRIES;
	message.dir_entries = &list;
	fake_send(agent, &message);
	while (fake_receive(agent))
		continue;
}

START_TEST(test_bad_names)
{
	fake.number = _i;
	connection = fake_connect(&fake, bad_name_script);
	ck_assert_int_eq(provium_pull(connection, "/guest", at("copy"), NULL, SOON, &error), -1);
	check_error(PROVIUM_PROTOCOL, "a name that no file can have");
	ck_assert(!is_there(at("copy")));
	disconnect();
}
END_TEST

/* A directory of one name, of the type agent->number, and what then is asked for. */
static void one_name_script(struct fake *agent)
{
	static const char *const names[] = { "name" };
	const Provium__V1__Message *message;
	uint32_t id;

	file_agent_ready(agent);
	fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_STAT);
	file_agent_status(agent, 0, S_IFDIR | 0755, 0);
	fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_STAT);
	id = agent->id;
	fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_LIST_DIR);
	file_agent_status(agent, id, S_IFDIR | 0755, 0);
	file_agent_entries(agent, 0, names, 1, (uint32_t)agent->number);
	fake_ok(agent, 0, -1);
	while ((message = fake_receive(agent))) {
		switch (message->body_case) {
		case PROVIUM__V1__MESSAGE__BODY_STAT:
			file_agent_status(agent, 0, S_IFREG | 04777, 4);
			break;
		case PROVIUM__V1__MESSAGE__BODY_READ_FILE:
			fake_data(agent, 0, 0, "evil", 4);
			fake_ok(agent, 0, 4);
			break;
		case PROVIUM__V1__MESSAGE__BODY_READLINK:
			file_agent_link(agent, 0, "evil", 4);
			break;
		case PROVIUM__V1__MESSAGE__BODY_LIST_DIR:
			file_agent_entries(agent, 0, names, 1, DT_REG);
			fake_ok(agent, 0, -1);
			break;
		default:
			break;
		}
	}
}

/* What is in the target's place already is never followed. */
START_TEST(test_links_not_followed)
{
	static const int types[] = { DT_REG, DT_DIR };

	ck_assert_int_eq(mkdir(at("copy"), 0755), 0);
	ck_assert_int_eq(mkdir(at("outside"), 0755), 0);
	put_text(at("outside/name"), "mine");
	ck_assert_int_eq(symlink(_i ? at("outside") : at("outside/name"), at("copy/name")), 0);
	fake.number = types[_i];
	connection = fake_connect(&fake, one_name_script);
	ck_assert_int_eq(provium_pull(connection, "/guest", at("copy"), &exact, SOON, &error), -1);
	ck_assert_ptr_nonnull(strstr(error.message, at("copy/name")));
	check_text(at("outside/name"), "mine");
	ck_assert(S_ISLNK(mode_of(at("copy/name"))));
	ck_assert_uint_eq(count_temporaries(), 0);
	disconnect();
}
END_TEST

/* Set-id bits of the guest are not wanted here. */
START_TEST(test_modes_are_masked)
{
	fake.number = DT_REG;
	connection = fake_connect(&fake, one_name_script);
	check_ok(provium_pull(connection, "/guest", at("copy"), NULL, SOON, &error));
	ck_assert_int_eq(mode_of(at("copy/name")) & 07777, 0777);
	disconnect();
}
END_TEST

/* What was a file when the directory was read is a FIFO now, whose data never come. */
static void changed_script(struct fake *agent)
{
	static const char *const names[] = { "name" };
	uint32_t id;
	uint32_t read_id;

	file_agent_ready(agent);
	fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_STAT);
	file_agent_status(agent, 0, S_IFDIR | 0755, 0);
	fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_STAT);
	id = agent->id;
	fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_LIST_DIR);
	file_agent_status(agent, id, S_IFDIR | 0755, 0);
	file_agent_entries(agent, 0, names, 1, DT_REG);
	fake_ok(agent, 0, -1);
	fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_STAT);
	id = agent->id;
	fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_READ_FILE);
	read_id = agent->id;
	file_agent_status(agent, id, S_IFIFO | 0644, 0);
	fake_check(agent, fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_CANCEL)->cancel->request ==
				  read_id);
	fake_expect_end(agent);
}

START_TEST(test_changed)
{
	connection = fake_connect(&fake, changed_script);
	check_ok(provium_pull(connection, "/guest", at("copy"), &told, SOON, &error));
	ck_assert_str_eq(skipped, "/guest/name");
	ck_assert(!is_there(at("copy/name")));
	ck_assert_uint_eq(count_temporaries(), 0);
	disconnect();
}
END_TEST

static void endless_names_script(struct fake *agent)
{
	static char name[256];
	const char *names[256];
	uint32_t id;

	memset(name, 'n', sizeof(name) - 1);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		names[i] = name;
	file_agent_ready(agent);
	fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_STAT);
	file_agent_status(agent, 0, S_IFDIR | 0755, 0);
	fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_STAT);
	fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_LIST_DIR);
	id = agent->id;
	for (;;)
		file_agent_entries(agent, id, names, ARRAY_SIZE(names), DT_REG);
}

START_TEST(test_endless_names)
{
	connection = fake_connect(&fake, endless_names_script);
	ck_assert_int_eq(provium_pull(connection, "/guest", at("copy"), NULL, SOON, &error), -1);
	check_error(PROVIUM_LIMIT, "/guest: the names on the way to it take more than 64 MiB");
	disconnect();
}
END_TEST

/* A directory in a directory in a directory ... */
static void endless_depth_script(struct fake *agent)
{
	static const char *const names[] = { "down" };
	const Provium__V1__Message *message;

	file_agent_ready(agent);
	while ((message = fake_receive(agent))) {
		if (message->body_case == PROVIUM__V1__MESSAGE__BODY_STAT) {
			file_agent_status(agent, 0, S_IFDIR | 0755, 0);
		} else if (message->body_case == PROVIUM__V1__MESSAGE__BODY_LIST_DIR) {
			file_agent_entries(agent, 0, names, 1, DT_DIR);
			fake_ok(agent, 0, -1);
		}
	}
}

START_TEST(test_endless_depth)
{
	connection = fake_connect(&fake, endless_depth_script);
	ck_assert_int_eq(provium_pull(connection, "/guest", at("copy"), NULL, SOON, &error), -1);
	check_error(PROVIUM_HOST, "File name too long");
	disconnect();
}
END_TEST

static TCase *tree_cases(void)
{
	TCase *tcase = unit_counted_case("tree");

	tcase_set_timeout(tcase, 60);
	tcase_add_checked_fixture(tcase, make_directory, remove_directory);
	tcase_add_loop_test(tcase, test_whole, 0, 2);
	tcase_add_loop_test(tcase, test_exact, 0, 2);
	tcase_add_loop_test(tcase, test_other_kinds, 0, 2);
	tcase_add_loop_test(tcase, test_special_left_out, 0, 2);
	tcase_add_loop_test(tcase, test_holes, 0, 2);
	tcase_add_loop_test(tcase, test_deep, 0, 2);
	tcase_add_loop_test(tcase, test_agent_gone, 0, 2);
	tcase_add_loop_test(tcase, test_no_memory, 0, 2);
	tcase_add_test(tcase, test_disk_full);
	tcase_add_loop_test(tcase, test_times_out, 0, 2);
	tcase_add_loop_test(tcase, test_unreadable, 0, 2);
	tcase_add_loop_test(tcase, test_ahead, 0, 2);
	tcase_add_test(tcase, test_window);
	return tcase;
}

static TCase *hostile_cases(void)
{
	TCase *tcase = unit_counted_case("hostile");

	tcase_set_timeout(tcase, 60);
	tcase_add_checked_fixture(tcase, make_directory, remove_directory);
	tcase_add_loop_test(tcase, test_bad_names, 0, ARRAY_SIZE(bad_names));
	tcase_add_loop_test(tcase, test_links_not_followed, 0, 2);
	tcase_add_test(tcase, test_modes_are_masked);
	tcase_add_test(tcase, test_changed);
	tcase_add_test(tcase, test_endless_names);
	tcase_add_test(tcase, test_endless_depth);
	return tcase;
}

int main(void)
{
	Suite *suite = suite_create("lib-tree");

	suite_add_tcase(suite, tree_cases());
	suite_add_tcase(suite, hostile_cases());
	return unit_run(suite);
}
