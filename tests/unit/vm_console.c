/* What is read off a console: its end, for a person, and what it means. */
#include "host/lib/vm_console.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unit.h"

static struct vm_console console;

static void start(void)
{
	memset(&console, 0, sizeof(console));
}

static void add(const char *text)
{
	vm_console_add(&console, text, strlen(text));
}

static void check_tail(unsigned int lines, size_t max_size, const char *wanted)
{
	char *tail = vm_console_tail(&console, lines, max_size);

	ck_assert_ptr_nonnull(tail);
	ck_assert_str_eq(tail, wanted);
	free(tail);
}

START_TEST(test_tail)
{
	check_tail(3, 4096, "");
	add("one\ntwo\r\nthree\n");
	check_tail(1, 4096, "  three");
	check_tail(2, 4096, "  two\n  three");
	check_tail(30, 4096, "  one\n  two\n  three");
	check_tail(0, 4096, "");
	add("unfinished");
	check_tail(2, 4096, "  three\n  unfinished");
	add("\n\n\r\n   \n\n");
	check_tail(2, 4096, "  unfinished\n     ");
}
END_TEST

/* Where there is no room for all lines, the oldest go; never a part of one. */
START_TEST(test_tail_size)
{
	add("aaaa\nbbbb\ncccc\n");
	for (size_t size = 1; size < 32; size++) {
		char *tail = vm_console_tail(&console, 30, size);

		ck_assert_ptr_nonnull(tail);
		ck_assert_uint_lt(strlen(tail), size);
		ck_assert(strcmp(tail, "") == 0 || strcmp(tail, "  cccc") == 0 ||
			  strcmp(tail, "  bbbb\n  cccc") == 0 ||
			  strcmp(tail, "  aaaa\n  bbbb\n  cccc") == 0);
		free(tail);
	}
	check_tail(30, 21, "  aaaa\n  bbbb\n  cccc");
}
END_TEST

/* More than is kept: the end is there, in order, whatever the sizes it comes in. */
START_TEST(test_ring)
{
	static char text[VM_CONSOLE_KEPT * 2 + 100];
	char wanted[64];

	for (unsigned int i = 0; i < 40000; i++) {
		char line[32];

		snprintf(line, sizeof(line), "line %u\n", i);
		add(line);
	}
	check_tail(3, 4096, "  line 39997\n  line 39998\n  line 39999");
	/* All that is kept has its order; its first line is cut. */
	{
		char *tail = vm_console_tail(&console, 100000, VM_CONSOLE_KEPT * 2);
		const char *at = strstr(tail, "line ");
		unsigned int number = 0;
		unsigned int first = 0;

		for (; at; at = strstr(at + 1, "line ")) {
			unsigned int next;

			ck_assert_int_eq(sscanf(at, "line %u", &next), 1);
			ck_assert(first == 0 || next == number + 1);
			first = first ? first : next;
			number = next;
		}
		ck_assert_uint_eq(number, 39999);
		ck_assert_uint_gt(number - first, 5000);
		free(tail);
	}

	memset(text, 'x', sizeof(text) - 1);
	memcpy(text + sizeof(text) - 12, "\nthe end\n", 9);
	vm_console_add(&console, text, sizeof(text) - 3);
	snprintf(wanted, sizeof(wanted), "  the end");
	check_tail(1, 4096, wanted);
}
END_TEST

START_TEST(test_clean)
{
	add("\x1b[31mred\x1b[0m \x1b]0;title\a\x1b]0;title\x1b\\plain\x1b"
	    "c\n");
	check_tail(1, 4096, "  red plain");
	add("a\tb\001\177c\bd\n");
	check_tail(1, 4096, "  a b??c?d");
	/* Cut escape sequences take nothing of the next line. */
	add("x\x1b[31\ny\x1b\nz\x1b]0\n");
	check_tail(3, 4096, "  x\n  y\n  z");
	/* The firmware's first words are nothing but that. */
	add("\x1b"
	    "c\x1b[?7l\x1b[2J\n");
	check_tail(1, 4096, "  z");
}
END_TEST

START_TEST(test_utf8)
{
	/* ü, €, an emoji. */
	add("\xc3\xbc \xe2\x82\xac \xf0\x9f\x98\x80\n");
	check_tail(1, 4096, "  \xc3\xbc \xe2\x82\xac \xf0\x9f\x98\x80");
	/* Lone and overlong bytes, a surrogate, beyond Unicode, a C1 control. */
	add("\xbc \xc0\xaf \xed\xa0\x80 \xf4\x90\x80\x80 \xc2\x9b \xff\n");
	check_tail(1, 4096, "  ? ?? ??? ???? ?? ?");
	/* Cut at the end. */
	add("\xe2\x82\n");
	check_tail(1, 4096, "  ??");
}
END_TEST

