/* READ_MEMORY: what an earlier call has mapped, or anything else of this process. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/memory.h"
#include "agent/ops.h"
#include "agent/reply.h"
#include "agent/work.h"
#include "common/list.h"
#include "common/util.h"
#include "proto/limits.h"

struct memory_read {
	struct work work;
	uint64_t address;
	uint64_t left;
};

static enum work_progress step(struct work *work)
{
	struct memory_read *read = container_of(work, struct memory_read, work);
	struct session *session = work->request.session;
	size_t size = (size_t)MIN(read->left, (uint64_t)PROVIUM_CHUNK);
	struct buffer *buffer = buffer_pool_take(&session->loop->pool);

	if (!buffer) {
		errno = ENOMEM;
		return WORK_FAILED;
	}
	if (!memory_copy(buffer->data + BULK_GAP, read->address, size)) {
		buffer_pool_give(&session->loop->pool, buffer);
		return WORK_FAILED;
	}
	reply_file_data(session, work->request.id, read->address, buffer, size);
	read->address += size;
	read->left -= size;
	work->count += size;
	return read->left > 0 ? WORK_MORE : WORK_END;
}

static void release(struct work *work)
{
	(void)work;
}

static const struct work_operations operations = {
	.step = step,
	.release = release,
	.counts_bytes = true,
};

void op_read_memory(struct session *session, uint32_t id, const Provium__V1__Message *message)
{
	const Provium__V1__ReadMemory *request = message->read_memory;
	struct memory_read *read;
	char subject[24];

	snprintf(subject, sizeof(subject), "0x%llx", (unsigned long long)request->address);
	read = work_create(session, id, message, &operations, sizeof(*read), strdup(subject));
	if (!read)
		return;
	read->work.failed = "process_vm_readv";
	read->address = request->address;
	read->left = request->length;
	work_start(&read->work, NULL);
}
