#include "agent/guest_fds.h"

#include <fcntl.h>
#include <unistd.h>

#include "agent/fds.h"
#include "common/cleanup.h"
#include "common/detached.h"

static int open_dir(const char *path)
{
	return fd_raise(open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

void guest_fds_open_ours(struct guest_fds *fds, int proc)
{
	int dev = detached_mount("devtmpfs");

	fds->proc = proc;
	fds->dev = dev < 0 ? open_dir("/dev") : fd_raise(dev);
	fds->sysrq = guest_open_sysrq(fds);
	fds->kmsg = fd_raise(openat(fds->dev, "kmsg", O_RDWR | O_NONBLOCK | O_CLOEXEC));
}

void guest_fds_open(struct guest_fds *fds)
{
	fds->proc = open_dir("/proc");
	fds->dev = open_dir("/dev");
	fds->sysrq = fds->kmsg = -1;
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
