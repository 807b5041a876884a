/* The agent's pure parts: queues, texts, names, paths, and what becomes of an EXEC. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/buffer.h"
#include "agent/errno_name.h"
#include "agent/exec_plan.h"
#include "agent/path.h"
#include "agent/text.h"
#include "alloc_seam.h"
#include "common/cleanup.h"
#include "common/util.h"
#include "unit.h"

/* ------------------------------------------------------------------------------------------- */
/* Queues */

static struct buffer_pool pool;
static struct queue queue;

static void start_queue(void)
{
	alloc_reset();
	alloc_fail_never();
	buffer_pool_init(&pool);
	queue_init(&queue);
}

static void finish_queue(void)
{
	queue_finish(&queue, &pool);
	buffer_pool_finish(&pool);
	ck_assert_uint_eq(alloc_counts.bytes, 0);
}

static void put(uint8_t first, size_t size)
{
	uint8_t *place = queue_reserve(&queue, size + 10);

	ck_assert_ptr_nonnull(place);
	for (size_t i = 0; i < size; i++)
		place[i] = (uint8_t)(first + i);
	queue_commit(&queue, size);
}

/* Takes so many bytes, at most `most` at a time; they count up from `first`. */
static void take(uint8_t first, size_t size, size_t most)
{
	while (size > 0) {
		struct iovec vector[4];
		int entries = queue_peek(&queue, vector, 4);
		size_t count;

		ck_assert_int_gt(entries, 0);
		count = MIN(vector[0].iov_len, most);
		count = MIN(count, size);
		for (size_t i = 0; i < count; i++)
			if (((uint8_t *)vector[0].iov_base)[i] != (uint8_t)(first + i))
				ck_abort_msg("byte %zu of %zu is another", i, size);
		first = (uint8_t)(first + count);
		queue_consume(&queue, count, &pool);
		size -= count;
	}
}

START_TEST(queue_keeps_order)
{
	size_t total = 0;

	for (size_t size = 1; size < 9000; size += 371) {
		put((uint8_t)total, size);
		total += size;
	}
	ck_assert_uint_eq(queue.bytes, total);
	take(0, total, 100);
	ck_assert_uint_eq(queue.bytes, 0);
	ck_assert_int_eq(queue_peek(&queue, &(struct iovec){ 0 }, 1), 0);
}
END_TEST

/* What is small needs no malloc again. */
START_TEST(queue_reuses)
{
	size_t calls;

	put(0, 100);
	take(0, 100, 100);
	calls = alloc_counts.calls;
	for (int i = 0; i < 1000; i++) {
		put(5, 200);
		take(5, 200, 200);
	}
	ck_assert_uint_eq(alloc_counts.calls, calls);
}
END_TEST

START_TEST(queue_with_bulk)
{
	struct buffer *bulk = buffer_pool_take(&pool);

	put(0, 10);
	ck_assert_ptr_nonnull(bulk);
	ck_assert_uint_eq(bulk->end - bulk->start, 0);
	for (size_t i = 0; i < PROVIUM_CHUNK; i++)
		bulk->data[BULK_GAP + i] = (uint8_t)(10 + i);
	bulk->end = BULK_GAP + PROVIUM_CHUNK;
	queue_append(&queue, bulk);
	put((uint8_t)(10 + PROVIUM_CHUNK), 10);
	ck_assert_uint_eq(queue.bytes, 20 + PROVIUM_CHUNK);
	take(0, 20 + PROVIUM_CHUNK, 100000);
	/* It went back. */
	ck_assert_uint_eq(pool.count, 1);
	ck_assert_ptr_eq(buffer_pool_take(&pool), bulk);
	buffer_pool_give(&pool, bulk);
}
END_TEST

START_TEST(pool_is_bounded)
{
	struct buffer *buffers[20];

	for (int i = 0; i < 20; i++)
		buffers[i] = buffer_pool_take(&pool);
	for (int i = 0; i < 20; i++)
		buffer_pool_give(&pool, buffers[i]);
	ck_assert_uint_le(alloc_counts.bytes, MIB(2));
	buffer_pool_trim(&pool);
	ck_assert_uint_le(alloc_counts.bytes, KIB(300));
	buffer_pool_give(&pool, NULL);
}
END_TEST

