/* Token files: what is taken, and what could be somebody else's. */
#include "host/lib/token.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "unit.h"

static char base[64];
static char path[96];
static struct provium_error error;
static uint8_t token[PROVIUM_TOKEN_SIZE];
static uint8_t other[PROVIUM_TOKEN_SIZE];

static void start(void)
{
	const char *place = getenv("TMPDIR");

	snprintf(base, sizeof(base), "%s/lib-token-XXXXXX", place ? place : "/tmp");
	ck_assert_ptr_nonnull(mkdtemp(base));
	snprintf(path, sizeof(path), "%s/socket.token", base);
	ck_assert_int_eq(token_make(token, &error), 0);
	umask(0);
}

static void finish(void)
{
	unlink(path);
	ck_assert_int_eq(rmdir(base), 0);
}

static void expect(int code, const char *text)
{
	ck_assert_int_eq(provium_token_read(path, other, &error), -1);
	ck_assert_msg((int)error.code == code && strstr(error.message, text), "%d: %s", error.code,
		      error.message);
}

static void put(size_t size, mode_t mode)
{
	char bytes[64] = "";
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	ck_assert_int_eq(write(fd, bytes, size), (ssize_t)size);
	ck_assert_int_eq(fchmod(fd, mode), 0);
	close(fd);
}

START_TEST(random_ones)
{
	static const uint8_t zeros[PROVIUM_TOKEN_SIZE];

	ck_assert_int_eq(token_make(other, &error), 0);
	ck_assert_mem_ne(token, other, sizeof(token));
	ck_assert_mem_ne(token, zeros, sizeof(token));
}
END_TEST

START_TEST(written_and_read)
{
	struct stat status;

	ck_assert_int_eq(token_write(path, token, &error), 0);
	ck_assert_int_eq(stat(path, &status), 0);
	ck_assert_uint_eq(status.st_mode & 07777, 0600);
	ck_assert_int_eq(provium_token_read(path, other, &error), 0);
	ck_assert_mem_eq(token, other, sizeof(token));
	/* What is there is not written to, and a link not followed. */
	ck_assert_int_eq(token_write(path, token, &error), -1);
	ck_assert_int_eq(error.os_errno, EEXIST);
	unlink(path);
	ck_assert_int_eq(symlink("elsewhere", path), 0);
	ck_assert_int_eq(token_write(path, token, &error), -1);
	ck_assert_int_eq(error.os_errno, EEXIST);
	snprintf(path, sizeof(path), "%s/elsewhere", base);
	ck_assert_int_ne(access(path, F_OK), 0);
	snprintf(path, sizeof(path), "%s/socket.token", base);
}
END_TEST

START_TEST(not_taken)
{
	expect(PROVIUM_NOT_FOUND, "No such file");
	put(PROVIUM_TOKEN_SIZE, 0640);
	expect(PROVIUM_INVALID, "chmod 600");
	put(PROVIUM_TOKEN_SIZE, 0604);
	expect(PROVIUM_INVALID, "chmod 600");
	put(PROVIUM_TOKEN_SIZE, 0620);
	expect(PROVIUM_INVALID, "chmod 600");
	put(PROVIUM_TOKEN_SIZE - 1, 0600);
	expect(PROVIUM_INVALID, "has 31 bytes, a token has 32");
	put(PROVIUM_TOKEN_SIZE + 1, 0600);
	expect(PROVIUM_INVALID, "has 33 bytes");
	put(0, 0600);
	expect(PROVIUM_INVALID, "has 0 bytes");
	put(PROVIUM_TOKEN_SIZE, 0400);
	ck_assert_int_eq(provium_token_read(path, other, &error), 0);
}
END_TEST

START_TEST(no_file)
{
	ck_assert_int_eq(symlink("/proc/self/mem", path), 0);
	expect(PROVIUM_INVALID, "symbolic link");
	unlink(path);
	/* Nobody writes to it, and nobody waits for that. */
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	expect(PROVIUM_INVALID, "not a regular file");
	unlink(path);
	ck_assert_int_eq(mkdir(path, 0700), 0);
	expect(PROVIUM_INVALID, "not a regular file");
	rmdir(path);
}
END_TEST

START_TEST(of_another_user)
{
	if (!unit_is_root())
		return;
	put(PROVIUM_TOKEN_SIZE, 0600);
	ck_assert_int_eq(chown(path, 12345, 12345), 0);
	expect(PROVIUM_INVALID, "belongs to another user");
}
END_TEST

START_TEST(beside_a_socket)
{
	struct address address = { .kind = ADDRESS_HYBRID };

	snprintf(address.path, sizeof(address.path), "%s/socket", base);
	ck_assert_int_eq(token_find(&address, other, &error), 0);
	ck_assert_int_eq(token_write(path, token, &error), 0);
	ck_assert_int_eq(token_find(&address, other, &error), 1);
	ck_assert_mem_eq(token, other, sizeof(token));
	/* One that is there and no good is told, and not passed over. */
	ck_assert_int_eq(chmod(path, 0644), 0);
	ck_assert_int_eq(token_find(&address, other, &error), -1);
	ck_assert_msg(strstr(error.message, "socket.token"), "%s", error.message);
	address.kind = ADDRESS_AGENT;
	ck_assert_int_eq(token_find(&address, other, &error), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("lib-token");
	TCase *tcase = unit_counted_case("files");

	tcase_add_checked_fixture(tcase, start, finish);
	tcase_add_test(tcase, random_ones);
	tcase_add_test(tcase, written_and_read);
	tcase_add_test(tcase, not_taken);
	tcase_add_test(tcase, no_file);
	tcase_add_test(tcase, of_another_user);
	tcase_add_test(tcase, beside_a_socket);
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
