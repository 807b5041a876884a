/* Error values, and the buffers that output is collected in. */
#include "host/lib/error.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "alloc_seam.h"
#include "host/lib/buffer.h"
#include "unit.h"

START_TEST(test_set)
{
	struct provium_error error;

	memset(&error, 0xff, sizeof(error));
	ck_assert_int_eq(error_set(&error, PROVIUM_HOST, ENOENT, "open %s", "/x"), -1);
	ck_assert_int_eq(error.code, PROVIUM_HOST);
	ck_assert_int_eq(error.os_errno, ENOENT);
	ck_assert_str_eq(error.message, "open /x: No such file or directory");
	ck_assert_str_eq(error.operation, "");

	/* The guest's numbers are not ours to name. */
	error_set(&error, PROVIUM_GUEST, ENOENT, "/x: open: ENOENT (none)");
	ck_assert_int_eq(error.os_errno, ENOENT);
	ck_assert_str_eq(error.message, "/x: open: ENOENT (none)");

	ck_assert_int_eq(error_set(NULL, PROVIUM_HOST, EIO, "nobody listens"), -1);
}
END_TEST

START_TEST(test_prefix)
{
	struct provium_error error;

	error_set(&error, PROVIUM_LIMIT, 0, "too long");
	error_prefix(&error, "%s %d", "frame", 3);
	ck_assert_str_eq(error.message, "frame 3: too long");
	ck_assert_int_eq(error.code, PROVIUM_LIMIT);
	/* Built from itself. */
	error_set(&error, PROVIUM_BOOT, 0, "boot failed: %s", error.message);
	ck_assert_str_eq(error.message, "boot failed: frame 3: too long");
	error_prefix(NULL, "nobody listens");
}
END_TEST

/* Of a message that is too long the end stays, which says why. */
START_TEST(test_cut)
{
	struct provium_error error;
	char text[2 * PROVIUM_MESSAGE_SIZE];
	const char *end = error.message + PROVIUM_MESSAGE_SIZE - 1;

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	error_set(&error, PROVIUM_HOST, ENOENT, "%s", text);
	ck_assert_uint_eq(strlen(error.message), PROVIUM_MESSAGE_SIZE - 1);
	ck_assert_str_eq(end - 30, "xxx: No such file or directory");
	error_prefix(&error, "begin");
	ck_assert_uint_eq(strlen(error.message), PROVIUM_MESSAGE_SIZE - 1);
	ck_assert_str_eq(end - 30, "xxx: No such file or directory");
	error_set(&error, PROVIUM_LIMIT, 0, "why");
	error_prefix(&error, "%s", text);
	ck_assert_uint_eq(strlen(error.message), PROVIUM_MESSAGE_SIZE - 1);
	ck_assert_str_eq(end - 4, "xwhy");
}
END_TEST

START_TEST(test_copy_and_clear)
{
	struct provium_error from;
	struct provium_error to;

	error_set(&from, PROVIUM_GUEST, 13, "/x: open: EACCES (no)");
	strcpy(from.operation, "open");
	memset(&to, 0xff, sizeof(to));
	ck_assert_int_eq(error_copy(&to, &from), -1);
	ck_assert_int_eq(to.code, PROVIUM_GUEST);
	ck_assert_int_eq(to.os_errno, 13);
	ck_assert_str_eq(to.operation, "open");
	ck_assert_str_eq(to.message, from.message);
	ck_assert_int_eq(error_copy(NULL, &from), -1);
	ck_assert_int_eq(error_copy(&to, &to), -1);
	error_clear(&to);
	ck_assert_int_eq(to.code, PROVIUM_OK);
	ck_assert_int_eq(to.os_errno, 0);
	ck_assert_str_eq(to.message, "");
	error_clear(NULL);
}
END_TEST

