/*
 * SPAWN_WORKER, WORKER_LIST, WORKER_KILL and the event WORKER_EXITED.
 *
 * That a worker serves, and its end, are learned from the table that is shared with it and the
 * supervisor, who write an eventfd. An end is told to every connection that there is then; without
 * one it is kept for the next.
 */
#include "agent/op_worker.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "agent/loop.h"
#include "agent/ops.h"
#include "agent/reply.h"
#include "agent/server.h"
#include "agent/session.h"
#include "agent/shared.h"
#include "agent/text.h"
#include "agent/watch.h"
#include "agent/worker.h"
#include "common/cleanup.h"

struct workers {
	struct loop *loop;
	struct watch *told;
	/* Links struct spawning. */
	struct list spawnings;
	/* Links struct wait: the WORKER_KILLs that wait for an end. */
	struct list waits;
};

/* A SPAWN_WORKER whose worker does not serve yet. */
struct spawning {
	struct request request;
	struct list link;
	struct worker_entry *entry;
};

/* A WORKER_KILL. */
struct wait {
	struct request request;
	struct list link;
	uint64_t worker;
};

static struct worker_table *table_of(const struct loop *loop)
{
	return &loop->config->shared->workers;
}

static void spawning_destroy(struct spawning *spawning)
{
	list_remove(&spawning->link);
	free(spawning);
}

static void spawning_abandon(struct request *request)
{
	spawning_destroy(container_of(request, struct spawning, request));
}

static const struct request_operations spawning_operations = {
	.abandon = spawning_abandon,
};

/* NULL: none is known. */
static char *reason_of(struct worker_entry *entry)
{
	if (!entry->reason[0])
		return NULL;
	entry->reason[WORKER_REASON_SIZE - 1] = '\0';
	text_make_utf8(entry->reason, false);
	return entry->reason;
}

static void fill_started(Provium__V1__WorkerStarted *started, struct worker_entry *entry)
{
	*started = (Provium__V1__WorkerStarted)PROVIUM__V1__WORKER_STARTED__INIT;
	started->worker = entry->number;
	started->port = entry->port;
	started->pid = entry->pid;
	started->tid = entry->tid;
	started->has_kind = entry->thread;
	started->kind = PROVIUM__V1__SPAWN_WORKER__KIND__THREAD;
	started->stuck = reason_of(entry);
}

static void reply_started(struct session *session, uint32_t id, struct worker_entry *entry)
{
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__WorkerStarted started;

	fill_started(&started, entry);
	message.body_case = PROVIUM__V1__MESSAGE__BODY_WORKER_STARTED;
	message.worker_started = &started;
	reply_send(session, id, &message);
}

/* The worker has served, or has ended. */
static void reply_spawned(struct session *session, uint32_t id, struct worker_entry *entry)
{
	const char *failed = reason_of(entry);

	if (entry->served)
		reply_started(session, id, entry);
	else if (entry->start_error && failed)
		reply_os_error(session, id, failed, entry->start_error, "SPAWN_WORKER");
	else
		reply_error(session, id, ERROR_OS, "clone", ECHILD,
			    "SPAWN_WORKER: it ended before it could serve");
}

static void end_spawnings(struct workers *workers)
{
	struct spawning *spawning, *next;

	list_for_each_safe(spawning, next, &workers->spawnings, link) {
		if (spawning->entry->state == WORKER_STARTING)
			continue;
		request_end(&spawning->request);
		reply_spawned(spawning->request.session, spawning->request.id, spawning->entry);
		spawning_destroy(spawning);
	}
}

static struct spawn_attributes attributes_of(const Provium__V1__SpawnWorker *message)
{
	struct spawn_attributes attributes = {
		.has_uid = message->has_uid,
		.uid = message->uid,
		.has_gid = message->has_gid,
		.gid = message->gid,
		/* As of a command: a user comes without the agent's groups. */
		.has_groups = message->groups || message->has_uid,
	};

	if (message->groups) {
		attributes.groups = message->groups->gid;
		attributes.group_count = message->groups->n_gid;
	}
	return attributes;
}

void op_spawn_worker(struct session *session, uint32_t id, const Provium__V1__Message *message)
{
	const Provium__V1__SpawnWorker *request = message->spawn_worker;
	struct spawn_attributes attributes = attributes_of(request);
	struct spawning *spawning = calloc(1, sizeof(*spawning));
	struct worker_entry *entry = NULL;
	const char *failed;

	if (spawning)
		entry = worker_add(table_of(session->loop),
				   request->kind == PROVIUM__V1__SPAWN_WORKER__KIND__THREAD);
	if (!entry) {
		free(spawning);
		reply_error(session, id, ERROR_LIMIT, NULL, 0,
			    spawning ? "SPAWN_WORKER: %u workers are there"
				     : "SPAWN_WORKER: no memory",
			    WORKERS_MAX);
		return;
	}
	if (!worker_start(session->loop, entry, &attributes, &failed)) {
		reply_os_error(session, id, failed, errno, "SPAWN_WORKER");
		free(spawning);
		return;
	}
	spawning->entry = entry;
	list_append(&session->loop->workers->spawnings, &spawning->link);
	request_begin(&spawning->request, session, id, message->body_case, &spawning_operations);
}

