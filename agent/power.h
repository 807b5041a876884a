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

/*
 * Whether power_set may do anything: the wrapper started this agent, so the guest is ours, or
 * --allow-shutdown was given. To be asked before a SHUTDOWN is acknowledged.
 */
bool power_allowed(void);

/*
 * Writes file systems back (sync), for at most sync_timeout_ms, then ends the guest. Blocks for so
 * long. Returns only where it failed, -1 and errno: EPERM where power_allowed() is false, EINVAL
 * for an unknown mode, EOPNOTSUPP where the kernel has no way to do it.
 */
int power_set(int mode, bool sync, unsigned sync_timeout_ms);

#endif
