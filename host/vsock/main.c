/*
 * provium-vsock: a virtio-vsock device in a process of its own.
 *
 * QEMU, the front end, owns the guest; this process shares the guest's memory and serves the
 * device's rings, and on the host's side Unix sockets stand for vsock addresses. So it needs no
 * privileges, and no context identifier that is unique on the host.
 *
 *	frontend   message   vhost_user   device   virtqueue   memory   mux   connection   host
 *	(loop)     (socket)  (no I/O) ----------------------------------------------->    (loop)
 *
 * There is one thread and one event loop. Callbacks take notice of what has happened; after each
 * turn of the loop the device moves what packets can be moved, and finished connections are freed.
 * Nothing here waits for anything else.
 */
#include <errno.h>
#include <ev.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/ev_lacks.h"
#include "common/list.h"
#include "common/util.h"
#include "host/vsock/device.h"
#include "host/vsock/frontend.h"
#include "host/vsock/host.h"
#include "host/vsock/log.h"
#include "host/vsock/mux.h"
#include "host/vsock/options.h"

#define LACK_US 10000

struct program {
	const struct options *options;
	struct ev_loop *loop;
	struct mux mux;
	struct device device;
	struct host host;
	struct frontend frontend;
	ev_signal signals[3];
	ev_io life;
	ev_timer give_back;
	bool ending;  /* the last front end is gone: what is held for the host is delivered yet */
	bool stopped; /* at once */
};

/* Nothing has been opened before that would have to be left as it was. */
static bool serving;

/*
 * What libev needs and the kernel does not give. libev would abort, since it cannot return an
 * error: where this returns it tries again. Once there are others to serve that is better than to
 * end.
 */
static void program_lacks(const char *what)
{
	if (!serving) {
		log_error("%s: %s", what, strerror(errno));
		exit(EXIT_FAILURE);
	}
	log_warning("%s: %s", what, strerror(errno));
	usleep(LACK_US);
}

static void program_on_signal(struct ev_loop *loop, ev_signal *watcher, int events)
{
	struct program *program = watcher->data;

	(void)loop;
	(void)events;
	log_info("ended by signal %d", watcher->signum);
	program->stopped = true;
}

static void program_on_life(struct ev_loop *loop, ev_io *watcher, int events)
{
	struct program *program = container_of(watcher, struct program, life);
	char bytes[64];
	ssize_t count;

	if (ev_unwatched(loop, watcher, events))
		return;
	count = read(watcher->fd, bytes, sizeof(bytes));
	if (count > 0 || (count < 0 && (errno == EAGAIN || errno == EINTR)))
		return;
	log_info("ended: whoever started this process is gone");
	program->stopped = true;
}

static void program_on_give_back(struct ev_loop *loop, ev_timer *watcher, int events)
{
	struct program *program = container_of(watcher, struct program, give_back);

	(void)loop;
	(void)events;
	device_give_back(&program->device);
}

static void program_on_frontend_gone(void *context)
{
	struct program *program = context;

	if (program->options->reconnect && frontend_listens(&program->frontend))
		return;
	program->ending = true;
	frontend_close(&program->frontend);
	host_stop_listening(&program->host);
	mux_restart(&program->mux, false);
}

static void program_watch(struct program *program)
{
	static const int numbers[ARRAY_SIZE(((struct program *)0)->signals)] = { SIGTERM, SIGINT,
										 SIGHUP };

	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		ev_signal_init(&program->signals[i], program_on_signal, numbers[i]);
		program->signals[i].data = program;
		ev_signal_start(program->loop, &program->signals[i]);
	}
	ev_init(&program->give_back, program_on_give_back);
	if (program->options->life_fd >= 0) {
		ev_io_init(&program->life, program_on_life, program->options->life_fd, EV_READ);
		ev_io_start(program->loop, &program->life);
	}
}

static int program_open(struct program *program, struct reason *reason)
{
	const struct options *options = program->options;
	int result =
		host_open(&program->host, program->loop, &program->mux, options->uds_path, reason);

	if (result < 0)
		return result;
	if (options->socket_path)
		result = frontend_listen(&program->frontend, options->socket_path, reason);
	else
		result = frontend_inherit(&program->frontend, options->socket_fd, reason);
	if (result < 0)
		host_close(&program->host);
	return result;
}

static void program_give_back_later(struct program *program)
{
	if (ev_is_active(&program->give_back))
		return;
	ev_timer_set(&program->give_back, DEVICE_WITHHOLD_MS / 1000., 0.);
	ev_timer_start(program->loop, &program->give_back);
}

static void program_run(struct program *program)
{
	bool more = false;

	while (!program->stopped && !(program->ending && mux_empty(&program->mux))) {
		/* With work left, only look at what else has come; else wait. */
		ev_run(program->loop, more ? EVRUN_NOWAIT : EVRUN_ONCE);
		more = device_process(&program->device);
		if (device_withholds(&program->device))
			program_give_back_later(program);
		mux_reap(&program->mux);
	}
}

int main(int argc, char **argv)
{
	struct options options;
	struct program *program;
	struct reason reason;
	int status = options_parse(&options, argc, argv);

	if (status >= 0)
		return status;
	log_set_level(options.log_level);
	/* Whoever can connect to the sockets reaches the guest. */
	umask(0177);
	signal(SIGPIPE, SIG_IGN);

	ev_set_allocator(ev_allocate);
	ev_set_syserr_cb(program_lacks);
	program = calloc(1, sizeof(*program));
	if (!program || !(program->loop = ev_default_loop(EVFLAG_NOENV))) {
		log_error("no memory, or no epoll");
		free(program);
		return EXIT_FAILURE;
	}
	program->options = &options;
	mux_init(&program->mux, options.guest_cid, &host_ops, &program->host);
	device_init(&program->device, &program->mux);
	frontend_init(&program->frontend, program->loop, &program->device, options.guest_cid,
		      program_on_frontend_gone, program);

	program_watch(program);
	serving = true;
	if (program_open(program, &reason) < 0) {
		log_error("%s", reason.text);
		status = EXIT_FAILURE;
	} else {
		program_run(program);
		frontend_close(&program->frontend);
		mux_finish(&program->mux);
		host_close(&program->host);
		status = EXIT_SUCCESS;
	}
	ev_loop_destroy(program->loop);
	free(program);
	return status;
}
