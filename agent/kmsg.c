/*
 * Theory of operation.
 *
 * Reading is one system call where nothing has come, and is therefore done before each final reply.
 * A block of the log that has ended is an event at the end of the reading, when the taint mask is
 * read as well: the kernel sets it after it has printed a warning, so that the event of a warning
 * waits for that, for a moment. A timer ends that moment, ends a block whose last line does not
 * come, and looks again at a mask that is about to change: the kernel tells that before it does it.
 *
 * Events are sent at once, to each connection that reads what it is sent. They are kept for the
 * others, and for the connection that comes next where there is none: after an oops in a system
 * call the host connects anew, and the next server has read what the kernel said.
 */
#include "agent/kmsg.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "agent/connection.h"
#include "agent/fds.h"
#include "agent/loop.h"
#include "agent/os.h"
#include "agent/reply.h"
#include "agent/server.h"
#include "agent/session.h"
#include "agent/shared.h"
#include "agent/splat.h"
#include "agent/text.h"
#include "agent/timer.h"
#include "agent/watch.h"
#include "common/cleanup.h"
#include "common/util.h"

#define KIND(name)  PROVIUM__V1__KERNEL_EVENT_KIND__KERNEL_##name

/* Records that are read at once: the kernel may print faster than we read. */
#define MAX_RECORDS 2000

/* Milliseconds for what belongs together and comes in pieces. */
#define TIME_UP_MS  100

/* The bit of the taint mask that a warning sets (include/linux/panic.h: TAINT_WARN). */
#define TAINT_WARN  (UINT64_C(1) << 9)

/* Bytes of the line that told of a taint. */
#define MAX_REASON  200

struct kmsg_event {
	struct list link;
	uint64_t number;
	int kind;
	/* For free(3); may be NULL where length is 0. */
	char *text;
	size_t length;
	uint64_t timestamp_us;
	uint64_t taint_before;
	uint64_t taint;
	uint64_t lost;
};

struct kmsg {
	struct loop *loop;
	struct kmsg_source *source;
	struct splat splat;
	struct watch *watch;
	/* NULL: nothing is waited for. */
	struct timer *timer;
	/* /proc/sys/kernel/tainted; -1: none. */
	int taint_fd;
	/* Links struct kmsg_event: blocks that have ended, not told yet. */
	struct list found;
	/* Links struct kmsg_event: told, and kept. */
	struct list kept;
	unsigned int kept_count;
	size_t kept_bytes;
	/* The last event that any connection has got. */
	uint64_t delivered;
	/* Records lost since the last event. */
	uint64_t lost;
	/* The kernel says that it is tainted, or is about to be, outside of any block. */
	char reason[MAX_REASON];
	uint64_t reason_us;
	bool taint_due;
	/* The request that is being handled or answered; 0: none. */
	struct session *session;
	uint32_t id;
	/* Events before it, and before the last kmsg_look. */
	uint64_t begun;
	uint64_t looked;
	/* The last event that is no call's: a watchdog of the kernel's found it. */
	uint64_t late;
};

/* ------------------------------------------------------------------------------------------- */
/* Events */

static void event_free(struct kmsg_event *event)
{
	list_remove(&event->link);
	free(event->text);
	free(event);
}

static void drop_first(struct kmsg *kmsg)
{
	struct kmsg_event *event = container_of(kmsg->kept.next, struct kmsg_event, link);

	kmsg->kept_count--;
	kmsg->kept_bytes -= event->length;
	event_free(event);
}

/* Forgets what every connection has, and what is too much. */
static void trim(struct kmsg *kmsg)
{
	uint64_t told = UINT64_MAX;
	struct session *session;

	list_for_each(session, &kmsg->loop->sessions, link)
		told = MIN(told, session->kernel_told);
	if (told == UINT64_MAX)
		told = kmsg->delivered;
	while (!list_empty(&kmsg->kept) &&
	       (container_of(kmsg->kept.next, struct kmsg_event, link)->number <= told ||
		kmsg->kept_count > KMSG_MAX_KEPT || kmsg->kept_bytes > KMSG_MAX_BYTES))
		drop_first(kmsg);
}

