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

struct init_state *init_share(int status_fd)
{
	struct init_state *init = mmap(NULL, sizeof(*init), PROT_READ | PROT_WRITE,
				       MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (init == MAP_FAILED)
		return NULL;
	init->status_fd = status_fd;
	return init;
}

void init_read(struct init_state *init)
{
	const size_t first = sizeof(init->status.started_ns);
	size_t wanted = (init->used < first ? first : sizeof(init->status)) - init->used;
	ssize_t count = os_read(init->status_fd, (char *)&init->status + init->used, wanted);

	if (count > 0)
		init->used += (uint32_t)count;
	init->over = count <= 0 || init->used == sizeof(init->status);
	if (init->used == first && init->status.started_ns == 0) {
		init->waiting = true;
		init->used = 0;
	}
}

bool init_failed(const struct init_state *init)
{
	return init->used == sizeof(init->status);
}

const char *init_operation(const struct init_state *init)
{
	switch (init->status.step) {
	case BOOT_ROOT_DEVICE:
		return "root device";
	case BOOT_ROOT_MOUNT:
		return "mount";
	default:
		return "execve";
	}
}

const char *init_subject(const struct init_state *init)
{
	return init->status.step == BOOT_EXECVE ? init->path : init->root;
}

bool init_held(const struct init_state *init)
{
	return init->waiting && !init->released && !init->over;
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
		reply_os_error(session, wait->request.id, init_operation(init), init->status.error,
			       "RELEASE_INIT: %.300s", init_subject(init));
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
	(void)!os_write(init->release_fd, BOOT_RELEASE, 1);
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
