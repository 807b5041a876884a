/* TAIL: what is appended, what happens to the file and its name, and how it ends. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/connection.h"
#include "agent_files.h"
#include "agent_os.h"
#include "common/cleanup.h"
#include "common/util.h"
#include "unit.h"

#define START(name) PROVIUM__V1__TAIL__START__##name
#define TRUNCATED   PROVIUM__V1__TAIL_EVENT__TAIL_TRUNCATED
#define ROTATED     PROVIUM__V1__TAIL_EVENT__TAIL_ROTATED

static uint32_t send_tail_from(const char *path, int start, int64_t offset)
{
	Provium__V1__Tail request = PROVIUM__V1__TAIL__INIT;

	SET(request, path, bytes_of(path));
	SET(request, start, (Provium__V1__Tail__Start)start);
	if (offset >= 0)
		SET(request, offset, (uint64_t)offset);
	return send_body(&client, BODY(TAIL), &request);
}

static uint32_t send_tail(const char *path)
{
	return send_tail_from(path, START(BEGINNING), -1);
}

static uint32_t tail_fd(int fd)
{
	Provium__V1__Tail request = PROVIUM__V1__TAIL__INIT;

	SET(request, fd, fd);
	return send_body(&client, BODY(TAIL), &request);
}

static void put(const char *name, int flags, const char *text)
{
	int fd = open(name, O_WRONLY | O_CLOEXEC | flags, 0600);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

static void append(const char *text)
{
	put(file_path, O_APPEND | O_CREAT, text);
}

static void expect_event(uint32_t id, int event)
{
	const Provium__V1__Message *message = client_expect(&client, BODY(FILE_DATA));

	ck_assert_uint_eq(message->id, id);
	ck_assert(message->file_data->has_event && !message->file_data->has_data);
	ck_assert_int_eq(message->file_data->event, event);
	ck_assert_uint_eq(message->file_data->offset, 0);
}

/* Nothing more is on its way; then OK with so many bytes, and that of CANCEL. */
static void expect_end(uint32_t id, uint64_t bytes)
{
	uint32_t cancel = client_cancel(&client, id);
	const Provium__V1__Message *message = client_expect(&client, BODY(OK));

	ck_assert_uint_eq(message->id, id);
	ck_assert_uint_eq(message->ok->bytes, bytes);
	client_expect_ok(&client, cancel);
}

/* ------------------------------------------------------------------------------------------- */

START_TEST(starts)
{
	Provium__V1__Tail request = PROVIUM__V1__TAIL__INIT;
	uint32_t id;

	append("0123456789");
	id = send_tail(file_path);
	expect_text(&client, id, 0, "0123456789");
	append("ab");
	expect_text(&client, id, 10, "ab");
	append("cd");
	expect_text(&client, id, 12, "cd");
	expect_end(id, 14);
	id = send_tail_from(file_path, START(OFFSET), 9);
	expect_text(&client, id, 9, "9abcd");
	expect_end(id, 5);
	/* From now on, which is also what is meant where nothing is said. */
	SET(request, path, bytes_of(file_path));
	id = send_body(&client, BODY(TAIL), &request);
	client_ping(&client);
	append("ef");
	expect_text(&client, id, 14, "ef");
	expect_end(id, 2);
	/* Where the file does not reach yet. */
	id = send_tail_from(file_path, START(OFFSET), 20);
	client_ping(&client);
	append("ghijkl");
	expect_text(&client, id, 20, "kl");
	expect_end(id, 2);
	/* An empty one. */
	ck_assert_int_eq(truncate(file_path, 0), 0);
	id = send_tail(file_path);
	client_ping(&client);
	append("x");
	expect_text(&client, id, 0, "x");
	expect_end(id, 1);
}
END_TEST

START_TEST(refused)
{
	client_expect_os_error(&client, send_tail("/no/such/file"), ENOENT, "/no/such/file");
	client_expect_os_error(&client, send_tail("/etc"), EISDIR, "");
	/* It tells no changes. */
	client_expect_os_error(&client, send_tail("/proc/meminfo"), EINVAL, "");
	client_expect_os_error(&client, tail_fd(400), EBADF, "fd 400");
	append("x");
	client_expect_error(&client, send_tail_from(file_path, START(OFFSET), -1), CODE(INVALID),
			    "belong together");
	client_expect_error(&client, send_tail_from(file_path, START(END), 1), CODE(INVALID),
			    "belong together");
	client_expect_error(&client, send_tail_from(file_path, 3, -1), CODE(INVALID), "start: 3");
	client_ping(&client);
}
END_TEST

/* One that goes on does not hold up what comes behind it, nor does another. */
START_TEST(takes_no_turn)
{
	uint32_t first, second, read;

	append("abc");
	first = send_tail(file_path);
	second = send_tail(file_path);
	read = send_read(&client, "/proc/version", &plain_read);
	expect_text(&client, first, 0, "abc");
	expect_text(&client, second, 0, "abc");
	ck_assert_uint_eq(client_expect(&client, BODY(FILE_DATA))->id, read);
	client_expect_ok(&client, read);
	/* But it waits for those before it. */
	expect_end(first, 3);
	expect_end(second, 3);
	read = send_write(file_path, &plain_write);
	first = send_tail(file_path);
	client_ping(&client);
	send_data(read, "written", 7, true);
	expect_written(read, 7);
	expect_text(&client, first, 0, "written");
	expect_end(first, 7);
}
END_TEST

