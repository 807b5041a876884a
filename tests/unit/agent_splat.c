/*
 * Splats in the kernel's log. The reports in the directory that is named are what kernels print, a
 * line of the file per line of the log; those with a version in their name that the tests boot were
 * printed by that kernel for tests/kmod.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/splat.h"
#include "alloc_seam.h"
#include "common/cleanup.h"
#include "common/util.h"
#include "proto/codec.h"
#include "unit.h"

#define KIND(name) PROVIUM__V1__KERNEL_EVENT_KIND__KERNEL_##name

/* Priorities: the kernel's, and that of a process that writes to /dev/kmsg. */
#define BY_KERNEL  4
#define BY_PROCESS 12

static const char *directory;

static const struct {
	const char *name;
	int kind;
} reports[] = {
	{ "warning-6.1", KIND(WARNING) },
	{ "warning-6.12", KIND(WARNING) },
	{ "warning-6.17", KIND(WARNING) },
	{ "bug-6.1", KIND(BUG) },
	{ "bug-6.12", KIND(BUG) },
	{ "oops-6.1", KIND(OOPS) },
	{ "oops-6.12", KIND(OOPS) },
	{ "oops-arm64", KIND(OOPS) },
	{ "protection-6.1", KIND(GENERAL_PROTECTION) },
	{ "protection-6.12", KIND(GENERAL_PROTECTION) },
	{ "refcount-6.1", KIND(REFCOUNT) },
	{ "refcount-6.12", KIND(REFCOUNT) },
	{ "rcu-stall-6.1", KIND(RCU_STALL) },
	{ "rcu-stall-6.12", KIND(RCU_STALL) },
	{ "soft-lockup-6.1", KIND(SOFT_LOCKUP) },
	{ "soft-lockup-6.12", KIND(SOFT_LOCKUP) },
	{ "hard-lockup", KIND(SOFT_LOCKUP) },
	{ "hung-task", KIND(HUNG_TASK) },
	{ "kasan", KIND(KASAN) },
	{ "kcsan", KIND(KCSAN) },
	{ "ubsan-6.1", KIND(UBSAN) },
	{ "ubsan-6.12", KIND(UBSAN) },
	{ "lockdep-circular", KIND(LOCKDEP) },
	{ "lockdep-held", KIND(LOCKDEP) },
	{ "lockdep-inconsistent", KIND(LOCKDEP) },
	{ "lockdep-irq", KIND(LOCKDEP) },
	{ "lockdep-key", KIND(LOCKDEP) },
	{ "lockdep-rcu", KIND(LOCKDEP) },
	{ "lockdep-recursive", KIND(LOCKDEP) },
	{ "lockdep-wait-context", KIND(LOCKDEP) },
	{ "sleeping", KIND(BUG) },
	{ "slab", KIND(BUG) },
	{ "stack-guard-6.12", KIND(BUG) },
	{ "kmemleak", KIND(KMEMLEAK) },
};

/* What has been found. */
static struct {
	int kind;
	char *text;
	uint64_t timestamp_us;
} found[64];
static size_t found_count;

static struct splat splat;
static uint64_t now_us;

static void on_found(void *user, const struct splat *block)
{
	ck_assert_ptr_eq(user, &splat);
	ck_assert_uint_lt(found_count, ARRAY_SIZE(found));
	found[found_count].kind = block->kind;
	found[found_count].timestamp_us = block->timestamp_us;
	found[found_count++].text = strndup(block->text ? block->text : "", block->length);
}

static void start(void)
{
	found_count = 0;
	now_us = 1000;
	alloc_reset();
	alloc_fail_never();
	splat_init(&splat, on_found, &splat);
}

static void forget(void)
{
	while (found_count > 0)
		free(found[--found_count].text);
}

static void finish(void)
{
	forget();
	splat_finish(&splat);
	ck_assert_uint_eq(alloc_counts.bytes, 0);
}

static void say(unsigned int priority, const char *text)
{
	struct kmsg_record record = {
		.priority = priority,
		.timestamp_us = now_us++,
		.text = text,
		.length = strlen(text),
	};

	splat_add(&splat, &record);
}

