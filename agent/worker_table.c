#include "agent/worker_table.h"

#include <signal.h>
#include <stddef.h>
#include <stdio.h>

#include "common/util.h"

struct worker_entry *worker_add(struct worker_table *table, bool thread)
{
	for (uint32_t i = 0; i < WORKERS_MAX; i++) {
		struct worker_entry *entry = &table->entries[i];
		uint32_t used = table->used, state = WORKER_FREE;

		if (!atomic_compare_exchange_strong(&entry->state, &state, WORKER_STARTING))
			continue;
		while (used <= i && !atomic_compare_exchange_weak(&table->used, &used, i + 1))
			;
		entry->number = ++table->last_number;
		entry->thread = thread;
		entry->pid = entry->tid = 0;
		entry->port = 0;
		entry->served = false;
		entry->start_error = 0;
		entry->stop_fd = entry->connection_fd = -1;
		entry->reason[0] = '\0';
		return entry;
	}
	return NULL;
}

struct worker_entry *worker_next(struct worker_table *table, struct worker_entry *previous)
{
	struct worker_entry *entry = previous ? previous + 1 : table->entries;
	struct worker_entry *end = table->entries + MIN(table->used, WORKERS_MAX);

	for (; entry < end; entry++)
		if (entry->state != WORKER_FREE)
			return entry;
	return NULL;
}

struct worker_entry *worker_find(struct worker_table *table, uint64_t number)
{
	struct worker_entry *entry = NULL;

	while ((entry = worker_next(table, entry)) && entry->number != number)
		;
	return entry;
}

unsigned int worker_count(struct worker_table *table)
{
	unsigned int count = 0;

	for (struct worker_entry *entry = NULL; (entry = worker_next(table, entry));)
		count += entry->state != WORKER_ENDED;
	return count;
}

void worker_note(struct worker_entry *entry, const char *reason)
{
	snprintf(entry->reason, sizeof(entry->reason), "%s", reason);
}

void worker_end(struct worker_entry *entry, int code, int status, const char *reason)
{
	if (!entry->reason[0])
		worker_note(entry, reason);
	entry->end_code = code;
	entry->end_status = status;
	entry->state = WORKER_ENDED;
}

bool worker_table_reaped(struct worker_table *table, pid_t process, int code, int status)
{
	bool found = false;

	for (struct worker_entry *entry = NULL; (entry = worker_next(table, entry));) {
		if (entry->pid != process || entry->state == WORKER_ENDED)
			continue;
		worker_end(entry, code, status,
			   entry->thread ? "the server whose thread it was has ended" : "");
		found = true;
	}
	return found;
}
