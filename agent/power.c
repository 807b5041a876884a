/*
 * Magic SysRq ends a guest at once and asks nothing of its init, its drivers' shutdown methods or
 * the caller's credentials: the fd was opened at the start, and the kernel checks no one who
 * writes. reboot(2) is for kernels without it, and for what it cannot do.
 */
#include "agent/power.h"

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <sys/reboot.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/log.h"
#include "common/cleanup.h"
#include "common/util.h"

/* "o" powers off from a work queue, a moment after the write has returned. */
#define SYSRQ_TIMEOUT_MS 3000

static int sysrq = -1;

/* 0: there is none. */
static const struct {
	char sysrq_key;
	int reboot_command;
} modes[] = {
	[POWER_OFF] = { 'o', RB_POWER_OFF },
	[POWER_REBOOT] = { 'b', RB_AUTOBOOT },
	[POWER_HALT] = { 0, RB_HALT_SYSTEM },
	[POWER_PANIC] = { 'c', 0 },
};

void power_init(int sysrq_fd)
{
	sysrq = sysrq_fd;
}

/*
 * sync(2) has no time limit, and a file system that hangs is what a test may be about. So it is
 * made by a child, which is left behind if it does not return.
 */
static void sync_bounded(unsigned int timeout_ms)
{
	cleanup_close int pidfd = -1;
	struct pollfd done;
	pid_t pid = _Fork();

	if (pid == 0) {
		sync();
		_exit(0);
	}
	if (pid < 0) {
		log_error("file systems not synced: fork: %m");
		return;
	}
	pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	done = (struct pollfd){ .fd = pidfd, .events = POLLIN };
	if (poll(&done, 1, (int)MIN(timeout_ms, (unsigned int)INT32_MAX)) == 0)
		log_warn("file systems not synced within %u ms", timeout_ms);
	else
		waitpid(pid, NULL, WNOHANG);
}

int power_set(int mode, bool sync_first, unsigned int sync_timeout_ms)
{
	if (mode < 0 || mode >= (int)ARRAY_SIZE(modes)) {
		errno = EINVAL;
		return -1;
	}
	if (sync_first)
		sync_bounded(sync_timeout_ms);

	errno = EOPNOTSUPP;
	if (modes[mode].sysrq_key && sysrq >= 0) {
		if (write(sysrq, &modes[mode].sysrq_key, 1) == 1) {
			poll(NULL, 0, SYSRQ_TIMEOUT_MS);
			errno = ETIMEDOUT;
		}
		log_warn("magic SysRq '%c': %m", modes[mode].sysrq_key);
	}
	if (modes[mode].reboot_command)
		reboot(modes[mode].reboot_command);
	return -1;
}
