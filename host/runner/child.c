/*
 * The harness of a test file, by way of the channel. What is told of tests is sent and forgotten;
 * a question waits for its one answer. Where the runner is gone nothing arrives, and this process
 * is being killed (PR_SET_PDEATHSIG).
 */
#include "host/runner/child.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "host/lib/error.h"
#include "host/runner/channel.h"

static int channel_of(void *user)
{
	return ((const struct child_options *)user)->channel;
}

static void tell(void *user, const struct message *message)
{
	struct provium_error error;

	channel_send(channel_of(user), message, 0, &error);
}

/* The texts of a message that is sent are not changed. */
static char *text_of(const char *text)
{
	return (char *)(uintptr_t)text;
}

static void subtest_started(void *user, const char *name)
{
	const struct message message = {
		.kind = MESSAGE_SUBTEST_STARTED,
		.texts = { text_of(name) },
	};

	tell(user, &message);
}

static void subtest_ended(void *user, const char *name, enum harness_outcome outcome,
			  const char *text)
{
	const struct message message = {
		.kind = MESSAGE_SUBTEST_ENDED,
		.number = outcome,
		.texts = { text_of(name), text_of(text) },
	};

	tell(user, &message);
}

static void file_ended(void *user, enum harness_outcome outcome, const char *text)
{
	const struct message message = {
		.kind = MESSAGE_FILE_ENDED,
		.number = outcome,
		.texts = { NULL, text_of(text) },
	};

	tell(user, &message);
}

static void guest_started(void *user, unsigned int number, const char *name, const char *console)
{
	const struct message message = {
		.kind = MESSAGE_GUEST_STARTED,
		.number = number,
		.texts = { text_of(name), text_of(console) },
	};

	tell(user, &message);
}

static void guest_ended(void *user, unsigned int number)
{
	const struct message message = { .kind = MESSAGE_GUEST_ENDED, .number = number };

	tell(user, &message);
}

static void splat(void *user, unsigned int guest, const char *title, const char *text)
{
	const struct message message = {
		.kind = MESSAGE_SPLAT,
		.number = guest,
		.texts = { text_of(title), text_of(text) },
	};

	tell(user, &message);
}

/* Sends a question and waits for the answer; a refusal is the error. */
static int ask(void *user, const struct message *question, struct message *answer,
	       struct provium_error *error)
{
	if (channel_send(channel_of(user), question, 0, error) < 0)
		return -1;
	switch (channel_receive(channel_of(user), 0, false, answer, error)) {
	case CHANNEL_RECEIVED:
		break;
	case CHANNEL_BROKEN:
		return -1;
	case CHANNEL_EMPTY:
	case CHANNEL_ENDED:
		return error_set(error, PROVIUM_CANCELLED, 0, "the test runner has ended");
	}
	if (answer->kind != MESSAGE_REFUSED)
		return 0;
	error_set(error, (enum provium_code)answer->number, 0, "%s", answer->texts[1]);
	message_finish(answer);
	return -1;
}

static int acquire(void *user, uint64_t memory, unsigned int cpus, struct provium_error *error)
{
	const struct message question = {
		.kind = MESSAGE_ACQUIRE,
		.memory = memory,
		.cpus = cpus,
	};
	struct message answer;

	if (ask(user, &question, &answer, error) < 0)
		return -1;
	message_finish(&answer);
	return 0;
}

static void release(void *user, uint64_t memory, unsigned int cpus)
{
	const struct message message = {
		.kind = MESSAGE_RELEASE,
		.memory = memory,
		.cpus = cpus,
	};

	tell(user, &message);
}

static int fixture(void *user, const char *path, bool *build, char **text, int *fds, size_t *n_fds,
		   struct provium_error *error)
{
	const struct message question = { .kind = MESSAGE_FIXTURE, .texts = { text_of(path) } };
	struct message answer;

	*text = NULL;
	*n_fds = 0;
	if (ask(user, &question, &answer, error) < 0)
		return -1;
	*build = answer.kind == MESSAGE_FIXTURE_BUILD;
	if (answer.kind == MESSAGE_FIXTURE_HERE) {
		*text = answer.texts[1];
		answer.texts[1] = NULL;
		memcpy(fds, answer.fds, answer.n_fds * sizeof(*fds));
		*n_fds = answer.n_fds;
		answer.n_fds = 0;
	}
	message_finish(&answer);
	return 0;
}

static void fixture_built(void *user, const char *path, const char *text, const int *fds,
			  size_t n_fds, const char *failure)
{
	struct message message = {
		.kind = MESSAGE_FIXTURE_BUILT,
		.texts = { text_of(path), text_of(text) },
	};
	struct provium_error error;

	if (!text || n_fds > HARNESS_MAX_FDS) {
		message.number = 1;
		message.texts[1] = text_of(text      ? "it has too many descriptors"
					   : failure ? failure
						     : "it failed and does not say why");
	} else {
		memcpy(message.fds, fds, n_fds * sizeof(*fds));
		message.n_fds = n_fds;
	}
	if (channel_send(channel_of(user), &message, 0, &error) == 0)
		return;
	/* Those who wait for it are not to wait for ever. */
	message = (struct message){
		.kind = MESSAGE_FIXTURE_BUILT,
		.number = 1,
		.texts = { text_of(path), error.message },
	};
	tell(user, &message);
}

_Noreturn void child_run(const struct child_options *options)
{
	const struct harness harness = {
		.user = (void *)(uintptr_t)options,
		.log_directory = options->log_directory,
		.accel = options->accel,
		.subtest_started = subtest_started,
		.subtest_ended = subtest_ended,
		.file_ended = file_ended,
		.acquire = acquire,
		.release = release,
		.guest_started = guest_started,
		.guest_ended = guest_ended,
		.splat = splat,
		.fixture = fixture,
		.fixture_built = fixture_built,
	};
	int status = options->run(options->path, &harness);
	const struct message done = { .kind = MESSAGE_DONE, .number = (uint32_t)status & 0xff };

	fflush(NULL);
	tell((void *)(uintptr_t)options, &done);
	_exit(status);
}
