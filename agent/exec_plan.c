#include "exec_plan.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/path.h"
#include "common/cleanup.h"
#include "common/util.h"

/* From -20 to 19. */
#define MAX_NICE     39

#define DEFAULT_TERM "linux"
#define DEFAULT_ROWS 24
#define DEFAULT_COLS 80

static void free_strings(char **strings)
{
	if (!strings)
		return;
	for (char **string = strings; *string; string++)
		free(*string);
	free(strings);
}

void exec_plan_finish(struct exec_plan *plan)
{
	free_strings(plan->argv);
	free_strings(plan->envp);
	free(plan->cwd);
	*plan = (struct exec_plan){ 0 };
}

static char *copy_string(const ProtobufCBinaryData *bytes)
{
	char *copy = malloc(bytes->len + 1);

	if (!copy)
		return NULL;
	if (bytes->len)
		memcpy(copy, bytes->data, bytes->len);
	copy[bytes->len] = '\0';
	return copy;
}

static char *copy_text(const char *text)
{
	ProtobufCBinaryData bytes = { strlen(text), (uint8_t *)(uintptr_t)text };

	return copy_string(&bytes);
}

static bool make_argv(struct exec_plan *plan, const Provium__V1__Exec *exec)
{
	static const char *const shell[] = { "/bin/sh", "-c" };
	size_t fixed = exec->has_shell ? ARRAY_SIZE(shell) : 0;
	size_t count = exec->has_shell ? 1 : exec->n_argv;
	const ProtobufCBinaryData *given = exec->has_shell ? &exec->shell : exec->argv;

	plan->argv = calloc(fixed + count + 1, sizeof(*plan->argv));
	if (!plan->argv)
		return false;
	for (size_t i = 0; i < fixed; i++) {
		plan->argv[i] = copy_text(shell[i]);
		if (!plan->argv[i])
			return false;
	}
	for (size_t i = 0; i < count; i++) {
		plan->argv[fixed + i] = copy_string(&given[i]);
		if (!plan->argv[fixed + i])
			return false;
	}
	return true;
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

/* Takes the entry over; NULL is no memory. */
static bool set_entry(struct environment *environment, char *entry)
{
	uint32_t *slot;

	if (!entry)
		return false;
	slot = find_slot(environment, entry);
	if (*slot) {
		free(environment->entries[*slot - 1]);
		environment->entries[*slot - 1] = entry;
	} else {
		environment->entries[environment->count++] = entry;
		*slot = (uint32_t)environment->count;
	}
	return true;
}

static bool inherit(struct environment *environment, char *const *inherited)
{
	static const char path[] = "PATH=" DEFAULT_PATH;
	static const char *const defaults[] = { path, "HOME=/", "TERM=" DEFAULT_TERM };

	for (size_t i = 0; inherited[i]; i++)
		if (!set_entry(environment, copy_text(inherited[i])))
			return false;
	for (size_t i = 0; i < ARRAY_SIZE(defaults); i++)
		if (*find_slot(environment, defaults[i]) == 0 &&
		    !set_entry(environment, copy_text(defaults[i])))
			return false;
	return true;
}

static char *make_term(const Provium__V1__Pty *pty)
{
	const char *term = pty->has_term ? (const char *)pty->term.data : DEFAULT_TERM;
	size_t length = pty->has_term ? pty->term.len : strlen(DEFAULT_TERM);
	char *entry = malloc(sizeof("TERM=") + length);

	if (!entry)
		return NULL;
	memcpy(entry, "TERM=", 5);
	memcpy(entry + 5, term, length);
	entry[5 + length] = '\0';
	return entry;
}

static bool make_environment(struct exec_plan *plan, const Provium__V1__Exec *exec,
			     char *const *inherited)
{
	struct environment environment = { 0 };
	cleanup_free uint32_t *slots = NULL;
	/* Three defaults, and what kind of terminal it is. */
	size_t most = exec->n_env + 4, size = 8;

	while (inherited[most - exec->n_env - 4])
		most++;
	while (size < 2 * most)
		size *= 2;
	slots = calloc(size, sizeof(*slots));
	plan->envp = calloc(most + 1, sizeof(*plan->envp));
	if (!slots || !plan->envp)
		return false;
	environment.entries = plan->envp;
	environment.slots = slots;
	environment.mask = size - 1;
	if (!exec->clear_env && !inherit(&environment, inherited))
		return false;
	if (exec->pty && !set_entry(&environment, make_term(exec->pty)))
		return false;
	for (size_t i = 0; i < exec->n_env; i++)
		if (!set_entry(&environment, copy_string(&exec->env[i])))
			return false;
	return true;
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
	plan->cwd = exec->has_cwd ? path_from_bytes(&exec->cwd) : copy_text("/");
	if (!plan->cwd || !make_argv(plan, exec) || !make_environment(plan, exec, inherited))
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
