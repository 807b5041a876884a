/* READ_FILE, WRITE_FILE and STAT: files of any size through bounded memory. */
#include "file.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "common/cleanup.h"
#include "host/lib/buffer.h"
#include "host/lib/request.h"
#include "proto/limits.h"

static ProtobufCBinaryData bytes_of(const char *path)
{
	return (ProtobufCBinaryData){ .len = strlen(path), .data = (uint8_t *)path };
}

/* ------------------------------------------------------------------------------------------- */
/* Reading */

struct reading {
	struct request request;
	provium_sink_fn sink;
	void *user;
	uint64_t offset;
	/* Bytes that may still come; UINT64_MAX: as many as there are. */
	uint64_t left;
	uint64_t received;
};

static enum request_verdict take_data(struct reading *reading, const Provium__V1__FileData *data)
{
	struct request *request = &reading->request;

	if (data->has_hole || data->has_event)
		return request_broken(request, "a hole or an event that was not asked for");
	if (data->offset != reading->offset)
		return request_broken(request,
				      "data at offset %" PRIu64 " where %" PRIu64 " was next",
				      data->offset, reading->offset);
	if (data->data.len > reading->left)
		return request_broken(request, "more data than were asked for");
	reading->offset += data->data.len;
	reading->received += data->data.len;
	if (reading->left != UINT64_MAX)
		reading->left -= data->data.len;
	if (data->data.len == 0 ||
	    reading->sink(reading->user, data->data.data, data->data.len) == 0)
		return REQUEST_MORE;
	error_set(request->error, PROVIUM_CANCELLED, 0, "%s: read: the receiver wanted no more",
		  request->subject);
	return REQUEST_GIVE_UP;
}

static enum request_verdict on_data(struct request *request, const Provium__V1__Message *message)
{
	struct reading *reading = container_of(request, struct reading, request);

	switch (message->body_case) {
	case PROVIUM__V1__MESSAGE__BODY_FILE_DATA:
		return take_data(reading, message->file_data);
	case PROVIUM__V1__MESSAGE__BODY_OK:
		if (!message->ok->has_bytes || message->ok->bytes != reading->received)
			return request_broken(request,
					      "%" PRIu64 " bytes came, %" PRIu64 " were sent",
					      reading->received, message->ok->bytes);
		return REQUEST_FINAL;
	default:
		return request_unexpected(request, message);
	}
}

int file_read(struct provium_connection *connection, const char *path,
	      const struct provium_read_options *options, provium_sink_fn sink, void *user,
	      const struct deadline *deadline, uint64_t *bytes, struct provium_error *error)
{
	struct reading reading = {
		.request = { .what = "read", .subject = path, .on_message = on_data },
		.sink = sink,
		.user = user,
		.left = UINT64_MAX,
	};
	Provium__V1__ReadFile body = PROVIUM__V1__READ_FILE__INIT;
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;

	body.has_path = true;
	body.path = bytes_of(path);
	if (options && options->offset) {
		body.has_offset = true;
		body.offset = options->offset;
		reading.offset = options->offset;
	}
	if (options && options->length) {
		body.has_length = true;
		body.length = options->length;
		reading.left = options->length;
	}
	message.body_case = PROVIUM__V1__MESSAGE__BODY_READ_FILE;
	message.read_file = &body;
	if (request_call(connection, &reading.request, &message, deadline, error) < 0)
		return -1;
	if (bytes)
		*bytes = reading.received;
	return 0;
}

int provium_read_file(struct provium_connection *connection, const char *path,
		      const struct provium_read_options *options, provium_sink_fn sink, void *user,
		      int timeout_ms, uint64_t *bytes, struct provium_error *error)
{
	struct deadline deadline = deadline_after(timeout_ms);

	return file_read(connection, path, options, sink, user, &deadline, bytes, error);
}

static int collect(void *user, const void *data, size_t size)
{
	struct buffer *buffer = user;

	buffer_append(buffer, data, size);
	return buffer->failed ? -1 : 0;
}

