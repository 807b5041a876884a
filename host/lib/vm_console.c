/*
 * Reading a console.
 *
 * Lines are recognised as they come in, so nothing is missed however much follows. The kernel's
 * panic begins with a line that anybody in the guest could have written (/dev/kmsg). So it is taken
 * for over only when the kernel has printed what it prints when it does not reboot at once
 * (kernel/panic.c: "---[ end Kernel panic", "Rebooting in"); with panic=-1, QEMU ends instead, and
 * the line says why.
 */
#include "host/lib/vm_console.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/util.h"

#define PANIC        "Kernel panic - not syncing: "
#define FATAL        "provium-agent: fatal: "

/* Lines between the beginning of a report and a panic that it led to. */
#define REPORT_LINES 120

/* What is seen on consoles of guests that do not come up, and what helps. The first match counts.
 */
static const struct {
	const char *text;
	const char *hint;
} hints[] = {
	{ "Initramfs unpacking failed",
	  "The kernel could not unpack the initramfs: is the initrd a cpio archive, compressed in "
	  "a "
	  "way that this kernel knows (CONFIG_RD_GZIP, CONFIG_RD_ZSTD, ...)? Or give the VM more "
	  "memory." },
	{ "rdinit=/provium-wrapper failed", "The kernel has no usable initramfs: it needs "
					    "CONFIG_BLK_DEV_INITRD, and memory enough to "
					    "unpack it." },
	{ "Failed to execute /provium-wrapper", "The kernel cannot run the wrapper: it needs "
						"CONFIG_BINFMT_ELF and x86-64 (CONFIG_64BIT)." },
	{ "Unable to mount root fs", "The kernel has no usable initramfs: it needs "
				     "CONFIG_BLK_DEV_INITRD, and memory enough to "
				     "unpack it." },
	{ ": version magic '",
	  "The modules belong to another kernel: name the modules directory of this one." },
	{ "disagrees about version of symbol",
	  "The modules belong to another build of this kernel: name the modules directory of this "
	  "one." },
	{ "System is deadlocked on memory", "Give the VM more memory." },
	{ "Out of memory", "Give the VM more memory." },
	{ "initrd is too large", "Give the VM more memory." },
	{ "cannot set up guest memory", "Give the VM less memory: the host has not enough." },
	{ "failed to initialize kvm", "Let --accel tcg or auto choose another accelerator." },
	{ "is not a valid device model name",
	  "This QEMU lacks a device: it needs vhost-user-vsock-pci (or vhost-vsock-pci), pvpanic, "
	  "virtio-rng-pci and virtio-blk-pci." },
};

/* A line of printk without what stands before its text: "<6>", "[    1.234567] ", "[    T1] ". */
static const char *skip_prefix(const char *line)
{
	if (line[0] == '<' && line[1] >= '0' && line[1] <= '9' && line[2] == '>')
		line += 3;
	while (line[0] == '[') {
		const char *end = strstr(line, "] ");

		if (!end || end - line > 32)
			break;
		line = end + 2;
	}
	return line;
}

static void recognise_hint(struct vm_console *console, const char *text)
{
	for (size_t i = 0; i < ARRAY_SIZE(hints) && !console->hint; i++) {
		if (strstr(text, hints[i].text))
			console->hint = hints[i].hint;
	}
}

/*
 * Where a report of a fault begins (agent/splat.c has the whole of it; here it need only be found
 * above a panic).
 */
static bool begins_report(const char *text)
{
	static const char *const beginnings[] = {
		"------------[ cut here",   "BUG: ",      "Oops: ",
		"general protection fault", "watchdog: ", "Unable to handle kernel",
	};

	for (size_t i = 0; i < ARRAY_SIZE(beginnings); i++) {
		if (strncmp(text, beginnings[i], strlen(beginnings[i])) == 0)
			return true;
	}
	return false;
}

