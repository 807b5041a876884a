/* Random programs: what they hold, and what they never hold. */
#include <linux/sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <check.h>

#include "agent/program.h"
#include "common/util.h"
#include "host/lib/program.h"
#include "proto/limits.h"
#include "tests/random/random.h"
#include "unit.h"

#define PROGRAMS 100000u
#define SEED     1u
#define NUMBERS  512

/* Check's own tell their place each time, which takes longer than what is looked at here. */
#define must(condition, ...)                       \
	do {                                       \
		if (!(condition))                  \
			ck_abort_msg(__VA_ARGS__); \
	} while (0)
#define require(condition) must(condition, "%s", #condition)

/* A call of a program, with its arguments. */
struct made {
	const Provium__V1__Syscall *body;
	const char *name;
	uint32_t count;
	/* Index into the columns of args and, where it is one, of references. */
	size_t args;
	int references[6];
};

/* ------------------------------------------------------------------------------------------- */
/* What may be asked of an argument */

static bool is_reference(const struct made *made, unsigned int arg)
{
	return arg < made->count && made->references[arg] >= 0;
}

static uint64_t value_of(const struct made *made, unsigned int arg)
{
	must(!is_reference(made, arg), "%s: argument %u is a reference", made->name, arg);
	return arg < made->count ? made->body->args[made->args + arg] : 0;
}

/* The content of the buffer that it is the address of. */
static const uint8_t *input_of(const struct made *made, unsigned int arg, size_t size)
{
	int reference = made->references[arg];
	const Provium__V1__Buffer *buffer;

	must(reference >= 0 && made->body->reference_kinds[reference] ==
				       PROVIUM__V1__REFERENCE_KIND__REFERENCE_BUFFER,
	     "%s: argument %u is no buffer", made->name, arg);
	buffer = made->body->buffers[made->body->reference_indexes[reference]];
	require(buffer->input.len >= size);
	return buffer->input.data;
}

/* A process or thread of the program's own: it is what these have returned, or none (-1). */
static void expect_own(const struct made *made, unsigned int arg)
{
	static const char *const makers[] = { "getpid", "gettid", "fork", "clone", "clone3" };
	int reference = made->references[arg];
	const char *maker;

	if (reference < 0) {
		must(value_of(made, arg) == UINT64_MAX, "%s: argument %u", made->name, arg);
		return;
	}
	require(made->body->reference_kinds[reference] ==
		PROVIUM__V1__REFERENCE_KIND__REFERENCE_RESULT);
	require(made->body->reference_offsets[reference] == 0);
	maker = provium_syscall_name("x86_64",
				     made->body->numbers[made->body->reference_indexes[reference]]);
	for (size_t i = 0; i < ARRAY_SIZE(makers); i++)
		if (strcmp(maker, makers[i]) == 0)
			return;
	ck_abort_msg("%s of what %s returned", made->name, maker);
}

static void expect_number(const struct made *made, unsigned int arg, uint64_t number)
{
	must(value_of(made, arg) == number, "%s: argument %u is %#llx", made->name, arg,
	     (unsigned long long)value_of(made, arg));
}

static void expect_at_most(const struct made *made, unsigned int arg, uint64_t most)
{
	must(value_of(made, arg) <= most, "%s: argument %u is %#llx", made->name, arg,
	     (unsigned long long)value_of(made, arg));
}

/* An absolute path below the directory; the mount point is for mounts alone. */
static void expect_path(const struct made *made, unsigned int arg, bool mount_point)
{
	const char *path = (const char *)input_of(made, arg, sizeof(RANDOM_DIRECTORY "/x"));

	must(strncmp(path, RANDOM_DIRECTORY "/", strlen(RANDOM_DIRECTORY "/")) == 0 &&
		     !strstr(path, ".."),
	     "%s: %s", made->name, path);
	must(mount_point == (strcmp(path, RANDOM_DIRECTORY "/m") == 0), "%s: %s", made->name, path);
}

