/*
 * One poll loop over what interrupts, the connection, the VM behind it where it is ours, and
 * standard input, the last only while the command's window takes more. While standard output takes
 * nothing (writer.h) the loop stands still, the connection is not read, and the agent in the end
 * stops reading the command's pipes.
 *
 * What is typed into a guest's terminal is read at once, also where the guest takes none of it,
 * since the way out of a guest that hangs is typed too. It waits here until the guest takes it.
 */
#include "host/cli/session/session.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/util.h"
#include "host/cli/report.h"
#include "host/cli/session/escape.h"
#include "host/cli/session/exit_status.h"
#include "host/cli/session/raw_terminal.h"
#include "host/cli/session/writer.h"

/*
 * A terminal that another process group uses gives us nothing, and does not say when it is ours
 * again. Only where somebody types meanwhile is it asked so often.
 */
#define BACKGROUND_RETRY_MS 500

/* What may be typed while the guest takes nothing; then the keyboard is not read any more. */
#define TYPED_MAX           KIB(64)

/* How long a guest may take to hear of a new size, while nothing that is typed is looked at. */
#define RESIZE_TIMEOUT_MS   1000

static const char escape_help[] = "\r\n~.   end the session\r\n"
				  "~^Z  suspend provium\r\n"
				  "~~   type a ~\r\n";

/* The keyboard and size of a guest's terminal. */
struct console {
	struct raw_terminal terminal;
	struct escape escape;
	/* For the guest, which has not taken it yet. One byte more: a '~' may come with the rest.
	 */
	char typed[TYPED_MAX + 1];
	size_t typed_size;
	/* The end of file comes behind it. */
	bool typed_end;
	/* As the guest knows it; 0: not known. */
	unsigned int rows;
	unsigned int cols;
};

struct session {
	struct provium_connection *connection;
	struct provium_exec *exec;
	struct writer writer;
	/* NULL: the command is on pipes. */
	struct console *console;
	bool input_open;
	/* Until monotonic_ns() has reached it input is not asked for; 0: at once. */
	uint64_t input_after_ns;
	/* Its escape was typed. */
	bool ended;
};

static void cleanup_exec(struct provium_exec **exec)
{
	provium_exec_free(*exec);
}

static void on_output(void *user, enum provium_stream stream, const void *data, size_t size)
{
	struct session *session = user;

	writer_put(&session->writer, stream, data, size);
}

static int end_input(struct session *session, struct provium_error *error)
{
	session->input_open = false;
	return provium_exec_close_stdin(session->exec, error);
}

/* How many bytes have come; 0 and *end: none, now or ever; -1: they cannot be read. */
static ssize_t read_input(struct session *session, char *buffer, size_t room, bool *end,
			  struct provium_error *error)
{
	ssize_t size = read(STDIN_FILENO, buffer, room);

	*end = size == 0;
	if (size >= 0)
		return size;
	if (errno == EINTR || errno == EAGAIN)
		return 0;
	cli_fail_errno(error, "cannot read standard input");
	/* SIGTTIN is held back, so a terminal that is not ours answers so (POSIX 11.1.4). */
	if (error->os_errno != EIO || !isatty(STDIN_FILENO))
		return -1;
	session->input_after_ns = monotonic_ns() + UINT64_C(1000000) * BACKGROUND_RETRY_MS;
	return 0;
}

static int send_input(struct session *session, const char *data, size_t size,
		      struct provium_error *error)
{
	if (provium_exec_write(session->exec, data, size, PROVIUM_FOREVER, error) == 0)
		return 0;
	/* A command need not read all that it is given. */
	if (error->code == PROVIUM_GUEST && error->os_errno == EPIPE) {
		session->input_open = false;
		return 0;
	}
	return -1;
}

static int forward_input(struct session *session, struct provium_error *error)
{
	static char buffer[KIB(64)];
	size_t room = MIN(provium_exec_writable(session->exec), sizeof(buffer));
	bool end;
	ssize_t size = read_input(session, buffer, room, &end, error);

	if (size < 0)
		return -1;
	if (end)
		return end_input(session, error);
	return send_input(session, buffer, (size_t)size, error);
}

/* ------------------------------------------------------------------------------------------- */
/* A guest's terminal */

/* Where that fails the next reply or its absence will tell; the size is not worth the session. */
static void follow_size(struct session *session)
{
	struct console *console = session->console;
	unsigned int rows, cols;
	struct provium_error error;

	if (!raw_terminal_size(&rows, &cols) || provium_exec_done(session->exec) ||
	    (rows == console->rows && cols == console->cols))
		return;
	console->rows = rows;
	console->cols = cols;
	provium_exec_resize(session->exec, rows, cols, RESIZE_TIMEOUT_MS, &error);
}

static void obey(struct session *session, enum escape_action action)
{
	switch (action) {
	case ESCAPE_END:
		session->ended = true;
		break;
	case ESCAPE_SUSPEND:
		raw_terminal_suspend();
		break;
	case ESCAPE_HELP:
		if (write(STDERR_FILENO, escape_help, strlen(escape_help)) < 0)
			return;
		break;
	case ESCAPE_NONE:
		break;
	}
}

static int read_keyboard(struct session *session, struct provium_error *error)
{
	struct console *console = session->console;
	char keys[KIB(4)];
	size_t room = MIN(TYPED_MAX - console->typed_size, sizeof(keys));
	bool end;
	ssize_t size = read_input(session, keys, room, &end, error);
	size_t used = 0;

	if (size < 0)
		return -1;
	if (end) {
		session->input_open = false;
		console->typed_end = true;
	}
	while (used < (size_t)size && !session->ended) {
		enum escape_action action;

		used += escape_filter(&console->escape, keys + used, (size_t)size - used,
				      console->typed, &console->typed_size, &action);
		obey(session, action);
	}
	return 0;
}

