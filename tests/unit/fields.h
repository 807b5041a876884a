/*
 * Every field of every request, in four wrong ways: absent, empty, oversized and of another kind.
 *
 * The fields are those of the schema's descriptors, down into the messages within messages, so that
 * a new one joins by itself; a new message needs a row that says what a good one looks like, and a
 * field a rule of the agent's. Whatever comes, a request gets exactly one final reply (or the
 * connection ends with an ERROR, where the frame is no message), the agent goes on, and nothing is
 * left behind; what the field's rule forbids is refused.
 */
#ifndef TESTS_FIELDS_H
#define TESTS_FIELDS_H

#include <stdbool.h>
#include <stddef.h>

/* An agent to try it on, native or in a guest. */
struct fields_agent {
	/* A new connection to it: a connected socket, READY still to come. */
	int (*connect)(void);
	/*
	 * Makes what the requests are about anew in the directory, whatever a request has done to
	 * it: a file F with some text, an empty directory D, a symbolic link L; and nothing that is
	 * called N.
	 */
	void (*make_files)(void);
	const char *directory;
	/* That it asks for, PROVIUM_TOKEN_SIZE bytes; NULL: none. */
	const unsigned char *token;
	/* It can make workers. */
	bool supervised;
};

/* The requests, by a number each. */
extern const size_t fields_requests;

/* Tries all fields of a request; returns how many cases that were. */
unsigned int fields_try(const struct fields_agent *agent, size_t request);

/* Wants a row for each request that is served. */
void fields_expect_rows(void);

#endif
