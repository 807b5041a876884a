#include "agent_harness.h"

#include <errno.h>
#include <ftw.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/util.h"
#include "proto/limits.h"

/* Milliseconds that the agent has for whatever a test waits for. */
#define PATIENCE 20000

static const struct server_config usual_config = {
	.listen_fd = -1,
	.listener = LISTENER_UNIX,
	.connection_fd = -1,
	.stop_fd = -1,
	.life_fd = -1,
	.proc_fd = -1,
	.dev_fd = -1,
};

struct server_config agent_config = {
	.listen_fd = -1,
	.listener = LISTENER_UNIX,
	.connection_fd = -1,
	.stop_fd = -1,
	.life_fd = -1,
	.proc_fd = -1,
	.dev_fd = -1,
};

struct client client;

static char directory[64];
static struct sockaddr_un address;
static pthread_t thread;
static int stop_pipe[2];
static int server_status;
static bool is_user_dropped;

ProtobufCBinaryData bytes_of(const char *text)
{
	return (ProtobufCBinaryData){ strlen(text), (uint8_t *)(uintptr_t)text };
}

const char *test_path(const char *name)
{
	static char path[256];
	const char *base = getenv("TMPDIR");

	if (!directory[0]) {
		snprintf(directory, sizeof(directory), "%s/agent-XXXXXX", base ? base : "/tmp");
		ck_assert_ptr_nonnull(mkdtemp(directory));
	}
	snprintf(path, sizeof(path), "%s/%s", directory, name);
	return path;
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *walk)
{
	(void)status;
	(void)type;
	(void)walk;
	return remove(path);
}

static void *serve(void *unused)
{
	(void)unused;
	server_status = server_run(&agent_config);
	return NULL;
}

void agent_start(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	address = (struct sockaddr_un){ .sun_family = AF_UNIX };
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", test_path("socket"));
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	ck_assert_int_eq(listen(fd, 128), 0);
	ck_assert_int_eq(pipe(stop_pipe), 0);
	agent_config.listen_fd = fd;
	agent_config.stop_fd = stop_pipe[0];
	ck_assert_int_eq(pthread_create(&thread, NULL, serve, NULL), 0);
}

void agent_stop(void)
{
	struct timespec limit;

	clock_gettime(CLOCK_REALTIME, &limit);
	limit.tv_sec += PATIENCE / 1000;
	close(stop_pipe[1]);
	ck_assert_msg(pthread_timedjoin_np(thread, NULL, &limit) == 0, "the server does not end");
	ck_assert_int_eq(server_status, 0);
	close(stop_pipe[0]);
	close(agent_config.listen_fd);
	agent_config = usual_config;
	if (is_user_dropped)
		ck_assert_int_eq(seteuid(0), 0);
	ck_assert_int_eq(nftw(directory, remove_entry, 16, FTW_DEPTH | FTW_PHYS), 0);
	directory[0] = '\0';
}

void agent_drop_user(void)
{
	ck_assert_int_eq(setresuid(12345, 12345, 0), 0);
	is_user_dropped = true;
}

void agent_start_connected(void)
{
	agent_start();
	client_connect(&client);
}

void agent_stop_connected(void)
{
	client_close(&client);
	agent_stop();
}

void client_adopt(struct client *adopting, int fd)
{
	*adopting = (struct client){ .fd = fd };
	frame_reader_init(&adopting->reader, PROVIUM_MAX_FRAME);
	decoder_init(&adopting->decoder);
}

void client_connect_silent(struct client *connecting)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	client_adopt(connecting, fd);
}

void client_connect(struct client *connecting)
{
	client_connect_silent(connecting);
	client_expect(connecting, BODY(READY));
}

void client_close(struct client *closing)
{
	closing->fd = close_fd(closing->fd);
	frame_reader_finish(&closing->reader);
	decoder_finish(&closing->decoder);
}

bool client_is_readable(struct client *reading, int timeout_ms)
{
	struct pollfd poll_fd = { .fd = reading->fd, .events = POLLIN };

	return frame_reader_pending(&reading->reader) > 0 || poll(&poll_fd, 1, timeout_ms) == 1;
}

/* False: end of file, which must not come within a frame. */
static bool fill(struct client *reading)
{
	struct pollfd poll_fd = { .fd = reading->fd, .events = POLLIN };
	size_t space;
	uint8_t *place = frame_reader_space(&reading->reader, &space);
	ssize_t count;

	ck_assert_ptr_nonnull(place);
	ck_assert_msg(poll(&poll_fd, 1, PATIENCE) == 1, "the agent sends nothing");
	count = recv(reading->fd, place, space, 0);
	if (count <= 0) {
		ck_assert_msg(count == 0 || errno == ECONNRESET, "recv: %s", strerror(errno));
		ck_assert_uint_eq(frame_reader_pending(&reading->reader), 0);
		return false;
	}
	frame_reader_filled(&reading->reader, (size_t)count);
	return true;
}

