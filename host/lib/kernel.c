/* KERNEL_EVENT and KERNEL_LOG. */
#include "host/lib/kernel.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/util.h"
#include "host/lib/request.h"

/* Bytes that are told of what was running. */
#define RUNNING_SIZE 512

struct kernel_event {
	struct list link;
	struct provium_kernel_event event;
	char running[RUNNING_SIZE];
	char text[];
};

static const struct {
	const char *name;
	bool fault;
} kinds[] = {
	[PROVIUM_KERNEL_WARNING] = { "warning", true },
	[PROVIUM_KERNEL_OOPS] = { "oops", true },
	[PROVIUM_KERNEL_BUG] = { "bug", true },
	[PROVIUM_KERNEL_KASAN] = { "KASAN report", true },
	[PROVIUM_KERNEL_UBSAN] = { "UBSAN report", true },
	[PROVIUM_KERNEL_KCSAN] = { "KCSAN report", true },
	[PROVIUM_KERNEL_LOCKDEP] = { "lockdep report", true },
	[PROVIUM_KERNEL_HUNG_TASK] = { "hung task", true },
	[PROVIUM_KERNEL_RCU_STALL] = { "RCU stall", true },
	[PROVIUM_KERNEL_SOFT_LOCKUP] = { "lockup", true },
	[PROVIUM_KERNEL_REFCOUNT] = { "reference count", true },
	[PROVIUM_KERNEL_KMEMLEAK] = { "memory leak", true },
	[PROVIUM_KERNEL_TAINT] = { "taint", false },
	[PROVIUM_KERNEL_GENERAL_PROTECTION] = { "general protection fault", true },
};

const char *provium_kernel_kind_name(enum provium_kernel_kind kind)
{
	return (size_t)kind < ARRAY_SIZE(kinds) && kinds[kind].name ? kinds[kind].name
								    : "kernel event";
}

/* What a later version has names for is one as well. */
bool provium_kernel_is_fault(enum provium_kernel_kind kind)
{
	return (size_t)kind >= ARRAY_SIZE(kinds) || !kinds[kind].name || kinds[kind].fault;
}

/* ------------------------------------------------------------------------------------------- */
/* Keeping */

void kernel_init(struct kernel_events *events)
{
	list_init(&events->list);
}

static struct kernel_event *first_of(const struct kernel_events *events)
{
	return container_of(events->list.next, struct kernel_event, link);
}

static void drop_first(struct kernel_events *events)
{
	struct kernel_event *event = first_of(events);

	list_remove(&event->link);
	events->count--;
	free(event);
}

void kernel_finish(struct kernel_events *events)
{
	while (!list_empty(&events->list))
		drop_first(events);
}

static void keep(struct kernel_events *events, struct kernel_event *event)
{
	list_append(&events->list, &event->link);
	events->count++;
	events->last = event->event.number;
	if (events->count > KERNEL_MAX_EVENTS)
		drop_first(events);
}

void kernel_move(struct kernel_events *to, struct kernel_events *from)
{
	while (!list_empty(&from->list)) {
		struct kernel_event *event = first_of(from);

		list_remove(&event->link);
		from->count--;
		if (event->event.number > to->last)
			keep(to, event);
		else
			free(event);
	}
}

/* Bytes that a terminal could obey, and those that end a string, become '?'. */
static void copy_text(char *to, const ProtobufCBinaryData *from)
{
	for (size_t i = 0; i < from->len; i++) {
		uint8_t byte = from->data[i];

		bool control = (byte < 0x20 && byte != '\n' && byte != '\t') || byte == 0x7f;

		to[i] = '?';
		if (!control)
			memcpy(&to[i], &byte, 1);
	}
	to[from->len] = '\0';
}

static void describe_running(struct provium_connection *connection,
			     const Provium__V1__KernelEvent *event, char *running)
{
	size_t used = 0;

	running[0] = '\0';
	for (size_t i = 0; i < event->n_requests && used < RUNNING_SIZE; i++) {
		const struct request *request = request_find(connection, event->requests[i]);

		/* Others have been given up since. */
		if (!request)
			continue;
		used += (size_t)snprintf(running + used, RUNNING_SIZE - used, "%s%s%s%s",
					 used ? "; " : "", request->what,
					 request->subject ? ": " : "",
					 request->subject ? request->subject : "");
	}
}

void kernel_take(struct provium_connection *connection, const Provium__V1__KernelEvent *event)
{
	struct kernel_events *events = &connection->kernel;
	struct kernel_event *kept;

	if (event->number <= events->last) {
		connection_lose(connection, PROVIUM_PROTOCOL, 0,
				"the agent sent kernel event %" PRIu64 " after %" PRIu64,
				event->number, events->last);
		return;
	}
	if (event->text.len > KERNEL_MAX_TEXT) {
		connection_lose(
			connection, PROVIUM_PROTOCOL, 0,
			"the agent sent a kernel event of %zu bytes, at most %zu are allowed",
			event->text.len, KERNEL_MAX_TEXT);
		return;
	}
	kept = malloc(sizeof(*kept) + event->text.len + 1);
	if (!kept) {
		connection_lose(connection, PROVIUM_HOST, ENOMEM, "a kernel event");
		return;
	}
	copy_text(kept->text, &event->text);
	describe_running(connection, event, kept->running);
	kept->event = (struct provium_kernel_event){
		.number = event->number,
		.kind = (enum provium_kernel_kind)event->kind,
		.text = kept->text,
		.timestamp_us = event->timestamp_us,
		.taint_before = event->taint_before,
		.taint = event->taint,
		.lost = event->lost,
		.running = kept->running,
	};
	keep(events, kept);
}

