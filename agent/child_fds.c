#include "child_fds.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "agent/fds.h"
#include "agent/loop.h"
#include "agent/os.h"
#include "agent/pty.h"
#include "common/cleanup.h"

void child_fds_close(struct child_fds *fds)
{
	close_fd(fds->input);
	close_fd(fds->output);
	close_fd(fds->error);
	close_fd(fds->child_input);
	close_fd(fds->child_output);
	close_fd(fds->child_error);
}

/* Where a test may have closed what was below 3: the child overwrites those. */
static int above_stdio(int fd)
{
	return fd <= STDERR_FILENO ? fd_raise(fd) : fd;
}

static bool make_pipe(int *reading, int *writing)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0)
		return false;
	*reading = above_stdio(ends[0]);
	*writing = above_stdio(ends[1]);
	return true;
}

/*
 * The guest's own, as it is now, or else ours, by a low number: up to the highest of a command's
 * numbers its table of descriptors is copied and gone through (agent/spawn.c). -1: there is none.
 */
static int null_input(const struct loop *loop)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		fd = fcntl(loop->null_fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	return above_stdio(fd);
}

static bool open_pipes(struct child_fds *fds, const struct loop *loop,
		       const struct child_options *options, struct spawn_result *failure)
{
	bool made = make_pipe(&fds->output, &fds->child_output);

	failure->step = SPAWN_PIPE;
	if (made && !options->merge_stderr)
		made = make_pipe(&fds->error, &fds->child_error);
	if (made && !options->stdin_pipe)
		fds->child_input = null_input(loop);
	/* Only our end is non-blocking: the command gets a pipe as any other. */
	else if (made)
		made = make_pipe(&fds->child_input, &fds->input) &&
		       fcntl(fds->input, F_SETFL, O_NONBLOCK) == 0;
	failure->error = errno;
	return made;
}

static bool open_terminal(struct child_fds *fds, struct loop *loop,
			  const struct child_options *options, struct spawn_result *failure)
{
	const struct spawn_attributes *attributes = &options->attributes;
	struct pty pty;

	if (!pty_open(&pty, loop, failure))
		return false;
	fds->output = pty.master;
	fds->child_output = above_stdio(pty.slave);
	(void)pty_resize(pty.master, options->rows, options->cols);
	/* As a login does it: who runs in it may open it by its name. */
	if (!attributes->has_uid || os_fchown(fds->child_output, attributes->uid, (gid_t)-1) == 0)
		return true;
	failure->step = SPAWN_TTY_OWNER;
	failure->error = errno;
	return false;
}

bool child_fds_open(struct child_fds *fds, struct loop *loop, const struct child_options *options,
		    struct spawn_result *failure)
{
	*fds = (struct child_fds)CHILD_FDS_NONE;
	return options->terminal ? open_terminal(fds, loop, options, failure)
				 : open_pipes(fds, loop, options, failure);
}
