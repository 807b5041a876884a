/*
 * The commands that run, in memory that the supervisor shares: whoever of a server or worker dies
 * takes the leaders along (PR_SET_PDEATHSIG), and the supervisor what they have started, group by
 * group, and says what was lost.
 *
 * A test's calls may have written over it: what is killed are process groups, of this user's.
 */
#ifndef AGENT_COMMAND_TABLE_H
#define AGENT_COMMAND_TABLE_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Commands beyond these are not in it, and nobody kills what a leader of theirs leaves. */
#define COMMANDS_MAX     1024u

/* Bytes of a job's name that are told, with a NUL. */
#define COMMAND_JOB_NAME 24

struct command_slot {
	/* The leader, and its process group's number; 0: nobody has the slot. */
	_Atomic int32_t pid;
	/* The process that started it. */
	int32_t owner;
	/* 0: it is no job. */
	uint64_t job;
	char name[COMMAND_JOB_NAME];
};

struct command_table {
	/* No slot from here on has ever been taken. */
	_Atomic uint32_t used;
	struct command_slot slots[COMMANDS_MAX];
};

/* NULL: the table is full. */
struct command_slot *command_add(struct command_table *table, pid_t pid);

/* It is a job; size bytes of a name, or 0. */
void command_is_job(struct command_slot *slot, uint64_t job, const void *name, size_t size);

/* Its leader has been reaped. NULL is nothing. */
void command_remove(struct command_slot *slot);

/*
 * The supervisor: this process is gone. Kills the groups of its commands, and appends to the text
 * how many were lost, and which jobs; nothing where there were none.
 */
void command_table_reaped(struct command_table *table, pid_t owner, char *text, size_t size);

#endif
