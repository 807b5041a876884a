#include "exec_plan.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/util.h"

/* From -20 to 19. */
#define MAX_NICE     39

#define DEFAULT_TERM "linux"
#define DEFAULT_ROWS 24
#define DEFAULT_COLS 80

void exec_plan_finish(struct exec_plan *plan)
{
	free(plan->memory);
	*plan = (struct exec_plan){ 0 };
}

/* Bytes of so many of a request's strings, each with its end. */
static size_t room_for(const ProtobufCBinaryData *strings, size_t count)
{
	size_t size = 0;

	for (size_t i = 0; i < count; i++)
		size += strings[i].len + 1;
	return size;
}

/* A copy with an end, in the room, which is moved past it. */
static char *copy_string(char **room, const ProtobufCBinaryData *bytes)
{
	char *copy = *room;

	if (bytes->len)
		memcpy(copy, bytes->data, bytes->len);
	copy[bytes->len] = '\0';
	*room += bytes->len + 1;
	return copy;
}

/* A relative path is one from the root: the agent has no directory that a host could know. */
static char *copy_path(char **room, const ProtobufCBinaryData *path)
{
	char *copy = *room;

	if (path->data[0] != '/')
		*(*room)++ = '/';
	copy_string(room, path);
	return copy;
}

/* argv and envp hold strings that nobody writes to (execve(2)). */
static char *as_entry(const char *text)
{
	return (char *)(uintptr_t)text;
}

static size_t name_length(const char *entry)
{
	return (size_t)(strchrnul(entry, '=') - entry);
}

/*
 * An environment in the making, found by name: a request may bring hundreds of thousands of
 * entries, so each is looked up in a hash table (open addressing, a power of two slots, at most
 * half full; 0 is an empty slot, otherwise the entry's index + 1).
 */
struct environment {
	char **entries;
	size_t count;
	uint32_t *slots;
	size_t mask;
};

/* FNV-1a. */
static size_t hash_name(const char *entry, size_t length)
{
	uint32_t hash = 2166136261u;

	for (size_t i = 0; i < length; i++)
		hash = (hash ^ (uint8_t)entry[i]) * 16777619u;
	return hash;
}

static uint32_t *find_slot(const struct environment *environment, const char *entry)
{
	size_t length = name_length(entry);
	size_t at = hash_name(entry, length) & environment->mask;

	for (;; at = (at + 1) & environment->mask) {
		uint32_t *slot = &environment->slots[at];
		const char *other;

		if (*slot == 0)
			return slot;
		other = environment->entries[*slot - 1];
		if (name_length(other) == length && memcmp(other, entry, length) == 0)
			return slot;
	}
}

static void set_entry(struct environment *environment, char *entry)
{
	uint32_t *slot = find_slot(environment, entry);

	if (*slot) {
		environment->entries[*slot - 1] = entry;
	} else {
		environment->entries[environment->count++] = entry;
		*slot = (uint32_t)environment->count;
	}
}

static void inherit(struct environment *environment, char *const *inherited)
{
	static const char path[] = "PATH=" DEFAULT_PATH;
	static const char *const defaults[] = { path, "HOME=/", "TERM=" DEFAULT_TERM };

	for (size_t i = 0; inherited[i]; i++)
		set_entry(environment, inherited[i]);
	for (size_t i = 0; i < ARRAY_SIZE(defaults); i++)
		if (*find_slot(environment, defaults[i]) == 0)
			set_entry(environment, as_entry(defaults[i]));
}

static char *make_term(const Provium__V1__Pty *pty, char **room)
{
	char *entry = *room;

	if (!pty->has_term)
		return as_entry("TERM=" DEFAULT_TERM);
	*room = stpcpy(entry, "TERM=");
	copy_string(room, &pty->term);
	return entry;
}

/* `most` entries, for which there is room. False: no memory. */
static bool make_environment(char **envp, size_t most, const Provium__V1__Exec *exec,
			     char *const *inherited, char **room)
{
	struct environment environment = { .entries = envp };
	cleanup_free uint32_t *slots = NULL;
	size_t size = 8;

	while (size < 2 * most)
		size *= 2;
	slots = calloc(size, sizeof(*slots));
	if (!slots)
		return false;
	environment.slots = slots;
	environment.mask = size - 1;
	if (!exec->clear_env)
		inherit(&environment, inherited);
	if (exec->pty)
		set_entry(&environment, make_term(exec->pty, room));
	for (size_t i = 0; i < exec->n_env; i++)
		set_entry(&environment, copy_string(room, &exec->env[i]));
	envp[environment.count] = NULL;
	return true;
}

static void make_argv(char **argv, const Provium__V1__Exec *exec, char **room)
{
	size_t count = exec->n_argv;

	if (exec->has_shell) {
		argv[0] = as_entry("/bin/sh");
		argv[1] = as_entry("-c");
		argv[2] = copy_string(room, &exec->shell);
		count = 3;
	} else {
		for (size_t i = 0; i < count; i++)
			argv[i] = copy_string(room, &exec->argv[i]);
	}
	argv[count] = NULL;
}

