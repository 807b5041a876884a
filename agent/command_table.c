#include "agent/command_table.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/util.h"

/* Of the jobs that were lost: so many are told. */
#define JOBS_TOLD 8

struct command_slot *command_add(struct command_table *table, pid_t pid)
{
	for (uint32_t i = 0; i < COMMANDS_MAX; i++) {
		struct command_slot *slot = &table->slots[i];
		uint32_t used = table->used;
		int32_t nobody = 0;

		if (slot->pid != 0 ||
		    !atomic_compare_exchange_strong(&slot->pid, &nobody, (int32_t)pid))
			continue;
		slot->owner = (int32_t)getpid();
		slot->job = 0;
		while (used <= i && !atomic_compare_exchange_weak(&table->used, &used, i + 1))
			;
		return slot;
	}
	return NULL;
}

void command_is_job(struct command_slot *slot, uint64_t job, const void *name, size_t size)
{
	size = MIN(size, sizeof(slot->name) - 1);
	if (size > 0)
		memcpy(slot->name, name, size);
	slot->name[size] = '\0';
	slot->job = job;
}

void command_remove(struct command_slot *slot)
{
	if (slot)
		slot->pid = 0;
}

__attribute__((format(printf, 3, 4))) static void append(char *text, size_t size,
							 const char *format, ...)
{
	size_t length = strlen(text);
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text + length, size - length, format, arguments);
	va_end(arguments);
}

static void append_job(char *text, size_t size, unsigned int index, const struct command_slot *slot)
{
	const char *separator = index == 0 ? ": " : ", ";

	if (index == JOBS_TOLD)
		append(text, size, ", ...");
	else if (index < JOBS_TOLD && slot->name[0])
		append(text, size, "%s%.*s", separator, COMMAND_JOB_NAME - 1, slot->name);
	else if (index < JOBS_TOLD)
		append(text, size, "%s%llu", separator, (unsigned long long)slot->job);
}

void command_table_reaped(struct command_table *table, pid_t owner, char *text, size_t size)
{
	unsigned int commands = 0, jobs = 0;
	char names[256] = "";

	for (uint32_t i = 0; i < MIN(table->used, COMMANDS_MAX); i++) {
		struct command_slot *slot = &table->slots[i];
		int32_t pid = slot->pid;

		/* 1 would be everybody. */
		if (pid <= 1 || slot->owner != owner)
			continue;
		kill(-pid, SIGKILL);
		if (slot->job != 0)
			append_job(names, sizeof(names), jobs++, slot);
		else
			commands++;
		slot->pid = 0;
	}
	if (commands + jobs > 0)
		append(text, size, "; lost with it: %u command%s, %u job%s%s", commands,
		       commands == 1 ? "" : "s", jobs, jobs == 1 ? "" : "s", names);
}
