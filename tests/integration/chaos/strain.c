/* Memory, processes, descriptors and disks that run out. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/util.h"
#include "tests/integration/chaos/chaos.h"
#include "tests/integration/vm/machine.h"
#include "tests/unit/unit.h"

#define EATERS    4
#define USER      1000
/* Processes of the bomb, and milliseconds that it has. */
#define BOMB      100
#define BOMB_MS   3000
/* Bytes of the small file system, and of what is too large for it. */
#define DISK      (1 << 20)
#define TOO_LARGE (4 << 20)

static struct provium_error error;

/* A number that a shell command prints. */
static unsigned long count(struct chaos *chaos, const char *shell)
{
	char *text = look_shell(chaos->connection, shell);
	unsigned long number = strtoul(text, NULL, 10);

	free(text);
	return number;
}

static struct provium_connection *employ(struct chaos *chaos)
{
	struct provium_connection *connection;
	struct provium_worker worker;

	check_ok(provium_worker_spawn(chaos->connection, NULL, SOON, &worker, &error));
	check_ok(provium_worker_connect(chaos->connection, &worker, SOON, &connection, &error));
	return connection;
}

/* ------------------------------------------------------------------------------------------- */
/* Memory */

/* A worker takes all memory that there is: it is killed, or told that there is no more. */
static bool eat_as_worker(struct chaos *chaos)
{
	struct provium_connection *worker = employ(chaos);
	struct provium_program *program = provium_program_new();
	struct provium_worker_end end;
	bool killed;
	int call;

	call = PROVIUM_CALL(program, SYS_mmap, provium_value(0), provium_value(16 << 20),
			    provium_value(PROT_READ | PROT_WRITE),
			    provium_value(MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE),
			    provium_value((uint64_t)-1), provium_value(0));
	provium_program_repeat(program, call, 32);
	provium_program_deadline(program, SOON);
	killed = provium_program_run(worker, program, SOON, &error) < 0;
	ck_assert_msg(!killed || error.code == PROVIUM_DISCONNECTED, "%s", error.message);
	provium_program_free(program);
	provium_connection_free(worker);
	check_ok(provium_worker_next_end(chaos->connection, SOON, &end, &error));
	ck_assert_int_eq(end.signal, killed ? 9 : 0);
	return killed;
}

/* Strings that double until there is no memory. */
void chaos_memory(struct chaos *chaos)
{
	static const struct provium_exec_options eat = {
		.shell = "exec awk 'BEGIN { s = \"0123456789abcdef\"; while (1) s = s s }'",
	};
	struct provium_exec *eaters[EATERS];
	struct provium_exec_result result;
	unsigned int killed = 0;
	unsigned long victims;
	bool worker;

	free(look_shell(chaos->connection, "dmesg -c >/dev/null"));
	for (size_t i = 0; i < EATERS; i++)
		check_ok(provium_exec_start(chaos->connection, &eat, &eaters[i], &error));
	worker = eat_as_worker(chaos);
	for (size_t i = 0; i < EATERS; i++) {
		check_ok(provium_exec_wait(eaters[i], SOON, &result, &error));
		ck_assert(result.outcome == PROVIUM_SIGNALLED ? result.signal == 9
							      : result.exit_code != 0);
		killed += result.outcome == PROVIUM_SIGNALLED;
		provium_exec_free(eaters[i]);
	}
	victims = count(chaos, "dmesg | grep -c 'Killed process'");
	ck_assert_uint_gt(victims, 0);
	ck_assert_uint_eq(victims, killed + worker);
	snprintf(chaos->note, sizeof(chaos->note),
		 "the kernel killed %u of %u commands, and %s worker", killed, EATERS,
		 worker ? "the" : "no");
}

/* ------------------------------------------------------------------------------------------- */
/* Processes */

void chaos_forks(struct chaos *chaos)
{
	static const struct provium_rlimit limit = {
		.resource = RLIMIT_NPROC,
		.soft = BOMB,
		.hard = BOMB,
	};
	const struct provium_exec_options bomb = {
		.shell = "exec 2>/dev/null; bomb() { bomb | bomb & }; bomb; exec sleep 1000",
		.has_uid = true,
		.uid = USER,
		.has_gid = true,
		.gid = USER,
		.rlimits = &limit,
		.n_rlimits = 1,
		.kill_scope = PROVIUM_KILL_CGROUP,
		.timeout_ms = BOMB_MS,
	};
	struct provium_exec_result result;
	struct provium_exec *exec;
	unsigned long most = 0;

	check_ok(provium_exec_start(chaos->connection, &bomb, &exec, &error));
	while (!provium_exec_done(exec)) {
		unsigned long now =
			count(chaos, "cat /proc/[0-9]*/status 2>/dev/null | grep -c '^Uid:.1000' "
				     "|| :");

		most = MAX(most, now);
	}
	check_ok(provium_exec_wait(exec, SOON, &result, &error));
	ck_assert_int_eq(result.outcome, PROVIUM_EXEC_TIMED_OUT);
	provium_exec_free(exec);
	ck_assert_uint_gt(most, BOMB / 4);
	snprintf(chaos->note, sizeof(chaos->note), "%lu processes at once", most);
}

/* ------------------------------------------------------------------------------------------- */
/* Descriptors */

