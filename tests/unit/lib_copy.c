/* Copying files in and out: whole or not at all, and nothing left behind. */
#include "host/include/provium.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/util.h"
#include "lib_fake.h"
#include "lib_seam.h"
#include "unit.h"

static struct fake fake;
static struct provium_connection *connection;

static void disconnect(void)
{
	provium_connection_free(connection);
	fake_finish(&fake);
}

static bool is(ProtobufCBinaryData data, const char *text)
{
	return data.len == strlen(text) && memcmp(data.data, text, data.len) == 0;
}

static char directory[128];
static char host_file[160];
static uint64_t progress_done;
static uint64_t progress_total;

static void make_directory(void)
{
	const char *base = getenv("TMPDIR");

	snprintf(directory, sizeof(directory), "%s/lib-file-XXXXXX", base ? base : "/tmp");
	ck_assert_ptr_nonnull(mkdtemp(directory));
	snprintf(host_file, sizeof(host_file), "%s/file", directory);
	umask(022);
}

static unsigned int count_files(void)
{
	DIR *dir = opendir(directory);
	unsigned int count = 0;

	ck_assert_ptr_nonnull(dir);
	while (readdir(dir))
		count++;
	closedir(dir);
	return count - 2;
}

static void remove_directory(void)
{
	unlink(host_file);
	ck_assert_int_eq(rmdir(directory), 0);
}

static void put_file(const char *content, mode_t mode)
{
	int fd = open(host_file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, content, strlen(content)), (ssize_t)strlen(content));
	ck_assert_int_eq(fchmod(fd, mode), 0);
	close(fd);
}

static void check_file(const char *content, mode_t mode)
{
	char text[64] = "";
	struct stat status;
	int fd = open(host_file, O_RDONLY | O_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_ge(read(fd, text, sizeof(text) - 1), 0);
	ck_assert_str_eq(text, content);
	ck_assert_int_eq(fstat(fd, &status), 0);
	ck_assert_int_eq(status.st_mode & 07777, mode);
	close(fd);
}

static void on_progress(void *user, uint64_t done, uint64_t total)
{
	(void)user;
	ck_assert_uint_gt(done, progress_done);
	progress_done = done;
	progress_total = total;
}

static const struct provium_copy_options with_progress = { .progress = on_progress };

static void push_script(struct fake *agent)
{
	const Provium__V1__WriteFile *body;
	const Provium__V1__WriteData *data;

	fake_ready(agent);
	body = fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_WRITE_FILE)->write_file;
	fake_check(agent, is(body->path, "/target") && body->atomic);
	fake_check(agent, body->has_mode && body->mode == 04751);
	data = fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_WRITE_DATA)->write_data;
	fake_check(agent, is(data->data, "content") && data->last);
	fake_ok(agent, 0, 7);
	fake_expect_end(agent);
}

START_TEST(test_push)
{
	put_file("content", 04751);
	connection = fake_connect(&fake, push_script);
	check_ok(provium_push(connection, host_file, "/target", &with_progress, 5000, &error));
	ck_assert_uint_eq(progress_done, 7);
	ck_assert_uint_eq(progress_total, 7);
	disconnect();
}
END_TEST

static void ready_script(struct fake *agent)
{
	fake_ready(agent);
	fake_expect_end(agent);
}

/* Nothing of these reaches the agent. */
START_TEST(test_push_refused)
{
	connection = fake_connect(&fake, ready_script);
	ck_assert_int_eq(provium_push(connection, host_file, "/target", NULL, 5000, &error), -1);
	check_error(PROVIUM_HOST, host_file);
	ck_assert_int_eq(error.os_errno, ENOENT);
	ck_assert_int_eq(provium_push(connection, "", "/target", NULL, 5000, &error), -1);
	check_error(PROVIUM_HOST, "No such file");
	ck_assert_int_eq(mkfifo(host_file, 0600), 0);
	ck_assert_int_eq(provium_push(connection, host_file, "/target", NULL, 5000, &error), -1);
	check_error(PROVIUM_INVALID, "is special");
	disconnect();
}
END_TEST

/* agent->number: what STAT says is the mode; 0: the agent has no STAT. */
static void pull_script(struct fake *agent)
{
	uint32_t code = PROVIUM__V1__MESSAGE__BODY_STAT;
	Provium__V1__Message message;
	Provium__V1__Ready ready;
	Provium__V1__StatResult result = PROVIUM__V1__STAT_RESULT__INIT;

	fake_ready_message(&message, &ready);
	if (agent->number) {
		ready.n_requests = 1;
		ready.requests = &code;
	}
	fake_send(agent, &message);
	if (agent->number) {
		fake_check(agent,
			   is(fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_STAT)->stat->path,
			      "/source"));
		provium__v1__message__init(&message);
		result.mode = (uint32_t)agent->number;
		result.size = 100;
		message.has_id = true;
		message.id = agent->id;
		message.body_case = PROVIUM__V1__MESSAGE__BODY_STAT_RESULT;
		message.stat_result = &result;
		fake_send(agent, &message);
	}
	fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_READ_FILE);
	fake_data(agent, 0, 0, "con", 3);
	fake_data(agent, 0, 3, "tent", 4);
	fake_ok(agent, 0, 7);
	fake_expect_end(agent);
}

static const struct {
	int number;
	mode_t mode;
	uint64_t total;
} pulls[] = {
	{ 0, 0644, 0 },
	{ S_IFREG | 0751, 0751, 100 },
	/* Set-id bits count for another user here. */
	{ S_IFREG | 06755, 0755, 100 },
	/* A device has a size and a mode of no use. */
	{ S_IFCHR | 0666, 0644, 0 },
};

