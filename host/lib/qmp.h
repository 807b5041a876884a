/*
 * QMP, QEMU's control protocol (docs/interop/qmp-spec.rst of QEMU): JSON objects, a line each.
 */
#ifndef LIB_QMP_H
#define LIB_QMP_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "host/include/provium.h"
#include "host/lib/wait.h"

/* The longest line that is read; QEMU's longest (query-qmp-schema) is a fifth of it. */
#define QMP_MAX_LINE (1u << 20)

struct qmp {
	/* -1 once it has ended. */
	int fd;
	/* The line that is coming in. */
	char *buffer;
	size_t used;
	size_t capacity;
	unsigned int last_id;
	/* Goes along with the next command; -1: none. */
	int passed_fd;
	/* The reply to the command that is waited for; NULL until it is there. */
	json_t *reply;
	bool greeted;
	/* Why it has ended from this side; "" where QEMU has closed it. */
	char failure[256];
	/* Each event; data may be NULL. Runs inside of every call below. */
	void (*on_event)(void *user, const char *name, const json_t *data);
	void *user;
};

/* Takes over fd, a connected stream socket. */
void qmp_init(struct qmp *qmp, int fd,
	      void (*on_event)(void *user, const char *name, const json_t *data), void *user);
void qmp_finish(struct qmp *qmp);

/* Waits for QEMU's greeting and leaves negotiation mode: from then on there are events. */
int qmp_negotiate(struct qmp *qmp, const struct wait_limits *limits, struct provium_error *error);

/*
 * Executes a command and waits for its end. arguments, an object that may be empty, is taken over;
 * NULL: there was no memory for it, which is the error. *result (may be NULL) is the caller's. What
 * QEMU refuses is PROVIUM_HOST with its description.
 */
int qmp_execute(struct qmp *qmp, const char *command, json_t *arguments,
		const struct wait_limits *limits, json_t **result, struct provium_error *error);

/*
 * The two halves of qmp_execute, for a command during which something else must be done. Between
 * them qmp_dispatch takes the reply, and no other command is sent.
 */
int qmp_send(struct qmp *qmp, const char *command, json_t *arguments,
	     const struct wait_limits *limits, struct provium_error *error);
int qmp_await_reply(struct qmp *qmp, const char *command, const struct wait_limits *limits,
		    json_t **result, struct provium_error *error);

/* Whether the reply to the last command is there, and is an error. */
bool qmp_has_refused(const struct qmp *qmp);

/* Gives QEMU a copy of fd, which commands know by the name ("fd:NAME"). */
int qmp_pass_fd(struct qmp *qmp, const char *name, int fd, const struct wait_limits *limits,
		struct provium_error *error);

/* Handles what has arrived, without waiting. Not 0: it has ended, or breaks the protocol. */
int qmp_dispatch(struct qmp *qmp, struct provium_error *error);

#endif