/* ------------------------------------------------------------------------------------------- */
/* What happens to the file */

START_TEST(truncated)
{
	uint32_t id;

	append("0123456789");
	id = send_tail(file_path);
	expect_text(&client, id, 0, "0123456789");
	put(file_path, O_TRUNC, "ab");
	expect_event(id, TRUNCATED);
	expect_text(&client, id, 0, "ab");
	append("c");
	expect_text(&client, id, 2, "c");
	ck_assert_int_eq(truncate(file_path, 1), 0);
	expect_event(id, TRUNCATED);
	expect_text(&client, id, 0, "a");
	ck_assert_int_eq(truncate(file_path, 0), 0);
	expect_event(id, TRUNCATED);
	client_ping(&client);
	expect_end(id, 14);
}
END_TEST

/* As logrotate does it: what the old one still gets comes first. */
START_TEST(rotated)
{
	cleanup_free char *previous = strdup(test_path("file.1"));
	uint32_t id;

	append("old");
	id = send_tail(file_path);
	expect_text(&client, id, 0, "old");
	ck_assert_int_eq(rename(file_path, previous), 0);
	client_ping(&client);
	put(previous, O_APPEND, "last");
	expect_text(&client, id, 3, "last");
	append("new");
	expect_event(id, ROTATED);
	expect_text(&client, id, 0, "new");
	append("er");
	expect_text(&client, id, 3, "er");
	/* The old one is of no interest any more. */
	put(previous, O_APPEND, "never");
	client_ping(&client);
	append("!");
	expect_text(&client, id, 5, "!");
	expect_end(id, 13);
}
END_TEST

/* Another file takes the name in one step, while the old one has got something. */
START_TEST(renamed_over)
{
	cleanup_free char *next = strdup(test_path("next"));
	uint32_t id;

	append("old");
	id = send_tail_from(file_path, START(END), -1);
	client_ping(&client);
	for (int i = 0; i < 20; i++) {
		put(next, O_CREAT | O_TRUNC, "next");
		append("-");
		ck_assert_int_eq(rename(next, file_path), 0);
		expect_text(&client, id, i ? 4 : 3, "-");
		expect_event(id, ROTATED);
		expect_text(&client, id, 0, "next");
	}
	expect_end(id, 100);
}
END_TEST

/* Removed and made again, as often as one likes; something else of that name is not read. */
START_TEST(removed_and_made_again)
{
	uint32_t id;

	append("first");
	id = send_tail(file_path);
	expect_text(&client, id, 0, "first");
	for (int i = 0; i < 20; i++) {
		ck_assert_int_eq(unlink(file_path), 0);
		client_ping(&client);
		ck_assert_int_eq(mkdir(file_path, 0700), 0);
		client_ping(&client);
		ck_assert_int_eq(rmdir(file_path), 0);
		append("again");
		expect_event(id, ROTATED);
		expect_text(&client, id, 0, "again");
	}
	expect_end(id, 105);
}
END_TEST

/* A symbolic link that leads elsewhere, and a new file at the end of one. */
START_TEST(symbolic_link)
{
	cleanup_free char *link = strdup(test_path("dir/link"));
	cleanup_free char *other = strdup(test_path("other"));
	cleanup_free char *temporary = strdup(test_path("dir/temporary"));
	uint32_t id;

	ck_assert_int_eq(mkdir(test_path("dir"), 0700), 0);
	append("one");
	ck_assert_int_eq(symlink(file_path, link), 0);
	id = send_tail(link);
	expect_text(&client, id, 0, "one");
	unlink(file_path);
	append("two");
	expect_event(id, ROTATED);
	expect_text(&client, id, 0, "two");
	put(other, O_CREAT, "three");
	ck_assert_int_eq(symlink(other, temporary), 0);
	ck_assert_int_eq(rename(temporary, link), 0);
	expect_event(id, ROTATED);
	expect_text(&client, id, 0, "three");
	append("never");
	put(other, O_APPEND, "!");
	expect_text(&client, id, 5, "!");
	expect_end(id, 12);
}
END_TEST

/* ------------------------------------------------------------------------------------------- */
/* fds */

/* A file by fd: its place stays, its name is of no interest. */
START_TEST(file_by_fd)
{
	int fd, other;
	uint32_t id;

	append("0123");
	fd = open(file_path, O_RDONLY | O_CLOEXEC);
	id = tail_fd(fd);
	client_ping(&client);
	append("45");
	expect_text(&client, id, 4, "45");
	ck_assert_int_eq(rename(file_path, test_path("other")), 0);
	append("new");
	put(test_path("other"), O_APPEND, "67");
	expect_text(&client, id, 6, "67");
	other = open(test_path("other"), O_WRONLY | O_CLOEXEC);
	ck_assert_int_eq(ftruncate(other, 0), 0);
	close(other);
	expect_event(id, TRUNCATED);
	expect_end(id, 4);
	ck_assert_int_eq(lseek(fd, 0, SEEK_CUR), 0);
	close(fd);
}
END_TEST

