/* Names of system calls and errnos. */
#include "host/include/provium_names.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/utsname.h>

#include "common/util.h"
#include "unit.h"

/* More than any of the architectures has. */
#define NUMBERS 1000

/* Both ways. */
static void expect_syscall(const char *arch, const char *name, int number)
{
	ck_assert_msg(provium_syscall_number(arch, name) == number, "%s: %s is %d", arch, name,
		      provium_syscall_number(arch, name));
	ck_assert_str_eq(provium_syscall_name(arch, (uint32_t)number), name);
}

/* Of this machine: as the C library has them. */
START_TEST(test_own_syscalls)
{
	struct utsname machine;

	ck_assert_int_eq(uname(&machine), 0);
#define EXPECT(name) expect_syscall(machine.machine, #name, SYS_##name)
	EXPECT(read);
	EXPECT(openat);
	EXPECT(mmap);
	EXPECT(lseek);
	EXPECT(fcntl);
	EXPECT(newfstatat);
	EXPECT(sendfile);
	EXPECT(rt_sigprocmask);
	EXPECT(clone3);
	EXPECT(statx);
	EXPECT(futex_waitv);
#undef EXPECT
}
END_TEST

/*
 * What syscalls(2) and syscall(2) tell of the architectures: x86-64 has its own list, the others
 * the common one, in which calls that were replaced are missing.
 */
START_TEST(test_syscalls)
{
	static const char *const common[] = { "aarch64", "riscv64" };

	expect_syscall("x86_64", "read", 0);
	expect_syscall("x86_64", "open", 2);
	expect_syscall("x86_64", "arch_prctl", 158);
	expect_syscall("x86_64", "openat", 257);
	for (size_t i = 0; i < ARRAY_SIZE(common); i++) {
		expect_syscall(common[i], "io_setup", 0);
		expect_syscall(common[i], "openat", 56);
		expect_syscall(common[i], "read", 63);
		expect_syscall(common[i], "mmap", 222);
		expect_syscall(common[i], "fcntl", 25);
		expect_syscall(common[i], "clone3", 435);
		ck_assert_int_eq(provium_syscall_number(common[i], "open"), -1);
		ck_assert_int_eq(provium_syscall_number(common[i], "arch_prctl"), -1);
	}
	/* riscv64 came without it. */
	expect_syscall("aarch64", "renameat", 38);
	ck_assert_int_eq(provium_syscall_number("riscv64", "renameat"), -1);
	/* Since Linux 5.0 new calls have the same number everywhere. */
	for (size_t i = 0; i < ARRAY_SIZE(common); i++)
		for (uint32_t number = 424; number < NUMBERS; number++) {
			const char *name = provium_syscall_name("x86_64", number);

			if (name && provium_syscall_name(common[i], number))
				ck_assert_str_eq(provium_syscall_name(common[i], number), name);
		}
}
END_TEST

/* Each name leads to the number that it came from. */
START_TEST(test_all_syscalls)
{
	static const char *const archs[] = { "x86_64", "aarch64", "riscv64" };

	for (size_t i = 0; i < ARRAY_SIZE(archs); i++) {
		unsigned int count = 0;

		for (uint32_t number = 0; number < NUMBERS; number++) {
			const char *name = provium_syscall_name(archs[i], number);

			if (!name)
				continue;
			expect_syscall(archs[i], name, (int)number);
			count++;
		}
		ck_assert_uint_ge(count, 280);
		ck_assert_uint_lt(count, 600);
	}
}
END_TEST

START_TEST(test_unknown_syscalls)
{
	static const char *const names[] = { "",          "rea",      "readx",
					     "__NR_read", "syscalls", "arch_specific_syscall" };
	static const char *const archs[] = { "", "x86_6", "x86-64", "i386" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		ck_assert_int_eq(provium_syscall_number("x86_64", names[i]), -1);
		ck_assert_int_eq(provium_syscall_number("aarch64", names[i]), -1);
	}
	for (size_t i = 0; i < ARRAY_SIZE(archs); i++) {
		ck_assert_int_eq(provium_syscall_number(archs[i], "read"), -1);
		ck_assert_ptr_null(provium_syscall_name(archs[i], 0));
	}
	ck_assert_ptr_null(provium_syscall_name("x86_64", 100000));
	ck_assert_ptr_null(provium_syscall_name("x86_64", UINT32_MAX));
}
END_TEST

START_TEST(test_errnos)
{
	ck_assert_int_eq(provium_errno_number("EDEADLOCK"), EDEADLOCK);
	ck_assert_int_eq(provium_errno_number("EWOULDBLOCK"), EWOULDBLOCK);
	ck_assert_int_eq(provium_errno_number("EHWPOISON"), EHWPOISON);
	ck_assert_str_eq(provium_errno_name(EAGAIN), "EAGAIN");
	ck_assert_str_eq(provium_errno_name(EDEADLK), "EDEADLK");
	/* The C library names the same numbers, one of them otherwise. */
	for (int number = -10; number < 5000; number++) {
		const char *name = provium_errno_name(number), *other = strerrorname_np(number);

		if (number <= 0 || !other) {
			ck_assert_ptr_null(name);
			continue;
		}
		ck_assert_int_eq(provium_errno_number(name), number);
		ck_assert_str_eq(name, number == EOPNOTSUPP ? "EOPNOTSUPP" : other);
	}
}
END_TEST

START_TEST(test_unknown_errnos)
{
	static const char *const names[] = { "", "E", "ENOEN", "ENOENTX", "enoent", "2" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		ck_assert_int_eq(provium_errno_number(names[i]), 0);
	ck_assert_ptr_null(provium_errno_name(INT32_MIN));
	ck_assert_ptr_null(provium_errno_name(INT32_MAX));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("lib-names");
	TCase *tcase = unit_counted_case("names");

	tcase_add_test(tcase, test_own_syscalls);
	tcase_add_test(tcase, test_syscalls);
	tcase_add_test(tcase, test_all_syscalls);
	tcase_add_test(tcase, test_unknown_syscalls);
	tcase_add_test(tcase, test_errnos);
	tcase_add_test(tcase, test_unknown_errnos);
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
