/* The private directory, and that nothing of it stays. */
#include "host/lib/vm_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/util.h"
#include "unit.h"

static char base[64];
static struct vm_files files;
static struct provium_error error;

static void start(void)
{
	const char *place = getenv("TMPDIR");

	snprintf(base, sizeof(base), "%s/vm-files-XXXXXX", place ? place : "/tmp");
	ck_assert_ptr_nonnull(mkdtemp(base));
	setenv("TMPDIR", base, 1);
}

/* Empty again: rmdir(2) takes no other. */
static void finish(void)
{
	ck_assert_int_eq(rmdir(base), 0);
}

static void check_mode(const char *path, unsigned int mode)
{
	struct stat st;

	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, mode);
}

START_TEST(test_private)
{
	int fd;

	umask(0);
	ck_assert_int_eq(vm_files_make(&files, NULL, NULL, &error), 0);
	ck_assert_int_eq(strncmp(files.directory, base, strlen(base)), 0);
	check_mode(files.directory, 0700);
	ck_assert_int_eq(strncmp(files.socket, files.directory, strlen(files.directory)), 0);
	ck_assert_int_eq(strncmp(files.console, files.directory, strlen(files.directory)), 0);
	fd = vm_files_open_console(&files, &error);
	ck_assert_int_ge(fd, 0);
	check_mode(files.console, 0600);
	close(fd);
	vm_files_remove(&files);
	vm_files_remove(&files);
}
END_TEST

/* Whatever has been made in it meanwhile. */
START_TEST(test_remove_all)
{
	char path[PATH_MAX + 16];

	ck_assert_int_eq(vm_files_make(&files, NULL, NULL, &error), 0);
	for (int i = 0; i < 300; i++) {
		snprintf(path, sizeof(path), "%s_%d", files.socket, i);
		close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	}
	vm_files_remove(&files);
}
END_TEST

