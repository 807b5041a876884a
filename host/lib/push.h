/*
 * What a push has under way in the guest.
 *
 * Requests are sent ahead: the agent carries those of a connection out in the order sent, so a file
 * need not wait for the reply to the directory that it goes into. What is in flight is bounded in
 * number and, for data, by the window of a single file. Replies come in that order too: the first
 * failure is the one to tell, and what was sent behind it is given up.
 */
#ifndef LIB_PUSH_H
#define LIB_PUSH_H

#include "host/lib/copy.h"

struct push;
struct operation;

/* What becomes of an operation whose final reply has come: 0, or -1 and the error. */
typedef int (*operation_end_fn)(struct push *push, struct operation *operation,
				struct provium_error *error);

struct operation {
	/* In push->operations. */
	struct list link;
	/* Its request is that of any kind of operation. */
	struct file_writing writing;
	struct provium_error failure;
	/* Called also where it has failed. NULL: a failure is one of the push. */
	operation_end_fn on_end;
	/* Of a directory: set where it was there already. May be NULL. */
	bool *existed;
	/* STAT has told of a directory. */
	bool is_directory;
	/* What a symbolic link is to say. */
	char *link_target;
	char path[];
};

struct push {
	struct provium_connection *connection;
	struct deadline deadline;
	struct copy_walk walk;
	struct copy_progress progress;
	bool sparse;
	/* The target was given with a slash at its end. */
	bool target_slash;
	/* struct operation, in the order sent. */
	struct list operations;
	size_t count;
	/* PROVIUM_CHUNK bytes. */
	uint8_t *chunk;
};

/* An operation for the guest's path at hand, not yet sent. NULL: no memory. */
struct operation *operation_new(struct push *push, operation_end_fn on_end,
				struct provium_error *error);

/* Sends a message other than WRITE_FILE; its body is set. */
int operation_send(struct push *push, struct operation *operation, const char *what,
		   enum request_verdict (*on_message)(struct request *request,
						      const Provium__V1__Message *message),
		   Provium__V1__Message *message, struct provium_error *error);

/* Until another operation may be sent. */
int push_room(struct push *push, struct provium_error *error);

/*
 * Until the newest operation, a WRITE_FILE, may send a chunk of data, or has ended. The ends of
 * others are not looked at meanwhile: what they may still have to ask for would stand behind this
 * file in the agent, and be waited for in vain.
 */
int push_window(struct push *push, struct provium_error *error);

/* Until all operations have ended. */
int push_drain(struct push *push, struct provium_error *error);

/* Gives up those that have not. */
void push_abandon(struct push *push);

#endif