START_TEST(test_long_line)
{
	char line[1001];
	char *tail;

	memset(line, 'x', 1000);
	line[1000] = '\0';
	add(line);
	add("\n");
	tail = vm_console_tail(&console, 1, 4096);
	ck_assert_uint_lt(strlen(tail), VM_CONSOLE_LINE + 2);
	ck_assert_str_eq(tail + strlen(tail) - 4, "x...");
	free(tail);
	/* In bytes of several, too. */
	for (int i = 0; i < 500; i++)
		add("\xf0\x9f\x98\x80");
	add("\n");
	tail = vm_console_tail(&console, 1, 4096);
	ck_assert_uint_lt(strlen(tail), VM_CONSOLE_LINE + 2);
	ck_assert_str_eq(tail + strlen(tail) - 4, "\x80...");
	free(tail);
}
END_TEST

START_TEST(test_panic)
{
	add("[    3.564813] Kernel panic - not syncing: Attempted to kill init! "
	    "exitcode=0x00000100\r\n");
	ck_assert_str_eq(console.panic, "Attempted to kill init! exitcode=0x00000100");
	ck_assert(!console.panic_over);
	add("[    3.564815] CPU: 0 PID: 1 Comm: init\r\n");
	add("[    3.6] Kernel panic - not syncing: another\r\n");
	ck_assert_str_eq(console.panic, "Attempted to kill init! exitcode=0x00000100");
	ck_assert_uint_eq(console.panics, 2);
	add("[    3.938298][    T1] ---[ end Kernel panic - not syncing: Attempted to kill init! "
	    "]---\r\n");
	ck_assert(console.panic_over);
}
END_TEST

static void expect_panic(const char *text)
{
	char *panic = vm_console_panic(&console, 4096);

	ck_assert_str_eq(panic, text);
	free(panic);
}

/* The report that led to it comes with it, from its first line on. */
START_TEST(test_panic_text)
{
	add("[ 1.0] a line\r\n");
	expect_panic("");
	add("[ 1.1] ------------[ cut here ]------------\nWARNING\n[ 1.2] ---[ end trace 0 ]---\n");
	for (int i = 0; i < 200; i++)
		add("[ 1.3] much later\n");
	expect_panic("");
	add("[ 2.0] BUG: kernel NULL pointer dereference, address: 0\r\n[ 2.1] Oops: 0000 [#1]\n");
	add("[ 2.2] ---[ end trace 0000000000000000 ]---\n");
	add("[ 2.3] Kernel panic - not syncing: Fatal exception\n[ 2.4] BUG: another\n");
	expect_panic("  [ 2.0] BUG: kernel NULL pointer dereference, address: 0\n"
		     "  [ 2.1] Oops: 0000 [#1]\n"
		     "  [ 2.2] ---[ end trace 0000000000000000 ]---\n"
		     "  [ 2.3] Kernel panic - not syncing: Fatal exception\n"
		     "  [ 2.4] BUG: another");
}
END_TEST

START_TEST(test_panic_text_alone)
{
	add("[ 1.1] BUG: long ago\n");
	for (int i = 0; i < 200; i++)
		add("[ 1.3] much later\n");
	add("[ 2.3] Kernel panic - not syncing: asked for\n[ 2.4] Call Trace:\n");
	expect_panic("  [ 2.3] Kernel panic - not syncing: asked for\n  [ 2.4] Call Trace:");
}
END_TEST

/* What does not fit is left out at the end; what was dropped, at the beginning. */
START_TEST(test_panic_text_cut)
{
	char *panic;

	add("BUG: x\nKernel panic - not syncing: y\n");
	panic = vm_console_panic(&console, 20);
	ck_assert_str_eq(panic, "  BUG: x");
	free(panic);
	for (int i = 0; i < 5000; i++)
		add("a line of the kernel's\n");
	panic = vm_console_panic(&console, 60);
	ck_assert_msg(strstr(panic, "\n  a line of the kernel's"), "%s", panic);
	free(panic);
}
END_TEST

START_TEST(test_panic_forms)
{
	static const char *const lines[] = {
		"Kernel panic - not syncing: x\n",
		"<0>Kernel panic - not syncing: x\n",
		"<0>[    1.000000] Kernel panic - not syncing: x\n",
		"[    1.000000][  T123] Kernel panic - not syncing: x\n",
		"[    1.000000] [   C1] Kernel panic - not syncing: x\n",
	};

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		start();
		add(lines[i]);
		ck_assert_str_eq(console.panic, "x");
	}
	add("Rebooting in 10 seconds..\n");
	ck_assert(console.panic_over);
}
END_TEST

START_TEST(test_no_panic)
{
	add("echo Kernel panic - not syncing: x\n");
	add("[ a log ] of something: Kernel panic - not syncing: x\n");
	add("Kernel panic - not syncin\n");
	add("---[ end Kernel panic - not syncing: x ]---\n");
	add("Rebooting in 5 seconds..\n");
	ck_assert_str_eq(console.panic, "");
	ck_assert(!console.panic_over);
}
END_TEST