/* Those that are in flight, and the one that is being handled or answered. Returns how many. */
static size_t list_running(const struct kmsg *kmsg, const struct session *session,
			   uint32_t ids[SESSION_MAX_REQUESTS + 1])
{
	struct request *request;
	bool listed = session != kmsg->session;
	size_t count = 0;

	list_for_each(request, &session->requests, link) {
		if (request->code == PROVIUM__V1__MESSAGE__BODY_KERNEL_LOG)
			continue;
		ids[count++] = request->id;
		listed |= request->id == kmsg->id;
	}
	if (!listed)
		ids[count++] = kmsg->id;
	return count;
}

static void send_event(struct kmsg *kmsg, struct session *session, const struct kmsg_event *event)
{
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__KernelEvent body = PROVIUM__V1__KERNEL_EVENT__INIT;
	uint32_t ids[SESSION_MAX_REQUESTS + 1];

	body.number = event->number;
	body.kind = (Provium__V1__KernelEventKind)event->kind;
	body.text.data = (uint8_t *)event->text;
	body.text.len = event->length;
	body.timestamp_us = event->timestamp_us;
	body.taint_before = event->taint_before;
	body.taint = event->taint;
	body.requests = ids;
	body.n_requests = list_running(kmsg, session, ids);
	body.has_lost = event->lost > 0;
	body.lost = event->lost;
	message.body_case = PROVIUM__V1__MESSAGE__BODY_KERNEL_EVENT;
	message.kernel_event = &body;
	if (!reply_send(session, 0, &message))
		return;
	session->kernel_told = event->number;
	kmsg->delivered = MAX(kmsg->delivered, event->number);
}

void kmsg_catch_up(struct session *session)
{
	struct kmsg *kmsg = session->loop->kmsg;
	struct kmsg_event *event;

	if (!kmsg)
		return;
	list_for_each(event, &kmsg->kept, link)
		if (event->number > session->kernel_told &&
		    !connection_congested(session->connection))
			send_event(kmsg, session, event);
	trim(kmsg);
}

void kmsg_greet(struct session *session)
{
	struct kmsg *kmsg = session->loop->kmsg;

	if (!kmsg)
		return;
	session->kernel_told = kmsg->delivered;
	kmsg_catch_up(session);
}

/* Found by the kernel long after the cause, and by chance while a call runs. */
static bool is_late(int kind)
{
	return kind == KIND(HUNG_TASK) || kind == KIND(RCU_STALL) || kind == KIND(SOFT_LOCKUP) ||
	       kind == KIND(KMEMLEAK);
}

static void tell(struct kmsg *kmsg, struct kmsg_event *event, uint64_t taint)
{
	struct session *session;

	list_remove(&event->link);
	event->number = ++kmsg->source->events;
	if (is_late(event->kind))
		kmsg->late = event->number;
	event->taint_before = kmsg->source->taint;
	event->taint = kmsg->source->taint = taint;
	event->lost = kmsg->lost;
	kmsg->lost = 0;
	list_append(&kmsg->kept, &event->link);
	kmsg->kept_count++;
	kmsg->kept_bytes += event->length;
	list_for_each(session, &kmsg->loop->sessions, link)
		if (!connection_congested(session->connection))
			send_event(kmsg, session, event);
}

static struct kmsg_event *event_create(struct kmsg *kmsg, int kind, const char *text, size_t length,
				       uint64_t timestamp_us)
{
	struct kmsg_event *event = calloc(1, sizeof(*event));

	if (!event)
		return NULL;
	event->kind = kind;
	event->timestamp_us = timestamp_us;
	event->text = malloc(length);
	if (event->text) {
		memcpy(event->text, text, length);
		event->length = length;
	}
	list_append(&kmsg->found, &event->link);
	return event;
}

static void on_found(void *user, const struct splat *splat)
{
	event_create(user, splat->kind, splat->text ? splat->text : "", splat->length,
		     splat->timestamp_us);
}

/* ------------------------------------------------------------------------------------------- */
/* Taint */

