#include <errno.h>
#include <stdlib.h>

#include "host/lib/push.h"
#include "proto/limits.h"

/* Each holds an error value, 4 KiB. */
#define OPERATIONS_MAX 64

static void operation_free(struct push *push, struct operation *operation)
{
	request_abandon(&operation->writing.request);
	list_remove(&operation->link);
	push->count--;
	free(operation->link_target);
	free(operation);
}

struct operation *operation_new(struct push *push, operation_end_fn on_end,
				struct provium_error *error)
{
	const struct copy_path *path = &push->walk.guest;
	struct operation *operation = calloc(1, sizeof(*operation) + path->length + 1);

	if (!operation) {
		error_set(error, PROVIUM_HOST, ENOMEM, "%s", path->text);
		return NULL;
	}
	memcpy(operation->path, path->text, path->length + 1);
	operation->on_end = on_end;
	operation->writing.request.error = &operation->failure;
	list_append(&push->operations, &operation->link);
	push->count++;
	return operation;
}

static struct operation *oldest(const struct push *push)
{
	return container_of(push->operations.next, struct operation, link);
}

static bool oldest_ended(const void *arg)
{
	const struct push *push = arg;

	return list_empty(&push->operations) ||
	       oldest(push)->writing.request.state != REQUEST_IN_FLIGHT;
}

static bool window_open(const struct push *push)
{
	const struct operation *operation;
	uint64_t unwritten = 0;

	list_for_each(operation, &push->operations, link)
		unwritten += file_writing_unwritten(&operation->writing);
	return unwritten + PROVIUM_CHUNK <= PROVIUM_WRITE_WINDOW &&
	       connection_queued(push->connection) < PROVIUM_WRITE_WINDOW;
}

/* Also where the oldest has ended, so that this is looked at first. */
static bool has_room(const void *arg)
{
	const struct push *push = arg;

	return (push->count > 0 && oldest_ended(push)) ||
	       (push->count < OPERATIONS_MAX && window_open(push));
}

/* For the newest, whose data are being sent; also where it has ended. */
static bool may_send(const void *arg)
{
	const struct push *push = arg;
	const struct operation *newest =
		container_of(push->operations.prev, struct operation, link);

	return newest->writing.request.state != REQUEST_IN_FLIGHT || window_open(push);
}

/* Takes the ends of the oldest, as far as they have come. */
static int push_settle(struct push *push, struct provium_error *error)
{
	while (push->count > 0 && oldest_ended(push)) {
		struct operation *operation = oldest(push);
		bool failed = operation->writing.request.state == REQUEST_FAILED;

		if (operation->on_end) {
			if (operation->on_end(push, operation, error) < 0)
				return -1;
			/* It has become another. */
			if (operation->writing.request.state == REQUEST_IN_FLIGHT)
				continue;
		} else if (failed) {
			return error_copy(error, &operation->failure);
		}
		operation_free(push, operation);
	}
	return 0;
}

static int push_wait(struct push *push, bool (*ready)(const void *arg), struct provium_error *error)
{
	const char *path = push->count > 0 ? oldest(push)->path : push->walk.guest.text;

	if (connection_wait(push->connection, ready, push, &push->deadline, "push", error) == 0)
		return 0;
	error_prefix(error, "%s", path);
	return -1;
}

int push_room(struct push *push, struct provium_error *error)
{
	do {
		if (push_wait(push, has_room, error) < 0 || push_settle(push, error) < 0)
			return -1;
	} while (!has_room(push));
	return 0;
}

int push_window(struct push *push, struct provium_error *error)
{
	return push_wait(push, may_send, error);
}

int push_drain(struct push *push, struct provium_error *error)
{
	while (push->count > 0) {
		if (push_wait(push, oldest_ended, error) < 0 || push_settle(push, error) < 0)
			return -1;
	}
	return 0;
}

int operation_send(struct push *push, struct operation *operation, const char *what,
		   enum request_verdict (*on_message)(struct request *request,
						      const Provium__V1__Message *message),
		   Provium__V1__Message *message, struct provium_error *error)
{
	struct request *request = &operation->writing.request;

	request->what = what;
	request->subject = operation->path;
	request->on_message = on_message;
	return request_send(push->connection, request, message, error);
}

void push_abandon(struct push *push)
{
	while (!list_empty(&push->operations))
		operation_free(push, oldest(push));
}