static char *read_report(const char *name)
{
	char path[512];
	char *text = calloc(1, 32768);
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s.txt", directory, name);
	file = fopen(path, "re");
	ck_assert_msg(file != NULL, "%s", path);
	ck_assert_uint_gt(fread(text, 1, 32767, file), 0);
	fclose(file);
	text[strlen(text) - 1] = '\0';
	return text;
}

/* A record for each line; between them, others'. */
static void say_report(const char *text, bool mixed)
{
	cleanup_free char *copy = strdup(text);
	char *rest = copy, *line;

	while ((line = strsep(&rest, "\n"))) {
		say(BY_KERNEL, line);
		if (mixed)
			say(BY_PROCESS, "systemd[1]: BUG: this line is a process's");
	}
}

static void expect(size_t index, int kind, const char *text)
{
	ck_assert_uint_gt(found_count, index);
	ck_assert_int_eq(found[index].kind, kind);
	ck_assert_str_eq(found[index].text, text);
}

/* ------------------------------------------------------------------------------------------- */

START_TEST(finds_each_report_whole)
{
	cleanup_free char *text = read_report(reports[_i].name);

	say(BY_KERNEL, "provium_test: loading out-of-tree module taints kernel.");
	say_report(text, false);
	/* With its last line, and not when it is flushed. */
	expect(0, reports[_i].kind, text);
	/* That of its headline. */
	ck_assert_uint_eq(found[0].timestamp_us, text[0] == '=' ? 1002 : 1001);
	say(BY_KERNEL, "RIP: 0010:test_ioctl+0x456/0x4c0 [provium_test]");
	say(BY_KERNEL, "note: t[92] exited with irqs disabled");
	splat_flush(&splat);
	ck_assert_uint_eq(found_count, 1);
}
END_TEST

START_TEST(leaves_out_what_processes_say)
{
	cleanup_free char *text = read_report(reports[_i].name);

	say_report(text, true);
	splat_flush(&splat);
	ck_assert_uint_eq(found_count, 1);
	expect(0, reports[_i].kind, text);
}
END_TEST

/* As pstore's or a test's own: who writes a report gets the event. */
START_TEST(takes_a_report_that_a_process_writes)
{
	cleanup_free char *text = read_report(reports[_i].name);
	struct kmsg_record record = { BY_PROCESS, 1, 1, text, strlen(text) };

	/* Of one record with many lines. */
	splat_add(&splat, &record);
	ck_assert_uint_eq(found_count, 1);
	expect(0, reports[_i].kind, text);
}
END_TEST

START_TEST(finds_all_in_a_row)
{
	for (size_t i = 0; i < ARRAY_SIZE(reports); i++) {
		cleanup_free char *text = read_report(reports[i].name);

		say_report(text, false);
		ck_assert_uint_eq(found_count, 1);
		expect(0, reports[i].kind, text);
		forget();
	}
}
END_TEST

/* The last line is lost: the next headline ends it, and time does. */
START_TEST(ends_a_block_that_lacks_its_end)
{
	cleanup_free char *text = read_report(reports[_i].name);
	cleanup_free char *warning = read_report("warning-6.12");
	char *last = strrchr(text, '\n');

	if (!last)
		return;
	*last = '\0';
	say_report(text, false);
	ck_assert_uint_eq(found_count, 0);
	say_report(warning, false);
	ck_assert_uint_eq(found_count, 2);
	expect(0, reports[_i].kind, text);
	expect(1, KIND(WARNING), warning);

	forget();
	say_report(text, false);
	splat_flush(&splat);
	ck_assert_uint_eq(found_count, 1);
	expect(0, reports[_i].kind, text);
	splat_flush(&splat);
	ck_assert_uint_eq(found_count, 1);
}
END_TEST

/* A block has one headline: of the second's "cut here" nothing came. */
START_TEST(ends_a_block_with_the_next_headline)
{
	say(BY_KERNEL, "------------[ cut here ]------------");
	say(BY_KERNEL, "WARNING: CPU: 0 PID: 1 at a.c:1 a+0x1/0x2");
	say(BY_KERNEL, "WARNING: CPU: 0 PID: 1 at b.c:1 b+0x1/0x2");
	say(BY_KERNEL, "---[ end trace 0000000000000000 ]---");
	ck_assert_uint_eq(found_count, 2);
	expect(0, KIND(WARNING),
	       "------------[ cut here ]------------\nWARNING: CPU: 0 PID: 1 at a.c:1 a+0x1/0x2");
	expect(1, KIND(WARNING),
	       "WARNING: CPU: 0 PID: 1 at b.c:1 b+0x1/0x2\n---[ end trace 0000000000000000 ]---");
}
END_TEST

