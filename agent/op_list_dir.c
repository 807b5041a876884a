/*
 * LIST_DIR.
 *
 * Each step asks the kernel for a few buffers of entries and sends each as one message, so that a
 * directory of any size takes the memory of one buffer. What a directory that changes meanwhile
 * gives is the kernel's matter: an entry that is there all the time comes once.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "agent/entries.h"
#include "agent/fds.h"
#include "agent/file.h"
#include "agent/loop.h"
#include "agent/ops.h"
#include "agent/os.h"
#include "agent/reply.h"
#include "agent/work.h"
#include "common/cleanup.h"

/* No entry takes less than ENTRY_MIN bytes. */
#define ENTRIES_MAX 256

/* Messages of a step: a small directory takes one. */
#define STEP_PAGES  4

struct dir_list {
	struct work work;
	int fd;
};

/* What a message is made of; lies in a buffer of the pool meanwhile. */
struct page {
	struct entries entries;
	char room[ENTRIES_MAX * ENTRY_MIN];
	Provium__V1__DirEntry sent[ENTRIES_MAX];
	Provium__V1__DirEntry *list[ENTRIES_MAX];
};

static_assert(sizeof(struct page) <= PROVIUM_CHUNK, "a page fits into a buffer");

static void dir_list_release(struct work *work)
{
	close_fd(container_of(work, struct dir_list, work)->fd);
}

static void send_page(struct dir_list *list, struct page *page)
{
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__DirEntries entries = PROVIUM__V1__DIR_ENTRIES__INIT;
	const struct entry *entry;

	while ((entry = entries_next(&page->entries))) {
		Provium__V1__DirEntry *sent = &page->sent[entries.n_entries];

		*sent = (Provium__V1__DirEntry)PROVIUM__V1__DIR_ENTRY__INIT;
		sent->name.data = (uint8_t *)(uintptr_t)entry->name;
		sent->name.len = strlen(entry->name);
		sent->type = entry->type;
		sent->ino = entry->ino;
		page->list[entries.n_entries++] = sent;
		entries_take(&page->entries);
	}
	if (entries.n_entries == 0)
		return;
	list->work.count += entries.n_entries;
	entries.entries = page->list;
	message.body_case = PROVIUM__V1__MESSAGE__BODY_DIR_ENTRIES;
	message.dir_entries = &entries;
	reply_send(list->work.request.session, list->work.request.id, &message);
}

static enum work_progress step(struct work *work)
{
	struct dir_list *list = container_of(work, struct dir_list, work);
	struct buffer_pool *pool = &work->request.session->loop->pool;
	struct buffer *buffer = buffer_pool_take(pool);
	struct page *page;
	int filled = 1;

	if (!buffer) {
		errno = ENOMEM;
		return WORK_FAILED;
	}
	page = (void *)(buffer->data + BULK_GAP);
	for (int i = 0; i < STEP_PAGES && filled > 0; i++) {
		filled = entries_fill(&page->entries, list->fd, page->room, sizeof(page->room));
		if (filled > 0)
			send_page(list, page);
	}
	buffer_pool_give(pool, buffer);
	return filled > 0 ? WORK_MORE : filled < 0 ? WORK_FAILED : WORK_END;
}

static const struct work_operations operations = {
	.step = step,
	.release = dir_list_release,
};

void op_list_dir(struct session *session, uint32_t id, const Provium__V1__Message *message)
{
	struct dir_list *list = work_create(session, id, message, &operations, sizeof(*list),
					    file_subject(&message->list_dir->path, -1));

	if (!list)
		return;
	list->work.failed = "getdents64";
	list->fd = fd_raise(os_open(list->work.subject, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0));
	work_start(&list->work, list->fd < 0 ? "open" : NULL);
}
