#include "agent/auth.h"

#include <stddef.h>
#include <unistd.h>

#include "agent/connection.h"
#include "agent/ops.h"
#include "agent/reply.h"
#include "agent/server.h"
#include "agent/session.h"
#include "agent/timer.h"
#include "common/util.h"

/*
 * For the first AUTH, and for the one after each that was wrong: this twice. A loop that a system
 * call has held up sees the end of the time together with the AUTH that has come in it, in whatever
 * order; so the first end counts for nothing.
 */
#define PATIENCE_MS 5000

/* What the answer to each wrong AUTH waits for; the last one ends the connection. */
static const uint16_t delays_ms[] = { 100, 400, 1000 };

bool auth_read_token(int fd, uint8_t token[PROVIUM_TOKEN_SIZE])
{
	uint8_t more;

	return read(fd, token, PROVIUM_TOKEN_SIZE) == PROVIUM_TOKEN_SIZE && read(fd, &more, 1) == 0;
}

/* Takes the same time wherever the two differ, so that nobody can guess byte by byte. */
static bool is_token(const uint8_t *token, const ProtobufCBinaryData *given)
{
	volatile uint8_t difference = 0;

	if (given->len != PROVIUM_TOKEN_SIZE)
		return false;
	for (size_t i = 0; i < PROVIUM_TOKEN_SIZE; i++)
		difference |= token[i] ^ given->data[i];
	return difference == 0;
}

static void on_time(void *data);

static void start_timer(struct session *session, unsigned int milliseconds)
{
	timer_stop(session->auth_timer);
	session->auth_timer = timer_start(session->loop, milliseconds, on_time, session);
	if (!session->auth_timer)
		session_refuse(session, ERROR_LIMIT, "no memory for AUTH");
}

/* A wrong AUTH has waited long enough for its answer, or none has come. */
static void on_time(void *data)
{
	struct session *session = data;
	uint32_t id = session->auth_id;

	session->auth_id = 0;
	if (id == 0 && session->auth_late) {
		session_refuse(session, ERROR_AUTH, "no AUTH has come in time");
		return;
	}
	session->auth_late = id == 0;
	if (id == 0) {
		start_timer(session, PATIENCE_MS);
		return;
	}
	reply_error(session, id, ERROR_AUTH, NULL, 0, "AUTH: this is not the guest's token");
	if (session->auth_failures == ARRAY_SIZE(delays_ms))
		session_refuse(session, ERROR_AUTH, "AUTH has failed too often");
	else
		start_timer(session, PATIENCE_MS);
}

void auth_begin(struct session *session)
{
	session->authorised = !session->loop->config->token;
	reply_ready(session, 0);
	if (session->authorised) {
		session_admit(session);
		return;
	}
	connection_set_max_frame(session->connection, AUTH_MAX_FRAME);
	start_timer(session, PATIENCE_MS);
}

void auth_end(struct session *session)
{
	timer_stop(session->auth_timer);
}

void op_auth(struct session *session, uint32_t id, const Provium__V1__Message *message)
{
	if (session->auth_id != 0) {
		/* What came behind a wrong one is not even looked at while that waits. */
		reply_error(session, id, ERROR_BUSY, NULL, 0,
			    "AUTH: one before it is not answered");
	} else if (session->authorised) {
		reply_ready(session, id);
	} else if (is_token(session->loop->config->token, &message->auth->token)) {
		session->authorised = true;
		timer_stop(session->auth_timer);
		session->auth_timer = NULL;
		connection_set_max_frame(session->connection, PROVIUM_MAX_FRAME);
		reply_ready(session, id);
		session_admit(session);
	} else {
		session->auth_id = id;
		start_timer(session, delays_ms[session->auth_failures++]);
	}
}