START_TEST(finds_nothing_in_a_usual_log)
{
	static const char *const lines[] = {
		"Linux version 6.1.0-56-cloud-amd64 (debian-kernel@lists.debian.org) #1 SMP",
		"WARNING: something that a driver wants to say",
		"BUG in initramfs '/cpio' encode",
		"Spectre V2 : WARNING: Unprivileged eBPF is enabled with eIBRS on",
		"INFO: lockdep is turned off.",
		"INFO: task scheduling is fair",
		"rcu: INFO: about to begin",
		"rcu: Hierarchical RCU implementation.",
		"kmemleak: Kernel memory leak detector initialized (mem pool available: 15749)",
		"pci 0000:00:1f.2: BAR 4 [#1]",
		"sh[231]: segfault at 0 ip 0000000000401136 sp 00007ffd3c3f9a50 error 4 in sh",
		" </TASK>",
		"---[ end trace 0000000000000000 ]---",
		"==================================================================",
		"==================================================================",
		"a line after a rule",
		"====",
		"WARNING: a rule that short is none",
		"",
	};

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
		say(BY_KERNEL, lines[i]);
	splat_flush(&splat);
	ck_assert_uint_eq(found_count, 0);
}
END_TEST

START_TEST(keeps_a_rule_that_is_part_of_a_block)
{
	say(BY_KERNEL, "BUG: workqueue leaked lock or atomic: kworker/0:1/0x00000001/12");
	say(BY_KERNEL, "====================");
	say(BY_KERNEL, "not a headline");
	say(BY_KERNEL, " </TASK>");
	expect(0, KIND(BUG),
	       "BUG: workqueue leaked lock or atomic: kworker/0:1/0x00000001/12\n"
	       "====================\nnot a headline\n </TASK>");
}
END_TEST

START_TEST(bounds_what_it_keeps)
{
	char line[1024];

	memset(line, 'x', sizeof(line) - 1);
	line[sizeof(line) - 1] = '\0';
	say(BY_KERNEL, "------------[ cut here ]------------");
	for (int i = 0; i < 100; i++)
		say(BY_KERNEL, line);
	ck_assert_uint_eq(found_count, 1);
	ck_assert_uint_le(strlen(found[0].text), SPLAT_MAX_TEXT);
	ck_assert_uint_gt(strlen(found[0].text), SPLAT_MAX_TEXT - 2);

	say(BY_KERNEL, "------------[ cut here ]------------");
	for (int i = 0; i < SPLAT_MAX_LINES; i++)
		say(BY_KERNEL, "");
	ck_assert_uint_eq(found_count, 2);
	ck_assert_uint_eq(strlen(found[1].text), 36 + SPLAT_MAX_LINES - 1);
}
END_TEST

/* Records that are cut, at every byte, with and without a seam: nothing is read beyond its end. */
START_TEST(takes_cut_records)
{
	cleanup_free char *text = read_report(reports[_i].name);
	size_t length = strlen(text);

	for (size_t cut = 0; cut <= length; cut += 1 + cut % 7) {
		cleanup_free char *first = strndup(text, cut);
		struct kmsg_record record = { BY_KERNEL, 1, 1, first, cut };

		splat_add(&splat, &record);
		record.text = text + cut;
		record.length = length - cut;
		splat_add(&splat, &record);
		splat_flush(&splat);
		forget();
	}
}
END_TEST

START_TEST(goes_on_without_memory)
{
	cleanup_free char *text = read_report("oops-6.12");

	alloc_fail_after(0);
	say_report(text, false);
	alloc_fail_never();
	ck_assert_uint_eq(found_count, 1);
	ck_assert_int_eq(found[0].kind, KIND(OOPS));
	/* A line is missing, the others are there. */
	ck_assert_str_eq(found[0].text, strchr(text, '\n') + 1);
}
END_TEST

/* ------------------------------------------------------------------------------------------- */
/* Records */

static bool parse(const char *text, struct kmsg_record *record, char copy[static 256])
{
	snprintf(copy, 256, "%s", text);
	return kmsg_parse(copy, strlen(text), record);
}

