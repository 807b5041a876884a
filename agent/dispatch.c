#include "dispatch.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "agent/log.h"
#include "agent/ops.h"
#include "agent/server.h"
#include "agent/session.h"
#include "agent/turn.h"
#include "common/util.h"
#include "proto/limits.h"

#define EXEC             Provium__V1__Exec
#define STDIN_DATA       Provium__V1__Stdin
#define READ_FILE        Provium__V1__ReadFile
#define WRITE_FILE       Provium__V1__WriteFile
#define WRITE_DATA       Provium__V1__WriteData

#define MAX_OFFSET       ((uint64_t)INT64_MAX)
#define MAX_MODE         07777
/* Bytes of waiting frames with data for one request: its window, and what is around the data. */
#define MAX_WAITING_DATA ((size_t)PROVIUM_WRITE_WINDOW + KIB(64))
/* The kernel's _NSIG. */
#define MAX_SIGNAL       64

static const struct field_rule ping_fields[] = {
	FIELD(Provium__V1__Ping, payload, FIELD_BYTES, 0, PROVIUM_MAX_PING),
};

static const struct field_rule cancel_fields[] = {
	FIELD(Provium__V1__Cancel, request, FIELD_U32, FIELD_REQUIRED, 0),
};

static const struct field_rule shutdown_fields[] = {
	FIELD(Provium__V1__Shutdown, mode, FIELD_ENUM, 0, PROVIUM__V1__SHUTDOWN__MODE__PANIC),
	FIELD(Provium__V1__Shutdown, sync, FIELD_BOOL, 0, 0),
	FIELD(Provium__V1__Shutdown, sync_timeout_ms, FIELD_U32, 0, 0),
};

static const struct field_rule exec_fields[] = {
	FIELD_LIST(EXEC, argv, FIELD_REPEATED_BYTES, FIELD_ONE_OF | FIELD_NO_NUL),
	FIELD(EXEC, shell, FIELD_BYTES, FIELD_ONE_OF | FIELD_NO_NUL, 0),
	FIELD_LIST(EXEC, env, FIELD_REPEATED_BYTES, FIELD_NO_NUL),
	FIELD(EXEC, clear_env, FIELD_BOOL, 0, 0),
	FIELD(EXEC, cwd, FIELD_BYTES, FIELD_NO_NUL | FIELD_NOT_EMPTY, 0),
	FIELD(EXEC, uid, FIELD_U32, FIELD_UNSERVED, 0),
	FIELD(EXEC, gid, FIELD_U32, FIELD_UNSERVED, 0),
	FIELD_OBJECT(EXEC, groups, FIELD_UNSERVED),
	FIELD(EXEC, stdin_kind, FIELD_ENUM, 0, PROVIUM__V1__STDIN_KIND__STDIN_STREAM),
	FIELD(EXEC, input, FIELD_BYTES, 0, 0),
	FIELD_OBJECT(EXEC, pty, FIELD_UNSERVED),
	FIELD(EXEC, merge_stderr, FIELD_BOOL, 0, 0),
	FIELD(EXEC, timeout_ms, FIELD_U64, 0, 0),
	FIELD(EXEC, output_limit, FIELD_U64, 0, 0),
	FIELD(EXEC, nice, FIELD_I32, FIELD_UNSERVED | FIELD_DEFAULT_0, 0),
	FIELD_LIST(EXEC, rlimits, FIELD_REPEATED, FIELD_UNSERVED),
	FIELD(EXEC, kill_scope, FIELD_ENUM, FIELD_UNSERVED | FIELD_DEFAULT_0,
	      PROVIUM__V1__KILL_SCOPE__KILL_CGROUP),
};

static const struct field_rule stdin_fields[] = {
	FIELD_OBJECT(STDIN_DATA, target, FIELD_REQUIRED),
	FIELD(STDIN_DATA, data, FIELD_BYTES, 0, 0),
	FIELD(STDIN_DATA, eof, FIELD_BOOL, 0, 0),
};

