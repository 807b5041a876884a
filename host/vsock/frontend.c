/*
 * Front ends come one after the other; while one is there the next waits in the listen queue.
 *
 * A peer that connects and goes away without a message, as scripts do to see whether the socket is
 * there, is not taken for a front end, and its end not for the end of one.
 */
#include "host/vsock/frontend.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/ev_lacks.h"
#include "common/list.h"
#include "common/util.h"
#include "host/vsock/log.h"

/* Messages that are handled before others have their turn. */
#define MESSAGE_TURN 32

static void frontend_end_session(struct frontend *frontend)
{
	ev_io_stop(frontend->loop, &frontend->watcher);
	message_reader_finish(&frontend->reader);
	vhost_user_finish(&frontend->vhost_user);
	frontend->fd = close_fd(frontend->fd);
}

static void frontend_lost(struct frontend *frontend)
{
	bool spoken_to = frontend->spoken_to;

	frontend_end_session(frontend);
	frontend->spoken_to = false;
	if (acceptor_is_open(&frontend->acceptor))
		acceptor_resume(&frontend->acceptor);

	if (spoken_to || !acceptor_is_open(&frontend->acceptor)) {
		log_info("the front end is gone");
		frontend->gone(frontend->context);
	}
}

/* Reads and handles one message: 1, 0 when there is none, -ENOTCONN at the end, or another error.
 */
static int frontend_turn(struct frontend *frontend, struct reason *reason)
{
	struct vhost_user_message *message = &frontend->reader.message;
	struct vhost_user_message reply;
	int result = message_read(&frontend->reader, frontend->fd, reason);

	if (result <= 0)
		return result;
	if (!frontend->spoken_to)
		log_info("a front end has come");
	frontend->spoken_to = true;

	result = vhost_user_handle(&frontend->vhost_user, message, &reply, reason);
	if (result > 0)
		result = message_send(frontend->fd, &reply, reason);
	if (result < 0) {
		struct reason inner = *reason;

		return refuse(reason, -result, "%s: %s", vhost_user_name(message->header.request),
			      inner.text);
	}
	message_reader_next(&frontend->reader);
	return 1;
}

static void frontend_on_readable(struct ev_loop *loop, ev_io *watcher, int events)
{
	struct frontend *frontend = container_of(watcher, struct frontend, watcher);
	struct reason reason;

	if (ev_unwatched(loop, watcher, events))
		return;
	for (int i = 0; i < MESSAGE_TURN; i++) {
		int result = frontend_turn(frontend, &reason);

		if (result == 0)
			return;
		if (result < 0) {
			/* That QEMU was killed is no error of this session. */
			if (result != -ENOTCONN && result != -ECONNRESET)
				log_error("the front end's session is ended: %s", reason.text);
			frontend_lost(frontend);
			return;
		}
	}
}

static void frontend_begin(void *context, int fd)
{
	struct frontend *frontend = context;

	acceptor_suspend(&frontend->acceptor);
	frontend->fd = fd;
	message_reader_init(&frontend->reader);
	ev_io_set(&frontend->watcher, fd, EV_READ);
	ev_io_start(frontend->loop, &frontend->watcher);
}

/* --- fds of the rings, and the channel --- */

static void frontend_on_kick(struct ev_loop *loop, ev_io *watcher, int events)
{
	uint64_t count;

	if (ev_unwatched(loop, watcher, events))
		return;
	/* The rings are looked at after every turn of the loop: the kick has done its part. */
	if (read(watcher->fd, &count, sizeof(count)) == 0) {
		/* Not an eventfd but a pipe, and its end. */
		ev_io_stop(loop, watcher);
	}
}

static void frontend_watch_kick(void *context, enum device_ring index, int fd)
{
	struct frontend *frontend = context;
	ev_io *watcher = &frontend->kicks[index];

	ev_io_stop(frontend->loop, watcher);
	if (fd >= 0) {
		ev_io_set(watcher, fd, EV_READ);
		ev_io_start(frontend->loop, watcher);
	}
}

static void frontend_on_channel(struct ev_loop *loop, ev_io *watcher, int events)
{
	struct frontend *frontend = container_of(watcher, struct frontend, channel);
	char answer[256];
	ssize_t count;

	if (ev_unwatched(loop, watcher, events))
		return;
	count = recv(watcher->fd, answer, sizeof(answer), MSG_DONTWAIT);
	/* Answers to requests that were never made are nobody's. */
	if (count > 0 || (count < 0 && (errno == EAGAIN || errno == EINTR)))
		return;
	log_info("the device was taken out");
	vhost_user_unplugged(&frontend->vhost_user);
}

static void frontend_watch_channel(void *context, int fd)
{
	struct frontend *frontend = context;

	ev_io_stop(frontend->loop, &frontend->channel);
	if (fd >= 0) {
		ev_io_set(&frontend->channel, fd, EV_READ);
		ev_io_start(frontend->loop, &frontend->channel);
	}
}

static const struct vhost_user_ops frontend_vhost_user_ops = {
	.watch_kick = frontend_watch_kick,
	.watch_channel = frontend_watch_channel,
};

/* --- */

void frontend_init(struct frontend *frontend, struct ev_loop *loop, struct device *device,
		   uint64_t guest_cid, void (*gone)(void *context), void *context)
{
	*frontend = (struct frontend){
		.loop = loop, .device = device, .fd = -1, .gone = gone, .context = context
	};
	acceptor_init(&frontend->acceptor, loop, frontend_begin, frontend);
	ev_io_init(&frontend->watcher, frontend_on_readable, -1, EV_READ);
	ev_io_init(&frontend->channel, frontend_on_channel, -1, EV_READ);
	for (size_t i = 0; i < ARRAY_SIZE(frontend->kicks); i++)
		ev_io_init(&frontend->kicks[i], frontend_on_kick, -1, EV_READ);
	vhost_user_init(&frontend->vhost_user, device, guest_cid, &frontend_vhost_user_ops,
			frontend);
}

int frontend_listen(struct frontend *frontend, const char *path, struct reason *reason)
{
	return acceptor_listen(&frontend->acceptor, path, reason);
}

int frontend_inherit(struct frontend *frontend, int fd, struct reason *reason)
{
	socklen_t length = sizeof(int);
	int listening;

	if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &length) < 0)
		return refuse(reason, errno, "fd %d: %s", fd, strerror(errno));
	if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 || fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
		return refuse(reason, errno, "fd %d: fcntl: %s", fd, strerror(errno));
	if (listening)
		acceptor_inherit(&frontend->acceptor, fd);
	else
		frontend_begin(frontend, fd);
	return 0;
}

bool frontend_listens(const struct frontend *frontend)
{
	return acceptor_is_open(&frontend->acceptor);
}

void frontend_close(struct frontend *frontend)
{
	if (frontend->fd >= 0)
		frontend_end_session(frontend);
	acceptor_close(&frontend->acceptor);
}