/* As it was where it cannot be read. */
static uint64_t read_taint(const struct kmsg *kmsg)
{
	char text[32];
	const char *at = text;
	ssize_t count = os_pread(kmsg->taint_fd, text, sizeof(text) - 1, 0);
	uint64_t taint;

	if (count <= 0)
		return kmsg->source->taint;
	text[count] = '\0';
	return text_read_number(&at, &taint) ? taint : kmsg->source->taint;
}

/* Whether a warning's bit is still to come. */
static bool awaits_taint(const struct kmsg *kmsg, uint64_t taint)
{
	struct kmsg_event *event;

	if (taint & TAINT_WARN)
		return false;
	list_for_each(event, &kmsg->found, link)
		if (event->kind == KIND(WARNING) || event->kind == KIND(REFCOUNT))
			return true;
	return false;
}

static void on_time_up(void *data);

/* Later than whatever has been waited for so far. */
static void await_more(struct kmsg *kmsg)
{
	timer_stop(kmsg->timer);
	kmsg->timer = timer_start(kmsg->loop, TIME_UP_MS, on_time_up, kmsg);
}

/* Tells what has been found. time_up: nothing is waited for any longer. */
static void tell_found(struct kmsg *kmsg, bool time_up)
{
	uint64_t taint = read_taint(kmsg);

	if (!time_up && awaits_taint(kmsg, taint)) {
		await_more(kmsg);
		return;
	}
	/* With a block that is open it is part of what that tells. */
	if (list_empty(&kmsg->found) && !kmsg->splat.kind && taint != kmsg->source->taint)
		event_create(kmsg, KIND(TAINT), kmsg->reason, strlen(kmsg->reason),
			     kmsg->reason_us);
	if (taint != kmsg->source->taint || time_up)
		kmsg->taint_due = false;
	while (!list_empty(&kmsg->found))
		tell(kmsg, container_of(kmsg->found.next, struct kmsg_event, link), taint);
	trim(kmsg);
	if (!time_up && (kmsg->splat.kind || kmsg->taint_due))
		await_more(kmsg);
}

static void on_time_up(void *data)
{
	struct kmsg *kmsg = data;

	timer_stop(kmsg->timer);
	kmsg->timer = NULL;
	splat_flush(&kmsg->splat);
	tell_found(kmsg, true);
}

/* ------------------------------------------------------------------------------------------- */
/* Reading */

static void take_record(struct kmsg *kmsg, char *data, size_t size)
{
	struct kmsg_record record;

	if (!kmsg_parse(data, size, &record))
		return;
	if (record.sequence > kmsg->source->next_sequence)
		kmsg->lost += record.sequence - kmsg->source->next_sequence;
	kmsg->source->next_sequence = record.sequence + 1;
	if (!kmsg->splat.kind && text_find(record.text, "taint")) {
		size_t length = MIN(record.length, sizeof(kmsg->reason) - 1);

		memcpy(kmsg->reason, record.text, length);
		kmsg->reason[length] = '\0';
		kmsg->reason_us = record.timestamp_us;
		kmsg->taint_due = true;
	}
	splat_add(&kmsg->splat, &record);
}

static void drain(struct kmsg *kmsg)
{
	struct kmsg_source *source = kmsg->source;
	int records = 0;

	while (records < MAX_RECORDS) {
		ssize_t count = os_read(source->fd, source->record, KMSG_RECORD_SIZE);

		/* Records were overwritten; the next one's number tells how many. */
		if (count < 0 && errno == EPIPE)
			continue;
		if (count < 0 && errno == EAGAIN)
			break;
		/* No /dev/kmsg any more. */
		if (count <= 0) {
			watch_stop(kmsg->watch);
			kmsg->watch = NULL;
			break;
		}
		take_record(kmsg, source->record, (size_t)count);
		records++;
	}
	if (records > 0)
		tell_found(kmsg, false);
}

static void on_readable(void *data)
{
	drain(data);
}

uint64_t kmsg_begun(const struct loop *loop)
{
	return loop->kmsg ? loop->kmsg->begun : 0;
}