static const struct field_rule signal_fields[] = {
	FIELD_OBJECT(Provium__V1__Signal, target, FIELD_REQUIRED),
	FIELD(Provium__V1__Signal, signal, FIELD_U32, FIELD_REQUIRED, MAX_SIGNAL),
	FIELD(Provium__V1__Signal, group, FIELD_BOOL, 0, 0),
};

static const struct field_rule read_file_fields[] = {
	FIELD(READ_FILE, fd, FIELD_I32, FIELD_UNSERVED, 0),
	FIELD(READ_FILE, path, FIELD_BYTES, FIELD_REQUIRED | FIELD_NO_NUL | FIELD_NOT_EMPTY, 0),
	FIELD(READ_FILE, offset, FIELD_U64, 0, MAX_OFFSET),
	FIELD(READ_FILE, length, FIELD_U64, 0, 0),
	FIELD(READ_FILE, sparse, FIELD_BOOL, FIELD_UNSERVED | FIELD_DEFAULT_0, 0),
};

static const struct field_rule write_file_fields[] = {
	FIELD(WRITE_FILE, fd, FIELD_I32, FIELD_UNSERVED, 0),
	FIELD(WRITE_FILE, path, FIELD_BYTES, FIELD_REQUIRED | FIELD_NO_NUL | FIELD_NOT_EMPTY, 0),
	FIELD(WRITE_FILE, mode, FIELD_U32, 0, MAX_MODE),
	FIELD(WRITE_FILE, uid, FIELD_U32, 0, 0),
	FIELD(WRITE_FILE, gid, FIELD_U32, 0, 0),
	FIELD(WRITE_FILE, create, FIELD_BOOL, 0, 0),
	FIELD(WRITE_FILE, exclusive, FIELD_BOOL, 0, 0),
	FIELD(WRITE_FILE, append, FIELD_BOOL, 0, 0),
	FIELD(WRITE_FILE, offset, FIELD_U64, 0, MAX_OFFSET),
	FIELD(WRITE_FILE, atomic, FIELD_BOOL, 0, 0),
	FIELD(WRITE_FILE, sync, FIELD_BOOL, 0, 0),
};

static const struct field_rule write_data_fields[] = {
	FIELD(WRITE_DATA, data, FIELD_BYTES, 0, PROVIUM_WRITE_WINDOW),
	FIELD(WRITE_DATA, hole, FIELD_U64, FIELD_UNSERVED | FIELD_DEFAULT_0, 0),
	FIELD(WRITE_DATA, last, FIELD_BOOL, 0, 0),
};

#define FIELDS(array) .fields = (array), .field_count = ARRAY_SIZE(array)
#define CODE(name)    PROVIUM__V1__MESSAGE__BODY_##name