START_TEST(test_pull)
{
	put_file("old content", 0600);
	fake.number = pulls[_i].number;
	connection = fake_connect(&fake, pull_script);
	check_ok(provium_pull(connection, "/source", host_file, &with_progress, 5000, &error));
	check_file("content", pulls[_i].mode);
	ck_assert_uint_eq(count_files(), 1);
	ck_assert_uint_eq(progress_done, 7);
	ck_assert_uint_eq(progress_total, pulls[_i].total);
	disconnect();
}
END_TEST

START_TEST(test_pull_to_working_directory)
{
	connection = fake_connect(&fake, pull_script);
	ck_assert_int_eq(chdir(directory), 0);
	check_ok(provium_pull(connection, "/source", "file", NULL, 5000, &error));
	ck_assert_int_eq(chdir("/"), 0);
	check_file("content", 0644);
	disconnect();
}
END_TEST

static void missing_script(struct fake *agent)
{
	fake_ready(agent);
	fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_READ_FILE);
	fake_data(agent, 0, 0, "con", 3);
	fake_error(agent, 0, PROVIUM__V1__ERROR_CODE__ERROR_OS, 5, "EIO", "read", "bad disk");
	fake_expect_end(agent);
}

/* What was there stays, and nothing is left beside it. */
START_TEST(test_pull_fails_in_guest)
{
	put_file("old content", 0600);
	connection = fake_connect(&fake, missing_script);
	ck_assert_int_eq(provium_pull(connection, "/source", host_file, NULL, 5000, &error), -1);
	check_error(PROVIUM_GUEST, "/source: bad disk (read: EIO)");
	check_file("old content", 0600);
	ck_assert_uint_eq(count_files(), 1);
	disconnect();
}
END_TEST

static void cancelled_pull_script(struct fake *agent)
{
	uint32_t id;

	fake_ready(agent);
	fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_READ_FILE);
	id = agent->id;
	fake_data(agent, 0, 0, "content", 7);
	fake_check(agent,
		   fake_expect(agent, PROVIUM__V1__MESSAGE__BODY_CANCEL)->cancel->request == id);
	fake_expect_end(agent);
}

START_TEST(test_pull_disk_full)
{
	connection = fake_connect(&fake, cancelled_pull_script);
	seam.write_errno = ENOSPC;
	seam.write_room = 3;
	ck_assert_int_eq(provium_pull(connection, "/source", host_file, NULL, 5000, &error), -1);
	check_error(PROVIUM_HOST, "file: write: No space left on device");
	ck_assert_int_eq(error.os_errno, ENOSPC);
	ck_assert_uint_eq(count_files(), 0);
	disconnect();
}
END_TEST

START_TEST(test_pull_times_out)
{
	connection = fake_connect(&fake, cancelled_pull_script);
	ck_assert_int_eq(provium_pull(connection, "/source", host_file, NULL, 60, &error), -1);
	check_error(PROVIUM_TIMED_OUT, "/source: read: timed out");
	ck_assert_uint_eq(count_files(), 0);
	disconnect();
}
END_TEST

/* Refused before the agent is asked. */
START_TEST(test_pull_target)
{
	const struct provium_copy_options exact = { .exact = true };
	char path[5000];

	connection = fake_connect(&fake, ready_script);
	ck_assert_int_eq(provium_pull(connection, "/source", directory, &exact, 5000, &error), -1);
	check_error(PROVIUM_HOST, "it is there: Is a directory");
	ck_assert_int_eq(provium_pull(connection, "/source", "", NULL, 5000, &error), -1);
	check_error(PROVIUM_HOST, "No such file");
	snprintf(path, sizeof(path), "%s/none/file", directory);
	ck_assert_int_eq(provium_pull(connection, "/source", path, NULL, 5000, &error), -1);
	check_error(PROVIUM_HOST, "cannot make a file beside it: No such file");
	ck_assert_int_eq(provium_pull(connection, "/source", "/dev/null", NULL, 5000, &error), -1);
	check_error(PROVIUM_INVALID, "/dev/null: it is there, and special");
	ck_assert_int_eq(symlink("/dev/null", host_file), 0);
	ck_assert_int_eq(provium_pull(connection, "/source", host_file, NULL, 5000, &error), -1);
	check_error(PROVIUM_INVALID, "symbolic link");
	memset(path, 'p', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	ck_assert_int_eq(provium_pull(connection, "/source", path, NULL, 5000, &error), -1);
	check_error(PROVIUM_HOST, "File name too long");
	ck_assert_uint_eq(count_files(), 1);
	disconnect();
}
END_TEST

static TCase *copy_cases(void)
{
	TCase *tcase = unit_counted_case("copy");

	tcase_add_checked_fixture(tcase, make_directory, remove_directory);
	tcase_add_test(tcase, test_push);
	tcase_add_test(tcase, test_push_refused);
	tcase_add_loop_test(tcase, test_pull, 0, ARRAY_SIZE(pulls));
	tcase_add_test(tcase, test_pull_to_working_directory);
	tcase_add_test(tcase, test_pull_fails_in_guest);
	tcase_add_test(tcase, test_pull_disk_full);
	tcase_add_test(tcase, test_pull_times_out);
	tcase_add_test(tcase, test_pull_target);
	return tcase;
}

int main(void)
{
	Suite *suite = suite_create("lib-copy");

	suite_add_tcase(suite, copy_cases());
	return unit_run(suite);
}
