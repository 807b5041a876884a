/* Killing processes with all that they have started. */
#ifndef AGENT_KILL_TREE_H
#define AGENT_KILL_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Processes that are remembered, and looks at all processes, twice over. */
#define KILL_TREE_MAX_MEMBERS 16384
#define KILL_TREE_MAX_ROUNDS  32

/* Looks that are made at once, and microseconds between the others. */
#define KILL_TREE_BUSY_ROUNDS 4
#define KILL_TREE_PAUSE_NS    2000000

/* Those that are to die; all zeros: none. */
struct kill_tree {
	/* In ascending order. */
	pid_t *members;
	size_t count;
	size_t capacity;
};

void kill_tree_finish(struct kill_tree *tree);

/*
 * Adds the leader of a session, whose number must be its own until the tree is killed: it has been
 * stopped, or has ended and not been reaped. False: no memory, or too many.
 */
bool kill_tree_add(struct kill_tree *tree, pid_t leader);

/*
 * Kills the leaders, what is in their sessions and groups, and their descendants. proc is the root
 * directory of a procfs, taken over; -1: only the leaders can be found.
 */
void kill_tree_run(struct kill_tree *tree, int proc);

/* A line of /proc/PID/stat, as far as it says who belongs to whom (proc(5)). */
struct process_stat {
	char state;
	pid_t parent;
	pid_t group;
	pid_t session;
};

/* False: the text is not such a line, or its process is ending. */
bool process_stat_parse(const char *text, struct process_stat *stat);

#endif