static const struct message_rule rules[] = {
	[CODE(EXEC)] = { "EXEC", op_exec, FIELDS(exec_fields), .lasts = true, .cancellable = true },
	[CODE(WRITE_FILE)] = { "WRITE_FILE", op_write_file, FIELDS(write_file_fields),
			       .in_turn = true, .lasts = true, .cancellable = true },
	[CODE(READ_FILE)] = { "READ_FILE", op_read_file, FIELDS(read_file_fields), .in_turn = true,
			      .lasts = true, .cancellable = true },
	[CODE(SHUTDOWN)] = { "SHUTDOWN", op_shutdown, FIELDS(shutdown_fields) },
	[CODE(SYSCALL)] = { "SYSCALL" },
	[CODE(IOCTL)] = { "IOCTL" },
	[CODE(EXEC_ASYNC)] = { "EXEC_ASYNC" },
	[CODE(JOB_WAIT)] = { "JOB_WAIT" },
	[CODE(JOB_KILL)] = { "JOB_KILL" },
	[CODE(SPAWN_WORKER)] = { "SPAWN_WORKER" },
	[CODE(PING)] = { "PING", op_ping, FIELDS(ping_fields) },
	[CODE(AUTH)] = { "AUTH" },
	[CODE(INFO)] = { "INFO", op_info },
	[CODE(CANCEL)] = { "CANCEL", op_cancel, FIELDS(cancel_fields) },
	[CODE(STDIN_DATA)] = { "STDIN", op_stdin, FIELDS(stdin_fields), .lasts = true },
	[CODE(RESIZE)] = { "RESIZE" },
	[CODE(SIGNAL)] = { "SIGNAL", op_signal, FIELDS(signal_fields) },
	[CODE(JOB_LIST)] = { "JOB_LIST" },
	[CODE(JOB_OUTPUT)] = { "JOB_OUTPUT" },
	[CODE(WRITE_DATA)] = { "WRITE_DATA", op_write_data, FIELDS(write_data_fields),
			       .in_turn = true, .continues = CODE(WRITE_FILE) },
	[CODE(STAT)] = { "STAT" },
	[CODE(LIST_DIR)] = { "LIST_DIR" },
	[CODE(MKDIR)] = { "MKDIR" },
	[CODE(REMOVE)] = { "REMOVE" },
	[CODE(RENAME)] = { "RENAME" },
	[CODE(SYMLINK)] = { "SYMLINK" },
	[CODE(READLINK)] = { "READLINK" },
	[CODE(CHMOD)] = { "CHMOD" },
	[CODE(CHOWN)] = { "CHOWN" },
	[CODE(MOUNT)] = { "MOUNT" },
	[CODE(UMOUNT)] = { "UMOUNT" },
	[CODE(TAIL)] = { "TAIL" },
	[CODE(READ_MEMORY)] = { "READ_MEMORY" },
	[CODE(WORKER_LIST)] = { "WORKER_LIST" },
	[CODE(WORKER_KILL)] = { "WORKER_KILL" },
	[CODE(CLOCK_GET)] = { "CLOCK_GET" },
	[CODE(CLOCK_SET)] = { "CLOCK_SET" },
	[CODE(RESEED)] = { "RESEED" },
	[CODE(KERNEL_LOG)] = { "KERNEL_LOG" },
	[CODE(RELEASE_INIT)] = { "RELEASE_INIT" },
};

/* What the agent sends; a host that sends one is told so. */
static const char *const reply_names[] = {
	[0] = "READY",
	[CODE(EXEC_RESULT) - CODE(READY)] = "EXEC_RESULT",
	[CODE(FILE_DATA) - CODE(READY)] = "FILE_DATA",
	[CODE(ERROR) - CODE(READY)] = "ERROR",
	[CODE(SYSCALL_RESULT) - CODE(READY)] = "SYSCALL_RESULT",
	[CODE(JOB_STARTED) - CODE(READY)] = "JOB_STARTED",
	[CODE(JOB_RESULT) - CODE(READY)] = "JOB_RESULT",
	[CODE(WORKER_STARTED) - CODE(READY)] = "WORKER_STARTED",
	[CODE(OK) - CODE(READY)] = "OK",
	[CODE(PONG) - CODE(READY)] = "PONG",
	[CODE(INFO_RESULT) - CODE(READY)] = "INFO_RESULT",
	[CODE(OUTPUT) - CODE(READY)] = "OUTPUT",
	[CODE(WRITE_ACK) - CODE(READY)] = "WRITE_ACK",
	[CODE(STAT_RESULT) - CODE(READY)] = "STAT_RESULT",
	[CODE(DIR_ENTRIES) - CODE(READY)] = "DIR_ENTRIES",
	[CODE(READLINK_RESULT) - CODE(READY)] = "READLINK_RESULT",
	[CODE(JOB_LIST_RESULT) - CODE(READY)] = "JOB_LIST_RESULT",
	[CODE(WORKER_LIST_RESULT) - CODE(READY)] = "WORKER_LIST_RESULT",
	[CODE(CLOCK_RESULT) - CODE(READY)] = "CLOCK_RESULT",
	[CODE(KERNEL_LOG_RECORD) - CODE(READY)] = "KERNEL_LOG_RECORD",
	[CODE(CALL_STARTED) - CODE(READY)] = "CALL_STARTED",
	[CODE(KERNEL_EVENT) - CODE(READY)] = "KERNEL_EVENT",
	[CODE(WORKER_EXITED) - CODE(READY)] = "WORKER_EXITED",
};

