#include "reply.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "agent/auth.h"
#include "agent/connection.h"
#include "agent/dispatch.h"
#include "agent/errno_name.h"
#include "agent/init.h"
#include "agent/kmsg.h"
#include "agent/loop.h"
#include "agent/os.h"
#include "agent/rules.h"
#include "agent/server.h"
#include "agent/session.h"
#include "agent/text.h"
#include "common/cleanup.h"
#include "proto/frame.h"
#include "proto/limits.h"

#ifndef PROVIUM_VERSION
#error "PROVIUM_VERSION is not defined"
#endif

static bool is_final(int body)
{
	switch (body) {
	case PROVIUM__V1__MESSAGE__BODY_OUTPUT:
	case PROVIUM__V1__MESSAGE__BODY_FILE_DATA:
	case PROVIUM__V1__MESSAGE__BODY_WRITE_ACK:
	case PROVIUM__V1__MESSAGE__BODY_DIR_ENTRIES:
	case PROVIUM__V1__MESSAGE__BODY_CALL_STARTED:
	case PROVIUM__V1__MESSAGE__BODY_KERNEL_LOG_RECORD:
		return false;
	default:
		return true;
	}
}

bool reply_send(struct session *session, uint32_t id, Provium__V1__Message *message)
{
	uint64_t kernel_events[KMSG_MAX_NUMBERS];
	size_t size;
	uint8_t *frame;

	message->has_id = id != 0;
	message->id = id;
	if (id != 0 && session->authorised && is_final(message->body_case)) {
		message->kernel_events = kernel_events;
		message->n_kernel_events = kmsg_final(session, id, kernel_events);
	}
	size = message_frame_size(message);
	frame = connection_reserve(session->connection, size);
	if (frame) {
		message_frame_pack(message, size, frame);
		connection_commit(session->connection, size);
	}
	message->kernel_events = NULL;
	message->n_kernel_events = 0;
	return frame != NULL;
}

/*
 * The kernel's name of this boot, or NULL. It is looked up once: who asks for a worker has been
 * told it before, so that no two threads do, and a worker has it from its server.
 */
static char *boot_id(const struct loop *loop)
{
	static char text[64];
	cleanup_close int fd = -1;

	if (!text[0]) {
		fd = loop_open_proc(loop, "sys/kernel/random/boot_id", O_RDONLY);
		if (fd >= 0 && os_read(fd, text, sizeof(text) - 1) > 0)
			*strchrnul(text, '\n') = '\0';
	}
	return text[0] ? text : NULL;
}

/* What a stranger needs to tell what he has reached, and what is asked of him. */
static void fill_brief(const struct session *session, Provium__V1__Ready *ready,
		       struct utsname *system, uint32_t *requests)
{
	static char version[] = PROVIUM_VERSION;

	uname(system);
	ready->protocol_major = PROVIUM_PROTOCOL_MAJOR;
	ready->protocol_minor = PROVIUM_PROTOCOL_MINOR;
	ready->agent_version = version;
	ready->arch = system->machine;
	ready->kernel_release = system->release;
	ready->pid = getpid();
	ready->max_frame = session->authorised ? PROVIUM_MAX_FRAME : AUTH_MAX_FRAME;
	ready->has_auth_required = ready->auth_required = !session->authorised;
	requests[0] = PROVIUM__V1__MESSAGE__BODY_AUTH;
	ready->requests = requests;
	ready->n_requests = 1;
}

void reply_ready(struct session *session, uint32_t id)
{
	const struct server_config *config = session->loop->config;
	const struct init_state *init = config->init;
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__Ready ready = PROVIUM__V1__READY__INIT;
	Provium__V1__InitError init_error = PROVIUM__V1__INIT_ERROR__INIT;
	uint32_t requests[MAX_REQUEST_CODES];
	char reason[SERVER_REASON_SIZE];
	struct utsname system;

	message.body_case = PROVIUM__V1__MESSAGE__BODY_READY;
	message.ready = &ready;
	fill_brief(session, &ready, &system, requests);
	if (!session->authorised) {
		reply_send(session, id, &message);
		return;
	}
	ready.n_requests = dispatch_served(session->loop, requests);
	ready.boot_id = boot_id(session->loop);
	if (config->restarts > 0) {
		ready.has_restarts = true;
		ready.restarts = config->restarts;
	}
	if (config->restart_reason) {
		snprintf(reason, sizeof(reason), "%s", config->restart_reason);
		text_make_utf8(reason, false);
		ready.restart_reason = reason;
	}
	ready.has_role = config->role != SERVER_MAIN;
	ready.role = (Provium__V1__Role)config->role;
	if (init && init_failed(init)) {
		const char *subject = init_subject(init);

		init_error.path = (ProtobufCBinaryData){ strlen(subject), (uint8_t *)subject };
		init_error.operation = (char *)init_operation(init);
		init_error.os_errno = init->status.error;
		ready.init_error = &init_error;
	}
	ready.has_init_started_ns = init && init->used >= sizeof(init->status.started_ns);
	if (ready.has_init_started_ns)
		ready.init_started_ns = init->status.started_ns;
	ready.has_own_root = ready.own_root = root_is_own(session->loop);
	ready.has_init_held = ready.init_held = init && init_held(init);
	ready.has_listening_ns = config->listening_ns != 0;
	ready.listening_ns = config->listening_ns;
	ready.has_modules_ns = config->modules_ns != 0;
	ready.modules_ns = config->modules_ns;
	reply_send(session, id, &message);
}

