/* READ_FILE and WRITE_FILE: files of any size through bounded memory. */
#include "file.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "common/cleanup.h"
#include "host/lib/buffer.h"
#include "proto/limits.h"

int file_target(struct file_target *target, const char *path, bool has_fd, int fd,
		struct provium_error *error)
{
	*target = (struct file_target){ .has_fd = has_fd, .fd = fd };
	if (!path == !has_fd)
		return error_set(error, PROVIUM_INVALID, 0, "give either a path or a descriptor");
	if (has_fd && fd < 0)
		return error_set(error, PROVIUM_INVALID, 0, "there is no descriptor %d", fd);
	if (path) {
		target->has_path = true;
		target->path = bytes_of(path);
		target->subject = path;
	} else {
		snprintf(target->text, sizeof(target->text), "fd %d", fd);
		target->subject = target->text;
	}
	return 0;
}

/* ------------------------------------------------------------------------------------------- */
/* Reading */

static enum request_verdict stop_reading(struct file_reading *reading)
{
	struct request *request = &reading->request;

	error_set(request->error, PROVIUM_CANCELLED, 0, "%s: read: the receiver wanted no more",
		  request->subject);
	return REQUEST_GIVE_UP;
}

static enum request_verdict take_data(struct file_reading *reading,
				      const Provium__V1__FileData *data)
{
	struct request *request = &reading->request;
	uint64_t length = data->has_hole ? data->hole : data->data.len;

	if ((data->has_hole && (!reading->on_hole || data->data.len > 0)) || data->has_event)
		return request_broken(request, "a hole or an event that was not asked for");
	if (!reading->offset_known)
		reading->offset = data->offset;
	reading->offset_known = true;
	if (data->offset != reading->offset)
		return request_broken(request,
				      "data at offset %" PRIu64 " where %" PRIu64 " was next",
				      data->offset, reading->offset);
	if (length > reading->left)
		return request_broken(request, "more data than were asked for");
	/* No file is longer (off_t). */
	if (data->offset > INT64_MAX || length > INT64_MAX - data->offset)
		return request_broken(request, "%" PRIu64 " bytes at offset %" PRIu64, length,
				      data->offset);
	reading->offset += length;
	reading->received += data->data.len;
	if (reading->left != UINT64_MAX)
		reading->left -= length;
	if (length == 0)
		return REQUEST_MORE;
	if (data->has_hole)
		return reading->on_hole(reading->user, length) == 0 ? REQUEST_MORE
								    : stop_reading(reading);
	return reading->sink(reading->user, data->data.data, data->data.len) == 0
		       ? REQUEST_MORE
		       : stop_reading(reading);
}