static_assert(ARRAY_SIZE(rules) == CODE(RELEASE_INIT) + 1, "a row for each request");
static_assert(ARRAY_SIZE(reply_names) == CODE(WORKER_EXITED) - CODE(READY) + 1,
	      "a name for each reply");

const struct message_rule *dispatch_rule(uint32_t code)
{
	if (code >= ARRAY_SIZE(rules) || !rules[code].name)
		return NULL;
	return &rules[code];
}

const char *dispatch_name(uint32_t code)
{
	if (code >= CODE(READY))
		return code - CODE(READY) < ARRAY_SIZE(reply_names)
			       ? reply_names[code - CODE(READY)]
			       : NULL;
	return code < ARRAY_SIZE(rules) ? rules[code].name : NULL;
}

static bool is_served(const struct loop *loop, uint32_t code)
{
	const struct message_rule *rule = dispatch_rule(code);

	/* A guest that is not ours to end. */
	if (code == CODE(SHUTDOWN) && !loop->config->power)
		return false;
	return rule && rule->handler;
}

size_t dispatch_served(const struct loop *loop, uint32_t *codes)
{
	size_t count = 0;

	for (uint32_t code = 1; code < DISPATCH_MAX_REQUESTS; code++)
		if (is_served(loop, code))
			codes[count++] = code;
	return count;
}

/* The body, whichever it is: the members of the union are pointers to messages alike. */
static const ProtobufCMessage *body_of(const Provium__V1__Message *message)
{
	return &message->exec->base;
}

static void refuse_unknown(struct session *session, const Provium__V1__Message *message)
{
	if (message->base.n_unknown_fields > 0)
		reply_error(session, message->id, ERROR_UNKNOWN_MESSAGE, NULL, 0,
			    "no message has code %u", message->base.unknown_fields[0].tag);
	else
		reply_error(session, message->id, ERROR_UNKNOWN_MESSAGE, NULL, 0,
			    "the message has no body");
}

/* The message ends before its end: what it belongs to ends with it. */
static void refuse_continued(struct session *session, uint32_t id, const struct message_rule *rule,
			     const struct check_failure *failure)
{
	struct request *request = session_find(session, id);

	bool found = turn_drop(session, id);

	if (request && request->code == rule->continues) {
		request_end(request);
		request->operations->abandon(request);
		found = true;
	}
	if (!found)
		return;
	reply_error(session, id, failure->code, NULL, 0, "%s: %s", rule->name, failure->text);
}

/* Keeps a message whose turn it is not. */
static void wait_for_turn(struct session *session, uint32_t id, const struct message_rule *rule,
			  const uint8_t *body, uint32_t length)
{
	struct check_failure failure = { ERROR_LIMIT, "too much is waiting for its turn" };

	/* What waits is not acknowledged; the few bytes around each piece of data count as well. */
	if (rule->continues && turn_waiting_bytes(session, id) + length > MAX_WAITING_DATA)
		snprintf(failure.text, sizeof(failure.text),
			 "more than %u bytes are not acknowledged", PROVIUM_WRITE_WINDOW);
	else if (turn_wait(session, id, body, length))
		return;
	if (rule->continues)
		refuse_continued(session, id, rule, &failure);
	else
		reply_error(session, id, failure.code, NULL, 0, "%s: %s", rule->name, failure.text);
}

/* Whether the request that such a message belongs to has its turn. */
static bool has_turn(const struct session *session, uint32_t id, const struct message_rule *rule)
{
	return session->turn && session->turn->id == id && session->turn->code == rule->continues;
}

/* Data of a request: its turn is that of the request. */
static void dispatch_continued(struct session *session, const Provium__V1__Message *message,
			       const struct message_rule *rule, const uint8_t *body,
			       uint32_t length)
{
	if (turn_is_waiting(session, message->id))
		wait_for_turn(session, message->id, rule, body, length);
	else if (has_turn(session, message->id, rule))
		rule->handler(session, message->id, message);
	else
		log_debug("%s for %u, which is not in flight", rule->name, message->id);
}

