/* A snapshot's text and fds: what one process gives, another takes; and what it does not take. */
#include "host/lib/snapshot.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "unit.h"

#define MEMORY ((uint64_t)128 << 20)
#define STATE  1234u
#define TOKEN  "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define DISKS  "[{\"format\":\"raw\",\"readonly\":true}]"

static struct provium_snapshot *snapshot;
static struct provium_error error;
/* Memory, state, disk. */
static int files[3];

static void start(void)
{
	static const uint64_t sizes[] = { MEMORY, STATE, 4096 };

	for (size_t i = 0; i < 3; i++) {
		files[i] = memfd_create("file", MFD_CLOEXEC);
		ck_assert_int_ge(files[i], 0);
		ck_assert_int_eq(ftruncate(files[i], (off_t)sizes[i]), 0);
	}
}

static void finish(void)
{
	for (size_t i = 0; i < 3; i++)
		close(files[i]);
	provium_snapshot_free(snapshot);
	snapshot = NULL;
}

static const char *text_of(const char *memory, const char *cpus, const char *disks)
{
	static char text[8192];

	snprintf(text, sizeof(text),
		 "{\"provium_snapshot\":1,\"accel\":\"tcg\",\"memory\":%s,\"cpus\":%s,"
		 "\"state\":1234,\"token\":\"" TOKEN "\",\"disks\":%s}",
		 memory, cpus, disks);
	return text;
}

static void refuse(const char *text, size_t n_fds, enum provium_code code, const char *why)
{
	ck_assert_int_eq(provium_snapshot_open(text, files, n_fds, &snapshot, &error), -1);
	ck_assert_ptr_null(snapshot);
	ck_assert_msg(error.code == code, "%d: %s", error.code, error.message);
	ck_assert_msg(strstr(error.message, why), "%s", error.message);
}

static ino_t inode(int fd)
{
	struct stat st;

	ck_assert_int_eq(fstat(fd, &st), 0);
	return st.st_ino;
}

START_TEST(test_round_trip)
{
	static const char disks[] =
		"[{\"format\":\"qcow2\",\"readonly\":false,\"backing\":\"/a,b\","
		"\"backing_format\":\"raw\"}]";
	cleanup_free char *text = NULL;
	struct provium_snapshot *first;
	int fds[PROVIUM_SNAPSHOT_MAX_FDS] = { -1, -1, -1, -1 };

	ck_assert_msg(provium_snapshot_open(text_of("134217728", "2", disks), files, 3, &first,
					    &error) == 0,
		      "%s", error.message);
	text = provium_snapshot_text(first);
	ck_assert_str_eq(text, text_of("134217728", "2", disks));
	ck_assert_uint_eq(provium_snapshot_fds(first, fds, 2), 3);
	ck_assert_int_eq(fds[2], -1);
	ck_assert_uint_eq(provium_snapshot_fds(first, fds, PROVIUM_SNAPSHOT_MAX_FDS), 3);
	for (size_t i = 0; i < 3; i++)
		ck_assert_uint_eq(inode(fds[i]), inode(files[i]));

	ck_assert_int_eq(provium_snapshot_open(text, fds, 3, &snapshot, &error), 0);
	provium_snapshot_free(first);
	ck_assert_uint_eq(provium_snapshot_memory(snapshot), MEMORY);
	ck_assert_uint_eq(provium_snapshot_cpus(snapshot), 2);
	ck_assert_int_eq(provium_snapshot_accel(snapshot), PROVIUM_ACCEL_TCG);
	for (size_t i = 0; i < PROVIUM_TOKEN_SIZE; i++)
		ck_assert_uint_eq(snapshot->token[i], i);
	ck_assert_uint_eq(snapshot->state_size, STATE);
	ck_assert_int_eq(fcntl(snapshot->state_fd, F_GETFD), FD_CLOEXEC);
	ck_assert_str_eq(snapshot->hardware.disks[0].format, "qcow2");
	ck_assert_str_eq(snapshot->hardware.disks[0].backing, "/a,b");
	ck_assert_str_eq(snapshot->hardware.disks[0].backing_format, "raw");
	ck_assert(!snapshot->hardware.disks[0].readonly);
	/* What is written to is copied for each guest. */
	ck_assert(snapshot->hardware.disks[0].own);
}
END_TEST

START_TEST(test_no_text)
{
	static const char *const texts[] = { "",
					     "x",
					     "[]",
					     "1",
					     "{",
					     "{}",
					     "{\"provium_snapshot\":0}",
					     "{\"provium_snapshot\":\"1\"}",
					     "{\"provium_snapshot\":1,\"provium_snapshot\":1}" };
	char *long_text = malloc(PROVIUM_SNAPSHOT_MAX_TEXT + 1);

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		refuse(texts[i], 3, PROVIUM_INVALID, "it does not say so");
	memset(long_text, ' ', PROVIUM_SNAPSHOT_MAX_TEXT);
	long_text[PROVIUM_SNAPSHOT_MAX_TEXT] = '\0';
	refuse(long_text, 3, PROVIUM_INVALID, "too long");
	free(long_text);
	refuse("{\"provium_snapshot\":2}", 3, PROVIUM_UNSUPPORTED, "version 2");
	refuse("{\"provium_snapshot\":1}", 3, PROVIUM_INVALID, "memory");
}
END_TEST

