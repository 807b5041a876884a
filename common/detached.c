#include "common/detached.h"

#include <linux/mount.h>
#include <sys/syscall.h>

#include "common/cleanup.h"

/* The C library of the guest has no functions for these. */
int detached_mount(const char *fstype)
{
	cleanup_close int context = (int)syscall(SYS_fsopen, fstype, FSOPEN_CLOEXEC);

	if (context < 0 || syscall(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -1;
	return (int)syscall(SYS_fsmount, context, FSMOUNT_CLOEXEC, 0);
}
