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
	tcase_add_test(tcase, test_socket_too_long);
	tcase_add_test(tcase, test_long_tmpdir);
	tcase_add_test(tcase, test_no_tmpdir);
	tcase_add_test(tcase, test_bad_console);
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
