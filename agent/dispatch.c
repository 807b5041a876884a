#include "dispatch.h"

#include <stdio.h>
#include <stdlib.h>

#include "agent/kmsg.h"
#include "agent/log.h"
#include "agent/rules.h"
#include "agent/server.h"
#include "agent/session.h"
#include "agent/turn.h"
#include "common/util.h"
#include "proto/limits.h"

/* Bytes of waiting frames with data for one request: its window, and what is around the data. */
#define MAX_WAITING_DATA ((size_t)PROVIUM_WRITE_WINDOW + KIB(64))
#define CODE(name)       PROVIUM__V1__MESSAGE__BODY_##name

static bool is_served(const struct loop *loop, uint32_t code)
{
	const struct message_rule *rule = rule_of(code);

	switch (code) {
	case CODE(SHUTDOWN):
		/* A guest that is not ours to end. */
		if (!loop->config->power)
			return false;
		break;
	case CODE(SPAWN_WORKER):
	case CODE(WORKER_LIST):
	case CODE(WORKER_KILL):
		if (!loop->workers)
			return false;
		break;
	}
	return rule && rule->handler;
}

size_t dispatch_served(const struct loop *loop, uint32_t *codes)
{
	size_t count = 0;

	for (uint32_t code = 1; code < MAX_REQUEST_CODES; code++)
		if (is_served(loop, code))
			codes[count++] = code;
	return count;
}

/* A message that is no request. */
static void refuse_code(struct session *session, const Provium__V1__Message *message)
{
	if (message->body_case)
		reply_error(session, message->id, ERROR_UNSUPPORTED, NULL, 0,
			    "message %u is not a request: an agent sends it", message->body_case);
	else if (message->base.n_unknown_fields > 0)
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

static void handle(struct session *session, const Provium__V1__Message *message,
		   const struct message_rule *rule)
{
	if (rule->in_root)
		root_follow(session->loop);
	kmsg_begin(session, message->id, rule->in_turn || rule->lasts);
	rule->handler(session, message->id, message);
	kmsg_end(session->loop);
}

static void dispatch_message(struct session *session, const Provium__V1__Message *message,
			     const uint8_t *body, uint32_t length)
{
	const struct message_rule *rule = rule_of(message->body_case);
	struct check_failure failure;

	if (message->id == 0) {
		session_refuse(session, ERROR_INVALID, "a request with id 0");
		return;
	}
	if (!session->authorised && message->body_case != CODE(AUTH)) {
		reply_error(session, message->id, ERROR_AUTH, NULL, 0, "AUTH must come first");
		return;
	}
	if (!rule) {
		refuse_code(session, message);
		return;
	}
	if (!is_served(session->loop, message->body_case)) {
		reply_error(session, message->id, ERROR_UNSUPPORTED, NULL, 0,
			    "%s is not served by this agent", rule->name);
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
	if (!check_fields(message_body(message), &rule->fields, &failure)) {
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
		handle(session, message, rule);
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
	rule = rule_of(message->body_case);
	/* Its WRITE_FILE may have failed since. */
	if (rule->continues && has_turn(session, message->id, rule))
		rule->handler(session, message->id, message);
	else if (!rule->continues)
		handle(session, message, rule);
	decoder_release(&session->loop->decoder);
}