/* ------------------------------------------------------------------------------------------- */
/* Rules */

/* Typed in once more: who changes the generator's list changes it here as well. */
static const char *const never[] = {
	"reboot",
	"kexec_load",
	"kexec_file_load",
	"init_module",
	"finit_module",
	"delete_module",
	"kill",
	"rt_sigqueueinfo",
	"ptrace",
	"pivot_root",
	"chroot",
	"move_mount",
	"mount_setattr",
	"fspick",
	"swapon",
	"swapoff",
	"mlockall",
	"settimeofday",
	"clock_settime",
	"adjtimex",
	"clock_adjtime",
	"iopl",
	"ioperm",
	"syslog",
	"acct",
	"quotactl",
	"vhangup",
	"process_vm_writev",
	"process_madvise",
	"process_mrelease",
	"pidfd_getfd",
	"migrate_pages",
	"move_pages",
	"request_key",
	"sched_setscheduler",
	"sched_setparam",
	"vfork",
};

static void rule_own(const struct made *made)
{
	expect_own(made, 0);
}

static void rule_own_pair(const struct made *made)
{
	expect_own(made, 0);
	expect_own(made, 1);
}

static void rule_second_own(const struct made *made)
{
	expect_own(made, 1);
}

/* The caller: 0 for a process. */
static void rule_caller(const struct made *made)
{
	expect_number(made, 0, 0);
}

static void rule_second_caller(const struct made *made)
{
	expect_number(made, 1, 0);
}

/* With these a process would live on that cannot serve. */
static void rule_limits(const struct made *made)
{
	unsigned int resource = strcmp(made->name, "prlimit64") == 0 ? 1 : 0;
	const bool sets = resource == 0 || is_reference(made, 2);

	if (resource == 1)
		rule_caller(made);
	if (!sets)
		return;
	/* RLIMIT_DATA, RLIMIT_NOFILE, RLIMIT_AS. */
	require(value_of(made, resource) != 2);
	require(value_of(made, resource) != 7);
	require(value_of(made, resource) != 9);
}

static void rule_policy(const struct made *made)
{
	uint32_t policy;

	rule_caller(made);
	/* struct sched_attr: size, policy. */
	memcpy(&policy, input_of(made, 1, 8) + 4, sizeof(policy));
	require(policy == 0 || policy == 3);
}

static void rule_path(const struct made *made)
{
	expect_path(made, 0, false);
}

static void rule_path_at(const struct made *made)
{
	expect_path(made, 1, false);
}

static void rule_paths(const struct made *made)
{
	expect_path(made, 0, false);
	expect_path(made, 1, false);
}

static void rule_paths_at(const struct made *made)
{
	expect_path(made, 1, false);
	expect_path(made, 3, false);
}

static void rule_last_path_at(const struct made *made)
{
	expect_path(made, 0, false);
	expect_path(made, 2, false);
}

static void rule_fanotify(const struct made *made)
{
	/* No permission events: those wait for an answer. */
	expect_at_most(made, 2, 0x3b);
	expect_path(made, 4, false);
}

static void rule_mount(const struct made *made)
{
	expect_path(made, 1, true);
}

static void rule_umount(const struct made *made)
{
	expect_path(made, 0, true);
}

static void rule_node(const struct made *made)
{
	unsigned int mode = strcmp(made->name, "mknodat") == 0 ? 2 : 1;
	uint32_t type = (uint32_t)value_of(made, mode) & 0170000;

	expect_path(made, mode - 1, false);
	/* No device. */
	require(type != 0020000 && type != 0060000);
}

static void rule_second_size(const struct made *made)
{
	expect_at_most(made, 1, 1 << 20);
}

static void rule_third_size(const struct made *made)
{
	expect_at_most(made, 2, 1 << 20);
	expect_at_most(made, 3, 1 << 20);
}

static void rule_remap(const struct made *made)
{
	rule_second_size(made);
	expect_at_most(made, 2, 1 << 20);
}

