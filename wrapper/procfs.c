#include "wrapper/procfs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/detached.h"

/*
 * Where it cannot be had detached (fsopen and fsmount are since Linux 5.2) it is mounted for the
 * moment, and the directory that this may need is removed again.
 */
static int mount_for_a_moment(void)
{
	bool made = mkdir("/proc", 0555) == 0;
	int error, proc = -1;

	if (mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) == 0) {
		proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		error = errno;
		umount2("/proc", MNT_DETACH);
		errno = error;
	}
	error = errno;
	if (made)
		rmdir("/proc");
	errno = error;
	return proc;
}

int procfs(void)
{
	static int proc = -1;

	if (proc < 0)
		proc = detached_mount("proc");
	if (proc < 0)
		proc = mount_for_a_moment();
	return proc;
}

int procfs_read(const char *name, char *text, size_t size)
{
	int proc = procfs();
	cleanup_close int fd = proc < 0 ? -1 : openat(proc, name, O_RDONLY | O_CLOEXEC);
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
