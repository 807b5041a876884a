/*
 * The thread has the credentials of the one that makes it, and a slot in the watched page of its
 * own. It does nothing but make the calls; what is sent is sent by the loop, which an eventfd
 * wakes.
 *
 * Whoever wants it to end stops the slot: the call that is being made is interrupted, and none
 * follows. One that does not return then is the supervisor's matter, as any other (watchdog.h), so
 * that each thread ends, and what it needs can be kept until it has.
 */
#include "agent/background.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "agent/fds.h"
#include "agent/loop.h"
#include "agent/reply.h"
#include "agent/server.h"
#include "agent/session.h"
#include "agent/shared.h"
#include "agent/threads.h"
#include "agent/watch.h"
#include "common/cleanup.h"

/* Of one loop: each takes a thread. */
#define BACKGROUND_MAX 64

struct background {
	struct request request;
	struct loop *loop;
	struct call_request call;
	/* Holds the message. */
	struct decoder decoder;
	struct deadlines deadlines;
	/* What program_run returned. */
	bool ran;
	/* Its connection has ended. */
	bool abandoned;
	int done_fd;
	struct watch *done;
};

static void stop(struct background *background)
{
	const struct server_config *config = background->loop->config;

	deadline_stop(&config->shared->watch, background->deadlines.slot, config->watch_timer_fd);
}

static void background_cancel(struct request *request)
{
	stop(container_of(request, struct background, request));
}

static void background_abandon(struct request *request)
{
	struct background *background = container_of(request, struct background, request);

	background->abandoned = true;
	stop(background);
}

static const struct request_operations background_operations = {
	.cancel = background_cancel,
	.abandon = background_abandon,
};

static void destroy(struct background *background)
{
	deadlines_finish(&background->deadlines);
	watch_stop(background->done);
	close_fd(background->done_fd);
	program_finish(&background->call.program);
	decoder_finish(&background->decoder);
	background->loop->background_count--;
	free(background);
}

static void on_done(void *data)
{
	struct background *background = data;

	if (!background->abandoned) {
		request_end(&background->request);
		call_reply(background->request.session, background->request.id, &background->call,
			   background->ran);
	}
	destroy(background);
}

static void *run_thread(void *argument)
{
	struct background *background = argument;
	int done_fd = background->done_fd;
	const uint64_t one = 1;

	deadlines_move_here(&background->deadlines);
	background->ran = program_run(&background->call.program, &background->deadlines,
				      background->request.id);
	/* It may be gone with this. */
	(void)!write(done_fd, &one, sizeof(one));
	return NULL;
}

/* False: failed and errno say why. */
static bool start(struct background *background, const char **failed)
{
	const struct server_config *config = background->loop->config;

	*failed = "slot";
	errno = EAGAIN;
	if (!deadlines_init(&background->deadlines, &config->shared->watch, config->watch_timer_fd,
			    config->worker ? config->worker->number : 0))
		return false;
	*failed = "eventfd";
	background->done_fd = fd_raise(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
	if (background->done_fd < 0)
		return false;
	*failed = "epoll_ctl";
	background->done = watch_start(background->loop, background->done_fd, WATCH_READABLE,
				       on_done, background);
	errno = ENOMEM;
	if (!background->done)
		return false;
	*failed = "pthread_create";
	errno = thread_start(run_thread, background);
	return errno == 0;
}

void background_start(struct session *session, uint32_t id, const Provium__V1__Message *message,
		      struct call_request *ready)
{
	struct loop *loop = session->loop;
	struct background *background = NULL;
	const char *refused = NULL, *failed;
	int error;

	if (!loop->config->shared)
		refused = "background: this agent has no supervisor that could interrupt it";
	else if (loop->background_count >= BACKGROUND_MAX)
		refused = "background: too many programs are running";
	else
		background = calloc(1, sizeof(*background));
	if (!background) {
		reply_error(session, id, loop->config->shared ? ERROR_LIMIT : ERROR_UNSUPPORTED,
			    NULL, 0, "%s: %s", ready->name, refused ? refused : "no memory");
		program_finish(&ready->program);
		return;
	}
	background->loop = loop;
	background->done_fd = -1;
	loop->background_count++;
	call_move(&background->call, ready);
	/* The next message is decoded into another. */
	background->decoder = loop->decoder;
	decoder_init(&loop->decoder);
	request_begin(&background->request, session, id, message->body_case,
		      &background_operations);
	if (start(background, &failed))
		return;
	error = errno;
	request_end(&background->request);
	reply_os_error(session, id, failed, error, "%s: background", ready->name);
	destroy(background);
}
