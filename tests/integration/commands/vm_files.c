/*
 * Directories pushed into a guest and pulled from it, and what STAT says there.
 *
 *     vm-files KERNELS STATX
 */
#include <fcntl.h>
#include <linux/stat.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/util.h"
#include "tests/integration/vm/machine.h"
#include "tests/unit/unit.h"

#define TIMEOUT 60000

static const char *statx_program;

static struct provium_vm *vm;
static struct provium_connection *connection;
static struct provium_error error;

#define CALL(call) ck_assert_msg((call) == 0, "%s: %s", #call, error.message)

static const char *path_of(const char *name)
{
	static char path[256];

	snprintf(path, sizeof(path), "%s/%s", machine_directory, name);
	return path;
}

/* ------------------------------------------------------------------------------------------- */
/* STAT */

static void add(char *line, size_t size, const char *name, bool is_there, long long value)
{
	size_t used = strlen(line);

	if (is_there)
		snprintf(line + used, size - used, " %s %lld", name, value);
}

/* As the program in the guest writes it. */
static void expect_statx(const char *path)
{
	struct provium_file_status st;
	char shell[160], line[1024];

	CALL(provium_stat(connection, path, false, TIMEOUT, &st, &error));
	snprintf(line, sizeof(line),
		 "%s mask %x mode %o nlink %u uid %u gid %u ino %llu size %llu blocks %llu "
		 "blksize %u attributes %llx of %llx rdev %u:%u dev %u:%u",
		 path, st.mask, st.mode, st.nlink, st.uid, st.gid, (unsigned long long)st.ino,
		 (unsigned long long)st.size, (unsigned long long)st.blocks, st.blksize,
		 (unsigned long long)st.attributes, (unsigned long long)st.attributes_mask,
		 st.rdev_major, st.rdev_minor, st.dev_major, st.dev_minor);
	add(line, sizeof(line), "atime", st.has_atime, st.atime_ns);
	add(line, sizeof(line), "btime", st.has_btime, st.btime_ns);
	add(line, sizeof(line), "ctime", st.has_ctime, st.ctime_ns);
	add(line, sizeof(line), "mtime", st.has_mtime, st.mtime_ns);
	add(line, sizeof(line), "mount", st.has_mnt_id, (long long)st.mnt_id);
	strcat(line, "\n");
	snprintf(shell, sizeof(shell), "/statx %s", path);
	machine_expect(connection, shell, line);
}

static void check_stat(void)
{
	static const char *const paths[] = {
		"/tmp/s/file", "/tmp/s/link", "/tmp/s/fifo", "/tmp/s/hole",
		"/tmp/s",      "/tmp",        "/dev/null",   "/proc/version",
	};
	struct provium_file_status st;

	machine_expect(connection,
		       "mkdir /tmp/s; cd /tmp/s; echo text >file; ln file other; chown 12:34 file; "
		       "chmod 6751 file; touch -d '2001-02-03 04:05:06' file; ln -s file link; "
		       "mkfifo fifo; dd if=/dev/zero of=hole bs=4096 count=1 seek=300 2>/dev/null; "
		       "/statx -a hole",
		       "");
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
		expect_statx(paths[i]);

	/* That it is compared says little where nothing is there. */
	CALL(provium_stat(connection, "/tmp/s/hole", true, TIMEOUT, &st, &error));
	ck_assert_uint_eq(st.attributes, STATX_ATTR_APPEND);
	ck_assert_uint_ne(st.attributes_mask & STATX_ATTR_IMMUTABLE, 0);
	ck_assert(st.has_btime && st.btime_ns > 0);
	ck_assert(st.has_mnt_id && st.mnt_id > 0);
	ck_assert_uint_eq(st.size, KIB(4 * 301));
	ck_assert_uint_eq(st.blocks, 8);
	CALL(provium_stat(connection, "/tmp", true, TIMEOUT, &st, &error));
	ck_assert_uint_ne(st.attributes & STATX_ATTR_MOUNT_ROOT, 0);
	CALL(provium_stat(connection, "/tmp/s/link", true, TIMEOUT, &st, &error));
	ck_assert_uint_eq(st.mode, S_IFREG | 06751);
	ck_assert_int_eq(st.mtime_ns, 981173106LL * 1000000000);
}