START_TEST(test_own_places)
{
	char console[96];
	char socket[96];
	int fd;

	snprintf(console, sizeof(console), "%s/console.log", base);
	snprintf(socket, sizeof(socket), "%s/socket", base);
	fd = open(console, O_WRONLY | O_CREAT | O_CLOEXEC, 0640);
	ck_assert_int_eq(write(fd, "old", 3), 3);
	close(fd);

	ck_assert_int_eq(vm_files_make(&files, console, socket, &error), 0);
	ck_assert_str_eq(files.console, console);
	ck_assert_str_eq(files.socket, socket);
	fd = vm_files_open_console(&files, &error);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(lseek(fd, 0, SEEK_END), 0);
	close(fd);
	close(open(socket, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	vm_files_remove(&files);
	/* The socket has gone, the console stays, as it was made. */
	ck_assert_int_eq(access(socket, F_OK), -1);
	check_mode(console, 0640);
	unlink(console);
}
END_TEST

START_TEST(test_socket_in_the_way)
{
	char socket[96];

	snprintf(socket, sizeof(socket), "%s/socket", base);
	close(open(socket, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	ck_assert_int_eq(vm_files_make(&files, NULL, socket, &error), -1);
	ck_assert_int_eq(error.os_errno, EEXIST);
	vm_files_remove(&files);
	ck_assert_int_eq(access(socket, F_OK), 0);
	unlink(socket);

	snprintf(socket, sizeof(socket), "%s/none/socket", base);
	ck_assert_int_eq(vm_files_make(&files, NULL, "", &error), -1);
	ck_assert_int_eq(error.code, PROVIUM_INVALID);
}
END_TEST

/* What somebody else may have put where our files go. */
START_TEST(test_planted_links)
{
	char console[96], socket[96], beside[128], victim[96];
	static const uint8_t token[PROVIUM_TOKEN_SIZE] = "token";
	int fd;

	snprintf(victim, sizeof(victim), "%s/victim", base);
	snprintf(console, sizeof(console), "%s/console", base);
	snprintf(socket, sizeof(socket), "%s/socket", base);
	snprintf(beside, sizeof(beside), "%s" TOKEN_SUFFIX, socket);
	fd = open(victim, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	ck_assert_int_eq(write(fd, "kept", 4), 4);
	close(fd);

	ck_assert_int_eq(symlink("victim", console), 0);
	ck_assert_int_eq(vm_files_make(&files, console, socket, &error), 0);
	ck_assert_int_eq(vm_files_open_console(&files, &error), -1);
	ck_assert_int_eq(error.code, PROVIUM_INVALID);
	ck_assert_msg(strstr(error.message, "symbolic link"), "%s", error.message);

	/* One to a name that is not there would otherwise be filled for whoever made it. */
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(symlink(i ? "victim" : "nothing", beside), 0);
		ck_assert_int_eq(vm_files_leave_token(&files, token, &error), -1);
		ck_assert_int_eq(error.os_errno, EEXIST);
		ck_assert_str_eq(files.token, "");
		unlink(beside);
	}
	ck_assert_int_eq(vm_files_leave_token(&files, token, &error), 0);
	check_mode(beside, 0600);
	vm_files_remove(&files);
	ck_assert_int_eq(access(beside, F_OK), -1);

	ck_assert_int_eq(symlink("nothing", socket), 0);
	ck_assert_int_eq(vm_files_make(&files, NULL, socket, &error), -1);
	ck_assert_int_eq(error.os_errno, EEXIST);
	unlink(socket);
	unlink(console);
	fd = open(victim, O_RDONLY | O_CLOEXEC);
	ck_assert_int_eq(lseek(fd, 0, SEEK_END), 4);
	close(fd);
	unlink(victim);
}
END_TEST

/* A terminal, or what stands for one, is named by a link. */
START_TEST(test_console_of_ours)
{
	char console[96];
	int pair[2], fd;

	ck_assert_int_eq(pipe2(pair, O_CLOEXEC), 0);
	snprintf(console, sizeof(console), "/dev/fd/%d", pair[1]);
	ck_assert_int_eq(vm_files_make(&files, console, NULL, &error), 0);
	fd = vm_files_open_console(&files, &error);
	ck_assert_msg(fd >= 0, "%s", error.message);
	close(fd);
	vm_files_remove(&files);
	close(pair[0]);
	close(pair[1]);
}
END_TEST

/* Directories in which others could put something else in the place of ours. */
START_TEST(test_tmpdir_of_others)
{
	static const struct {
		mode_t mode;
		/* Of a group of others. */
		bool other_group;
		bool good;
	} modes[] = {
		{ 0700, false, true },  { 0755, true, true },  { 0777, false, false },
		{ 01777, false, true }, { 0775, false, true }, { 0775, true, false },
		{ 01775, true, true },  { 0770, true, false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		if (modes[i].other_group && geteuid() != 0)
			continue;
		ck_assert_int_eq(chown(base, (uid_t)-1, modes[i].other_group ? 12345 : getegid()),
				 0);
		ck_assert_int_eq(chmod(base, modes[i].mode), 0);
		ck_assert_msg((vm_files_make(&files, NULL, NULL, &error) == 0) == modes[i].good,
			      "%zu: %s", i, error.message);
		if (!modes[i].good) {
			ck_assert_int_eq(error.code, PROVIUM_INVALID);
			ck_assert_msg(strstr(error.message, "TMPDIR"), "%s", error.message);
		}
		vm_files_remove(&files);
	}
	if (!unit_is_root())
		return;
	/* Its owner may do so, whatever its mode is. */
	ck_assert_int_eq(chmod(base, 01777), 0);
	ck_assert_int_eq(chown(base, 12345, getegid()), 0);
	ck_assert_int_eq(vm_files_make(&files, NULL, NULL, &error), -1);
	ck_assert_msg(strstr(error.message, "belongs to another user"), "%s", error.message);
}
END_TEST

/* As a user to whom root's directories are root's. */
START_TEST(test_tmpdir_of_another)
{
	if (!unit_is_root())
		return;
	ck_assert_int_eq(chmod(base, 01777), 0);
	ck_assert_int_eq(seteuid(12345), 0);
	ck_assert_int_eq(vm_files_make(&files, NULL, NULL, &error), 0);
	vm_files_remove(&files);
	ck_assert_int_eq(seteuid(0), 0);
	ck_assert_int_eq(chown(base, 23456, getegid()), 0);
	ck_assert_int_eq(seteuid(12345), 0);
	ck_assert_int_eq(vm_files_make(&files, NULL, NULL, &error), -1);
	ck_assert_int_eq(error.code, PROVIUM_INVALID);
	ck_assert_msg(strstr(error.message, "belongs to another user"), "%s", error.message);
	ck_assert_int_eq(seteuid(0), 0);
}
END_TEST

START_TEST(test_socket_too_long)
{
	char socket[200];

	memset(socket, 'x', sizeof(socket));
	socket[108] = '\0';
	ck_assert_int_eq(vm_files_make(&files, NULL, socket, &error), -1);
	ck_assert_int_eq(error.code, PROVIUM_INVALID);
	ck_assert_msg(strstr(error.message, "108 bytes long"), "%s", error.message);
	ck_assert_msg(strstr(error.message, "at most 107"), "%s", error.message);
	socket[107] = '\0';
	ck_assert_int_eq(vm_files_make(&files, NULL, socket, &error), 0);
	vm_files_remove(&files);
}
END_TEST

START_TEST(test_long_tmpdir)
{
	char path[200];
	size_t used = (size_t)snprintf(path, sizeof(path), "%s/", base);

	memset(path + used, 'x', 100);
	path[used + 100] = '\0';
	ck_assert_int_eq(mkdir(path, 0700), 0);
	setenv("TMPDIR", path, 1);
	ck_assert_int_eq(vm_files_make(&files, NULL, NULL, &error), -1);
	ck_assert_int_eq(error.code, PROVIUM_INVALID);
	ck_assert_msg(strstr(error.message, "TMPDIR"), "%s", error.message);
	ck_assert_int_eq(rmdir(path), 0);
}
END_TEST

START_TEST(test_no_tmpdir)
{
	setenv("TMPDIR", "/nowhere", 1);
	ck_assert_int_eq(vm_files_make(&files, NULL, NULL, &error), -1);
	ck_assert_int_eq(error.code, PROVIUM_HOST);
	ck_assert_int_eq(error.os_errno, ENOENT);
	ck_assert_ptr_nonnull(strstr(error.message, "/nowhere"));
}
END_TEST

START_TEST(test_bad_console)
{
	char console[96];

	snprintf(console, sizeof(console), "%s/none/console", base);
	ck_assert_int_eq(vm_files_make(&files, console, NULL, &error), 0);
	ck_assert_int_eq(vm_files_open_console(&files, &error), -1);
	ck_assert_int_eq(error.os_errno, ENOENT);
	vm_files_remove(&files);

	ck_assert_int_eq(vm_files_make(&files, base, NULL, &error), 0);
	ck_assert_int_eq(vm_files_open_console(&files, &error), -1);
	ck_assert_int_eq(error.os_errno, EISDIR);
	vm_files_remove(&files);

	snprintf(console, sizeof(console), "%s/fifo", base);
	ck_assert_int_eq(mkfifo(console, 0600), 0);
	ck_assert_int_eq(vm_files_make(&files, console, NULL, &error), 0);
	ck_assert_int_eq(vm_files_open_console(&files, &error), -1);
	ck_assert_ptr_nonnull(strstr(error.message, "a FIFO that nobody reads"));
	vm_files_remove(&files);
	unlink(console);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("vm-files");
	TCase *tcase = unit_counted_case("files");

	tcase_add_checked_fixture(tcase, start, finish);
	tcase_add_test(tcase, test_private);
	tcase_add_test(tcase, test_remove_all);
	tcase_add_test(tcase, test_own_places);
	tcase_add_test(tcase, test_socket_in_the_way);
	tcase_add_test(tcase, test_planted_links);
	tcase_add_test(tcase, test_console_of_ours);
	tcase_add_test(tcase, test_tmpdir_of_others);
	tcase_add_test(tcase, test_tmpdir_of_another);
	tcase_add_test(tcase, test_socket_too_long);
	tcase_add_test(tcase, test_long_tmpdir);
	tcase_add_test(tcase, test_no_tmpdir);
	tcase_add_test(tcase, test_bad_console);
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