START_TEST(queue_without_memory)
{
	put(0, 4000);
	alloc_fail_after(0);
	ck_assert_ptr_null(queue_reserve(&queue, 4000));
	alloc_fail_after(0);
	ck_assert_ptr_null(buffer_pool_take(&pool));
	take(0, 4000, 4000);
}
END_TEST

/* ------------------------------------------------------------------------------------------- */
/* Texts and names */

START_TEST(utf8)
{
	static const struct {
		const char *text, *expected;
	} cases[] = {
		{ "", "" },
		{ "plain", "plain" },
		{ "a\nb\tc\x7f\x01", "a?b?c??" },
		{ "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80" },
		/* Cut. */
		{ "x\xe2\x82", "x??" },
		{ "\xf0\x9f\x98", "???" },
		{ "\xc3", "?" },
		/* Overlong, a surrogate, beyond the last code point, a lone continuation. */
		{ "\xc0\x80\xc1\xbf", "????" },
		{ "\xe0\x80\x80", "???" },
		{ "\xed\xa0\x80", "???" },
		{ "\xf4\x90\x80\x80", "????" },
		{ "\xf5\x80\x80\x80", "????" },
		{ "\x80\xff", "??" },
		{ "\xed\x9f\xbf\xf4\x8f\xbf\xbf", "\xed\x9f\xbf\xf4\x8f\xbf\xbf" },
	};
	char lines[] = "a\nb\tc\x7f\x01";

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char text[32];

		snprintf(text, sizeof(text), "%s", cases[i].text);
		text_make_utf8(text, false);
		ck_assert_str_eq(text, cases[i].expected);
	}
	text_make_utf8(lines, true);
	ck_assert_str_eq(lines, "a\nb\tc??");
}
END_TEST

START_TEST(numbers)
{
	const char *const wrong[] = {
		"", " 1", "+1", "-1", "x", "18446744073709551616", "99999999999999999999"
	};
	const char *text = "0 12 18446744073709551615x";
	uint64_t value;

	ck_assert(text_read_number(&text, &value));
	ck_assert_uint_eq(value, 0);
	text++;
	ck_assert(text_read_number(&text, &value));
	ck_assert_uint_eq(value, 12);
	text++;
	ck_assert(text_read_number(&text, &value));
	ck_assert_uint_eq(value, UINT64_MAX);
	ck_assert_str_eq(text, "x");
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		text = wrong[i];
		ck_assert(!text_read_number(&text, &value));
		ck_assert_ptr_eq(text, wrong[i]);
	}
}
END_TEST

START_TEST(errno_names)
{
	ck_assert_str_eq(errno_name(EPERM), "EPERM");
	ck_assert_str_eq(errno_name(ENOENT), "ENOENT");
	ck_assert_str_eq(errno_name(EAGAIN), "EAGAIN");
	ck_assert_str_eq(errno_name(EHWPOISON), "EHWPOISON");
	ck_assert_ptr_null(errno_name(0));
	ck_assert_ptr_null(errno_name(-1));
	ck_assert_ptr_null(errno_name(EHWPOISON + 1));
	ck_assert_ptr_null(errno_name(EPERM + 256));
	for (int number = 0; number < 200; number++) {
		const char *name = errno_name(number);
		const char *expected = strerrorname_np(number);

		/* glibc names 0, and one of the two that are alike on each architecture. */
		if (number == 0)
			continue;
		ck_assert_int_eq(name != NULL, expected != NULL);
		if (name && number != EOPNOTSUPP)
			ck_assert_str_eq(name, expected);
	}
}
END_TEST

START_TEST(paths)
{
	cleanup_free char *absolute =
		path_from_bytes(&(ProtobufCBinaryData){ 4, (uint8_t *)"/a/bXX" });
	cleanup_free char *relative =
		path_from_bytes(&(ProtobufCBinaryData){ 3, (uint8_t *)"a/bXX" });

	ck_assert_str_eq(absolute, "/a/b");
	ck_assert_str_eq(relative, "/a/b");
}
END_TEST

/* ------------------------------------------------------------------------------------------- */
/* EXEC */

static const Provium__V1__Exec plain_exec = PROVIUM__V1__EXEC__INIT;

static ProtobufCBinaryData bytes(const char *text)
{
	return (ProtobufCBinaryData){ strlen(text), (uint8_t *)(uintptr_t)text };
}