void op_worker_list(struct session *session, uint32_t id, const Provium__V1__Message *request)
{
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__WorkerListResult list = PROVIUM__V1__WORKER_LIST_RESULT__INIT;
	struct room {
		Provium__V1__WorkerStarted workers[WORKERS_MAX];
		Provium__V1__WorkerStarted *pointers[WORKERS_MAX];
	} *room = malloc(sizeof(*room));
	struct worker_entry *entry = NULL;

	(void)request;
	if (!room) {
		reply_error(session, id, ERROR_LIMIT, NULL, 0, "WORKER_LIST: no memory");
		return;
	}
	while ((entry = worker_next(table_of(session->loop), entry))) {
		if (entry->state != WORKER_RUNNING)
			continue;
		fill_started(&room->workers[list.n_workers], entry);
		room->pointers[list.n_workers] = &room->workers[list.n_workers];
		list.n_workers++;
	}
	list.workers = room->pointers;
	message.body_case = PROVIUM__V1__MESSAGE__BODY_WORKER_LIST_RESULT;
	message.worker_list_result = &list;
	reply_send(session, id, &message);
	free(room);
}

static void wait_destroy(struct wait *wait)
{
	list_remove(&wait->link);
	free(wait);
}

static void wait_abandon(struct request *request)
{
	wait_destroy(container_of(request, struct wait, request));
}

static void wait_cancel(struct request *request)
{
	request_end(request);
	reply_error(request->session, request->id, ERROR_CANCELLED, NULL, 0,
		    "cancelled; the worker is killed all the same");
	wait_abandon(request);
}

static const struct request_operations wait_operations = {
	.cancel = wait_cancel,
	.abandon = wait_abandon,
};

void op_worker_kill(struct session *session, uint32_t id, const Provium__V1__Message *message)
{
	uint64_t number = message->worker_kill->worker;
	struct worker_entry *entry = worker_find(table_of(session->loop), number);
	struct wait *wait = NULL;

	if (!entry || entry->state != WORKER_RUNNING) {
		reply_error(session, id, ERROR_NOT_FOUND, NULL, 0,
			    "WORKER_KILL: there is no worker %llu", (unsigned long long)number);
		return;
	}
	wait = calloc(1, sizeof(*wait));
	if (!wait) {
		reply_error(session, id, ERROR_LIMIT, NULL, 0, "WORKER_KILL: no memory");
		return;
	}
	if (!worker_kill(session->loop, entry)) {
		reply_os_error(session, id, "kill", errno, "WORKER_KILL");
		free(wait);
		return;
	}
	wait->worker = number;
	list_append(&session->loop->workers->waits, &wait->link);
	request_begin(&wait->request, session, id, message->body_case, &wait_operations);
}

static void tell_end(struct loop *loop, struct worker_entry *entry)
{
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__WorkerExited exited = PROVIUM__V1__WORKER_EXITED__INIT;
	struct session *session;

	exited.worker = entry->number;
	exited.has_exit_code = entry->end_code == CLD_EXITED;
	exited.has_signal = !exited.has_exit_code;
	exited.exit_code = exited.signal = (uint32_t)entry->end_status;
	exited.reason = reason_of(entry);
	message.body_case = PROVIUM__V1__MESSAGE__BODY_WORKER_EXITED;
	message.worker_exited = &exited;
	list_for_each(session, &loop->sessions, link)
		reply_send(session, 0, &message);
}

/* Those who wait for this end. */
static void end_waits(struct workers *workers, uint64_t number)
{
	struct wait *wait, *next;

	list_for_each_safe(wait, next, &workers->waits, link) {
		if (wait->worker != number)
			continue;
		request_end(&wait->request);
		reply_ok(wait->request.session, wait->request.id);
		wait_destroy(wait);
	}
}

void workers_tell(struct loop *loop)
{
	struct worker_entry *entry = NULL;

	if (!loop->workers || list_empty(&loop->sessions))
		return;
	end_spawnings(loop->workers);
	while ((entry = worker_next(table_of(loop), entry))) {
		if (entry->state != WORKER_ENDED)
			continue;
		/* One that never served is nobody's; its request has been answered. */
		if (entry->served)
			tell_end(loop, entry);
		end_waits(loop->workers, entry->number);
		worker_free(loop, entry);
	}
}

static void on_told(void *data)
{
	struct workers *workers = data;
	uint64_t count;

	(void)!read(workers->loop->config->worker_event_fd, &count, sizeof(count));
	workers_tell(workers->loop);
}

bool workers_start(struct loop *loop)
{
	struct workers *workers;

	if (loop->config->role != SERVER_MAIN || !loop->config->shared)
		return true;
	workers = calloc(1, sizeof(*workers));
	if (!workers)
		return false;
	workers->loop = loop;
	list_init(&workers->spawnings);
	list_init(&workers->waits);
	workers->told =
		watch_start(loop, loop->config->worker_event_fd, WATCH_READABLE, on_told, workers);
	if (!workers->told) {
		free(workers);
		return false;
	}
	loop->workers = workers;
	return true;
}

void workers_stop(struct loop *loop)
{
	if (!loop->workers)
		return;
	watch_stop(loop->workers->told);
	free(loop->workers);
	loop->workers = NULL;
}