START_TEST(parses_records)
{
	static const struct {
		const char *data;
		unsigned int priority;
		uint64_t sequence;
		uint64_t timestamp_us;
		const char *text;
	} good[] = {
		{ "6,339,5140900,-;NET: Registered\n", 6, 339, 5140900, "NET: Registered" },
		{ "4,604,6359510,c;\\x09(t=750)\n", 4, 604, 6359510, "\t(t=750)" },
		{ "7,160,424069,-;pci_root\n SUBSYSTEM=acpi\n DEVICE=+acpi:1\n", 7, 160, 424069,
		  "pci_root" },
		{ "30,1,2,-,caller=T12;a;b\n", 30, 1, 2, "a;b" },
		{ "4,1,2,-,caller=C0,more=x;two\\x0alines \\x5cx41\n", 4, 1, 2,
		  "two\nlines \\x41" },
		{ "4,1,2;short prefix\n", 4, 1, 2, "short prefix" },
		{ "4,1,2,-;", 4, 1, 2, "" },
		{ "4,1,2,-;\\x4", 4, 1, 2, "\\x4" },
		{ "4,1,2,-;\\xZZ\\", 4, 1, 2, "\\xZZ\\" },
		{ "4,18446744073709551615,2,-;far\n", 4, UINT64_MAX, 2, "far" },
	};
	struct kmsg_record record;
	char copy[256];

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		ck_assert_msg(parse(good[i].data, &record, copy), "%s", good[i].data);
		ck_assert_uint_eq(record.priority, good[i].priority);
		ck_assert_uint_eq(record.sequence, good[i].sequence);
		ck_assert_uint_eq(record.timestamp_us, good[i].timestamp_us);
		ck_assert_uint_eq(record.length, strlen(good[i].text));
		ck_assert_mem_eq(record.text, good[i].text, record.length);
	}
}
END_TEST

START_TEST(refuses_what_is_no_record)
{
	static const char *const bad[] = {
		"",
		";",
		"4;x",
		"4,1;x",
		"4,1,;x",
		"x,1,2,-;x",
		"4,1,2-;x",
		"-4,1,2,-;x",
		"4294967296,1,2,-;x",
		"4,18446744073709551616,2,-;x",
		"4,1,2,- no text\n",
	};
	struct kmsg_record record;
	char copy[256];

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		ck_assert_msg(!parse(bad[i], &record, copy), "%s", bad[i]);
}
END_TEST

/* Each beginning of a record, in memory that ends with it. */
START_TEST(takes_cut_prefixes)
{
	static const char whole[] = "4,604,6359510,c,caller=T1;\\x09(t=750)\\x0aa\n A=b\n";

	for (size_t size = 0; size < sizeof(whole); size++) {
		char *data = malloc(size + 1);
		struct kmsg_record record;

		memcpy(data, whole, size);
		kmsg_parse(data, size, &record);
		free(data);
	}
}
END_TEST

int main(int argc, char **argv)
{
	Suite *suite = suite_create("agent-splat");
	TCase *tcase = tcase_create("splats");
	int count = ARRAY_SIZE(reports);

	if (argc < 2)
		return 2;
	directory = argv[1];
	tcase_add_checked_fixture(tcase, start, finish);
	tcase_add_loop_test(tcase, finds_each_report_whole, 0, count);
	tcase_add_loop_test(tcase, leaves_out_what_processes_say, 0, count);
	tcase_add_loop_test(tcase, takes_a_report_that_a_process_writes, 0, count);
	tcase_add_loop_test(tcase, ends_a_block_that_lacks_its_end, 0, count);
	tcase_add_loop_test(tcase, takes_cut_records, 0, count);
	tcase_add_test(tcase, finds_all_in_a_row);
	tcase_add_test(tcase, ends_a_block_with_the_next_headline);
	tcase_add_test(tcase, finds_nothing_in_a_usual_log);
	tcase_add_test(tcase, keeps_a_rule_that_is_part_of_a_block);
	tcase_add_test(tcase, bounds_what_it_keeps);
	tcase_add_test(tcase, goes_on_without_memory);
	suite_add_tcase(suite, tcase);

	tcase = tcase_create("records");
	tcase_add_test(tcase, parses_records);
	tcase_add_test(tcase, refuses_what_is_no_record);
	tcase_add_test(tcase, takes_cut_prefixes);
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