static char *const nothing[] = { NULL };

static void expect_strings(char *const *strings, ...)
{
	const char *expected;
	va_list list;

	va_start(list, strings);
	while ((expected = va_arg(list, const char *))) {
		ck_assert_ptr_nonnull(*strings);
		ck_assert_str_eq(*strings++, expected);
	}
	va_end(list);
	ck_assert_ptr_null(*strings);
}

START_TEST(plan_of_argv)
{
	ProtobufCBinaryData argv[] = { bytes("tool"), bytes(""), bytes("a b") };
	Provium__V1__Exec exec = plain_exec;
	struct check_failure failure;
	struct exec_plan plan;

	exec.argv = argv;
	exec.n_argv = ARRAY_SIZE(argv);
	ck_assert(exec_plan_make(&plan, &exec, nothing, &failure));
	expect_strings(plan.argv, "tool", "", "a b", NULL);
	expect_strings(plan.envp, "PATH=" DEFAULT_PATH, "HOME=/", "TERM=linux", NULL);
	ck_assert_str_eq(plan.cwd, "/");
	ck_assert_str_eq(plan.options.search_path, DEFAULT_PATH);
	exec_plan_finish(&plan);
	argv[0] = bytes("./tool");
	ck_assert(exec_plan_make(&plan, &exec, nothing, &failure));
	ck_assert_ptr_null(plan.options.search_path);
	exec_plan_finish(&plan);
}
END_TEST

START_TEST(plan_of_shell)
{
	Provium__V1__Exec exec = plain_exec;
	struct check_failure failure;
	struct exec_plan plan;

	exec.has_shell = true;
	exec.shell = bytes("exit 1");
	exec.has_cwd = true;
	exec.cwd = bytes("some/where");
	ck_assert(exec_plan_make(&plan, &exec, nothing, &failure));
	expect_strings(plan.argv, "/bin/sh", "-c", "exit 1", NULL);
	ck_assert_str_eq(plan.cwd, "/some/where");
	ck_assert_ptr_null(plan.options.search_path);
	exec_plan_finish(&plan);
}
END_TEST

START_TEST(plan_of_environment)
{
	char *const inherited[] = { (char *)"TERM=vt100", (char *)"A=inherited",
				    (char *)"PATH=/inherited", (char *)"AB=2", NULL };
	ProtobufCBinaryData argv[] = { bytes("tool") };
	ProtobufCBinaryData env[] = { bytes("A=1"), bytes("C="), bytes("A=3"), bytes("B==") };
	Provium__V1__Exec exec = plain_exec;
	struct check_failure failure;
	struct exec_plan plan;

	exec.argv = argv;
	exec.n_argv = 1;
	exec.env = env;
	exec.n_env = ARRAY_SIZE(env);
	ck_assert(exec_plan_make(&plan, &exec, inherited, &failure));
	expect_strings(plan.envp, "TERM=vt100", "A=3", "PATH=/inherited", "AB=2", "HOME=/",
		       "C=", "B==", NULL);
	ck_assert_str_eq(plan.options.search_path, "/inherited");
	exec_plan_finish(&plan);
	exec.has_clear_env = true;
	exec.clear_env = true;
	ck_assert(exec_plan_make(&plan, &exec, inherited, &failure));
	expect_strings(plan.envp, "A=3", "C=", "B==", NULL);
	/* Without a PATH it is looked for where programs are. */
	ck_assert_str_eq(plan.options.search_path, DEFAULT_PATH);
	exec_plan_finish(&plan);
}
END_TEST

/* Hundreds of thousands of entries take no longer than they are many. */
START_TEST(plan_of_a_large_environment)
{
	enum {
		COUNT = 300000
	};
	cleanup_free ProtobufCBinaryData *env = calloc(COUNT, sizeof(*env));
	cleanup_free char *text = calloc(COUNT, 16);
	Provium__V1__Exec exec = plain_exec;
	struct check_failure failure;
	struct exec_plan plan;
	size_t count = 0;

	for (int i = 0; i < COUNT; i++) {
		snprintf(text + (size_t)i * 16, 16, "N%d=%d", i % (COUNT / 2), i);
		env[i] = bytes(text + (size_t)i * 16);
	}
	exec.has_shell = true;
	exec.env = env;
	exec.n_env = COUNT;
	exec.has_clear_env = true;
	exec.clear_env = true;
	ck_assert(exec_plan_make(&plan, &exec, nothing, &failure));
	while (plan.envp[count])
		count++;
	ck_assert_uint_eq(count, COUNT / 2);
	ck_assert_str_eq(plan.envp[0], "N0=150000");
	exec_plan_finish(&plan);
}
END_TEST

