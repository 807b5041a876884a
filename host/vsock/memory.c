/*
 * Guest memory.
 *
 * Every byte that this program reads or writes for the guest lies in a mapping made here, and every
 * address from the guest or the front end becomes a pointer only here. What must hold: a pointer
 * handed out together with its length lies wholly within one region; regions do not overlap in the
 * guest's address space, so an address has one meaning; a region lies wholly within its file, since
 * touching a mapping beyond the end of its file is SIGBUS.
 *
 * The last is judged when the region is mapped. A front end that shrinks the file afterwards can
 * still end this process, which serves nobody but that front end.
 */
#include "host/vsock/memory.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/util.h"

void memory_init(struct memory *memory)
{
	memset(memory, 0, sizeof(*memory));
}

void memory_finish(struct memory *memory)
{
	for (unsigned int i = 0; i < memory->count; i++)
		munmap(memory->regions[i].mapping, memory->regions[i].mapping_length);
	memory_init(memory);
}

/*
 * Offset and length of a mapping must be multiples of the page size, which on hugetlbfs is the huge
 * page's; st_blksize tells that one. Elsewhere it may be anything.
 */
static uint64_t mapping_granularity(const struct stat *status)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	uint64_t block = (uint64_t)status->st_blksize;

	return block > page && (block & (block - 1)) == 0 ? block : page;
}

static int region_check(const struct memory_region_info *info, int fd, uint64_t *granularity,
			struct reason *reason)
{
	struct stat status;

	if (info->size == 0)
		return refuse(reason, EINVAL, "memory region of size 0");
	if (info->guest_address > UINT64_MAX - info->size ||
	    info->user_address > UINT64_MAX - info->size)
		return refuse(reason, EINVAL, "memory region wraps around the address space");
	if (fstat(fd, &status) < 0)
		return refuse(reason, errno, "memory region: fstat: %s", strerror(errno));
	if (!S_ISREG(status.st_mode))
		return refuse(reason, EINVAL, "memory region is not a file");
	if (info->file_offset > UINT64_MAX - info->size ||
	    info->file_offset + info->size > (uint64_t)status.st_size)
		return refuse(reason, EINVAL, "memory region is longer than its file");

	*granularity = mapping_granularity(&status);
	return 0;
}

static int region_map(struct memory_region *region, const struct memory_region_info *info, int fd,
		      struct reason *reason)
{
	uint64_t granularity = 0, offset, length;
	void *mapping;
	int result;

	result = region_check(info, fd, &granularity, reason);
	if (result < 0)
		return result;

	offset = info->file_offset & ~(granularity - 1);
	length = info->file_offset - offset + info->size;
	if (length > SIZE_MAX - granularity)
		return refuse(reason, EFBIG, "memory region too large to map");
	length = (length + granularity - 1) & ~(granularity - 1);

	mapping = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd,
		       (off_t)offset);
	if (mapping == MAP_FAILED)
		return refuse(reason, errno, "memory region: mmap: %s", strerror(errno));

	/* A core dump of this program shall not hold the guest's memory. */
	madvise(mapping, length, MADV_DONTDUMP);

	region->info = *info;
	region->mapping = mapping;
	region->mapping_length = length;
	region->start = (uint8_t *)mapping + (info->file_offset - offset);
	return 0;
}

static bool regions_overlap(const struct memory_region_info *a, const struct memory_region_info *b)
{
	return a->guest_address < b->guest_address + b->size &&
	       b->guest_address < a->guest_address + a->size;
}

int memory_replace(struct memory *memory, const struct memory_region_info *infos, const int *fds,
		   unsigned int count, struct reason *reason)
{
	struct memory fresh;
	int result = 0;

	if (count > MEMORY_MAX_REGIONS)
		return refuse(reason, EINVAL, "%u memory regions, at most %u are possible", count,
			      MEMORY_MAX_REGIONS);

	memory_init(&fresh);
	for (unsigned int i = 0; i < count && result == 0; i++) {
		result = region_map(&fresh.regions[i], &infos[i], fds[i], reason);
		if (result < 0)
			break;
		fresh.count++;
		for (unsigned int j = 0; j < i; j++)
			if (regions_overlap(&infos[i], &infos[j]))
				result = refuse(reason, EINVAL, "memory regions overlap");
	}
	if (result < 0) {
		memory_finish(&fresh);
		return result;
	}

	memory_finish(memory);
	*memory = fresh;
	return 0;
}

void *memory_from_guest(const struct memory *memory, uint64_t address, uint64_t *length)
{
	for (unsigned int i = 0; i < memory->count; i++) {
		const struct memory_region *region = &memory->regions[i];
		uint64_t offset = address - region->info.guest_address;

		/* An address below the region wraps around to an offset beyond any size. */
		if (offset < region->info.size) {
			*length = MIN(*length, region->info.size - offset);
			return region->start + offset;
		}
	}
	return NULL;
}

void *memory_from_user(const struct memory *memory, uint64_t address, uint64_t length)
{
	for (unsigned int i = 0; i < memory->count; i++) {
		const struct memory_region *region = &memory->regions[i];
		uint64_t offset = address - region->info.user_address;

		if (offset < region->info.size && length <= region->info.size - offset)
			return region->start + offset;
	}
	return NULL;
}