/* All in one piece of memory: pointers, then text. False: there is none. */
static bool make_strings(struct exec_plan *plan, const Provium__V1__Exec *exec,
			 char *const *inherited)
{
	/* Three defaults, and what kind of terminal it is. */
	size_t arguments = exec->has_shell ? 3 : exec->n_argv, entries = exec->n_env + 4;
	size_t text = room_for(exec->argv, exec->n_argv) + room_for(exec->env, exec->n_env) +
		      room_for(&exec->shell, 1) + room_for(&exec->cwd, 1) + 1;
	char *room;

	if (exec->pty)
		text += sizeof("TERM=") + exec->pty->term.len;
	for (size_t i = 0; inherited[i]; i++)
		entries++;
	plan->memory = malloc((arguments + 1 + entries + 1) * sizeof(*plan->argv) + text);
	if (!plan->memory)
		return false;
	plan->argv = plan->memory;
	plan->envp = plan->argv + arguments + 1;
	room = (char *)(plan->envp + entries + 1);
	plan->cwd = exec->has_cwd ? copy_path(&room, &exec->cwd) : as_entry("/");
	make_argv(plan->argv, exec, &room);
	return make_environment(plan->envp, entries, exec, inherited, &room);
}

static const char *find_path(char *const *envp)
{
	for (; *envp; envp++)
		if (strncmp(*envp, "PATH=", 5) == 0)
			return *envp + 5;
	return DEFAULT_PATH;
}

static const char *check_rlimits(const Provium__V1__Exec *exec)
{
	uint32_t seen = 0;

	for (size_t i = 0; i < exec->n_rlimits; i++) {
		const Provium__V1__Rlimit *rlimit = exec->rlimits[i];
		uint32_t bit = 1u << rlimit->resource;

		if (seen & bit)
			return "rlimits: a resource is there twice";
		if (rlimit->soft > rlimit->hard)
			return "rlimits: soft is greater than hard";
		seen |= bit;
	}
	return NULL;
}

static const char *check(const Provium__V1__Exec *exec)
{
	if (!exec->has_shell && exec->n_argv == 0)
		return "there is no program";
	if (exec->nice < -MAX_NICE || exec->nice > MAX_NICE)
		return "nice: more than lies between the least niceness and the greatest";
	for (size_t i = 0; i < exec->n_env; i++) {
		const ProtobufCBinaryData *entry = &exec->env[i];

		if (entry->len == 0 || entry->data[0] == '=' ||
		    !memchr(entry->data, '=', entry->len))
			return "env: an entry is not NAME=VALUE";
	}
	return check_rlimits(exec);
}

static void set_attributes(struct exec_plan *plan, const Provium__V1__Exec *exec)
{
	for (size_t i = 0; i < exec->n_rlimits; i++)
		plan->rlimits[i] = (struct spawn_rlimit){
			.resource = (int)exec->rlimits[i]->resource,
			.limit = { exec->rlimits[i]->soft, exec->rlimits[i]->hard },
		};
	plan->options.attributes = (struct spawn_attributes){
		.has_uid = exec->has_uid,
		.has_gid = exec->has_gid,
		/* A user of its own has none of the agent's groups. */
		.has_groups = exec->groups || exec->has_uid,
		.uid = exec->uid,
		.gid = exec->gid,
		.groups = exec->groups ? exec->groups->gid : NULL,
		.group_count = exec->groups ? exec->groups->n_gid : 0,
		.nice = exec->nice,
		.rlimits = plan->rlimits,
		.rlimit_count = exec->n_rlimits,
	};
}

static bool fail(struct exec_plan *plan, struct check_failure *failure, enum error_code code,
		 const char *text)
{
	exec_plan_finish(plan);
	failure->code = code;
	snprintf(failure->text, sizeof(failure->text), "%s", text);
	return false;
}

bool exec_plan_make(struct exec_plan *plan, const Provium__V1__Exec *exec, char *const *inherited,
		    struct check_failure *failure)
{
	const char *wrong = check(exec);
	const char *search_path = NULL;

	*plan = (struct exec_plan){ 0 };
	if (wrong)
		return fail(plan, failure, ERROR_INVALID, wrong);
	if (!make_strings(plan, exec, inherited))
		return fail(plan, failure, ERROR_LIMIT, "no memory");
	if (!strchr(plan->argv[0], '/'))
		search_path = find_path(plan->envp);
	if (search_path && strlen(search_path) >= MAX_SEARCH_PATH)
		return fail(plan, failure, ERROR_INVALID, "env: PATH is too long");
	plan->options = (struct child_options){
		.search_path = search_path,
		.argv = plan->argv,
		.envp = plan->envp,
		.cwd = plan->cwd,
		.merge_stderr = exec->merge_stderr,
		.terminal = exec->pty != NULL,
		.cgroup = exec->kill_scope == PROVIUM__V1__KILL_SCOPE__KILL_CGROUP,
		.timeout_ms = exec->timeout_ms,
		.output_limit = exec->has_output_limit ? exec->output_limit : UINT64_MAX,
	};
	if (exec->pty) {
		plan->options.rows = exec->pty->has_rows ? exec->pty->rows : DEFAULT_ROWS;
		plan->options.cols = exec->pty->has_cols ? exec->pty->cols : DEFAULT_COLS;
	}
	set_attributes(plan, exec);
	return true;
}