static void recognise_report(struct vm_console *console, const char *text)
{
	bool panics = strncmp(text, PANIC, strlen(PANIC)) == 0;

	console->report_lines++;
	if (console->panic[0])
		return;
	if (console->report_lines > REPORT_LINES)
		console->report_ended = true;
	/* A panic belongs to the report before it, if that was just before. */
	if ((panics && (!console->has_report || console->report_lines > REPORT_LINES)) ||
	    (!panics && begins_report(text) && (!console->has_report || console->report_ended))) {
		console->has_report = true;
		console->report_ended = false;
		console->report_start = console->line_start;
		console->report_lines = 0;
	} else if (strncmp(text, "---[ end trace", 14) == 0) {
		console->report_ended = true;
	}
}

static void recognise(struct vm_console *console)
{
	const char *text;

	console->line[console->line_length] = '\0';
	text = skip_prefix(console->line);
	recognise_report(console, text);
	if (strncmp(text, PANIC, strlen(PANIC)) == 0) {
		console->panics++;
		if (!console->panic[0])
			snprintf(console->panic, sizeof(console->panic), "%s",
				 text + strlen(PANIC));
	} else if (console->panic[0] && (strncmp(text, "---[ end Kernel panic", 21) == 0 ||
					 strncmp(text, "Rebooting in ", 13) == 0)) {
		console->panic_over = true;
	} else if (strncmp(text, FATAL, strlen(FATAL)) == 0) {
		snprintf(console->fatal, sizeof(console->fatal), "%s", text + strlen(FATAL));
	}
	recognise_hint(console, text);
}

static void keep(struct vm_console *console, const char *data, size_t size)
{
	size_t at = console->total % sizeof(console->kept);
	size_t first = MIN(size, sizeof(console->kept) - at);

	memcpy(console->kept + at, data, first);
	memcpy(console->kept, data + first, size - first);
	console->total += size;
}

void vm_console_add(struct vm_console *console, const char *data, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		if (data[i] == '\n') {
			recognise(console);
			console->line_length = 0;
			console->line_start = console->total + i + 1;
		} else if (data[i] != '\r' && data[i] != '\0' &&
			   console->line_length < sizeof(console->line) - 1) {
			console->line[console->line_length++] = data[i];
		}
	}
	while (size > 0) {
		size_t part = MIN(size, sizeof(console->kept));

		keep(console, data, part);
		data += part;
		size -= part;
	}
}

/* How many bytes at text are an escape sequence (ECMA-48); 0: none. One that is cut is all there
 * is. */
static size_t escape_length(const char *text, size_t size)
{
	size_t i = 2;

	if (text[0] != '\x1b')
		return 0;
	if (size < 2)
		return size;
	if (text[1] == '[') {
		while (i < size && (text[i] < 0x40 || text[i] > 0x7e))
			i++;
		return MIN(i + 1, size);
	}
	if (text[1] == ']') {
		while (i < size && text[i] != '\a' && text[i] != '\x1b')
			i++;
		/* ESC \ or BEL */
		return MIN(i + (i < size && text[i] == '\x1b' ? 2 : 1), size);
	}
	return 2;
}

/* How many bytes at text are one printable character in UTF-8; 0: none (RFC 3629). */
static size_t printable_length(const char *text, size_t size)
{
	const unsigned char *c = (const unsigned char *)text;
	size_t length;

	if (c[0] >= 0x20 && c[0] < 0x7f)
		return 1;
	if (c[0] < 0xc2 || c[0] > 0xf4)
		return 0;
	length = c[0] < 0xe0 ? 2 : c[0] < 0xf0 ? 3 : 4;
	if (size < length)
		return 0;
	for (size_t i = 1; i < length; i++) {
		if (c[i] < 0x80 || c[i] > 0xbf)
			return 0;
	}
	/* C1 controls; overlong forms; surrogates; beyond U+10FFFF. */
	if ((c[0] == 0xc2 && c[1] < 0xa0) || (c[0] == 0xe0 && c[1] < 0xa0) ||
	    (c[0] == 0xed && c[1] > 0x9f) || (c[0] == 0xf0 && c[1] < 0x90) ||
	    (c[0] == 0xf4 && c[1] > 0x8f))
		return 0;
	return length;
}

