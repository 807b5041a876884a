#include "host/cli/session/output.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdint.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/util.h"
#include "host/cli/report.h"

void output_init(struct output *output, const struct interrupts *interrupts)
{
	struct stat status;

	*output = (struct output){
		.interrupts = interrupts,
		.is_file = fstat(STDOUT_FILENO, &status) == 0 && S_ISREG(status.st_mode),
	};
}

/* False where an interrupt comes before the reader. */
static bool wait_for_reader(const struct output *output)
{
	struct pollfd fds[] = {
		{ .fd = output->interrupts->fd, .events = POLLIN },
		{ .fd = STDOUT_FILENO, .events = POLLOUT },
	};

	while (poll(fds, ARRAY_SIZE(fds), -1) < 0) {
		if (errno != EINTR && errno != EAGAIN)
			return true;
	}
	return !fds[0].revents;
}

int output_write(struct output *output, const void *data, size_t size)
{
	const uint8_t *next = data;

	while (size > 0 && !output->interrupted && !output->failure) {
		/* What poll(2) calls writable takes so much without blocking (pipe(7)). */
		size_t most = output->is_file ? size : MIN(size, (size_t)PIPE_BUF);
		ssize_t count;

		if (!wait_for_reader(output)) {
			output->interrupted = true;
			break;
		}
		count = write(STDOUT_FILENO, next, most);
		if (count >= 0) {
			next += count;
			size -= (size_t)count;
		} else if (errno != EINTR && errno != EAGAIN) {
			output->failure = errno;
		}
	}
	return size > 0 ? -1 : 0;
}

bool output_failure(const struct output *output, struct provium_error *error)
{
	if (output->interrupted)
		cli_fail(error, PROVIUM_CANCELLED, "interrupted");
	if (!output->failure)
		return false;
	errno = output->failure;
	cli_fail_errno(error, "cannot write standard output");
	return output->failure == EPIPE;
}