START_TEST(test_numbers)
{
	static const char *const memories[] = { "0",         "-1",          "1048576",
						"134217729", "134217728.0", "\"1\"",
						"null",      "[]",          "1099512676352",
						"true" };
	static const char *const cpus[] = { "0", "-1", "256", "4294967297", "1.0", "{}" };

	for (size_t i = 0; i < sizeof(memories) / sizeof(memories[0]); i++)
		refuse(text_of(memories[i], "1", "[]"), 2, PROVIUM_INVALID, "memory");
	for (size_t i = 0; i < sizeof(cpus) / sizeof(cpus[0]); i++)
		refuse(text_of("134217728", cpus[i], "[]"), 2, PROVIUM_INVALID, "cpus");
	refuse(text_of("134217728", "9223372036854775808", "[]"), 2, PROVIUM_INVALID,
	       "it does not say so");
}
END_TEST

/* A text in which one piece is replaced. */
static const char *changed(const char *from, const char *to)
{
	static char text[8192];
	const char *whole = text_of("134217728", "1", "[]");
	const char *at = strstr(whole, from);

	ck_assert_ptr_nonnull(at);
	snprintf(text, sizeof(text), "%.*s%s%s", (int)(at - whole), whole, to, at + strlen(from));
	return text;
}

START_TEST(test_strings)
{
	refuse(changed("tcg", "auto"), 2, PROVIUM_INVALID, "accel");
	refuse(changed("\"tcg\"", "1"), 2, PROVIUM_INVALID, "accel");
	refuse(changed("1234", "67108865"), 2, PROVIUM_INVALID, "state");
	refuse(changed("1234", "1235"), 2, PROVIUM_INVALID, "size");
	refuse(changed("1d1e1f", "1d1e1"), 2, PROVIUM_INVALID, "token");
	refuse(changed("1d1e1f", "1d1e1f0"), 2, PROVIUM_INVALID, "token");
	refuse(changed("1d1e1f", "1d1e1g"), 2, PROVIUM_INVALID, "token");
	refuse(changed("1d1e1f", "1d1E1f"), 2, PROVIUM_INVALID, "token");
	/* A NUL ends a text for this parser. */
	refuse(changed("1d1e1f", "1d1\\u00001f"), 2, PROVIUM_INVALID, "it does not say so");
	refuse(changed("\"" TOKEN "\"", "null"), 2, PROVIUM_INVALID, "token");
}
END_TEST

START_TEST(test_disks)
{
	static const char *const disks[] = {
		"{}",
		"null",
		"[1]",
		"[{}]",
		"[{\"format\":\"raw\"}]",
		"[{\"format\":\"vmdk\",\"readonly\":true}]",
		"[{\"format\":\"raw\",\"readonly\":1}]",
		"[{\"format\":\"raw\",\"readonly\":true,\"backing\":\"/a\","
		"\"backing_format\":\"raw\"}]",
		"[{\"format\":\"qcow2\",\"readonly\":true,\"backing\":\"a\","
		"\"backing_format\":\"raw\"}]",
		"[{\"format\":\"qcow2\",\"readonly\":true,\"backing\":\"/a\"}]",
		"[{\"format\":\"qcow2\",\"readonly\":true,\"backing\":\"/a\","
		"\"backing_format\":\"nbd\"}]",
		"[{\"format\":\"qcow2\",\"readonly\":true,\"backing\":1,"
		"\"backing_format\":\"raw\"}]",
	};
	char many[2048] = "[";

	for (size_t i = 0; i < sizeof(disks) / sizeof(disks[0]); i++)
		refuse(text_of("134217728", "1", disks[i]), 3, PROVIUM_INVALID, "disk");
	for (size_t i = 0; i < 17; i++)
		strcat(many, i ? ",{\"format\":\"raw\",\"readonly\":true}"
			       : "{\"format\":\"raw\",\"readonly\":true}");
	strcat(many, "]");
	refuse(text_of("134217728", "1", many), 3, PROVIUM_INVALID, "disks");
}
END_TEST

START_TEST(test_fds)
{
	const char *text = text_of("134217728", "1", DISKS);
	int good = files[2];
	int pair[2];

	for (size_t n = 0; n < 3; n++)
		refuse(text, n, PROVIUM_INVALID, "has 3 fds");
	ck_assert_int_eq(pipe(pair), 0);
	files[2] = pair[0];
	refuse(text, 3, PROVIUM_INVALID, "no file");
	files[2] = open("/dev/null", O_RDONLY | O_CLOEXEC);
	refuse(text, 3, PROVIUM_INVALID, "no file");
	close(files[2]);
	files[2] = -1;
	refuse(text, 3, PROVIUM_INVALID, "fd -1");
	files[2] = open("/proc/self/exe", O_PATH | O_CLOEXEC);
	refuse(text, 3, PROVIUM_INVALID, "cannot be read");
	close(files[2]);
	files[2] = good;
	ck_assert_int_eq(ftruncate(files[0], (off_t)MEMORY - 4096), 0);
	refuse(text, 3, PROVIUM_INVALID, "size");
	ck_assert_int_eq(ftruncate(files[0], (off_t)MEMORY), 0);
	ck_assert_int_eq(provium_snapshot_open(text, files, 3, &snapshot, &error), 0);
	close(pair[0]);
	close(pair[1]);
}
END_TEST

START_TEST(test_free_nothing)
{
	provium_snapshot_free(NULL);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("vm-snapshot");
	TCase *tcase = unit_counted_case("text");

	tcase_add_checked_fixture(tcase, start, finish);
	tcase_add_test(tcase, test_round_trip);
	tcase_add_test(tcase, test_no_text);
	tcase_add_test(tcase, test_numbers);
	tcase_add_test(tcase, test_strings);
	tcase_add_test(tcase, test_disks);
	tcase_add_test(tcase, test_fds);
	tcase_add_test(tcase, test_free_nothing);
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
