#include "turn.h"

#include <stdlib.h>
#include <string.h>

#include "agent/connection.h"
#include "agent/dispatch.h"
#include "agent/session.h"

struct waiting {
	struct list link;
	uint32_t id;
	size_t length;
	uint8_t body[];
};

static void forget(struct session *session, struct waiting *waiting)
{
	list_remove(&waiting->link);
	session->waiting_bytes -= waiting->length;
	session->waiting_count--;
	free(waiting);
}

/*
 * The frame to be handled next, or NULL. While a WRITE_FILE has the turn that is its data, which
 * may stand behind other requests.
 */
static struct waiting *next_waiting(const struct session *session)
{
	struct waiting *waiting;

	list_for_each(waiting, &session->waiting, link)
		if (!session->turn || waiting->id == session->turn->id)
			return waiting;
	return NULL;
}

/* One in each pass, so that a long list keeps nobody else waiting. */
static void on_next_turn(struct task *task)
{
	struct session *session = container_of(task, struct session, next_turn);
	struct waiting *waiting = next_waiting(session);

	if (!waiting || connection_congested(session->connection))
		return;
	list_remove(&waiting->link);
	dispatch_turn(session, waiting->body, (uint32_t)waiting->length);
	forget(session, waiting);
	turn_next(session);
}

void turn_init(struct session *session)
{
	session->turn = NULL;
	list_init(&session->waiting);
	task_init(&session->next_turn, on_next_turn);
}

void turn_take(struct request *request)
{
	request->session->turn = request;
}

bool turn_must_wait(const struct session *session)
{
	return session->turn || !list_empty(&session->waiting);
}

bool turn_wait(struct session *session, uint32_t id, const uint8_t *body, size_t length)
{
	struct waiting *waiting;

	if (length > SESSION_MAX_WAITING - session->waiting_bytes ||
	    session->waiting_count >= SESSION_MAX_REQUESTS)
		return false;
	waiting = malloc(sizeof(*waiting) + length);
	if (!waiting)
		return false;
	waiting->id = id;
	waiting->length = length;
	memcpy(waiting->body, body, length);
	list_append(&session->waiting, &waiting->link);
	session->waiting_bytes += length;
	session->waiting_count++;
	return true;
}

bool turn_is_waiting(const struct session *session, uint32_t id)
{
	struct waiting *waiting;

	list_for_each(waiting, &session->waiting, link)
		if (waiting->id == id)
			return true;
	return false;
}

size_t turn_waiting_bytes(const struct session *session, uint32_t id)
{
	struct waiting *waiting;
	size_t bytes = 0;

	list_for_each(waiting, &session->waiting, link)
		if (waiting->id == id)
			bytes += waiting->length;
	return bytes;
}

bool turn_drop(struct session *session, uint32_t id)
{
	struct waiting *waiting, *next;
	bool found = false;

	list_for_each_safe(waiting, next, &session->waiting, link) {
		if (waiting->id != id)
			continue;
		forget(session, waiting);
		found = true;
	}
	return found;
}

void turn_drop_all(struct session *session)
{
	while (!list_empty(&session->waiting))
		forget(session, container_of(session->waiting.next, struct waiting, link));
	task_cancel(&session->next_turn);
}

void turn_next(struct session *session)
{
	if (next_waiting(session))
		task_schedule(&session->next_turn, session->loop);
}