START_TEST(plan_that_is_none)
{
	static const char *const wrong[] = { "", "=", "=a", "name" };
	cleanup_free char *path = malloc(MAX_SEARCH_PATH + 16);
	ProtobufCBinaryData argv[] = { bytes("tool") }, env[1];
	Provium__V1__Exec exec = plain_exec;
	struct check_failure failure;
	struct exec_plan plan;

	ck_assert(!exec_plan_make(&plan, &exec, nothing, &failure));
	exec.argv = argv;
	exec.n_argv = 1;
	exec.env = env;
	exec.n_env = 1;
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		env[0] = bytes(wrong[i]);
		ck_assert(!exec_plan_make(&plan, &exec, nothing, &failure));
		ck_assert_int_eq(failure.code, ERROR_INVALID);
		ck_assert_str_eq(failure.text, "env: an entry is not NAME=VALUE");
	}
	memset(path, ':', MAX_SEARCH_PATH + 5);
	memcpy(path, "PATH=", 5);
	path[MAX_SEARCH_PATH + 5] = '\0';
	env[0] = bytes(path);
	ck_assert(!exec_plan_make(&plan, &exec, nothing, &failure));
	ck_assert_int_eq(failure.code, ERROR_INVALID);
	ck_assert_str_eq(failure.text, "env: PATH is too long");
	path[MAX_SEARCH_PATH + 4] = '\0';
	env[0] = bytes(path);
	ck_assert(exec_plan_make(&plan, &exec, nothing, &failure));
	exec_plan_finish(&plan);
}
END_TEST

START_TEST(plan_without_memory)
{
	char *const inherited[] = { (char *)"A=1", NULL };
	ProtobufCBinaryData argv[] = { bytes("tool"), bytes("argument") };
	ProtobufCBinaryData env[] = { bytes("B=1"), bytes("A=3") };
	Provium__V1__Exec exec = plain_exec;
	struct check_failure failure;
	struct exec_plan plan;
	size_t failures = 0;

	exec.argv = argv;
	exec.n_argv = ARRAY_SIZE(argv);
	exec.env = env;
	exec.n_env = ARRAY_SIZE(env);
	for (;; failures++) {
		alloc_reset();
		alloc_fail_after(failures);
		if (exec_plan_make(&plan, &exec, inherited, &failure))
			break;
		ck_assert_int_eq(failure.code, ERROR_LIMIT);
		ck_assert_str_eq(failure.text, "no memory");
		ck_assert_uint_eq(alloc_counts.bytes, 0);
	}
	ck_assert_uint_eq(failures, 2);
	exec_plan_finish(&plan);
	ck_assert_uint_eq(alloc_counts.bytes, 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("agent: parts");
	TCase *queues = tcase_create("queues");
	TCase *texts = tcase_create("texts");
	TCase *plans = tcase_create("plans");

	tcase_add_checked_fixture(queues, start_queue, finish_queue);
	tcase_add_test(queues, queue_keeps_order);
	tcase_add_test(queues, queue_reuses);
	tcase_add_test(queues, queue_with_bulk);
	tcase_add_test(queues, pool_is_bounded);
	tcase_add_test(queues, queue_without_memory);
	suite_add_tcase(suite, queues);
	tcase_add_test(texts, utf8);
	tcase_add_test(texts, numbers);
	tcase_add_test(texts, errno_names);
	tcase_add_test(texts, paths);
	suite_add_tcase(suite, texts);
	tcase_add_test(plans, plan_of_argv);
	tcase_add_test(plans, plan_of_shell);
	tcase_add_test(plans, plan_of_environment);
	tcase_add_test(plans, plan_of_a_large_environment);
	tcase_add_test(plans, plan_that_is_none);
	tcase_add_test(plans, plan_without_memory);
	suite_add_tcase(suite, plans);
	return unit_run(suite);
}