void kmsg_begin(struct session *session, uint32_t id, bool does_much)
{
	struct kmsg *kmsg = session->loop->kmsg;

	if (!kmsg)
		return;
	if (does_much)
		drain(kmsg);
	kmsg->session = session;
	kmsg->id = id;
	kmsg->begun = kmsg->looked = kmsg->source->events;
}

void kmsg_end(struct loop *loop)
{
	if (loop->kmsg)
		loop->kmsg->session = NULL;
}

/* Whether nothing but the request that is being handled may have made the kernel do something. */
static bool is_alone(const struct loop *loop)
{
	struct session *session;
	struct request *request;

	if (!list_empty(&loop->children) ||
	    (loop->config->shared && worker_count(&loop->config->shared->workers) > 0))
		return false;
	list_for_each(session, &loop->sessions, link)
		list_for_each(request, &session->requests, link)
			if (request->code != PROVIUM__V1__MESSAGE__BODY_KERNEL_LOG)
				return false;
	return true;
}

/* The newest numbers that are greater than before. */
static size_t list_numbers(const struct kmsg *kmsg, uint64_t before, uint64_t *numbers, size_t max)
{
	size_t count = MIN(kmsg->source->events - before, (uint64_t)max);

	for (size_t i = 0; i < count; i++)
		numbers[i] = kmsg->source->events - count + 1 + i;
	return count;
}

size_t kmsg_look(struct loop *loop, uint64_t *numbers, size_t max)
{
	struct kmsg *kmsg = loop->kmsg;
	uint64_t before = kmsg->looked;

	drain(kmsg);
	kmsg->looked = kmsg->source->events;
	if (!is_alone(loop))
		return 0;
	return list_numbers(kmsg, MAX(before, kmsg->late), numbers, max);
}

size_t kmsg_final(struct session *session, uint32_t id, uint64_t *numbers)
{
	struct kmsg *kmsg = session->loop->kmsg;
	struct session *handled;
	uint32_t handled_id;
	uint64_t before;

	if (!kmsg)
		return 0;
	handled = kmsg->session;
	handled_id = kmsg->id;
	kmsg->session = session;
	kmsg->id = id;
	drain(kmsg);
	kmsg->session = handled;
	kmsg->id = handled_id;

	before = session->ended_id == id ? session->ended_from : kmsg->begun;
	return list_numbers(kmsg, before, numbers, KMSG_MAX_NUMBERS);
}

/* ------------------------------------------------------------------------------------------- */
/* Life */

void kmsg_start(struct loop *loop)
{
	struct kmsg *kmsg;

	if (!loop->config->kmsg)
		return;
	kmsg = calloc(1, sizeof(*kmsg));
	if (!kmsg)
		return;
	kmsg->loop = loop;
	kmsg->source = loop->config->kmsg;
	list_init(&kmsg->found);
	list_init(&kmsg->kept);
	splat_init(&kmsg->splat, on_found, kmsg);
	kmsg->delivered = kmsg->source->events;
	kmsg->taint_fd = fd_raise(loop_open_proc(loop, "sys/kernel/tainted", O_RDONLY));
	kmsg->watch = watch_start(loop, kmsg->source->fd, WATCH_READABLE, on_readable, kmsg);
	loop->kmsg = kmsg;
}

void kmsg_stop(struct loop *loop)
{
	struct kmsg *kmsg = loop->kmsg;

	if (!kmsg)
		return;
	loop->kmsg = NULL;
	watch_stop(kmsg->watch);
	timer_stop(kmsg->timer);
	splat_finish(&kmsg->splat);
	while (!list_empty(&kmsg->found))
		event_free(container_of(kmsg->found.next, struct kmsg_event, link));
	while (!list_empty(&kmsg->kept))
		drop_first(kmsg);
	close_fd(kmsg->taint_fd);
	free(kmsg);
}

struct kmsg_source *kmsg_share(int fd)
{
	struct kmsg_source *source;

	if (fd < 0)
		return NULL;
	source = mmap(NULL, sizeof(*source), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	if (source == MAP_FAILED)
		return NULL;
	/* The rest is zero, and takes no memory before it is used. */
	source->fd = fd;
	return source;
}
