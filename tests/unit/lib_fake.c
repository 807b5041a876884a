#include "lib_fake.h"

#include <check.h>
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proto/limits.h"

/* A script that waits for ever is a failure of its own. */
#define SCRIPT_SECONDS 60

/* _exit: the process is a copy of the test's, and what that holds is no leak here. */
static void leave(int status)
{
	_exit(status);
}

void fake_complain(struct fake *fake, const char *fmt, ...)
{
	va_list args;

	if (!fake->lenient) {
		fprintf(stderr, "# fake agent: ");
		va_start(args, fmt);
		vfprintf(stderr, fmt, args);
		va_end(args);
		fprintf(stderr, "\n");
	}
	leave(fake->lenient ? 0 : 1);
	abort();
}

struct provium_error error;

void check_error(enum provium_code code, const char *text)
{
	if (error.code != code)
		ck_abort_msg("code %d, not %d: %s", error.code, code, error.message);
	if (!strstr(error.message, text))
		ck_abort_msg("\"%s\" lacks \"%s\"", error.message, text);
}

int fake_start(struct fake *fake, fake_script script)
{
	int pair[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	fake->pid = fork();
	ck_assert_int_ge(fake->pid, 0);
	if (fake->pid > 0) {
		close(pair[1]);
		return pair[0];
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	alarm(SCRIPT_SECONDS);
	signal(SIGPIPE, SIG_IGN);
	close(pair[0]);
	fake->fd = pair[1];
	frame_reader_init(&fake->reader, PROVIUM_MAX_FRAME);
	decoder_init(&fake->decoder);
	script(fake);
	leave(0);
	return -1;
}

struct provium_connection *fake_connect(struct fake *fake, fake_script script)
{
	struct provium_connection *connection;

	if (provium_connect_fd(fake_start(fake, script), 5000, &connection, &error) < 0)
		ck_abort_msg("connect: %s", error.message);
	return connection;
}

void fake_finish(struct fake *fake)
{
	int status;

	ck_assert_int_eq(waitpid(fake->pid, &status, 0), fake->pid);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		ck_abort_msg("the fake agent's script failed (wait status 0x%x)", status);
}

void fake_kill(struct fake *fake)
{
	kill(fake->pid, SIGKILL);
	ck_assert_int_eq(waitpid(fake->pid, NULL, 0), fake->pid);
}

/* ------------------------------------------------------------------------------------------- */
/* Sending */

static void send_piece(struct fake *fake, const uint8_t *data, size_t size)
{
	while (size > 0) {
		ssize_t count = send(fake->fd, data, size, MSG_NOSIGNAL);

		if (count < 0 && errno == EINTR)
			continue;
		/* The host may close while we send: what matters is what it reports. */
		if (count < 0)
			leave(0);
		data += count;
		size -= (size_t)count;
		fake->sent += (size_t)count;
	}
}

void fake_send_bytes(struct fake *fake, const void *data, size_t size)
{
	const uint8_t *bytes = data;
	size_t end = fake->sent + size;
	uint8_t flipped;

	if (fake->cut_after && end >= fake->cut_after) {
		send_piece(fake, bytes, fake->cut_after - fake->sent);
		leave(0);
	}
	if (fake->flip_at && fake->sent < fake->flip_at && end >= fake->flip_at) {
		size_t before = fake->flip_at - 1 - fake->sent;

		send_piece(fake, bytes, before);
		flipped = bytes[before] ^ 0xff;
		send_piece(fake, &flipped, 1);
		bytes += before + 1;
		size -= before + 1;
	}
	send_piece(fake, bytes, size);
}

void fake_send(struct fake *fake, const Provium__V1__Message *message)
{
	size_t size = message_frame_size(message);
	uint8_t *frame = malloc(size);

	fake_check(fake, frame != NULL);
	message_frame_pack(message, size, frame);
	fake_send_bytes(fake, frame, size);
	free(frame);
}

void fake_ready_message(Provium__V1__Message *message, Provium__V1__Ready *ready)
{
	provium__v1__message__init(message);
	provium__v1__ready__init(ready);
	ready->protocol_major = PROVIUM_PROTOCOL_MAJOR;
	ready->protocol_minor = PROVIUM_PROTOCOL_MINOR;
	ready->agent_version = (char *)"0.1.0";
	ready->arch = (char *)"x86_64";
	ready->kernel_release = (char *)"6.1.0-fake";
	ready->pid = 42;
	ready->max_frame = PROVIUM_MAX_FRAME;
	message->body_case = PROVIUM__V1__MESSAGE__BODY_READY;
	message->ready = ready;
}

void fake_ready(struct fake *fake)
{
	Provium__V1__Message message;
	Provium__V1__Ready ready;

	fake_ready_message(&message, &ready);
	fake_send(fake, &message);
}

static void send_reply(struct fake *fake, uint32_t id, Provium__V1__Message *message)
{
	message->has_id = true;
	message->id = id ? id : fake->id;
	fake_send(fake, message);
}

void fake_ok(struct fake *fake, uint32_t id, int64_t bytes)
{
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__Ok ok = PROVIUM__V1__OK__INIT;

	ok.has_bytes = bytes >= 0;
	ok.bytes = (uint64_t)bytes;
	message.body_case = PROVIUM__V1__MESSAGE__BODY_OK;
	message.ok = &ok;
	send_reply(fake, id, &message);
}

void fake_pong(struct fake *fake, uint32_t id)
{
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__Pong pong = PROVIUM__V1__PONG__INIT;

	message.body_case = PROVIUM__V1__MESSAGE__BODY_PONG;
	message.pong = &pong;
	send_reply(fake, id, &message);
}

void fake_error(struct fake *fake, uint32_t id, Provium__V1__ErrorCode code, int os_errno,
		const char *name, const char *operation, const char *text)
{
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__Error body = PROVIUM__V1__ERROR__INIT;

	body.code = code;
	body.has_os_errno = os_errno != 0;
	body.os_errno = os_errno;
	body.errno_name = (char *)name;
	body.operation = (char *)operation;
	body.text = (char *)text;
	message.body_case = PROVIUM__V1__MESSAGE__BODY_ERROR;
	message.error = &body;
	send_reply(fake, id, &message);
}

void fake_output(struct fake *fake, uint32_t id, Provium__V1__Stream stream, uint64_t offset,
		 const void *data, size_t size)
{
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__Output output = PROVIUM__V1__OUTPUT__INIT;

	output.stream = stream;
	output.offset = offset;
	output.data.data = (uint8_t *)data;
	output.data.len = size;
	message.body_case = PROVIUM__V1__MESSAGE__BODY_OUTPUT;
	message.output = &output;
	send_reply(fake, id, &message);
}

void fake_result_init(Provium__V1__ExecResult *result, Provium__V1__Rusage *rusage,
		      uint32_t exit_code, uint64_t stdout_bytes, uint64_t stderr_bytes)
{
	provium__v1__exec_result__init(result);
	provium__v1__rusage__init(rusage);
	result->outcome = PROVIUM__V1__OUTCOME__OUTCOME_EXITED;
	result->has_exit_code = true;
	result->exit_code = exit_code;
	result->pid = 7;
	result->wall_ns = 1000;
	result->rusage = rusage;
	result->stdout_bytes = stdout_bytes;
	result->stderr_bytes = stderr_bytes;
}

void fake_result(struct fake *fake, uint32_t id, uint32_t exit_code, uint64_t stdout_bytes,
		 uint64_t stderr_bytes)
{
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__ExecResult result;
	Provium__V1__Rusage rusage;

	fake_result_init(&result, &rusage, exit_code, stdout_bytes, stderr_bytes);
	message.body_case = PROVIUM__V1__MESSAGE__BODY_EXEC_RESULT;
	message.exec_result = &result;
	send_reply(fake, id, &message);
}

void fake_job_started(struct fake *fake, uint32_t id, uint64_t job, int pid)
{
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__JobStarted body = PROVIUM__V1__JOB_STARTED__INIT;

	body.job = job;
	body.pid = pid;
	message.body_case = PROVIUM__V1__MESSAGE__BODY_JOB_STARTED;
	message.job_started = &body;
	send_reply(fake, id, &message);
}

void fake_job_result(struct fake *fake, uint32_t id, uint64_t job, Provium__V1__ExecResult *result,
		     uint64_t stdout_dropped)
{
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__JobResult body = PROVIUM__V1__JOB_RESULT__INIT;

	body.job = job;
	body.has_running = !result;
	body.running = !result;
	body.result = result;
	body.has_stdout_dropped = stdout_dropped > 0;
	body.stdout_dropped = stdout_dropped;
	message.body_case = PROVIUM__V1__MESSAGE__BODY_JOB_RESULT;
	message.job_result = &body;
	send_reply(fake, id, &message);
}

void fake_data(struct fake *fake, uint32_t id, uint64_t offset, const void *data, size_t size)
{
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__FileData body = PROVIUM__V1__FILE_DATA__INIT;

	body.offset = offset;
	body.has_data = true;
	body.data.data = (uint8_t *)data;
	body.data.len = size;
	message.body_case = PROVIUM__V1__MESSAGE__BODY_FILE_DATA;
	message.file_data = &body;
	send_reply(fake, id, &message);
}

void fake_ack(struct fake *fake, uint32_t id, uint64_t bytes)
{
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__WriteAck body = PROVIUM__V1__WRITE_ACK__INIT;

	body.bytes = bytes;
	message.body_case = PROVIUM__V1__MESSAGE__BODY_WRITE_ACK;
	message.write_ack = &body;
	send_reply(fake, id, &message);
}

/* ------------------------------------------------------------------------------------------- */
/* Receiving */

const Provium__V1__Message *fake_receive(struct fake *fake)
{
	Provium__V1__Message *message;
	const uint8_t *body;
	uint32_t length;
	enum frame_status status;

	while ((status = frame_reader_next(&fake->reader, &body, &length)) == FRAME_PARTIAL) {
		size_t space;
		uint8_t *place = frame_reader_space(&fake->reader, &space);
		ssize_t count;

		fake_check(fake, place != NULL);
		count = recv(fake->fd, place, space, 0);
		if (count < 0 && errno == EINTR)
			continue;
		if (count <= 0) {
			fake_check(fake, frame_reader_pending(&fake->reader) == 0);
			return NULL;
		}
		frame_reader_filled(&fake->reader, (size_t)count);
	}
	fake_check(fake, status == FRAME_COMPLETE);
	fake_check(fake, decoder_decode(&fake->decoder, body, length, &message) == DECODE_OK);
	fake_check(fake, message->id != 0);
	fake->id = message->id;
	return message;
}

const Provium__V1__Message *fake_expect(struct fake *fake, Provium__V1__Message__BodyCase kind)
{
	const Provium__V1__Message *message = fake_receive(fake);

	if (!message)
		fake_complain(fake, "message %d expected, the host has closed", (int)kind);
	if (message->body_case != kind)
		fake_complain(fake, "message %d expected, %d has come", (int)kind,
			      (int)message->body_case);
	return message;
}

void fake_expect_end(struct fake *fake)
{
	const Provium__V1__Message *message = fake_receive(fake);

	if (message)
		fake_complain(fake, "the end expected, message %d has come",
			      (int)message->body_case);
	if (fake->total)
		*fake->total = fake->sent;
}
