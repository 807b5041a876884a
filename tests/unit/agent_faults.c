/* System calls of the agent that fail, or do less than they were asked to. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include <linux/vm_sockets.h>

#include "agent_harness.h"
#include "agent_os.h"
#include "common/util.h"
#include "proto/limits.h"
#include "unit.h"

static char path[256];
static struct outcome outcome;

static void start(void)
{
	agent_start_connected();
	snprintf(path, sizeof(path), "%s", test_path("file"));
}

static void stop(void)
{
	outcome_free(&outcome);
	agent_stop_connected();
}

static unsigned int count_files(void)
{
	DIR *dir = opendir(test_path("."));
	unsigned int count = 0;

	ck_assert_ptr_nonnull(dir);
	while (readdir(dir))
		count++;
	closedir(dir);
	/* ., .. and the socket. */
	return count - 3;
}

/* ------------------------------------------------------------------------------------------- */

START_TEST(received_in_pieces)
{
	os_shorten(OS_RECEIVE, (size_t)_i);
	for (int i = 0; i < 20; i++)
		client_ping(&client);
	client_run(&client, "echo out; echo err >&2", &outcome);
	outcome_expect(&outcome, "out\n", "err\n");
}
END_TEST

START_TEST(sent_in_pieces)
{
	os_shorten(OS_SEND, (size_t)_i);
	client_run(&client, "seq 1 2000", &outcome);
	outcome_expect_exit(&outcome, 0);
	ck_assert_uint_eq(outcome.size[0], 8893);
	for (int i = 0; i < 20; i++)
		client_ping(&client);
}
END_TEST

/* The socket is full for a moment, again and again. */
START_TEST(sent_later)
{
	for (int i = 0; i < 20; i++) {
		os_fail(OS_SEND, EAGAIN, (unsigned int)i % 3, 2);
		client_ping(&client);
		client_run(&client, "seq 1 2000", &outcome);
		ck_assert_uint_eq(outcome.size[0], 8893);
		outcome_free(&outcome);
	}
}
END_TEST

START_TEST(broken_socket)
{
	static const struct {
		enum os_call call;
		int error;
	} cases[] = {
		{ OS_SEND, EPIPE },
		{ OS_SEND, ECONNRESET },
		{ OS_RECEIVE, ECONNRESET },
		{ OS_RECEIVE, ENOMEM },
	};
	struct client other;

	client_connect(&other);
	client_shell(&other, "sleep 1000");
	eventually(client_info(&client).commands_running == 1);
	os_fail(cases[_i].call, cases[_i].error, 0, 1);
	client_shell(&other, "echo never");
	client_expect_end(&other);
	client_close(&other);
	eventually(client_info(&client).commands_running == 0);
	eventually(client_info(&client).connections == 1);
}
END_TEST

/* Fds run out: those who wait are let in when there are some again. */
START_TEST(accept_fails)
{
	static const int errors[] = { EMFILE, ENFILE, ENOMEM, ECONNABORTED, EAGAIN };
	struct client other;

	os_fail(OS_ACCEPT, errors[_i], 0, 2);
	client_connect(&other);
	ck_assert_uint_eq(os_failures_left(OS_ACCEPT), 0);
	client_ping(&other);
	client_close(&other);
}
END_TEST

/* The agent makes root of whoever it lets in: over vsock that is the host, and nobody else. */
START_TEST(only_the_host)
{
	/* No vsock at all, loopback, the host, a sibling, any. */
	static const unsigned int cids[] = { 0, VMADDR_CID_LOCAL, VMADDR_CID_HOST, 3,
					     VMADDR_CID_ANY };

	agent_config.listener = LISTENER_VSOCK;
	agent_start();
	for (size_t i = 0; i < ARRAY_SIZE(cids); i++) {
		os_pretend_peer(cids[i]);
		client_connect_silent(&client);
		if (cids[i] == VMADDR_CID_HOST) {
			client_expect(&client, BODY(READY));
			client_ping(&client);
		} else {
			client_expect_end(&client);
		}
		client_close(&client);
	}
	agent_stop();
}
END_TEST

START_TEST(no_process)
{
	Provium__V1__Exec exec = PROVIUM__V1__EXEC__INIT;
	Provium__V1__Pty pty = PROVIUM__V1__PTY__INIT;

	exec.has_shell = true;
	exec.shell = BYTES("echo never");
	exec.pty = _i ? &pty : NULL;
	os_fail(OS_CLONE, EAGAIN, 0, 1);
	client_expect_os_error(&client, client_exec(&client, &exec), EAGAIN,
			       "cannot start a process");
	client_run(&client, "echo now", &outcome);
	outcome_expect(&outcome, "now\n", "");
}
END_TEST

/* ------------------------------------------------------------------------------------------- */

static uint32_t send_read(void)
{
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__ReadFile body = PROVIUM__V1__READ_FILE__INIT;

	body.has_path = true;
	body.path = bytes_of(path);
	message.body_case = BODY(READ_FILE);
	message.read_file = &body;
	return client_send(&client, &message);
}

static void make_file(size_t size)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, (off_t)size), 0);
	close(fd);
}