/* One line for a person, at most VM_CONSOLE_LINE - 1 bytes; returns how many. */
static size_t clean_line(const char *text, size_t size, char *to)
{
	size_t used = 0;
	size_t i = 0;

	while (i < size) {
		size_t skipped = escape_length(text + i, size - i);
		size_t length;

		if (text[i] == '\r' || text[i] == '\0')
			skipped = 1;
		if (skipped > 0) {
			i += skipped;
			continue;
		}
		if (used > VM_CONSOLE_LINE - 8) {
			memcpy(to + used, "...", 3);
			return used + 3;
		}
		length = printable_length(text + i, size - i);
		if (length > 0) {
			memcpy(to + used, text + i, length);
		} else {
			to[used] = text[i] == '\t' ? ' ' : '?';
			length = 1;
		}
		used += length;
		i += length;
	}
	return used;
}

/* The bytes that are kept, in order; *size of them. */
static char *unroll(const struct vm_console *console, size_t *size)
{
	size_t start =
		console->total > sizeof(console->kept) ? console->total % sizeof(console->kept) : 0;
	char *text;

	*size = MIN(console->total, (uint64_t)sizeof(console->kept));
	text = malloc(*size + 1);
	if (!text)
		return NULL;
	memcpy(text, console->kept + start, *size - start);
	memcpy(text + *size - start, console->kept, start);
	return text;
}

/*
 * The tail is put together from its end, line by line, until there are enough lines or no more
 * fits: where something has to go, it is the oldest.
 */
char *vm_console_tail(const struct vm_console *console, unsigned int lines, size_t max_size)
{
	cleanup_free char *text = NULL;
	char line[VM_CONSOLE_LINE];
	size_t at = max_size;
	char *tail;
	size_t end;

	text = unroll(console, &end);
	tail = malloc(max_size);
	if (!text || !tail || max_size == 0) {
		free(tail);
		return NULL;
	}
	tail[--at] = '\0';
	while (end > 0 && lines > 0) {
		const char *newline = memrchr(text, '\n', end);
		size_t start = newline ? (size_t)(newline - text) + 1 : 0;
		size_t length = clean_line(text + start, end - start, line);
		bool last = tail[at] == '\0';

		/* Lines that are empty, or were nothing but escape sequences, tell nothing. */
		if (length > 0) {
			if (length + 3 > at)
				break;
			if (!last)
				tail[--at] = '\n';
			at -= length;
			memcpy(tail + at, line, length);
			tail[--at] = ' ';
			tail[--at] = ' ';
			lines--;
		}
		end = start > 0 ? start - 1 : 0;
	}
	memmove(tail, tail + at, max_size - at);
	return tail;
}

char *vm_console_panic(const struct vm_console *console, size_t max_size)
{
	cleanup_free char *text = NULL;
	char line[VM_CONSOLE_LINE];
	size_t used = 0, at = 0, size;
	uint64_t first;
	char *panic;

	text = unroll(console, &size);
	panic = malloc(max_size);
	if (!text || !panic || max_size == 0) {
		free(panic);
		return NULL;
	}
	first = console->total - size;
	if (!console->panic[0])
		at = size;
	else if (console->report_start > first)
		at = (size_t)(console->report_start - first);
	while (at < size) {
		const char *newline = memchr(text + at, '\n', size - at);
		size_t end = newline ? (size_t)(newline - text) : size;
		size_t length = clean_line(text + at, end - at, line);

		if (length > 0) {
			if (used + length + 4 > max_size)
				break;
			if (used > 0)
				panic[used++] = '\n';
			panic[used++] = ' ';
			panic[used++] = ' ';
			memcpy(panic + used, line, length);
			used += length;
		}
		at = end + 1;
	}
	panic[used] = '\0';
	return panic;
}
