/*
 * Every allocation of the agent fails once: nothing leaks, nothing crashes, and the server ends.
 *
 * The server runs in the test's own thread (the seam in malloc is not for threads): what the host
 * sends has been put into the socket before, and its end is there, too. Where the host has to wait
 * for what it is told, it is a process of its own.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/log.h"
#include "agent/server.h"
#include "alloc_seam.h"
#include "proto/codec.h"
#include "proto/frame.h"
#include "proto/limits.h"
#include "unit.h"

#define BODY(name) PROVIUM__V1__MESSAGE__BODY_##name

static uint8_t script[8192];
static size_t script_size;

static void add(uint32_t id, Provium__V1__Message *message)
{
	size_t size;

	message->has_id = true;
	message->id = id;
	size = message_frame_size(message);
	ck_assert_uint_le(script_size + size, sizeof(script));
	message_frame_pack(message, size, script + script_size);
	script_size += size;
}

static ProtobufCBinaryData bytes(const char *text)
{
	return (ProtobufCBinaryData){ strlen(text), (uint8_t *)(uintptr_t)text };
}

static void add_exec(uint32_t id, const char *command, const char *input, bool stream)
{
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__Exec exec = PROVIUM__V1__EXEC__INIT;
	ProtobufCBinaryData env[] = { bytes("A=1"), bytes("B=2") };

	exec.has_shell = true;
	exec.shell = bytes(command);
	exec.env = env;
	exec.n_env = 2;
	exec.has_input = input != NULL;
	if (input)
		exec.input = bytes(input);
	exec.has_stdin_kind = stream;
	exec.stdin_kind = PROVIUM__V1__STDIN_KIND__STDIN_STREAM;
	message.body_case = BODY(EXEC);
	message.exec = &exec;
	add(id, &message);
}

/* For an EXEC in flight, or where there is a name for a job. */
static void add_stdin(uint32_t id, uint32_t command, const char *job)
{
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__Stdin body = PROVIUM__V1__STDIN__INIT;
	Provium__V1__Target target = PROVIUM__V1__TARGET__INIT;

	target.target_case = PROVIUM__V1__TARGET__TARGET_REQUEST;
	target.request = command;
	if (job) {
		target.target_case = PROVIUM__V1__TARGET__TARGET_JOB_NAME;
		target.job_name = bytes(job);
		body.has_eof = true;
		body.eof = true;
	}
	body.target = &target;
	body.has_data = true;
	body.data = bytes("standard input");
	message.body_case = BODY(STDIN_DATA);
	message.stdin_data = &body;
	add(id, &message);
}

static void add_write(uint32_t id, const char *path, bool atomic, bool last)
{
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__WriteFile file = PROVIUM__V1__WRITE_FILE__INIT;
	Provium__V1__WriteData data = PROVIUM__V1__WRITE_DATA__INIT;

	file.has_path = true;
	file.path = bytes(path);
	file.has_atomic = file.has_sync = true;
	file.atomic = file.sync = atomic;
	message.body_case = BODY(WRITE_FILE);
	message.write_file = &file;
	add(id, &message);
	data.has_data = true;
	data.data = bytes("content");
	data.has_last = true;
	data.last = last;
	message.body_case = BODY(WRITE_DATA);
	message.write_data = &data;
	add(id, &message);
}

static void add_read(uint32_t id, const char *path)
{
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__ReadFile body = PROVIUM__V1__READ_FILE__INIT;

	body.has_path = true;
	body.path = bytes(path);
	message.body_case = BODY(READ_FILE);
	message.read_file = &body;
	add(id, &message);
}

static void add_body(uint32_t id, int code, void *body)
{
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;

	/* The members of the union are pointers alike. */
	message.body_case = (Provium__V1__Message__BodyCase)code;
	message.exec = body;
	add(id, &message);
}

/* A directory that is made, filled, listed, followed and removed. */
static void add_names(uint32_t id, const char *directory, const char *inside, const char *file)
{
	Provium__V1__Mkdir mkdir_body = PROVIUM__V1__MKDIR__INIT;
	Provium__V1__Symlink symlink_body = PROVIUM__V1__SYMLINK__INIT;
	Provium__V1__Readlink readlink_body = PROVIUM__V1__READLINK__INIT;
	Provium__V1__ListDir list = PROVIUM__V1__LIST_DIR__INIT;
	Provium__V1__Stat query = PROVIUM__V1__STAT__INIT;
	Provium__V1__Tail tail = PROVIUM__V1__TAIL__INIT;
	Provium__V1__Rename rename_body = PROVIUM__V1__RENAME__INIT;
	Provium__V1__Remove removal = PROVIUM__V1__REMOVE__INIT;
	Provium__V1__Mount mount = PROVIUM__V1__MOUNT__INIT;

	mkdir_body.has_path = list.has_path = query.has_path = removal.has_path = true;
	mkdir_body.path = list.path = query.path = removal.path = bytes(directory);
	mkdir_body.has_parents = removal.has_recursive = true;
	mkdir_body.parents = removal.recursive = true;
	symlink_body.has_path = readlink_body.has_path = symlink_body.has_target = true;
	symlink_body.path = readlink_body.path = bytes(inside);
	symlink_body.target = bytes("target");
	rename_body.has_old_path = rename_body.has_new_path = true;
	rename_body.old_path = rename_body.new_path = bytes(inside);
	tail.has_path = true;
	tail.path = bytes(file);
	mount.has_source = mount.has_target = mount.has_fstype = mount.has_data = true;
	mount.target = bytes(directory);
	mount.source = mount.fstype = mount.data = bytes("no-such-type");

	add_body(id++, BODY(MKDIR), &mkdir_body);
	add_body(id++, BODY(SYMLINK), &symlink_body);
	add_body(id++, BODY(READLINK), &readlink_body);
	add_body(id++, BODY(RENAME), &rename_body);
	add_body(id++, BODY(STAT), &query);
	add_body(id++, BODY(LIST_DIR), &list);
	add_body(id++, BODY(TAIL), &tail);
	add_body(id++, BODY(MOUNT), &mount);
	add_body(id++, BODY(REMOVE), &removal);
}