int provium_read_file_memory(struct provium_connection *connection, const char *path, size_t limit,
			     int timeout_ms, struct provium_buffer *content,
			     struct provium_error *error)
{
	struct deadline deadline = deadline_after(timeout_ms);
	cleanup(buffer_finish) struct buffer buffer = { .limit = limit };
	/* One byte more tells a file that is too long from one that just fits. */
	struct provium_read_options options = { .length = (uint64_t)limit + 1 };

	*content = (struct provium_buffer){ 0 };
	if (file_read(connection, path, &options, collect, &buffer, &deadline, NULL, error) < 0) {
		if (buffer.failed)
			error_set(error, PROVIUM_HOST, ENOMEM, "%s: read", path);
		return -1;
	}
	if (buffer.overflown)
		return error_set(error, PROVIUM_LIMIT, 0, "%s: read: longer than %zu bytes", path,
				 limit);
	return buffer_take(&buffer, content, error);
}

/* ------------------------------------------------------------------------------------------- */
/* Writing */

struct writing {
	struct request request;
	uint64_t sent;
	/* As WRITE_ACK told last. */
	uint64_t written;
	bool last_sent;
};

static enum request_verdict on_ack(struct request *request, const Provium__V1__Message *message)
{
	struct writing *writing = container_of(request, struct writing, request);

	switch (message->body_case) {
	case PROVIUM__V1__MESSAGE__BODY_WRITE_ACK:
		if (message->write_ack->bytes < writing->written ||
		    message->write_ack->bytes > writing->sent)
			return request_broken(request, "%" PRIu64 " bytes written of %" PRIu64,
					      message->write_ack->bytes, writing->sent);
		writing->written = message->write_ack->bytes;
		return REQUEST_MORE;
	case PROVIUM__V1__MESSAGE__BODY_OK:
		if (!writing->last_sent || !message->ok->has_bytes ||
		    message->ok->bytes != writing->sent)
			return request_broken(request, "done with %" PRIu64 " bytes of %" PRIu64,
					      message->ok->bytes, writing->sent);
		return REQUEST_FINAL;
	default:
		return request_unexpected(request, message);
	}
}

/* Whether one more chunk may be sent; also where the request has ended, since then no wait helps.
 */
static bool window_open(const void *arg)
{
	const struct writing *writing = arg;

	return writing->request.state != REQUEST_IN_FLIGHT ||
	       (writing->sent - writing->written + PROVIUM_CHUNK <= PROVIUM_WRITE_WINDOW &&
		connection_queued(writing->request.connection) < PROVIUM_WRITE_WINDOW);
}

static int send_data(struct writing *writing, uint8_t *data, size_t size,
		     struct provium_error *error)
{
	Provium__V1__WriteData body = PROVIUM__V1__WRITE_DATA__INIT;
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;

	body.has_data = size > 0;
	body.data.data = data;
	body.data.len = size;
	body.has_last = size == 0;
	body.last = size == 0;
	message.has_id = true;
	message.id = writing->request.id;
	message.body_case = PROVIUM__V1__MESSAGE__BODY_WRITE_DATA;
	message.write_data = &body;
	if (connection_send(writing->request.connection, &message, false, error) < 0)
		return -1;
	writing->sent += size;
	writing->last_sent = size == 0;
	return 0;
}

/* Sends what the source has, until its end, a failure, or the request's own. */
static int send_all(struct writing *writing, provium_source_fn source, void *user,
		    const struct deadline *deadline, struct provium_error *error)
{
	const char *path = writing->request.subject;
	cleanup_free uint8_t *chunk = malloc(PROVIUM_CHUNK);

	if (!chunk)
		return error_set(error, PROVIUM_HOST, ENOMEM, "%s: write", path);
	while (!writing->last_sent) {
		ptrdiff_t size;

		if (connection_wait(writing->request.connection, window_open, writing, deadline,
				    "write", error) < 0) {
			error_prefix(error, "%s", path);
			return -1;
		}
		if (writing->request.state != REQUEST_IN_FLIGHT)
			return 0;
		size = source(user, chunk, PROVIUM_CHUNK);
		if (size < 0)
			return error_set(error, PROVIUM_HOST, (int)-size, "%s: write: its source",
					 path);
		if ((size_t)size > PROVIUM_CHUNK)
			return error_set(error, PROVIUM_INVALID, 0,
					 "%s: write: the source says %td bytes of at most %u", path,
					 size, PROVIUM_CHUNK);
		if (send_data(writing, chunk, (size_t)size, error) < 0)
			return -1;
	}
	return 0;
}

