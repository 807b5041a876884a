/*
 * What a pull has under way.
 *
 * What the guest says is not trusted: names have no slash (list_dir.c), each is used below the fd
 * of its directory and never followed, so nothing is written outside the target.
 *
 * The files of a directory are asked for ahead, a bounded number, each by STAT and READ_FILE; the
 * agent answers in the order asked, so one after the other is written. Going down or up waits for
 * them all: what is in flight belongs to the directory at hand.
 */
#ifndef LIB_PULL_H
#define LIB_PULL_H

#include "host/lib/copy.h"

struct pull {
	struct provium_connection *connection;
	struct deadline deadline;
	struct copy_walk walk;
	struct copy_progress progress;
	bool sparse;
	/* The agent serves STAT. */
	bool has_status;
	/* The target was given with a slash at its end. */
	bool target_slash;
	/* struct entry, in the order asked for. */
	struct list entries;
	size_t count;
};

/* "DIRECTORY/NAME: what: errno's text", name being in the directory at hand. */
int pull_fail(const struct pull *pull, const char *name, int failure, const char *what,
	      struct provium_error *error);

/* STAT of a path, without following a link that it names; subject lives as long as path. */
int pull_send_stat(struct pull *pull, struct request *request, const char *path,
		   struct provium_error *error);

/*
 * Asks for what name is to be in the directory at hand: a file or a link (DT_LNK), whose path in
 * the guest is path.
 */
int pull_ask(struct pull *pull, unsigned int type, const char *name, const char *path,
	     struct provium_error *error);

/* As pull_ask, for a file whose status is known, or NULL. */
int pull_ask_file(struct pull *pull, const char *name, const char *path,
		  const struct provium_file_status *status, struct provium_error *error);

/* Until all that was asked for is in place. */
int pull_drain(struct pull *pull, struct provium_error *error);

/* Gives up what is not. */
void pull_abandon(struct pull *pull);

#endif
