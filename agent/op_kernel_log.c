/*
 * KERNEL_LOG: the records of /dev/kmsg, as they are.
 *
 * Each request has the device open for itself and reads where it is. While its connection is
 * congested it does not read: the kernel keeps what it has room for, and how much was overwritten
 * by then is told with the next record.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "agent/connection.h"
#include "agent/fds.h"
#include "agent/ops.h"
#include "agent/os.h"
#include "agent/reply.h"
#include "agent/server.h"
#include "agent/splat.h"
#include "agent/watch.h"
#include "agent/work.h"
#include "common/cleanup.h"

/* A whole record, as in kmsg.c. */
#define RECORD_SIZE 8192

/* In one step. */
#define MAX_RECORDS 64

struct kernel_log {
	struct work work;
	int fd;
	struct watch *watch;
	/* A record has been read, so that the number of the next one is known. */
	bool is_counted;
	uint64_t next_sequence;
};

static void log_release(struct work *work)
{
	struct kernel_log *log = container_of(work, struct kernel_log, work);

	watch_stop(log->watch);
	close_fd(log->fd);
}

static void send_record(struct kernel_log *log, const struct kmsg_record *record)
{
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__KernelLogRecord body = PROVIUM__V1__KERNEL_LOG_RECORD__INIT;

	body.priority = record->priority;
	body.sequence = record->sequence;
	body.timestamp_us = record->timestamp_us;
	body.text.data = (uint8_t *)record->text;
	body.text.len = record->length;
	if (log->is_counted && record->sequence > log->next_sequence) {
		body.has_lost = true;
		body.lost = record->sequence - log->next_sequence;
	}
	log->is_counted = true;
	log->next_sequence = record->sequence + 1;
	message.body_case = PROVIUM__V1__MESSAGE__BODY_KERNEL_LOG_RECORD;
	message.kernel_log_record = &body;
	reply_send(log->work.request.session, log->work.request.id, &message);
}

static void on_readable(void *data)
{
	struct kernel_log *log = data;

	/* Not again and again while the connection is congested. */
	watch_stop(log->watch);
	log->watch = NULL;
	work_run(&log->work);
}

static enum work_progress await_records(struct kernel_log *log)
{
	if (!log->watch)
		log->watch = watch_start(log->work.request.session->loop, log->fd, WATCH_READABLE,
					 on_readable, log);
	errno = ENOMEM;
	log->work.failed = "epoll_ctl";
	return log->watch ? WORK_WAIT : WORK_FAILED;
}

static enum work_progress step(struct work *work)
{
	struct kernel_log *log = container_of(work, struct kernel_log, work);
	char data[RECORD_SIZE + 1];

	for (int i = 0; i < MAX_RECORDS; i++) {
		ssize_t count = os_read(log->fd, data, RECORD_SIZE);
		struct kmsg_record record;

		if (count < 0 && errno == EPIPE)
			continue;
		if (count < 0 && errno == EAGAIN)
			return await_records(log);
		work->failed = "read";
		if (count <= 0)
			return count < 0 ? WORK_FAILED : WORK_END;
		if (kmsg_parse(data, (size_t)count, &record)) {
			send_record(log, &record);
			work->count++;
		}
		if (connection_congested(work->request.session->connection))
			return WORK_WAIT;
	}
	return WORK_MORE;
}

static const struct work_operations operations = {
	.step = step,
	.release = log_release,
	.endless = true,
};

static int open_log(const struct loop *loop)
{
	int dev = loop->config->dev_fd;
	int flags = O_RDONLY | O_NONBLOCK | O_CLOEXEC;

	return fd_raise(dev >= 0 ? os_openat(dev, "kmsg", flags) : os_open("/dev/kmsg", flags, 0));
}

void op_kernel_log(struct session *session, uint32_t id, const Provium__V1__Message *message)
{
	struct kernel_log *log =
		work_create(session, id, message, &operations, sizeof(*log), strdup("/dev/kmsg"));
	const char *failed = NULL;

	if (!log)
		return;
	log->fd = open_log(session->loop);
	if (log->fd < 0)
		failed = "open";
	else if (!message->kernel_log->from_start && lseek(log->fd, 0, SEEK_END) < 0)
		failed = "lseek";
	work_start(&log->work, failed);
}