static bool may_begin(struct session *session, const Provium__V1__Message *message,
		      const struct message_rule *rule)
{
	if (session_find(session, message->id) || turn_is_waiting(session, message->id)) {
		reply_error(session, message->id, ERROR_BUSY, NULL, 0,
			    "%s: a request with id %u is in flight", rule->name, message->id);
		return false;
	}
	if (rule->lasts &&
	    session->request_count + session->waiting_count >= SESSION_MAX_REQUESTS) {
		reply_error(session, message->id, ERROR_LIMIT, NULL, 0,
			    "%s: %u requests are in flight", rule->name, SESSION_MAX_REQUESTS);
		return false;
	}
	return true;
}

static void dispatch_message(struct session *session, const Provium__V1__Message *message,
			     const uint8_t *body, uint32_t length)
{
	const struct message_rule *rule = dispatch_rule(message->body_case);
	const char *name = dispatch_name(message->body_case);
	struct check_failure failure;

	if (message->id == 0) {
		session_refuse(session, ERROR_INVALID, "a request with id 0");
		return;
	}
	if (!name) {
		refuse_unknown(session, message);
		return;
	}
	if (!is_served(session->loop, message->body_case)) {
		reply_error(session, message->id, ERROR_UNSUPPORTED, NULL, 0,
			    message->body_case < DISPATCH_MAX_REQUESTS
				    ? "%s is not served by this agent"
				    : "%s is not a request",
			    name);
		return;
	}
	if (!rule->continues && !may_begin(session, message, rule))
		return;
	/* Beside the body; check_fields looks into it. */
	if (message->base.n_unknown_fields > 0) {
		reply_error(session, message->id, ERROR_UNSUPPORTED, NULL, 0,
			    "%s: field %u of the message is not known to this agent", rule->name,
			    message->base.unknown_fields[0].tag);
		return;
	}
	if (!check_fields(body_of(message), rule->fields, rule->field_count, &failure)) {
		if (rule->continues)
			refuse_continued(session, message->id, rule, &failure);
		else
			reply_error(session, message->id, failure.code, NULL, 0, "%s: %s",
				    rule->name, failure.text);
		return;
	}
	if (rule->continues)
		dispatch_continued(session, message, rule, body, length);
	else if (rule->in_turn && turn_must_wait(session))
		wait_for_turn(session, message->id, rule, body, length);
	else
		rule->handler(session, message->id, message);
}

/* NULL: it could not be decoded, which has been answered. */
static const Provium__V1__Message *decode(struct session *session, const uint8_t *body,
					  uint32_t length)
{
	Provium__V1__Message *message;
	uint32_t id;

	switch (decoder_decode(&session->loop->decoder, body, length, &message)) {
	case DECODE_OK:
		return message;
	case DECODE_MALFORMED:
		session_refuse(session, ERROR_INVALID, "a frame that is no message");
		return NULL;
	case DECODE_LIMIT:
		id = message_peek_id(body, length);
		if (id == 0)
			session_refuse(session, ERROR_LIMIT, "a message that is too large decoded");
		else
			reply_error(session, id, ERROR_LIMIT, NULL, 0,
				    "the message is too large decoded");
		return NULL;
	case DECODE_NO_MEMORY:
		session_refuse(session, ERROR_LIMIT, "no memory to decode a message");
		return NULL;
	}
	abort();
}

void dispatch_frame(struct session *session, const uint8_t *body, uint32_t length)
{
	const Provium__V1__Message *message = decode(session, body, length);

	if (message)
		dispatch_message(session, message, body, length);
	/* An idle server holds no message. */
	decoder_release(&session->loop->decoder);
}

void dispatch_turn(struct session *session, const uint8_t *body, uint32_t length)
{
	const Provium__V1__Message *message = decode(session, body, length);
	const struct message_rule *rule;

	if (!message)
		return;
	rule = dispatch_rule(message->body_case);
	/* Its WRITE_FILE may have failed since. */
	if (!rule->continues || has_turn(session, message->id, rule))
		rule->handler(session, message->id, message);
	decoder_release(&session->loop->decoder);
}
