/*
 *     vm-endurance KERNELS [REQUESTS]
 *
 * REQUESTS (100000) of all kinds from four connections at a time, in ten parts. After each part the
 * agent must have as many descriptors and processes as after the first, and after the last it and
 * the kernel must not have grown.
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/util.h"
#include "tests/integration/chaos/look.h"
#include "tests/integration/vm/machine.h"
#include "tests/unit/unit.h"

#define MEMBERS   4
#define PARTS     10
/* Milliseconds until what a part has used is given back. */
#define SETTLE    20000
/* KiB by which server or supervisor may be larger after the last part, and the kernel's slabs. */
#define RSS_MORE  128
#define SLAB_MORE 2048
#define LARGEST   20000
/* Requests over which it may be too long for Check. */
#define LONG      UINT64_C(200000)

struct member {
	pthread_t thread;
	struct provium_connection *connection;
	unsigned int number;
	unsigned int seed;
	uint64_t requests;
	/* What was wrong; "": nothing. */
	char wrong[256];
	struct provium_error error;
	/* Of its file. */
	unsigned char content[LARGEST];
	size_t size;
};

static struct provium_error error;
static struct provium_vm *vm;
static uint64_t requests = 100000;

/* ------------------------------------------------------------------------------------------- */
/* Requests: false where one fails, or its reply is not right */

static bool ping(struct member *member)
{
	return provium_ping(member->connection, SOON, &member->error) == 0;
}

static void file_path(const struct member *member, char path[32])
{
	snprintf(path, 32, "/file-%u", member->number);
}

static bool write_file(struct member *member)
{
	const struct provium_write_options options = { .atomic = rand_r(&member->seed) % 2 == 0 };
	size_t size = (size_t)rand_r(&member->seed) % LARGEST;
	char path[32];

	file_path(member, path);
	member->size = size;
	for (size_t i = 0; i < size; i++)
		member->content[i] = (unsigned char)(size + i / 256);
	return provium_write_file_memory(member->connection, path, &options, member->content, size,
					 SOON, &member->error) == 0;
}

static bool stat_file(struct member *member)
{
	struct provium_file_status status;
	char path[32];

	file_path(member, path);
	return provium_stat(member->connection, path, true, SOON, &status, &member->error) == 0 &&
	       S_ISREG(status.mode) && status.size == member->size;
}

static bool read_file(struct member *member)
{
	struct provium_buffer content;
	char path[32];
	bool good;

	file_path(member, path);
	if (provium_read_file_memory(member->connection, path, LARGEST, SOON, &content,
				     &member->error) < 0)
		return false;
	good = content.size == member->size &&
	       memcmp(content.data, member->content, content.size) == 0;
	free(content.data);
	return good;
}

static bool make_calls(struct member *member)
{
	struct provium_program *program = provium_program_new();
	int version = provium_program_string(program, "/proc/version");
	int buffer = provium_program_output(program, 64);
	int fd = PROVIUM_CALL(program, SYS_open, provium_address(version), provium_value(0));
	bool good;

	PROVIUM_CALL(program, SYS_read, provium_result_of(fd), provium_address(buffer),
		     provium_value(64));
	PROVIUM_CALL(program, SYS_close, provium_result_of(fd));
	good = provium_program_run(member->connection, program, SOON, &member->error) == 0 &&
	       provium_program_check(program, &member->error) == 0 &&
	       memcmp(provium_program_data(program, buffer), "Linux version", 13) == 0;
	provium_program_free(program);
	return good;
}

static bool run_command(struct member *member)
{
	const struct provium_exec_options options = { .shell = "read line; echo $line; exit 3",
						      .input = "a line\n",
						      .input_size = 7 };
	struct provium_exec_result result;
	struct provium_buffer output;
	bool good;

	if (provium_exec_run(member->connection, &options, 0, SOON, &result, &output, NULL,
			     &member->error) < 0)
		return false;
	good = result.outcome == PROVIUM_EXITED && result.exit_code == 3 &&
	       strcmp(output.data, "a line\n") == 0;
	free(output.data);
	return good;
}

static bool run_job(struct member *member)
{
	static const struct provium_job_wait_options to_the_end = { .wait_ms = SOON };
	const struct provium_exec_options options = { .shell = "echo text" };
	struct provium_job_ref ref = { 0 };
	struct provium_job_result result;

	return provium_job_start(member->connection, &options, NULL, SOON, &ref.number, NULL,
				 &member->error) == 0 &&
	       provium_job_wait(member->connection, &ref, &to_the_end, SOON, &result,
				&member->error) == 0 &&
	       result.result.outcome == PROVIUM_EXITED && result.result.stdout_bytes == 5;
}

static bool employ(struct member *member)
{
	struct provium_connection *connection;
	struct provium_worker worker;
	int64_t pid;
	bool good;

	if (provium_worker_spawn(member->connection, NULL, SOON, &worker, &member->error) < 0 ||
	    provium_worker_connect(member->connection, &worker, SOON, &connection, &member->error) <
		    0)
		return false;
	good = provium_syscall(connection, SYS_getpid, NULL, 0, SOON, &pid, &member->error) == 0 &&
	       pid == worker.pid;
	provium_connection_free(connection);
	return good;
}