/* There is none for anybody but root. */
static void use_up_files(struct chaos *chaos)
{
	const struct provium_exec_options command = {
		.shell = "true",
		.has_uid = true,
		.uid = USER,
	};
	char shell[128];
	char *before = look_shell(chaos->connection,
				  "cat /proc/sys/fs/file-max && echo 1 >/proc/sys/fs/file-max");

	ck_assert_int_eq(
		provium_exec_run(chaos->connection, &command, 0, SOON, NULL, NULL, NULL, &error),
		-1);
	ck_assert_msg(error.code == PROVIUM_GUEST && error.os_errno == ENFILE, "%s", error.message);
	chaos_served(chaos);
	snprintf(shell, sizeof(shell), "echo %s >/proc/sys/fs/file-max", before);
	free(look_shell(chaos->connection, shell));
	free(before);
	check_ok(provium_exec_run(chaos->connection, &command, 0, SOON, NULL, NULL, NULL, &error));
}

/* A worker that has none left says so of all that needs one, and serves what needs none. */
static void use_up_own(struct chaos *chaos)
{
	const struct provium_exec_options command = { .shell = "true" };
	struct provium_connection *worker = employ(chaos);
	struct provium_program *program = provium_program_new();
	int path = provium_program_string(program, "/dev/null");
	int call = PROVIUM_CALL(program, SYS_openat, provium_value((uint64_t)AT_FDCWD),
				provium_address(path), provium_value(O_RDWR));
	struct provium_worker_end end;
	struct provium_buffer content;

	provium_program_repeat(program, call, 1000000);
	/* The last of them: all others after the first that fails do, too. */
	provium_program_deadline(program, 2000);
	check_ok(provium_program_run(worker, program, SOON, &error));
	provium_program_free(program);
	check_ok(provium_ping(worker, SOON, &error));
	ck_assert_int_eq(provium_exec_run(worker, &command, 0, SOON, NULL, NULL, NULL, &error), -1);
	ck_assert_msg(error.code == PROVIUM_GUEST && error.os_errno == EMFILE, "%s", error.message);
	ck_assert_int_eq(
		provium_read_file_memory(worker, "/proc/version", 4096, SOON, &content, &error),
		-1);
	ck_assert_msg(error.code == PROVIUM_GUEST && error.os_errno == EMFILE, "%s", error.message);
	chaos_served(chaos);
	provium_connection_free(worker);
	check_ok(provium_worker_next_end(chaos->connection, SOON, &end, &error));
	ck_assert_int_eq(end.signal, 0);
}

void chaos_fds(struct chaos *chaos)
{
	use_up_files(chaos);
	use_up_own(chaos);
}

/* ------------------------------------------------------------------------------------------- */
/* Disk */

static int count_entry(void *user, const struct provium_dir_entry *entry)
{
	unsigned int *entries = user;

	(void)entry;
	(*entries)++;
	return 0;
}

static void check_disk_full(void)
{
	ck_assert_msg(error.code == PROVIUM_GUEST && error.os_errno == ENOSPC, "%s", error.message);
}

void chaos_disk(struct chaos *chaos)
{
	static const struct provium_write_options whole = { .atomic = true };
	struct provium_connection *connection = chaos->connection;
	char *large = calloc(1, TOO_LARGE);
	struct provium_file_status status;
	unsigned int entries = 0;
	char path[100];

	ck_assert_ptr_nonnull(large);
	check_ok(provium_mkdir(connection, "/full", 0755, false, SOON, &error));
	check_ok(provium_mount(connection, "tmpfs", "/full", "tmpfs", 0, "size=1m", SOON, &error));
	check_ok(provium_write_file_memory(connection, "/full/file", NULL, "before", 6, SOON,
					   &error));
	ck_assert_int_eq(provium_write_file_memory(connection, "/full/file", &whole, large,
						   TOO_LARGE, SOON, &error),
			 -1);
	check_disk_full();
	/* What is not written as a whole is as much as there was room for, and the error tells. */
	ck_assert_int_eq(provium_write_file_memory(connection, "/full/part", NULL, large, TOO_LARGE,
						   SOON, &error),
			 -1);
	check_disk_full();
	check_ok(provium_remove(connection, "/full/part", false, false, SOON, &error));
	machine_on_host("head -c 4194304 /dev/zero >large && mkdir tree && cp large tree/b && "
			"echo small >tree/a");
	for (int i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "%s/%s", machine_directory, i == 0 ? "large" : "tree");
		ck_assert_int_eq(provium_push(connection, path, "/full/pushed", NULL, SOON, &error),
				 -1);
		check_disk_full();
		chaos_served(chaos);
	}
	machine_on_host("rm -r large tree");
	check_ok(provium_stat(connection, "/full/file", true, SOON, &status, &error));
	ck_assert_uint_eq(status.size, 6);
	/* Of the tree what was complete may be there, and nothing of the file that was not. */
	check_ok(provium_remove(connection, "/full/pushed/a", false, true, SOON, &error));
	check_ok(provium_remove(connection, "/full/pushed", false, true, SOON, &error));
	check_ok(provium_list_dir(connection, "/full", count_entry, &entries, SOON, &error));
	ck_assert_uint_eq(entries, 1);
	/* There is room again. */
	check_ok(provium_write_file_memory(connection, "/full/file", &whole, large, DISK / 2, SOON,
					   &error));
	check_ok(provium_umount(connection, "/full", 0, SOON, &error));
	check_ok(provium_remove(connection, "/full", false, false, SOON, &error));
	free(large);
}
