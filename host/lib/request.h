/* Requests in flight: what was asked, and who takes the answer. */
#ifndef LIB_REQUEST_H
#define LIB_REQUEST_H

#include <string.h>

#include "host/lib/connection.h"

enum request_state {
	/* Not sent, or given up. */
	REQUEST_IDLE,
	/* In its connection's table; becomes one of the following, or IDLE by request_abandon. */
	REQUEST_IN_FLIGHT,
	/* Its final reply has come and was taken. */
	REQUEST_DONE,
	/* An ERROR came, its handler gave up, or the connection was lost: *error says why. */
	REQUEST_FAILED,
};

enum request_verdict {
	/* A message of a stream; more will come. */
	REQUEST_MORE,
	/* The final reply. */
	REQUEST_FINAL,
	/* The receiver wants no more, and has set *error: the request is cancelled and fails. */
	REQUEST_GIVE_UP,
};

/* Embedded in what its owner keeps about it. Zeroed: IDLE. */
struct request {
	/* In connection->requests while in flight. */
	struct list link;
	struct provium_connection *connection;
	uint32_t id;
	enum request_state state;
	/* For messages: "read", and "/etc/passwd" or NULL. Live as long as it is in flight. */
	const char *what;
	const char *subject;
	/*
	 * Takes each message with its id except ERROR. Must not wait. A message that the protocol
	 * does not allow: return request_broken().
	 */
	enum request_verdict (*on_message)(struct request *request,
					   const Provium__V1__Message *message);
	/*
	 * Puts the name of one of its system calls into text; false: it has no such call. NULL: it
	 * makes none.
	 */
	bool (*name_call)(const struct request *request, unsigned int call, char *text,
			  size_t size);
	/* The last call that the agent has told of before making it, plus 1; 0: none. */
	unsigned int calls_told;
	/* Filled when it fails. NULL: nobody wants to know. */
	struct provium_error *error;
};

/* Gives message an id and sends it. on_message, what, subject and error are set by the caller. */
int request_send(struct provium_connection *connection, struct request *request,
		 Provium__V1__Message *message, struct provium_error *error);

/*
 * Waits for the final reply. 0: DONE. -1: it failed (then *request->error is set), or the wait did
 * (then *error is set and the request is still in flight).
 */
int request_wait(struct request *request, const struct deadline *deadline,
		 struct provium_error *error);

/* Waits until the queue takes another request, which request_send would refuse meanwhile. */
int request_room(struct provium_connection *connection, const struct deadline *deadline,
		 const char *what, struct provium_error *error);

/* Sends, waits, and gives up where the wait failed. request->error is set to error. */
int request_call(struct provium_connection *connection, struct request *request,
		 Provium__V1__Message *message, const struct deadline *deadline,
		 struct provium_error *error);

/*
 * Forgets a request: its owner may go. One in flight is cancelled in the agent, without waiting;
 * what still comes for its id is dropped.
 */
void request_abandon(struct request *request);

/* As request_abandon, without telling the agent: for requests that end by themselves. */
void request_forget(struct request *request);

/* Sends CANCEL for a request that stays in flight: its final reply tells how it ended. */
int request_cancel(struct request *request, struct provium_error *error);

/* The agent broke the protocol in a message of this request. For handlers: return request_broken().
 */
enum request_verdict request_broken(struct request *request, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* A message of a kind that this request does not expect. */
enum request_verdict request_unexpected(struct request *request,
					const Provium__V1__Message *message);

/* For on_message of requests whose final reply is OK. */
enum request_verdict request_take_ok(struct request *request, const Provium__V1__Message *message);

/* The request in flight with this id; NULL: none. */
struct request *request_find(struct provium_connection *connection, uint32_t id);

/* Text as a field of bytes. */
static inline ProtobufCBinaryData bytes_of(const char *text)
{
	return (ProtobufCBinaryData){ .len = strlen(text), .data = (uint8_t *)text };
}

/* For connection.c: hands a message to its request. */
void request_dispatch(struct provium_connection *connection, const Provium__V1__Message *message);

/* For connection.c: whether any is in flight. */
bool request_any(const struct provium_connection *connection);

/* For connection.c: all in flight fail with connection->loss. */
void request_fail_all(struct provium_connection *connection);

#endif
