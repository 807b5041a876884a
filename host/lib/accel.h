/* Which accelerator a guest really runs on. */
#ifndef LIB_ACCEL_H
#define LIB_ACCEL_H

#include <stdbool.h>
#include <stddef.h>

#include "host/include/provium.h"

/* Under TCG a guest takes several times as long; every timeout of ours is multiplied by this. */
#define ACCEL_TCG_FACTOR 6

static inline int accel_factor(enum provium_accel accel)
{
	return accel == PROVIUM_ACCEL_KVM ? 1 : ACCEL_TCG_FACTOR;
}

/*
 * Has KVM run a tiny guest as QEMU would, in a process of its own and within half a second. True: a
 * normal guest runs. False: reason says what stands in the way, for "no KVM: REASON".
 */
bool accel_probe_kvm(char *reason, size_t size);

#endif