/* What the guest takes of what was typed. */
static int send_typed(struct session *session, struct provium_error *error)
{
	struct console *console = session->console;
	size_t size = MIN(provium_exec_writable(session->exec), console->typed_size);

	if (size > 0) {
		if (send_input(session, console->typed, size, error) < 0)
			return -1;
		console->typed_size -= size;
		memmove(console->typed, console->typed + size, console->typed_size);
	}
	if (console->typed_size > 0 || !console->typed_end)
		return 0;
	console->typed_end = false;
	return end_input(session, error);
}

/* Before each turn: whether the keyboard is ours. */
static bool console_is_ours(struct session *session)
{
	if (!raw_terminal_enter())
		return false;
	follow_size(session);
	return true;
}

/* ------------------------------------------------------------------------------------------- */
/* The loop */

/* Whether a byte of input could be put anywhere. */
static bool wants_input(const struct session *session)
{
	if (!session->input_open)
		return false;
	if (session->console)
		return session->console->typed_size < TYPED_MAX;
	return provium_exec_writable(session->exec) > 0;
}

/* One turn of the loop. */
static int turn(struct session *session, struct provium_error *error)
{
	struct console *console = session->console;
	bool ours = !console || console_is_ours(session);
	bool input = wants_input(session);
	bool muted = !ours || (input && session->input_after_ns > monotonic_ns());
	bool output = provium_connection_wants_write(session->connection);
	struct pollfd fds[] = {
		{ .fd = session->writer.interrupts->fd, .events = POLLIN },
		{ .fd = provium_connection_fd(session->connection),
		  .events = (short)(POLLIN | (output ? POLLOUT : 0)) },
		{ .fd = input && !muted ? STDIN_FILENO : -1, .events = POLLIN },
		{ .fd = console ? console->terminal.signal_fd : -1, .events = POLLIN },
		{ .fd = provium_connection_vm_fd(session->connection), .events = POLLIN },
	};

	if (poll(fds, ARRAY_SIZE(fds), muted ? BACKGROUND_RETRY_MS : -1) < 0) {
		if (errno == EINTR || errno == EAGAIN)
			return 0;
		return cli_fail_errno(error, "poll");
	}
	if (fds[0].revents) {
		session->writer.interrupted = true;
		return 0;
	}
	if ((fds[1].revents || fds[4].revents) &&
	    provium_connection_dispatch(session->connection, 0, error) < 0)
		return -1;
	if (fds[3].revents)
		raw_terminal_take_signals(&console->terminal);
	if (provium_exec_done(session->exec))
		return 0;
	if (!console)
		return fds[2].revents ? forward_input(session, error) : 0;
	if (fds[2].revents && read_keyboard(session, error) < 0)
		return -1;
	return session->ended ? 0 : send_typed(session, error);
}

/* Until the command has ended, or the session. -1 and error: neither has. */
static int run_loop(struct session *session, bool *broken_pipe, struct provium_error *error)
{
	while (!provium_exec_done(session->exec) && !session->ended &&
	       !writer_stopped(&session->writer)) {
		/* The command may have ended in the turn in which the connection did. */
		if (turn(session, error) < 0 && !provium_exec_done(session->exec))
			return -1;
	}
	if (writer_stopped(&session->writer))
		return writer_error(&session->writer, broken_pipe, error);
	return 0;
}

static int run_command(struct session *session, struct provium_exec_options *command,
		       struct provium_exec_result *result, bool *broken_pipe,
		       struct provium_error *error)
{
	cleanup(cleanup_exec) struct provium_exec *exec = NULL;

	command->stdin_kind = PROVIUM_STDIN_STREAM;
	command->on_output = on_output;
	command->user = session;
	if (provium_exec_start(session->connection, command, &exec, error) < 0)
		return -1;
	session->exec = exec;
	if (run_loop(session, broken_pipe, error) < 0)
		return -1;
	if (!session->ended) {
		if (provium_exec_wait(exec, PROVIUM_FOREVER, result, error) < 0)
			return -1;
		report_cut_output(result);
		return 0;
	}
	/* Freeing it cancels the command; a guest that hangs would not answer. */
	*result = (struct provium_exec_result){ .outcome = PROVIUM_EXEC_CANCELLED };
	return 0;
}

static int run_on_terminal(struct session *session, struct provium_exec_options *command,
			   struct provium_exec_result *result, bool *broken_pipe,
			   struct provium_error *error)
{
	static struct console console;
	int rc;

	memset(&console, 0, sizeof(console));
	if (raw_terminal_init(&console.terminal, error) < 0)
		return -1;
	session->console = &console;
	command->pty = true;
	command->term = getenv("TERM");
	if (command->term && !*command->term)
		command->term = NULL;
	raw_terminal_enter();
	if (raw_terminal_size(&console.rows, &console.cols)) {
		command->rows = console.rows;
		command->cols = console.cols;
	}
	rc = run_command(session, command, result, broken_pipe, error);
	raw_terminal_finish(&console.terminal);
	if (session->ended)
		report("the session was ended by ~.");
	return rc;
}

int session_run(struct provium_connection *connection, const struct session_options *options,
		const struct interrupts *interrupts, struct provium_exec_result *result,
		bool *broken_pipe, struct provium_error *error)
{
	struct session session = { .connection = connection, .input_open = true };
	struct provium_exec_options command = options->command;

	*broken_pipe = false;
	writer_init(&session.writer, interrupts);
	provium_connection_set_cancel_fd(connection, interrupts->fd);
	if (options->tty)
		return run_on_terminal(&session, &command, result, broken_pipe, error);
	return run_command(&session, &command, result, broken_pipe, error);
}
