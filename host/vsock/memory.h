/* The guest's memory as the front end shares it: a few regions, each a mapping of an fd. */
#ifndef VSOCK_MEMORY_H
#define VSOCK_MEMORY_H

#include <stddef.h>
#include <stdint.h>

#include "host/vsock/reason.h"

/* More need VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS, which is not offered. */
#define MEMORY_MAX_REGIONS 8u

/* A region as it stands in VHOST_USER_SET_MEM_TABLE; all in bytes. */
struct memory_region_info {
	uint64_t guest_address; /* where the guest sees it: addresses in descriptors */
	uint64_t size;
	uint64_t user_address; /* where the front end has it mapped: addresses of rings */
	uint64_t file_offset;  /* where it begins in the fd */
};

struct memory_region {
	struct memory_region_info info;
	uint8_t *start; /* where it is here */
	void *mapping;  /* what munmap needs: begins at or before start */
	size_t mapping_length;
};

struct memory {
	struct memory_region regions[MEMORY_MAX_REGIONS];
	unsigned int count;
};

void memory_init(struct memory *memory);

/* Unmaps everything. */
void memory_finish(struct memory *memory);

/*
 * Replaces all regions by those described; fds[i] belongs to infos[i] and stays the caller's. When
 * one is refused the old ones stay, and the result is a negative errno with a reason.
 */
int memory_replace(struct memory *memory, const struct memory_region_info *infos, const int *fds,
		   unsigned int count, struct reason *reason);

/*
 * Where the guest's address is here, or NULL where there is no memory. *length, which must not be
 * 0, is cut to what is contiguous here: a buffer may cross into the next region.
 */
void *memory_from_guest(const struct memory *memory, uint64_t address, uint64_t *length);

/* Where length bytes at an address of the front end are here, or NULL unless all of them are. */
void *memory_from_user(const struct memory *memory, uint64_t address, uint64_t length);

#endif
