#include "wait.h"

#include <errno.h>

#include "common/util.h"
#include "host/lib/error.h"

static enum wait_end timed_out(const struct wait_limits *limits, const char *what,
			       struct provium_error *error)
{
	error_set(error, PROVIUM_TIMED_OUT, 0, "%s: timed out after %d ms", what,
		  limits->deadline.timeout_ms);
	return WAIT_TIMED_OUT;
}

enum wait_end wait_fd(int fd, short events, const struct wait_limits *limits, const char *what,
		      short *revents, struct provium_error *error)
{
	const struct connection_monitor *monitor = limits->monitor;
	struct pollfd fds[] = {
		{ .fd = fd, .events = events },
		{ .fd = limits->cancel_fd, .events = POLLIN },
		{ .fd = monitor ? monitor->fd : -1, .events = POLLIN },
	};

	*revents = 0;
	while (poll(fds, ARRAY_SIZE(fds), deadline_remaining_ms(&limits->deadline)) < 0) {
		if (errno != EINTR) {
			error_set(error, PROVIUM_HOST, errno, "%s: poll", what);
			return WAIT_FAILED;
		}
	}
	*revents = fds[0].revents;

	if (monitor && fds[2].revents && monitor->check(monitor->user, error) != 0)
		return WAIT_GONE;
	if (fds[1].revents & POLLNVAL) {
		error_set(error, PROVIUM_INVALID, 0, "%s: the cancel fd %d is not open", what,
			  limits->cancel_fd);
		return WAIT_FAILED;
	}
	if (fds[1].revents) {
		error_set(error, PROVIUM_CANCELLED, 0, "%s: cancelled", what);
		return WAIT_CANCELLED;
	}
	if (deadline_passed(&limits->deadline))
		return timed_out(limits, what, error);
	return WAIT_READY;
}

enum wait_end wait_limit(const struct wait_limits *limits, const char *what,
			 struct provium_error *error)
{
	struct provium_error limit;
	enum wait_end end;
	short revents;

	/* The monitor's news that are not the end. */
	do
		end = wait_fd(-1, 0, limits, what, &revents, &limit);
	while (end == WAIT_READY);
	error_copy(error, &limit);
	return end;
}