static void rule_splice(const struct made *made)
{
	expect_at_most(made, 4, 4096);
}

static void rule_fourth_size(const struct made *made)
{
	expect_at_most(made, 3, 1 << 20);
}

static void rule_brk(const struct made *made)
{
	expect_number(made, 0, 0);
}

/* Not AF_VSOCK, the agent's and the host's. */
static void rule_socket(const struct made *made)
{
	uint64_t family = value_of(made, 0);

	require(family == AF_UNIX || family == AF_INET || family == AF_INET6 ||
		family == AF_NETLINK);
}

/* What the agent would refuse. */
static void rule_clone(const struct made *made)
{
	require((value_of(made, 0) & (CLONE_VM | CLONE_VFORK | CLONE_THREAD)) == 0);
}

static void rule_clone3(const struct made *made)
{
	uint64_t flags;

	memcpy(&flags, input_of(made, 0, sizeof(flags)), sizeof(flags));
	require((flags & (CLONE_VM | CLONE_VFORK | CLONE_THREAD)) == 0);
}

/* Who owns an fd may be told its signals. */
static void rule_fcntl(const struct made *made)
{
	uint64_t command = value_of(made, 1);

	/* F_SETOWN, F_SETSIG, F_SETOWN_EX. */
	require(command != 8 && command != 10 && command != 15);
}

/* FIOSETOWN, SIOCSPGRP. */
static void rule_ioctl(const struct made *made)
{
	require(value_of(made, 1) != 0x8901 && value_of(made, 1) != 0x8902);
}

static const struct rule {
	const char *name;
	void (*check)(const struct made *made);
} rules[] = {
	{ "tgkill", rule_own_pair },
	{ "tkill", rule_own },
	{ "rt_tgsigqueueinfo", rule_own_pair },
	{ "pidfd_open", rule_own },
	{ "wait4", rule_own },
	{ "waitid", rule_second_own },
	{ "process_vm_readv", rule_own },
	{ "prlimit64", rule_limits },
	{ "setrlimit", rule_limits },
	{ "setpriority", rule_second_caller },
	{ "ioprio_set", rule_second_caller },
	{ "sched_setaffinity", rule_caller },
	{ "sched_setattr", rule_policy },
	{ "mkdir", rule_path },
	{ "rmdir", rule_path },
	{ "unlink", rule_path },
	{ "chmod", rule_path },
	{ "chown", rule_path },
	{ "lchown", rule_path },
	{ "truncate", rule_path },
	{ "truncate", rule_second_size },
	{ "mkdirat", rule_path_at },
	{ "unlinkat", rule_path_at },
	{ "fchmodat", rule_path_at },
	{ "fchownat", rule_path_at },
	{ "rename", rule_paths },
	{ "link", rule_paths },
	{ "symlink", rule_paths },
	{ "renameat", rule_paths_at },
	{ "renameat2", rule_paths_at },
	{ "linkat", rule_paths_at },
	{ "symlinkat", rule_last_path_at },
	{ "fanotify_mark", rule_fanotify },
	{ "mount", rule_mount },
	{ "umount2", rule_umount },
	{ "mknod", rule_node },
	{ "mknodat", rule_node },
	{ "ftruncate", rule_second_size },
	{ "mmap", rule_second_size },
	{ "mremap", rule_remap },
	{ "madvise", rule_second_size },
	{ "mlock", rule_second_size },
	{ "mlock2", rule_second_size },
	{ "shmget", rule_second_size },
	{ "fallocate", rule_third_size },
	{ "pwrite64", rule_fourth_size },
	{ "sendfile", rule_fourth_size },
	{ "splice", rule_splice },
	{ "copy_file_range", rule_splice },
	{ "brk", rule_brk },
	{ "socket", rule_socket },
	{ "clone", rule_clone },
	{ "clone3", rule_clone3 },
	{ "fcntl", rule_fcntl },
	{ "ioctl", rule_ioctl },
};

/* ------------------------------------------------------------------------------------------- */
/* Walking through a program */

