/* PARTUUID= as the kernel knows it (block/partitions): from a disk's GPT, or its MBR. */
#ifndef WRAPPER_PARTUUID_H
#define WRAPPER_PARTUUID_H

#include <stdbool.h>

/*
 * Whether a disk's partition has this name: of a GPT the UUID of its entry, in either case; of an
 * MBR the disk's signature and the number, "0a1b2c3d-01". sector: the bytes of a logical sector.
 */
bool partuuid_is(int disk, unsigned int number, unsigned int sector, const char *uuid);

#endif
