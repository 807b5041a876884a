/*
 * Recognises in the kernel's log what tells of a fault of the kernel's: a "splat", a block of lines
 * that begins with a headline of its kind and ends with a last line of its kind. Pure: takes
 * records one at a time.
 *
 * Headlines and last lines are those of Linux 5.10 to 6.12 (kernel/panic.c,
 * arch/x86/kernel/dumpstack.c, lib/bug.c, lib/ubsan.c, lib/refcount.c, mm/kasan/report.c,
 * kernel/kcsan/report.c, kernel/locking/lockdep.c, kernel/hung_task.c, kernel/rcu/tree_stall.h,
 * kernel/watchdog.c, mm/kmemleak.c). One block is open at a time. Lines of another facility than
 * its headline's (what processes write, say) are no part of it; what the kernel prints on two
 * processors at once may be mixed in it, as nothing in a record tells them apart.
 */
#ifndef AGENT_SPLAT_H
#define AGENT_SPLAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A block that is as large ends there, whatever its last line; nothing more is held in memory. */
#define SPLAT_MAX_TEXT  ((size_t)64 << 10)
#define SPLAT_MAX_LINES 1000

/* A line of '=' that may begin a block; a longer one is cut in the block's text. */
#define SPLAT_MAX_RULE  96

/* One record of /dev/kmsg. */
struct kmsg_record {
	/* Facility and level, as syslog(3) has them. */
	unsigned int priority;
	uint64_t sequence;
	uint64_t timestamp_us;
	/* Of one or more lines, without the last newline. */
	const char *text;
	size_t length;
};

struct splat {
	/* A KernelEventKind of the schema; 0: no block is open. What follows is then without
	 * meaning. */
	int kind;
	/* What ends it: enum splat_end of splat.c. */
	int end;
	unsigned int facility;
	uint64_t timestamp_us;
	/* Its headline has come: until then "cut here" may begin any kind. */
	bool has_headline;
	/* The line with the number of the oops has come. */
	bool has_oops;
	unsigned int lines;
	/* Lines with a newline between them. NULL: there was no memory. */
	char *text;
	size_t length;
	size_t capacity;
	/* A line of '=', which belongs to what follows it. "": none. */
	char rule[SPLAT_MAX_RULE + 1];
	unsigned int rule_facility;

	/* Called for each block that has ended; the splat is as it was while the block was open. */
	void (*found)(void *user, const struct splat *splat);
	void *user;
};

void splat_init(struct splat *splat, void (*found)(void *user, const struct splat *splat),
		void *user);

/* The record's text is not needed afterwards. May find one block, or more. */
void splat_add(struct splat *splat, const struct kmsg_record *record);

/* No more is to be expected of a block that is open: it ends. */
void splat_flush(struct splat *splat);

/* Forgets a block that is open. */
void splat_finish(struct splat *splat);

/*
 * Takes a record of /dev/kmsg apart (Documentation/ABI/testing/dev-kmsg): "PRIORITY,SEQUENCE,
 * TIMESTAMP,FLAGS...;TEXT\n KEY=VALUE\n...". Its escapes are undone in place, and what it says of
 * a device, behind the text, is left out. data[size] must be writable: a NUL ends the text, which
 * may hold others. False: it is no record.
 */
bool kmsg_parse(char *data, size_t size, struct kmsg_record *record);

#endif
