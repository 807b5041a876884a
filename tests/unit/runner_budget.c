/* What a machine has for guests, made of files as the kernel would have them. */
#include "host/runner/budget.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/runner/directory.h"
#include "unit.h"

#define GIB (UINT64_C(1) << 30)

static char root[64];
static char proc[128], cgroup[128];

static void put(const char *directory, const char *name, const char *text)
{
	char path[PATH_MAX];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	file = fopen(path, "w");
	ck_assert_ptr_nonnull(file);
	fputs(text, file);
	fclose(file);
}

static void set_up(void)
{
	char path[PATH_MAX];

	snprintf(root, sizeof(root), "/tmp/runner-budget-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(root));
	snprintf(proc, sizeof(proc), "%s/proc", root);
	snprintf(cgroup, sizeof(cgroup), "%s/cgroup", root);
	mkdir(proc, 0700);
	mkdir(cgroup, 0700);
	snprintf(path, sizeof(path), "%s/self", proc);
	mkdir(path, 0700);
	snprintf(path, sizeof(path), "%s/outer", cgroup);
	mkdir(path, 0700);
	snprintf(path, sizeof(path), "%s/outer/inner", cgroup);
	mkdir(path, 0700);
	put(proc, "meminfo", "MemTotal:       16777216 kB\nMemAvailable:    8388608 kB\n");
}

static void tear_down(void)
{
	directory_remove(root);
}

static void is(unsigned int available, uint64_t memory, unsigned int cpus)
{
	struct budget budget;

	budget_measure(&budget, proc, cgroup, available);
	ck_assert_uint_eq(budget.memory, memory);
	ck_assert_uint_eq(budget.cpus, cpus);
}

START_TEST(without_cgroups)
{
	is(1, 8 * GIB - 3 * GIB / 2, 1);
	is(2, 8 * GIB - 3 * GIB / 2, 2);
	is(3, 8 * GIB - 3 * GIB / 2, 2);
	is(8, 8 * GIB - 3 * GIB / 2, 4);
	is(9, 8 * GIB - 3 * GIB / 2, 5);
	put(proc, "meminfo", "MemAvailable:    1024 kB\n");
	is(8, 0, 4);
	put(proc, "meminfo", "nonsense\n");
	is(8, 0, 4);
}
END_TEST

START_TEST(limited)
{
	put(proc, "self/cgroup", "1:name=systemd:/x\n0::/outer/inner\n");
	is(8, 8 * GIB - 3 * GIB / 2, 4);
	put(cgroup, "outer/memory.max", "max\n");
	put(cgroup, "outer/memory.current", "1073741824\n");
	put(cgroup, "outer/cpu.max", "max 100000\n");
	is(8, 8 * GIB - 3 * GIB / 2, 4);
	/* 4 GiB, of which 1 is used, of which half is cache that can go. */
	put(cgroup, "outer/memory.max", "4294967296\n");
	put(cgroup, "outer/memory.stat", "anon 1\ninactive_file 536870912\n");
	is(8, 2 * GIB, 4);
	put(cgroup, "outer/inner/memory.max", "2147483648\n");
	put(cgroup, "outer/inner/memory.current", "0\n");
	put(cgroup, "outer/inner/cpu.max", "300000 100000\n");
	is(8, GIB / 2, 2);
	put(cgroup, "outer/cpu.max", "50000 100000\n");
	is(8, GIB / 2, 1);
	/* Used up, and more. */
	put(cgroup, "outer/inner/memory.current", "3147483648\n");
	is(8, 0, 1);
}
END_TEST

/* In a container its own group is the root. */
START_TEST(in_a_container)
{
	put(proc, "self/cgroup", "0::/\n");
	put(cgroup, "memory.max", "4294967296\n");
	put(cgroup, "memory.current", "0\n");
	put(cgroup, "cpu.max", "200000 100000\n");
	is(8, 4 * GIB - 3 * GIB / 2, 2);
	/* Above what it sees. */
	put(proc, "self/cgroup", "0::/../../other\n");
	is(8, 4 * GIB - 3 * GIB / 2, 2);
}
END_TEST

START_TEST(this_machine)
{
	struct budget budget;

	ck_assert_uint_ge(budget_available_cpus(), 1);
	budget_measure(&budget, "/proc", "/sys/fs/cgroup", budget_available_cpus());
	ck_assert_uint_ge(budget.cpus, 1);
	ck_assert_uint_le(budget.cpus, (unsigned int)sysconf(_SC_NPROCESSORS_CONF));
}
END_TEST

int main(void)
{
	Suite *tests = suite_create("runner-budget");
	TCase *tcase = unit_counted_case("budget");

	tcase_add_checked_fixture(tcase, set_up, tear_down);
	tcase_add_test(tcase, without_cgroups);
	tcase_add_test(tcase, limited);
	tcase_add_test(tcase, in_a_container);
	tcase_add_test(tcase, this_machine);
	suite_add_tcase(tests, tcase);
	return unit_run(tests);
}
