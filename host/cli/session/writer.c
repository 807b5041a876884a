#include "host/cli/session/writer.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/util.h"
#include "host/cli/report.h"

static bool is_regular_file(int fd)
{
	struct stat status;

	return fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
}

void writer_init(struct writer *writer, const struct interrupts *interrupts)
{
	*writer = (struct writer){
		.interrupts = interrupts,
		.is_file = { is_regular_file(STDOUT_FILENO), is_regular_file(STDERR_FILENO) },
	};
}

/* Waits until fd can be written to; false where an interrupt came instead. */
static bool wait_writable(const struct writer *writer, int fd)
{
	struct pollfd fds[] = {
		{ .fd = writer->interrupts->fd, .events = POLLIN },
		{ .fd = fd, .events = POLLOUT },
	};

	while (poll(fds, ARRAY_SIZE(fds), -1) < 0) {
		if (errno != EINTR && errno != EAGAIN)
			return true;
	}
	return !fds[0].revents;
}

void writer_put(struct writer *writer, enum provium_stream stream, const void *data, size_t size)
{
	int fd = stream == PROVIUM_STDERR ? STDERR_FILENO : STDOUT_FILENO;
	bool is_file = writer->is_file[stream == PROVIUM_STDERR];
	const char *next = data;

	while (size > 0 && !writer_stopped(writer)) {
		ssize_t written;

		if (!wait_writable(writer, fd)) {
			writer->interrupted = true;
			break;
		}
		written = write(fd, next, is_file ? size : MIN(size, (size_t)PIPE_BUF));
		if (written >= 0) {
			next += written;
			size -= (size_t)written;
		} else if (errno != EINTR && errno != EAGAIN) {
			writer->failure = errno;
			writer->stream = stream;
		}
	}
}

bool writer_stopped(const struct writer *writer)
{
	return writer->interrupted || writer->failure;
}

int writer_error(const struct writer *writer, bool *broken_pipe, struct provium_error *error)
{
	if (writer->interrupted)
		return cli_fail(error, PROVIUM_CANCELLED, "interrupted");
	*broken_pipe = writer->failure == EPIPE;
	errno = writer->failure;
	return cli_fail_errno(error, "cannot write standard %s",
			      writer->stream == PROVIUM_STDERR ? "error" : "output");
}