/* ------------------------------------------------------------------------------------------- */
/* Trees */

#define HOLE_SIZE (MIB(1) + 5)

static void make_file(const char *name, unsigned int mode, size_t size)
{
	cleanup_close int fd = open(path_of(name), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	uint32_t block[1024], state = 1;

	ck_assert_int_ge(fd, 0);
	while (size > 0) {
		size_t piece = MIN(size, sizeof(block));

		for (size_t i = 0; i < ARRAY_SIZE(block); i++)
			block[i] = state = state * 1664525 + 1013904223;
		ck_assert_int_eq(write(fd, block, piece), (ssize_t)piece);
		size -= piece;
	}
	ck_assert_int_eq(fchmod(fd, mode), 0);
}

static void make_directory(const char *name, unsigned int mode)
{
	ck_assert_int_eq(mkdir(path_of(name), 0700), 0);
	ck_assert_int_eq(chmod(path_of(name), mode), 0);
}

static void make_link(const char *target, const char *name)
{
	ck_assert_int_eq(symlink(target, path_of(name)), 0);
}

/* Data between holes, and a hole at the end. */
static void make_hole(const char *name)
{
	cleanup_close int fd = open(path_of(name), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

	ck_assert_int_eq(pwrite(fd, "between", 7, KIB(512)), 7);
	ck_assert_int_eq(ftruncate(fd, HOLE_SIZE), 0);
}

static void make_tree(void)
{
	make_directory("tree", 0755);
	make_file("tree/plain", 0644, 10);
	make_file("tree/script", 0755, 5000);
	make_file("tree/secret", 0400, KIB(700));
	make_file("tree/empty", 0666, 0);
	make_directory("tree/none", 0777);
	make_directory("tree/sub", 0750);
	make_directory("tree/sub/deep", 0500);
	make_file("tree/sub/with space", 0640, 1);
	make_link("../plain", "tree/sub/up");
	make_link("no/such", "tree/dangling");
	make_link("/etc", "tree/absolute");
	make_hole("tree/hole");
}

/* What make_tree makes, as list_tree lists it: permission bits, and bytes of a file. */
static const char tree_listing[] = ". 755\n"
				   "./absolute -> /etc\n"
				   "./dangling -> no/such\n"
				   "./empty 666 0\n"
				   "./hole 644 1048581\n"
				   "./none 777\n"
				   "./plain 644 10\n"
				   "./script 755 5000\n"
				   "./secret 400 716800\n"
				   "./sub 750\n"
				   "./sub/deep 500\n"
				   "./sub/up -> ../plain\n"
				   "./sub/with space 640 1\n";

/* For the shell of either side. */
#define LIST_TREE                                                     \
	"find . | LC_ALL=C sort | while read -r f; do "               \
	"if [ -L \"$f\" ]; then echo \"$f -> $(readlink \"$f\")\"; "  \
	"elif [ -d \"$f\" ]; then echo \"$f $(stat -c %a \"$f\")\"; " \
	"else echo \"$f $(stat -c '%a %s' \"$f\")\"; fi; done"

/* As machine_expect, on this side. */
static void expect_here(const char *command, const char *wanted)
{
	char shell[1024], output[4096];
	size_t length;
	FILE *pipe;

	snprintf(shell, sizeof(shell), "cd %s && { %s; }", machine_directory, command);
	// NOLINTNEXTLINE(cert-env33-c): the commands are those above and below
	pipe = popen(shell, "re");
	ck_assert_ptr_nonnull(pipe);
	length = fread(output, 1, sizeof(output) - 1, pipe);
	output[length] = '\0';
	ck_assert_int_eq(pclose(pipe), 0);
	ck_assert_str_eq(output, wanted);
}

static void check_tree(void)
{
	const struct provium_copy_options options = { .sparse = true };
	char pulled[256];

	make_tree();
	CALL(provium_push(connection, path_of("tree"), "/tmp/tree", &options, TIMEOUT, &error));
	machine_expect(connection, "cd /tmp/tree; " LIST_TREE, tree_listing);
	/* What is between the holes: a page. */
	machine_expect(connection, "cd /tmp/tree; stat -c %b hole; strings hole", "8\nbetween\n");
	snprintf(pulled, sizeof(pulled), "%s", path_of("pulled"));
	CALL(provium_pull(connection, "/tmp/tree", pulled, &options, TIMEOUT, &error));
	expect_here("cd pulled; " LIST_TREE, tree_listing);
	expect_here("diff -r --no-dereference tree pulled", "");
	expect_here("[ $(stat -c %b pulled/hole) -lt 256 ] && echo sparse", "sparse\n");
}

/* ------------------------------------------------------------------------------------------- */
/* Cut in the middle */

#define BIG_SIZE MIB(6)

struct cut {
	int fds[2];
	uint64_t done;
};

static void cut_in_the_middle(void *user, uint64_t done, uint64_t total)
{
	struct cut *cut = user;

	(void)total;
	if (done >= BIG_SIZE / 3 && cut->done == 0) {
		cut->done = done;
		ck_assert_int_eq(write(cut->fds[1], "x", 1), 1);
	}
}

/* A file that is there is whole, and there is no other. */
#define HALF_FILES "find half -type f ! -path half/small 2>/dev/null | grep -c . | head -n 1"

static void check_cut(void)
{
	struct cut cut = { 0 };
	const struct provium_copy_options options = {
		.progress = cut_in_the_middle,
		.user = &cut,
	};
	char here[256], byte;

	ck_assert_int_eq(pipe2(cut.fds, O_CLOEXEC), 0);
	make_directory("whole", 0755);
	make_file("whole/small", 0644, 100);
	make_file("whole/big", 0644, BIG_SIZE);
	provium_connection_set_cancel_fd(connection, cut.fds[0]);
	ck_assert_int_eq(
		provium_push(connection, path_of("whole"), "/tmp/half", &options, TIMEOUT, &error),
		-1);
	ck_assert_int_eq(error.code, PROVIUM_CANCELLED);
	ck_assert_uint_lt(cut.done, BIG_SIZE);
	provium_connection_set_cancel_fd(connection, -1);
	/* What was sent ahead may still be on its way. */
	machine_expect(connection,
		       "cd /tmp; i=0; while [ $(" HALF_FILES ") != 0 ] && [ $i -lt 50 ]; "
		       "do sleep 0.1; i=$((i + 1)); done; " HALF_FILES
		       "; [ ! -e half/small ] || [ $(stat -c %s half/small) = 100 ]",
		       "0\n");

	/* The connection goes on. */
	CALL(provium_push(connection, path_of("whole"), "/tmp/whole", NULL, TIMEOUT, &error));
	ck_assert_int_eq(read(cut.fds[0], &byte, 1), 1);
	cut.done = 0;
	provium_connection_set_cancel_fd(connection, cut.fds[0]);
	snprintf(here, sizeof(here), "%s", path_of("half"));
	ck_assert_int_eq(provium_pull(connection, "/tmp/whole", here, &options, TIMEOUT, &error),
			 -1);
	ck_assert_int_eq(error.code, PROVIUM_CANCELLED);
	ck_assert_uint_lt(cut.done, BIG_SIZE);
	provium_connection_set_cancel_fd(connection, -1);
	expect_here(HALF_FILES "; [ ! -e half/small ] || cmp half/small whole/small", "0\n");
	snprintf(here, sizeof(here), "%s", path_of("again"));
	CALL(provium_pull(connection, "/tmp/whole", here, NULL, TIMEOUT, &error));
	expect_here("diff -r whole again", "");
	close(cut.fds[0]);
	close(cut.fds[1]);
}

/* One guest for all. */
START_TEST(files)
{
	const struct provium_file file = { .guest_path = "/statx", .host_path = statx_program };
	struct provium_vm_options options;

	machine_start();
	options = machine_options();
	options.files = &file;
	options.n_files = 1;
	vm = machine_boot(&options);
	connection = provium_vm_connection(vm);
	check_stat();
	check_tree();
	check_cut();
	CALL(provium_vm_shutdown(vm, PROVIUM_POWER_OFF, false, TIMEOUT, &error));
	provium_vm_free(vm);
	machine_clear();
	machine_finish();
}
END_TEST

int main(int argc, char **argv)
{
	Suite *suite = suite_create("vm-files");
	TCase *tcase = unit_counted_case("files");

	if (argc < 3)
		return 2;
	machine_kernels = argv[1];
	statx_program = argv[2];
	tcase_set_timeout(tcase, 300);
	tcase_add_test(tcase, files);
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