static void fill_write(const char *path, const struct provium_write_options *options,
		       Provium__V1__WriteFile *body)
{
	body->has_path = true;
	body->path = bytes_of(path);
	if (!options)
		return;
	body->has_mode = options->has_mode || options->mode;
	body->mode = options->mode;
	body->has_exclusive = options->exclusive;
	body->exclusive = options->exclusive;
	body->has_append = options->append;
	body->append = options->append;
	body->has_atomic = options->atomic;
	body->atomic = options->atomic;
	body->has_sync = options->sync;
	body->sync = options->sync;
}

int file_write(struct provium_connection *connection, const char *path,
	       const struct provium_write_options *options, provium_source_fn source, void *user,
	       const struct deadline *deadline, uint64_t *bytes, struct provium_error *error)
{
	struct provium_error failure;
	struct writing writing = {
		.request = {
			.what = "write",
			.subject = path,
			.on_message = on_ack,
			.error = &failure,
		},
	};
	Provium__V1__WriteFile body = PROVIUM__V1__WRITE_FILE__INIT;
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;

	fill_write(path, options, &body);
	message.body_case = PROVIUM__V1__MESSAGE__BODY_WRITE_FILE;
	message.write_file = &body;
	if (request_send(connection, &writing.request, &message, error) < 0)
		return -1;
	if (send_all(&writing, source, user, deadline, error) < 0 ||
	    request_wait(&writing.request, deadline, error) < 0) {
		request_abandon(&writing.request);
		return -1;
	}
	if (bytes)
		*bytes = writing.sent;
	return 0;
}

int provium_write_file(struct provium_connection *connection, const char *path,
		       const struct provium_write_options *options, provium_source_fn source,
		       void *user, int timeout_ms, uint64_t *bytes, struct provium_error *error)
{
	struct deadline deadline = deadline_after(timeout_ms);

	return file_write(connection, path, options, source, user, &deadline, bytes, error);
}

struct memory {
	const uint8_t *data;
	size_t size;
};

static ptrdiff_t from_memory(void *user, void *data, size_t size)
{
	struct memory *memory = user;
	size_t count = MIN(size, memory->size);

	/* No bytes may be at no address, of which nothing may be copied and to which nothing added.
	 */
	if (count > 0) {
		memcpy(data, memory->data, count);
		memory->data += count;
		memory->size -= count;
	}
	return (ptrdiff_t)count;
}

int provium_write_file_memory(struct provium_connection *connection, const char *path,
			      const struct provium_write_options *options, const void *data,
			      size_t size, int timeout_ms, struct provium_error *error)
{
	struct memory memory = { .data = data, .size = size };

	return provium_write_file(connection, path, options, from_memory, &memory, timeout_ms, NULL,
				  error);
}

/* ------------------------------------------------------------------------------------------- */
/* Status */

struct status_request {
	struct request request;
	struct file_status *status;
};

static enum request_verdict on_status(struct request *request, const Provium__V1__Message *message)
{
	struct file_status *status = container_of(request, struct status_request, request)->status;

	if (message->body_case != PROVIUM__V1__MESSAGE__BODY_STAT_RESULT)
		return request_unexpected(request, message);
	status->mode = message->stat_result->mode;
	status->size = message->stat_result->size;
	return REQUEST_FINAL;
}

int file_status(struct provium_connection *connection, const char *path,
		const struct deadline *deadline, struct file_status *status,
		struct provium_error *error)
{
	struct status_request status_request = {
		.request = { .what = "stat", .subject = path, .on_message = on_status },
		.status = status,
	};
	Provium__V1__Stat body = PROVIUM__V1__STAT__INIT;
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;

	body.has_path = true;
	body.path = bytes_of(path);
	message.body_case = PROVIUM__V1__MESSAGE__BODY_STAT;
	message.stat = &body;
	return request_call(connection, &status_request.request, &message, deadline, error);
}
