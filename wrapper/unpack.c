#include "unpack.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <lz4.h>

#include "common/boot.h"
#include "common/cleanup.h"

/* It must not be open for writing when it is executed. */
static int write_program(const char *program, const uint8_t *data, size_t size)
{
	cleanup_close int fd = open(program, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755);

	if (fd < 0)
		return errno;
	while (size > 0) {
		ssize_t count = write(fd, data, size);

		/* None says 0; one that did would keep the first process here for ever. */
		if (count <= 0) {
			int error = count < 0 ? errno : EIO;

			unlink(program);
			return error;
		}
		data += count;
		size -= (size_t)count;
	}
	return 0;
}

static int unpack_bytes(const uint8_t *packed, size_t size, const char *program)
{
	size_t unpacked = (size_t)packed[0] | (size_t)packed[1] << 8 | (size_t)packed[2] << 16 |
			  (size_t)packed[3] << 24;
	int error = EBADMSG;
	void *place;

	if (unpacked == 0 || unpacked > BOOT_AGENT_MAX)
		return EFBIG;
	/* All pages at once: none is left out, and a fault for each takes longer. */
	place = mmap(NULL, unpacked, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (place == MAP_FAILED)
		return errno;
	if (LZ4_decompress_safe((const char *)packed + BOOT_PACKED_HEADER, place,
				(int)(size - BOOT_PACKED_HEADER), (int)unpacked) == (int)unpacked)
		error = write_program(program, place, unpacked);
	munmap(place, unpacked);
	return error;
}

int unpack(const char *packed, const char *program)
{
	cleanup_close int fd = open(packed, O_RDONLY | O_CLOEXEC);
	struct stat status;
	void *data;
	int error;

	if (fd < 0)
		return errno == ENOENT ? 0 : errno;
	if (access(program, F_OK) == 0)
		return 0;
	if (fstat(fd, &status) < 0)
		return errno;
	if (status.st_size <= BOOT_PACKED_HEADER)
		return EBADMSG;
	if (status.st_size > LZ4_COMPRESSBOUND(BOOT_AGENT_MAX))
		return EFBIG;
	data = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
	if (data == MAP_FAILED)
		return errno;
	error = unpack_bytes(data, (size_t)status.st_size, program);
	munmap(data, (size_t)status.st_size);
	return error;
}
