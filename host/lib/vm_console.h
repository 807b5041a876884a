/*
 * What a guest has written on its console: the last of it for a person, and what can be learnt from
 * it. Pure. Also used for what QEMU and provium-vsock print.
 */
#ifndef LIB_VM_CONSOLE_H
#define LIB_VM_CONSOLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes of the end that are kept. */
#define VM_CONSOLE_KEPT ((size_t)64 << 10)

/* Bytes of a line that are looked at and told. */
#define VM_CONSOLE_LINE 512

struct vm_console {
	/* The last bytes, in a ring: total is how many there have been. */
	char kept[VM_CONSOLE_KEPT];
	uint64_t total;
	/* The line that is coming in, its first bytes. */
	char line[VM_CONSOLE_LINE];
	size_t line_length;
	/* Where that begins, counted as total. */
	uint64_t line_start;

	/* Where the last report of a fault begins, counted as total, and whether it has ended. */
	uint64_t report_start;
	bool has_report;
	bool report_ended;
	/* Lines since then. */
	unsigned int report_lines;

	/* Why the kernel panicked, and why the agent cannot serve. "": nothing was seen. */
	char panic[VM_CONSOLE_LINE];
	char fatal[VM_CONSOLE_LINE];
	/* The kernel has printed its last line: it halts, or waits for a reboot. */
	bool panic_over;
	/* How many lines have begun a panic, any of which may not have been the kernel's. */
	unsigned int panics;
	/* What a person can do about what was seen. NULL: nothing is known. */
	const char *hint;
};

/* All zeroes is an empty one. */
void vm_console_add(struct vm_console *console, const char *data, size_t size);

/*
 * The last lines, each indented by two spaces, in at most max_size bytes (NUL included): escape
 * sequences left out, other control characters and what is not UTF-8 as '?', long lines cut.
 * "" where there is nothing. Released with free(3); NULL: no memory.
 */
char *vm_console_tail(const struct vm_console *console, unsigned int lines, size_t max_size);

/*
 * In the same form what the kernel said of the panic, from its first line on, as many lines as fit:
 * the report of a fault that led to it, if that was just before. "" where there was no panic.
 */
char *vm_console_panic(const struct vm_console *console, size_t max_size);

#endif
