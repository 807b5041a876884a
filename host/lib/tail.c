/* TAIL: following a file, until its receiver has enough. */
#include <inttypes.h>

#include "host/lib/file.h"

struct tailing {
	struct request request;
	provium_tail_fn callback;
	void *user;
	/* Of the next data; where the file's end was only they tell. */
	bool offset_known;
	uint64_t offset;
	/* The callback wants no more. */
	bool ended;
};

static enum request_verdict give(struct tailing *tailing, enum provium_tail_event event,
				 uint64_t offset, const ProtobufCBinaryData *data)
{
	if (tailing->callback(tailing->user, event, offset, data ? data->data : NULL,
			      data ? data->len : 0) == 0)
		return REQUEST_MORE;
	tailing->ended = true;
	error_set(tailing->request.error, PROVIUM_CANCELLED, 0,
		  "%s: tail: the receiver wanted no more", tailing->request.subject);
	return REQUEST_GIVE_UP;
}

static enum request_verdict take_event(struct tailing *tailing, const Provium__V1__FileData *data)
{
	enum provium_tail_event event;

	switch (data->event) {
	case PROVIUM__V1__TAIL_EVENT__TAIL_TRUNCATED:
		event = PROVIUM_TAIL_TRUNCATED;
		break;
	case PROVIUM__V1__TAIL_EVENT__TAIL_ROTATED:
		event = PROVIUM_TAIL_ROTATED;
		break;
	default:
		return request_broken(&tailing->request, "event %d", (int)data->event);
	}
	tailing->offset_known = true;
	tailing->offset = 0;
	return give(tailing, event, data->offset, NULL);
}

static enum request_verdict take_data(struct tailing *tailing, const Provium__V1__FileData *data)
{
	struct request *request = &tailing->request;

	if (data->has_hole)
		return request_broken(request, "a hole that was not asked for");
	if (data->has_event) {
		enum request_verdict verdict = take_event(tailing, data);

		if (verdict != REQUEST_MORE || request->connection->lost)
			return verdict;
	}
	if (data->data.len == 0)
		return REQUEST_MORE;
	if (tailing->offset_known && data->offset != tailing->offset)
		return request_broken(request,
				      "data at offset %" PRIu64 " where %" PRIu64 " was next",
				      data->offset, tailing->offset);
	if (data->offset > INT64_MAX - data->data.len)
		return request_broken(request, "data at offset %" PRIu64, data->offset);
	tailing->offset_known = true;
	tailing->offset = data->offset + data->data.len;
	return give(tailing, PROVIUM_TAIL_DATA, data->offset, &data->data);
}

static enum request_verdict on_message(struct request *request, const Provium__V1__Message *message)
{
	switch (message->body_case) {
	case PROVIUM__V1__MESSAGE__BODY_FILE_DATA:
		return take_data(container_of(request, struct tailing, request),
				 message->file_data);
	case PROVIUM__V1__MESSAGE__BODY_OK:
		/* What cannot grow any more (a pipe whose writers are gone) ends by itself. */
		return REQUEST_FINAL;
	default:
		return request_unexpected(request, message);
	}
}

static void fill(const struct file_target *target, const struct provium_tail_options *options,
		 Provium__V1__Tail *body)
{
	body->has_path = target->has_path;
	body->path = target->path;
	body->has_fd = target->has_fd;
	body->fd = target->fd;
	body->has_start = options->start != PROVIUM_TAIL_END;
	body->start = options->start == PROVIUM_TAIL_OFFSET ? PROVIUM__V1__TAIL__START__OFFSET
							    : PROVIUM__V1__TAIL__START__BEGINNING;
	body->has_offset = options->start == PROVIUM_TAIL_OFFSET;
	body->offset = options->offset;
}

int provium_tail(struct provium_connection *connection, const char *path,
		 const struct provium_tail_options *options, provium_tail_fn callback, void *user,
		 int timeout_ms, struct provium_error *error)
{
	static const struct provium_tail_options defaults;
	struct deadline deadline = deadline_after(timeout_ms);
	struct file_target target;
	struct tailing tailing = {
		.request = { .what = "tail", .on_message = on_message },
		.callback = callback,
		.user = user,
	};
	Provium__V1__Tail body = PROVIUM__V1__TAIL__INIT;
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;

	options = options ? options : &defaults;
	if (file_target(&target, path, options->has_fd, options->fd, error) < 0)
		return -1;
	tailing.request.subject = target.subject;
	tailing.offset_known = options->start != PROVIUM_TAIL_END;
	tailing.offset = options->start == PROVIUM_TAIL_OFFSET ? options->offset : 0;
	fill(&target, options, &body);
	message.body_case = PROVIUM__V1__MESSAGE__BODY_TAIL;
	message.tail = &body;
	if (request_call(connection, &tailing.request, &message, &deadline, error) == 0)
		return 0;
	return tailing.ended ? 0 : -1;
}
