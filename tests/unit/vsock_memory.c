/* Guest memory: what is mapped, which addresses are inside it, what is refused. */
#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/util.h"
#include "host/vsock/memory.h"
#include "unit.h"

#define PAGE ((uint64_t)sysconf(_SC_PAGESIZE))

static struct memory memory;
static struct reason reason;

static int make_file(uint64_t size)
{
	int fd = memfd_create("guest", MFD_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, (off_t)size), 0);
	return fd;
}

/* Maps one region of one file of that size. */
static int map_one(struct memory_region_info info, uint64_t file_size)
{
	cleanup_close int fd = make_file(file_size);

	return memory_replace(&memory, &info, &fd, 1, &reason);
}

START_TEST(translates)
{
	cleanup_close int fd = make_file(4 * PAGE);
	/* The second begins where the first ends for the guest, and elsewhere in the file. */
	const struct memory_region_info infos[] = {
		{ .guest_address = 0, .size = PAGE, .user_address = 1 << 20 },
		{ .guest_address = PAGE,
		  .size = 2 * PAGE,
		  .user_address = 1 << 30,
		  .file_offset = 2 * PAGE },
	};
	const int fds[] = { fd, fd };
	uint64_t length = 10 * PAGE;
	uint8_t *first, *second;

	ck_assert_int_eq(memory_replace(&memory, infos, fds, 2, &reason), 0);

	first = memory_from_guest(&memory, 10, &length);
	ck_assert_uint_eq(length, PAGE - 10);
	length = 10 * PAGE;
	second = memory_from_guest(&memory, PAGE, &length);
	ck_assert_uint_eq(length, 2 * PAGE);
	length = 7;
	ck_assert_ptr_eq(memory_from_guest(&memory, PAGE + 5, &length), second + 5);
	ck_assert_uint_eq(length, 7);

	ck_assert_ptr_eq(memory_from_user(&memory, (1 << 20) + 10, PAGE - 10), first);
	ck_assert_ptr_eq(memory_from_user(&memory, 1 << 30, 2 * PAGE), second);

	/* They are the file's bytes. */
	strcpy((char *)second, "written");
	{
		char text[8];

		ck_assert_int_eq(pread(fd, text, sizeof(text), (off_t)(2 * PAGE)), sizeof(text));
		ck_assert_str_eq(text, "written");
	}
	memory_finish(&memory);
}
END_TEST

START_TEST(keeps_to_borders)
{
	const struct memory_region_info info = { .guest_address = 8 * PAGE,
						 .size = 2 * PAGE,
						 .user_address = 16 * PAGE };
	uint64_t length = 1;

	ck_assert_int_eq(map_one(info, 2 * PAGE), 0);

	ck_assert_ptr_null(memory_from_guest(&memory, 8 * PAGE - 1, &length));
	ck_assert_ptr_nonnull(memory_from_guest(&memory, 10 * PAGE - 1, &length));
	ck_assert_ptr_null(memory_from_guest(&memory, 10 * PAGE, &length));
	ck_assert_ptr_null(memory_from_guest(&memory, 0, &length));
	ck_assert_ptr_null(memory_from_guest(&memory, UINT64_MAX, &length));
	length = UINT64_MAX;
	ck_assert_ptr_nonnull(memory_from_guest(&memory, 9 * PAGE, &length));
	ck_assert_uint_eq(length, PAGE);

	ck_assert_ptr_nonnull(memory_from_user(&memory, 16 * PAGE, 2 * PAGE));
	ck_assert_ptr_null(memory_from_user(&memory, 16 * PAGE, 2 * PAGE + 1));
	ck_assert_ptr_null(memory_from_user(&memory, 16 * PAGE + 1, 2 * PAGE));
	ck_assert_ptr_null(memory_from_user(&memory, 16 * PAGE + 1, UINT64_MAX));
	ck_assert_ptr_null(memory_from_user(&memory, 16 * PAGE - 1, 1));
	ck_assert_ptr_null(memory_from_user(&memory, 18 * PAGE, 0));
	memory_finish(&memory);
}
END_TEST

