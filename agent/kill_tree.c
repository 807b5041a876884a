/*
 * Theory of operation.
 *
 * A process belongs to the tree where its parent, its session or its group does: the number of a
 * session or group is that of the process that made it, and belongs to nobody else as long as
 * there is a process in it. So what has been orphaned is found by its session, and what has left
 * the session by its parent. (What has done both is not: KILL_CGROUP is for that.)
 *
 * The tree grows while it is looked at. So what is found is stopped first, and a round looks at all
 * processes again, until one finds nothing new and nobody who is still running: a process that was
 * stopped in the midst of a fork finishes the fork. Only then are all killed, at once: a parent's
 * death before that would make orphans. Another round looks for what was born at the last moment.
 *
 * A fork bomb is slower than this, since each round stops all that a round finds. If it is not, or
 * is larger than what is remembered, what cannot be remembered is killed when it is found.
 *
 * Who looks must not take turns with what is looked for, or with a test's real-time processes:
 * meanwhile the thread has the highest priority, if it has the right to.
 */
#include "kill_tree.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdalign.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "agent/entries.h"
#include "agent/log.h"
#include "agent/text.h"
#include "common/cleanup.h"
#include "common/util.h"

void kill_tree_finish(struct kill_tree *tree)
{
	free(tree->members);
	*tree = (struct kill_tree){ 0 };
}

/* Where the process is, or would be. */
static size_t find(const struct kill_tree *tree, pid_t pid)
{
	size_t low = 0, high = tree->count;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (tree->members[middle] < pid)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool has(const struct kill_tree *tree, pid_t pid)
{
	size_t at = find(tree, pid);

	return at < tree->count && tree->members[at] == pid;
}

static bool grow(struct kill_tree *tree)
{
	size_t capacity = tree->capacity ? 2 * tree->capacity : 64;
	pid_t *members;

	if (capacity > KILL_TREE_MAX_MEMBERS)
		return false;
	members = realloc(tree->members, capacity * sizeof(*members));
	if (!members)
		return false;
	tree->members = members;
	tree->capacity = capacity;
	return true;
}

bool kill_tree_add(struct kill_tree *tree, pid_t leader)
{
	size_t at = find(tree, leader);

	if (tree->count == tree->capacity && !grow(tree))
		return false;
	memmove(&tree->members[at + 1], &tree->members[at],
		(tree->count - at) * sizeof(*tree->members));
	tree->members[at] = leader;
	tree->count++;
	return true;
}

bool process_stat_parse(const char *text, struct process_stat *stat)
{
	/* The name before it may hold anything, parentheses and blanks too; numbers follow it. */
	const char *at = strrchr(text, ')');
	pid_t *const numbers[] = { &stat->parent, &stat->group, &stat->session };

	if (!at || at[1] != ' ' || at[2] == '\0')
		return false;
	stat->state = at[2];
	at += 3;
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		uint64_t value;

		/* Group and session of one that is ending are -1. */
		if (*at++ != ' ' || !text_read_number(&at, &value) || value > INT32_MAX)
			return false;
		*numbers[i] = (pid_t)value;
	}
	return *at == ' ';
}

/* False: it is gone. */
static bool read_stat(int proc, const char *name, struct process_stat *stat)
{
	char path[32], text[512];
	ssize_t size;
	int fd;

	snprintf(path, sizeof(path), "%.16s/stat", name);
	fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	/* One read gives the line. */
	size = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (size <= 0)
		return false;
	text[size] = '\0';
	return process_stat_parse(text, stat);
}

static void send(pid_t pid, int number)
{
	if (kill(pid, number) < 0 && errno != ESRCH)
		log_error("kill of process %d: %s", pid, strerror(errno));
}

/* Whether the process is one of the tree; then it has been sent the signal. */
static bool take(struct kill_tree *tree, pid_t pid, const struct process_stat *stat, int number)
{
	if (!has(tree, stat->parent) && !has(tree, stat->session) && !has(tree, stat->group))
		return false;
	send(pid, kill_tree_add(tree, pid) ? number : SIGKILL);
	return true;
}

/* Whether it is a new one, or one that still runs. */
static bool look_at(struct kill_tree *tree, int proc, const char *name, int number)
{
	struct process_stat stat;
	const char *at = name;
	uint64_t pid;

	if (!text_read_number(&at, &pid) || *at || pid <= 1 || pid > INT32_MAX)
		return false;
	if (!read_stat(proc, name, &stat) || stat.state == 'Z')
		return false;
	if (has(tree, (pid_t)pid))
		return number == SIGSTOP && stat.state == 'R';
	return take(tree, (pid_t)pid, &stat, number);
}

/* Looks at all processes; new ones get the signal. False: there was none, and none that runs. */
static bool look(struct kill_tree *tree, int proc, int number)
{
	alignas(struct entry) char room[2048];
	struct entries entries;
	const struct entry *entry;
	bool again = false;

	lseek(proc, 0, SEEK_SET);
	while (entries_fill(&entries, proc, room, sizeof(room)) > 0) {
		for (; (entry = entries_next(&entries)); entries_take(&entries))
			again |= look_at(tree, proc, entry->name, number);
	}
	return again;
}

/*
 * One that was sent SIGSTOP and is about to run has not stopped yet, and may be in the middle of
 * a fork. On a busy machine it needs a processor for that, which our looking must not take.
 */
static void look_until_quiet(struct kill_tree *tree, int proc, int number)
{
	const struct timespec pause = { .tv_nsec = KILL_TREE_PAUSE_NS };

	for (int round = 0; look(tree, proc, number); round++) {
		if (round == KILL_TREE_MAX_ROUNDS) {
			log_warn(
				"processes of a command start others faster than they are stopped");
			return;
		}
		if (round >= KILL_TREE_BUSY_ROUNDS)
			nanosleep(&pause, NULL);
	}
}

void kill_tree_run(struct kill_tree *tree, int proc)
{
	const struct sched_param highest = { .sched_priority = 99 }, usual = { 0 };
	bool can_look = proc >= 0 && tree->count > 0;
	/* What a test's calls have made of this thread stays as it is. */
	bool is_urgent = syscall(SYS_sched_getscheduler, 0) == SCHED_OTHER &&
			 syscall(SYS_sched_setscheduler, 0, SCHED_FIFO, &highest) == 0;

	if (can_look)
		look_until_quiet(tree, proc, SIGSTOP);
	/*
	 * Children first, which have greater numbers as a rule: the end of a parent continues what
	 * is stopped in groups that have no other tie to their session.
	 */
	for (size_t i = tree->count; i > 0; i--)
		send(tree->members[i - 1], SIGKILL);
	if (can_look)
		look_until_quiet(tree, proc, SIGKILL);
	if (is_urgent)
		syscall(SYS_sched_setscheduler, 0, SCHED_OTHER, &usual);
	close_fd(proc);
}