/* What is known of each number, looked up once. */
static struct known {
	const char *name;
	bool never;
	bool takes_fd;
	const struct rule *rules[2];
} known[NUMBERS];

static void look_up(void)
{
	/* Whose first argument is none, and may look like one. */
	static const char *const no_fd[] = { "mmap",  "munmap", "prctl",  "close_range",
					     "clone", "alarm",  "unshare" };

	for (uint32_t i = 0; i < NUMBERS; i++) {
		known[i].name = provium_syscall_name("x86_64", i);
		known[i].takes_fd = true;
	}
	for (size_t i = 0; i < ARRAY_SIZE(never); i++)
		known[provium_syscall_number("x86_64", never[i])].never = true;
	for (size_t i = 0; i < ARRAY_SIZE(no_fd); i++)
		known[provium_syscall_number("x86_64", no_fd[i])].takes_fd = false;
	for (size_t i = 0; i < ARRAY_SIZE(rules); i++) {
		struct known *of = &known[provium_syscall_number("x86_64", rules[i].name)];

		of->rules[of->rules[0] != NULL] = &rules[i];
	}
}

static void check_call(const struct made *made, const struct known *of)
{
	must(!of->never, "%s", made->name);
	/* No number is that of one of the agent's fds. */
	if (of->takes_fd && made->count > 0 && !is_reference(made, 0)) {
		uint32_t fd = (uint32_t)value_of(made, 0);

		must(fd < 512 || fd >= 1024, "%s: fd %u", made->name, fd);
	}
	for (size_t i = 0; i < ARRAY_SIZE(of->rules); i++)
		if (of->rules[i])
			of->rules[i]->check(made);
}

static void walk(const Provium__V1__Syscall *body, unsigned int seen[NUMBERS])
{
	struct made made = { .body = body };
	size_t reference = 0;

	for (size_t call = 0; call < body->n_numbers; call++) {
		require(body->numbers[call] < NUMBERS);
		seen[body->numbers[call]]++;
		made.name = known[body->numbers[call]].name;
		made.count = body->arg_counts[call];
		for (uint32_t i = 0; i < 6; i++) {
			made.references[i] = -1;
			if (i < made.count && reference < body->n_reference_args &&
			    body->reference_args[reference] == made.args + i)
				made.references[i] = (int)reference++;
		}
		/* What a newer kernel has is not known here: nothing can be said of it. */
		if (made.name)
			check_call(&made, &known[body->numbers[call]]);
		made.args += made.count;
	}
}

START_TEST(test_programs)
{
	static unsigned int seen[NUMBERS];
	struct check_failure failure;
	unsigned int distinct = 0;
	uint64_t calls = 0;

	look_up();
	for (uint32_t i = 0; i < PROGRAMS; i++) {
		struct provium_program *program = random_program("x86_64", SEED, i);
		uint64_t bytes = 0;

		must(program->mistake.code == PROVIUM_OK, "%u: %s", i, program->mistake.message);
		must(program_check(&program->body, &failure), "%u: %s", i, failure.text);
		require(program->body.deadline_ms == RANDOM_DEADLINE_MS);
		for (size_t j = 0; j < program->body.n_buffers; j++)
			bytes += program->body.buffers[j]->size;
		require(bytes <= 256 << 10);
		calls += program->body.n_numbers;
		walk(&program->body, seen);
		provium_program_free(program);
	}
	for (uint32_t i = 0; i < NUMBERS; i++)
		distinct += seen[i] > 0;
	/* Each of those that are described, at least. */
	for (size_t i = 0; i < random_n_calls + random_n_ends; i++) {
		const struct call *call =
			i < random_n_calls ? &random_calls[i] : &random_ends[i - random_n_calls];
		int number = provium_syscall_number("x86_64", call->name);

		must(number >= 0, "there is no %s", call->name);
		must(seen[number] > 0, "%s is never made", call->name);
	}
	printf("# %u programs: %llu calls, %u distinct numbers\n", PROGRAMS,
	       (unsigned long long)calls, distinct);
	require(distinct >= 300);
}
END_TEST

