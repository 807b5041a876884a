/*
 * Whose turn it is: file operations and system calls of a connection run in the order sent.
 *
 * One that cannot be done at once (a long file is streamed, WRITE_DATA is awaited) has the turn
 * until it ends; the frames of those that come meanwhile are kept and handled then. Everything else
 * goes on beside it.
 */
#ifndef AGENT_TURN_H
#define AGENT_TURN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct request;
struct session;

void turn_init(struct session *session);

/* The request has begun and takes more than its handler's call. */
void turn_take(struct request *request);

/* Whether a request must wait: one has the turn, or others have come before it. */
bool turn_must_wait(const struct session *session);

/* Keeps the frame. False: too much is waiting already, or there is no memory. */
bool turn_wait(struct session *session, uint32_t id, const uint8_t *body, size_t length);

/* Whether a request with this id is waiting. */
bool turn_is_waiting(const struct session *session, uint32_t id);

/* Bytes of the waiting frames with this id. */
size_t turn_waiting_bytes(const struct session *session, uint32_t id);

/* Forgets all waiting frames with this id; false where there are none. */
bool turn_drop(struct session *session, uint32_t id);
void turn_drop_all(struct session *session);

/* Sees to it that the waiting frames are handled, if it is their turn. */
void turn_next(struct session *session);

#endif
