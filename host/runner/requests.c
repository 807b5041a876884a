#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "common/util.h"
#include "host/lib/error.h"
#include "host/runner/channel.h"
#include "host/runner/running.h"

static void answer(struct running *file, const struct message *message)
{
	struct provium_error error;

	if (file->killed || file->process.channel < 0)
		return;
	file->since_ns = monotonic_ns();
	/*
	 * It asks one thing at a time, so its end has room, unless it is not a test any more. One
	 * that has ended (EPIPE) is met in its turn.
	 */
	if (channel_send(file->process.channel, message, MSG_DONTWAIT, &error) < 0 &&
	    error.os_errno != EPIPE && error.os_errno != ECONNRESET)
		running_channel_failed(file, &error);
}

static void grant(struct running *file)
{
	const struct message message = { .kind = MESSAGE_GRANTED };

	answer(file, &message);
}

static void refuse(struct running *file, struct provium_error *error)
{
	const struct message message = {
		.kind = MESSAGE_REFUSED,
		.number = error->code,
		.texts = { NULL, error->message },
	};

	answer(file, &message);
}

static void give_fixture(struct running *file, const struct fixture *fixture)
{
	struct message message = { .kind = MESSAGE_FIXTURE_BUILD };
	struct provium_error error;

	if (fixture->state == FIXTURE_FAILED) {
		error_set(&error, PROVIUM_INVALID, 0, "%s", fixture->text);
		refuse(file, &error);
		return;
	}
	if (fixture->state == FIXTURE_READY) {
		message.kind = MESSAGE_FIXTURE_HERE;
		message.texts[1] = fixture->text;
		memcpy(message.fds, fixture->fds, sizeof(*fixture->fds) * fixture->n_fds);
		message.n_fds = fixture->n_fds;
	}
	answer(file, &message);
}

/* All who wait for it; of one that is to be built anew the first, who builds it. */
static void tell_waiting(struct fixture *fixture)
{
	struct fixture_client *client;

	while ((client = fixture_next(fixture))) {
		give_fixture(container_of(client, struct running, fixture), fixture);
		if (fixture->state == FIXTURE_BUILDING)
			return;
	}
}

bool requests_grant(struct runner *runner, bool any)
{
	struct pool_client *client =
		any ? pool_grant_any(&runner->pool) : pool_grant(&runner->pool);

	if (!client)
		return false;
	grant(container_of(client, struct running, pool));
	return true;
}

/* What a guest counts as. */
static uint64_t with_overhead(const struct runner *runner, uint64_t memory)
{
	uint64_t sum;

	if (__builtin_add_overflow(memory, runner->options->overhead, &sum))
		return UINT64_MAX;
	return sum;
}

static void never_fits(const struct runner *runner, const struct running *file,
		       const struct message *message, struct provium_error *error)
{
	const struct pool *pool = &runner->pool;
	char overhead[64] = "";

	if (runner->options->overhead)
		snprintf(overhead, sizeof(overhead), " (and %" PRIu64 " MiB for its QEMU)",
			 runner->options->overhead >> 20);
	error_set(error, PROVIUM_LIMIT, 0,
		  "a guest of %" PRIu64 " MiB%s and %u processors never fits: all guests together "
		  "have %" PRIu64 " MiB and %" PRIu64
		  " processors (--mem, --cpus), of which this file holds %" PRIu64
		  " MiB and %" PRIu64,
		  message->memory >> 20, overhead, message->cpus, pool->memory >> 20, pool->cpus,
		  file->pool.held_memory >> 20, file->pool.held_cpus);
}

static void on_acquire(struct runner *runner, struct running *file, const struct message *message)
{
	struct provium_error error;

	if (running_waits(file)) {
		running_break_off(file, "it asks while it waits");
		return;
	}
	running_stop_clock(file, monotonic_ns());
	switch (pool_request(&runner->pool, &file->pool, with_overhead(runner, message->memory),
			     message->cpus)) {
	case POOL_GRANTED:
		grant(file);
		break;
	case POOL_WAITS:
		break;
	case POOL_NEVER:
		never_fits(runner, file, message, &error);
		refuse(file, &error);
		break;
	}
}