static enum request_verdict on_data(struct request *request, const Provium__V1__Message *message)
{
	struct file_reading *reading = container_of(request, struct file_reading, request);

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

int file_read_start(struct provium_connection *connection, struct file_reading *reading,
		    const char *path, const struct provium_read_options *options,
		    provium_sink_fn sink, void *user, struct provium_error *error)
{
	static const struct provium_read_options defaults;
	struct file_target *target = &reading->target;
	Provium__V1__ReadFile body = PROVIUM__V1__READ_FILE__INIT;
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;

	options = options ? options : &defaults;
	if (file_target(target, path, options->has_fd, options->fd, error) < 0)
		return -1;
	reading->request.what = "read";
	reading->request.subject = target->subject;
	reading->request.on_message = on_data;
	reading->sink = sink;
	reading->on_hole = options->on_hole;
	reading->user = user;
	reading->offset = options->offset;
	reading->offset_known = path || options->offset || options->has_offset;
	reading->left = options->length ? options->length : UINT64_MAX;
	reading->received = 0;

	body.has_path = target->has_path;
	body.path = target->path;
	body.has_fd = target->has_fd;
	body.fd = target->fd;
	body.has_offset = options->offset || options->has_offset;
	body.offset = options->offset;
	body.has_length = options->length > 0;
	body.length = options->length;
	body.has_sparse = options->on_hole != NULL;
	body.sparse = options->on_hole != NULL;
	message.body_case = PROVIUM__V1__MESSAGE__BODY_READ_FILE;
	message.read_file = &body;
	return request_send(connection, &reading->request, &message, error);
}

int provium_read_file(struct provium_connection *connection, const char *path,
		      const struct provium_read_options *options, provium_sink_fn sink, void *user,
		      int timeout_ms, uint64_t *bytes, struct provium_error *error)
{
	struct deadline deadline = deadline_after(timeout_ms);
	struct provium_error failure;
	struct file_reading reading = { .request.error = &failure };

	if (request_room(connection, &deadline, "read", error) < 0 ||
	    file_read_start(connection, &reading, path, options, sink, user, error) < 0)
		return -1;
	if (request_wait(&reading.request, &deadline, error) < 0) {
		request_abandon(&reading.request);
		return -1;
	}
	if (bytes)
		*bytes = reading.received;
	return 0;
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
	cleanup(buffer_finish) struct buffer buffer = { .limit = limit };
	/* One byte more tells a file that is too long from one that just fits. */
	struct provium_read_options options = { .length = (uint64_t)limit + 1 };

	*content = (struct provium_buffer){ 0 };
	if (provium_read_file(connection, path, &options, collect, &buffer, timeout_ms, NULL,
			      error) < 0) {
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

static enum request_verdict on_ack(struct request *request, const Provium__V1__Message *message)
{
	struct file_writing *writing = container_of(request, struct file_writing, request);

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

static void fill_write(const struct file_target *target,
		       const struct provium_write_options *options, Provium__V1__WriteFile *body)
{
	body->has_path = target->has_path;
	body->path = target->path;
	body->has_fd = target->has_fd;
	body->fd = target->fd;
	body->has_mode = options->has_mode || options->mode;
	body->mode = options->mode;
	body->has_uid = options->has_uid;
	body->uid = options->uid;
	body->has_gid = options->has_gid;
	body->gid = options->gid;
	body->has_create = options->no_create;
	body->create = !options->no_create;
	body->has_exclusive = options->exclusive;
	body->exclusive = options->exclusive;
	body->has_append = options->append;
	body->append = options->append;
	body->has_offset = options->has_offset || options->offset;
	body->offset = options->offset;
	body->has_atomic = options->atomic;
	body->atomic = options->atomic;
	body->has_sync = options->sync;
	body->sync = options->sync;
}

int file_write_start(struct provium_connection *connection, struct file_writing *writing,
		     const char *path, const struct provium_write_options *options,
		     struct provium_error *error)
{
	static const struct provium_write_options defaults;
	Provium__V1__WriteFile body = PROVIUM__V1__WRITE_FILE__INIT;
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;

	options = options ? options : &defaults;
	if (file_target(&writing->target, path, options->has_fd, options->fd, error) < 0)
		return -1;
	writing->request.what = "write";
	writing->request.subject = writing->target.subject;
	writing->request.on_message = on_ack;
	writing->sent = 0;
	writing->written = 0;
	writing->last_sent = false;
	fill_write(&writing->target, options, &body);
	message.body_case = PROVIUM__V1__MESSAGE__BODY_WRITE_FILE;
	message.write_file = &body;
	return request_send(connection, &writing->request, &message, error);
}

int file_write_send(struct file_writing *writing, const struct file_piece *piece,
		    struct provium_error *error)
{
	Provium__V1__WriteData body = PROVIUM__V1__WRITE_DATA__INIT;
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;

	body.has_hole = piece->hole > 0;
	body.hole = piece->hole;
	body.has_data = piece->size > 0;
	body.data.data = (uint8_t *)piece->data;
	body.data.len = piece->size;
	body.has_last = piece->last;
	body.last = piece->last;
	message.has_id = true;
	message.id = writing->request.id;
	message.body_case = PROVIUM__V1__MESSAGE__BODY_WRITE_DATA;
	message.write_data = &body;
	if (connection_send(writing->request.connection, &message, false, error) < 0)
		return -1;
	writing->sent += piece->size;
	writing->last_sent = piece->last;
	return 0;
}

/* Whether one more chunk may be sent; also where the request has ended, since then no wait helps.
 */
static bool window_open(const void *arg)
{
	const struct file_writing *writing = arg;

	return writing->request.state != REQUEST_IN_FLIGHT ||
	       (file_writing_unwritten(writing) + PROVIUM_CHUNK <= PROVIUM_WRITE_WINDOW &&
		connection_queued(writing->request.connection) < PROVIUM_WRITE_WINDOW);
}

struct source {
	provium_source_fn next;
	provium_skip_fn skip;
	void *user;
};

/* Asks the source for a piece and sends it. */
static int send_piece(struct file_writing *writing, const struct source *source, uint8_t *chunk,
		      struct provium_error *error)
{
	const char *subject = writing->request.subject;
	struct file_piece piece = { .data = chunk };
	ptrdiff_t size;

	if (source->skip)
		piece.hole = source->skip(source->user);
	size = source->next(source->user, chunk, PROVIUM_CHUNK);
	if (size < 0)
		return error_set(error, PROVIUM_HOST, (int)-size, "%s: write: its source", subject);
	if ((size_t)size > PROVIUM_CHUNK)
		return error_set(error, PROVIUM_INVALID, 0,
				 "%s: write: the source says %td bytes of at most %u", subject,
				 size, PROVIUM_CHUNK);
	piece.size = (size_t)size;
	piece.last = size == 0;
	return file_write_send(writing, &piece, error);
}

/* Sends what the source has, until its end, a failure, or the request's own. */
static int send_all(struct file_writing *writing, const struct source *source,
		    const struct deadline *deadline, struct provium_error *error)
{
	cleanup_free uint8_t *chunk = malloc(PROVIUM_CHUNK);

	if (!chunk)
		return error_set(error, PROVIUM_HOST, ENOMEM, "%s: write",
				 writing->request.subject);
	while (!writing->last_sent) {
		if (connection_wait(writing->request.connection, window_open, writing, deadline,
				    "write", error) < 0) {
			error_prefix(error, "%s", writing->request.subject);
			return -1;
		}
		if (writing->request.state != REQUEST_IN_FLIGHT)
			return 0;
		if (send_piece(writing, source, chunk, error) < 0)
			return -1;
	}
	return 0;
}

int provium_write_file(struct provium_connection *connection, const char *path,
		       const struct provium_write_options *options, provium_source_fn source,
		       void *user, int timeout_ms, uint64_t *bytes, struct provium_error *error)
{
	struct deadline deadline = deadline_after(timeout_ms);
	struct source from = { source, options ? options->skip : NULL, user };
	struct provium_error failure;
	struct file_writing writing = { .request.error = &failure };

	if (file_write_start(connection, &writing, path, options, error) < 0)
		return -1;
	if (send_all(&writing, &from, &deadline, error) < 0 ||
	    request_wait(&writing.request, &deadline, error) < 0) {
		request_abandon(&writing.request);
		return -1;
	}
	if (bytes)
		*bytes = writing.sent;
	return 0;
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
