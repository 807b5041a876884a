/*
 * Messages between the runner and a test process: over a SOCK_SEQPACKET socket pair, each a header,
 * its texts, and perhaps descriptors.
 *
 * To the runner every message is input from outside: a test may have written over the memory of its
 * process. A table has what each kind may carry, and nothing else is let through.
 */
#ifndef RUNNER_CHANNEL_H
#define RUNNER_CHANNEL_H

#include <stddef.h>
#include <stdint.h>

#include "host/lua/harness.h"

/* What is longer is cut by who sends it (a fixture's text is refused). */
#define CHANNEL_MAX_NAME    1024
#define CHANNEL_MAX_MESSAGE 32768

#define CHANNEL_TEXTS       2

enum message_kind {
	/* To the runner. */
	MESSAGE_SUBTEST_STARTED,
	MESSAGE_SUBTEST_ENDED,
	MESSAGE_FILE_ENDED,
	MESSAGE_ACQUIRE,
	MESSAGE_RELEASE,
	MESSAGE_GUEST_STARTED,
	MESSAGE_GUEST_ENDED,
	MESSAGE_SPLAT,
	MESSAGE_FIXTURE,
	/* With the fixture's text, or, number being 1, with why it could not be built. */
	MESSAGE_FIXTURE_BUILT,
	/* The file has run to its end; number is the exit status. The last. */
	MESSAGE_DONE,
	/* To the test process, which has asked. */
	MESSAGE_GRANTED,
	MESSAGE_REFUSED,
	MESSAGE_FIXTURE_BUILD,
	MESSAGE_FIXTURE_HERE,
	MESSAGE_KINDS,
};

struct message {
	enum message_kind kind;
	/* A guest's number, an outcome (enum harness_outcome), an exit status, an error's code. */
	uint32_t number;
	uint32_t cpus;
	uint64_t memory;
	/* Received ones belong to the message; NULL where absent. */
	char *texts[CHANNEL_TEXTS];
	int fds[HARNESS_MAX_FDS];
	size_t n_fds;
};

enum channel_outcome {
	CHANNEL_RECEIVED,
	/* Nothing is there now. */
	CHANNEL_EMPTY,
	/* The other end is gone. */
	CHANNEL_ENDED,
	/* What came is none of the messages that may come; *error says why. */
	CHANNEL_BROKEN,
};

/* Two ends, close-on-exec. */
int channel_make(int fds[2], struct provium_error *error);

/*
 * Names and messages are cut where they are too long. MSG_DONTWAIT in flags: fails with
 * PROVIUM_BUSY where the other side has not read what was sent before.
 */
int channel_send(int fd, const struct message *message, int flags, struct provium_error *error);

/*
 * The next message; MSG_DONTWAIT in flags: CHANNEL_EMPTY where there is none. to_runner: which
 * kinds may come. The caller calls message_finish after CHANNEL_RECEIVED.
 */
enum channel_outcome channel_receive(int fd, int flags, bool to_runner, struct message *message,
				     struct provium_error *error);

/* Closes the fds that are left, and frees the texts. */
void message_finish(struct message *message);

#endif