static const struct {
	const char *name;
	bool (*make)(struct member *member);
	/* Of a hundred. */
	int share;
} kinds[] = {
	{ "PING", ping, 30 },           { "STAT", stat_file, 20 },
	{ "READ_FILE", read_file, 16 }, { "WRITE_FILE", write_file, 16 },
	{ "SYSCALL", make_calls, 10 },  { "EXEC", run_command, 5 },
	{ "job", run_job, 2 },          { "worker", employ, 1 },
};

static _Atomic uint64_t made[ARRAY_SIZE(kinds)];

static void *run_member(void *argument)
{
	struct member *member = argument;

	for (uint64_t i = 0; i < member->requests; i++) {
		int at = rand_r(&member->seed) % 100;
		size_t kind = 0;

		while (at >= kinds[kind].share)
			at -= kinds[kind++].share;
		member->error.message[0] = '\0';
		if (!kinds[kind].make(member)) {
			snprintf(member->wrong, sizeof(member->wrong), "%s: %.200s",
				 kinds[kind].name, member->error.message);
			break;
		}
		made[kind]++;
	}
	return NULL;
}

/* ------------------------------------------------------------------------------------------- */

static void run_part(struct member *members)
{
	for (size_t i = 0; i < MEMBERS; i++)
		ck_assert_int_eq(pthread_create(&members[i].thread, NULL, run_member, &members[i]),
				 0);
	for (size_t i = 0; i < MEMBERS; i++)
		pthread_join(members[i].thread, NULL);
	for (size_t i = 0; i < MEMBERS; i++)
		ck_assert_msg(!members[i].wrong[0], "connection %zu: %s", i, members[i].wrong);
}

/* Nothing tells when a worker that has ended is gone. */
static void look_when_settled(struct look *seen, const struct look *first)
{
	uint64_t start = machine_now_ms();
	char text[400];

	for (;; usleep(100000)) {
		look(provium_vm_connection(vm), seen);
		if (seen->workers == 0 && seen->jobs == 0 && seen->commands == 0 &&
		    (!first || (seen->server_fds == first->server_fds &&
				seen->supervisor_fds == first->supervisor_fds &&
				seen->connections == first->connections &&
				seen->processes == first->processes)))
			return;
		look_describe(seen, text, sizeof(text));
		ck_assert_msg(machine_now_ms() - start < SETTLE, "not given back: %s", text);
	}
}

static void check_growth(const struct look *first, const struct look *last)
{
	ck_assert_uint_eq(last->restarts, 0);
	ck_assert_uint_le(last->server_rss, first->server_rss + RSS_MORE);
	ck_assert_uint_le(last->supervisor_rss, first->supervisor_rss + RSS_MORE);
	ck_assert_uint_le(last->slab_unreclaimable, first->slab_unreclaimable + SLAB_MORE);
	check_ok(provium_kernel_check(provium_vm_connection(vm), 0, SOON, &error));
}

START_TEST(test_endurance)
{
	struct provium_vm_options options = machine_options();
	static struct member members[MEMBERS];
	struct look looks[PARTS];
	uint64_t start;
	char text[400];

	vm = machine_boot(&options);
	for (unsigned int i = 0; i < MEMBERS; i++) {
		members[i].number = i;
		members[i].seed = i + 1;
		members[i].requests = requests / PARTS / MEMBERS;
		check_ok(provium_vm_connect(vm, 0, SOON, &members[i].connection, &error));
		ck_assert(write_file(&members[i]));
	}
	start = machine_now_ms();
	for (size_t part = 0; part < PARTS; part++) {
		run_part(members);
		look_when_settled(&looks[part], part > 0 ? &looks[0] : NULL);
		look_describe(&looks[part], text, sizeof(text));
		printf("# %zu/%d, %.0f s: %s\n", part + 1, PARTS,
		       (double)(machine_now_ms() - start) / 1000, text);
		fflush(stdout);
	}
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		printf("# %" PRIu64 " %s\n", made[i], kinds[i].name);
	check_growth(&looks[0], &looks[PARTS - 1]);
	for (size_t i = 0; i < MEMBERS; i++)
		provium_connection_free(members[i].connection);
	provium_vm_free(vm);
}
END_TEST

int main(int argc, char **argv)
{
	Suite *suite = suite_create("vm-endurance");
	TCase *tcase = tcase_create("endurance");

	if (argc < 2 || argc > 3)
		return 2;
	machine_kernels = argv[1];
	if (argc > 2)
		requests = strtoull(argv[2], NULL, 10);
	tcase_add_checked_fixture(tcase, machine_start, machine_finish);
	/* TCG makes many times as many in that time. */
	tcase_set_timeout(tcase, 300 + (double)requests / 20);
	tcase_add_test(tcase, test_endurance);
	suite_add_tcase(suite, tcase);
	return requests > LONG ? unit_run_long(suite) : unit_run(suite);
}
