/*
 * One poll loop over three descriptors: what interrupts, the connection, and standard input, the
 * last only while the command's window takes more. Standard output may be any kind of file that
 * others use too, so it is not made non-blocking: a pipe or terminal that poll(2) calls writable
 * takes PIPE_BUF bytes without blocking (pipe(7)), and no more is written at a time. While it is
 * not writable the loop stands still, the connection is not read, and the agent in the end stops
 * reading the command's pipes; an interrupt is still noticed.
 */
#include "host/cli/session.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/util.h"
#include "host/cli/report.h"

/*
 * A terminal that another process group uses gives us nothing, and does not say when it is ours
 * again. Only where somebody types meanwhile is it asked so often.
 */
#define BACKGROUND_RETRY_MS 500

struct session {
	struct provium_connection *connection;
	struct provium_exec *exec;
	const struct interrupts *interrupts;
	bool input_open;
	/* Until monotonic_ns() has reached it input is not asked for; 0: at once. */
	uint64_t input_after_ns;
	/* By stream - 1: whether write(2) takes any size without blocking. */
	bool output_is_file[2];
	/* An interrupt was seen: what still comes is dropped. */
	bool interrupted;
	/* The errno value of a write that failed, and its stream. */
	int output_errno;
	enum provium_stream output_stream;
};

static void cleanup_exec(struct provium_exec **exec)
{
	provium_exec_free(*exec);
}

static int output_fd(enum provium_stream stream)
{
	return stream == PROVIUM_STDERR ? STDERR_FILENO : STDOUT_FILENO;
}

/* Waits until fd can be written to; false where an interrupt came instead. */
static bool wait_writable(struct session *session, int fd)
{
	struct pollfd fds[] = {
		{ .fd = session->interrupts->fd, .events = POLLIN },
		{ .fd = fd, .events = POLLOUT },
	};

	while (poll(fds, ARRAY_SIZE(fds), -1) < 0) {
		if (errno != EINTR && errno != EAGAIN)
			return true;
	}
	return !fds[0].revents;
}

static void on_output(void *user, enum provium_stream stream, const void *data, size_t size)
{
	struct session *session = user;
	bool is_file = session->output_is_file[stream == PROVIUM_STDERR];
	const char *next = data;

	while (size > 0 && !session->interrupted && !session->output_errno) {
		ssize_t written;

		if (!wait_writable(session, output_fd(stream))) {
			session->interrupted = true;
			break;
		}
		written = write(output_fd(stream), next,
				is_file ? size : MIN(size, (size_t)PIPE_BUF));
		if (written >= 0) {
			next += written;
			size -= (size_t)written;
		} else if (errno != EINTR && errno != EAGAIN) {
			session->output_errno = errno;
			session->output_stream = stream;
		}
	}
}

static int end_input(struct session *session, struct provium_error *error)
{
	session->input_open = false;
	return provium_exec_close_stdin(session->exec, error);
}

static int forward_input(struct session *session, struct provium_error *error)
{
	static char buffer[KIB(64)];
	size_t room = MIN(provium_exec_writable(session->exec), sizeof(buffer));
	ssize_t size = read(STDIN_FILENO, buffer, room);

	if (size == 0)
		return end_input(session, error);
	if (size < 0) {
		if (errno == EINTR || errno == EAGAIN)
			return 0;
		cli_fail_errno(error, "cannot read standard input");
		/* SIGTTIN is held back, so a terminal that is not ours answers so (POSIX 11.1.4).
		 */
		if (error->os_errno != EIO || !isatty(STDIN_FILENO))
			return -1;
		session->input_after_ns = monotonic_ns() + UINT64_C(1000000) * BACKGROUND_RETRY_MS;
		return 0;
	}
	if (provium_exec_write(session->exec, buffer, (size_t)size, PROVIUM_FOREVER, error) == 0)
		return 0;
	/* A command need not read all that it is given. */
	if (error->code == PROVIUM_GUEST && error->os_errno == EPIPE) {
		session->input_open = false;
		return 0;
	}
	return -1;
}

/* One turn of the loop. */
static int turn(struct session *session, struct provium_error *error)
{
	bool input = session->input_open && provium_exec_writable(session->exec) > 0;
	bool muted = input && session->input_after_ns > monotonic_ns();
	bool output = provium_connection_wants_write(session->connection);
	struct pollfd fds[] = {
		{ .fd = session->interrupts->fd, .events = POLLIN },
		{ .fd = provium_connection_fd(session->connection),
		  .events = (short)(POLLIN | (output ? POLLOUT : 0)) },
		{ .fd = input && !muted ? STDIN_FILENO : -1, .events = POLLIN },
	};

	if (poll(fds, ARRAY_SIZE(fds), muted ? BACKGROUND_RETRY_MS : -1) < 0) {
		if (errno == EINTR || errno == EAGAIN)
			return 0;
		return cli_fail_errno(error, "poll");
	}
	if (fds[0].revents) {
		session->interrupted = true;
		return 0;
	}
	if (fds[1].revents && provium_connection_dispatch(session->connection, 0, error) < 0)
		return -1;
	if (fds[2].revents && !provium_exec_done(session->exec))
		return forward_input(session, error);
	return 0;
}

static bool is_regular_file(int fd)
{
	struct stat status;

	return fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
}

/* What has ended the loop before the command ended. */
static int fail_stopped(const struct session *session, bool *broken_pipe,
			struct provium_error *error)
{
	if (session->interrupted)
		return cli_fail(error, PROVIUM_CANCELLED, "interrupted");
	*broken_pipe = session->output_errno == EPIPE;
	errno = session->output_errno;
	return cli_fail_errno(error, "cannot write standard %s",
			      session->output_stream == PROVIUM_STDERR ? "error" : "output");
}

int session_run(struct provium_connection *connection, const struct session_options *options,
		const struct interrupts *interrupts, struct provium_exec_result *result,
		bool *broken_pipe, struct provium_error *error)
{
	struct session session = {
		.connection = connection,
		.interrupts = interrupts,
		.input_open = true,
		.output_is_file = { is_regular_file(STDOUT_FILENO),
				    is_regular_file(STDERR_FILENO) },
	};
	struct provium_exec_options exec_options = {
		.argv = options->argv,
		.env = options->env,
		.cwd = options->cwd,
		.stdin_kind = PROVIUM_STDIN_STREAM,
		.on_output = on_output,
		.user = &session,
	};
	cleanup(cleanup_exec) struct provium_exec *exec = NULL;

	*broken_pipe = false;
	provium_connection_set_cancel_fd(connection, interrupts->fd);
	if (provium_exec_start(connection, &exec_options, &exec, error) < 0)
		return -1;
	session.exec = exec;
	while (!provium_exec_done(exec) && !session.interrupted && !session.output_errno) {
		/* The command may have ended in the turn in which the connection did. */
		if (turn(&session, error) < 0 && !provium_exec_done(exec))
			return -1;
	}
	if (session.interrupted || session.output_errno)
		return fail_stopped(&session, broken_pipe, error);
	return provium_exec_wait(exec, PROVIUM_FOREVER, result, error);
}
