#include "work.h"

#include <errno.h>
#include <stdlib.h>

#include "agent/connection.h"
#include "agent/file.h"
#include "agent/reply.h"
#include "agent/rules.h"
#include "agent/turn.h"

static void destroy(struct work *work)
{
	work->operations->release(work);
	free(work->subject);
	free(work);
}

static const char *name_of(const struct work *work)
{
	return rule_of(work->request.code)->name;
}

static const char *unit_of(const struct work *work)
{
	return work->operations->counts_bytes ? "bytes" : "entries";
}

/* The final reply is to be sent. */
static void end(struct work *work)
{
	task_cancel(&work->next);
	request_end(&work->request);
}

static void succeed(struct work *work)
{
	end(work);
	if (work->operations->counts_bytes)
		reply_ok_bytes(work->request.session, work->request.id, work->count);
	else
		reply_ok(work->request.session, work->request.id);
	destroy(work);
}

static void fail(struct work *work, const char *failed)
{
	reply_os_error(work->request.session, work->request.id, failed, errno,
		       "%s: \"%.300s\" after %llu %s", name_of(work), work->subject,
		       (unsigned long long)work->count, unit_of(work));
	destroy(work);
}

static void work_cancel(struct request *request)
{
	struct work *work = container_of(request, struct work, request);

	if (work->operations->endless) {
		succeed(work);
		return;
	}
	end(work);
	reply_error(request->session, request->id, ERROR_CANCELLED, NULL, 0,
		    "%s: cancelled after %llu %s", name_of(work), (unsigned long long)work->count,
		    unit_of(work));
	destroy(work);
}

static void work_resume(struct request *request)
{
	struct work *work = container_of(request, struct work, request);

	task_schedule(&work->next, request->session->loop);
}

static void work_abandon(struct request *request)
{
	struct work *work = container_of(request, struct work, request);

	task_cancel(&work->next);
	destroy(work);
}

static const struct request_operations request_operations = {
	.cancel = work_cancel,
	.resume = work_resume,
	.abandon = work_abandon,
};

/* False: it has ended. */
static bool make_step(struct work *work)
{
	enum work_progress progress = work->operations->step(work);
	int error = errno;

	switch (progress) {
	case WORK_MORE:
		task_schedule(&work->next, work->request.session->loop);
		return true;
	case WORK_WAIT:
		return true;
	case WORK_END:
		succeed(work);
		return false;
	case WORK_FAILED:
		end(work);
		errno = error;
		fail(work, work->failed);
		return false;
	}
	return false;
}

void work_run(struct work *work)
{
	/* Goes on when that is over. */
	if (!connection_congested(work->request.session->connection))
		make_step(work);
}

static void on_next(struct task *task)
{
	work_run(container_of(task, struct work, next));
}

void *work_create(struct session *session, uint32_t id, const Provium__V1__Message *message,
		  const struct work_operations *operations, size_t size, char *subject)
{
	struct work *work = calloc(1, size);

	if (work) {
		work->request.session = session;
		work->request.id = id;
		work->request.code = message->body_case;
		work->operations = operations;
		work->subject = subject;
		if (subject)
			return work;
	}
	free(work);
	free(subject);
	reply_error(session, id, ERROR_LIMIT, NULL, 0, "%s: no memory",
		    rule_of(message->body_case)->name);
	return NULL;
}

bool work_start(struct work *work, const char *failed)
{
	struct request *request = &work->request;

	if (failed) {
		fail(work, failed);
		return false;
	}
	task_init(&work->next, on_next);
	request_begin(request, request->session, request->id, request->code, &request_operations);
	if (!work->operations->endless)
		turn_take(request);
	return make_step(work);
}