static void send_ok(struct session *session, uint32_t id, bool has_bytes, uint64_t bytes)
{
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__Ok ok = PROVIUM__V1__OK__INIT;

	ok.has_bytes = has_bytes;
	ok.bytes = bytes;
	message.body_case = PROVIUM__V1__MESSAGE__BODY_OK;
	message.ok = &ok;
	reply_send(session, id, &message);
}

void reply_ok(struct session *session, uint32_t id)
{
	send_ok(session, id, false, 0);
}

void reply_ok_bytes(struct session *session, uint32_t id, uint64_t bytes)
{
	send_ok(session, id, true, bytes);
}

static void send_error(struct session *session, uint32_t id, enum error_code code,
		       const char *operation, int os_errno, char *text)
{
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__Error error = PROVIUM__V1__ERROR__INIT;

	text_make_utf8(text, false);
	error.code = (Provium__V1__ErrorCode)code;
	if (code == ERROR_OS) {
		error.has_os_errno = true;
		error.os_errno = os_errno;
		error.errno_name = (char *)errno_name(os_errno);
	}
	error.operation = (char *)operation;
	error.text = text;
	message.body_case = PROVIUM__V1__MESSAGE__BODY_ERROR;
	message.error = &error;
	reply_send(session, id, &message);
}

void reply_error(struct session *session, uint32_t id, enum error_code code, const char *operation,
		 int os_errno, const char *format, ...)
{
	char text[512];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	send_error(session, id, code, operation, os_errno, text);
}

void reply_os_error(struct session *session, uint32_t id, const char *operation, int os_errno,
		    const char *subject, ...)
{
	char text[512];
	va_list arguments;
	size_t length;

	va_start(arguments, subject);
	vsnprintf(text, sizeof(text) - 64, subject, arguments);
	va_end(arguments);
	length = strlen(text);
	snprintf(text + length, sizeof(text) - length, ": %s", strerror(os_errno));
	send_error(session, id, ERROR_OS, operation, os_errno, text);
}

/*
 * A bulk message is encoded by hand and backwards, from the data down to the frame's header: the
 * lengths are known only when the data have been read, and the data must not be moved.
 */
static uint8_t *put_varint_before(uint8_t *at, uint64_t value)
{
	uint8_t bytes[10];
	size_t count = 0;

	do {
		bytes[count++] = (uint8_t)(value & 0x7f) | (value > 0x7f ? 0x80 : 0);
		value >>= 7;
	} while (value > 0);
	at -= count;
	memcpy(at, bytes, count);
	return at;
}

static uint8_t *put_tag_before(uint8_t *at, unsigned int field, unsigned int wire_type)
{
	return put_varint_before(at, field << 3 | wire_type);
}

static uint8_t *put_number_before(uint8_t *at, unsigned int field, uint64_t value)
{
	return put_tag_before(put_varint_before(at, value), field, PROTOBUF_C_WIRE_TYPE_VARINT);
}

/* The header of something that ends at end. */
static uint8_t *put_length_before(uint8_t *at, unsigned int field, const uint8_t *end)
{
	at = put_varint_before(at, (uint64_t)(end - at));
	return put_tag_before(at, field, PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED);
}

/* at: where the body's fields begin. Completes the frame and queues it. */
static void send_bulk(struct session *session, uint32_t id, unsigned int body, uint8_t *at,
		      struct buffer *buffer, uint8_t *end)
{
	uint8_t *place;
	size_t size;

	at = put_length_before(at, body, end);
	at = put_number_before(at, 16, id);
	frame_put_header(at - FRAME_HEADER, (uint32_t)(end - at));
	at -= FRAME_HEADER;
	buffer->start = (size_t)(at - buffer->data);
	buffer->end = (size_t)(end - buffer->data);

	size = buffer->end - buffer->start;
	if (size >= BULK_MIN) {
		connection_send_buffer(session->connection, buffer);
		return;
	}
	place = connection_reserve(session->connection, size);
	if (place) {
		memcpy(place, at, size);
		connection_commit(session->connection, size);
	}
	buffer_pool_give(&session->loop->pool, buffer);
}

void reply_output(struct session *session, uint32_t id, int stream, uint64_t offset,
		  struct buffer *buffer, size_t size)
{
	uint8_t *end = buffer->data + BULK_GAP + size;
	uint8_t *at = buffer->data + BULK_GAP;

	at = put_length_before(at, 2, end);
	at = put_number_before(at, 3, offset);
	at = put_number_before(at, 1, (uint64_t)stream);
	send_bulk(session, id, PROVIUM__V1__MESSAGE__BODY_OUTPUT, at, buffer, end);
}

void reply_file_data(struct session *session, uint32_t id, uint64_t offset, struct buffer *buffer,
		     size_t size)
{
	uint8_t *end = buffer->data + BULK_GAP + size;
	uint8_t *at = buffer->data + BULK_GAP;

	at = put_length_before(at, 2, end);
	at = put_number_before(at, 1, offset);
	send_bulk(session, id, PROVIUM__V1__MESSAGE__BODY_FILE_DATA, at, buffer, end);
}