static void add_ping(uint32_t id)
{
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__Ping ping = PROVIUM__V1__PING__INIT;

	message.body_case = BODY(PING);
	message.ping = &ping;
	add(id, &message);
}

/* Serves the script. Returns whether the last PING was answered. */
static bool serve(void)
{
	struct server_config config = {
		.listen_fd = -1,
		.stop_fd = -1,
		.life_fd = -1,
		.proc_fd = -1,
		.dev_fd = -1,
	};
	static uint8_t replies[1 << 20];
	size_t size = 0;
	ssize_t count;
	int pair[2], status;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	ck_assert_int_eq(send(pair[1], script, script_size, 0), (ssize_t)script_size);
	shutdown(pair[1], SHUT_WR);
	config.connection_fd = pair[0];
	status = server_run(&config);
	ck_assert(status == 0 || status == -ENOMEM);
	while ((count = recv(pair[1], replies + size, sizeof(replies) - size, 0)) > 0)
		size += (size_t)count;
	close(pair[1]);
	/* id 99, PONG. */
	return memmem(replies, size, "\x80\x01\x63\xca\x08\x00", 6);
}

START_TEST(each_allocation)
{
	char directory[128], file[160], fifo[160], inner[160], inside[168];
	const char *base = getenv("TMPDIR");
	size_t failures = 0, served = 0;

	log_set_level(LEVEL_ERROR);
	snprintf(directory, sizeof(directory), "%s/agent-memory-XXXXXX", base ? base : "/tmp");
	ck_assert_ptr_nonnull(mkdtemp(directory));
	snprintf(file, sizeof(file), "%s/file", directory);
	snprintf(fifo, sizeof(fifo), "%s/fifo", directory);
	snprintf(inner, sizeof(inner), "%s/inner", directory);
	snprintf(inside, sizeof(inside), "%s/inside", inner);
	ck_assert_int_eq(mkfifo(fifo, 0600), 0);

	add_ping(1);
	add_exec(2, "cat", "input", false);
	add_exec(3, "cat; sleep 100", NULL, true);
	add_stdin(4, 3, NULL);
	add_exec(5, "/no/such/program", NULL, false);
	add_write(6, file, true, true);
	add_write(7, file, false, true);
	add_read(8, file);
	add_names(20, inner, inside, file);
	/* The one behind has to wait. */
	add_write(9, file, false, false);
	add_read(10, file);
	add_ping(99);

	for (;; failures++) {
		alloc_reset();
		alloc_fail_after(failures);
		served += serve();
		ck_assert_uint_eq(alloc_counts.bytes, 0);
		if (alloc_counts.calls <= failures)
			break;
	}
	alloc_fail_never();
	ck_assert(serve());
	ck_assert_uint_gt(failures, 40);
	/* Most are the matter of one request, and the others go on. */
	ck_assert_uint_gt(served, failures / 2);
	unlink(file);
	unlink(fifo);
	ck_assert_int_eq(rmdir(directory), 0);
}
END_TEST

static void add_job(uint32_t id, const char *name, const char *command)
{
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__ExecAsync body = PROVIUM__V1__EXEC_ASYNC__INIT;
	Provium__V1__Exec exec = PROVIUM__V1__EXEC__INIT;

	exec.has_shell = true;
	exec.shell = bytes(command);
	exec.has_stdin_kind = true;
	exec.stdin_kind = PROVIUM__V1__STDIN_KIND__STDIN_STREAM;
	body.command = &exec;
	body.has_name = true;
	body.name = bytes(name);
	message.body_case = BODY(EXEC_ASYNC);
	message.exec_async = &body;
	add(id, &message);
}