START_TEST(read_fails)
{
	uint64_t received = 0;
	uint32_t id;

	make_file(1000000);
	os_fail(OS_READ, EIO, 2, 1);
	id = send_read();
	while (received < (size_t)2 * PROVIUM_CHUNK)
		received += client_expect(&client, BODY(FILE_DATA))->file_data->data.len;
	client_expect_os_error(&client, id, EIO, "after 524288 bytes");
	client_ping(&client);
}
END_TEST

/* What had been read before the failure is sent. */
START_TEST(read_fails_within_a_chunk)
{
	uint32_t id;

	make_file(1000000);
	os_shorten(OS_READ, 1000);
	os_fail(OS_READ, EIO, 5, 1);
	id = send_read();
	ck_assert_uint_eq(client_expect(&client, BODY(FILE_DATA))->file_data->data.len, 5000);
	client_expect_os_error(&client, id, EIO, "after 5000 bytes");
}
END_TEST

START_TEST(open_fails)
{
	os_fail(OS_OPEN, EMFILE, 0, 1);
	client_expect_os_error(&client, send_read(), EMFILE, path);
	client_ping(&client);
}
END_TEST

static uint32_t send_write(bool atomic)
{
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__WriteFile body = PROVIUM__V1__WRITE_FILE__INIT;

	body.has_path = true;
	body.path = bytes_of(path);
	body.has_atomic = atomic;
	body.atomic = atomic;
	message.body_case = BODY(WRITE_FILE);
	message.write_file = &body;
	return client_send(&client, &message);
}

static void send_data(uint32_t id, const char *data)
{
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__WriteData body = PROVIUM__V1__WRITE_DATA__INIT;

	message.has_id = true;
	message.id = id;
	message.body_case = BODY(WRITE_DATA);
	message.write_data = &body;
	body.has_data = true;
	body.data = bytes_of(data);
	body.has_last = true;
	body.last = true;
	client_send(&client, &message);
}

START_TEST(write_in_pieces)
{
	char content[32] = "";
	uint32_t id;
	FILE *file;

	os_shorten(OS_WRITE, 3);
	id = send_write(_i);
	send_data(id, "twenty bytes of text");
	client_expect_ok(&client, id);
	file = fopen(path, "re");
	ck_assert_ptr_nonnull(file);
	ck_assert_ptr_nonnull(fgets(content, sizeof(content), file));
	fclose(file);
	ck_assert_str_eq(content, "twenty bytes of text");
}
END_TEST

/* A full disk is told with how far it went; an atomic file then was never there. */
START_TEST(write_fails)
{
	uint32_t id;

	os_shorten(OS_WRITE, 3);
	os_fail(OS_WRITE, ENOSPC, 2, 1);
	id = send_write(_i);
	send_data(id, "twenty bytes of text");
	client_expect_os_error(&client, id, ENOSPC, "after 6 bytes");
	ck_assert_uint_eq(count_files(), _i ? 0 : 1);
	client_ping(&client);
}
END_TEST

START_TEST(sync_fails)
{
	uint32_t id;

	os_fail(OS_FSYNC, EIO, 0, 1);
	id = send_write(true);
	send_data(id, "text");
	client_expect_os_error(&client, id, EIO, path);
	ck_assert_uint_eq(count_files(), 0);
}
END_TEST

START_TEST(rename_fails)
{
	uint32_t id;

	os_fail(OS_RENAME, EXDEV, 0, 1);
	id = send_write(true);
	send_data(id, "text");
	client_expect_os_error(&client, id, EXDEV, path);
	ck_assert_uint_eq(count_files(), 0);
}
END_TEST

/* A command whose output cannot be read loses that, says so, and nothing else is lost. */
START_TEST(output_fails)
{
	os_fail(OS_READ, EIO, 0, 1);
	client_run(&client, "echo lost; exit 6", &outcome);
	outcome_expect_exit(&outcome, 6);
	ck_assert(outcome.result.stdout_truncated || outcome.result.stderr_truncated);
}
END_TEST

static Suite *faults_suite(void)
{
	Suite *suite = suite_create("agent: faults");
	TCase *alone = unit_counted_case("configured");
	TCase *tcase = unit_counted_case("connected");

	tcase_add_test(alone, only_the_host);
	suite_add_tcase(suite, alone);

	tcase_add_checked_fixture(tcase, start, stop);
	tcase_add_loop_test(tcase, received_in_pieces, 1, 6);
	tcase_add_loop_test(tcase, sent_in_pieces, 1, 6);
	tcase_add_test(tcase, sent_later);
	tcase_add_loop_test(tcase, broken_socket, 0, 4);
	tcase_add_loop_test(tcase, accept_fails, 0, 5);
	tcase_add_loop_test(tcase, no_process, 0, 2);
	tcase_add_test(tcase, read_fails);
	tcase_add_test(tcase, read_fails_within_a_chunk);
	tcase_add_test(tcase, open_fails);
	tcase_add_loop_test(tcase, write_in_pieces, 0, 2);
	tcase_add_loop_test(tcase, write_fails, 0, 2);
	tcase_add_test(tcase, sync_fails);
	tcase_add_test(tcase, rename_fails);
	tcase_add_test(tcase, output_fails);
	tcase_set_timeout(tcase, 60);
	suite_add_tcase(suite, tcase);
	return suite;
}

int main(void)
{
	return unit_run(faults_suite());
}
