#include "agent/guest_fds.h"

#include <fcntl.h>
#include <unistd.h>

#include "agent/fds.h"
#include "common/cleanup.h"
#include "common/detached.h"

/* A directory of ours if one is wanted and can be had, else what is at path. */
static int open_dir(bool detached, const char *fstype, const char *path)
{
	int fd = detached ? detached_mount(fstype) : -1;

	if (fd < 0)
		fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd_raise(fd);
}

void guest_fds_open(struct guest_fds *fds, bool ours)
{
	fds->proc = open_dir(ours, "proc", "/proc");
	fds->dev = open_dir(ours, "devtmpfs", "/dev");
	fds->sysrq = fds->kmsg = -1;
	if (ours) {
		fds->sysrq = guest_open_sysrq(fds);
		fds->kmsg = fd_raise(openat(fds->dev, "kmsg", O_RDWR | O_NONBLOCK | O_CLOEXEC));
	}
}

int guest_open_sysrq(const struct guest_fds *fds)
{
	return fd_raise(openat(fds->proc, "sysrq-trigger", O_WRONLY | O_CLOEXEC));
}

int guest_read_text(int dir, const char *path, char *text, int size)
{
	cleanup_close int fd = openat(dir, path, O_RDONLY | O_CLOEXEC);
	int used = 0;
	ssize_t count;

	if (fd < 0)
		return -1;
	while ((count = read(fd, text + used, (size_t)(size - 1 - used))) > 0)
		used += (int)count;
	if (count < 0)
		return -1;
	if (used > 0 && text[used - 1] == '\n')
		used--;
	text[used] = '\0';
	return used;
}