/* A pipe has an end of its own. */
START_TEST(pipe_by_fd)
{
	const Provium__V1__Message *message;
	uint32_t id;
	int ends[2];

	ck_assert_int_eq(pipe(ends), 0);
	id = tail_fd(ends[0]);
	client_ping(&client);
	ck_assert_int_eq(write(ends[1], "ab", 2), 2);
	expect_text(&client, id, 0, "ab");
	client_ping(&client);
	ck_assert_int_eq(write(ends[1], "cd", 2), 2);
	expect_text(&client, id, 2, "cd");
	close(ends[1]);
	message = client_expect(&client, BODY(OK));
	ck_assert_uint_eq(message->id, id);
	ck_assert_uint_eq(message->ok->bytes, 4);
	close(ends[0]);
	ck_assert_int_eq(pipe(ends), 0);
	id = tail_fd(ends[0]);
	client_ping(&client);
	expect_end(id, 0);
	close(ends[0]);
	close(ends[1]);
}
END_TEST

/* ------------------------------------------------------------------------------------------- */

/* A host that does not read makes no queue. */
START_TEST(unread)
{
	struct client other;
	uint64_t queued, received = 0;
	uint32_t id;

	make_file(file_path, MIB(6), 0600);
	client_connect(&other);
	id = send_tail(file_path);
	eventually(client_info(&other).queued_bytes > QUEUE_LOW);
	do {
		queued = client_info(&other).queued_bytes;
		usleep(100000);
	} while (client_info(&other).queued_bytes != queued);
	ck_assert_uint_le(queued, QUEUE_HIGH + KIB(600));
	/* Events come meanwhile. */
	for (int i = 0; i < 100; i++)
		append("");
	append("end");
	while (received < MIB(6) + 3) {
		const Provium__V1__FileData *data =
			client_expect(&client, BODY(FILE_DATA))->file_data;

		ck_assert_uint_eq(data->offset, received);
		received += data->data.len;
	}
	expect_end(id, MIB(6) + 3);
	client_close(&other);
}
END_TEST

/* The connection ends with some of them: their watches are gone, too. */
START_TEST(abandoned)
{
	uint32_t fds = client_info(&client).open_fds;
	struct client kept = client;

	append("abc");
	client_connect(&client);
	for (int i = 0; i < 20; i++)
		expect_text(&client, send_tail(file_path), 0, "abc");
	client_close(&client);
	client = kept;
	eventually(client_info(&client).connections == 1);
	ck_assert_uint_le(client_info(&client).open_fds, fds);
}
END_TEST

START_TEST(failures)
{
	static const struct {
		enum os_call call;
		unsigned int after;
		int error;
	} cases[] = {
		{ OS_OPEN, 0, EMFILE },  { OS_STATX, 0, EIO },    { OS_INOTIFY, 0, EMFILE },
		{ OS_WATCH, 0, ENOSPC }, { OS_WATCH, 2, ENOSPC }, { OS_READ, 0, EIO },
	};
	uint32_t id;

	append("abc");
	os_fail(cases[_i].call, cases[_i].error, cases[_i].after, 1);
	client_expect_os_error(&client, send_tail(file_path), cases[_i].error, "TAIL: \"");
	ck_assert_uint_eq(os_failures_left(cases[_i].call), 0);
	/* The one that takes the name cannot be opened. */
	id = send_tail(file_path);
	expect_text(&client, id, 0, "abc");
	client_ping(&client);
	os_fail(OS_OPEN, EACCES, 0, 1);
	unlink(file_path);
	append("x");
	client_expect_os_error(&client, id, EACCES, "after 3 bytes");
	client_ping(&client);
}
END_TEST

static Suite *tail_suite(void)
{
	Suite *suite = suite_create("agent: following files");
	TCase *tcase = unit_counted_case("connected");

	tcase_add_checked_fixture(tcase, files_start, agent_stop_connected);
	tcase_add_test(tcase, starts);
	tcase_add_test(tcase, refused);
	tcase_add_test(tcase, takes_no_turn);
	tcase_add_test(tcase, truncated);
	tcase_add_test(tcase, rotated);
	tcase_add_test(tcase, renamed_over);
	tcase_add_test(tcase, removed_and_made_again);
	tcase_add_test(tcase, symbolic_link);
	tcase_add_test(tcase, file_by_fd);
	tcase_add_test(tcase, pipe_by_fd);
	tcase_add_test(tcase, unread);
	tcase_add_test(tcase, abandoned);
	tcase_add_loop_test(tcase, failures, 0, 6);
	tcase_set_timeout(tcase, 60);
	suite_add_tcase(suite, tcase);
	return suite;
}

int main(void)
{
	return unit_run(tail_suite());
}
