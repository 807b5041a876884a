#include "tests/integration/snapshot/images.h"

#include <endian.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/unit.h"

#define CLUSTER_BITS 16u
#define CLUSTER      ((uint64_t)1 << CLUSTER_BITS)

/* docs/interop/qcow2.txt of QEMU, version 3; everything is big-endian. */
struct header {
	uint32_t magic;
	uint32_t version;
	uint64_t backing_offset;
	uint32_t backing_size;
	uint32_t cluster_bits;
	uint64_t size;
	uint32_t encryption;
	uint32_t l1_size;
	uint64_t l1_offset;
	uint64_t refcounts_offset;
	uint32_t refcounts_clusters;
	uint32_t snapshots;
	uint64_t snapshots_offset;
	uint64_t incompatible;
	uint64_t compatible;
	uint64_t autoclear;
	uint32_t refcount_order;
	uint32_t header_size;
	/* The backing file's format. */
	uint32_t extension;
	uint32_t extension_size;
	char format[8];
	uint64_t no_more;
	char backing[128];
};

static void put(int fd, const void *data, size_t size, off_t at)
{
	ck_assert_int_eq(pwrite(fd, data, size, at), (ssize_t)size);
}

void image_make_raw(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, IMAGE_SIZE), 0);
	put(fd, text, strlen(text), 0);
	close(fd);
}

/* Cluster 0 is the header, 1 the table of refcounts, 2 those, 3 the first level of the map. */
void image_make_overlay(const char *path, const char *backing)
{
	struct header header = {
		.magic = htobe32(0x514649fb),
		.version = htobe32(3),
		.backing_offset = htobe64(offsetof(struct header, backing)),
		.backing_size = htobe32((uint32_t)strlen(backing)),
		.cluster_bits = htobe32(CLUSTER_BITS),
		.size = htobe64(IMAGE_SIZE),
		.l1_size = htobe32(1),
		.l1_offset = htobe64(3 * CLUSTER),
		.refcounts_offset = htobe64(CLUSTER),
		.refcounts_clusters = htobe32(1),
		.refcount_order = htobe32(4),
		.header_size = htobe32(offsetof(struct header, extension)),
		.extension = htobe32(0xe2792aca),
		.extension_size = htobe32(3),
		.format = "raw",
	};
	const uint64_t table = htobe64(2 * CLUSTER);
	const uint16_t counts[4] = { htobe16(1), htobe16(1), htobe16(1), htobe16(1) };
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	ck_assert_int_ge(fd, 0);
	ck_assert_uint_lt(strlen(backing), sizeof(header.backing));
	memcpy(header.backing, backing, strlen(backing));
	ck_assert_int_eq(ftruncate(fd, 4 * CLUSTER), 0);
	put(fd, &header, sizeof(header), 0);
	put(fd, &table, sizeof(table), CLUSTER);
	put(fd, counts, sizeof(counts), 2 * CLUSTER);
	close(fd);
}