void kernel_take_numbers(struct provium_connection *connection, const Provium__V1__Message *message)
{
	struct kernel_events *events = &connection->kernel;

	events->n_numbers = MIN(message->n_kernel_events, ARRAY_SIZE(events->numbers));
	for (size_t i = 0; i < events->n_numbers; i++)
		events->numbers[i] = message->kernel_events[i];
}

/* ------------------------------------------------------------------------------------------- */
/* Asking */

/* The first with a greater number; NULL: none. */
static const struct provium_kernel_event *find_after(const struct kernel_events *events,
						     uint64_t number)
{
	struct kernel_event *event;

	list_for_each(event, &events->list, link)
		if (event->event.number > number)
			return &event->event;
	return NULL;
}

static bool has_next(const void *arg)
{
	const struct provium_connection *connection = arg;

	return find_after(&connection->kernel, connection->kernel.fetched) != NULL;
}

int provium_kernel_next(struct provium_connection *connection, int timeout_ms,
			const struct provium_kernel_event **event, struct provium_error *error)
{
	struct deadline deadline = deadline_after(timeout_ms);

	*event = NULL;
	if (connection_wait(connection, has_next, connection, &deadline,
			    "waiting for the kernel to report something", error) < 0)
		return -1;
	*event = find_after(&connection->kernel, connection->kernel.fetched);
	connection->kernel.fetched = (*event)->number;
	return 0;
}

uint64_t provium_kernel_last(const struct provium_connection *connection)
{
	return connection->kernel.last;
}

const uint64_t *provium_kernel_numbers(const struct provium_connection *connection, size_t *count)
{
	*count = connection->kernel.n_numbers;
	return connection->kernel.numbers;
}

int provium_kernel_check(struct provium_connection *connection, uint64_t after, int timeout_ms,
			 struct provium_error *error)
{
	const struct provium_kernel_event *first = NULL, *event;
	unsigned int count = 0;
	char more[64] = "";

	error_clear(error);
	if (provium_ping(connection, timeout_ms, error) < 0)
		return -1;
	while ((event = find_after(&connection->kernel, after))) {
		after = event->number;
		if (!provium_kernel_is_fault(event->kind))
			continue;
		if (!first)
			first = event;
		count++;
	}
	if (!first)
		return 0;
	if (count > 1)
		snprintf(more, sizeof(more), " (and %u more)", count - 1);
	return error_set(error, PROVIUM_SPLAT, 0,
			 "the guest's kernel reported a fault: %s%s%s%s%s\n%s",
			 provium_kernel_kind_name(first->kind), more,
			 first->running[0] ? " while this ran: " : "", first->running,
			 first->lost ? " (records of its log were lost)" : "", first->text);
}

/* ------------------------------------------------------------------------------------------- */
/* The log */

struct log_request {
	struct request request;
	provium_kernel_log_fn callback;
	void *user;
	/* The callback wants no more. */
	bool ended;
};

static enum request_verdict take_record(struct log_request *log,
					const Provium__V1__KernelLogRecord *record)
{
	struct provium_kernel_record given = {
		.priority = record->priority,
		.sequence = record->sequence,
		.timestamp_us = record->timestamp_us,
		.size = record->text.len,
		.lost = record->lost,
	};
	cleanup_free char *text = malloc(record->text.len + 1);

	if (!text) {
		error_set(log->request.error, PROVIUM_HOST, ENOMEM, "a record of the log");
		return REQUEST_GIVE_UP;
	}
	if (record->text.len > 0)
		memcpy(text, record->text.data, record->text.len);
	text[record->text.len] = '\0';
	given.text = text;
	if (log->callback(log->user, &given) == 0)
		return REQUEST_MORE;
	log->ended = true;
	error_set(log->request.error, PROVIUM_CANCELLED, 0, "the receiver wanted no more");
	return REQUEST_GIVE_UP;
}

static enum request_verdict on_message(struct request *request, const Provium__V1__Message *message)
{
	switch (message->body_case) {
	case PROVIUM__V1__MESSAGE__BODY_KERNEL_LOG_RECORD:
		return take_record(container_of(request, struct log_request, request),
				   message->kernel_log_record);
	case PROVIUM__V1__MESSAGE__BODY_OK:
		return REQUEST_FINAL;
	default:
		return request_unexpected(request, message);
	}
}

int provium_kernel_log(struct provium_connection *connection, bool from_start,
		       provium_kernel_log_fn callback, void *user, int timeout_ms,
		       struct provium_error *error)
{
	struct deadline deadline = deadline_after(timeout_ms);
	struct log_request log = {
		.request = { .what = "kernel log", .on_message = on_message },
		.callback = callback,
		.user = user,
	};
	Provium__V1__KernelLog body = PROVIUM__V1__KERNEL_LOG__INIT;
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;

	body.has_from_start = true;
	body.from_start = from_start;
	message.body_case = PROVIUM__V1__MESSAGE__BODY_KERNEL_LOG;
	message.kernel_log = &body;
	if (request_call(connection, &log.request, &message, &deadline, error) == 0)
		return 0;
	return log.ended ? 0 : -1;
}