const Provium__V1__Message *client_receive(struct client *reading)
{
	Provium__V1__Message *message;
	const uint8_t *body;
	uint32_t length;

	for (;;) {
		switch (frame_reader_next(&reading->reader, &body, &length)) {
		case FRAME_PARTIAL:
			if (!fill(reading))
				return NULL;
			break;
		case FRAME_COMPLETE:
			ck_assert_int_eq(decoder_decode(&reading->decoder, body, length, &message),
					 DECODE_OK);
			return message;
		default:
			ck_abort_msg("the agent sends a frame of length %u", length);
		}
	}
}

/* The text of an ERROR, or "". */
static const char *error_text(const Provium__V1__Message *message)
{
	return message->body_case == BODY(ERROR) ? message->error->text : "";
}

const Provium__V1__Message *client_expect(struct client *reading, int body)
{
	const Provium__V1__Message *message = client_receive(reading);

	ck_assert_msg(message, "the connection ends; expected message %d", body);
	ck_assert_msg((int)message->body_case == body, "message %d of request %u, not %d: %s",
		      message->body_case, message->id, body, error_text(message));
	return message;
}

void client_expect_end(struct client *reading)
{
	const Provium__V1__Message *message = client_receive(reading);

	ck_assert_msg(!message, "message %d instead of the end: %s",
		      message ? (int)message->body_case : 0, message ? error_text(message) : "");
}

void client_send_bytes(struct client *sending, const void *data, size_t size)
{
	const uint8_t *at = data;

	while (size > 0) {
		ssize_t count = send(sending->fd, at, size, MSG_NOSIGNAL);

		ck_assert_msg(count > 0, "send: %s", strerror(errno));
		at += count;
		size -= (size_t)count;
	}
}

uint32_t client_send(struct client *sending, Provium__V1__Message *message)
{
	cleanup_free uint8_t *frame = NULL;
	size_t size;

	if (!message->has_id) {
		message->has_id = true;
		message->id = ++sending->last_id;
	}
	size = message_frame_size(message);
	frame = malloc(size);
	ck_assert_ptr_nonnull(frame);
	message_frame_pack(message, size, frame);
	client_send_bytes(sending, frame, size);
	return message->id;
}

void client_expect_error(struct client *reading, uint32_t id, int code, const char *text)
{
	const Provium__V1__Message *message = client_expect(reading, BODY(ERROR));

	ck_assert_uint_eq(message->id, id);
	ck_assert_msg((int)message->error->code == code, "code %d, not %d: %s",
		      message->error->code, code, message->error->text);
	ck_assert_msg(strstr(message->error->text, text), "\"%s\" lacks \"%s\"",
		      message->error->text, text);
}

void client_expect_os_error(struct client *reading, uint32_t id, int os_errno, const char *text)
{
	const Provium__V1__Message *message = client_expect(reading, BODY(ERROR));

	ck_assert_uint_eq(message->id, id);
	ck_assert_msg(message->error->code == CODE(OS) && message->error->os_errno == os_errno,
		      "not errno %d: %s", os_errno, message->error->text);
	ck_assert_msg(strstr(message->error->text, text), "\"%s\" lacks \"%s\"",
		      message->error->text, text);
	ck_assert_ptr_nonnull(message->error->errno_name);
	ck_assert_ptr_nonnull(message->error->operation);
}

void client_expect_ok(struct client *reading, uint32_t id)
{
	ck_assert_uint_eq(client_expect(reading, BODY(OK))->id, id);
}

void client_ping(struct client *sending)
{
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__Ping ping = PROVIUM__V1__PING__INIT;
	const Provium__V1__Message *reply;
	uint32_t id;

	message.body_case = BODY(PING);
	message.ping = &ping;
	id = client_send(sending, &message);
	reply = client_expect(sending, BODY(PONG));
	ck_assert_uint_eq(reply->id, id);
}

Provium__V1__InfoResult client_info(struct client *sending)
{
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__Info info = PROVIUM__V1__INFO__INIT;

	message.body_case = BODY(INFO);
	message.info = &info;
	client_send(sending, &message);
	return *client_expect(sending, BODY(INFO_RESULT))->info_result;
}

uint32_t client_exec(struct client *sending, const Provium__V1__Exec *exec)
{
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;

	message.body_case = BODY(EXEC);
	message.exec = (Provium__V1__Exec *)(uintptr_t)exec;
	return client_send(sending, &message);
}

uint32_t client_shell(struct client *sending, const char *command)
{
	Provium__V1__Exec exec = PROVIUM__V1__EXEC__INIT;

	exec.has_shell = true;
	exec.shell = bytes_of(command);
	return client_exec(sending, &exec);
}