START_TEST(offset_within_a_page)
{
	/* mmap wants pages; a region need not begin at one. */
	const struct memory_region_info info = {
		.guest_address = 100, .size = PAGE, .user_address = 100, .file_offset = 100
	};
	uint64_t length = PAGE;

	ck_assert_int_eq(map_one(info, 100 + PAGE), 0);
	memset(memory_from_guest(&memory, 100, &length), 1, PAGE);
	ck_assert_uint_eq(length, PAGE);
	memory_finish(&memory);
}
END_TEST

static const struct refused {
	struct memory_region_info info;
	uint64_t file_size;
	const char *text;
} refused[] = {
	{ { .size = 0 }, 4096, "size 0" },
	{ { .size = 8192 }, 4096, "longer than its file" },
	{ { .size = 8192 }, 8191, "longer than its file" },
	{ { .size = 4096, .file_offset = 4096 }, 4096, "longer than its file" },
	{ { .size = 4096, .file_offset = UINT64_MAX - 10 }, 4096, "longer than its file" },
	{ { .size = UINT64_MAX }, 4096, "longer than its file" },
	{ { .size = 4096, .guest_address = UINT64_MAX - 100 }, 4096, "wraps" },
	{ { .size = 4096, .user_address = UINT64_MAX - 100 }, 4096, "wraps" },
};

START_TEST(refuses)
{
	const struct refused *one = &refused[_i];

	ck_assert_int_lt(map_one(one->info, one->file_size), 0);
	ck_assert_msg(strstr(reason.text, one->text), "%s", reason.text);
	ck_assert_uint_eq(memory.count, 0);
}
END_TEST

START_TEST(refuses_what_is_no_file)
{
	const struct memory_region_info info = { .size = 8 };
	cleanup_close int fd = eventfd(0, EFD_CLOEXEC);
	const int closed = 1000;

	ck_assert_int_eq(memory_replace(&memory, &info, &fd, 1, &reason), -EINVAL);
	ck_assert_int_eq(memory_replace(&memory, &info, &closed, 1, &reason), -EBADF);
}
END_TEST

START_TEST(keeps_the_old_when_refusing)
{
	const struct memory_region_info good = { .guest_address = 0, .size = PAGE };
	const struct memory_region_info overlapping[] = {
		{ .guest_address = 0, .size = PAGE },
		{ .guest_address = PAGE - 1, .size = PAGE },
	};
	cleanup_close int fd = make_file(PAGE);
	const int fds[MEMORY_MAX_REGIONS + 1] = { fd, fd };
	uint64_t length = 1;
	void *before;

	ck_assert_int_eq(memory_replace(&memory, &good, fds, 1, &reason), 0);
	before = memory_from_guest(&memory, 0, &length);

	ck_assert_int_eq(memory_replace(&memory, overlapping, fds, 2, &reason), -EINVAL);
	ck_assert_str_eq(reason.text, "memory regions overlap");
	ck_assert_int_eq(memory_replace(&memory, overlapping, fds, MEMORY_MAX_REGIONS + 1, &reason),
			 -EINVAL);
	ck_assert_ptr_eq(memory_from_guest(&memory, 0, &length), before);
	*(volatile uint8_t *)before = 1;

	/* And lets go of it when a new one comes. */
	ck_assert_int_eq(memory_replace(&memory, &good, fds, 0, &reason), 0);
	ck_assert_ptr_null(memory_from_guest(&memory, 0, &length));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("vsock-memory");
	TCase *tcase = unit_counted_case("memory");

	memory_init(&memory);
	tcase_add_test(tcase, translates);
	tcase_add_test(tcase, keeps_to_borders);
	tcase_add_test(tcase, offset_within_a_page);
	tcase_add_loop_test(tcase, refuses, 0, ARRAY_SIZE(refused));
	tcase_add_test(tcase, refuses_what_is_no_file);
	tcase_add_test(tcase, keeps_the_old_when_refusing);
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