/* In any pieces. */
START_TEST(test_pieces)
{
	static const char text[] = "[    1.0] Kernel panic - not syncing: in pieces\r\n"
				   "provium-agent: fatal: no vsock\n";

	for (size_t i = 0; i < sizeof(text) - 1; i++)
		vm_console_add(&console, text + i, 1);
	ck_assert_str_eq(console.panic, "in pieces");
	ck_assert_str_eq(console.fatal, "no vsock");
	check_tail(2, 4096,
		   "  [    1.0] Kernel panic - not syncing: in pieces\n"
		   "  provium-agent: fatal: no vsock");
}
END_TEST

START_TEST(test_fatal)
{
	add("provium-agent: fatal: cannot bind: Address already in use\n");
	ck_assert_str_eq(console.fatal, "cannot bind: Address already in use");
	add("[    2.1] provium-agent: fatal: no vsock: Address family not supported\n");
	ck_assert_str_eq(console.fatal, "no vsock: Address family not supported");
	/* It says itself what helps. */
	ck_assert_ptr_null(console.hint);
}
END_TEST

START_TEST(test_hints)
{
	static const struct {
		const char *line;
		const char *hint;
	} cases[] = {
		{ "[    0.5] Initramfs unpacking failed: junk within compressed archive\n",
		  "cpio archive" },
		{ "[    0.5] check access for rdinit=/provium-wrapper failed: -2, ignoring\n",
		  "CONFIG_BLK_DEV_INITRD" },
		{ "[    0.5] Failed to execute /provium-wrapper (error -8)\n",
		  "CONFIG_BINFMT_ELF" },
		{ "[    0.5] Kernel panic - not syncing: VFS: Unable to mount root fs on "
		  "unknown-block(0,0)\n",
		  "CONFIG_BLK_DEV_INITRD" },
		{ "[    0.5] Kernel panic - not syncing: System is deadlocked on memory\n",
		  "more memory" },
		{ "[    0.5] vsock: version magic '6.12.0 SMP' should be '6.1.0 SMP'\n",
		  "belong to another kernel" },
		{ "[    0.5] vsock: disagrees about version of symbol module_layout\n",
		  "another build" },
		{ "[    0.5] Out of memory: Killed process 7 (x)\n", "more memory" },
		{ "qemu-system-x86_64: -device vhost-user-vsock-pci: 'vhost-user-vsock-pci' is not "
		  "a "
		  "valid device model name\n",
		  "lacks a device" },
		{ "qemu-system-x86_64: cannot set up guest memory 'memory0': Cannot allocate "
		  "memory\n",
		  "less memory" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		start();
		add(cases[i].line);
		ck_assert_msg(console.hint && strstr(console.hint, cases[i].hint), "%s",
			      cases[i].line);
	}
	start();
	add("[    0.1] Linux version 6.12.0\n");
	ck_assert_ptr_null(console.hint);
}
END_TEST

/* Of two that are known, the first is the cause. */
START_TEST(test_first_hint)
{
	add("Initramfs unpacking failed: x\n");
	add("Kernel panic - not syncing: VFS: Unable to mount root fs on x\n");
	ck_assert_ptr_nonnull(strstr(console.hint, "could not unpack"));
}
END_TEST

/* A line without end, NULs and all: bounded, and the next one is read. */
START_TEST(test_hostile_line)
{
	static char junk[100000];

	for (int i = 0; i < 10; i++)
		vm_console_add(&console, junk, sizeof(junk));
	memset(junk, 'A', sizeof(junk));
	vm_console_add(&console, junk, sizeof(junk));
	ck_assert_uint_lt(console.line_length, VM_CONSOLE_LINE);
	add("\nprovium-agent: fatal: x\n");
	ck_assert_str_eq(console.fatal, "x");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("vm-console");
	TCase *tcase = unit_counted_case("console");

	tcase_add_checked_fixture(tcase, start, NULL);
	tcase_add_test(tcase, test_tail);
	tcase_add_test(tcase, test_tail_size);
	tcase_add_test(tcase, test_ring);
	tcase_add_test(tcase, test_clean);
	tcase_add_test(tcase, test_utf8);
	tcase_add_test(tcase, test_long_line);
	tcase_add_test(tcase, test_panic);
	tcase_add_test(tcase, test_panic_text);
	tcase_add_test(tcase, test_panic_text_alone);
	tcase_add_test(tcase, test_panic_text_cut);
	tcase_add_test(tcase, test_panic_forms);
	tcase_add_test(tcase, test_no_panic);
	tcase_add_test(tcase, test_pieces);
	tcase_add_test(tcase, test_fatal);
	tcase_add_test(tcase, test_hints);
	tcase_add_test(tcase, test_first_hint);
	tcase_add_test(tcase, test_hostile_line);
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