uint32_t client_cancel(struct client *sending, uint32_t request)
{
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__Cancel cancel = PROVIUM__V1__CANCEL__INIT;

	cancel.has_request = true;
	cancel.request = request;
	message.body_case = BODY(CANCEL);
	message.cancel = &cancel;
	return client_send(sending, &message);
}

uint32_t client_stdin(struct client *sending, uint32_t request, const void *data, size_t size,
		      bool eof)
{
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__Stdin body = PROVIUM__V1__STDIN__INIT;
	Provium__V1__Target target = PROVIUM__V1__TARGET__INIT;

	target.target_case = PROVIUM__V1__TARGET__TARGET_REQUEST;
	target.request = request;
	body.target = &target;
	body.has_data = size > 0;
	body.data = (ProtobufCBinaryData){ size, (uint8_t *)(uintptr_t)data };
	body.has_eof = eof;
	body.eof = eof;
	message.body_case = BODY(STDIN_DATA);
	message.stdin_data = &body;
	return client_send(sending, &message);
}

void outcome_add(struct outcome *outcome, const Provium__V1__Output *output)
{
	int which = output->stream == PROVIUM__V1__STREAM__STREAM_STDERR;
	size_t size = outcome->size[which] + output->data.len;

	ck_assert_uint_eq(output->offset, outcome->size[which]);
	ck_assert_uint_gt(output->data.len, 0);
	ck_assert_uint_le(output->data.len, PROVIUM_CHUNK);
	if (size + 1 > outcome->capacity[which]) {
		outcome->capacity[which] = 2 * size + 1;
		outcome->output[which] = realloc(outcome->output[which], outcome->capacity[which]);
		ck_assert_ptr_nonnull(outcome->output[which]);
	}
	memcpy(outcome->output[which] + outcome->size[which], output->data.data, output->data.len);
	outcome->size[which] = size;
	outcome->output[which][size] = '\0';
}

void client_collect(struct client *reading, uint32_t id, struct outcome *outcome)
{
	*outcome = (struct outcome){ 0 };
	for (;;) {
		const Provium__V1__Message *message = client_receive(reading);

		ck_assert_msg(message, "the connection ends within request %u", id);
		ck_assert_uint_eq(message->id, id);
		if (message->body_case == BODY(OUTPUT)) {
			outcome_add(outcome, message->output);
			continue;
		}
		ck_assert_msg(message->body_case == BODY(EXEC_RESULT), "message %d: %s",
			      message->body_case, error_text(message));
		outcome->result = *message->exec_result;
		outcome->result.rusage = NULL;
		return;
	}
}

void outcome_free(struct outcome *outcome)
{
	free(outcome->output[0]);
	free(outcome->output[1]);
	*outcome = (struct outcome){ 0 };
}

void client_run(struct client *sending, const char *command, struct outcome *outcome)
{
	client_collect(sending, client_shell(sending, command), outcome);
}

void outcome_expect(const struct outcome *outcome, const char *standard_output,
		    const char *standard_error)
{
	const char *expected[] = { standard_output, standard_error };

	for (int i = 0; i < 2; i++) {
		const char *output = outcome->size[i] ? (const char *)outcome->output[i] : "";

		ck_assert_str_eq(output, expected[i]);
	}
	ck_assert_uint_eq(outcome->result.stdout_bytes, outcome->size[0]);
	ck_assert_uint_eq(outcome->result.stderr_bytes, outcome->size[1]);
}

void outcome_expect_exit(const struct outcome *outcome, unsigned int code)
{
	ck_assert_int_eq(outcome->result.outcome, PROVIUM__V1__OUTCOME__OUTCOME_EXITED);
	ck_assert(outcome->result.has_exit_code);
	ck_assert_uint_eq(outcome->result.exit_code, code);
	ck_assert(!outcome->result.has_signal);
}

const char *expect_lines(const uint8_t *output, unsigned long first, unsigned long last)
{
	const char *at = (const char *)output;

	for (unsigned long line = first; line <= last; line++) {
		char *end;

		if (strtoul(at, &end, 10) != line)
			ck_abort_msg("line %lu is not there", line);
		at = end + 1;
	}
	return at;
}

const char *expect_output(struct client *from)
{
	const Provium__V1__Output *output = client_expect(from, BODY(OUTPUT))->output;
	static char text[256];

	snprintf(text, sizeof(text), "%.*s", (int)output->data.len,
		 (const char *)output->data.data);
	return text;
}

size_t resident_bytes(void)
{
	FILE *file = fopen("/proc/self/statm", "re");
	unsigned long size, resident;

	ck_assert_ptr_nonnull(file);
	ck_assert_int_eq(fscanf(file, "%lu %lu", &size, &resident), 2);
	fclose(file);
	return resident * (size_t)sysconf(_SC_PAGESIZE);
}
