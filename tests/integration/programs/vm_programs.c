/*
 * Programs of system calls in a guest: what the unit tests show of them on the machine itself, on
 * the kernels that guests have, as root, with the static agent.
 *
 *     vm-programs KERNELS HOLDER CALLS
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/util.h"
#include "tests/integration/programs/programs.h"
#include "tests/integration/vm/machine.h"
#include "tests/unit/unit.h"

struct provium_connection *connection;
struct provium_program *program;
struct provium_error error;

static const char *holder;
static const char *calls;
static struct provium_vm *vm;
static char address[160];

/* ------------------------------------------------------------------------------------------- */
/* The guest, in the process whose children the tests are */

static void boot(void)
{
	const struct provium_file files[] = {
		{ .guest_path = "/holder", .host_path = holder },
		{ .guest_path = "/calls", .host_path = calls },
	};
	struct provium_vm_options options;
	char socket[96];

	machine_start();
	options = machine_options();
	snprintf(socket, sizeof(socket), "%s/socket", machine_directory);
	snprintf(address, sizeof(address), "unix:%s", socket);
	options.socket = socket;
	options.files = files;
	options.n_files = ARRAY_SIZE(files);
	vm = machine_boot(&options);
}

/* The VM's own connection has ended with the server that had it. */
static void shut_down(void)
{
	OK(provium_vm_shutdown(vm, PROVIUM_POWER_OFF, false, TIMEOUT, &error));
	provium_vm_free(vm);
	machine_finish();
}

static void start(void)
{
	OK(provium_connect(address, TIMEOUT, &connection, &error));
	program = provium_program_new();
	ck_assert_ptr_nonnull(program);
}

static void finish(void)
{
	provium_program_free(program);
	provium_connection_free(connection);
}

/* ------------------------------------------------------------------------------------------- */
/* programs.h */

void reconnect(void)
{
	provium_connection_free(connection);
	connection = NULL;
	OK(provium_connect(address, TIMEOUT, &connection, &error));
}

void run_program(void)
{
	OK(provium_program_run(connection, program, TIMEOUT, &error));
}

int64_t result_of(int call)
{
	return provium_program_result(program, call);
}

void new_program(void)
{
	provium_program_free(program);
	program = provium_program_new();
	ck_assert_ptr_nonnull(program);
}

struct provium_info get_info(void)
{
	struct provium_info now;

	OK(provium_info(connection, TIMEOUT, &now, &error));
	return now;
}

int call_open(const char *path, int flags)
{
	return PROVIUM_CALL(program, SYS_openat, VALUE(AT_FDCWD),
			    provium_address(provium_program_string(program, path)), VALUE(flags),
			    VALUE(0600));
}

int call_close(int call)
{
	return PROVIUM_CALL(program, SYS_close, provium_result_of(call));
}

int call_close_at(int fds, uint32_t offset)
{
	return PROVIUM_CALL(program, SYS_close, provium_load(fds, offset, 4));
}

int start_job(const char *const *argv)
{
	const struct provium_exec_options command = { .argv = argv };
	struct provium_jobs jobs;
	uint64_t number, written;
	int pid;

	OK(provium_job_start(connection, &command, NULL, TIMEOUT, &number, &pid, &error));
	do {
		usleep(1000);
		OK(provium_job_list(connection, TIMEOUT, &jobs, &error));
		ck_assert_uint_eq(jobs.count, 1);
		ck_assert_uint_eq(jobs.entries[0].number, number);
		ck_assert_msg(jobs.entries[0].running, "%s has ended", argv[0]);
		written = jobs.entries[0].stdout_bytes;
		provium_job_list_free(&jobs);
	} while (written == 0);
	return pid;
}

void expect_output(const char *shell, const char *wanted)
{
	machine_expect(connection, shell, wanted);
}

int main(int argc, char **argv)
{
	Suite *suite = suite_create("vm-programs");
	TCase *tcase = unit_counted_case("programs");

	if (argc < 4)
		return 2;
	machine_kernels = argv[1];
	holder = argv[2];
	calls = argv[3];
	tcase_add_unchecked_fixture(tcase, boot, shut_down);
	tcase_add_checked_fixture(tcase, start, finish);
	tcase_set_timeout(tcase, 120);
	/* The first fd that a call opens is looked at before others are. */
	add_courses(tcase);
	add_calls(tcase);
	add_deadlines(tcase);
	add_ends(tcase);
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