START_TEST(test_names)
{
	for (int code = PROVIUM_OK; code <= PROVIUM_VM_GONE; code++) {
		const char *name = provium_code_name((enum provium_code)code);

		ck_assert_ptr_nonnull(name);
		ck_assert_str_ne(name, "unknown error");
		for (int other = PROVIUM_OK; other < code; other++)
			ck_assert_str_ne(name, provium_code_name((enum provium_code)other));
	}
	ck_assert_str_eq(provium_code_name((enum provium_code)(PROVIUM_SPLAT + 1)),
			 "unknown error");
	ck_assert_str_eq(provium_code_name((enum provium_code) - 1), "unknown error");
}
END_TEST

START_TEST(test_guest_text)
{
	char text[8];

	error_guest_text(text, sizeof(text), "a\x1b[2Jb\x7f");
	ck_assert_str_eq(text, "a?[2Jb?");
	error_guest_text(text, sizeof(text), "gr\xc3\xbc\xc3\x9f\n!");
	ck_assert_str_eq(text, "gr\xc3\xbc\xc3\x9f?");
	error_guest_text(text, sizeof(text), "");
	ck_assert_str_eq(text, "");
	error_guest_text(text, sizeof(text), NULL);
	ck_assert_str_eq(text, "");
}
END_TEST

START_TEST(test_buffer_limit)
{
	struct buffer buffer = { .limit = 10 };
	struct provium_buffer out;

	buffer_append(&buffer, "12345", 5);
	buffer_append(&buffer, "67890", 5);
	ck_assert(!buffer.overflown);
	buffer_append(&buffer, "", 0);
	ck_assert(!buffer.overflown);
	buffer_append(&buffer, "ab", 2);
	ck_assert(buffer.overflown);
	ck_assert_int_eq(buffer_take(&buffer, &out, NULL), 0);
	ck_assert_uint_eq(out.size, 10);
	ck_assert_str_eq(out.data, "1234567890");
	free(out.data);
	buffer_finish(&buffer);
}
END_TEST

START_TEST(test_buffer_part)
{
	struct buffer buffer = { .limit = 3 };
	struct provium_buffer out;

	buffer_append(&buffer, "12345", 5);
	ck_assert(buffer.overflown);
	ck_assert_int_eq(buffer_take(&buffer, &out, NULL), 0);
	ck_assert_str_eq(out.data, "123");
	free(out.data);
}
END_TEST

START_TEST(test_buffer_empty)
{
	struct buffer buffer = { .limit = 3 };
	struct provium_buffer out;

	ck_assert_int_eq(buffer_take(&buffer, &out, NULL), 0);
	ck_assert_uint_eq(out.size, 0);
	ck_assert_str_eq(out.data, "");
	free(out.data);
}
END_TEST

START_TEST(test_buffer_no_memory)
{
	struct buffer buffer = { .limit = 100 };
	struct provium_buffer out;
	struct provium_error error;

	alloc_fail_after(0);
	buffer_append(&buffer, "12345", 5);
	ck_assert(buffer.failed);
	/* What came later would hide the gap. */
	buffer_append(&buffer, "6", 1);
	ck_assert_uint_eq(buffer.size, 0);
	ck_assert_int_eq(buffer_take(&buffer, &out, &error), -1);
	ck_assert_int_eq(error.os_errno, ENOMEM);
	alloc_fail_never();
	buffer_finish(&buffer);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("lib-error");
	TCase *tcase = unit_counted_case("values");

	tcase_add_test(tcase, test_set);
	tcase_add_test(tcase, test_prefix);
	tcase_add_test(tcase, test_cut);
	tcase_add_test(tcase, test_copy_and_clear);
	tcase_add_test(tcase, test_names);
	tcase_add_test(tcase, test_guest_text);
	tcase_add_test(tcase, test_buffer_limit);
	tcase_add_test(tcase, test_buffer_part);
	tcase_add_test(tcase, test_buffer_empty);
	tcase_add_test(tcase, test_buffer_no_memory);
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
