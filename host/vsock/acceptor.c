#include "host/vsock/acceptor.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "common/ev_lacks.h"
#include "common/list.h"
#include "host/vsock/log.h"

/* Seconds. Out of fds or memory, nothing wakes us when there are some again. */
#define PAUSE 0.5

/* Connections that are accepted before others have their turn. */
#define TURN  64

static void acceptor_on_readable(struct ev_loop *loop, ev_io *watcher, int events)
{
	struct acceptor *acceptor = container_of(watcher, struct acceptor, watcher);

	if (ev_unwatched(loop, watcher, events))
		return;
	/* Whoever takes a socket may suspend. */
	for (int i = 0; i < TURN && ev_is_active(watcher); i++) {
		int fd = accept4(acceptor->listener.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0) {
			acceptor->accepted(acceptor->context, fd);
			continue;
		}
		if (errno == EAGAIN)
			return;
		if (errno == EINTR || errno == ECONNABORTED)
			continue;
		log_warning("accept: %s", strerror(errno));
		ev_io_stop(loop, watcher);
		ev_timer_set(&acceptor->pause, PAUSE, 0.);
		ev_timer_start(loop, &acceptor->pause);
		return;
	}
}

static void acceptor_on_pause(struct ev_loop *loop, ev_timer *watcher, int events)
{
	(void)events;
	ev_io_start(loop, &container_of(watcher, struct acceptor, pause)->watcher);
}

void acceptor_init(struct acceptor *acceptor, struct ev_loop *loop,
		   void (*accepted)(void *context, int fd), void *context)
{
	*acceptor = (struct acceptor){ .loop = loop, .accepted = accepted, .context = context };
	acceptor->listener.fd = -1;
	ev_io_init(&acceptor->watcher, acceptor_on_readable, -1, EV_READ);
	ev_timer_init(&acceptor->pause, acceptor_on_pause, PAUSE, 0.);
}

static void acceptor_start(struct acceptor *acceptor)
{
	ev_io_set(&acceptor->watcher, acceptor->listener.fd, EV_READ);
	ev_io_start(acceptor->loop, &acceptor->watcher);
}

int acceptor_listen(struct acceptor *acceptor, const char *path, struct reason *reason)
{
	int result = listener_open(&acceptor->listener, path, reason);

	if (result == 0)
		acceptor_start(acceptor);
	return result;
}

void acceptor_inherit(struct acceptor *acceptor, int fd)
{
	acceptor->listener = (struct listener){ .fd = fd };
	acceptor_start(acceptor);
}

bool acceptor_is_open(const struct acceptor *acceptor)
{
	return acceptor->listener.fd >= 0;
}

void acceptor_suspend(struct acceptor *acceptor)
{
	ev_timer_stop(acceptor->loop, &acceptor->pause);
	ev_io_stop(acceptor->loop, &acceptor->watcher);
}

void acceptor_resume(struct acceptor *acceptor)
{
	ev_io_start(acceptor->loop, &acceptor->watcher);
}

void acceptor_close(struct acceptor *acceptor)
{
	acceptor_suspend(acceptor);
	listener_close(&acceptor->listener);
}