/* Of those that are kept from the calls that nobody describes, too. */
START_TEST(test_exclusions)
{
	for (size_t i = 0; i < ARRAY_SIZE(never); i++)
		ck_assert_msg(random_exclusion(never[i]) != NULL, "%s", never[i]);
	ck_assert_ptr_null(random_exclusion("read"));
	for (size_t i = 0; i < random_n_calls; i++)
		ck_assert_msg(!random_exclusion(random_calls[i].name), "%s", random_calls[i].name);
	for (size_t i = 0; i < random_n_ends; i++)
		ck_assert_msg(!random_exclusion(random_ends[i].name), "%s", random_ends[i].name);
	/* What has a rule is made in no other way than by its description. */
	for (size_t i = 0; i < ARRAY_SIZE(rules); i++) {
		bool strict = false;

		for (size_t j = 0; j < random_n_calls; j++)
			if (strcmp(random_calls[j].name, rules[i].name) == 0) {
				ck_assert_msg(random_calls[j].strict, "%s", rules[i].name);
				strict = true;
			}
		ck_assert_msg(strict, "%s", rules[i].name);
	}
}
END_TEST

static size_t pack(const char *arch, uint64_t seed, uint64_t number, uint8_t *bytes, size_t size)
{
	struct provium_program *program = random_program(arch, seed, number);
	size_t packed = provium__v1__syscall__get_packed_size(&program->body);

	ck_assert_uint_le(packed, size);
	provium__v1__syscall__pack(&program->body, bytes);
	provium_program_free(program);
	return packed;
}

START_TEST(test_same_seed)
{
	static uint8_t first[1 << 20], second[1 << 20];

	for (uint64_t i = 0; i < 500; i++) {
		size_t size = pack("x86_64", 7, i, first, sizeof(first));

		ck_assert_uint_eq(pack("x86_64", 7, i, second, sizeof(second)), size);
		ck_assert_mem_eq(first, second, size);
		ck_assert(pack("x86_64", 7, i + 1, second, sizeof(second)) != size ||
			  memcmp(first, second, size) != 0);
		ck_assert(pack("x86_64", 8, i, second, sizeof(second)) != size ||
			  memcmp(first, second, size) != 0);
	}
}
END_TEST

/* Calls that an architecture lacks are left out. */
START_TEST(test_other_architecture)
{
	struct check_failure failure;

	for (uint32_t i = 0; i < 2000; i++) {
		struct provium_program *program = random_program("aarch64", SEED, i);

		ck_assert_uint_ge(program->body.n_numbers, 2);
		ck_assert_msg(program_check(&program->body, &failure), "%u: %s", i, failure.text);
		for (size_t j = 0; j < program->body.n_numbers; j++) {
			const char *name =
				provium_syscall_name("aarch64", program->body.numbers[j]);

			for (size_t k = 0; name && k < ARRAY_SIZE(never); k++)
				ck_assert_str_ne(name, never[k]);
		}
		provium_program_free(program);
	}
}
END_TEST

START_TEST(test_describe)
{
	struct provium_program *program = random_program("x86_64", SEED, 3);
	char *text = NULL;
	size_t size = 0;
	FILE *file = open_memstream(&text, &size);

	random_describe(program, "x86_64", file);
	fclose(file);
	ck_assert_ptr_nonnull(strstr(text, "r0 = "));
	ck_assert_ptr_nonnull(strstr(text, "close_range(0x3, 0x1f3, 0x0)\n"));
	free(text);
	provium_program_free(program);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("random-programs");
	TCase *tcase = unit_counted_case("programs");

	tcase_set_timeout(tcase, 120);
	tcase_add_test(tcase, test_programs);
	tcase_add_test(tcase, test_exclusions);
	tcase_add_test(tcase, test_same_seed);
	tcase_add_test(tcase, test_other_architecture);
	tcase_add_test(tcase, test_describe);
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