static void on_release(struct runner *runner, struct running *file, const struct message *message)
{
	if (!pool_release(&runner->pool, &file->pool, with_overhead(runner, message->memory),
			  message->cpus))
		running_break_off(file, "it gives back more than it has");
}

static void on_fixture(struct runner *runner, struct running *file, const struct message *message)
{
	struct fixture *fixture = NULL;
	struct provium_error error;

	if (running_waits(file)) {
		running_break_off(file, "it asks while it waits");
		return;
	}
	running_stop_clock(file, monotonic_ns());
	switch (fixtures_ask(&runner->fixtures, &file->fixture, message->texts[0], &fixture,
			     &error)) {
	case FIXTURE_ASK_BUILD:
	case FIXTURE_ASK_HERE:
		give_fixture(file, fixture);
		break;
	case FIXTURE_ASK_WAIT:
		break;
	case FIXTURE_ASK_FAILED:
		refuse(file, &error);
		break;
	}
}

/* Takes the text and the fds out of the message. */
static void on_fixture_built(struct runner *runner, struct running *file, struct message *message)
{
	struct fixture *fixture = fixtures_built(&runner->fixtures, &file->fixture,
						 message->texts[0], message->texts[1], message->fds,
						 message->n_fds, message->number == 1);

	if (!fixture) {
		running_break_off(file, "it builds no such fixture");
		return;
	}
	message->texts[1] = NULL;
	message->n_fds = 0;
	tell_waiting(fixture);
}

static void on_message(struct runner *runner, struct running *file, struct message *message)
{
	struct file_result *result = &runner->results[file->index];
	uint64_t now_ns = monotonic_ns();

	switch (message->kind) {
	case MESSAGE_SUBTEST_STARTED:
		file_result_subtest_started(result, message->texts[0], now_ns);
		break;
	case MESSAGE_SUBTEST_ENDED:
		file_result_subtest_ended(result, message->texts[0],
					  (enum harness_outcome)message->number, message->texts[1],
					  now_ns);
		break;
	case MESSAGE_FILE_ENDED:
		file_result_ended(result, (enum harness_outcome)message->number, message->texts[1]);
		break;
	case MESSAGE_ACQUIRE:
		on_acquire(runner, file, message);
		break;
	case MESSAGE_RELEASE:
		on_release(runner, file, message);
		break;
	case MESSAGE_GUEST_STARTED:
		file_result_guest_started(result, message->number, message->texts[0],
					  message->texts[1]);
		break;
	case MESSAGE_GUEST_ENDED:
		file_result_guest_ended(result, message->number);
		break;
	case MESSAGE_SPLAT:
		file_result_splat(result, message->number, message->texts[0], message->texts[1]);
		break;
	case MESSAGE_FIXTURE:
		on_fixture(runner, file, message);
		break;
	case MESSAGE_FIXTURE_BUILT:
		on_fixture_built(runner, file, message);
		break;
	case MESSAGE_DONE:
		result->done = true;
		result->done_status = (int)message->number;
		break;
	case MESSAGE_GRANTED:
	case MESSAGE_REFUSED:
	case MESSAGE_FIXTURE_BUILD:
	case MESSAGE_FIXTURE_HERE:
	case MESSAGE_KINDS:
		/* channel_receive lets none through. */
		break;
	}
}

void requests_take(struct runner *runner, struct running *file, size_t most)
{
	for (size_t i = 0; i < most && file->process.channel >= 0; i++) {
		struct provium_error error;
		struct message message;

		switch (channel_receive(file->process.channel, MSG_DONTWAIT, true, &message,
					&error)) {
		case CHANNEL_RECEIVED:
			on_message(runner, file, &message);
			message_finish(&message);
			break;
		case CHANNEL_EMPTY:
			return;
		case CHANNEL_BROKEN:
			running_channel_failed(file, &error);
			process_close(&file->process);
			return;
		case CHANNEL_ENDED:
			process_close(&file->process);
			return;
		}
	}
}

void requests_leave(struct runner *runner, struct running *file)
{
	struct fixture *fixture;

	pool_leave(&runner->pool, &file->pool);
	while ((fixture = fixtures_leave(&runner->fixtures, &file->fixture)))
		tell_waiting(fixture);
}
