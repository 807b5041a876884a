/* The entries of a directory, read with getdents64(2) into a buffer of the caller's. */
#ifndef AGENT_ENTRIES_H
#define AGENT_ENTRIES_H

#include <stddef.h>
#include <stdint.h>

/* As the kernel writes it (struct linux_dirent64). */
struct entry {
	uint64_t ino;
	int64_t next_offset;
	uint16_t length;
	uint8_t type;
	char name[];
};

/* Bytes of the shortest. */
#define ENTRY_MIN 24

/* Those that have been read and not been taken; zeroed: none. */
struct entries {
	const char *at;
	const char *end;
};

/* Reads on. 1: there are some; 0: the directory's end; -1: errno. */
int entries_fill(struct entries *entries, int fd, void *room, size_t size);

/* The next one but "." and ".."; NULL: none is left. */
const struct entry *entries_next(struct entries *entries);

/* Goes past what entries_next has returned. */
void entries_take(struct entries *entries);

#endif
