/*
 * The fixtures of a run: who builds which, who waits for it, and what it has become. Each is built
 * once, by the first test process that asks for it; where that one ends without having built it the
 * next that waits does. Pure but for the fds that are kept.
 */
#ifndef RUNNER_FIXTURES_H
#define RUNNER_FIXTURES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/list.h"
#include "host/lua/harness.h"

enum fixture_state {
	/* Somebody builds it; then READY or FAILED, or back to nobody's where he is gone. */
	FIXTURE_BUILDING,
	FIXTURE_READY,
	/* It could not be built; so it stays. */
	FIXTURE_FAILED,
	/* Who built it is gone, and nobody waits for it: the next to ask builds it. */
	FIXTURE_ABANDONED,
};

/* A test process. */
struct fixture_client {
	/* NULL: it waits for none. */
	struct fixture *waits_for;
	struct list link;
};

struct fixture {
	char *path;
	enum fixture_state state;
	struct fixture_client *builder;
	/* In which order the builds began. */
	uint64_t sequence;
	/* struct fixture_client.link, in the order in which they came. */
	struct list waiting;
	/* What it is, or why it failed. */
	char *text;
	int fds[HARNESS_MAX_FDS];
	size_t n_fds;
	struct list link;
};

struct fixtures {
	/* struct fixture.link */
	struct list list;
	size_t count;
	uint64_t sequence;
};

enum fixture_answer {
	/* The client is to build it. */
	FIXTURE_ASK_BUILD,
	/* It is there. */
	FIXTURE_ASK_HERE,
	/* The client waits. */
	FIXTURE_ASK_WAIT,
	/* It cannot be had; *error says why. */
	FIXTURE_ASK_FAILED,
};

void fixtures_init(struct fixtures *fixtures);
void fixture_client_init(struct fixture_client *client);

/* The client must not wait already. *fixture: except where it failed. */
enum fixture_answer fixtures_ask(struct fixtures *fixtures, struct fixture_client *client,
				 const char *path, struct fixture **fixture,
				 struct provium_error *error);

/*
 * The client has built it: text and fds, which become the fixture's, or failed. NULL: the client
 * builds no fixture of this path. Those who wait are to be told then: fixture_next.
 */
struct fixture *fixtures_built(struct fixtures *fixtures, struct fixture_client *client,
			       const char *path, char *text, const int *fds, size_t n_fds,
			       bool failed);

/* Takes the first who waits. Of a fixture that is built no more it becomes the builder. NULL: none.
 */
struct fixture_client *fixture_next(struct fixture *fixture);

/*
 * The client is gone: it waits no more. Returns one of the fixtures that it was building, for which
 * fixture_next gives the next builder; NULL: no more of them.
 */
struct fixture *fixtures_leave(struct fixtures *fixtures, struct fixture_client *client);

/* Closes the fds and releases. */
void fixtures_finish(struct fixtures *fixtures);

#endif