static void add_job_request(uint32_t id, const char *name, int code)
{
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__JobRef ref = PROVIUM__V1__JOB_REF__INIT;
	Provium__V1__JobWait wait = PROVIUM__V1__JOB_WAIT__INIT;
	Provium__V1__JobKill kill = PROVIUM__V1__JOB_KILL__INIT;
	Provium__V1__JobOutput output = PROVIUM__V1__JOB_OUTPUT__INIT;
	Provium__V1__JobList list = PROVIUM__V1__JOB_LIST__INIT;

	ref.ref_case = PROVIUM__V1__JOB_REF__REF_NAME;
	ref.name = bytes(name);
	wait.ref = kill.ref = output.ref = &ref;
	wait.has_timeout_ms = kill.has_grace_ms = kill.has_signal = true;
	wait.timeout_ms = kill.grace_ms = 100000;
	kill.signal = 15;
	wait.has_output = wait.output = true;
	output.has_follow = output.follow = true;
	message.body_case = (Provium__V1__Message__BodyCase)code;
	switch (code) {
	case BODY(JOB_WAIT):
		message.job_wait = &wait;
		break;
	case BODY(JOB_KILL):
		message.job_kill = &kill;
		break;
	case BODY(JOB_OUTPUT):
		message.job_output = &output;
		break;
	default:
		message.job_list = &list;
		break;
	}
	add(id, &message);
}

/*
 * The host: sends the script, and goes when each of its requests has had its final reply, or one of
 * them has failed. Exits with 0 where all were answered well.
 */
static void play_host(int fd, unsigned int requests)
{
	struct frame_reader reader;
	struct decoder decoder;
	unsigned int replies = 0;

	frame_reader_init(&reader, PROVIUM_MAX_FRAME);
	decoder_init(&decoder);
	if (send(fd, script, script_size, MSG_NOSIGNAL) != (ssize_t)script_size)
		_exit(1);
	while (replies < requests) {
		Provium__V1__Message *message;
		const uint8_t *body;
		uint32_t length;
		size_t space;
		uint8_t *place;
		ssize_t count;

		if (frame_reader_next(&reader, &body, &length) == FRAME_COMPLETE) {
			if (decoder_decode(&decoder, body, length, &message) != DECODE_OK)
				_exit(2);
			if (message->body_case == BODY(ERROR))
				_exit(1);
			replies += message->id != 0 && message->body_case != BODY(OUTPUT);
			continue;
		}
		place = frame_reader_space(&reader, &space);
		count = recv(fd, place, space, 0);
		if (count <= 0)
			_exit(1);
		frame_reader_filled(&reader, (size_t)count);
	}
	_exit(0);
}

/* Returns whether every request of the script was answered, and well. */
static bool serve_host(unsigned int requests)
{
	struct server_config config = {
		.listen_fd = -1,
		.stop_fd = -1,
		.life_fd = -1,
		.proc_fd = -1,
		.dev_fd = -1,
	};
	int pair[2], status;
	pid_t host;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	host = fork();
	ck_assert_int_ge(host, 0);
	if (host == 0) {
		close(pair[0]);
		alloc_fail_never();
		play_host(pair[1], requests);
	}
	close(pair[1]);
	config.connection_fd = pair[0];
	status = server_run(&config);
	ck_assert(status == 0 || status == -ENOMEM);
	ck_assert_int_eq(waitpid(host, &status, 0), host);
	ck_assert(WIFEXITED(status) && WEXITSTATUS(status) < 2);
	return WEXITSTATUS(status) == 0;
}

static void fail_each(unsigned int requests)
{
	size_t failures = 0;

	log_set_level(LEVEL_ERROR);
	for (;; failures++) {
		alloc_reset();
		alloc_fail_after(failures);
		serve_host(requests);
		ck_assert_uint_eq(alloc_counts.bytes, 0);
		if (alloc_counts.calls <= failures)
			break;
	}
	alloc_fail_never();
	ck_assert(serve_host(requests));
	ck_assert_uint_gt(failures, 20);
}

START_TEST(each_allocation_of_jobs)
{
	add_job(1, "reader", "echo out; cat; echo err >&2");
	add_job_request(2, "reader", BODY(JOB_OUTPUT));
	add_job_request(3, "reader", BODY(JOB_WAIT));
	add_job_request(4, "reader", BODY(JOB_WAIT));
	add_stdin(5, 0, "reader");
	add_job(6, "sleeper", "exec sleep 1000");
	add_job_request(7, "sleeper", BODY(JOB_KILL));
	add_job_request(8, "", BODY(JOB_LIST));
	fail_each(8);
}
END_TEST

/* A job whose output others hold: it takes the pipe over, and gives it away when it is dropped. */
START_TEST(each_allocation_of_held_output)
{
	add_job(1, "daemon", "sleep 1 & echo out");
	add_job_request(2, "daemon", BODY(JOB_OUTPUT));
	fail_each(2);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("agent: memory");
	TCase *tcase = unit_counted_case("fails");

	tcase_add_test(tcase, each_allocation);
	tcase_add_test(tcase, each_allocation_of_jobs);
	tcase_add_test(tcase, each_allocation_of_held_output);
	tcase_set_timeout(tcase, 120);
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
