/* RELEASE_INIT, and what is known of the real init. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "agent/init.h"
#include "agent/loop.h"
#include "agent/ops.h"
#include "agent/os.h"
#include "agent/reply.h"
#include "agent/server.h"
#include "agent/session.h"
#include "agent/watch.h"
#include "common/util.h"

struct init_wait {
	struct loop *loop;
	struct watch *readable;
	/* The RELEASE_INIT that waits for it. Its session is NULL: there is none (any more). */
	struct request request;
};

struct init_state *init_share(const char *path, int status_fd, int release_fd)
{
	struct init_state *init = mmap(NULL, sizeof(*init), PROT_READ | PROT_WRITE,
				       MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (init == MAP_FAILED)
		return NULL;
	init->path = path;
	init->status_fd = status_fd;
	init->release_fd = release_fd;
	return init;
}

void init_read(struct init_state *init)
{
	ssize_t count = os_read(init->status_fd, (char *)&init->status + init->used,
				sizeof(init->status) - init->used);

	if (count > 0)
		init->used += (uint32_t)count;
	init->over = count <= 0 || init->used == sizeof(init->status);
}

bool init_failed(const struct init_state *init)
{
	return init->used == sizeof(init->status);
}

bool init_held(const struct init_state *init)
{
	return init->release_fd >= 0 && !init->released && !init->over;
}

static void abandon(struct request *request)
{
	request->session = NULL;
}

static const struct request_operations operations = {
	.abandon = abandon,
};

static void on_status(void *data)
{
	struct init_wait *wait = data;
	struct init_state *init = wait->loop->config->init;
	struct session *session = wait->request.session;

	init_read(init);
	if (!init->over)
		return;
	watch_stop(wait->readable);
	wait->readable = NULL;
	if (!session)
		return;
	request_end(&wait->request);
	if (init_failed(init))
		reply_os_error(session, wait->request.id, "execve", init->status.error,
			       "RELEASE_INIT: %.300s", init->path);
	else
		reply_ok(session, wait->request.id);
}

void op_release_init(struct session *session, uint32_t id, const Provium__V1__Message *message)
{
	struct init_wait *wait = session->loop->init_wait;
	struct init_state *init = session->loop->config->init;

	if (!wait || !init_held(init)) {
		reply_error(session, id, ERROR_UNSUPPORTED, NULL, 0,
			    "RELEASE_INIT: no init is held back: there is no provium.hold, or no "
			    "init, or it has been released");
		return;
	}
	init->released = true;
	/* A wrapper that is gone is seen by the end of what it tells. */
	(void)!os_write(init->release_fd, "", 1);
	request_begin(&wait->request, session, id, message->body_case, &operations);
}

bool init_watch(struct loop *loop)
{
	struct init_state *init = loop->config->init;
	struct init_wait *wait;

	if (!init || init->over || loop->config->role != SERVER_MAIN)
		return true;
	wait = calloc(1, sizeof(*wait));
	if (!wait)
		return false;
	wait->loop = loop;
	wait->readable = watch_start(loop, init->status_fd, WATCH_READABLE, on_status, wait);
	loop->init_wait = wait;
	return wait->readable;
}

void init_unwatch(struct loop *loop)
{
	if (!loop->init_wait)
		return;
	watch_stop(loop->init_wait->readable);
	free(loop->init_wait);
	loop->init_wait = NULL;
}
