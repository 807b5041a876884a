#include "pty.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "agent/fds.h"
#include "agent/loop.h"
#include "agent/os.h"
#include "common/cleanup.h"

/* Linux 4.13; the C library of the guest may not have it. */
#ifndef TIOCGPTPEER
#define TIOCGPTPEER _IO('T', 0x41)
#endif

#define FLAGS (O_RDWR | O_NOCTTY | O_CLOEXEC)

/*
 * The guest's own, so that a command finds its terminal's name in /dev/pts. Where none is mounted
 * (or nobody may open it), one of a devpts that is mounted nowhere, made when it is first needed.
 */
static int open_master(struct loop *loop)
{
	int fd = open("/dev/ptmx", FLAGS | O_NONBLOCK);
	int error = errno;

	if (fd >= 0)
		return fd;
	if (loop->devpts_fd < 0)
		loop->devpts_fd = fd_raise(os_detached("devpts"));
	if (loop->devpts_fd >= 0)
		return openat(loop->devpts_fd, "ptmx", FLAGS | O_NONBLOCK);
	errno = error;
	return -1;
}

bool pty_open(struct pty *pty, struct loop *loop, struct spawn_result *failure)
{
	const int unlocked = 0;

	*pty = (struct pty){ .master = fd_raise(open_master(loop)), .slave = -1 };
	failure->step = SPAWN_PTMX;
	if (pty->master >= 0) {
		failure->step = SPAWN_PEER;
		if (ioctl(pty->master, TIOCSPTLCK, &unlocked) == 0)
			pty->slave = ioctl(pty->master, TIOCGPTPEER, FLAGS);
	}
	if (pty->slave >= 0)
		return true;
	failure->error = errno;
	pty->master = close_fd(pty->master);
	return false;
}

int pty_resize(int master, unsigned int rows, unsigned int cols)
{
	const struct winsize size = { .ws_row = (unsigned short)rows,
				      .ws_col = (unsigned short)cols };

	return ioctl(master, TIOCSWINSZ, &size) < 0 ? errno : 0;
}

bool pty_type_eof(int master)
{
	struct termios termios;

	/* Those of the slave's side. */
	if (tcgetattr(master, &termios) < 0)
		return false;
	return termios.c_cc[VEOF] == _POSIX_VDISABLE ||
	       os_write(master, &termios.c_cc[VEOF], 1) == 1;
}
