/* Ending the guest. */
#ifndef AGENT_POWER_H
#define AGENT_POWER_H

#include <stdbool.h>

/* The numbers of Shutdown.Mode in proto/provium.proto. */
enum power_mode {
	POWER_OFF = 0,
	POWER_REBOOT = 1,
	POWER_HALT = 2,
	POWER_PANIC = 3,
};

/* sysrq_fd: an open /proc/sysrq-trigger, kept by the caller; -1: the kernel has none. */
void power_init(int sysrq_fd);

/*
 * Writes file systems back (sync), for at most sync_timeout_ms, then ends the guest. Blocks, and
 * returns only where the guest is still there: -1 and errno, EINVAL for an unknown mode, EOPNOTSUPP
 * where the kernel has no way to do it, ETIMEDOUT where it took the order and did not obey.
 */
int power_set(int mode, bool sync, unsigned int sync_timeout_ms);

#endif
