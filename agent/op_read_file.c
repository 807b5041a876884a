/*
 * READ_FILE.
 *
 * A file is read a chunk at a time, straight into the buffer that is sent. What is small is done
 * within the handler; of anything longer each step reads one chunk, so that a file of any size
 * takes little memory.
 *
 * Pipes, terminals and the like are awaited. Where holes are wanted the file system is asked for
 * them; one that knows none, and a file that has no place, simply gives its data.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "agent/fds.h"
#include "agent/file.h"
#include "agent/ops.h"
#include "agent/reply.h"
#include "agent/watch.h"
#include "agent/work.h"
#include "common/util.h"

struct file_read {
	struct work work;
	struct file file;
	struct watch *watch;
	/* Bytes that are still wanted, holes included. */
	uint64_t left;
	/* Holes are told; where the data end in which file.offset lies. */
	bool sparse;
	uint64_t data_end;
};

static void file_read_release(struct work *work)
{
	struct file_read *read = container_of(work, struct file_read, work);

	watch_stop(read->watch);
	file_close(&read->file);
}

/*
 * The length of the hole at the file's place, 0 where there is none. What follows it, up to
 * data_end, is data; a hole at the end of the file has nothing behind it yet.
 */
static uint64_t find_hole(struct file_read *read)
{
	struct file *file = &read->file;
	off_t before = lseek(file->fd, 0, SEEK_CUR);
	off_t at = (off_t)file->offset;
	off_t data = lseek(file->fd, at, SEEK_DATA);
	off_t end = -1;
	uint64_t hole = 0;

	if (data >= 0)
		end = lseek(file->fd, data, SEEK_HOLE);
	else if (errno == ENXIO)
		end = data = lseek(file->fd, 0, SEEK_END);
	/* The file's end, or a file of /proc whose size says nothing: reading will tell. */
	if (data < at || end < data || end == at)
		read->sparse = false;
	else
		hole = MIN((uint64_t)(data - at), read->left);
	read->data_end = (uint64_t)end;
	if (before >= 0)
		(void)lseek(file->fd, file->placed ? before : at + (off_t)hole, SEEK_SET);
	return hole;
}

static void send_hole(struct file_read *read, uint64_t hole)
{
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__FileData data = PROVIUM__V1__FILE_DATA__INIT;

	data.offset = read->file.offset;
	data.has_hole = true;
	data.hole = hole;
	message.body_case = PROVIUM__V1__MESSAGE__BODY_FILE_DATA;
	message.file_data = &data;
	reply_send(read->work.request.session, read->work.request.id, &message);
	read->file.offset += hole;
	read->left -= hole;
}

/* Only what outlives a step needs to be out of the way. */
static void keep_open(struct file_read *read)
{
	if (!read->file.borrowed)
		read->file.fd = fd_raise(read->file.fd);
}

static void on_readable(void *data)
{
	struct file_read *read = data;

	watch_stop(read->watch);
	read->watch = NULL;
	work_run(&read->work);
}

static enum work_progress await(struct file_read *read)
{
	if (read->watch)
		return WORK_WAIT;
	keep_open(read);
	read->watch = watch_start(read->work.request.session->loop, read->file.fd, WATCH_READABLE,
				  on_readable, read);
	if (read->watch)
		return WORK_WAIT;
	errno = ENOMEM;
	return WORK_FAILED;
}

/* Fills the buffer as far as the file goes; a file of /proc gives little at a time. */
static enum work_progress fill(struct file_read *read, struct buffer *buffer, size_t *size)
{
	uint64_t wanted = MIN(read->left, (uint64_t)PROVIUM_CHUNK);

	if (read->sparse)
		wanted = MIN(wanted, read->data_end - read->file.offset);
	for (*size = 0; *size < wanted;) {
		ssize_t count = file_read(&read->file, buffer->data + BULK_GAP + *size,
					  (size_t)wanted - *size);

		if (count < 0)
			return errno == EAGAIN ? WORK_WAIT : WORK_FAILED;
		if (count == 0)
			return WORK_END;
		*size += (size_t)count;
	}
	return *size == read->left ? WORK_END : WORK_MORE;
}

static enum work_progress read_chunk(struct file_read *read)
{
	struct session *session = read->work.request.session;
	struct buffer *buffer = buffer_pool_take(&session->loop->pool);
	uint64_t offset = read->file.offset;
	enum work_progress progress;
	size_t size;
	int error;

	if (!buffer) {
		errno = ENOMEM;
		return WORK_FAILED;
	}
	progress = fill(read, buffer, &size);
	error = errno;
	if (size > 0)
		reply_file_data(session, read->work.request.id, offset, buffer, size);
	else
		buffer_pool_give(&session->loop->pool, buffer);
	read->left -= size;
	read->work.count += size;
	errno = error;
	return progress;
}

static enum work_progress step(struct work *work)
{
	struct file_read *read = container_of(work, struct file_read, work);
	enum work_progress progress;

	if (read->sparse && read->left > 0 && read->file.offset >= read->data_end) {
		uint64_t hole = find_hole(read);

		if (hole > 0) {
			send_hole(read, hole);
			return read->left > 0 ? WORK_MORE : WORK_END;
		}
	}
	progress = read_chunk(read);
	return progress == WORK_WAIT ? await(read) : progress;
}

static const struct work_operations operations = {
	.step = step,
	.release = file_read_release,
	.counts_bytes = true,
};

/* What has failed, with errno; NULL: nothing. */
static const char *open_file(struct file_read *read, const Provium__V1__ReadFile *request)
{
	const char *path = request->has_path ? read->work.subject : NULL;
	const char *failed = file_open(&read->file, path, request->fd, O_RDONLY);

	if (!failed && (request->has_fd || request->has_offset))
		failed = file_seek(&read->file, request->has_offset, request->offset);
	return failed;
}

void op_read_file(struct session *session, uint32_t id, const Provium__V1__Message *message)
{
	const Provium__V1__ReadFile *request = message->read_file;
	struct file_read *read =
		work_create(session, id, message, &operations, sizeof(*read),
			    file_subject(request->has_path ? &request->path : NULL, request->fd));

	if (!read)
		return;
	read->work.failed = "read";
	read->left = request->has_length ? request->length : UINT64_MAX;
	read->sparse = request->sparse;
	if (work_start(&read->work, open_file(read, request)))
		keep_open(read);
}
