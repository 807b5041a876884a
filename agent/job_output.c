#include "job_output.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <unistd.h>

#include "agent/fds.h"
#include "agent/log.h"
#include "common/cleanup.h"
#include "common/util.h"

/* Since Linux 6.3, which has something to say in its log where it is missing. */
#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8U
#endif

void job_output_init(struct job_output *output, uint64_t keep, uint64_t limit, uint64_t *total)
{
	*output = (struct job_output){ .fd = -1, .keep = keep, .limit = limit, .total = total };
}

/* Nothing before offset is kept. */
static void drop_all(struct job_output *output, uint64_t offset)
{
	*output->total -= output->end - output->start;
	output->start = output->end = offset;
	if (output->fd >= 0 && ftruncate(output->fd, 0) < 0)
		log_error("a job's output: ftruncate: %s", strerror(errno));
}

void job_output_finish(struct job_output *output)
{
	*output->total -= output->end - output->start;
	output->fd = close_fd(output->fd);
}

void job_output_drop(struct job_output *output, uint64_t bytes)
{
	uint64_t page = getauxval(AT_PAGESZ);
	uint64_t start = output->start + bytes;
	/* Only whole pages can be given back. */
	uint64_t first = output->start - output->start % page;
	uint64_t hole = start - start % page - first;

	if (bytes >= output->end - output->start) {
		drop_all(output, output->end);
		return;
	}
	if (hole > 0 && fallocate(output->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				  (off_t)first, (off_t)hole) < 0) {
		/* A kernel without CONFIG_SHMEM: memory is bounded all the same. */
		drop_all(output, output->end);
		return;
	}
	output->start = start;
	*output->total -= bytes;
}

static bool write_all(struct job_output *output, const uint8_t *data, size_t size, uint64_t offset)
{
	if (output->fd < 0) {
		int fd = memfd_create("provium-job", MFD_CLOEXEC | MFD_NOEXEC_SEAL);

		if (fd < 0 && errno == EINVAL)
			fd = memfd_create("provium-job", MFD_CLOEXEC);
		output->fd = fd_raise(fd);
	}
	while (output->fd >= 0 && size > 0) {
		ssize_t count = pwrite(output->fd, data, size, (off_t)offset);

		if (count <= 0)
			return false;
		data += count;
		size -= (size_t)count;
		offset += (uint64_t)count;
	}
	return output->fd >= 0;
}

void job_output_add(struct job_output *output, const uint8_t *data, size_t size)
{
	uint64_t offset = output->bytes;
	uint64_t room = offset < output->limit ? output->limit - offset : 0;
	uint64_t kept = output->end - output->start;

	output->bytes += size;
	size = (size_t)MIN(room, (uint64_t)size);
	if (size == 0)
		return;
	if (size >= output->keep) {
		uint64_t passed = size - output->keep;

		drop_all(output, offset + passed);
		data += passed;
		size = (size_t)output->keep;
		offset += passed;
	} else if (kept + size > output->keep) {
		job_output_drop(output, kept + size - output->keep);
	}
	if (size == 0)
		return;
	if (!write_all(output, data, size, offset)) {
		log_error("a job's output is not kept: %s", strerror(errno));
		/* What is kept has no gaps. */
		drop_all(output, offset + size);
		return;
	}
	output->end = offset + size;
	*output->total += size;
}

uint64_t job_output_dropped(const struct job_output *output)
{
	return output->bytes - (output->end - output->start);
}

bool job_output_has(const struct job_output *output, uint64_t offset, uint64_t until)
{
	return MAX(offset, output->start) < MIN(until, output->end);
}

size_t job_output_read(const struct job_output *output, uint64_t *offset, uint64_t until,
		       uint8_t *data, size_t size)
{
	ssize_t count;

	if (!job_output_has(output, *offset, until))
		return 0;
	*offset = MAX(*offset, output->start);
	until = MIN(until, output->end);
	count = pread(output->fd, data, (size_t)MIN((uint64_t)size, until - *offset),
		      (off_t)*offset);
	if (count > 0)
		return (size_t)count;
	log_error("reading a job's output: %s", count < 0 ? strerror(errno) : "it is cut off");
	*offset = until;
	return 0;
}
