#include "entries.h"

#include <errno.h>
#include <string.h>

#include "agent/os.h"

int entries_fill(struct entries *entries, int fd, void *room, size_t size)
{
	ssize_t count = os_list(fd, room, size);

	/* The directory itself has been removed, and so all that was in it. */
	if (count < 0 && errno == ENOENT)
		count = 0;
	entries->at = room;
	entries->end = entries->at + (count > 0 ? count : 0);
	return count > 0 ? 1 : (int)count;
}

const struct entry *entries_next(struct entries *entries)
{
	for (; entries->at < entries->end; entries_take(entries)) {
		const struct entry *entry = (const void *)entries->at;

		if (strcmp(entry->name, ".") != 0 && strcmp(entry->name, "..") != 0)
			return entry;
	}
	return NULL;
}

void entries_take(struct entries *entries)
{
	entries->at += ((const struct entry *)(const void *)entries->at)->length;
}
