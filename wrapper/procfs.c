#include "wrapper/procfs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/detached.h"

static int read_below(int proc, const char *name, char *text, size_t size)
{
	cleanup_close int fd = openat(proc, name, O_RDONLY | O_CLOEXEC);
	size_t used = 0;
	ssize_t count;

	if (fd < 0)
		return -1;
	while ((count = read(fd, text + used, size - 1 - used)) > 0)
		used += (size_t)count;
	if (count < 0)
		return -1;
	if (used > 0 && text[used - 1] == '\n')
		used--;
	text[used] = '\0';
	return 0;
}

/*
 * Where procfs cannot be had detached (fsopen and fsmount are since Linux 5.2) it is mounted for
 * the moment, and the directory that this may need is removed again.
 */
int procfs_read(const char *name, char *text, size_t size)
{
	cleanup_close int detached = detached_mount("proc");
	bool made, failed;
	int error;

	if (detached >= 0 && read_below(detached, name, text, size) == 0)
		return 0;
	made = mkdir("/proc", 0555) == 0;
	failed = mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0;
	if (!failed) {
		cleanup_close int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		failed = read_below(proc, name, text, size) < 0;
	}
	error = errno;
	umount2("/proc", MNT_DETACH);
	if (made)
		rmdir("/proc");
	errno = error;
	return failed ? -1 : 0;
}
